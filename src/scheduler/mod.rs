//! Who runs when.
//!
//! **Fairness contract.** A runnable actor is at the tail of its lane's queue exactly once. A turn handles at most
//! `budget` messages, then the actor goes to the tail again. So between two turns of an actor every other runnable actor
//! of its lane has had one, and a flood to one actor delays another by at most (runnable actors x budget) messages.
//! A host lane also ends its hold of the host's loop after a time slice (default 5 ms), in the middle of a turn if need be.

pub mod holds;
pub mod lane;
pub mod pool;
pub mod slice;
pub mod stats;

pub use crate::sync::{is_lane_thread, mark_lane_thread};
