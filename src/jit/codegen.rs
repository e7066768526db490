//! IR to machine code, by Cranelift. Nothing here runs the code.
//!
//! Every address in the code is one of the closed table: libm (`imports.rs`), the helpers of `kernel.rs`, and the
//! module's own functions by a table that the call brings along. So the code has no relocations and no symbols.
//!
//! Conventions: the entry is `fn(*mut Native) -> i64`: arguments and results go through memory. Functions that are called
//! from the code itself are `fn(*mut Native, args...) -> (i64 status, i64 bits)`. A status from 0 up is a shape; below, it
//! is `-1 - exit`, and every caller returns it at once.

use super::error::{JitError, Result};
use super::ir::{BufId, Elem, ExitId, Fit, Func, FuncId, Inst, Module, Op, Reg, Term, Ty};
use super::kernel::{Helper, NativeLayout};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    self as clif, AbiParam, BlockArg, InstBuilder, MemFlagsData, SigRef, Signature, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, control::ControlPlane};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use std::sync::OnceLock;

/// Machine code of a module: position-independent bytes.
pub(super) struct Machine {
    /// The bytes of all functions.
    pub(super) bytes: Vec<u8>,
    /// Where the entry starts.
    pub(super) entry: usize,
    /// Where the callable version of each function starts; `None` if nobody calls it.
    pub(super) functions: Vec<Option<usize>>,
}

fn isa() -> Result<&'static OwnedTargetIsa> {
    static ISA: OnceLock<std::result::Result<OwnedTargetIsa, String>> = OnceLock::new();
    ISA.get_or_init(|| {
        let mut flags = settings::builder();
        let set = [
            ("opt_level", "speed"),
            ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
            ("unwind_info", "false"),
            ("regalloc_checker", "false"),
        ];
        for (name, value) in set {
            flags.set(name, value).map_err(|e| e.to_string())?;
        }
        let builder = cranelift_native::builder().map_err(str::to_owned)?;
        builder.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
    })
    .as_ref()
    .map_err(|e| JitError::backend(format!("no code generator for this machine: {e}")))
}

/// Compiles a checked module.
///
/// # Errors
/// `Backend` if this machine has no backend, or the backend refuses.
pub(super) fn generate(module: &Module) -> Result<Machine> {
    let isa = isa()?;
    let mut called = vec![false; module.funcs.len()];
    for block in module.funcs.iter().flat_map(|f| &f.blocks) {
        if let Some(Term::Call { func, .. }) = &block.term {
            called[func.at()] = true;
        }
    }
    let mut machine =
        Machine { bytes: Vec::new(), entry: 0, functions: vec![None; module.funcs.len()] };
    let mut shared = FunctionBuilderContext::new();
    emit(module, isa, FuncId(0), true, &mut shared, &mut machine)?;
    for (i, _) in called.iter().enumerate().filter(|(_, called)| **called) {
        let id = FuncId(u32::try_from(i).unwrap_or(u32::MAX));
        machine.functions[i] = Some(emit(module, isa, id, false, &mut shared, &mut machine)?);
    }
    Ok(machine)
}

/// Appends one function; answers where it starts.
fn emit(
    module: &Module,
    isa: &OwnedTargetIsa,
    id: FuncId,
    entry: bool,
    shared: &mut FunctionBuilderContext,
    machine: &mut Machine,
) -> Result<usize> {
    let func = &module.funcs[id.at()];
    let mut context = Context::new();
    context.func.signature = if entry {
        let mut sig = Signature::new(isa.default_call_conv());
        sig.params.push(AbiParam::new(types::I64));
        sig.returns.push(AbiParam::new(types::I64));
        sig
    } else {
        inner_signature(func)
    };
    let builder = FunctionBuilder::new(&mut context.func, shared);
    let host = isa.default_call_conv();
    Translator::new(module, func, entry, host, builder).run(isa);
    let code = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|e| JitError::backend(format!("the code generator failed: {:?}", e.inner)))?;
    if !code.buffer.relocs().is_empty() {
        return Err(JitError::backend("this machine lacks an instruction that the code needs"));
    }
    machine.bytes.resize(machine.bytes.len().next_multiple_of(64), 0);
    let start = machine.bytes.len();
    machine.bytes.extend_from_slice(code.buffer.data());
    Ok(start)
}

fn inner_signature(func: &Func) -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(types::I64));
    let params = &func.regs[..func.params as usize];
    sig.params.extend(params.iter().map(|ty| AbiParam::new(clif_type(*ty))));
    sig.returns.extend([AbiParam::new(types::I64), AbiParam::new(types::I64)]);
    sig
}

fn clif_type(ty: Ty) -> clif::Type {
    match ty {
        Ty::F64 => types::F64,
        Ty::I64 | Ty::List => types::I64,
        Ty::I32 => types::I32,
        Ty::Bool => types::I8,
    }
}

/// The call brings this memory along; it neither traps nor is it misaligned.
fn own() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The host's buffers: any alignment.
fn lent() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

struct Translator<'a> {
    module: &'a Module,
    func: &'a Func,
    entry: bool,
    host: CallConv,
    b: FunctionBuilder<'a>,
    vars: Vec<Variable>,
    blocks: Vec<clif::Block>,
    native: Value,
    buffers: Vec<Option<(Variable, Variable)>>,
    fuel: Option<Variable>,
    exits: Vec<Option<clif::Block>>,
    pending: Vec<(clif::Block, ExitId)>,
    statuses: Option<clif::Block>,
}

impl<'a> Translator<'a> {
    fn new(
        module: &'a Module,
        func: &'a Func,
        entry: bool,
        host: CallConv,
        mut b: FunctionBuilder<'a>,
    ) -> Self {
        let vars = func.regs.iter().map(|ty| b.declare_var(clif_type(*ty))).collect();
        let blocks = func.blocks.iter().map(|_| b.create_block()).collect();
        Self {
            module,
            func,
            entry,
            host,
            b,
            vars,
            blocks,
            native: Value::from_u32(0),
            buffers: vec![None; module.buffers.len()],
            fuel: None,
            exits: vec![None; module.exits.len()],
            pending: Vec::new(),
            statuses: None,
        }
    }

    fn run(mut self, isa: &OwnedTargetIsa) {
        self.prologue();
        for (i, block) in self.func.blocks.iter().enumerate() {
            self.b.switch_to_block(self.blocks[i]);
            for inst in &block.insts {
                self.inst(inst);
            }
            if let Some(term) = &block.term {
                self.term(term);
            }
        }
        while let Some((block, exit)) = self.pending.pop() {
            self.b.switch_to_block(block);
            for (i, reg) in self.module.exits[exit.at()].state.iter().enumerate() {
                let bits = self.bits_of(*reg);
                self.store_value(i, bits);
            }
            let status = self.b.ins().iconst(types::I64, -1 - i64::from(exit.0));
            self.leave(status);
        }
        if let Some(block) = self.statuses {
            self.b.switch_to_block(block);
            let status = self.b.block_params(block)[0];
            self.leave(status);
        }
        self.b.seal_all_blocks();
        self.b.finalize(isa.frontend_config());
    }

    fn prologue(&mut self) {
        let start = self.b.create_block();
        self.b.append_block_params_for_function_params(start);
        self.b.switch_to_block(start);
        self.native = self.b.block_params(start)[0];
        let params = &self.func.regs[..self.func.params as usize];
        if self.entry {
            let args = self.field(NativeLayout::ARGS);
            for (i, ty) in params.iter().enumerate() {
                let offset = i32::try_from(i * 8).unwrap_or(i32::MAX);
                let value = self.b.ins().load(clif_type(*ty), own(), args, offset);
                self.b.def_var(self.vars[i], value);
            }
        } else {
            for i in 0..params.len() {
                let value = self.b.block_params(start)[i + 1];
                self.b.def_var(self.vars[i], value);
            }
        }
        let insts = || self.func.blocks.iter().flat_map(|b| &b.insts);
        let mut used = vec![false; self.module.buffers.len()];
        let mut polls = false;
        for inst in insts() {
            match inst {
                Inst::Load { buf, .. } | Inst::Store { buf, .. } | Inst::Len { buf, .. } => {
                    used[buf.at()] = true;
                }
                Inst::Poll { .. } => polls = true,
                _ => {}
            }
        }
        for (i, _) in used.iter().enumerate().filter(|(_, used)| **used) {
            let table = self.field(NativeLayout::BUFFERS);
            let at = i32::try_from(i * NativeLayout::BUFFER_SIZE).unwrap_or(i32::MAX);
            let [ptr, len] = [0, 8].map(|o| {
                let value = self.b.ins().load(types::I64, own(), table, at + o);
                let var = self.b.declare_var(types::I64);
                self.b.def_var(var, value);
                var
            });
            self.buffers[i] = Some((ptr, len));
        }
        if polls {
            let fuel = self.b.declare_var(types::I64);
            let value = self.field(NativeLayout::FUEL);
            self.b.def_var(fuel, value);
            self.fuel = Some(fuel);
        }
        self.b.ins().jump(self.blocks[0], &[]);
    }

    // --- small things ------------------------------------------------------------------------------

    fn field(&mut self, offset: i32) -> Value {
        self.b.ins().load(types::I64, own(), self.native, offset)
    }

    fn set_field(&mut self, offset: i32, value: Value) {
        self.b.ins().store(own(), value, self.native, offset);
    }

    fn get(&mut self, reg: Reg) -> Value {
        self.b.use_var(self.vars[reg.at()])
    }

    fn set(&mut self, reg: Reg, value: Value) {
        self.b.def_var(self.vars[reg.at()], value);
    }

    fn ty(&self, reg: Reg) -> Ty {
        self.func.regs[reg.at()]
    }

    /// A register as 64 bits.
    fn bits_of(&mut self, reg: Reg) -> Value {
        let value = self.get(reg);
        match self.ty(reg) {
            Ty::F64 => self.b.ins().bitcast(types::I64, MemFlagsData::new(), value),
            Ty::I64 | Ty::List => value,
            Ty::I32 | Ty::Bool => self.b.ins().uextend(types::I64, value),
        }
    }

    fn of_bits(&mut self, ty: Ty, bits: Value) -> Value {
        match ty {
            Ty::F64 => self.b.ins().bitcast(types::F64, MemFlagsData::new(), bits),
            Ty::I64 | Ty::List => bits,
            Ty::I32 | Ty::Bool => self.b.ins().ireduce(clif_type(ty), bits),
        }
    }

    fn store_value(&mut self, index: usize, bits: Value) {
        let values = self.field(NativeLayout::VALUES);
        let offset = i32::try_from(index * 8).unwrap_or(i32::MAX);
        self.b.ins().store(own(), bits, values, offset);
    }

    /// Returns a status from 0 up, with the fuel written back.
    fn finish(&mut self, status: Value, bits: Value) {
        self.write_fuel();
        if self.entry {
            self.b.ins().return_(&[status]);
        } else {
            self.b.ins().return_(&[status, bits]);
        }
    }

    fn leave(&mut self, status: Value) {
        if self.entry {
            self.b.ins().return_(&[status]);
        } else {
            self.b.ins().return_(&[status, status]);
        }
    }

    fn write_fuel(&mut self) {
        if let Some(fuel) = self.fuel {
            let value = self.b.use_var(fuel);
            self.set_field(NativeLayout::FUEL, value);
        }
    }

    fn read_fuel(&mut self) {
        if let Some(fuel) = self.fuel {
            let value = self.field(NativeLayout::FUEL);
            self.b.def_var(fuel, value);
        }
    }

    /// The cold block of an exit: shared where there is no state, since what is live differs from place to place.
    fn exit_block(&mut self, exit: ExitId) -> clif::Block {
        let stateless = self.module.exits[exit.at()].state.is_empty();
        if let Some(block) = self.exits[exit.at()].filter(|_| stateless) {
            return block;
        }
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        self.exits[exit.at()] = Some(block);
        self.pending.push((block, exit));
        block
    }

    /// Leaves if `cond` (an I8) is not 0.
    fn exit_if(&mut self, cond: Value, exit: ExitId) {
        let out = self.exit_block(exit);
        let on = self.b.create_block();
        self.b.ins().brif(cond, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    fn exit_unless(&mut self, cond: Value, exit: ExitId) {
        let out = self.exit_block(exit);
        let on = self.b.create_block();
        self.b.ins().brif(cond, on, &[], out, &[]);
        self.b.switch_to_block(on);
    }

    fn signature(&mut self, params: &[clif::Type], result: clif::Type) -> SigRef {
        let mut sig = Signature::new(self.host);
        sig.params.extend(params.iter().map(|ty| AbiParam::new(*ty)));
        sig.returns.push(AbiParam::new(result));
        self.b.import_signature(sig)
    }

    fn call_address(
        &mut self,
        address: usize,
        params: &[clif::Type],
        result: clif::Type,
        args: &[Value],
    ) -> Value {
        let sig = self.signature(params, result);
        let target = self.b.ins().iconst(types::I64, address.cast_signed() as i64);
        let call = self.b.ins().call_indirect(sig, target, args);
        self.b.inst_results(call)[0]
    }

    fn helper(&mut self, helper: Helper, args: &[Value]) -> Value {
        let params: Vec<clif::Type> = args.iter().map(|v| self.b.func.dfg.value_type(*v)).collect();
        let result = match helper {
            Helper::ModF64 | Helper::FloorDivF64 | Helper::PowF64 | Helper::RemF64 => types::F64,
            Helper::ToInt32 => types::I32,
            _ => types::I64,
        };
        self.call_address(helper.address(), &params, result, args)
    }

    /// A helper that answers whether it left a result in `scratch`.
    fn helper_or_exit(&mut self, helper: Helper, args: &[Value], exit: ExitId) -> Value {
        let mut all = vec![self.native];
        all.extend_from_slice(args);
        let ok = self.helper(helper, &all);
        self.exit_unless(ok, exit);
        self.field(NativeLayout::SCRATCH)
    }

    // --- instructions ------------------------------------------------------------------------------

    fn inst(&mut self, inst: &Inst) {
        match *inst {
            Inst::Const { dst, bits } => {
                let value = match self.ty(dst) {
                    Ty::F64 => self.b.ins().f64const(f64::from_bits(bits)),
                    Ty::I64 | Ty::List => self.b.ins().iconst(types::I64, bits.cast_signed()),
                    Ty::I32 => self.b.ins().iconst(types::I32, i64::from(bits as u32)),
                    Ty::Bool => self.b.ins().iconst(types::I8, i64::from(bits != 0)),
                };
                self.set(dst, value);
            }
            Inst::Copy { dst, src } => {
                let value = self.get(src);
                self.set(dst, value);
            }
            Inst::Op { op, dst, args, exit } => {
                let operands: Vec<Value> =
                    args[..op.args().len()].iter().map(|r| self.get(*r)).collect();
                let value = match exit {
                    Some(exit) => self.checked(op, &operands, exit),
                    None => self.plain(op, &operands),
                };
                self.set(dst, value);
            }
            Inst::Import { import, dst, args } => {
                let args: Vec<Value> =
                    args[..import.arity()].iter().map(|r| self.get(*r)).collect();
                let params = vec![types::F64; args.len()];
                let value = self.call_address(import.address(), &params, types::F64, &args);
                self.set(dst, value);
            }
            Inst::Load { dst, buf, index, exit } => {
                let elem = self.module.buffers[buf.at()].elem;
                let address = self.element(buf, index, exit);
                let value = self.load(elem, address, Some(exit));
                self.set(dst, value);
            }
            Inst::Store { buf, index, src, fit, exit } => self.store(buf, index, src, fit, exit),
            Inst::Len { dst, buf } => {
                let len = self.buffer(buf).1;
                self.set(dst, len);
            }
            Inst::Guard { cond, expect, exit } => {
                let cond = self.get(cond);
                if expect {
                    self.exit_unless(cond, exit);
                } else {
                    self.exit_if(cond, exit);
                }
            }
            Inst::Poll { exit } => self.poll(exit),
            Inst::Mark { src } => {
                let value = self.get(src);
                self.set_field(NativeLayout::MARK, value);
            }
            _ => self.list(inst),
        }
    }

    fn list(&mut self, inst: &Inst) {
        match *inst {
            Inst::ListNew { dst, exit } => {
                let value = self.helper_or_exit(Helper::ListNew, &[], exit);
                self.set(dst, value);
            }
            Inst::ListPush { list, src, tag, exit } => {
                let (list, src) = (self.get(list), self.bits_of(src));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                self.helper_or_exit(Helper::ListPush, &[list, src, tag], exit);
            }
            Inst::ListLen { dst, list } => {
                let list = self.get(list);
                let len = self.helper(Helper::ListLen, &[self.native, list]);
                self.set(dst, len);
            }
            Inst::ListGet { dst, list, index, tag, exit } => {
                let (list, index) = (self.get(list), self.get(index));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                let bits = self.helper_or_exit(Helper::ListGet, &[list, index, tag], exit);
                let value = self.of_bits(self.ty(dst), bits);
                self.set(dst, value);
            }
            Inst::ListSet { list, index, src, tag, exit } => {
                let (list, index, src) = (self.get(list), self.get(index), self.bits_of(src));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                self.helper_or_exit(Helper::ListSet, &[list, index, src, tag], exit);
            }
            _ => unreachable!("the other instructions are handled in `inst`"),
        }
    }

    fn buffer(&mut self, buf: BufId) -> (Value, Value) {
        let (ptr, len) = self.buffers[buf.at()].expect("the prologue loads each used buffer");
        (self.b.use_var(ptr), self.b.use_var(len))
    }

    /// The address of an element; leaves if there is none. One unsigned compare covers both ends.
    fn element(&mut self, buf: BufId, index: Reg, exit: ExitId) -> Value {
        let (ptr, len) = self.buffer(buf);
        let index = self.get(index);
        let out = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        self.exit_if(out, exit);
        let shift = self.module.buffers[buf.at()].elem.size().trailing_zeros();
        let offset = self.b.ins().ishl_imm_s(index, i64::from(shift));
        self.b.ins().iadd(ptr, offset)
    }

    fn load(&mut self, elem: Elem, address: Value, exit: Option<ExitId>) -> Value {
        let f = lent();
        match elem {
            Elem::F64 => self.b.ins().load(types::F64, f, address, 0),
            Elem::F32 => {
                let value = self.b.ins().load(types::F32, f, address, 0);
                self.b.ins().fpromote(types::F64, value)
            }
            Elem::I64 => self.b.ins().load(types::I64, f, address, 0),
            Elem::U64 => {
                let value = self.b.ins().load(types::I64, f, address, 0);
                if let Some(exit) = exit {
                    let large = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, value, 0);
                    self.exit_if(large, exit);
                }
                value
            }
            Elem::I32 => self.b.ins().sload32(f, address, 0),
            Elem::U32 => self.b.ins().uload32(f, address, 0),
            Elem::I16 => self.b.ins().sload16(types::I64, f, address, 0),
            Elem::U16 => self.b.ins().uload16(types::I64, f, address, 0),
            Elem::I8 => self.b.ins().sload8(types::I64, f, address, 0),
            Elem::U8 => self.b.ins().uload8(types::I64, f, address, 0),
            Elem::Bool => {
                let value = self.b.ins().load(types::I8, f, address, 0);
                self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0)
            }
        }
    }

    fn store(&mut self, buf: BufId, index: Reg, src: Reg, fit: Fit, exit: ExitId) {
        let elem = self.module.buffers[buf.at()].elem;
        let value = self.get(src);
        if let (Fit::Leave, Some((low, high))) = (fit, elem.range())
            && elem != Elem::I64
        {
            let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, value, low);
            let above = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, value, high);
            let out = self.b.ins().bor(below, above);
            self.exit_if(out, exit);
        }
        let address = self.element(buf, index, exit);
        let f = lent();
        match elem {
            Elem::F64 | Elem::I64 | Elem::U64 | Elem::Bool => {
                self.b.ins().store(f, value, address, 0);
            }
            Elem::F32 => {
                let value = self.b.ins().fdemote(types::F32, value);
                self.b.ins().store(f, value, address, 0);
            }
            Elem::I32 | Elem::U32 => {
                self.b.ins().istore32(f, value, address, 0);
            }
            Elem::I16 | Elem::U16 => {
                self.b.ins().istore16(f, value, address, 0);
            }
            Elem::I8 | Elem::U8 => {
                self.b.ins().istore8(f, value, address, 0);
            }
        }
    }

    fn poll(&mut self, exit: ExitId) {
        let Some(fuel) = self.fuel else { return };
        let value = self.b.use_var(fuel);
        let left = self.b.ins().iadd_imm_s(value, -1);
        self.b.def_var(fuel, left);
        let empty = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, left, 0);
        let (ask, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(ask);
        self.b.ins().brif(empty, ask, &[], on, &[]);
        self.b.switch_to_block(ask);
        let go = self.helper(Helper::Poll, &[self.native]);
        let out = self.exit_block(exit);
        let again = self.b.create_block();
        self.b.ins().brif(go, again, &[], out, &[]);
        self.b.switch_to_block(again);
        self.read_fuel();
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    /// Operations that always have an answer.
    fn plain(&mut self, op: Op, v: &[Value]) -> Value {
        let fcmp = |s: &mut Self, cc| s.b.ins().fcmp(cc, v[0], v[1]);
        let icmp = |s: &mut Self, cc| s.b.ins().icmp(cc, v[0], v[1]);
        match op {
            Op::F64Add => self.b.ins().fadd(v[0], v[1]),
            Op::F64Sub => self.b.ins().fsub(v[0], v[1]),
            Op::F64Mul => self.b.ins().fmul(v[0], v[1]),
            Op::F64Div => self.b.ins().fdiv(v[0], v[1]),
            Op::F64Neg => self.b.ins().fneg(v[0]),
            Op::F64Abs => self.b.ins().fabs(v[0]),
            Op::F64Sqrt => self.b.ins().sqrt(v[0]),
            Op::F64Floor => self.b.ins().floor(v[0]),
            Op::F64Ceil => self.b.ins().ceil(v[0]),
            Op::F64Trunc => self.b.ins().trunc(v[0]),
            Op::F64Nearest => self.b.ins().nearest(v[0]),
            Op::F64Copysign => self.b.ins().fcopysign(v[0], v[1]),
            Op::F64Rem => self.helper(Helper::RemF64, v),
            Op::F64Eq => fcmp(self, FloatCC::Equal),
            Op::F64Ne => fcmp(self, FloatCC::NotEqual),
            Op::F64Lt => fcmp(self, FloatCC::LessThan),
            Op::F64Le => fcmp(self, FloatCC::LessThanOrEqual),
            Op::F64Gt => fcmp(self, FloatCC::GreaterThan),
            Op::F64Ge => fcmp(self, FloatCC::GreaterThanOrEqual),
            Op::F64IsFinite => self.is_finite(v[0]),
            Op::F64FromI64 => self.b.ins().fcvt_from_sint(types::F64, v[0]),
            Op::F64FromI32 => self.b.ins().fcvt_from_sint(types::F64, v[0]),
            Op::F64FromU32 => {
                let wide = self.b.ins().uextend(types::I64, v[0]);
                self.b.ins().fcvt_from_sint(types::F64, wide)
            }
            Op::F64Fround => {
                let single = self.b.ins().fdemote(types::F32, v[0]);
                self.b.ins().fpromote(types::F64, single)
            }
            Op::I64Eq => icmp(self, IntCC::Equal),
            Op::I64Ne => icmp(self, IntCC::NotEqual),
            Op::I64Lt => icmp(self, IntCC::SignedLessThan),
            Op::I64Le => icmp(self, IntCC::SignedLessThanOrEqual),
            Op::I64Gt => icmp(self, IntCC::SignedGreaterThan),
            Op::I64Ge => icmp(self, IntCC::SignedGreaterThanOrEqual),
            Op::I64AddWrap => self.b.ins().iadd(v[0], v[1]),
            Op::I64SubWrap => self.b.ins().isub(v[0], v[1]),
            Op::I64And | Op::BoolAnd | Op::JsBitAnd => self.b.ins().band(v[0], v[1]),
            Op::I64Or | Op::BoolOr | Op::JsBitOr => self.b.ins().bor(v[0], v[1]),
            Op::I64Xor | Op::BoolXor | Op::JsBitXor => self.b.ins().bxor(v[0], v[1]),
            Op::I64Not | Op::JsBitNot => self.b.ins().bnot(v[0]),
            Op::I64FromBool => self.b.ins().uextend(types::I64, v[0]),
            Op::I64FromI32 => self.b.ins().sextend(types::I64, v[0]),
            Op::I32FromI64 => self.b.ins().ireduce(types::I32, v[0]),
            Op::BoolNot => self.b.ins().bxor_imm_s(v[0], 1),
            Op::F64Select | Op::I64Select => self.b.ins().select(v[0], v[1], v[2]),
            Op::PyWrapIndex => {
                let from_end = self.b.ins().iadd(v[0], v[1]);
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, v[0], 0);
                self.b.ins().select(negative, from_end, v[0])
            }
            Op::JsToInt32 => self.int32(v[0]),
            Op::JsToBool => {
                // Ordered and not equal: neither NaN nor a zero.
                let zero = self.b.ins().f64const(0.0);
                self.b.ins().fcmp(FloatCC::OrderedNotEqual, v[0], zero)
            }
            Op::JsShl | Op::JsShr | Op::JsUshr => {
                let by = self.b.ins().band_imm_s(v[1], 31);
                match op {
                    Op::JsShl => self.b.ins().ishl(v[0], by),
                    Op::JsShr => self.b.ins().sshr(v[0], by),
                    _ => self.b.ins().ushr(v[0], by),
                }
            }
            Op::JsImul => self.b.ins().imul(v[0], v[1]),
            Op::JsClz32 => self.b.ins().clz(v[0]),
            Op::JsRound => {
                let floor = self.b.ins().floor(v[0]);
                let fraction = self.b.ins().fsub(v[0], floor);
                let half = self.b.ins().f64const(0.5);
                let up = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, fraction, half);
                let one = self.b.ins().f64const(1.0);
                let next = self.b.ins().fadd(floor, one);
                let rounded = self.b.ins().select(up, next, floor);
                self.b.ins().fcopysign(rounded, v[0])
            }
            Op::JsMin => self.b.ins().fmin(v[0], v[1]),
            Op::JsMax => self.b.ins().fmax(v[0], v[1]),
            Op::JsSign => {
                let zero = self.b.ins().f64const(0.0);
                let sized = self.b.ins().fcmp(FloatCC::OrderedNotEqual, v[0], zero);
                let one = self.b.ins().f64const(1.0);
                let unit = self.b.ins().fcopysign(one, v[0]);
                self.b.ins().select(sized, unit, v[0])
            }
            _ => unreachable!("checked: {} may exit", op.name()),
        }
    }

    fn is_finite(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let infinity = self.b.ins().f64const(f64::INFINITY);
        self.b.ins().fcmp(FloatCC::LessThan, size, infinity)
    }

    fn int32(&mut self, x: Value) -> Value {
        let (fast, slow, done) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.append_block_param(done, types::I32);
        self.b.set_cold_block(slow);
        let size = self.b.ins().fabs(x);
        let limit = self.b.ins().f64const(9_223_372_036_854_775_808.0);
        let fits = self.b.ins().fcmp(FloatCC::LessThan, size, limit);
        self.b.ins().brif(fits, fast, &[], slow, &[]);
        self.b.switch_to_block(fast);
        let wide = self.b.ins().fcvt_to_sint_sat(types::I64, x);
        let low = self.b.ins().ireduce(types::I32, wide);
        self.b.ins().jump(done, &[BlockArg::from(low)]);
        self.b.switch_to_block(slow);
        let low = self.helper(Helper::ToInt32, &[x]);
        self.b.ins().jump(done, &[BlockArg::from(low)]);
        self.b.switch_to_block(done);
        self.b.block_params(done)[0]
    }

    /// Operations that leave where they have no answer.
    fn checked(&mut self, op: Op, v: &[Value], exit: ExitId) -> Value {
        match op {
            Op::PyAddI64 | Op::PySubI64 | Op::PyMulI64 => {
                let (result, overflow) = match op {
                    Op::PyAddI64 => self.b.ins().sadd_overflow(v[0], v[1]),
                    Op::PySubI64 => self.b.ins().ssub_overflow(v[0], v[1]),
                    _ => self.b.ins().smul_overflow(v[0], v[1]),
                };
                self.exit_if(overflow, exit);
                result
            }
            Op::PyNegI64 | Op::PyAbsI64 => {
                let lowest = self.b.ins().icmp_imm_s(IntCC::Equal, v[0], i64::MIN);
                self.exit_if(lowest, exit);
                if op == Op::PyNegI64 { self.b.ins().ineg(v[0]) } else { self.b.ins().iabs(v[0]) }
            }
            Op::PyFloorDivI64 => {
                let (quotient, rest) = self.divide(v, exit, true);
                let off = self.signs_differ(rest, v[1]);
                let off = self.b.ins().uextend(types::I64, off);
                self.b.ins().isub(quotient, off)
            }
            Op::PyModI64 => {
                let (_, rest) = self.divide(v, exit, false);
                let off = self.signs_differ(rest, v[1]);
                let other = self.b.ins().iadd(rest, v[1]);
                self.b.ins().select(off, other, rest)
            }
            Op::PyTrueDivI64 => {
                let zero = self.b.ins().icmp_imm_s(IntCC::Equal, v[1], 0);
                self.exit_if(zero, exit);
                let a = self.exact(v[0], exit);
                let b = self.exact(v[1], exit);
                self.b.ins().fdiv(a, b)
            }
            Op::PyPowI64 => self.helper_or_exit(Helper::PowI64, v, exit),
            Op::PyRangeLen => self.helper_or_exit(Helper::RangeLen, v, exit),
            Op::PyShlI64 => {
                let out = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, v[1], 63);
                self.exit_if(out, exit);
                let shifted = self.b.ins().ishl(v[0], v[1]);
                let back = self.b.ins().sshr(shifted, v[1]);
                let same = self.b.ins().icmp(IntCC::Equal, back, v[0]);
                self.exit_unless(same, exit);
                shifted
            }
            Op::PyShrI64 => {
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, v[1], 0);
                self.exit_if(negative, exit);
                let most = self.b.ins().iconst(types::I64, 63);
                let by = self.b.ins().umin(v[1], most);
                self.b.ins().sshr(v[0], by)
            }
            Op::PyTrueDivF64 => {
                self.nonzero(v[1], exit);
                self.b.ins().fdiv(v[0], v[1])
            }
            Op::PyFloorDivF64 => {
                self.nonzero(v[1], exit);
                self.helper(Helper::FloorDivF64, v)
            }
            Op::PyModF64 => {
                self.nonzero(v[1], exit);
                self.helper(Helper::ModF64, v)
            }
            Op::PyPowF64 => {
                let power = self.helper(Helper::PowF64, v);
                let bits = self.b.ins().bitcast(types::I64, MemFlagsData::new(), power);
                let none = self.b.ins().icmp_imm_s(IntCC::Equal, bits, Helper::NONE.cast_signed());
                self.exit_if(none, exit);
                power
            }
            Op::PyTruncI64 | Op::PyFloorI64 | Op::PyCeilI64 | Op::PyRoundI64 => {
                let whole = match op {
                    Op::PyFloorI64 => self.b.ins().floor(v[0]),
                    Op::PyCeilI64 => self.b.ins().ceil(v[0]),
                    Op::PyRoundI64 => self.b.ins().nearest(v[0]),
                    _ => self.b.ins().trunc(v[0]),
                };
                let low = self.b.ins().f64const(-9_223_372_036_854_775_808.0);
                let high = self.b.ins().f64const(9_223_372_036_854_775_808.0);
                let above = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, whole, low);
                let below = self.b.ins().fcmp(FloatCC::LessThan, whole, high);
                let fits = self.b.ins().band(above, below);
                self.exit_unless(fits, exit);
                self.b.ins().fcvt_to_sint_sat(types::I64, whole)
            }
            Op::PyExactF64 => self.exact(v[0], exit),
            Op::PyMathCheck | Op::PyMathCheck2 => {
                self.math_check(v[0], &v[1..], exit);
                v[0]
            }
            Op::JsIndex => {
                let zero = self.b.ins().f64const(0.0);
                let limit = self.b.ins().f64const(9_007_199_254_740_992.0);
                let above = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, v[0], zero);
                let below = self.b.ins().fcmp(FloatCC::LessThan, v[0], limit);
                let whole = self.b.ins().trunc(v[0]);
                let same = self.b.ins().fcmp(FloatCC::Equal, whole, v[0]);
                let inside = self.b.ins().band(above, below);
                let fits = self.b.ins().band(inside, same);
                self.exit_unless(fits, exit);
                self.b.ins().fcvt_to_sint_sat(types::I64, v[0])
            }
            _ => unreachable!("checked: {} never exits", op.name()),
        }
    }

    fn nonzero(&mut self, x: Value, exit: ExitId) {
        let zero = self.b.ins().f64const(0.0);
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, x, zero);
        self.exit_if(is_zero, exit);
    }

    /// Quotient and remainder, truncated. The lowest integer by -1 traps in hardware: a quotient leaves there, a remainder
    /// is made from a divisor of 1 (it is 0 either way).
    fn divide(&mut self, v: &[Value], exit: ExitId, quotient: bool) -> (Value, Value) {
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, v[1], 0);
        self.exit_if(zero, exit);
        let minus = self.b.ins().icmp_imm_s(IntCC::Equal, v[1], -1);
        let divisor = if quotient {
            let lowest = self.b.ins().icmp_imm_s(IntCC::Equal, v[0], i64::MIN);
            let out = self.b.ins().band(minus, lowest);
            self.exit_if(out, exit);
            v[1]
        } else {
            let one = self.b.ins().iconst(types::I64, 1);
            self.b.ins().select(minus, one, v[1])
        };
        let quotient = self.b.ins().sdiv(v[0], divisor);
        let product = self.b.ins().imul(quotient, divisor);
        let rest = self.b.ins().isub(v[0], product);
        (quotient, rest)
    }

    /// Whether a remainder is not 0 and has another sign than the divisor.
    fn signs_differ(&mut self, rest: Value, divisor: Value) -> Value {
        let mixed = self.b.ins().bxor(rest, divisor);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, mixed, 0);
        let some = self.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        self.b.ins().band(differ, some)
    }

    fn exact(&mut self, a: Value, exit: ExitId) -> Value {
        let moved = self.b.ins().iadd_imm_s(a, 1 << 53);
        let out = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, moved, 1 << 54);
        self.exit_if(out, exit);
        self.b.ins().fcvt_from_sint(types::F64, a)
    }

    fn math_check(&mut self, result: Value, args: &[Value], exit: ExitId) {
        let (look, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(look);
        let finite = self.is_finite(result);
        self.b.ins().brif(finite, on, &[], look, &[]);
        self.b.switch_to_block(look);
        let mut any_nan = self.b.ins().iconst(types::I8, 0);
        let mut all_finite = self.b.ins().iconst(types::I8, 1);
        for arg in args {
            let nan = self.b.ins().fcmp(FloatCC::Unordered, *arg, *arg);
            any_nan = self.b.ins().bor(any_nan, nan);
            let finite = self.is_finite(*arg);
            all_finite = self.b.ins().band(all_finite, finite);
        }
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, result, result);
        let clean = self.b.ins().bxor_imm_s(any_nan, 1);
        let bad_nan = self.b.ins().band(is_nan, clean);
        let infinite = self.b.ins().bxor_imm_s(is_nan, 1);
        let bad_infinity = self.b.ins().band(infinite, all_finite);
        let bad = self.b.ins().bor(bad_nan, bad_infinity);
        let out = self.exit_block(exit);
        self.b.ins().brif(bad, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    // --- ends of blocks ----------------------------------------------------------------------------

    fn term(&mut self, term: &Term) {
        match term {
            Term::Jump(to) => {
                self.b.ins().jump(self.blocks[to.at()], &[]);
            }
            Term::Branch { cond, then, otherwise } => {
                let cond = self.get(*cond);
                let (then, otherwise) = (self.blocks[then.at()], self.blocks[otherwise.at()]);
                self.b.ins().brif(cond, then, &[], otherwise, &[]);
            }
            Term::Exit(exit) => {
                let out = self.exit_block(*exit);
                self.b.ins().jump(out, &[]);
            }
            Term::Return { shape, values } => {
                let status = self.b.ins().iconst(types::I64, i64::from(*shape));
                let in_register = !self.entry && values.len() == 1;
                let mut bits = status;
                for (i, value) in values.iter().enumerate() {
                    bits = self.bits_of(*value);
                    if !in_register {
                        self.store_value(i, bits);
                    }
                }
                self.finish(status, bits);
            }
            Term::Call { func, args, shapes, depth } => self.call(*func, args, shapes, *depth),
        }
    }

    fn call(
        &mut self,
        func: FuncId,
        args: &[Reg],
        shapes: &[(Box<[Reg]>, super::ir::BlockId)],
        too_deep: ExitId,
    ) {
        let depth = self.field(NativeLayout::DEPTH);
        let out = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, depth, 0);
        self.exit_if(out, too_deep);
        let less = self.b.ins().iadd_imm_s(depth, -1);
        self.set_field(NativeLayout::DEPTH, less);
        self.write_fuel();

        let callee = &self.module.funcs[func.at()];
        let sig = self.b.import_signature(inner_signature(callee));
        let table = self.field(NativeLayout::FUNCTIONS);
        let at = i32::try_from(func.at() * 8).unwrap_or(i32::MAX);
        let target = self.b.ins().load(types::I64, own(), table, at);
        let mut values = vec![self.native];
        for arg in args {
            values.push(self.get(*arg));
        }
        let call = self.b.ins().call_indirect(sig, target, &values);
        let [status, bits] = [0, 1].map(|i| self.b.inst_results(call)[i]);
        self.set_field(NativeLayout::DEPTH, depth);
        self.read_fuel();

        let statuses = *self.statuses.get_or_insert_with(|| {
            let block = self.b.create_block();
            self.b.append_block_param(block, types::I64);
            self.b.set_cold_block(block);
            block
        });
        let returned = self.b.create_block();
        let left = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, status, 0);
        self.b.ins().brif(left, statuses, &[BlockArg::from(status)], returned, &[]);
        self.b.switch_to_block(returned);
        for (i, (regs, to)) in shapes.iter().enumerate() {
            if i + 1 < shapes.len() {
                let (this, other) = (self.b.create_block(), self.b.create_block());
                let is = self.b.ins().icmp_imm_s(IntCC::Equal, status, i as i64);
                self.b.ins().brif(is, this, &[], other, &[]);
                self.b.switch_to_block(this);
                self.take_results(regs, bits);
                self.b.ins().jump(self.blocks[to.at()], &[]);
                self.b.switch_to_block(other);
            } else {
                self.take_results(regs, bits);
                self.b.ins().jump(self.blocks[to.at()], &[]);
            }
        }
        if shapes.is_empty() {
            // It never returns: whatever it answers is an exit.
            self.b.ins().jump(statuses, &[BlockArg::from(status)]);
        }
    }

    fn take_results(&mut self, regs: &[Reg], bits: Value) {
        for (i, reg) in regs.iter().enumerate() {
            let bits = if regs.len() == 1 {
                bits
            } else {
                let values = self.field(NativeLayout::VALUES);
                let offset = i32::try_from(i * 8).unwrap_or(i32::MAX);
                self.b.ins().load(types::I64, own(), values, offset)
            };
            let value = self.of_bits(self.ty(*reg), bits);
            self.set(*reg, value);
        }
    }
}
