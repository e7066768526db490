//! The operations of the IR. Each names its semantics; what a name means is what `interp.rs` does with it.

use super::ir::Ty;

macro_rules! ops {
    ($( $(#[$doc:meta])* $name:ident = $text:literal ($($arg:ident),*) -> $ret:ident $($exits:ident)? ; )*) => {
        /// An operation: up to three typed arguments, one typed result, no effect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Op { $( $(#[$doc])* $name, )* }

        impl Op {
            /// Every operation, for tables and tests.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            /// The name, as printed.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Op::$name => $text),* }
            }
            /// The types of the arguments.
            #[must_use]
            pub const fn args(self) -> &'static [Ty] {
                match self { $(Op::$name => &[$(Ty::$arg),*]),* }
            }
            /// The type of the result.
            #[must_use]
            pub const fn result(self) -> Ty {
                match self { $(Op::$name => Ty::$ret),* }
            }
            /// Whether it leaves through an exit where it has no answer.
            #[must_use]
            pub const fn may_exit(self) -> bool {
                match self { $(Op::$name => false $(|| { stringify!($exits); true })?),* }
            }
        }
    };
}

ops! {
    // --- shared: IEEE 754 binary64 -----------------------------------------------------------------
    /// IEEE addition.
    F64Add = "f64.add" (F64, F64) -> F64;
    /// IEEE subtraction.
    F64Sub = "f64.sub" (F64, F64) -> F64;
    /// IEEE multiplication.
    F64Mul = "f64.mul" (F64, F64) -> F64;
    /// IEEE division; x/0 is an infinity or NaN.
    F64Div = "f64.div" (F64, F64) -> F64;
    /// Flips the sign, of NaN too.
    F64Neg = "f64.neg" (F64) -> F64;
    /// Clears the sign.
    F64Abs = "f64.abs" (F64) -> F64;
    /// IEEE square root; NaN below -0.
    F64Sqrt = "f64.sqrt" (F64) -> F64;
    /// Rounds down to an integral value.
    F64Floor = "f64.floor" (F64) -> F64;
    /// Rounds up to an integral value.
    F64Ceil = "f64.ceil" (F64) -> F64;
    /// Rounds towards zero to an integral value.
    F64Trunc = "f64.trunc" (F64) -> F64;
    /// Rounds to the nearest integral value, ties to even.
    F64Nearest = "f64.nearest" (F64) -> F64;
    /// The first argument with the sign of the second.
    F64Copysign = "f64.copysign" (F64, F64) -> F64;
    /// C `fmod`: exact, with the sign of the first argument (what JS `%` does).
    F64Rem = "f64.rem" (F64, F64) -> F64;
    /// Equal; NaN equals nothing.
    F64Eq = "f64.eq" (F64, F64) -> Bool;
    /// Not equal.
    F64Ne = "f64.ne" (F64, F64) -> Bool;
    /// Less.
    F64Lt = "f64.lt" (F64, F64) -> Bool;
    /// Less or equal.
    F64Le = "f64.le" (F64, F64) -> Bool;
    /// Greater.
    F64Gt = "f64.gt" (F64, F64) -> Bool;
    /// Greater or equal.
    F64Ge = "f64.ge" (F64, F64) -> Bool;
    /// Neither infinite nor NaN.
    F64IsFinite = "f64.is_finite" (F64) -> Bool;
    /// The nearest binary64 to an integer, ties to even.
    F64FromI64 = "f64.from.i64" (I64) -> F64;
    /// Exact.
    F64FromI32 = "f64.from.i32" (I32) -> F64;
    /// Exact, the 32 bits read as unsigned.
    F64FromU32 = "f64.from.u32" (I32) -> F64;
    /// Rounded to binary32 and back (JS `Math.fround`).
    F64Fround = "f64.fround" (F64) -> F64;

    // --- shared: integers that wrap ----------------------------------------------------------------
    /// Equal.
    I64Eq = "i64.eq" (I64, I64) -> Bool;
    /// Not equal.
    I64Ne = "i64.ne" (I64, I64) -> Bool;
    /// Less.
    I64Lt = "i64.lt" (I64, I64) -> Bool;
    /// Less or equal.
    I64Le = "i64.le" (I64, I64) -> Bool;
    /// Greater.
    I64Gt = "i64.gt" (I64, I64) -> Bool;
    /// Greater or equal.
    I64Ge = "i64.ge" (I64, I64) -> Bool;
    /// Addition modulo 2^64.
    I64AddWrap = "i64.add.wrap" (I64, I64) -> I64;
    /// Subtraction modulo 2^64.
    I64SubWrap = "i64.sub.wrap" (I64, I64) -> I64;
    /// Bitwise and.
    I64And = "i64.and" (I64, I64) -> I64;
    /// Bitwise or.
    I64Or = "i64.or" (I64, I64) -> I64;
    /// Bitwise exclusive or.
    I64Xor = "i64.xor" (I64, I64) -> I64;
    /// Bitwise not.
    I64Not = "i64.not" (I64) -> I64;
    /// 0 or 1.
    I64FromBool = "i64.from.bool" (Bool) -> I64;
    /// Sign-extended.
    I64FromI32 = "i64.from.i32" (I32) -> I64;
    /// The low 32 bits.
    I32FromI64 = "i32.wrap.i64" (I64) -> I32;

    // --- shared: booleans and choice ---------------------------------------------------------------
    /// Not.
    BoolNot = "bool.not" (Bool) -> Bool;
    /// And, both sides evaluated.
    BoolAnd = "bool.and" (Bool, Bool) -> Bool;
    /// Or, both sides evaluated.
    BoolOr = "bool.or" (Bool, Bool) -> Bool;
    /// Exclusive or.
    BoolXor = "bool.xor" (Bool, Bool) -> Bool;
    /// The second if the first is true, else the third; both evaluated.
    F64Select = "f64.select" (Bool, F64, F64) -> F64;
    /// The second if the first is true, else the third; both evaluated.
    I64Select = "i64.select" (Bool, I64, I64) -> I64;

    // --- Python ------------------------------------------------------------------------------------
    /// `a + b`; leaves where the sum is no i64.
    PyAddI64 = "py.add.i64" (I64, I64) -> I64 exits;
    /// `a - b`; leaves where the difference is no i64.
    PySubI64 = "py.sub.i64" (I64, I64) -> I64 exits;
    /// `a * b`; leaves where the product is no i64.
    PyMulI64 = "py.mul.i64" (I64, I64) -> I64 exits;
    /// `-a`; leaves at -2^63.
    PyNegI64 = "py.neg.i64" (I64) -> I64 exits;
    /// `abs(a)`; leaves at -2^63.
    PyAbsI64 = "py.abs.i64" (I64) -> I64 exits;
    /// `a // b`, rounded down; leaves at b = 0 and at -2^63 // -1.
    PyFloorDivI64 = "py.floordiv.i64" (I64, I64) -> I64 exits;
    /// `a % b`, with the sign of b; leaves at b = 0.
    PyModI64 = "py.mod.i64" (I64, I64) -> I64 exits;
    /// `a / b` as float; leaves at b = 0 and where either is beyond 2^53 in size (CPython rounds once).
    PyTrueDivI64 = "py.truediv.i64" (I64, I64) -> F64 exits;
    /// `a ** b` for b >= 0; leaves below and where the power is no i64.
    PyPowI64 = "py.pow.i64" (I64, I64) -> I64 exits;
    /// `a << b`; leaves unless 0 <= b < 64, and where the result is no i64.
    PyShlI64 = "py.shl.i64" (I64, I64) -> I64 exits;
    /// `a >> b`, arithmetic; leaves at b < 0.
    PyShrI64 = "py.shr.i64" (I64, I64) -> I64 exits;
    /// `a / b`; leaves at b = 0.
    PyTrueDivF64 = "py.truediv.f64" (F64, F64) -> F64 exits;
    /// `a // b`; leaves at b = 0.
    PyFloorDivF64 = "py.floordiv.f64" (F64, F64) -> F64 exits;
    /// `a % b`, with the sign of b; leaves at b = 0.
    PyModF64 = "py.mod.f64" (F64, F64) -> F64 exits;
    /// `a ** b`; leaves where CPython raises or answers a complex number.
    PyPowF64 = "py.pow.f64" (F64, F64) -> F64 exits;
    /// `int(a)`, `math.trunc(a)`; leaves at NaN, infinities and beyond i64.
    PyTruncI64 = "py.trunc.i64" (F64) -> I64 exits;
    /// `math.floor(a)`; leaves like `py.trunc.i64`.
    PyFloorI64 = "py.floor.i64" (F64) -> I64 exits;
    /// `math.ceil(a)`; leaves like `py.trunc.i64`.
    PyCeilI64 = "py.ceil.i64" (F64) -> I64 exits;
    /// `round(a)`, ties to even; leaves like `py.trunc.i64`.
    PyRoundI64 = "py.round.i64" (F64) -> I64 exits;
    /// An int as a float operand is exact: leaves beyond 2^53 in size (int/float comparisons are exact in Python).
    PyExactF64 = "py.exact.f64" (I64) -> F64 exits;
    /// A libm result `r` of `x`: leaves where CPython's math module raises (r is NaN and x is not, or r is infinite and x is finite).
    PyMathCheck = "py.math.check" (F64, F64) -> F64 exits;
    /// The same for two arguments `x`, `y`.
    PyMathCheck2 = "py.math.check2" (F64, F64, F64) -> F64 exits;
    /// `i` of `a[i]` for a negative `i`: `i + n`; else `i`.
    PyWrapIndex = "py.wrap.index" (I64, I64) -> I64;
    /// How often `range(a, b, c)` turns; leaves at c = 0 and where the count is no i64.
    PyRangeLen = "py.range.len" (I64, I64, I64) -> I64 exits;

    // --- JavaScript --------------------------------------------------------------------------------
    /// `ToInt32`.
    JsToInt32 = "js.toint32.f64" (F64) -> I32;
    /// Truthiness of a number: neither 0, -0 nor NaN.
    JsToBool = "js.tobool.f64" (F64) -> Bool;
    /// `a & b`.
    JsBitAnd = "js.bitand.i32" (I32, I32) -> I32;
    /// `a | b`.
    JsBitOr = "js.bitor.i32" (I32, I32) -> I32;
    /// `a ^ b`.
    JsBitXor = "js.bitxor.i32" (I32, I32) -> I32;
    /// `~a`.
    JsBitNot = "js.bitnot.i32" (I32) -> I32;
    /// `a << b`, b modulo 32.
    JsShl = "js.shl.i32" (I32, I32) -> I32;
    /// `a >> b`, b modulo 32.
    JsShr = "js.shr.i32" (I32, I32) -> I32;
    /// `a >>> b`, b modulo 32; the bits of a uint32 (`f64.from.u32` makes the number).
    JsUshr = "js.ushr.i32" (I32, I32) -> I32;
    /// `Math.imul`.
    JsImul = "js.imul.i32" (I32, I32) -> I32;
    /// `Math.clz32`.
    JsClz32 = "js.clz.i32" (I32) -> I32;
    /// `Math.round`: ties up, -0 kept.
    JsRound = "js.round.f64" (F64) -> F64;
    /// `Math.min(a, b)`: NaN wins, -0 below 0.
    JsMin = "js.min.f64" (F64, F64) -> F64;
    /// `Math.max(a, b)`: NaN wins, 0 above -0.
    JsMax = "js.max.f64" (F64, F64) -> F64;
    /// `Math.sign`.
    JsSign = "js.sign.f64" (F64) -> F64;
    /// A number as an index: leaves unless it is an integer from 0 to 2^53 - 1 (-0 is 0).
    JsIndex = "js.index.f64" (F64) -> I64 exits;
}
