//! Names: who is called what on this runtime.

pub mod names;
