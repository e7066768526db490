//! Actors that take their messages themselves, and actors that have a parent.
//!
//! A pull actor's messages stay in its mailbox until it takes them, so its length, its bound and its death are exact without
//! any more books. Selective receive looks at messages by their *place*, which counts all that were ever at the front of
//! this mailbox: what a matcher has refused keeps its place, and a scan goes on from there.

use super::core::{Core, Wake};
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::config::SpawnOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::{CrashInfo, Envelope, ExitReason, Payload, PullSignal};
use crate::scheduler::lane::Lane;
use crate::sync::contain;
use std::sync::Arc;

/// What a pull actor found.
#[derive(Debug)]
pub enum Pulled {
    /// A message; it is the caller's.
    Message(Envelope),
    /// None; [`PullSignal::Ready`] comes with the next.
    Empty,
    /// None, and none will come: the actor is being stopped or has ended.
    Closed,
}

/// What is at a place of a pull actor's mailbox.
#[derive(Debug)]
pub enum Peeked {
    /// A copy of the message, and the place to look at next.
    Message(Payload, u64),
    /// Nothing yet; [`PullSignal::Ready`] comes with the next message.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

impl Core {
    /// The new actor gets a parent, or ends at once if that has ended.
    pub(super) fn adopt(&self, parent: Pid, child: Pid) -> Result<()> {
        let gone = || {
            self.exit(child, ExitReason::ParentExit, None);
            Err(self.no_such_actor(parent))
        };
        let Some(slot) = self.slot(child) else { return gone() };
        let sequence = {
            let mut c = slot.lock();
            c.extra().parent = Some(parent);
            c.sequence
        };
        let Some(slot) = self.slot(parent) else { return gone() };
        let mut p = slot.lock();
        if !p.takes(parent.generation()) {
            drop(p);
            return gone();
        }
        if p.remote {
            drop(p);
            self.exit(child, ExitReason::ParentExit, None);
            return Err(Error::new(
                ErrorKind::NotLocal,
                format!("pid {parent} lives on another node; a child lives with its parent"),
            ));
        }
        p.extra().children.insert(sequence, child);
        Ok(())
    }

    /// After a message was queued: a pull actor that waits is told once.
    pub(super) fn tell_puller(&self, c: &mut Cell) -> Wake {
        match &c.body {
            Body::Pull(signal) if c.waits => {
                let signal = Arc::clone(signal);
                c.waits = false;
                Wake::Puller(signal)
            }
            _ => Wake::None,
        }
    }

    pub(super) fn spawn_pull(
        &self,
        lane: Option<&Arc<Lane>>,
        o: SpawnOptions,
        signal: Arc<dyn Fn(PullSignal) + Send + Sync>,
    ) -> Result<Pid> {
        self.spawn_cell(lane.map(Arc::clone), Body::Pull(signal), o)
    }

    pub(super) fn pull(&self, pid: Pid) -> Pulled {
        loop {
            let Some(slot) = self.slot(pid) else { return Pulled::Closed };
            let mut c = slot.lock();
            if !c.is(pid.generation()) {
                return Pulled::Closed;
            }
            // What it still has is for its replacement; or it has to wait for what is parked for it.
            if matches!(c.life, Life::Stopping(_)) {
                return Pulled::Closed;
            }
            if c.sched == Sched::Queued {
                c.waits = true;
                return Pulled::Empty;
            }
            let Some(e) = c.mailbox.pop_oldest() else {
                if c.life != Life::Alive {
                    return Pulled::Closed;
                }
                c.waits = true;
                c.mailbox.rest();
                return Pulled::Empty;
            };
            let e = self.taken(&mut c, e);
            self.after_pull(c, pid);
            if let Some(e) = e {
                return Pulled::Message(e);
            }
        }
    }

    /// Takes up to `max` messages under one lock.
    #[cfg(feature = "mesh")]
    pub(super) fn pull_many(
        &self,
        pid: Pid,
        max: usize,
        out: &mut Vec<Envelope>,
    ) -> crate::mesh::Drained {
        use crate::mesh::Drained;
        let Some(slot) = self.slot(pid) else { return Drained::Closed };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return Drained::Closed;
        }
        let before = out.len();
        while out.len() - before < max {
            let Some(e) = c.mailbox.pop_oldest() else { break };
            out.extend(self.taken(&mut c, e));
        }
        let state = if !c.mailbox.is_empty() {
            Drained::More
        } else if c.life == Life::Alive {
            c.waits = true;
            c.mailbox.rest();
            Drained::Empty
        } else {
            Drained::Closed
        };
        self.after_pull(c, pid);
        state
    }

    /// Looks at the message at `place` or, if that is gone, at the first after it.
    pub(super) fn peek(&self, pid: Pid, place: u64) -> Peeked {
        let Some(slot) = self.slot(pid) else { return Peeked::Closed };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return Peeked::Closed;
        }
        if matches!(c.life, Life::Stopping(_)) {
            return Peeked::Closed;
        }
        if c.sched == Sched::Queued {
            c.waits = true;
            return Peeked::Empty;
        }
        match c.mailbox.at(place) {
            Some((e, place)) => Peeked::Message(e.payload.clone(), place + 1),
            None if c.life != Life::Alive => Peeked::Closed,
            None => {
                c.waits = true;
                Peeked::Empty
            }
        }
    }

    /// Takes the message at `place` out, if it is still there.
    pub(super) fn take_at(&self, pid: Pid, place: u64) -> Option<Envelope> {
        let mut c = self.slot(pid)?.lock();
        if !c.is(pid.generation()) {
            return None;
        }
        let e = c.mailbox.remove(place)?;
        let e = self.taken(&mut c, e);
        self.after_pull(c, pid);
        e
    }

    /// Counts a message that a pull actor took; `None`: it was a call that is over.
    fn taken(&self, c: &mut Cell, e: Envelope) -> Option<Envelope> {
        self.books.taken(1);
        if let Some(id) = e.call {
            match self.calls.hand(id) {
                None => {
                    self.books.expired_in_flight(1);
                    return None;
                }
                Some(true) => c.extra().open_calls.push_back(id),
                Some(false) => {}
            }
        }
        self.books.handled(1);
        c.handled += 1;
        Some(e)
    }

    pub(super) fn after_pull(&self, mut c: crate::sync::MutexGuard<'_, Cell>, pid: Pid) {
        let told = if c.has_waiters() { self.admit(&mut c) } else { Vec::new() };
        self.note_pressure(&mut c, pid);
        let signal = if c.life == Life::Draining && c.mailbox.is_empty() {
            c.life = Life::Stopping(ExitReason::Shutdown);
            c.pull_signal()
        } else {
            None
        };
        drop(c);
        if let Some(signal) = signal {
            contain(|| signal(PullSignal::Closing));
        }
        told.into_iter().for_each(|done| contain(|| done(true)));
        self.ring_pressure();
    }

    /// The function of a pull actor returned or threw.
    pub(super) fn finish_pull(&self, pid: Pid, outcome: std::result::Result<(), CrashInfo>) {
        let Some(slot) = self.slot(pid) else { return };
        let why = {
            let c = slot.lock();
            if !c.is(pid.generation()) {
                return;
            }
            match c.life {
                Life::Stopping(why) => why,
                Life::Draining => ExitReason::Shutdown,
                _ => ExitReason::Normal,
            }
        };
        match outcome {
            Ok(()) => self.exit(pid, why, None),
            Err(crash) => self.exit(pid, ExitReason::Crash, Some(Arc::new(crash))),
        };
    }
}

impl super::Runtime {
    /// Spawns a pull actor: `signal` tells its function, which the host runs, when to look. See [`PullSignal`].
    ///
    /// # Errors
    /// `InvalidArgument`, `NoSuchActor` (the parent), `RuntimeClosed`, `AtCapacity`.
    pub fn spawn_pull(
        &self,
        options: SpawnOptions,
        signal: impl Fn(PullSignal) + Send + Sync + 'static,
    ) -> Result<Pid> {
        self.core.spawn_pull(None, options, Arc::new(signal))
    }

    /// Takes the next message of a pull actor.
    pub fn pull(&self, pid: Pid) -> Pulled {
        self.core.pull(pid)
    }

    /// Looks at a pull actor's message at `place` (0 at first) or, if that is gone, at the first after it.
    pub fn peek(&self, pid: Pid, place: u64) -> Peeked {
        self.core.peek(pid, place)
    }

    /// Takes out what [`peek`](Self::peek) showed: `next` is the place that it answered.
    pub fn take_peeked(&self, pid: Pid, next: u64) -> Option<Envelope> {
        self.core.take_at(pid, next.checked_sub(1)?)
    }

    /// The function of a pull actor returned, or threw.
    pub fn finish_pull(&self, pid: Pid, outcome: std::result::Result<(), CrashInfo>) {
        self.core.finish_pull(pid, outcome);
    }
}
