//! Every knob of a runtime: unit, default, range.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use std::time::Duration;

/// Default budget of an actor, in messages.
pub const DEFAULT_BUDGET: u32 = 100;
/// Largest budget, in messages.
pub const MAX_BUDGET: u32 = 1_000_000;
/// Largest capacity of a bounded mailbox, in messages.
pub const MAX_CAPACITY: u32 = 1 << 30;
/// Longest delay, in milliseconds (2^53).
pub const MAX_DELAY_MS: f64 = 9_007_199_254_740_992.0;

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads for Rust actors; started with the first of them. Default: one a core. 1 to 1024.
    pub workers: usize,
    /// How long `stop` waits for a running handler before the actor is abandoned. Default 5 s.
    pub stop_timeout: Duration,
    /// How long a call waits when it does not say. Default 5 s.
    pub call_timeout: Duration,
    /// Capacity of the mailboxes of actors that do not say, in messages; `None` (the default) is unbounded.
    pub default_capacity: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            stop_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(5),
            default_capacity: None,
        }
    }
}

impl Config {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument` names the first knob that is out of range.
    pub fn validate(&self) -> Result<()> {
        if !(1..=1024).contains(&self.workers) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("workers must be 1 to 1024, got {}", self.workers),
            ));
        }
        check_capacity(self.default_capacity)
    }
}

/// What the spawn of a virtual actor says beside [`SpawnOptions`].
#[derive(Clone, Copy, Debug, Default)]
pub struct VirtualOptions {
    /// How long it stays active without a message. `None` (the default), or more than 24 days: until it ends.
    pub idle_timeout: Option<Duration>,
    /// The host is to run a hook before the first message after a sleep.
    pub on_activate: bool,
    /// The host is to run a hook before an active actor is stopped. Of passivations it hears in any case.
    pub on_deactivate: bool,
}

/// What a spawn may say.
#[derive(Clone, Copy, Debug)]
pub struct SpawnOptions {
    /// Messages the actor may handle before other actors of its lane run. Default 100; 1 to 1,000,000.
    pub budget: u32,
    /// Mailbox capacity in messages; `None`: the runtime's default. 1 to 2^30.
    pub capacity: Option<u32>,
    /// The actor that ends this one by ending. Default: none.
    pub parent: Option<Pid>,
    /// Whether a push actor gets [system messages](crate::SystemMessage) too; pull actors always do. Default: no.
    pub system: bool,
}

impl Default for SpawnOptions {
    fn default() -> Self {
        Self { budget: DEFAULT_BUDGET, capacity: None, parent: None, system: false }
    }
}

impl SpawnOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument` names the option that is out of range.
    pub fn validate(&self) -> Result<()> {
        if !(1..=MAX_BUDGET).contains(&self.budget) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("budget must be 1 to {MAX_BUDGET} messages, got {}", self.budget),
            ));
        }
        check_capacity(self.capacity)
    }
}

fn check_capacity(capacity: Option<u32>) -> Result<()> {
    match capacity {
        Some(c) if !(1..=MAX_CAPACITY).contains(&c) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("capacity must be 1 to {MAX_CAPACITY} messages, got {c}"),
        )),
        _ => Ok(()),
    }
}
