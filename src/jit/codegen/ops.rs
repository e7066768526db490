//! Operations: each the machine's form of what `interp.rs` does.

use super::super::ir::{ExitId, Op};
use super::super::kernel::Helper;
use super::function::Translator;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value, types};

impl Translator<'_> {
    /// Operations that always have an answer.
    pub(super) fn plain(&mut self, op: Op, v: &[Value]) -> Value {
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

    pub(super) fn is_finite(&mut self, x: Value) -> Value {
        let size = self.b.ins().fabs(x);
        let infinity = self.b.ins().f64const(f64::INFINITY);
        self.b.ins().fcmp(FloatCC::LessThan, size, infinity)
    }

    pub(super) fn int32(&mut self, x: Value) -> Value {
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
    pub(super) fn checked(&mut self, op: Op, v: &[Value], exit: ExitId) -> Value {
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

    /// The turns of `range(a, b)`. Not by the helper: a call before a loop holds the loop's floats in memory.
    pub(super) fn count(&mut self, v: &[Value], exit: ExitId) -> Value {
        let some = self.b.ins().icmp(IntCC::SignedGreaterThan, v[1], v[0]);
        let (count, overflow) = self.b.ins().ssub_overflow(v[1], v[0]);
        let too_many = self.b.ins().band(some, overflow);
        self.exit_if(too_many, exit);
        let none = self.b.ins().iconst(types::I64, 0);
        self.b.ins().select(some, count, none)
    }

    pub(super) fn nonzero(&mut self, x: Value, exit: ExitId) {
        let zero = self.b.ins().f64const(0.0);
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, x, zero);
        self.exit_if(is_zero, exit);
    }

    /// Quotient and remainder, truncated. The lowest integer by -1 traps in hardware: a quotient leaves there, a remainder
    /// is made from a divisor of 1 (it is 0 either way).
    pub(super) fn divide(&mut self, v: &[Value], exit: ExitId, quotient: bool) -> (Value, Value) {
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
    pub(super) fn signs_differ(&mut self, rest: Value, divisor: Value) -> Value {
        let mixed = self.b.ins().bxor(rest, divisor);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, mixed, 0);
        let some = self.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        self.b.ins().band(differ, some)
    }

    pub(super) fn exact(&mut self, a: Value, exit: ExitId) -> Value {
        let moved = self.b.ins().iadd_imm_s(a, 1 << 53);
        let out = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, moved, 1 << 54);
        self.exit_if(out, exit);
        self.b.ins().fcvt_from_sint(types::F64, a)
    }

    pub(super) fn math_check(&mut self, result: Value, args: &[Value], exit: ExitId) {
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
}
