//! What a program consists of, and what its names mean.

use super::lower::{Code, lower};
use super::tree::parse;
use crate::jit::check::Limits;
use crate::jit::error::{JitError, Pos, Result};
use crate::jit::ir::Import;
use std::collections::HashMap;

/// A built-in function that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "Python's names")]
pub enum Builtin {
    Abs,
    All,
    Any,
    Bool,
    Divmod,
    Float,
    Int,
    Len,
    Max,
    Min,
    Pow,
    Range,
    Round,
    Sum,
}

impl Builtin {
    /// By Python's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "abs" => Self::Abs,
            "all" => Self::All,
            "any" => Self::Any,
            "bool" => Self::Bool,
            "divmod" => Self::Divmod,
            "float" => Self::Float,
            "int" => Self::Int,
            "len" => Self::Len,
            "max" => Self::Max,
            "min" => Self::Min,
            "pow" => Self::Pow,
            "range" => Self::Range,
            "round" => Self::Round,
            "sum" => Self::Sum,
            _ => return None,
        })
    }
}

/// A function or constant of the module `math`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "Python's names")]
pub enum Math {
    /// One that libm computes and CPython checks afterwards.
    Libm(Import),
    Sqrt,
    Fabs,
    Floor,
    Ceil,
    Trunc,
    Copysign,
    IsNan,
    IsInf,
    IsFinite,
    Degrees,
    Radians,
    Fmod,
    Pow,
    /// `pi`, `e`, `tau`, `inf`, `nan`, as bits.
    Constant(u64),
}

impl Math {
    /// By Python's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use std::f64::consts::{E, PI, TAU};
        Some(match name {
            "sqrt" => Self::Sqrt,
            "fabs" => Self::Fabs,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            "trunc" => Self::Trunc,
            "copysign" => Self::Copysign,
            "isnan" => Self::IsNan,
            "isinf" => Self::IsInf,
            "isfinite" => Self::IsFinite,
            "degrees" => Self::Degrees,
            "radians" => Self::Radians,
            "fmod" => Self::Fmod,
            "pow" => Self::Pow,
            "pi" => Self::Constant(PI.to_bits()),
            "e" => Self::Constant(E.to_bits()),
            "tau" => Self::Constant(TAU.to_bits()),
            "inf" => Self::Constant(f64::INFINITY.to_bits()),
            "nan" => Self::Constant(f64::NAN.to_bits()),
            // CPython has its own algorithms for these, or its own special cases: not libm's bits.
            "hypot" | "fmod_" => return None,
            _ => Self::Libm(*Import::ALL.iter().find(|i| i.name() == name)?),
        })
    }
}

/// What a name that is no local variable means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A number: the hidden argument of this number.
    Number(usize),
    /// A function of the program.
    Function(usize),
    /// A built-in function.
    Builtin(Builtin),
    /// The module `math`.
    MathModule,
    /// Something of the module `math`.
    Math(Math),
    /// `None`, as the value of a global.
    None,
}

/// How a parameter is used: what tells an array from a scalar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// It is subscripted, iterated, or its length is asked for: it must be an array.
    pub array: bool,
}

/// A function of a program.
#[derive(Clone, Debug)]
pub struct PyFn {
    /// Its name.
    pub name: String,
    /// Its parameters' names.
    pub params: Vec<String>,
    /// How each is used.
    pub usage: Vec<Usage>,
    /// Constant defaults of the last parameters; `None` where there is none.
    pub defaults: Vec<Option<Entry>>,
    pub(super) code: Code,
}

/// Functions that call each other, with what their names mean; the first is the entry.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The functions.
    pub functions: Vec<PyFn>,
    /// Whether `sum` of floats compensates (CPython 3.12 and later): then it does not compile.
    pub compensated_sum: bool,
}

impl Program {
    /// Adds a function: its tree, and what its names mean.
    ///
    /// # Errors
    /// `Syntax` for a malformed tree, `Unsupported` for what does not compile, `Limit` for what is too large.
    pub fn add(
        &mut self,
        tree: &str,
        names: &HashMap<String, Entry>,
        defaults: Vec<Option<Entry>>,
        limits: &Limits,
    ) -> Result<()> {
        if tree.len() > limits.source * 8 {
            return Err(JitError::limit(Pos::default(), "the function is too large"));
        }
        let node = parse(tree, limits.nesting * 2)?;
        let mut function = lower(&node, names)?;
        function.defaults = defaults;
        self.functions.push(function);
        Ok(())
    }
}
