//! The front ends: source to IR. Each builds with `ModuleBuilder` and `FuncBuilder` and knows its language's rules; what
//! comes after knows neither language.

pub mod javascript;
pub mod python;
pub mod tree;
