//! Elements of typed arrays.

use super::super::super::error::Pos;
use super::super::super::ir::{Elem, Fit, Op, Reason, Reg};
use super::Array;
use super::lower::Lower;
use super::values::Val;

impl Lower<'_> {
    /// Whether an index is one of the array's, and the index: an I64 if it was an int32, else an F64.
    fn inside(&mut self, array: usize, index: Val) -> (Reg, Reg) {
        let len = self.f.len(self.bufs[array].id);
        if index.kind() == super::values::Kind::Int {
            let index = self.int(index);
            let at = self.f.op(Op::I64FromI32, &[index], None);
            let zero = self.f.i64(0);
            let from = self.f.op(Op::I64Ge, &[at, zero], None);
            let to = self.f.op(Op::I64Lt, &[at, len], None);
            return (self.f.op(Op::BoolAnd, &[from, to], None), at);
        }
        let x = self.num(index);
        let len = self.f.op(Op::F64FromI64, &[len], None);
        let zero = self.f.f64(0.0);
        let from = self.f.op(Op::F64Ge, &[x, zero], None);
        let to = self.f.op(Op::F64Lt, &[x, len], None);
        let whole = self.f.op(Op::F64Trunc, &[x], None);
        let same = self.f.op(Op::F64Eq, &[x, whole], None);
        let within = self.f.op(Op::BoolAnd, &[from, to], None);
        (self.f.op(Op::BoolAnd, &[within, same], None), x)
    }

    fn at(&mut self, index: Val, found: Reg) -> Reg {
        if index.kind() == super::values::Kind::Int {
            found
        } else {
            self.f.op(Op::JsIndex, &[found], Some(self.never))
        }
    }

    /// `a[i]`: `undefined` unless there is such an element.
    pub(super) fn load(&mut self, array: usize, index: Val) -> Val {
        let (inside, found) = self.inside(array, index);
        let [there, absent, end] = std::array::from_fn(|_| self.f.block());
        let (value, defined) = self.both();
        self.branch(inside, there, absent);
        self.f.switch_to(there);
        let at = self.at(index, found);
        let element = self.element(array, at);
        let yes = self.f.bool(true);
        self.f.copy(value, element);
        self.f.copy(defined, yes);
        self.jump(end);
        self.f.switch_to(absent);
        let (nan, no) = (self.f.f64(f64::NAN), self.f.bool(false));
        self.f.copy(value, nan);
        self.f.copy(defined, no);
        self.jump(end);
        self.f.switch_to(end);
        Val::Maybe(value, defined)
    }

    /// An element that is there, as a number.
    pub(super) fn element(&mut self, array: usize, at: Reg) -> Reg {
        let (id, elem) = (self.bufs[array].id, self.bufs[array].array.elem);
        let loaded = self.f.load(id, elem, at, self.never);
        match elem {
            Elem::F64 | Elem::F32 => loaded,
            _ => self.f.op(Op::F64FromI64, &[loaded], None),
        }
    }

    /// `a[i] = value`: nothing unless there is such an element.
    pub(super) fn store(&mut self, array: usize, index: Val, value: Val) {
        let (id, kind) = (self.bufs[array].id, self.bufs[array].array);
        self.m.make_writable(id);
        // Under the index `undefined` V8 makes a property; a kernel cannot: it leaves, and V8 does the call.
        let there = match index {
            Val::Maybe(_, there) => Some(there),
            Val::Undefined => Some(self.f.bool(false)),
            _ => None,
        };
        if let Some(there) = there {
            let exit =
                *self.property.get_or_insert_with(|| self.m.exit(Reason::Type, Pos::default()));
            self.f.guard(there, true, exit);
        }
        let bits = self.stored(kind, value);
        let (inside, found) = self.inside(array, index);
        let [there, end] = std::array::from_fn(|_| self.f.block());
        self.branch(inside, there, end);
        self.f.switch_to(there);
        let at = self.at(index, found);
        self.f.store(id, at, bits, Fit::Wrap, self.never);
        self.jump(end);
        self.f.switch_to(end);
    }

    /// A value as an element of such an array takes it.
    pub(super) fn stored(&mut self, array: Array, value: Val) -> Reg {
        if matches!(array.elem, Elem::F64 | Elem::F32) {
            return self.num(value);
        }
        if !array.clamped {
            let low = self.int(value);
            return self.f.op(Op::I64FromI32, &[low], None);
        }
        // From 0 to 255, ties to even; NaN is 0.
        let x = self.num(value);
        let (zero, most) = (self.f.f64(0.0), self.f.f64(255.0));
        let number = self.f.op(Op::F64Eq, &[x, x], None);
        let x = self.f.op(Op::F64Select, &[number, x, zero], None);
        let x = self.f.op(Op::JsMax, &[x, zero], None);
        let x = self.f.op(Op::JsMin, &[x, most], None);
        let x = self.f.op(Op::F64Nearest, &[x], None);
        let low = self.f.op(Op::JsToInt32, &[x], None);
        self.f.op(Op::I64FromI32, &[low], None)
    }
}
