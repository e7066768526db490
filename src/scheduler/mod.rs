//! Who runs when.
//!
//! **Fairness contract.** A runnable actor is at the tail of its lane's queue exactly once. A turn handles at most
//! `budget` messages, then the actor goes to the tail again. So between two turns of an actor every other runnable actor
//! of its lane has had one, and a flood to one actor delays another by at most (runnable actors x budget) messages.
//! A host lane also ends its hold of the host's loop after a time slice (default 5 ms), in the middle of a turn if need be.

pub mod lane;
pub mod pool;
pub mod stats;

use std::cell::Cell;

crate::sync::thread_local! {
    static LANE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that must never wait: it runs a lane, timers or I/O.
pub fn mark_lane_thread() {
    LANE_THREAD.with(|t| t.set(true));
}

/// Whether waiting on this thread could stop the world.
#[must_use]
pub fn is_lane_thread() -> bool {
    LANE_THREAD.with(Cell::get)
}
