//! Operations in four lanes. Each is the scalar operation, bit by bit, in every lane that it does not call bad.

use super::super::super::super::ir::Op;
use super::super::vex;
use super::{EQ, GE, GT, LE, LT, MAGIC, NE, NOT_LT, Path, Planner, SIGN, Src, TWO_51};

impl Planner<'_> {
    pub(super) fn compute(&mut self, op: Op, v: [Src; 3], path: Path) -> Option<Src> {
        let [a, b, c] = v;
        Some(match op {
            Op::F64Add => self.op(vex::ADDPD, a, b),
            Op::F64Sub => self.op(vex::SUBPD, a, b),
            Op::F64Mul => self.op(vex::MULPD, a, b),
            Op::F64Div => self.op(vex::DIVPD, a, b),
            Op::F64Neg => {
                let sign = self.word(SIGN);
                self.op(vex::XORPD, a, sign)
            }
            Op::F64Abs => self.abs(a),
            Op::F64Sqrt => self.unary(vex::SQRTPD, a, None),
            Op::F64Nearest => self.unary(vex::ROUNDPD, a, Some(8)),
            Op::F64Floor => self.unary(vex::ROUNDPD, a, Some(9)),
            Op::F64Ceil => self.unary(vex::ROUNDPD, a, Some(10)),
            Op::F64Trunc => self.unary(vex::ROUNDPD, a, Some(11)),
            Op::F64Copysign => self.copysign(a, b),
            Op::F64Eq => self.with(vex::CMPPD, a, b, EQ),
            Op::F64Ne => self.with(vex::CMPPD, a, b, NE),
            Op::F64Lt => self.with(vex::CMPPD, a, b, LT),
            Op::F64Le => self.with(vex::CMPPD, a, b, LE),
            Op::F64Gt => self.with(vex::CMPPD, a, b, GT),
            Op::F64Ge => self.with(vex::CMPPD, a, b, GE),
            Op::F64IsFinite => {
                let size = self.abs(a);
                let infinity = self.float(f64::INFINITY);
                self.with(vex::CMPPD, size, infinity, LT)
            }
            Op::F64FromI64 | Op::PyExactF64 => self.exact_float(a, path),
            Op::F64FromI32 => {
                let halves = self.low_halves(a);
                self.unary(vex::CVTDQ2PD, halves, None)
            }
            Op::F64FromU32 => {
                let low = self.word(0xffff_ffff);
                let low = self.op(vex::PAND, a, low);
                // 2^52, in whose lowest bits it stands.
                let two_52 = self.float(4_503_599_627_370_496.0);
                let sum = self.op(vex::POR, low, two_52);
                self.op(vex::SUBPD, sum, two_52)
            }
            Op::F64Fround => {
                let single = self.unary(vex::CVTPD2PS, a, None);
                self.unary(vex::CVTPS2PD, single, None)
            }
            Op::F64Select | Op::I64Select => self.blend(c, b, a),
            Op::BoolNot => self.not(a),
            Op::BoolAnd => self.op(vex::PAND, a, b),
            Op::BoolOr => self.op(vex::POR, a, b),
            Op::BoolXor => self.op(vex::PXOR, a, b),
            Op::PyTrueDivF64 => {
                self.leave_at_zero(b, path);
                self.op(vex::DIVPD, a, b)
            }
            // The scalar loop looks whether it really has to leave.
            Op::PyMathCheck | Op::PyMathCheck2 => {
                let size = self.abs(a);
                let infinity = self.float(f64::INFINITY);
                let odd = self.with(vex::CMPPD, size, infinity, NOT_LT);
                self.leaves(odd, path);
                a
            }
            Op::JsToBool => self.nonzero(a),
            Op::JsRound => {
                let floor = self.unary(vex::ROUNDPD, a, Some(9));
                let fraction = self.op(vex::SUBPD, a, floor);
                let half = self.float(0.5);
                let up = self.with(vex::CMPPD, fraction, half, GE);
                let one = self.float(1.0);
                let next = self.op(vex::ADDPD, floor, one);
                let rounded = self.blend(floor, next, up);
                self.copysign(rounded, a)
            }
            Op::JsSign => {
                let sized = self.nonzero(a);
                let one = self.float(1.0);
                let unit = self.copysign(one, a);
                self.blend(a, unit, sized)
            }
            // `MINPD` answers its second operand for two zeros and for NaN: both ways, and the bits of both.
            Op::JsMin => {
                let (one, other) = (self.op(vex::MINPD, a, b), self.op(vex::MINPD, b, a));
                self.op(vex::ORPD, one, other)
            }
            Op::JsMax => {
                let (one, other) = (self.op(vex::MAXPD, a, b), self.op(vex::MAXPD, b, a));
                let differ = self.op(vex::XORPD, one, other);
                let both = self.op(vex::ORPD, one, differ);
                self.op(vex::SUBPD, both, differ)
            }
            _ => return self.integers(op, v, path),
        })
    }

    fn integers(&mut self, op: Op, [a, b, _]: [Src; 3], path: Path) -> Option<Src> {
        Some(match op {
            Op::I64Eq => self.op(vex::PCMPEQQ, a, b),
            Op::I64Gt => self.op(vex::PCMPGTQ, a, b),
            Op::I64Lt => self.op(vex::PCMPGTQ, b, a),
            Op::I64Ne => {
                let same = self.op(vex::PCMPEQQ, a, b);
                self.not(same)
            }
            Op::I64Le => {
                let more = self.op(vex::PCMPGTQ, a, b);
                self.not(more)
            }
            Op::I64Ge => {
                let less = self.op(vex::PCMPGTQ, b, a);
                self.not(less)
            }
            Op::I64AddWrap => self.op(vex::PADDQ, a, b),
            Op::I64SubWrap => self.op(vex::PSUBQ, a, b),
            Op::I64And => {
                let value = self.op(vex::PAND, a, b);
                // With a mask that is not negative.
                let masks = [a, b].map(|x| self.range(x).filter(|r| r.0 >= 0).map(|r| r.1));
                if let Some(high) = masks.into_iter().flatten().min() {
                    self.ranges.insert(value, (0, high));
                }
                value
            }
            Op::I64Or | Op::JsBitOr => self.op(vex::POR, a, b),
            Op::I64Xor | Op::JsBitXor => self.op(vex::PXOR, a, b),
            Op::JsBitAnd => self.op(vex::PAND, a, b),
            Op::I64Not | Op::JsBitNot => self.not(a),
            Op::I64FromBool => {
                let value = self.shift(vex::PSHIFTQ, 2, a, 63);
                self.ranges.insert(value, (0, 1));
                value
            }
            Op::I64FromI32 => self.signed(a),
            // The upper half of a 32-bit lane is anything.
            Op::I32FromI64 => a,
            Op::PyAddI64 | Op::PySubI64 => self.sum(op, a, b, path),
            Op::PyNegI64 => {
                let zero = self.int(0);
                self.sum(Op::PySubI64, zero, a, path)
            }
            Op::PyAbsI64 => {
                let zero = self.int(0);
                let negative = self.op(vex::PCMPGTQ, zero, a);
                let flipped = self.op(vex::PXOR, a, negative);
                let size = self.op(vex::PSUBQ, flipped, negative);
                match self.range(a) {
                    Some((low, high)) if low > i64::MIN => {
                        self.ranges.insert(size, (0, high.abs().max(low.abs())));
                    }
                    // Only the lowest has no size.
                    _ => self.leaves(size, path),
                }
                size
            }
            Op::PyMulI64 => {
                let low = i64::from(i32::MIN);
                let high = i64::from(i32::MAX);
                let [x, y] = [a, b].map(|x| self.bounded(x, low, high, path));
                let value = self.op(vex::PMULDQ, a, b);
                let products = [x.0 * y.0, x.0 * y.1, x.1 * y.0, x.1 * y.1];
                let least = products.into_iter().min().unwrap_or(i64::MIN);
                let most = products.into_iter().max().unwrap_or(i64::MAX);
                self.ranges.insert(value, (least, most));
                value
            }
            Op::PyTrueDivI64 => {
                let [x, y] = [a, b].map(|x| self.exact_float(x, path));
                self.leave_at_zero(y, path);
                self.op(vex::DIVPD, x, y)
            }
            // Of integers below 2^51 the rounded quotient has the floor of the exact one.
            Op::PyFloorDivI64 => {
                let (_, _, quotient) = self.floor_div(a, b, path);
                self.whole(quotient, path)
            }
            Op::PyModI64 => {
                let (x, y, quotient) = self.floor_div(a, b, path);
                let product = self.op(vex::MULPD, quotient, y);
                let rest = self.op(vex::SUBPD, x, product);
                self.whole(rest, path)
            }
            Op::PyShrI64 => {
                let by = self.count(b)?;
                if by == 0 {
                    return Some(a);
                }
                self.shift_right(a, by)
            }
            Op::PyShlI64 => {
                let by = self.count(b)?;
                if by == 0 {
                    return Some(a);
                }
                let value = self.shift(vex::PSHIFTQ, 6, a, by);
                let room = i64::MAX >> by;
                if self.within(a, -room, room) {
                    let (low, high) = self.range(a)?;
                    self.ranges.insert(value, (low << by, high << by));
                } else {
                    let back = self.shift_right(value, by);
                    let same = self.op(vex::PCMPEQQ, back, a);
                    let lost = self.not(same);
                    self.leaves(lost, path);
                }
                value
            }
            Op::PyTruncI64 | Op::PyFloorI64 | Op::PyCeilI64 | Op::PyRoundI64 => {
                let how = match op {
                    Op::PyFloorI64 => 9,
                    Op::PyCeilI64 => 10,
                    Op::PyRoundI64 => 8,
                    _ => 11,
                };
                let whole = self.unary(vex::ROUNDPD, a, Some(how));
                self.whole(whole, path)
            }
            Op::JsToInt32 => {
                let whole = self.unary(vex::ROUNDPD, a, Some(11));
                self.leave_if_large(whole, path);
                let magic = self.float(MAGIC);
                self.op(vex::ADDPD, whole, magic)
            }
            Op::JsImul => self.op(vex::PMULLD, a, b),
            Op::JsShl | Op::JsShr | Op::JsUshr => {
                let mask = self.word(31);
                let by = self.op(vex::PAND, b, mask);
                let enc = match op {
                    Op::JsShl => vex::PSLLVD,
                    Op::JsShr => vex::PSRAVD,
                    _ => vex::PSRLVD,
                };
                self.op(enc, a, by)
            }
            _ => return None,
        })
    }

    fn abs(&mut self, x: Src) -> Src {
        let rest = self.word(!SIGN);
        self.op(vex::ANDPD, x, rest)
    }

    fn copysign(&mut self, size: Src, sign: Src) -> Src {
        let bit = self.word(SIGN);
        let sign = self.op(vex::ANDPD, sign, bit);
        let size = self.abs(size);
        self.op(vex::ORPD, size, sign)
    }

    /// Neither NaN nor a zero.
    fn nonzero(&mut self, x: Src) -> Src {
        let size = self.abs(x);
        let zero = self.float(0.0);
        self.with(vex::CMPPD, size, zero, GT)
    }

    fn leave_at_zero(&mut self, x: Src, path: Path) {
        let zero = self.float(0.0);
        let is_zero = self.with(vex::CMPPD, x, zero, EQ);
        self.leaves(is_zero, path);
    }

    fn leave_if_large(&mut self, x: Src, path: Path) {
        let size = self.abs(x);
        let limit = self.float(TWO_51 as f64);
        let large = self.with(vex::CMPPD, size, limit, NOT_LT);
        self.leaves(large, path);
    }

    /// The bounds of an integer; lanes beyond them are bad.
    fn bounded(&mut self, x: Src, low: i64, high: i64, path: Path) -> (i64, i64) {
        if let Some(range) = self.range(x).filter(|(a, b)| low <= *a && *b <= high) {
            return range;
        }
        let [under, over] = [low, high].map(|bound| self.int(bound));
        let small = self.op(vex::PCMPGTQ, under, x);
        let large = self.op(vex::PCMPGTQ, x, over);
        let outside = self.op(vex::POR, small, large);
        self.leaves(outside, path);
        if path == Path::All {
            self.ranges.insert(x, (low, high));
        }
        (low, high)
    }

    fn exact_float(&mut self, x: Src, path: Path) -> Src {
        self.bounded(x, -TWO_51, TWO_51, path);
        let bits = self.word(MAGIC.to_bits());
        let sum = self.op(vex::PADDQ, x, bits);
        self.op(vex::SUBPD, sum, bits)
    }

    /// A float without a fraction as an integer.
    fn whole(&mut self, x: Src, path: Path) -> Src {
        self.leave_if_large(x, path);
        let magic = self.float(MAGIC);
        let sum = self.op(vex::ADDPD, x, magic);
        let value = self.op(vex::PSUBQ, sum, magic);
        self.ranges.insert(value, (-TWO_51, TWO_51));
        value
    }

    fn floor_div(&mut self, a: Src, b: Src, path: Path) -> (Src, Src, Src) {
        let [x, y] = [a, b].map(|x| self.exact_float(x, path));
        self.leave_at_zero(y, path);
        let quotient = self.op(vex::DIVPD, x, y);
        (x, y, self.unary(vex::ROUNDPD, quotient, Some(9)))
    }

    fn sum(&mut self, op: Op, a: Src, b: Src, path: Path) -> Src {
        let minus = op == Op::PySubI64;
        let value = self.op(if minus { vex::PSUBQ } else { vex::PADDQ }, a, b);
        let bounds = self.range(a).zip(self.range(b)).and_then(|(a, b)| {
            if minus {
                Some((a.0.checked_sub(b.1)?, a.1.checked_sub(b.0)?))
            } else {
                Some((a.0.checked_add(b.0)?, a.1.checked_add(b.1)?))
            }
        });
        if let Some(bounds) = bounds {
            self.ranges.insert(value, bounds);
            return value;
        }
        // The sign is that of neither operand (of a difference: not a's, and b's is not a's).
        let one = self.op(vex::PXOR, a, value);
        let other = if minus { self.op(vex::PXOR, a, b) } else { self.op(vex::PXOR, b, value) };
        let wrong = self.op(vex::PAND, one, other);
        self.leaves(wrong, path);
        value
    }

    /// A constant count of a shift.
    fn count(&self, by: Src) -> Option<u8> {
        let (low, high) = self.range(by)?;
        (low == high && (0..64).contains(&low)).then(|| u8::try_from(low).ok())?
    }

    /// Arithmetic, by 1 to 63.
    fn shift_right(&mut self, x: Src, by: u8) -> Src {
        let shifted = self.shift(vex::PSHIFTQ, 2, x, by);
        let sign = self.word(1 << (63 - by));
        let flipped = self.op(vex::PXOR, shifted, sign);
        let value = self.op(vex::PSUBQ, flipped, sign);
        if let Some((low, high)) = self.range(x) {
            self.ranges.insert(value, (low >> by, high >> by));
        }
        value
    }

    /// The low 32 bits with their sign.
    fn signed(&mut self, x: Src) -> Src {
        let signs = self.shift(vex::PSHIFTD, 4, x, 31);
        let upper = self.unary(vex::PSHUFD, signs, Some(0xa0));
        let value = self.with(vex::PBLENDD, x, upper, 0xaa);
        self.ranges.insert(value, (i64::from(i32::MIN), i64::from(i32::MAX)));
        value
    }
}
