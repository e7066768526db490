//! The interpreter: what each operation of the IR means, and how kernels run where there is no backend.
//!
//! The stack of calls is a vector, so that recursion in the interpreted function cannot overflow the thread's stack.

use super::ir::{Exit, ExitId, Fit, Func, Inst, Module, Op, Term};
use super::kernel::{Budget, Buffer, Frame, Hook, List, Outcome};
use super::num;

/// Elements of all lists of a call together; beyond, the host makes them (it has the better allocator for that).
pub(super) const MAX_LIST_ELEMENTS: usize = 1 << 26;

struct Activation<'m> {
    func: &'m Func,
    regs: Vec<u64>,
    block: usize,
}

/// Runs a checked module with checked arguments.
pub(super) fn run(
    module: &Module,
    args: &[u64],
    buffers: &[Buffer],
    budget: Budget,
    frame: &mut Frame,
    hook: &mut dyn Hook,
) -> Outcome {
    frame.values.clear();
    frame.lists.clear();
    let budget = Budget { depth: budget.depth.min(Budget::MAX_DEPTH), ..budget };
    frame.mark = 0;
    let mut machine = Machine {
        module,
        buffers,
        fuel: budget.fuel,
        elements: 0,
        mark: &mut frame.mark,
        lists: &mut frame.lists,
        hook,
    };
    let mut stack = vec![activation(module.entry(), args)];
    loop {
        let depth = stack.len();
        let Some(top) = stack.last_mut() else { unreachable!("the entry returns through here") };
        let block = &top.func.blocks[top.block];
        if let Some(exit) =
            block.insts.iter().find_map(|inst| machine.step(inst, &mut top.regs).err())
        {
            return left(module, exit, &top.regs, &mut frame.values);
        }
        match block.term.as_ref() {
            Some(Term::Jump(to)) => top.block = to.at(),
            Some(Term::Branch { cond, then, otherwise }) => {
                let to = if top.regs[cond.at()] != 0 { then } else { otherwise };
                top.block = to.at();
            }
            Some(Term::Exit(exit)) => return left(module, *exit, &top.regs, &mut frame.values),
            Some(Term::Call { func, args, depth: too_deep, .. }) => {
                if depth > budget.depth as usize {
                    return left(module, *too_deep, &top.regs, &mut frame.values);
                }
                let args: Vec<u64> = args.iter().map(|r| top.regs[r.at()]).collect();
                stack.push(activation(&module.funcs[func.at()], &args));
            }
            Some(Term::Return { shape, values }) => {
                let values: Vec<u64> = values.iter().map(|r| top.regs[r.at()]).collect();
                stack.pop();
                let Some(caller) = stack.last_mut() else {
                    frame.values.extend(values);
                    return Outcome::Returned(*shape);
                };
                if let Some(Term::Call { shapes, .. }) = &caller.func.blocks[caller.block].term {
                    let (regs, to) = &shapes[*shape as usize];
                    regs.iter().zip(values).for_each(|(r, v)| caller.regs[r.at()] = v);
                    caller.block = to.at();
                }
            }
            None => unreachable!("checked: every block has an end"),
        }
    }
}

fn activation<'m>(func: &'m Func, args: &[u64]) -> Activation<'m> {
    let mut regs = vec![0; func.regs.len()];
    regs[..args.len()].copy_from_slice(args);
    Activation { func, regs, block: 0 }
}

fn left(module: &Module, exit: ExitId, regs: &[u64], values: &mut Vec<u64>) -> Outcome {
    let Exit { state, .. } = &module.exits[exit.at()];
    values.extend(state.iter().map(|r| regs[r.at()]));
    Outcome::Left(exit)
}

struct Machine<'a> {
    module: &'a Module,
    buffers: &'a [Buffer],
    fuel: u64,
    elements: usize,
    mark: &'a mut i64,
    lists: &'a mut Vec<List>,
    hook: &'a mut dyn Hook,
}

impl Machine<'_> {
    /// One instruction; `Err` leaves.
    fn step(&mut self, inst: &Inst, regs: &mut [u64]) -> Result<(), ExitId> {
        match *inst {
            Inst::Const { dst, bits } => regs[dst.at()] = bits,
            Inst::Copy { dst, src } => regs[dst.at()] = regs[src.at()],
            Inst::Op { op, dst, args, exit } => {
                let operands = args.map(|r| regs.get(r.at()).copied().unwrap_or(0));
                match (evaluate(op, operands), exit) {
                    (Some(bits), _) => regs[dst.at()] = bits,
                    (None, Some(exit)) => return Err(exit),
                    (None, None) => unreachable!("checked: an operation that may exit has one"),
                }
            }
            Inst::Import { import, dst, args: [a, b] } => {
                let [a, b] = [a, b].map(|r| f64::from_bits(regs[r.at()]));
                regs[dst.at()] = import.call(a, b).to_bits();
            }
            Inst::Load { dst, buf, index, exit } => {
                let index = regs[index.at()].cast_signed();
                regs[dst.at()] = self.buffers[buf.at()].get(index).ok_or(exit)?;
            }
            Inst::Store { buf, index, src, fit, exit } => {
                let bits = regs[src.at()];
                let elem = self.module.buffers[buf.at()].elem;
                if let (Fit::Leave, Some((low, high))) = (fit, elem.range())
                    && !(low..=high).contains(&bits.cast_signed())
                {
                    return Err(exit);
                }
                if !self.buffers[buf.at()].set(regs[index.at()].cast_signed(), bits) {
                    return Err(exit);
                }
            }
            Inst::Len { dst, buf } => regs[dst.at()] = self.buffers[buf.at()].len() as u64,
            Inst::Guard { cond, expect, exit } => {
                if (regs[cond.at()] != 0) != expect {
                    return Err(exit);
                }
            }
            Inst::Poll { exit } => {
                self.fuel = match self.fuel.checked_sub(1) {
                    Some(left) => left,
                    None => self.hook.poll().ok_or(exit)?,
                };
            }
            Inst::Mark { src } => *self.mark = regs[src.at()].cast_signed(),
            Inst::ListNew { dst, exit } => {
                regs[dst.at()] = self.lists.len() as u64;
                self.grow(exit)?;
                self.lists.push(List::default());
            }
            Inst::ListPush { list, src, tag, exit } => {
                self.grow(exit)?;
                let list = &mut self.lists[regs[list.at()] as usize];
                list.bits.push(regs[src.at()]);
                list.tags.push(tag);
            }
            Inst::ListLen { dst, list } => {
                regs[dst.at()] = self.lists[regs[list.at()] as usize].bits.len() as u64;
            }
            Inst::ListGet { dst, list, index, tag, exit } => {
                let list = &self.lists[regs[list.at()] as usize];
                let at = usize::try_from(regs[index.at()].cast_signed()).map_err(|_| exit)?;
                if *list.tags.get(at).ok_or(exit)? != tag {
                    return Err(exit);
                }
                regs[dst.at()] = list.bits[at];
            }
            Inst::ListSet { list, index, src, tag, exit } => {
                let list = &mut self.lists[regs[list.at()] as usize];
                let at = usize::try_from(regs[index.at()].cast_signed()).map_err(|_| exit)?;
                *list.bits.get_mut(at).ok_or(exit)? = regs[src.at()];
                list.tags[at] = tag;
            }
        }
        Ok(())
    }

    fn grow(&mut self, exit: ExitId) -> Result<(), ExitId> {
        self.elements += 1;
        if self.elements > MAX_LIST_ELEMENTS { Err(exit) } else { Ok(()) }
    }
}

/// The value of an operation; `None` leaves.
fn evaluate(op: Op, [a, b, c]: [u64; 3]) -> Option<u64> {
    let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
    let (i, j, k) = (a.cast_signed(), b.cast_signed(), c.cast_signed());
    let (m, n) = (a as i32, b as i32);
    let f = |v: f64| Some(v.to_bits());
    let int = |v: i64| Some(v.cast_unsigned());
    let i32 = |v: i32| Some(u64::from(v.cast_unsigned()));
    let t = |v: bool| Some(u64::from(v));
    match op {
        Op::F64Add => f(x + y),
        Op::F64Sub => f(x - y),
        Op::F64Mul => f(x * y),
        Op::F64Div => f(x / y),
        Op::F64Neg => Some(a ^ (1 << 63)),
        Op::F64Abs => Some(a & !(1 << 63)),
        Op::F64Sqrt => f(x.sqrt()),
        Op::F64Floor => f(x.floor()),
        Op::F64Ceil => f(x.ceil()),
        Op::F64Trunc => f(x.trunc()),
        Op::F64Nearest => f(x.round_ties_even()),
        Op::F64Copysign => f(x.copysign(y)),
        Op::F64Rem => f(x % y),
        Op::F64Eq => t(x == y),
        Op::F64Ne => t(x != y),
        Op::F64Lt => t(x < y),
        Op::F64Le => t(x <= y),
        Op::F64Gt => t(x > y),
        Op::F64Ge => t(x >= y),
        Op::F64IsFinite => t(x.is_finite()),
        Op::F64FromI64 => f(i as f64),
        Op::F64FromI32 => f(f64::from(m)),
        Op::F64FromU32 => f(f64::from(a as u32)),
        Op::F64Fround => f(f64::from(x as f32)),
        Op::I64Eq => t(i == j),
        Op::I64Ne => t(i != j),
        Op::I64Lt => t(i < j),
        Op::I64Le => t(i <= j),
        Op::I64Gt => t(i > j),
        Op::I64Ge => t(i >= j),
        Op::I64AddWrap => int(i.wrapping_add(j)),
        Op::I64SubWrap => int(i.wrapping_sub(j)),
        Op::I64And => Some(a & b),
        Op::I64Or => Some(a | b),
        Op::I64Xor => Some(a ^ b),
        Op::I64Not => Some(!a),
        Op::I64FromBool => Some(a),
        Op::I64FromI32 => int(m.into()),
        Op::I32FromI64 => i32(m),
        Op::BoolNot => Some(a ^ 1),
        Op::BoolAnd => Some(a & b),
        Op::BoolOr => Some(a | b),
        Op::BoolXor => Some(a ^ b),
        Op::F64Select | Op::I64Select => Some(if a != 0 { b } else { c }),
        Op::PyAddI64 => i.checked_add(j).and_then(int),
        Op::PySubI64 => i.checked_sub(j).and_then(int),
        Op::PyMulI64 => i.checked_mul(j).and_then(int),
        Op::PyNegI64 => i.checked_neg().and_then(int),
        Op::PyAbsI64 => i.checked_abs().and_then(int),
        Op::PyFloorDivI64 => num::py_floordiv_i64(i, j).and_then(int),
        Op::PyModI64 => num::py_mod_i64(i, j).and_then(int),
        Op::PyTrueDivI64 => num::py_truediv_i64(i, j).and_then(f),
        Op::PyPowI64 => num::py_pow_i64(i, j).and_then(int),
        Op::PyShlI64 => num::py_shl_i64(i, j).and_then(int),
        Op::PyShrI64 => num::py_shr_i64(i, j).and_then(int),
        Op::PyTrueDivF64 => {
            if y == 0.0 {
                None
            } else {
                f(x / y)
            }
        }
        Op::PyFloorDivF64 => num::py_floordiv_f64(x, y).and_then(f),
        Op::PyModF64 => num::py_mod_f64(x, y).and_then(f),
        Op::PyPowF64 => num::py_pow_f64(x, y).and_then(f),
        Op::PyTruncI64 => num::py_to_i64(x.trunc()).and_then(int),
        Op::PyFloorI64 => num::py_to_i64(x.floor()).and_then(int),
        Op::PyCeilI64 => num::py_to_i64(x.ceil()).and_then(int),
        Op::PyRoundI64 => num::py_to_i64(x.round_ties_even()).and_then(int),
        Op::PyExactF64 => num::py_exact_f64(i).and_then(f),
        Op::PyMathCheck => num::py_math_check(x, y).and_then(f),
        Op::PyMathCheck2 => num::py_math_check2(x, y, z).and_then(f),
        Op::PyWrapIndex => int(num::py_wrap_index(i, j)),
        Op::PyRangeLen => num::py_range_len(i, j, k).and_then(int),
        Op::JsToInt32 => i32(num::js_to_int32(x)),
        Op::JsToBool => t(x != 0.0 && !x.is_nan()),
        Op::JsBitAnd => i32(m & n),
        Op::JsBitOr => i32(m | n),
        Op::JsBitXor => i32(m ^ n),
        Op::JsBitNot => i32(!m),
        Op::JsShl => i32(m.wrapping_shl(n.cast_unsigned())),
        Op::JsShr => i32(m.wrapping_shr(n.cast_unsigned())),
        Op::JsUshr => i32(m.cast_unsigned().wrapping_shr(n.cast_unsigned()).cast_signed()),
        Op::JsImul => i32(m.wrapping_mul(n)),
        Op::JsClz32 => i32(m.leading_zeros().cast_signed()),
        Op::JsRound => f(num::js_round(x)),
        Op::JsMin => f(num::js_min(x, y)),
        Op::JsMax => f(num::js_max(x, y)),
        Op::JsSign => f(num::js_sign(x)),
        Op::JsIndex => num::js_index(x).and_then(int),
    }
}
