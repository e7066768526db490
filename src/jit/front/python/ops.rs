//! What each operation is for the kinds of its operands.

use super::env::{Builtin, Entry, Math};
use super::kinds::{Kind, Val};
use super::lower::{Bin, Cmp, Ins};
use super::special::{Flow, Translation};
use crate::jit::error::Result;
use crate::jit::ir::{BufId, Elem, Fit, Import, Inst, Op, Reason, Reg};

/// Tags of the elements of lists; the face reads them.
pub(super) const TAG_INT: u8 = 0;
pub(super) const TAG_FLOAT: u8 = 1;
pub(super) const TAG_BOOL: u8 = 2;

fn is_int(v: &Val) -> bool {
    matches!(v.kind, Kind::Int { .. } | Kind::Bool)
}

fn is_float(v: &Val) -> bool {
    matches!(v.kind, Kind::Float { .. })
}

fn is_numpy(v: &Val) -> bool {
    matches!(v.kind, Kind::Float { numpy: true })
}

fn is_number(v: &Val) -> bool {
    is_int(v) || is_float(v)
}

impl Translation<'_, '_> {
    /// As an i64.
    fn int(&mut self, v: &Val) -> Reg {
        if v.kind == Kind::Bool { self.f.op(Op::I64FromBool, &[v.reg()], None) } else { v.reg() }
    }

    /// As Python converts an operand to float.
    fn float(&mut self, v: &Val) -> Reg {
        if is_float(v) {
            return v.reg();
        }
        let int = self.int(v);
        self.f.op(Op::F64FromI64, &[int], None)
    }

    fn push_int(&mut self, reg: Reg) -> Result<Flow> {
        self.push(Val::int(reg))
    }

    fn push_float(&mut self, reg: Reg) -> Result<Flow> {
        self.push(Val::float(reg))
    }

    /// No number and no other value that has operators here: Python raises, or it is beyond us.
    fn no_operator(&mut self, a: &Val, b: &Val) -> Result<Flow> {
        let raises = |v: &Val| is_number(v) || v.kind == Kind::None;
        if raises(a) && raises(b) {
            return self.leave(Reason::Raise);
        }
        let odd = if raises(a) { b } else { a };
        self.unsupported(format!("an operator on {}", odd.kind.name()))
    }

    pub(super) fn binary(&mut self, op: Bin, a: &Val, b: &Val) -> Result<Flow> {
        if !is_number(a) || !is_number(b) {
            return self.no_operator(a, b);
        }
        if is_float(a) || is_float(b) {
            return self.binary_float(op, a, b);
        }
        if a.kind == Kind::Bool && b.kind == Kind::Bool {
            let op = match op {
                Bin::And => Some(Op::BoolAnd),
                Bin::Or => Some(Op::BoolOr),
                Bin::Xor => Some(Op::BoolXor),
                _ => None,
            };
            if let Some(op) = op {
                let reg = self.f.op(op, &[a.reg(), b.reg()], None);
                return self.push(Val::bool(reg));
            }
        }
        let constant = b.constant.filter(|_| b.kind != Kind::Bool);
        let natural = |v: &Val| matches!(v.kind, Kind::Int { natural: true });
        let (x, y) = (self.int(a), self.int(b));
        let mut simple = |op, reason| self.op(op, &[x, y], reason);
        let reg = match op {
            Bin::Add => simple(Op::PyAddI64, Reason::Overflow),
            Bin::Sub => simple(Op::PySubI64, Reason::Overflow),
            Bin::Mul => simple(Op::PyMulI64, Reason::Overflow),
            Bin::FloorDiv => simple(Op::PyFloorDivI64, Reason::ZeroDivision),
            Bin::Mod => simple(Op::PyModI64, Reason::ZeroDivision),
            Bin::Shl => simple(Op::PyShlI64, Reason::Overflow),
            Bin::Shr => simple(Op::PyShrI64, Reason::Domain),
            Bin::And => simple(Op::I64And, Reason::Domain),
            Bin::Or => simple(Op::I64Or, Reason::Domain),
            Bin::Xor => simple(Op::I64Xor, Reason::Domain),
            Bin::Pow => match constant {
                Some(2) => self.op(Op::PyMulI64, &[x, x], Reason::Overflow),
                Some(3) => {
                    let square = self.op(Op::PyMulI64, &[x, x], Reason::Overflow);
                    self.op(Op::PyMulI64, &[square, x], Reason::Overflow)
                }
                _ => simple(Op::PyPowI64, Reason::Overflow),
            },
            Bin::Div => {
                let reg = simple(Op::PyTrueDivI64, Reason::ZeroDivision);
                return self.push_float(reg);
            }
        };
        // Sums, products and remainders of naturals are natural: an overflow leaves.
        let kept = match op {
            Bin::Add | Bin::Mul | Bin::FloorDiv => natural(a) && natural(b),
            Bin::Mod => natural(b),
            Bin::Shr | Bin::And => natural(a),
            _ => false,
        };
        self.push(Val::new(Kind::Int { natural: kept }, vec![reg]))
    }

    fn binary_float(&mut self, op: Bin, a: &Val, b: &Val) -> Result<Flow> {
        let numpy = is_numpy(a) || is_numpy(b);
        let (x, y) = (self.float(a), self.float(b));
        let reg = match op {
            Bin::Add => self.op(Op::F64Add, &[x, y], Reason::Domain),
            Bin::Sub => self.op(Op::F64Sub, &[x, y], Reason::Domain),
            Bin::Mul => self.op(Op::F64Mul, &[x, y], Reason::Domain),
            Bin::Div => self.op(Op::PyTrueDivF64, &[x, y], Reason::ZeroDivision),
            Bin::FloorDiv | Bin::Mod | Bin::Pow if numpy => {
                return self.unsupported("`//`, `%` and `**` of a numpy scalar");
            }
            Bin::FloorDiv => self.op(Op::PyFloorDivF64, &[x, y], Reason::ZeroDivision),
            Bin::Mod => self.op(Op::PyModF64, &[x, y], Reason::ZeroDivision),
            Bin::Pow => self.op(Op::PyPowF64, &[x, y], Reason::Domain),
            _ => return self.leave(Reason::Raise),
        };
        if numpy {
            self.numpy_result(reg);
        }
        self.push(Val::new(Kind::Float { numpy }, vec![reg]))
    }

    /// numpy warns where a result is not finite: the host does that.
    fn numpy_result(&mut self, reg: Reg) {
        let finite = self.f.op(Op::F64IsFinite, &[reg], None);
        let exit = self.s.exit(Reason::Domain, self.pos);
        self.f.guard(finite, true, exit);
    }

    pub(super) fn unary(&mut self, ins: &Ins, a: &Val) -> Result<Flow> {
        if *ins == Ins::Not {
            let truth = self.truth(a)?;
            let reg = self.f.op(Op::BoolNot, &[truth.reg()], None);
            let constant = truth.constant.map(|c| i64::from(c == 0));
            return self.push(Val { constant, ..Val::bool(reg) });
        }
        if a.kind == Kind::None {
            return self.leave(Reason::Raise);
        }
        if !is_number(a) {
            return self.unsupported(format!("an operator on {}", a.kind.name()));
        }
        match ins {
            Ins::Pos if a.kind == Kind::Bool => {
                let reg = self.int(a);
                self.push_int(reg)
            }
            Ins::Pos => self.push(a.clone()),
            Ins::Neg if is_float(a) => {
                let reg = self.f.op(Op::F64Neg, &[a.reg()], None);
                self.push(Val::new(a.kind.clone(), vec![reg]))
            }
            Ins::Neg => {
                if let Some(value) = a.constant.and_then(i64::checked_neg) {
                    let val = self.constant(value);
                    return self.push(val);
                }
                let int = self.int(a);
                let reg = self.op(Op::PyNegI64, &[int], Reason::Overflow);
                self.push_int(reg)
            }
            _ if is_float(a) => self.leave(Reason::Raise),
            _ => {
                let int = self.int(a);
                let reg = self.f.op(Op::I64Not, &[int], None);
                self.push_int(reg)
            }
        }
    }

    /// Truth, as a bool.
    pub(super) fn truth(&mut self, v: &Val) -> Result<Val> {
        let known = |t: &mut Self, value: bool| {
            let reg = t.f.bool(value);
            Ok(Val { constant: Some(i64::from(value)), ..Val::bool(reg) })
        };
        match &v.kind {
            Kind::Bool => Ok(v.clone()),
            Kind::NumpyBool => Ok(Val::bool(v.reg())),
            Kind::None => known(self, false),
            Kind::Tuple(kinds) => {
                let some = !kinds.is_empty();
                known(self, some)
            }
            Kind::Int { .. } => {
                let zero = self.f.i64(0);
                let reg = self.f.op(Op::I64Ne, &[v.reg(), zero], None);
                Ok(Val { constant: v.constant.map(|c| i64::from(c != 0)), ..Val::bool(reg) })
            }
            Kind::Float { .. } => {
                let zero = self.f.f64(0.0);
                Ok(Val::bool(self.f.op(Op::F64Ne, &[v.reg(), zero], None)))
            }
            Kind::List => {
                let len = self.f.reg(crate::jit::ir::Ty::I64);
                self.f.push(Inst::ListLen { dst: len, list: v.reg() });
                let zero = self.f.i64(0);
                Ok(Val::bool(self.f.op(Op::I64Ne, &[len, zero], None)))
            }
            other => self.unsupported(format!("the truth of {}", other.name())),
        }
    }

    pub(super) fn compare(&mut self, op: Cmp, a: &Val, b: &Val) -> Result<Flow> {
        if matches!(op, Cmp::Is | Cmp::IsNot) {
            let none = |v: &Val| v.kind == Kind::None;
            if !none(a) && !none(b) {
                return self.unsupported("`is` of anything but None");
            }
            let value = (none(a) && none(b)) == (op == Cmp::Is);
            let reg = self.f.bool(value);
            return self.push(Val { constant: Some(i64::from(value)), ..Val::bool(reg) });
        }
        if !is_number(a) || !is_number(b) {
            let none = |v: &Val| v.kind == Kind::None;
            if matches!(op, Cmp::Eq | Cmp::Ne) && (none(a) || none(b)) {
                let value = (none(a) && none(b)) == (op == Cmp::Eq);
                let reg = self.f.bool(value);
                return self.push(Val::bool(reg));
            }
            return self.no_operator(a, b);
        }
        if is_int(a) && is_int(b) {
            let (x, y) = (self.int(a), self.int(b));
            let op = match op {
                Cmp::Eq => Op::I64Eq,
                Cmp::Ne => Op::I64Ne,
                Cmp::Lt => Op::I64Lt,
                Cmp::Le => Op::I64Le,
                Cmp::Gt => Op::I64Gt,
                _ => Op::I64Ge,
            };
            let reg = self.f.op(op, &[x, y], None);
            return self.push(Val::bool(reg));
        }
        // An int against a float is compared exactly.
        let [x, y] = [a, b].map(|v| {
            if is_float(v) {
                v.reg()
            } else {
                let int = self.int(v);
                self.op(Op::PyExactF64, &[int], Reason::Overflow)
            }
        });
        let op = match op {
            Cmp::Eq => Op::F64Eq,
            Cmp::Ne => Op::F64Ne,
            Cmp::Lt => Op::F64Lt,
            Cmp::Le => Op::F64Le,
            Cmp::Gt => Op::F64Gt,
            _ => Op::F64Ge,
        };
        let reg = self.f.op(op, &[x, y], None);
        let kind = if is_numpy(a) || is_numpy(b) { Kind::NumpyBool } else { Kind::Bool };
        self.push(Val::new(kind, vec![reg]))
    }

    // --- sequences ---------------------------------------------------------------------------------

    /// An index, counted from the start.
    fn position(&mut self, index: &Val, len: Reg) -> Reg {
        let reg = self.int(index);
        if matches!(index.kind, Kind::Int { natural: true }) {
            return reg;
        }
        self.f.op(Op::PyWrapIndex, &[reg, len], None)
    }

    pub(super) fn index(&mut self, of: &Val, index: &Val) -> Result<Flow> {
        if !is_int(index) {
            if is_float(index) || index.kind == Kind::None {
                return self.leave(Reason::Raise);
            }
            return self.unsupported(format!("an index that is {}", index.kind.name()));
        }
        if index.kind == Kind::Bool && matches!(of.kind, Kind::Buffer { numpy: true, .. }) {
            return self.unsupported("a bool as an index of a numpy array (it is a mask)");
        }
        match &of.kind {
            Kind::Buffer { number, elem, numpy } => {
                let len = self.f.len(BufId(*number));
                let at = self.position(index, len);
                self.load(*number, *elem, *numpy, at)
            }
            Kind::List => {
                let len = self.list_len(of);
                let at = self.position(index, len);
                self.list_get(of, at)
            }
            Kind::Tuple(kinds) => {
                let Some(at) = index.constant else {
                    return self.unsupported("an index of a tuple that is no constant");
                };
                let len = i64::try_from(kinds.len()).unwrap_or(i64::MAX);
                let at = if at < 0 { at + len } else { at };
                match usize::try_from(at).ok().filter(|at| *at < kinds.len()) {
                    Some(at) => {
                        let item = of.items(kinds).swap_remove(at);
                        self.push(item)
                    }
                    None => self.leave(Reason::Index),
                }
            }
            _ if is_number(of) || of.kind == Kind::None => self.leave(Reason::Raise),
            other => self.unsupported(format!("an index into {}", other.name())),
        }
    }

    fn load(&mut self, number: u32, elem: Elem, numpy: bool, at: Reg) -> Result<Flow> {
        if numpy && elem != Elem::F64 {
            return self.unsupported("elements of a numpy array that is not float64");
        }
        let exit = self.s.exit(Reason::Index, self.pos);
        let reg = self.f.load(BufId(number), elem, at, exit);
        let kind = match elem {
            Elem::F64 | Elem::F32 => Kind::Float { numpy },
            Elem::Bool => Kind::Bool,
            Elem::U8 | Elem::U16 | Elem::U32 | Elem::U64 => Kind::Int { natural: true },
            _ => Kind::INT,
        };
        self.push(Val::new(kind, vec![reg]))
    }

    pub(super) fn set_index(&mut self, of: &Val, index: &Val, value: &Val) -> Result<Flow> {
        if !is_int(index) || !is_number(value) {
            return self.unsupported("an assignment to an element with this index or value");
        }
        if index.kind == Kind::Bool && matches!(of.kind, Kind::Buffer { numpy: true, .. }) {
            return self.unsupported("a bool as an index of a numpy array (it is a mask)");
        }
        match &of.kind {
            Kind::Buffer { number, elem, numpy } => {
                let src = match elem {
                    Elem::F64 | Elem::F32 => self.float(value),
                    Elem::Bool => return self.unsupported("an assignment to an element of bools"),
                    _ if *numpy => return self.unsupported("a store to a numpy array of ints"),
                    _ if is_float(value) => return self.leave(Reason::Raise),
                    _ => self.int(value),
                };
                if *numpy && *elem != Elem::F64 {
                    return self.unsupported("a store to a numpy array that is not float64");
                }
                self.s.m.make_writable(BufId(*number));
                let len = self.f.len(BufId(*number));
                let at = self.position(index, len);
                let exit = self.s.exit(Reason::Index, self.pos);
                self.f.store(BufId(*number), at, src, Fit::Leave, exit);
                Ok(Flow::On)
            }
            Kind::List => {
                let len = self.list_len(of);
                let at = self.position(index, len);
                let (src, tag) = self.tagged(value)?;
                let exit = self.s.exit(Reason::Index, self.pos);
                self.f.push(Inst::ListSet { list: of.reg(), index: at, src, tag, exit });
                Ok(Flow::On)
            }
            _ if is_number(of) || matches!(of.kind, Kind::None | Kind::Tuple(_)) => {
                self.leave(Reason::Raise)
            }
            other => self.unsupported(format!("an assignment to an element of {}", other.name())),
        }
    }

    fn tagged(&mut self, value: &Val) -> Result<(Reg, u8)> {
        match value.kind {
            Kind::Int { .. } => Ok((value.reg(), TAG_INT)),
            Kind::Float { numpy: false } => Ok((value.reg(), TAG_FLOAT)),
            Kind::Bool => Ok((value.reg(), TAG_BOOL)),
            ref other => self.unsupported(format!("a list of {}", other.name())),
        }
    }

    pub(super) fn append(&mut self, list: &Val, value: &Val) -> Result<Flow> {
        if list.kind != Kind::List {
            return self.unsupported(format!("`append` to {}", list.kind.name()));
        }
        let (src, tag) = self.tagged(value)?;
        self.s.element = Some(match value.kind {
            Kind::Int { .. } => Kind::INT,
            ref other => other.clone(),
        });
        let exit = self.s.exit(Reason::Memory, self.pos);
        self.f.push(Inst::ListPush { list: list.reg(), src, tag, exit });
        Ok(Flow::On)
    }

    fn list_len(&mut self, list: &Val) -> Reg {
        let dst = self.f.reg(crate::jit::ir::Ty::I64);
        self.f.push(Inst::ListLen { dst, list: list.reg() });
        dst
    }

    /// An element of a list, of the type that was appended last; another type leaves.
    fn list_get(&mut self, list: &Val, index: Reg) -> Result<Flow> {
        let kind = self.s.element.clone().unwrap_or(Kind::INT);
        let dst = self.f.reg(kind.types()[0]);
        let tag = match kind {
            Kind::Float { .. } => TAG_FLOAT,
            Kind::Bool => TAG_BOOL,
            _ => TAG_INT,
        };
        let exit = self.s.exit(Reason::Type, self.pos);
        self.f.push(Inst::ListGet { dst, list: list.reg(), index, tag, exit });
        self.push(Val::new(kind, vec![dst]))
    }

    pub(super) fn iterate(&mut self, of: &Val) -> Result<Flow> {
        match &of.kind {
            Kind::Range { step, natural } => {
                let (start, stop, by) = (of.regs[0], of.regs[1], of.regs[2]);
                let left = self.op(Op::PyRangeLen, &[start, stop, by], Reason::Overflow);
                let kind = Kind::RangeIter { step: *step, natural: *natural };
                self.push(Val::new(kind, vec![start, left, by]))
            }
            Kind::Buffer { .. } | Kind::List => {
                let mut regs = of.regs.clone();
                regs.push(self.f.i64(0));
                self.push(Val::new(Kind::SequenceIter(Box::new(of.kind.clone())), regs))
            }
            Kind::Tuple(kinds) => {
                self.push(Val::new(Kind::TupleIter(kinds.clone(), 0), of.regs.clone()))
            }
            _ if is_number(of) || of.kind == Kind::None => self.leave(Reason::Raise),
            other => self.unsupported(format!("a loop over {}", other.name())),
        }
    }

    pub(super) fn next(&mut self, at: usize, end: usize) -> Result<Flow> {
        let iter = self.pop()?;
        match &iter.kind {
            Kind::TupleIter(kinds, given) => {
                if *given == kinds.len() {
                    self.jump(at, end)?;
                    return Ok(Flow::Ended);
                }
                let item = iter.items(kinds).swap_remove(*given);
                let kind = Kind::TupleIter(kinds.clone(), given + 1);
                self.stack.push(Val::new(kind, iter.regs.clone()));
                self.push(item)
            }
            Kind::RangeIter { step, natural } => {
                let (value, left, by) = (iter.regs[0], iter.regs[1], iter.regs[2]);
                let zero = self.f.i64(0);
                let more = self.f.op(Op::I64Gt, &[left, zero], None);
                self.end_unless(more, at, end)?;
                let one = self.f.i64(1);
                let left = self.f.op(Op::I64SubWrap, &[left, one], None);
                let by = step.map_or(by, |step| self.f.i64(step));
                let next = self.f.op(Op::I64AddWrap, &[value, by], None);
                self.stack.push(Val::new(iter.kind.clone(), vec![next, left, by]));
                self.push(Val::new(Kind::Int { natural: *natural }, vec![value]))
            }
            Kind::SequenceIter(of) => {
                let position = iter.regs[iter.regs.len() - 1];
                let sequence = Val::new((**of).clone(), iter.regs[..iter.regs.len() - 1].to_vec());
                let len = match **of {
                    Kind::Buffer { number, .. } => self.f.len(BufId(number)),
                    _ => self.list_len(&sequence),
                };
                let more = self.f.op(Op::I64Lt, &[position, len], None);
                self.end_unless(more, at, end)?;
                let one = self.f.i64(1);
                let next = self.f.op(Op::I64AddWrap, &[position, one], None);
                let mut regs = sequence.regs.clone();
                regs.push(next);
                self.stack.push(Val::new(iter.kind.clone(), regs));
                match **of {
                    Kind::Buffer { number, elem, numpy } => {
                        self.load(number, elem, numpy, position)
                    }
                    _ => self.list_get(&sequence, position),
                }
            }
            other => self.unsupported(format!("a loop over {}", other.name())),
        }
    }

    /// Ends a loop (its iterator is off the stack already) unless `more`.
    fn end_unless(&mut self, more: Reg, at: usize, end: usize) -> Result<()> {
        self.branch(more, false, at, end)
    }

    // --- functions ---------------------------------------------------------------------------------

    pub(super) fn attribute(&mut self, of: &Val, name: &str) -> Result<Flow> {
        if of.kind == Kind::Entry(Entry::MathModule) {
            return match Math::named(name) {
                Some(Math::Constant(bits)) => {
                    let reg = self.f.f64(f64::from_bits(bits));
                    self.push_float(reg)
                }
                Some(math) => self.push(Val::bare(Kind::Entry(Entry::Math(math)))),
                None => self.unsupported(format!("`math.{name}`")),
            };
        }
        self.unsupported(format!("the attribute `{name}` of {}", of.kind.name()))
    }

    pub(super) fn builtin(&mut self, builtin: Builtin, args: &[Val]) -> Result<Flow> {
        match (builtin, args) {
            (Builtin::Range, [_] | [_, _] | [_, _, _]) => self.range(args),
            (Builtin::Abs, [a]) if is_float(a) => {
                let reg = self.f.op(Op::F64Abs, &[a.reg()], None);
                self.push(Val::new(a.kind.clone(), vec![reg]))
            }
            (Builtin::Abs, [a]) if is_int(a) => {
                let int = self.int(a);
                let reg = self.op(Op::PyAbsI64, &[int], Reason::Overflow);
                self.push(Val::new(Kind::Int { natural: true }, vec![reg]))
            }
            (Builtin::Bool, [a]) => {
                let truth = self.truth(a)?;
                self.push(truth)
            }
            (Builtin::Int, [a]) if is_int(a) => {
                let reg = self.int(a);
                self.push_int(reg)
            }
            (Builtin::Int, [a]) if is_float(a) => {
                let reg = self.op(Op::PyTruncI64, &[a.reg()], Reason::Overflow);
                self.push_int(reg)
            }
            (Builtin::Float, [a]) if is_number(a) => {
                let reg = self.float(a);
                self.push_float(reg)
            }
            (Builtin::Pow, [a, b]) => self.binary(Bin::Pow, a, b),
            (Builtin::Divmod, [a, b]) => {
                if let Flow::Ended = self.binary(Bin::FloorDiv, a, b)? {
                    return Ok(Flow::Ended);
                }
                if let Flow::Ended = self.binary(Bin::Mod, a, b)? {
                    return Ok(Flow::Ended);
                }
                let (rest, quotient) = (self.pop()?, self.pop()?);
                let kinds = vec![quotient.kind.clone(), rest.kind.clone()];
                self.push(Val::new(Kind::Tuple(kinds), vec![quotient.reg(), rest.reg()]))
            }
            (Builtin::Round, [a]) if is_int(a) => {
                let reg = self.int(a);
                self.push_int(reg)
            }
            (Builtin::Round, [a]) if is_float(a) && !is_numpy(a) => {
                let reg = self.op(Op::PyRoundI64, &[a.reg()], Reason::Overflow);
                self.push_int(reg)
            }
            (Builtin::Len, [a]) => match &a.kind {
                Kind::Buffer { number, .. } => {
                    let reg = self.f.len(BufId(*number));
                    self.push(Val::new(Kind::Int { natural: true }, vec![reg]))
                }
                Kind::List => {
                    let reg = self.list_len(a);
                    self.push(Val::new(Kind::Int { natural: true }, vec![reg]))
                }
                Kind::Tuple(kinds) => {
                    let len = i64::try_from(kinds.len()).unwrap_or(i64::MAX);
                    let val = self.constant(len);
                    self.push(val)
                }
                _ if is_number(a) || a.kind == Kind::None => self.leave(Reason::Raise),
                other => self.unsupported(format!("`len` of {}", other.name())),
            },
            _ => {
                let name = format!("{builtin:?}").to_lowercase();
                let kinds: Vec<&str> = args.iter().map(|a| a.kind.name()).collect();
                self.unsupported(format!("`{name}({})`", kinds.join(", ")))
            }
        }
    }

    fn range(&mut self, args: &[Val]) -> Result<Flow> {
        if let Some(odd) = args.iter().find(|a| !is_int(a)) {
            if is_float(odd) || odd.kind == Kind::None {
                return self.leave(Reason::Raise);
            }
            return self.unsupported(format!("`range` of {}", odd.kind.name()));
        }
        let (zero, one) = (self.constant(0), self.constant(1));
        let (start, stop, step) = match args {
            [stop] => (&zero, stop, &one),
            [start, stop] => (start, stop, &one),
            [start, stop, step] => (start, stop, step),
            _ => return self.leave(Reason::Raise),
        };
        let natural = matches!(start.kind, Kind::Int { natural: true })
            && step.constant.is_some_and(|s| s > 0);
        let step_constant = step.constant;
        let regs = vec![self.int(start), self.int(stop), self.int(step)];
        self.push(Val::new(Kind::Range { step: step_constant, natural }, regs))
    }

    pub(super) fn math(&mut self, math: Math, args: &[Val]) -> Result<Flow> {
        if let Some(odd) = args.iter().find(|a| !is_number(a)) {
            if odd.kind == Kind::None {
                return self.leave(Reason::Raise);
            }
            return self.unsupported(format!("a function of math on {}", odd.kind.name()));
        }
        let arity = match math {
            Math::Libm(import) => import.arity(),
            Math::Copysign | Math::Fmod | Math::Pow => 2,
            _ => 1,
        };
        if args.len() != arity {
            // `math.log(x, base)`, or a TypeError.
            return self.leave(Reason::Domain);
        }
        if let Math::Floor | Math::Ceil | Math::Trunc = math
            && is_int(&args[0])
        {
            let reg = self.int(&args[0]);
            return self.push_int(reg);
        }
        if let Math::Floor | Math::Ceil | Math::Trunc = math
            && is_numpy(&args[0])
        {
            return self.unsupported("rounding of a numpy scalar");
        }
        let x = self.float(&args[0]);
        let y = args.get(1).map(|v| self.float(v));
        let second = y.unwrap_or(x);
        let reg = match math {
            Math::Libm(import) => {
                let raw = self.f.import(import, x, y);
                self.checked(raw, x, y)
            }
            Math::Pow => {
                let raw = self.f.import(Import::Pow, x, y);
                self.checked(raw, x, y)
            }
            Math::Fmod => {
                let raw = self.f.op(Op::F64Rem, &[x, second], None);
                self.checked(raw, x, y)
            }
            Math::Sqrt => {
                let raw = self.f.op(Op::F64Sqrt, &[x], None);
                self.checked(raw, x, None)
            }
            Math::Fabs => self.f.op(Op::F64Abs, &[x], None),
            Math::Copysign => self.f.op(Op::F64Copysign, &[x, second], None),
            Math::Degrees => {
                let factor = self.f.f64(180.0 / std::f64::consts::PI);
                self.f.op(Op::F64Mul, &[x, factor], None)
            }
            Math::Radians => {
                let factor = self.f.f64(std::f64::consts::PI / 180.0);
                self.f.op(Op::F64Mul, &[x, factor], None)
            }
            Math::Floor | Math::Ceil | Math::Trunc => {
                let op = match math {
                    Math::Floor => Op::PyFloorI64,
                    Math::Ceil => Op::PyCeilI64,
                    _ => Op::PyTruncI64,
                };
                let reg = self.op(op, &[x], Reason::Overflow);
                return self.push_int(reg);
            }
            Math::IsNan | Math::IsInf | Math::IsFinite => {
                let nan = self.f.op(Op::F64Ne, &[x, x], None);
                let reg = match math {
                    Math::IsNan => nan,
                    Math::IsFinite => self.f.op(Op::F64IsFinite, &[x], None),
                    _ => {
                        let finite = self.f.op(Op::F64IsFinite, &[x], None);
                        let odd = self.f.op(Op::BoolOr, &[finite, nan], None);
                        self.f.op(Op::BoolNot, &[odd], None)
                    }
                };
                return self.push(Val::bool(reg));
            }
            Math::Constant(_) => return self.leave(Reason::Raise),
        };
        self.push_float(reg)
    }

    fn checked(&mut self, result: Reg, x: Reg, y: Option<Reg>) -> Reg {
        match y {
            Some(y) => self.op(Op::PyMathCheck2, &[result, x, y], Reason::Domain),
            None => self.op(Op::PyMathCheck, &[result, x], Reason::Domain),
        }
    }
}
