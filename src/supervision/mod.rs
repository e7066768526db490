//! Supervision: who is restarted when somebody ends. The vocabulary is Erlang/OTP's; docs/supervision.md has the tables.
//!
//! ```text
//!  policy.rs     restart types and strategies: the words, and which ends restart whom
//!  intensity.rs  how many restarts within how long are too many
//!  backoff.rs    how long to wait before the next
//!  tree.rs       all supervisors and their children: events in, commands out
//! ```
//!
//! Nothing here does anything: it has no clock, no threads and no actors, and is asked under one lock. Who carries out the
//! commands is `runtime/supervise.rs`.

pub mod backoff;
pub mod intensity;
pub mod policy;
pub mod tree;
