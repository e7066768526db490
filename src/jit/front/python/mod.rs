//! Python functions: a tree (`tree.rs`) becomes untyped stack code (`lower.rs`), which is specialised for the types of a
//! call (`special.rs`): each place of the code is translated once per combination of types that reaches it, so that a
//! variable may change its type and every operation still knows its operands.
//!
//! What is decided at which time: names are resolved when the program is made (the face guards them), types when a call
//! brings them.

mod env;
mod kinds;
mod lower;
mod ops;
mod special;

pub use super::tree;
pub use env::{Builtin, Entry, Math, Program, PyFn, Usage};
pub use kinds::Kind;
pub use special::{Specialised, specialise};
