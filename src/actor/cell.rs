//! An actor's cell: everything the core knows of it, under one lock.

use super::activation::{Phase, Virtual};
use super::behavior::Actor;
use super::health::Health;
use crate::id::{CallId, Pid};
use crate::mailbox::Mailbox;
use crate::mailbox::overflow::{Overflow, Pressure};
use crate::message::{ExitInfo, ExitReason, LaneEvent, Payload, PullSignal};
use crate::path::Path;
use crate::scheduler::lane::Lane;
use crate::sync::contain;
use crate::timer::wheel::TimerKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Whether the actor takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No actor here.
    Free,
    /// Takes messages.
    Alive,
    /// Handles what it has, then ends.
    Draining,
    /// Ends when the running handler returns.
    Stopping(ExitReason),
    /// Has ended, and a replacement is to come: its queue, names and paths are kept for that.
    Parked,
}

/// Where the actor is in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sched {
    /// Nothing to do.
    Idle,
    /// In the run queue.
    Queued,
    /// A turn is open.
    Running,
}

/// What runs the handler.
pub enum Body {
    /// No actor here, or its handler is out on a worker.
    Empty,
    /// A handler that a host keeps under this key.
    Hosted(u32),
    /// A handler of a host's whose actor is virtual.
    Virtual(Virtual),
    /// A Rust actor.
    Native(Box<dyn Actor>),
    /// A function of a host's that takes its messages itself, and what tells it that there are any.
    Pull(Arc<dyn Fn(PullSignal) + Send + Sync>),
}

const _: () = assert!(size_of::<Body>() == 24);

/// Who hears how an actor ended.
pub enum ExitSink {
    /// A host lane, under this key.
    Lane(Arc<Lane>, u64),
    /// A closure; called with no lock held.
    Func(Box<dyn FnOnce(ExitInfo) + Send>),
}

impl ExitSink {
    /// Delivers; wakes the lane if need be.
    pub fn deliver(self, info: ExitInfo) {
        match self {
            Self::Lane(lane, key) => {
                if lane.push_event(LaneEvent::Joined { key, info }) {
                    lane.wake();
                }
            }
            Self::Func(f) => contain(|| f(info)),
        }
    }
}

/// A send that waits for room.
pub struct Waiter {
    /// What takes it back.
    pub token: u64,
    /// The bytes.
    pub payload: Payload,
    /// The actor that sends in its own name, if one does.
    pub sender: Option<Pid>,
    /// Called once, with no lock held, with whether the mailbox took the message.
    pub done: Box<dyn FnOnce(bool) + Send>,
}

/// That an actor is supervised, or a member of a pool: for which reasons of its end a replacement comes, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeper(pub u16);

impl Keeper {
    /// A replacement comes in any case.
    pub const ALWAYS: Self = Self(Self::IN_POOL - 1);
    /// Its end is told, and no replacement comes.
    pub const NEVER: Self = Self(0);
    /// A pool replaces it if it fails.
    pub const POOL: Self = Self(
        Self::IN_POOL
            | 1 << ExitReason::Crash as u16
            | 1 << ExitReason::Panic as u16
            | 1 << ExitReason::Timeout as u16,
    );
    /// The bit that is no reason.
    const IN_POOL: u16 = 1 << 15;

    /// Whether it is a pool that replaces it, not a supervisor.
    #[must_use]
    pub const fn is_pool(self) -> bool {
        self.0 & Self::IN_POOL != 0
    }

    /// Whether a replacement comes.
    #[must_use]
    pub const fn parks(self, why: ExitReason) -> bool {
        self.0 & 1 << why as u16 != 0
    }
}

/// What few actors have; allocated when first needed.
pub struct Extra {
    /// What a full mailbox does.
    pub overflow: Overflow,
    /// Sends that wait for room.
    pub waiters: VecDeque<Waiter>,
    /// Who wants to know when the mailbox holds no more than so many messages.
    pub vacancies: Vec<(usize, Box<dyn FnOnce() + Send>)>,
    /// Its condition, as somebody said.
    pub health: Health,
    /// Who ends it by ending.
    pub parent: Option<Pid>,
    /// Whom it ends by ending, by the order of their spawns.
    pub children: BTreeMap<u64, Pid>,
    /// Names it holds.
    pub names: Vec<Box<str>>,
    /// Paths it holds.
    pub paths: Vec<Path>,
    /// Monitors of which it is the target.
    pub monitored_by: BTreeSet<u64>,
    /// Monitors of its own.
    pub monitors: BTreeSet<u64>,
    /// Whom it ends by ending, and who ends it.
    pub links: BTreeSet<Pid>,
    /// The ends of linked actors come as messages.
    pub traps: bool,
    /// Calls that its handler owes an answer.
    pub open_calls: VecDeque<CallId>,
    /// Who waits for its end, each under the token that takes it back.
    pub joiners: Vec<(u64, ExitSink)>,
    /// The deadline of its stop.
    pub stop: Option<StopWatch>,
    /// Somebody supervises it.
    pub keeper: Option<Keeper>,
    /// The start of which it is the outcome: it handles nothing before that is over.
    pub start: Option<u64>,
    /// What its messages are encoded with; `None`: they are bytes.
    pub codec: Option<Arc<str>>,
    /// It takes nothing from other nodes: decoding it would trust whoever sent it.
    pub local_only: bool,
}

impl Default for Extra {
    fn default() -> Self {
        Self {
            overflow: Overflow::DropNew,
            waiters: VecDeque::new(),
            vacancies: Vec::new(),
            health: Health::default(),
            parent: None,
            children: BTreeMap::new(),
            names: Vec::new(),
            paths: Vec::new(),
            monitored_by: BTreeSet::new(),
            monitors: BTreeSet::new(),
            links: BTreeSet::new(),
            traps: false,
            open_calls: VecDeque::new(),
            joiners: Vec::new(),
            stop: None,
            keeper: None,
            start: None,
            codec: None,
            local_only: false,
        }
    }
}

/// What a stop waits for.
pub struct StopWatch {
    /// Its timer.
    pub timer: TimerKey,
    /// How long a handler may go on.
    pub timeout: Duration,
    /// [`Cell::progress`] when the timer was set.
    pub progress: (u64, usize),
}

/// One actor.
pub struct Cell {
    /// Which use of the slot this is.
    pub generation: u32,
    /// Whether it takes messages.
    pub life: Life,
    /// Where it is in its lane.
    pub sched: Sched,
    /// An asynchronous handler: one message a turn, and a turn may stay open.
    pub one_at_a_time: bool,
    /// A handler's promise is being awaited.
    pub awaiting: bool,
    /// Delayed messages were sent to it.
    pub has_delays: bool,
    /// Threads may have promised it messages that they have not sent yet.
    pub leased: bool,
    /// Messages a turn.
    pub budget: u32,
    /// It takes its messages itself.
    pub pulls: bool,
    /// It has looked for a message and found none.
    pub waits: bool,
    /// How full its mailbox was when that was last told; `Normal` while nobody watches.
    pub level: Pressure,
    /// It lives on another node: this is its local end.
    pub remote: bool,
    /// It gets system messages.
    pub hears: bool,
    /// Its queue.
    pub mailbox: Mailbox,
    /// The host lane it runs on; `None`: the pool.
    pub lane: Option<Arc<Lane>>,
    /// What runs it.
    pub body: Body,
    /// Messages handled.
    pub handled: u64,
    /// Place in the order of all spawns of the runtime.
    pub sequence: u64,
    /// When it was spawned, in milliseconds of the runtime's clock.
    pub born_ms: u64,
    /// What few actors have.
    pub extra: Option<Box<Extra>>,
}

impl Cell {
    /// An empty slot.
    #[must_use]
    pub fn free() -> Self {
        Self {
            generation: 0,
            life: Life::Free,
            sched: Sched::Idle,
            one_at_a_time: false,
            awaiting: false,
            has_delays: false,
            leased: false,
            budget: 0,
            pulls: false,
            waits: false,
            level: Pressure::Normal,
            remote: false,
            hears: false,
            mailbox: Mailbox::new(0),
            lane: None,
            body: Body::Empty,
            handled: 0,
            sequence: 0,
            born_ms: 0,
            extra: None,
        }
    }

    /// Whether this use of the slot is an actor that has not ended.
    #[inline]
    #[must_use]
    pub fn is(&self, generation: u32) -> bool {
        self.generation == generation && self.lives()
    }

    /// Whether there is an actor that has not ended.
    #[inline]
    #[must_use]
    pub fn lives(&self) -> bool {
        !matches!(self.life, Life::Free | Life::Parked)
    }

    /// Whether this use of the slot has ended and keeps what it had for a replacement.
    #[must_use]
    pub fn is_parked(&self, generation: u32) -> bool {
        self.generation == generation && self.life == Life::Parked
    }

    /// Whether what it has queued is for a replacement if it ends for this reason.
    #[must_use]
    pub fn parks(&self, why: ExitReason) -> bool {
        self.extra.as_ref().and_then(|x| x.keeper).is_some_and(|k| k.parks(why))
    }

    /// Whether it waits, just spawned, for what is parked for it.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.extra.as_ref().is_some_and(|x| x.start.is_some())
    }

    /// Whether this use of the slot is an actor that takes messages.
    #[inline]
    #[must_use]
    pub fn takes(&self, generation: u32) -> bool {
        self.generation == generation && self.life == Life::Alive
    }

    /// Whether a message makes it runnable.
    #[inline]
    #[must_use]
    pub fn may_schedule(&self) -> bool {
        self.sched == Sched::Idle && !self.pulls && !self.mailbox.is_empty()
    }

    /// Whether it must be deactivated before it is stopped.
    #[must_use]
    pub fn owes_deactivation(&self) -> bool {
        matches!(&self.body, Body::Virtual(v)
            if v.on_deactivate && matches!(v.phase, Phase::Active | Phase::Deactivating))
    }

    /// What tells a pull actor.
    #[must_use]
    pub fn pull_signal(&self) -> Option<Arc<dyn Fn(PullSignal) + Send + Sync>> {
        match &self.body {
            Body::Pull(signal) => Some(Arc::clone(signal)),
            _ => None,
        }
    }

    /// Whether its policy finds a place for a message when the mailbox is full.
    #[must_use]
    pub fn makes_room(&self) -> bool {
        let policy = self.extra.as_ref().map_or(Overflow::DropNew, |x| x.overflow);
        !matches!(policy, Overflow::DropNew | Overflow::Block)
    }

    /// Whether sends wait for room.
    #[inline]
    #[must_use]
    pub fn has_waiters(&self) -> bool {
        self.extra.as_ref().is_some_and(|x| !x.waiters.is_empty() || !x.vacancies.is_empty())
    }

    /// Whether its handler may be given messages.
    #[inline]
    #[must_use]
    pub fn accepts_or_drains(&self) -> bool {
        matches!(self.life, Life::Alive | Life::Draining)
    }

    /// Grows or shrinks with every message handled: a draining actor that gets on is not stuck.
    #[must_use]
    pub fn progress(&self) -> (u64, usize) {
        (self.handled, self.mailbox.len())
    }

    /// A call that `callee`'s handler had is over. Most are answered in the order in which they came.
    pub fn forget_open_call(&mut self, callee: Pid, id: CallId) {
        if !self.is(callee.generation()) {
            return;
        }
        let Some(x) = &mut self.extra else { return };
        if x.open_calls.front() == Some(&id) {
            x.open_calls.pop_front();
        } else if let Some(at) = x.open_calls.iter().rposition(|o| *o == id) {
            x.open_calls.swap_remove_back(at);
        }
    }

    /// What few actors have, made if it is not there.
    pub fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}
