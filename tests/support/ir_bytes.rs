//! Any bytes become a function of the IR and arguments for it; the interpreter and the machine code must agree on them.
//!
//! Used by `tests/jit_bytes.rs` and by `fuzz/fuzz_targets/jit.rs`. What comes out is well-formed by construction, so that no
//! input is wasted: registers of every type are set before anything else, loops count.

#![allow(unsafe_code, reason = "lends memory to kernels as a host does")]

use iris::jit::ir::{BufId, Elem, ExitId, Fit, FuncId, Import, Inst, Op, Reason, Reg, Term, Ty};
use iris::jit::map::{Input, Output, elementwise};
use iris::jit::{
    Budget, Buffer, Frame, FuncBuilder, Hook, Kernel, ModuleBuilder, Options, Outcome, Pos,
};

const TYPES: [Ty; 4] = [Ty::F64, Ty::I64, Ty::I32, Ty::Bool];
const ELEMS: [Elem; 11] = [
    Elem::F64,
    Elem::F32,
    Elem::I64,
    Elem::I32,
    Elem::I16,
    Elem::I8,
    Elem::U64,
    Elem::U32,
    Elem::U16,
    Elem::U8,
    Elem::Bool,
];
const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3.0,
    1e-20,
    5e-324,
    1e308,
    9_007_199_254_740_993.0,
    9.3e18,
    -2_147_483_649.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];
const INTS: [i64; 16] = [
    0,
    1,
    -1,
    2,
    3,
    -7,
    31,
    63,
    64,
    1 << 31,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
    3_037_000_500,
];
/// Elements of each buffer.
const ELEMENTS: usize = 13;

/// The bytes, read once; behind their end there are zeros.
struct Bytes<'a> {
    left: &'a [u8],
}

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else { return 0 };
        self.left = rest;
        *first
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.next()) % n
    }

    fn value(&mut self, ty: Ty) -> u64 {
        let edge = self.next();
        let at = usize::from(edge >> 1) % 16;
        match ty {
            Ty::F64 if edge & 1 == 0 => FLOATS[at].to_bits(),
            Ty::F64 => (f64::from(self.next().cast_signed()) / 4.0).to_bits(),
            Ty::Bool => u64::from(edge & 1),
            _ if edge & 1 == 0 && ty == Ty::I64 => INTS[at].cast_unsigned(),
            _ if edge & 1 == 0 => u64::from(INTS[at] as u32),
            Ty::I32 => u64::from(i32::from(self.next().cast_signed()).cast_unsigned()),
            _ => i64::from(self.next().cast_signed()).cast_unsigned(),
        }
    }
}

struct Writer<'a, 'b> {
    bytes: &'a mut Bytes<'b>,
    m: &'a mut ModuleBuilder,
    f: FuncBuilder,
    /// Registers of each of `TYPES`, all of them set.
    regs: [Vec<Reg>; 4],
    lists: Vec<Reg>,
    buffers: Vec<(BufId, Elem)>,
    shapes: Vec<(u32, Vec<Ty>)>,
    callee: Option<(FuncId, Vec<Ty>, Vec<Ty>)>,
    budget: usize,
    /// Only what has a form for lanes: branches, and operations that are no calls.
    lanes: bool,
}

/// Operations that have no form for lanes.
const ONE_BY_ONE: [Op; 8] = [
    Op::F64Rem,
    Op::PyPowI64,
    Op::PyPowF64,
    Op::PyModF64,
    Op::PyFloorDivF64,
    Op::PyRangeLen,
    Op::PyWrapIndex,
    Op::JsClz32,
];

impl Writer<'_, '_> {
    fn reg(&mut self, ty: Ty) -> Reg {
        let at = TYPES.iter().position(|t| *t == ty).unwrap_or(0);
        let pool = self.regs[at].len();
        self.regs[at][self.bytes.below(pool)]
    }

    /// An exit: every third tells what some registers hold.
    fn exit(&mut self) -> ExitId {
        let reason = [Reason::Overflow, Reason::Domain, Reason::Index][self.bytes.below(3)];
        if self.bytes.below(3) > 0 {
            return self.m.exit(reason, Pos::default());
        }
        let state = [self.reg(Ty::F64), self.reg(Ty::I64), self.reg(Ty::Bool)];
        let exit = iris::jit::ir::Exit {
            reason,
            pos: Pos::default(),
            resume: Some(1),
            state: state.into(),
        };
        self.m.exit_with(exit)
    }

    fn stop(&mut self) -> ExitId {
        self.m.exit(Reason::Interrupted, Pos::default())
    }

    fn operation(&mut self) {
        let op = Op::ALL[self.bytes.below(Op::ALL.len())];
        let shift = matches!(op, Op::PyShlI64 | Op::PyShrI64 | Op::JsIndex);
        if self.lanes && (shift || ONE_BY_ONE.contains(&op)) {
            return;
        }
        let args: Vec<Reg> = op.args().iter().map(|ty| self.reg(*ty)).collect();
        let dst = self.reg(op.result());
        let exit = op.may_exit().then(|| self.exit());
        self.f.op_to(dst, op, &args, exit);
    }

    fn statement(&mut self, depth: usize) {
        if self.budget == 0 {
            return;
        }
        self.budget -= 1;
        let mut kind = self.bytes.below(20);
        if self.lanes && matches!(kind, 2 | 6 | 9 | 12 | 13) {
            kind = 19;
        }
        match kind {
            0 => {
                let ty = TYPES[self.bytes.below(4)];
                let (dst, bits) = (self.reg(ty), self.bytes.value(ty));
                self.f.push(Inst::Const { dst, bits });
            }
            1 => {
                let ty = TYPES[self.bytes.below(4)];
                let (dst, src) = (self.reg(ty), self.reg(ty));
                self.f.copy(dst, src);
            }
            2 => {
                // Those that libm rounds the same way wherever it is called from.
                let import = [Import::Sin, Import::Exp, Import::Atan2][self.bytes.below(3)];
                let (dst, a, b) = (self.reg(Ty::F64), self.reg(Ty::F64), self.reg(Ty::F64));
                self.f.push(Inst::Import { import, dst, args: [a, b] });
            }
            3 | 4 if !self.buffers.is_empty() => {
                let (buf, elem) = self.buffers[self.bytes.below(self.buffers.len())];
                let (dst, index) = (self.reg(elem.ty()), self.reg(Ty::I64));
                let exit = self.exit();
                self.f.push(Inst::Load { dst, buf, index, exit });
            }
            5 if !self.buffers.is_empty() => {
                let (buf, elem) = self.buffers[self.bytes.below(self.buffers.len())];
                let (index, src) = (self.reg(Ty::I64), self.reg(elem.ty()));
                let fit = if self.bytes.below(2) == 0 { Fit::Wrap } else { Fit::Leave };
                let exit = self.exit();
                self.f.push(Inst::Store { buf, index, src, fit, exit });
            }
            6 if !self.buffers.is_empty() => {
                let (buf, _) = self.buffers[self.bytes.below(self.buffers.len())];
                let dst = self.reg(Ty::I64);
                self.f.push(Inst::Len { dst, buf });
            }
            7 => {
                let (cond, expect) = (self.reg(Ty::Bool), self.bytes.below(2) == 0);
                let exit = self.exit();
                self.f.push(Inst::Guard { cond, expect, exit });
            }
            8 => {
                let src = self.reg(Ty::I64);
                self.f.push(Inst::Mark { src });
            }
            9 => self.list(),
            10 | 11 if depth > 0 => self.choice(depth - 1),
            12 if depth > 0 => self.repeat(depth - 1),
            13 => self.call(),
            14 => {
                let (shape, types) = self.shapes[self.bytes.below(self.shapes.len())].clone();
                let values: Vec<Reg> = types.iter().map(|ty| self.reg(*ty)).collect();
                let [out, on] = [self.f.block(), self.f.block()];
                let cond = self.reg(Ty::Bool);
                self.f.branch(cond, out, on);
                self.f.switch_to(out);
                self.f.ret(shape, &values);
                self.f.switch_to(on);
            }
            _ => self.operation(),
        }
    }

    fn list(&mut self) {
        let Some(list) = self.lists.first().copied() else { return };
        let exit = self.exit();
        let tag = self.bytes.next() & 1;
        let (index, src) = (self.reg(Ty::I64), self.reg(Ty::F64));
        match self.bytes.below(4) {
            0 => self.f.push(Inst::ListPush { list, src, tag, exit }),
            1 => {
                let dst = self.reg(Ty::I64);
                self.f.push(Inst::ListLen { dst, list });
            }
            2 => {
                let dst = self.reg(Ty::F64);
                self.f.push(Inst::ListGet { dst, list, index, tag, exit });
            }
            _ => self.f.push(Inst::ListSet { list, index, src, tag, exit }),
        }
    }

    fn block(&mut self, depth: usize) {
        for _ in 0..=self.bytes.below(4) {
            self.statement(depth);
        }
    }

    fn choice(&mut self, depth: usize) {
        let [then, otherwise, on] = std::array::from_fn(|_| self.f.block());
        let cond = self.reg(Ty::Bool);
        self.f.branch(cond, then, otherwise);
        for side in [then, otherwise] {
            self.f.switch_to(side);
            self.block(depth);
            self.f.jump(on);
        }
        self.f.switch_to(on);
    }

    /// A loop of up to six turns.
    fn repeat(&mut self, depth: usize) {
        let (count, zero, one) = (self.f.reg(Ty::I64), self.f.i64(0), self.f.i64(1));
        let turns = self.bytes.below(7) as i64;
        let turns = self.f.i64(turns);
        self.f.copy(count, zero);
        let [head, body, on] = std::array::from_fn(|_| self.f.block());
        self.f.jump(head);
        self.f.switch_to(head);
        let more = self.f.op(Op::I64Lt, &[count, turns], None);
        self.f.branch(more, body, on);
        self.f.switch_to(body);
        self.block(depth);
        self.f.op_to(count, Op::I64AddWrap, &[count, one], None);
        let stop = self.stop();
        self.f.poll(stop);
        self.f.jump(head);
        self.f.switch_to(on);
        // What a loop counted is worth something to the code behind it.
        let dst = self.reg(Ty::I64);
        self.f.copy(dst, count);
    }

    fn call(&mut self) {
        let Some((func, params, results)) = self.callee.clone() else { return };
        let args: Vec<Reg> = params.iter().map(|ty| self.reg(*ty)).collect();
        let results: Vec<Reg> = results.iter().map(|ty| self.reg(*ty)).collect();
        let on = self.f.block();
        let depth = self.m.exit(Reason::Recursion, Pos::default());
        let shapes = [(results.into(), on)].into();
        self.f.end(Term::Call { func, args: args.into(), shapes, depth });
        self.f.switch_to(on);
    }
}

/// How many statements, and whether they are to have lanes.
#[derive(Clone, Copy)]
struct Form {
    size: usize,
    lanes: bool,
}

/// Writes a function. `callee`: what it may call (itself, for recursion: it has one shape then).
fn function(
    bytes: &mut Bytes<'_>,
    m: &mut ModuleBuilder,
    params: &[Ty],
    shapes: &[Vec<Ty>],
    buffers: Vec<(BufId, Elem)>,
    callee: Option<(FuncId, Vec<Ty>, Vec<Ty>)>,
    form: Form,
) -> iris::jit::ir::Func {
    let mut f = FuncBuilder::new("from bytes", params);
    let shapes: Vec<(u32, Vec<Ty>)> =
        shapes.iter().map(|types| (f.new_shape(types), types.clone())).collect();
    let mut regs: [Vec<Reg>; 4] = Default::default();
    for (i, ty) in params.iter().enumerate() {
        let at = TYPES.iter().position(|t| t == ty).unwrap_or(0);
        regs[at].push(Reg(i as u32));
    }
    for (at, ty) in TYPES.iter().enumerate() {
        for _ in 0..2 {
            let dst = f.reg(*ty);
            let bits = bytes.value(*ty);
            f.push(Inst::Const { dst, bits });
            regs[at].push(dst);
        }
    }
    let mut w = Writer {
        bytes,
        m,
        f,
        regs,
        lists: Vec::new(),
        buffers,
        shapes,
        callee,
        budget: form.size,
        lanes: form.lanes,
    };
    if !form.lanes && w.bytes.below(3) == 0 {
        let exit = w.exit();
        let dst = w.f.reg(Ty::List);
        w.f.push(Inst::ListNew { dst, exit });
        w.lists.push(dst);
    }
    for _ in 0..2 + w.bytes.below(6) {
        w.statement(3);
    }
    let (shape, types) = w.shapes[w.bytes.below(w.shapes.len())].clone();
    let values: Vec<Reg> = types.iter().map(|ty| w.reg(*ty)).collect();
    w.f.ret(shape, &values);
    w.f.finish()
}

/// The memory of the buffers: `fill` bytes into each.
fn memory(elems: &[Elem], bytes: &mut Bytes<'_>) -> Vec<Vec<u8>> {
    let one = |elem: &Elem, bytes: &mut Bytes<'_>| {
        let mut memory = vec![0_u8; ELEMENTS * elem.size()];
        // SAFETY: `memory` lives while the buffer is used.
        let buffer = unsafe { Buffer::new(memory.as_mut_ptr(), ELEMENTS, *elem, true) };
        // Every other array is tame: nothing in it makes a map leave its lanes.
        let tame = bytes.below(2) == 0;
        for i in 0..ELEMENTS {
            let bits = match elem.ty() {
                Ty::F64 if tame => (f64::from(bytes.next().cast_signed()) + 0.25).to_bits(),
                Ty::I64 if tame => i64::from(bytes.next().cast_signed()).cast_unsigned(),
                ty => bytes.value(ty),
            };
            assert!(buffer.set(i as i64, bits), "{i} is in range");
        }
        memory
    };
    elems.iter().map(|elem| one(elem, bytes)).collect()
}

/// Stops at the third poll.
struct Third(u32);

impl Hook for Third {
    fn poll(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 < 3).then_some(4)
    }
}

/// Everything that a call leaves behind, one NaN as good as another.
#[derive(Debug, PartialEq)]
struct Trace {
    outcome: Outcome,
    values: Vec<u64>,
    mark: i64,
    lists: Vec<(Vec<u64>, Vec<u8>)>,
    buffers: Vec<Vec<Option<u64>>>,
}

fn plain(bits: u64) -> u64 {
    if f64::from_bits(bits).is_nan() { f64::NAN.to_bits() } else { bits }
}

fn trace(kernel: &Kernel, args: &[u64], memory: &[Vec<u8>], elems: &[Elem], spec: bool) -> Trace {
    let mut memory = memory.to_vec();
    let lend = |(memory, elem): (&mut Vec<u8>, &Elem)| {
        // SAFETY: `memory` lives until the end of this function.
        unsafe { Buffer::new(memory.as_mut_ptr(), ELEMENTS, *elem, true) }
    };
    let buffers: Vec<Buffer> = memory.iter_mut().zip(elems).map(lend).collect();
    let (mut frame, mut hook) = (Frame::default(), Third(0));
    let budget = Budget { fuel: 4, depth: 7 };
    let outcome = if spec {
        kernel.interpret(args, &buffers, budget, &mut frame, &mut hook)
    } else {
        kernel.call(args, &buffers, budget, &mut frame, &mut hook)
    };
    let outcome = outcome.expect("arguments and buffers fit");
    let read = |b: &Buffer| {
        let float = b.elem().ty() == Ty::F64;
        let one = |bits: u64| if float { plain(bits) } else { bits };
        (0..ELEMENTS).map(|i| b.get(i as i64).map(one)).collect()
    };
    Trace {
        outcome,
        values: frame.values.iter().map(|v| plain(*v)).collect(),
        mark: frame.mark,
        lists: frame
            .lists
            .iter()
            .map(|l| (l.bits.iter().map(|b| plain(*b)).collect(), l.tags.clone()))
            .collect(),
        buffers: buffers.iter().map(read).collect(),
    }
}

/// Makes a function of the bytes, runs it both ways.
///
/// Answers in how many lanes it computes.
///
/// # Errors
/// What the two ways did, and the function.
pub(crate) fn agree(bytes: &[u8]) -> Result<u8, String> {
    let bytes = &mut Bytes { left: bytes };
    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let each = bytes.below(3) == 0;
    let mut elems = Vec::new();
    let mut buffers = Vec::new();
    let module = if each {
        // A map: what has lanes is computed in lanes.
        let mut params = Vec::new();
        let mut inputs = Vec::new();
        for _ in 0..=bytes.below(3) {
            let elem = ELEMS[bytes.below(ELEMS.len())];
            // An integer may be made a float on its way in.
            let float = elem.ty() == Ty::I64 && bytes.below(3) == 0;
            params.push(if float { Ty::F64 } else { elem.ty() });
            if bytes.below(4) == 0 {
                inputs.push(Input::Scalar);
            } else {
                inputs.push(Input::Buffer(elem));
                elems.push(elem);
            }
        }
        let elem = ELEMS[bytes.below(ELEMS.len())];
        let fit = if bytes.below(2) == 0 { Fit::Wrap } else { Fit::Leave };
        let result = vec![vec![elem.ty()]];
        let size = 3 + bytes.below(20);
        let lanes = bytes.below(4) > 0;
        let f = function(bytes, &mut m, &params, &result, Vec::new(), None, Form { size, lanes });
        m.define(entry, f);
        elems.push(elem);
        let output = Output { elem, shape: 0, fit };
        elementwise(&m.finish(), &inputs, output).map_err(|e| e.to_string())?
    } else {
        for _ in 0..bytes.below(3) {
            let elem = ELEMS[bytes.below(ELEMS.len())];
            buffers.push((m.buffer(elem, true), elem));
            elems.push(elem);
        }
        let params: Vec<Ty> = (0..bytes.below(4)).map(|_| TYPES[bytes.below(4)]).collect();
        let helper = m.declare();
        let takes = vec![TYPES[bytes.below(4)], Ty::F64];
        let gives: Vec<Ty> = (0..1 + bytes.below(2)).map(|_| TYPES[bytes.below(4)]).collect();
        let callee = Some((helper, takes.clone(), gives.clone()));
        let itself = callee.clone().filter(|_| bytes.below(2) == 0);
        let size = 2 + bytes.below(8);
        let one = [gives];
        let f = function(
            bytes,
            &mut m,
            &takes,
            &one,
            buffers.clone(),
            itself,
            Form { size, lanes: false },
        );
        m.define(helper, f);
        let shapes = vec![vec![Ty::F64], vec![TYPES[bytes.below(4)], Ty::I64]];
        let size = 4 + bytes.below(40);
        let f =
            function(bytes, &mut m, &params, &shapes, buffers, callee, Form { size, lanes: false });
        m.define(entry, f);
        m.finish()
    };
    let kernel = Kernel::compile(module, &Options::default()).map_err(|e| e.to_string())?;
    if !kernel.is_native() {
        return Err(format!("not native: {:?}\n{:#?}", kernel.backend_error(), kernel.module()));
    }
    let memory = memory(&elems, bytes);
    let entry = kernel.module().entry();
    for _ in 0..3 {
        let mut args: Vec<u64> =
            entry.regs[..entry.params as usize].iter().map(|ty| bytes.value(*ty)).collect();
        if each {
            args[0] = bytes.below(3) as u64;
            args[1] = (ELEMENTS - bytes.below(2)) as u64;
        }
        let native = trace(&kernel, &args, &memory, &elems, false);
        let spec = trace(&kernel, &args, &memory, &elems, true);
        // A mark is for the host of a call that left.
        let same_mark = native.mark == spec.mark || matches!(spec.outcome, Outcome::Returned(_));
        let native = Trace { mark: spec.mark, ..native };
        if native != spec || !same_mark {
            return Err(format!(
                "args {args:x?}\nnative {native:#?}\ninterpreter {spec:#?}\n{:#?}",
                kernel.module()
            ));
        }
    }
    Ok(kernel.lanes())
}
