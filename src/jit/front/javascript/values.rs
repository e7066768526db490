//! What an expression gives, and what a variable holds.

use super::super::super::error::{JitError, Pos, Result};
use super::super::super::ir::Reg;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that is an int32 (and not -0).
    Int,
    /// Any number.
    Number,
    /// A boolean.
    Bool,
    /// `undefined`.
    Undefined,
    /// A number or `undefined`.
    Maybe,
    /// The typed array with this number.
    Array(usize),
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int | Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Undefined => "undefined",
            Self::Maybe => "a number or undefined",
            Self::Array(_) => "a typed array",
        }
    }

    /// The kind of a place that takes both.
    pub(super) fn join(self, other: Self, pos: Pos, what: &str) -> Result<Self> {
        use Kind::{Array, Bool, Int, Maybe, Number, Undefined};
        Ok(match (self, other) {
            (a, b) if a == b => a,
            (Bool | Array(_), _) | (_, Bool | Array(_)) => {
                return Err(JitError::unsupported(
                    pos,
                    format!("{what} is {} here and {} elsewhere", other.name(), self.name()),
                ));
            }
            (Int | Number, Int | Number) => Number,
            (Undefined, Undefined) => Undefined,
            (Undefined | Maybe, _) | (_, Undefined | Maybe) => Maybe,
        })
    }
}

/// What an expression gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val {
    Const(f64),
    Int(Reg),
    Number(Reg),
    Bool(Reg),
    Undefined,
    /// A number, and whether it is there; NaN where it is not.
    Maybe(Reg, Reg),
    Array(usize),
}

impl Val {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Const(x) if is_int32(x) => Kind::Int,
            Self::Const(_) | Self::Number(_) => Kind::Number,
            Self::Int(_) => Kind::Int,
            Self::Bool(_) => Kind::Bool,
            Self::Undefined => Kind::Undefined,
            Self::Maybe(..) => Kind::Maybe,
            Self::Array(n) => Kind::Array(n),
        }
    }
}

pub(super) fn is_int32(x: f64) -> bool {
    f64::from(x as i32) == x && (x != 0.0 || x.is_sign_positive())
}
