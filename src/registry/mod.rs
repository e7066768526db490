//! Names and paths: who is called what on this runtime.

pub mod names;
pub mod paths;
