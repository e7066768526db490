//! What an actor is: a [`cell`] in the slot [`table`], the [`behavior`] that handles its messages, the open
//! [`request`]s it owes answers to.
//!
//! ```text
//!                     spawn
//!                       |                                    sched (while Alive or Draining)
//!                       v             stop, a turn is open
//!   Free ----------> Alive ------------------------------+     Idle <------------+
//!    ^                 | \  stop {drain}                 |      | first message   | turn over, queue empty
//!    |                 |  \------> Draining --+          v      v                 |
//!    |                 |                      |      Stopping  Queued --take--> Running
//!    |   stop (idle),  |      queue empty     |          |      ^                 |
//!    |   kill, crash   v                      v          |      +-----------------+
//!    +---------------(exit: books, names, calls, joins)<-+        turn over, queue not empty
//! ```
//!
//! *Alive* takes messages; *Draining* handles what it has; *Stopping* waits for the handler that is running. A turn that
//! outlives its actor finds another generation in the slot and leaves it alone.

pub mod activation;
pub mod behavior;
pub mod cell;
pub mod context;
pub mod health;
pub mod request;
pub mod swap;
pub mod table;
