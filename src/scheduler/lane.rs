//! A host lane: the run queue of one thread that belongs to a host (a JS event loop, an interpreter thread).
//!
//! The wake protocol, all under one lock: whoever pushes onto a sleeping lane marks it awake and is told to wake it, and
//! nobody else is until the lane has found itself empty and gone to sleep again. So a burst costs one wake however many
//! messages and senders it has, and no message can fall between "empty" and "asleep".

use super::holds::Holds;
use crate::id::Pid;
use crate::message::LaneEvent;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Mutex, contain};
use std::collections::VecDeque;
use std::sync::OnceLock;

/// A place in a run queue: slot and generation, so a stale place is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runnable {
    /// The actor's slot.
    pub slot: u32,
    /// The actor's generation.
    pub generation: u32,
}

struct State {
    ready: VecDeque<Runnable>,
    events: Vec<LaneEvent>,
    awake: bool,
    closed: bool,
    /// Counts up whenever the lane's thread looks.
    looks: u64,
    /// What `looks` was when it was last asked for, and since when it is that, in milliseconds.
    seen: (u64, u64),
    /// The lane's thread may hand over messages itself: an actor that looks idle may have one in hand.
    direct: bool,
    /// Actors that were stopped meanwhile: if nothing of theirs is in hand, they end with the next look.
    owed: Vec<Pid>,
}

/// What a lane's thread is told without being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// Look at the clock and at [`Lane::control`] before the next message.
    Look,
    /// A call of this thread has ended otherwise than by its reply; the event comes.
    CallEnded,
    /// Leases have ended: ask again before anything is promised to an actor of another thread.
    LeaseEnded,
}

/// The run queue of one host thread.
pub struct Lane {
    state: Mutex<State>,
    control: AtomicU32,
    /// See [`given`](Self::given).
    given: AtomicU32,
    hears_failures: AtomicBool,
    nudge: OnceLock<Box<dyn Fn(Nudge) + Send + Sync>>,
    waker: Box<dyn Fn() + Send + Sync>,
    host: &'static str,
    holds: Holds,
}

impl Lane {
    /// A lane whose thread `waker` wakes. The waker must not block and must not call back into the runtime.
    /// `host` names the host in metrics.
    pub fn new(host: &'static str, waker: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                events: Vec::new(),
                awake: false,
                closed: false,
                looks: 0,
                seen: (0, 0),
                direct: false,
                owed: Vec::new(),
            }),
            control: AtomicU32::new(0),
            given: AtomicU32::new(0),
            hears_failures: AtomicBool::new(false),
            nudge: OnceLock::new(),
            waker: Box::new(waker),
            host,
            holds: Holds::default(),
        }
    }

    /// The host's name in metrics.
    #[must_use]
    pub fn host(&self) -> &'static str {
        self.host
    }

    /// Turns and holds, counted by the lane's own thread.
    #[inline]
    #[must_use]
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Appends an actor that has messages; `true`: the caller must [`wake`](Self::wake) the lane. A closed lane drops it.
    /// `given`: another thread may have sent them.
    #[inline]
    #[must_use]
    pub fn push(&self, r: Runnable, given: bool) -> bool {
        let mut s = self.state.lock();
        if s.closed {
            return false;
        }
        s.ready.push_back(r);
        if given {
            self.count_given();
            if s.direct {
                self.nudge(Nudge::Look);
            }
        }
        !std::mem::replace(&mut s.awake, true)
    }

    /// Puts an actor back in front, by the lane's own thread.
    pub fn push_front(&self, r: Runnable) {
        self.state.lock().ready.push_front(r);
    }

    /// Appends an event; `true`: the caller must [`wake`](Self::wake) the lane. A closed lane drops it.
    #[must_use]
    pub fn push_event(&self, e: LaneEvent) -> bool {
        let mut s = self.state.lock();
        if s.closed {
            return false;
        }
        s.events.push(e);
        self.count_given();
        if s.direct {
            self.nudge(Nudge::Look);
        }
        !std::mem::replace(&mut s.awake, true)
    }

    /// Under the lock, so nobody counts at the same time; after the push, so whoever sees it finds what was pushed.
    #[inline]
    fn count_given(&self) {
        let given = self.given.load(Ordering::Relaxed);
        self.given.store(given.wrapping_add(1), Ordering::Relaxed);
    }

    /// Counts up whenever the lane may have been given something by another thread. A lane that has nothing to do may look at
    /// it for a moment before it goes to sleep.
    #[inline]
    #[must_use]
    pub fn given(&self) -> u32 {
        self.given.load(Ordering::Relaxed)
    }

    /// The next actor to run.
    #[inline]
    pub fn pop(&self) -> Option<Runnable> {
        let mut s = self.state.lock();
        s.looks += 1;
        s.ready.pop_front()
    }

    /// As [`pop`](Self::pop); if there is none, and no event, the lane's thread may hand over messages itself from now on
    /// (`true`), until [`end_direct`](Self::end_direct).
    #[inline]
    pub fn pop_or_direct(&self) -> (Option<Runnable>, bool) {
        let mut s = self.state.lock();
        s.looks += 1;
        let r = s.ready.pop_front();
        if r.is_none() {
            s.direct = s.events.is_empty() && !s.closed;
        }
        (r, s.direct)
    }

    /// The lane's thread hands over no more itself; answers the actors that it owes their end.
    #[must_use]
    pub fn end_direct(&self) -> Vec<Pid> {
        let mut s = self.state.lock();
        s.direct = false;
        std::mem::take(&mut s.owed)
    }

    /// Whether an actor of this lane that looks idle may have a message in hand; then its end is owed. `Some(true)`: the
    /// caller must [`wake`](Self::wake) the lane.
    #[must_use]
    pub fn owes_end(&self, pid: Pid) -> Option<bool> {
        let mut s = self.state.lock();
        if !s.direct {
            return None;
        }
        s.owed.push(pid);
        Some(!std::mem::replace(&mut s.awake, true))
    }

    /// Moves all events to `out`.
    pub fn take_events(&self, out: &mut Vec<LaneEvent>) {
        out.append(&mut self.state.lock().events);
    }

    /// As [`take_events`](Self::take_events), if there are some, no more than `max`, and all are as `pick` likes; else
    /// nothing is taken.
    pub fn take_events_if(
        &self,
        max: usize,
        pick: impl Fn(&LaneEvent) -> bool,
        out: &mut Vec<LaneEvent>,
    ) -> bool {
        let mut s = self.state.lock();
        let takes = !s.events.is_empty() && s.events.len() <= max && s.events.iter().all(pick);
        if takes {
            out.append(&mut s.events);
        }
        takes
    }

    /// Whether there are events.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.state.lock().events.is_empty()
    }

    /// Goes to sleep if there is nothing to do; `false`: there is.
    pub fn try_sleep(&self) -> bool {
        self.try_sleep_or_direct(false)
    }

    /// As [`try_sleep`](Self::try_sleep); with `direct` its thread may hand over messages itself in its sleep, as after
    /// [`pop_or_direct`](Self::pop_or_direct).
    pub fn try_sleep_or_direct(&self, direct: bool) -> bool {
        let mut s = self.state.lock();
        let empty = s.ready.is_empty() && s.events.is_empty();
        s.awake = !empty || s.closed;
        s.direct = direct && !s.awake;
        empty
    }

    /// How long the lane has had something to do without looking at it, in milliseconds: the time between the calls of this
    /// that saw no change. A blocked event loop, a handler that does not return.
    #[must_use]
    pub fn stuck_ms(&self, now_ms: u64) -> u64 {
        let mut s = self.state.lock();
        if !s.awake || s.closed || s.seen.0 != s.looks {
            s.seen = (s.looks, now_ms);
        }
        now_ms.saturating_sub(s.seen.1)
    }

    /// Whether it sleeps: it has nothing to do and has seen that.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        !self.state.lock().awake
    }

    /// Calls the waker. No core lock may be held.
    pub fn wake(&self) {
        contain(&self.waker);
    }

    /// Counts up whenever an actor of this lane is stopped, killed or changed: the lane looks again before it goes on
    /// with what it has already taken.
    #[inline]
    #[must_use]
    pub fn control(&self) -> u32 {
        self.control.load(Ordering::Acquire)
    }

    /// Sets what [`nudge`](Self::nudge) calls: with core locks held, so it must neither block nor call back. Once.
    pub fn on_nudge(&self, nudge: impl Fn(Nudge) + Send + Sync + 'static) {
        let _ = self.nudge.set(Box::new(nudge));
    }

    /// Tells the lane's thread something that it sees before its next message.
    pub fn nudge(&self, what: Nudge) {
        if let Some(nudge) = self.nudge.get() {
            contain(|| nudge(what));
        }
    }

    /// Makes the lane look again.
    pub fn bump_control(&self) {
        self.control.fetch_add(1, Ordering::AcqRel);
        self.nudge(Nudge::Look);
    }

    /// The lane is to hear of failures of its own actors.
    pub fn hear_failures(&self) {
        self.hears_failures.store(true, Ordering::Relaxed);
    }

    /// Whether the lane hears of failures of its own actors.
    #[must_use]
    pub fn hears_failures(&self) -> bool {
        self.hears_failures.load(Ordering::Relaxed)
    }

    /// The thread is going away: forget what waits, take no more events.
    pub fn close(&self) {
        let mut s = self.state.lock();
        s.closed = true;
        s.awake = true;
        s.ready = VecDeque::new();
        s.events = Vec::new();
    }

    /// Whether the thread is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lane")
    }
}
