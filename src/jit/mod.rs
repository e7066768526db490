//! Functions at native speed, that never answer differently from the function they were made from.
//!
//! ```text
//!  front/python.rs, front/javascript.rs    source -> IR           builder.rs   how they write it
//!  ir.rs, ops.rs                           the typed IR, its operations
//!  check.rs                                types, order, limits   error.rs     why not, with line and column
//!  map.rs, fold.rs                         a function -> a loop over buffers, still IR
//!  interp.rs, num.rs                       the specification: what every operation means
//!  imports.rs                              the closed table of libm
//!  codegen/, code.rs                       IR -> Cranelift -> executable memory
//!  kernel.rs                               the compiled function: call it
//!  race.rs                                 which of several ways to run a function is the fastest
//! ```
//!
//! The contract is docs/jit.md, the reasons ADR 0022.

pub mod builder;
pub mod check;
mod code;
mod codegen;
pub mod error;
pub mod fold;
pub mod front;
pub mod imports;
mod interp;
pub mod ir;
pub mod kernel;
pub mod map;
mod num;
pub mod ops;
pub mod race;

pub use builder::{FuncBuilder, ModuleBuilder};
pub use check::Limits;
pub use error::{JitError, JitErrorKind, Pos};
pub use kernel::{Budget, Buffer, Frame, Hook, Kernel, List, Options, Outcome};

#[cfg(test)]
mod tests;
