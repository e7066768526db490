//! The closed table of functions outside of the IR: libm as the process is linked with it. No name is ever looked up.
//!
//! They are the C library's own, so that a result has the bits that CPython's `math` gives in the same process (both end
//! in one libm); the Python face compares the two before it trusts a name.

#![allow(unsafe_code, reason = "declares C's libm: pure functions of floats")]

macro_rules! imports {
    ($( $name:ident = $text:literal, $c:ident ( $($arg:ident),* ) ; )*) => {
        /// A function of the table: one or two F64 to F64.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "C's names")]
        #[non_exhaustive]
        pub enum Import { $($name),* }

        unsafe extern "C" {
            // SAFETY: C99 functions of floats: they touch nothing but errno and the floating-point flags.
            $( safe fn $c($($arg: f64),*) -> f64; )*
        }

        impl Import {
            /// Every function of the table.
            pub const ALL: &'static [Import] = &[$(Import::$name),*];

            /// The name, as printed; Python's and C's.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Import::$name => $text),* }
            }
            /// The number of arguments.
            #[must_use]
            pub const fn arity(self) -> usize {
                match self { $(Import::$name => [$(stringify!($arg)),*].len()),* }
            }
            /// The address for generated code.
            #[must_use]
            pub fn address(self) -> usize {
                match self { $(Import::$name => imports!(@ptr $c $($arg)*)),* }
            }
            /// Calls it; a function of one argument ignores `b`.
            #[must_use]
            pub fn call(self, a: f64, b: f64) -> f64 {
                match self { $(Import::$name => imports!(@call $c a b $($arg)*)),* }
            }
        }
    };
    (@ptr $c:ident x) => { $c as extern "C" fn(f64) -> f64 as usize };
    (@ptr $c:ident x y) => { $c as extern "C" fn(f64, f64) -> f64 as usize };
    (@call $c:ident $a:ident $b:ident x) => {{ let _ = $b; $c($a) }};
    (@call $c:ident $a:ident $b:ident x y) => { $c($a, $b) };
}

imports! {
    Sin = "sin", sin(x);
    Cos = "cos", cos(x);
    Tan = "tan", tan(x);
    Asin = "asin", asin(x);
    Acos = "acos", acos(x);
    Atan = "atan", atan(x);
    Atan2 = "atan2", atan2(x, y);
    Sinh = "sinh", sinh(x);
    Cosh = "cosh", cosh(x);
    Tanh = "tanh", tanh(x);
    Asinh = "asinh", asinh(x);
    Acosh = "acosh", acosh(x);
    Atanh = "atanh", atanh(x);
    Exp = "exp", exp(x);
    Exp2 = "exp2", exp2(x);
    Expm1 = "expm1", expm1(x);
    Log = "log", log(x);
    Log2 = "log2", log2(x);
    Log10 = "log10", log10(x);
    Log1p = "log1p", log1p(x);
    Cbrt = "cbrt", cbrt(x);
    Erf = "erf", erf(x);
    Erfc = "erfc", erfc(x);
    Pow = "pow", pow(x, y);
    Fmod = "fmod", fmod(x, y);
    Hypot = "hypot", hypot(x, y);
}
