//! Virtual actors: alive from their spawn, awake only while they have something to do.
//!
//! ```text
//!              first message                hook done                 idle time over
//!   Dormant ------------------> Activating ----------> Active -----------------------> Deactivating
//!      ^  \                                            ^  ^                             |      |
//!      |   +---------- (no hook to run) ---------------+  +---- (a message came first) -+      |
//!      +----------------------------------- hook done -----------------------------------------+
//! ```
//!
//! A phase with a hook is an open turn without messages ([`Running`](super::cell::Sched)): what is sent meanwhile waits,
//! and what ends the actor ends it as it would in the middle of a message. A stop deactivates an active one before it ends.

use crate::timer::wheel::TimerKey;

/// The idle time of an actor that stays active, and the longest that there is, in milliseconds.
pub const NEVER: u32 = i32::MAX as u32;

/// How awake a virtual actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has no state; the next message wakes it.
    Dormant,
    /// Its activation hook is due, or runs.
    Activating,
    /// It handles messages.
    Active,
    /// Its deactivation hook is due, or runs.
    Deactivating,
}

/// What a virtual actor has beside its cell. It lies in the space of a [`Body`](super::cell::Body): dormant ones cost
/// nothing more than others.
#[derive(Debug)]
pub struct Virtual {
    /// How awake it is.
    pub phase: Phase,
    /// The host wants to hear of activations.
    pub on_activate: bool,
    /// The host wants an active actor deactivated before it is stopped. It always hears of passivations.
    pub on_deactivate: bool,
    /// The host's key of its handler.
    pub key: u32,
    /// How long it stays active without a message, in milliseconds; [`NEVER`].
    pub idle_ms: u32,
    /// When it last had nothing to do, in milliseconds of the runtime's clock, cut to 32 bits.
    pub rested_ms: u32,
    /// Its idle timer. It is not moved when a message comes: when it fires it looks at `rested_ms`.
    pub timer: TimerKey,
}

impl Virtual {
    /// How long it has rested, in milliseconds.
    #[must_use]
    pub fn idle_for(&self, now_ms: u64) -> u32 {
        // Negative if the rest began within this millisecond: it was rounded up.
        u32::try_from((now_ms as u32).wrapping_sub(self.rested_ms) as i32).unwrap_or(0)
    }
}
