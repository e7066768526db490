//! Hot swap of Rust actors: a handler that can be replaced while its actor lives on, queue, pid and all.
//!
//! A Rust actor is a value with state, so there is nothing to replace in an actor that was not made for it: whoever wants
//! to swap spawns a [`Swappable`] and keeps the [`Swap`]. What is asked waits in a list; the actor carries it out on its own
//! thread before its next message, so each message sees exactly one version, and actors that are not swappable pay nothing.

use super::behavior::{Actor, Crash, Message};
use super::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::Arc;

/// Older versions that are kept.
pub const VERSIONS_KEPT: usize = 16;

enum Change {
    To(Box<dyn Actor>),
    Back(usize),
}

struct Versions {
    /// The version in force.
    now: u64,
    /// The highest that ever was.
    last: u64,
    /// The numbers of those that are kept, as the actor keeps them once it has carried out the changes.
    past: VecDeque<u64>,
    changes: Vec<Change>,
    /// The actor is gone.
    ended: bool,
}

struct Shared {
    versions: Mutex<Versions>,
    /// Changes that were ever asked for.
    asked: AtomicU64,
}

/// An actor whose handler a [`Swap`] replaces.
pub struct Swappable {
    shared: Arc<Shared>,
    /// Changes that were carried out.
    done: u64,
    handler: Box<dyn Actor>,
    past: VecDeque<Box<dyn Actor>>,
}

/// Replaces the handler of a [`Swappable`] actor, from any thread.
#[derive(Clone)]
pub struct Swap(Arc<Shared>);

impl Swappable {
    /// An actor that begins with this handler as version 1, and what replaces it.
    pub fn new(handler: impl Actor) -> (Self, Swap) {
        let versions =
            Versions { now: 1, last: 1, past: VecDeque::new(), changes: Vec::new(), ended: false };
        let shared = Arc::new(Shared { versions: Mutex::new(versions), asked: AtomicU64::new(0) });
        let swap = Swap(Arc::clone(&shared));
        (Self { shared, done: 0, handler: Box::new(handler), past: VecDeque::new() }, swap)
    }

    #[cold]
    fn change(&mut self) {
        let changes = {
            let mut v = self.shared.versions.lock();
            self.done = self.shared.asked.load(Ordering::Relaxed);
            std::mem::take(&mut v.changes)
        };
        for change in changes {
            match change {
                Change::To(handler) => {
                    self.past.push_back(std::mem::replace(&mut self.handler, handler));
                    if self.past.len() > VERSIONS_KEPT {
                        self.past.pop_front();
                    }
                }
                Change::Back(steps) => {
                    for _ in 0..steps {
                        if let Some(older) = self.past.pop_back() {
                            self.handler = older;
                        }
                    }
                }
            }
        }
    }
}

impl Actor for Swappable {
    fn handle(
        &mut self,
        message: Message,
        ctx: &mut Context<'_>,
    ) -> std::result::Result<(), Crash> {
        if self.shared.asked.load(Ordering::Acquire) != self.done {
            self.change();
        }
        self.handler.handle(message, ctx)
    }
}

impl Drop for Swappable {
    fn drop(&mut self) {
        let changes = {
            let mut v = self.shared.versions.lock();
            v.ended = true;
            std::mem::take(&mut v.changes)
        };
        drop(changes);
    }
}

impl Swap {
    /// From its next message on the actor uses this handler; the message in hand is finished by the one that has it.
    /// Answers the version.
    ///
    /// # Errors
    /// `NoSuchActor` if the actor has ended.
    pub fn hot_swap(&self, handler: impl Actor) -> Result<u64> {
        self.ask(|v| {
            v.past.push_back(v.now);
            if v.past.len() > VERSIONS_KEPT {
                v.past.pop_front();
            }
            v.last += 1;
            v.now = v.last;
            Ok(Change::To(Box::new(handler)))
        })
    }

    /// Goes back that many versions, to handlers as they were left; answers the version that is in force then.
    ///
    /// # Errors
    /// `InvalidArgument` if not so many are kept: nothing changes. `NoSuchActor` if the actor has ended.
    pub fn rollback(&self, steps: usize) -> Result<u64> {
        self.ask(|v| {
            let kept = v.past.len();
            if steps == 0 || steps > kept {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("steps must be 1 to {kept}, the versions that are kept; got {steps}"),
                ));
            }
            v.now = v.past[kept - steps];
            v.past.truncate(kept - steps);
            Ok(Change::Back(steps))
        })
    }

    /// The version in force.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.versions.lock().now
    }

    fn ask(&self, change: impl FnOnce(&mut Versions) -> Result<Change>) -> Result<u64> {
        let mut v = self.0.versions.lock();
        if v.ended {
            return Err(Error::new(
                ErrorKind::NoSuchActor,
                "the actor has ended: spawn another with the new handler",
            ));
        }
        let change = change(&mut v)?;
        v.changes.push(change);
        self.0.asked.fetch_add(1, Ordering::Release);
        Ok(v.now)
    }
}

impl std::fmt::Debug for Swappable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Swappable({} kept)", self.past.len())
    }
}

impl std::fmt::Debug for Swap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Swap(version {})", self.version())
    }
}
