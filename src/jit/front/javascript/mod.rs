//! JavaScript functions of numbers and typed arrays.
//!
//! lib/kernel-source.js parses (acorn) and hands over a tree (`tree.rs`); here it becomes IR for the types of one call.
//! A kernel has one exit that a value can cause: a store under the index `undefined`, which makes a property. What JavaScript
//! answers out of range (`undefined`) is carried along as a number and a flag (`values.rs`), and stores out of range do nothing,
//! as the language says.
//!
//! Variables have one kind each, the join of all that is assigned to them: lowering runs until the kinds stand still.

mod expr;
mod lower;
mod math;
mod memory;
mod values;

use super::super::check::Limits;
use super::super::error::Result;
use super::super::ir::{Elem, Module};
use super::tree;
pub use tree::{Item, Node, parse};

/// A typed array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Array {
    /// The element type.
    pub elem: Elem,
    /// `Uint8ClampedArray`.
    pub clamped: bool,
}

/// What an argument of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arg {
    /// A number.
    Number,
    /// A boolean.
    Bool,
    /// A typed array.
    Array(Array),
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Result_ {
    /// It is returned: shape `[F64]` is a number, `[Bool]` a boolean, `[]` is undefined.
    Value,
    /// It is made what a store to such an array makes of it.
    Element(Array),
}

/// Translates a function for arguments of these kinds. Buffers of the module: the arrays in order; parameters: the rest.
///
/// # Errors
/// `Unsupported` with line and column where the function is outside of what compiles.
pub fn compile(
    function: &Node,
    args: &[Arg],
    result: Result_,
    approximate: bool,
    limits: &Limits,
) -> Result<Module> {
    lower::compile(function, args, result, approximate, limits)
}

#[cfg(test)]
mod tests;
