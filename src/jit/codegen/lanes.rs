//! Several elements at once: the loop of a map (`map.rs`), where every instruction of its body has a form for two lanes.
//!
//! ```text
//!  preheader -> turn: 8 elements left? -> compute -> any lane leaves? -> store, go on
//!                        | no                           | yes
//!                        v                              v
//!                     the scalar loop, from this very element: it leaves where it leaves
//! ```
//!
//! Lanes compute what the scalar instructions compute, bit by bit (IEEE operations, comparisons, exact conversions). Where
//! one of them would leave, nothing of its eight elements has been stored yet.

use super::super::ir::{BlockId, BufId, Elem, Fit, Func, Inst, Module, Op, Reg, Term, Ty};
use super::function::{Translator, constants};
use super::lent;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self as clif, Endianness, InstBuilder, MemFlagsData, Value, types};
use std::collections::{HashMap, HashSet};

/// Vectors of two that a turn computes: their latencies overlap.
const VECTORS: i64 = 4;
/// Elements of a turn.
const TURN: i64 = 2 * VECTORS;

/// A loop `while index < end { body; index += 1 }` whose body has a form for lanes.
pub(super) struct Each {
    pub(super) head: BlockId,
    pub(super) latch: BlockId,
    index: Reg,
    end: Reg,
    /// The instructions of the body, in order.
    body: Vec<Inst>,
    /// What the body reads and does not write.
    invariant: Vec<Reg>,
    buffers: Vec<BufId>,
}

/// The first such loop of a function.
pub(super) fn find(module: &Module, func: &Func) -> Option<Each> {
    (0..func.blocks.len()).find_map(|at| at_head(module, func, BlockId(u32::try_from(at).ok()?)))
}

fn at_head(module: &Module, func: &Func, head: BlockId) -> Option<Each> {
    let block = &func.blocks[head.at()];
    let ([Inst::Op { op: Op::I64Lt, dst, args, .. }], Some(Term::Branch { cond, then, .. })) =
        (&block.insts[..], &block.term)
    else {
        return None;
    };
    let [index, end, _] = *args;
    if cond != dst || index == end {
        return None;
    }
    let (mut chain, mut at) = (Vec::new(), *then);
    let latch = loop {
        if chain.contains(&at) || at == head {
            return None;
        }
        let block = &func.blocks[at.at()];
        let Some(Term::Jump(next)) = block.term else { return None };
        if next == head {
            break at;
        }
        chain.push(at);
        at = next;
    };
    let [Inst::Op { op: Op::I64AddWrap, dst, args: [from, one, _], .. }] =
        func.blocks[latch.at()].insts[..]
    else {
        return None;
    };
    if dst != index || from != index || constants(func)[one.at()] != Some(1) {
        return None;
    }
    let body: Vec<Inst> = chain.iter().flat_map(|b| &func.blocks[b.at()].insts).cloned().collect();
    let mut scan = Scan::new(module, func, index);
    body.iter().try_for_each(|inst| scan.inst(inst))?;
    scan.stored?;
    // What the body writes is nobody else's: the lanes do not leave it in the registers.
    let outside = |i: usize| i != head.at() && !chain.iter().any(|b| b.at() == i);
    let mut others = func.blocks.iter().enumerate().filter(|(i, _)| outside(*i));
    if others.any(|(_, block)| mentioned(block).iter().any(|r| scan.written.contains(r)))
        || scan.written.contains(&end)
    {
        return None;
    }
    let (invariant, buffers) = (scan.invariant, scan.buffers);
    Some(Each { head, latch, index, end, body, invariant, buffers })
}

/// Every register that a block names.
pub(super) fn mentioned(block: &super::super::ir::Block) -> HashSet<Reg> {
    let found = std::cell::RefCell::new(HashSet::new());
    let note = |r: Reg| {
        found.borrow_mut().insert(r);
        r
    };
    for inst in &block.insts {
        inst.clone().rename(&note, &mut |exit| exit);
    }
    match &block.term {
        Some(Term::Branch { cond, .. }) => _ = note(*cond),
        Some(Term::Return { values, .. }) => values.iter().for_each(|r| _ = note(*r)),
        Some(Term::Call { args, shapes, .. }) => {
            args.iter().chain(shapes.iter().flat_map(|(regs, _)| regs)).for_each(|r| _ = note(*r));
        }
        _ => {}
    }
    found.into_inner()
}

/// Looks whether each instruction of a body has a form for lanes.
struct Scan<'a> {
    module: &'a Module,
    func: &'a Func,
    index: Reg,
    written: HashSet<Reg>,
    invariant: Vec<Reg>,
    /// Integers that came from 32 bits.
    narrow: HashSet<Reg>,
    buffers: Vec<BufId>,
    stored: Option<BufId>,
}

impl<'a> Scan<'a> {
    fn new(module: &'a Module, func: &'a Func, index: Reg) -> Self {
        Self {
            module,
            func,
            index,
            written: HashSet::new(),
            invariant: Vec::new(),
            narrow: HashSet::new(),
            buffers: Vec::new(),
            stored: None,
        }
    }

    fn read(&mut self, reg: Reg) -> Option<()> {
        if !self.written.contains(&reg) && !self.invariant.contains(&reg) {
            (self.func.regs[reg.at()] == Ty::F64).then_some(())?;
            self.invariant.push(reg);
        }
        Some(())
    }

    fn write(&mut self, reg: Reg) -> Option<()> {
        // Read before: it is carried from one turn to the next.
        (reg != self.index && !self.invariant.contains(&reg)).then_some(())?;
        self.written.insert(reg);
        self.narrow.remove(&reg);
        Some(())
    }

    fn inst(&mut self, inst: &Inst) -> Option<()> {
        match *inst {
            Inst::Const { dst, .. } => {
                (self.func.regs[dst.at()] == Ty::F64).then_some(())?;
                self.write(dst)
            }
            Inst::Copy { dst, src } => {
                self.read(src)?;
                let narrow = self.narrow.contains(&src);
                self.write(dst)?;
                if narrow {
                    self.narrow.insert(dst);
                }
                Some(())
            }
            Inst::Load { dst, buf, index, .. } => {
                let elem = self.module.buffers[buf.at()].elem;
                let fits = matches!(elem, Elem::F64 | Elem::F32 | Elem::I32);
                (index == self.index && fits && self.stored.is_none()).then_some(())?;
                self.buffers.push(buf);
                self.write(dst)?;
                if elem == Elem::I32 {
                    self.narrow.insert(dst);
                }
                Some(())
            }
            Inst::Store { buf, index, src, fit, .. } => {
                let elem = self.module.buffers[buf.at()].elem;
                let fits = matches!((elem, fit), (Elem::F64 | Elem::F32, Fit::Wrap | Fit::Leave));
                let alone = !self.buffers.contains(&buf) && self.stored.is_none();
                (index == self.index && fits && alone).then_some(())?;
                self.buffers.push(buf);
                self.stored = Some(buf);
                self.read(src)
            }
            Inst::Guard { cond, .. } => self.read(cond),
            Inst::Mark { src } => (src == self.index).then_some(()),
            Inst::Op { op, dst, args, .. } => {
                has_lanes(op).then_some(())?;
                if op == Op::F64FromI64 {
                    self.narrow.contains(&args[0]).then_some(())?;
                }
                for arg in &args[..op.args().len()] {
                    self.read(*arg)?;
                }
                self.write(dst)
            }
            _ => None,
        }
    }
}

pub(super) fn has_lanes(op: Op) -> bool {
    matches!(
        op,
        Op::F64Add
            | Op::F64Sub
            | Op::F64Mul
            | Op::F64Div
            | Op::F64Neg
            | Op::F64Abs
            | Op::F64Sqrt
            | Op::F64Floor
            | Op::F64Ceil
            | Op::F64Trunc
            | Op::F64Nearest
            | Op::F64Copysign
            | Op::F64Eq
            | Op::F64Ne
            | Op::F64Lt
            | Op::F64Le
            | Op::F64Gt
            | Op::F64Ge
            | Op::F64IsFinite
            | Op::F64FromI64
            | Op::F64Fround
            | Op::F64Select
            | Op::BoolNot
            | Op::BoolAnd
            | Op::BoolOr
            | Op::BoolXor
            | Op::PyTrueDivF64
            | Op::PyMathCheck
            | Op::PyMathCheck2
            | Op::JsToBool
            | Op::JsRound
            | Op::JsMin
            | Op::JsMax
            | Op::JsSign
    )
}

/// The lanes of one turn.
struct Turn {
    lanes: HashMap<Reg, Value>,
    /// Lanes that leave.
    bad: Option<Value>,
    store: Option<(Value, BufId)>,
    /// Elements from the index on.
    offset: i64,
}

impl Translator<'_> {
    /// At the preheader: the loop of lanes, then the scalar loop at `scalar`.
    pub(super) fn lanes(&mut self, each: &Each, scalar: clif::Block) {
        let zero = self.b.ins().iconst(types::I64, 0);
        let mut limit = self.get(each.end);
        for buf in &each.buffers {
            let len = self.buffer(*buf).1;
            limit = self.b.ins().smin(limit, len);
        }
        limit = self.b.ins().smax(limit, zero);
        let invariant: HashMap<Reg, Value> = each
            .invariant
            .iter()
            .map(|reg| {
                let value = self.get(*reg);
                (*reg, self.b.ins().splat(types::F64X2, value))
            })
            .collect();
        let [head, body, store] = std::array::from_fn(|_| self.b.create_block());
        let index = self.get(each.index);
        let inside = self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, index, zero);
        self.b.ins().brif(inside, head, &[], scalar, &[]);

        self.b.switch_to_block(head);
        let index = self.get(each.index);
        let left = self.b.ins().isub(limit, index);
        let enough = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, left, TURN);
        self.b.ins().brif(enough, body, &[], scalar, &[]);

        self.b.switch_to_block(body);
        let mut stores = Vec::new();
        let mut bad = None;
        for vector in 0..VECTORS {
            let mut turn =
                Turn { lanes: invariant.clone(), bad: None, store: None, offset: 2 * vector };
            for inst in &each.body {
                self.lane_inst(inst, index, &mut turn);
            }
            stores.extend(turn.store);
            bad = match (bad, turn.bad) {
                (Some(a), Some(b)) => Some(self.b.ins().bor(a, b)),
                (a, b) => a.or(b),
            };
        }
        if let Some(bad) = bad {
            let any = self.b.ins().vany_true(bad);
            self.b.ins().brif(any, scalar, &[], store, &[]);
        } else {
            self.b.ins().jump(store, &[]);
        }

        self.b.switch_to_block(store);
        for (vector, (value, buf)) in stores.into_iter().enumerate() {
            let address = self.lane_address(buf, index);
            let elem = self.module.buffers[buf.at()].elem;
            let size = i32::try_from(elem.size() * 2 * vector).unwrap_or(i32::MAX);
            if elem == Elem::F64 {
                self.b.ins().store(lent(), value, address, size);
            } else {
                let single = self.b.ins().fvdemote(value);
                let pair = self.b.ins().bitcast(types::I64X2, little(), single);
                let low = self.b.ins().extractlane(pair, 0);
                self.b.ins().store(lent(), low, address, size);
            }
        }
        let next = self.b.ins().iadd_imm_s(index, TURN);
        self.set(each.index, next);
        self.b.ins().jump(head, &[]);
    }

    fn lane_address(&mut self, buf: BufId, index: Value) -> Value {
        let ptr = self.buffer(buf).0;
        let shift = self.module.buffers[buf.at()].elem.size().trailing_zeros();
        let offset = self.b.ins().ishl_imm_s(index, i64::from(shift));
        self.b.ins().iadd(ptr, offset)
    }

    fn lane_inst(&mut self, inst: &Inst, index: Value, turn: &mut Turn) {
        match *inst {
            Inst::Const { dst, bits } => {
                let value = self.b.ins().f64const(f64::from_bits(bits));
                let lanes = self.b.ins().splat(types::F64X2, value);
                turn.lanes.insert(dst, lanes);
            }
            Inst::Copy { dst, src } => {
                let value = turn.lanes[&src];
                turn.lanes.insert(dst, value);
            }
            Inst::Load { dst, buf, .. } => {
                let address = self.lane_address(buf, index);
                let elem = self.module.buffers[buf.at()].elem;
                let at = i32::try_from(elem.size() as i64 * turn.offset).unwrap_or(i32::MAX);
                let value = if elem == Elem::F64 {
                    self.b.ins().load(types::F64X2, lent(), address, at)
                } else {
                    let pair = self.b.ins().load(types::I64, lent(), address, at);
                    let pair = self.b.ins().scalar_to_vector(types::I64X2, pair);
                    if elem == Elem::F32 {
                        let singles = self.b.ins().bitcast(types::F32X4, little(), pair);
                        self.b.ins().fvpromote_low(singles)
                    } else {
                        let ints = self.b.ins().bitcast(types::I32X4, little(), pair);
                        self.b.ins().swiden_low(ints)
                    }
                };
                turn.lanes.insert(dst, value);
            }
            Inst::Store { buf, src, .. } => turn.store = Some((turn.lanes[&src], buf)),
            Inst::Guard { cond, expect, .. } => {
                let mask = turn.lanes[&cond];
                let mask = if expect { self.b.ins().bnot(mask) } else { mask };
                self.leaves(mask, turn);
            }
            Inst::Op { op, dst, args, .. } => {
                let args: Vec<Value> =
                    args[..op.args().len()].iter().map(|r| turn.lanes[r]).collect();
                let value = self.lane_op(op, &args, turn);
                turn.lanes.insert(dst, value);
            }
            _ => {} // a mark: the scalar loop makes it, and only that one leaves
        }
    }

    fn leaves(&mut self, mask: Value, turn: &mut Turn) {
        turn.bad = Some(match turn.bad {
            Some(bad) => self.b.ins().bor(bad, mask),
            None => mask,
        });
    }

    fn lane_op(&mut self, op: Op, v: &[Value], turn: &mut Turn) -> Value {
        match op {
            Op::F64Eq => self.b.ins().fcmp(FloatCC::Equal, v[0], v[1]),
            Op::F64Ne => self.b.ins().fcmp(FloatCC::NotEqual, v[0], v[1]),
            Op::F64Lt => self.b.ins().fcmp(FloatCC::LessThan, v[0], v[1]),
            Op::F64Le => self.b.ins().fcmp(FloatCC::LessThanOrEqual, v[0], v[1]),
            Op::F64Gt => self.b.ins().fcmp(FloatCC::GreaterThan, v[0], v[1]),
            Op::F64Ge => self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, v[0], v[1]),
            Op::F64IsFinite => self.lane_finite(v[0]),
            Op::F64FromI64 => self.b.ins().fcvt_from_sint(types::F64X2, v[0]),
            Op::F64Fround => {
                let single = self.b.ins().fvdemote(v[0]);
                self.b.ins().fvpromote_low(single)
            }
            Op::F64Select => self.lane_select(v[0], v[1], v[2]),
            Op::F64Copysign => self.lane_copysign(v[0], v[1]),
            Op::BoolNot => self.b.ins().bnot(v[0]),
            Op::BoolAnd => self.b.ins().band(v[0], v[1]),
            Op::BoolOr => self.b.ins().bor(v[0], v[1]),
            Op::BoolXor => self.b.ins().bxor(v[0], v[1]),
            Op::PyTrueDivF64 => {
                let zero = self.lane_const(0.0);
                let by_zero = self.b.ins().fcmp(FloatCC::Equal, v[1], zero);
                self.leaves(by_zero, turn);
                self.b.ins().fdiv(v[0], v[1])
            }
            // The scalar loop looks whether it really has to leave.
            Op::PyMathCheck | Op::PyMathCheck2 => {
                let finite = self.lane_finite(v[0]);
                let odd = self.b.ins().bnot(finite);
                self.leaves(odd, turn);
                v[0]
            }
            Op::JsToBool => self.lane_nonzero(v[0]),
            Op::JsRound => {
                let floor = self.b.ins().floor(v[0]);
                let fraction = self.b.ins().fsub(v[0], floor);
                let half = self.lane_const(0.5);
                let up = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, fraction, half);
                let one = self.lane_const(1.0);
                let next = self.b.ins().fadd(floor, one);
                let rounded = self.lane_select(up, next, floor);
                self.lane_copysign(rounded, v[0])
            }
            Op::JsSign => {
                let sized = self.lane_nonzero(v[0]);
                let one = self.lane_const(1.0);
                let unit = self.lane_copysign(one, v[0]);
                self.lane_select(sized, unit, v[0])
            }
            // The same instructions for vectors as for scalars.
            _ => self.plain(op, v),
        }
    }

    fn lane_const(&mut self, x: f64) -> Value {
        let value = self.b.ins().f64const(x);
        self.b.ins().splat(types::F64X2, value)
    }

    fn lane_finite(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let infinity = self.lane_const(f64::INFINITY);
        self.b.ins().fcmp(FloatCC::LessThan, size, infinity)
    }

    /// Neither NaN nor a zero.
    fn lane_nonzero(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let zero = self.lane_const(0.0);
        self.b.ins().fcmp(FloatCC::GreaterThan, size, zero)
    }

    fn lane_select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let [a, b] = [a, b].map(|x| self.b.ins().bitcast(types::I64X2, little(), x));
        let chosen = self.b.ins().bitselect(mask, a, b);
        self.b.ins().bitcast(types::F64X2, little(), chosen)
    }

    fn lane_copysign(&mut self, size: Value, sign: Value) -> Value {
        let top = self.b.ins().iconst(types::I64, i64::MIN);
        let mask = self.b.ins().splat(types::I64X2, top);
        self.lane_select(mask, sign, size)
    }
}

/// The order of a vector's bytes, where a cast changes the number of its lanes.
fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}
