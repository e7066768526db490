//! Speculative execution of a message: a *primary* branch and a *ghost* branch may both run the handler on it, what they do
//! through their context is staged, and exactly one of them commits (docs/vortex.md, ADR 0052).
//!
//! ```text
//!  policy.rs       pure: events of two branches -> one verdict
//!  ghost.rs        one race, with its actor's bounds and the runtime's telemetry
//!  transaction.rs  what a branch has staged
//!  replay.rs       Rust actors: staged, and run again after a crash
//! ```
//!
//! Nothing here has a thread, a clock or a timer: hosts say what happened and when, and carry the verdicts out.

pub mod ghost;
pub mod policy;
pub mod replay;
pub mod transaction;

pub use ghost::{Hedge, HedgeOptions, Race, Vortex};
pub use policy::{Branch, Event, Policy, Verdict};
pub use replay::Replaying;
pub use transaction::{Effect, Transaction};
