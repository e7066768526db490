//! The core: one struct, its spawn and its send. Turns, exits, calls and reports are in the sibling files.
//!
//! Lock order: a cell, then (a lane | the call table | the free list | a shard of names | the exits), then the timers.
//! Nothing foreign (handler, waker, sink, hook) is called while one is held, and what it panics with ends there.

use super::buffers::Buffers;
use super::delays::{Delays, TimerId};
use super::overflow::Shedding;
use super::pressure::Pressures;
use super::shutdown::Closing;
use super::supervise::Supervision;
use super::watching::Monitors;
use crate::actor::activation::Virtual;
use crate::actor::behavior::Actor;
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::actor::request::CallTable;
use crate::actor::table::Table;
use crate::clock::Clock;
use crate::config::{Config, SpawnOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid, TAG_BITS};
use crate::mailbox::Mailbox;
use crate::message::{Envelope, ExitInfo, ExitReason, Payload, PullSignal};
use crate::registry::names::Names;
use crate::registry::paths::Paths;
use crate::scheduler::lane::{Lane, Runnable};
use crate::scheduler::pool::Pool;
use crate::scheduler::slice::Slices;
use crate::scheduler::stats::{Books, Refusal};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, contain};
use crate::timer::Timers;
use std::sync::{Arc, Weak};

/// What timers of the core do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerTask {
    /// The deadline of a call.
    Call(CallId),
    /// The stop timeout of an actor.
    Stop(Pid),
    /// The timeout of a close.
    Close,
    /// A delayed message.
    Send(TimerId),
    /// The wait before a restart.
    Restart(u64),
    /// A turn of an actor that is to be replaced takes too long.
    Turn(Pid),
    /// The idle time of a virtual actor.
    Idle(Pid),
}

/// Key of a hosted actor that means its slot.
pub(super) const KEY_IS_SLOT: u32 = u32::MAX;

/// Payloads up to this size, in bytes, fit every wire.
const NEVER_TOO_LARGE: usize = 1 << 10;

/// What a send came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The mailbox took it. `arm`: the caller's own lane was asleep, and the caller must drain it soon.
    Accepted {
        /// Whether the caller must see to it that its lane is drained.
        arm: bool,
    },
    /// It did not.
    Refused(Refusal),
}

impl Sent {
    /// Whether the mailbox took it.
    #[must_use]
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted { .. })
    }
}

pub(crate) type FailureHook = Arc<dyn Fn(ExitInfo) + Send + Sync>;

/// Exits remembered for late joins; direct-mapped by a hash of the pid.
pub(super) const REMEMBERED: usize = 1 << REMEMBERED_BITS;
pub(super) const REMEMBERED_BITS: u32 = 10;

pub(crate) struct Core {
    /// What other threads of the process find it by.
    pub(super) id: u32,
    pub(super) tag: u16,
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) table: Table,
    pub(super) names: Names,
    pub(super) paths: Paths,
    pub(super) monitors: Monitors,
    pub(super) supervision: Supervision,
    pub(super) calls: CallTable,
    pub(super) pool: Pool,
    pub(super) lanes: Mutex<super::info::Lanes>,
    /// There is one lane at most; only changed under the lock of `lanes`.
    pub(super) alone: AtomicBool,
    pub(super) timers: Timers<TimerTask>,
    pub(super) slices: Slices,
    pub(super) delays: Delays,
    pub(super) buffers: Buffers,
    pub(super) shedding: Shedding,
    pub(super) pressures: Pressures,
    pub(super) events: super::events::Events,
    pub(super) books: Books,
    /// Actors that have not ended.
    pub(super) live: AtomicUsize,
    /// Exits whose sinks are being told.
    pub(super) ending: AtomicUsize,
    pub(super) joins: AtomicU64,
    pub(super) sequence: AtomicU64,
    pub(super) closed: AtomicBool,
    /// After it was closed: peers have heard goodbye, actors are being stopped.
    pub(super) actors_told: AtomicBool,
    pub(super) closing: Mutex<Closing>,
    /// Counts up when an actor of the pool is stopped or killed while it runs.
    pub(super) pool_control: AtomicU32,
    pub(super) exits: Mutex<Vec<Option<ExitInfo>>>,
    pub(super) failure_hook: Mutex<Option<FailureHook>>,
    /// Lanes that are told of the runtime itself.
    pub(super) listeners: Mutex<Vec<Arc<Lane>>>,
    /// An actor speaks a codec, or one did.
    pub(super) codecs: AtomicBool,
    pub(super) mesh: super::mesh::Slot,
    #[cfg(feature = "vortex")]
    pub(super) vortex: Arc<crate::vortex::Vortex>,
    pub(super) me: Weak<Core>,
}

/// What must be done once the cell's lock is gone.
#[must_use]
pub(super) enum Wake {
    None,
    /// The caller's own lane: it arms itself.
    Here,
    Lane(Arc<Lane>),
    Pool(Runnable),
    Puller(Arc<dyn Fn(PullSignal) + Send + Sync>),
}

/// Runtime tags of this process: a bit each.
static TAGS: std::sync::Mutex<[u64; 1 << (TAG_BITS - 6)]> =
    std::sync::Mutex::new([0; 1 << (TAG_BITS - 6)]);

fn claim_tag() -> Option<u16> {
    let mut tags = TAGS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let word = tags.iter().position(|w| *w != u64::MAX)?;
    let bit = tags[word].trailing_ones();
    tags[word] |= 1 << bit;
    Some((word as u16) << 6 | bit as u16)
}

fn release_tag(tag: u16) {
    let mut tags = TAGS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tags[usize::from(tag >> 6)] &= !(1 << (tag & 63));
}

impl Core {
    pub(crate) fn new(config: Config, clock: Clock) -> Result<Arc<Self>> {
        config.validate()?;
        let tag = claim_tag().ok_or_else(|| {
            Error::new(
                ErrorKind::AtCapacity,
                format!("{} runtimes are open in this process; close some", 1 << TAG_BITS),
            )
        })?;
        Ok(Arc::new_cyclic(|me: &Weak<Self>| {
            let target = me.clone();
            Self {
                id: super::attach::next_id(),
                tag,
                pool: Pool::new(config.workers),
                config,
                timers: Timers::new(clock.clone(), move |due| match target.upgrade() {
                    Some(core) => core.on_timers(due),
                    None => due.clear(),
                }),
                slices: Slices::new(clock.clone()),
                clock,
                lanes: Mutex::default(),
                alone: AtomicBool::new(true),
                table: Table::default(),
                names: Names::default(),
                paths: Paths::default(),
                monitors: Monitors::default(),
                supervision: Supervision::new(u64::from(tag)),
                calls: CallTable::default(),
                delays: Delays::default(),
                buffers: Buffers::default(),
                shedding: Shedding::default(),
                pressures: Pressures::default(),
                events: super::events::Events::default(),
                books: Books::default(),
                live: AtomicUsize::new(0),
                ending: AtomicUsize::new(0),
                joins: AtomicU64::new(0),
                sequence: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                actors_told: AtomicBool::new(false),
                closing: Mutex::new(Closing::default()),
                pool_control: AtomicU32::new(0),
                exits: Mutex::new(vec![None; REMEMBERED]),
                failure_hook: Mutex::new(None),
                listeners: Mutex::new(Vec::new()),
                codecs: AtomicBool::new(false),
                mesh: super::mesh::Slot::default(),
                #[cfg(feature = "vortex")]
                vortex: Arc::default(),
                me: me.clone(),
            }
        }))
    }

    fn on_timers(&self, due: &mut Vec<TimerTask>) {
        let mut sends = Vec::new();
        for task in due.drain(..) {
            if let TimerTask::Send(id) = task {
                sends.push(id);
            } else {
                self.fire_delays(&sends);
                sends.clear();
                contain(|| self.on_timer(task));
            }
        }
        self.fire_delays(&sends);
    }

    fn on_timer(&self, task: TimerTask) {
        match task {
            TimerTask::Call(id) => self.expire_call(id),
            TimerTask::Stop(pid) => self.abandon(pid),
            TimerTask::Close => self.close_overdue(),
            TimerTask::Send(id) => self.fire_delays(&[id]),
            TimerTask::Restart(ticket) => self.wait_is_over(ticket),
            TimerTask::Turn(old) => self.turn_is_over(old),
            TimerTask::Idle(pid) => self.idle_is_over(pid),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// `RuntimeClosed` once the runtime is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::RuntimeClosed,
                "this runtime is closed; make a new one",
            ));
        }
        Ok(())
    }

    pub(super) fn no_such_actor(&self, pid: Pid) -> Error {
        let why = if pid.tag() == self.tag {
            "no such actor: it has ended, or never was"
        } else {
            "this pid belongs to another runtime"
        };
        Error::new(ErrorKind::NoSuchActor, format!("pid {pid}: {why}"))
    }

    /// The slot that a pid of this runtime names; the caller locks it and compares generations.
    #[inline]
    pub(super) fn slot(&self, pid: Pid) -> Option<&Mutex<Cell>> {
        if pid.tag() == self.tag { self.table.get(pid.slot()) } else { None }
    }

    pub(super) fn pid_of(&self, slot: u32, generation: u32) -> Pid {
        Pid::new(self.tag, generation, slot)
    }

    pub(crate) fn spawn_hosted(&self, lane: &Arc<Lane>, key: u32, o: SpawnOptions) -> Result<Pid> {
        self.spawn_cell(Some(Arc::clone(lane)), Body::Hosted(key), o)
    }

    pub(crate) fn spawn_native(&self, actor: Box<dyn Actor>, o: SpawnOptions) -> Result<Pid> {
        if !self.pool.is_started() {
            self.check_open()?;
            o.validate()?;
            let started =
                self.me.upgrade().is_some_and(|me| self.pool.start(move |worker| me.work(worker)));
            if !started {
                return Err(Error::new(
                    ErrorKind::AtCapacity,
                    "the system has no thread to run Rust actors on",
                ));
            }
        }
        self.spawn_cell(None, Body::Native(actor), o)
    }

    pub(super) fn spawn_cell(
        &self,
        lane: Option<Arc<Lane>>,
        body: Body,
        o: SpawnOptions,
    ) -> Result<Pid> {
        self.check_open()?;
        o.validate()?;
        if self.sheds_actors() {
            return Err(Error::new(
                ErrorKind::AtCapacity,
                format!("{} actors are alive and load is shed", self.live.load(Ordering::Relaxed)),
            ));
        }
        let slot = self.table.allocate();
        let Some((slot, cell)) = slot.and_then(|s| Some((s, self.table.get(s)?))) else {
            return Err(Error::new(
                ErrorKind::AtCapacity,
                format!("{} actors are alive; no slot is free", self.live.load(Ordering::Relaxed)),
            ));
        };
        let pid = {
            let mut c = cell.lock();
            // A lane or runtime that closes looks through all cells: being alive and its being closed are seen in order.
            if self.is_closed() || lane.as_ref().is_some_and(|l| l.is_closed()) {
                let generation = c.generation;
                drop(c);
                self.table.release(slot, generation);
                return Err(Error::new(
                    ErrorKind::RuntimeClosed,
                    "this runtime is closed; make a new one",
                ));
            }
            c.generation += 1;
            c.life = Life::Alive;
            c.sched = Sched::Idle;
            (c.one_at_a_time, c.awaiting, c.has_delays) = (false, false, false);
            c.leased = false;
            c.budget = o.budget;
            (c.pulls, c.waits) = (matches!(body, Body::Pull(_)), false);
            (c.hears, c.remote) = (c.pulls || o.system, false);
            c.mailbox = Mailbox::new(o.capacity.or(self.config.default_capacity).unwrap_or(0));
            c.lane = lane;
            c.body = match body {
                Body::Hosted(KEY_IS_SLOT) => Body::Hosted(slot),
                Body::Virtual(v) if v.key == KEY_IS_SLOT => {
                    Body::Virtual(Virtual { key: slot, ..v })
                }
                other => other,
            };
            c.handled = 0;
            c.sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            c.born_ms = self.clock.now_ms();
            self.live.fetch_add(1, Ordering::AcqRel);
            let pid = self.pid_of(slot, c.generation);
            self.begin_pressure(&mut c, pid);
            if let Some(start) = self.start_at_hand()
                && self.note_spawned(start, pid)
            {
                // As if it were in the run queue: no message puts it there again.
                c.sched = Sched::Queued;
                c.extra().start = Some(start);
            }
            pid
        };
        self.books.spawned();
        self.note_spawn(pid, o.parent);
        match o.parent {
            Some(parent) => self.adopt(parent, pid).map(|()| pid),
            None => Ok(pid),
        }
    }

    /// Sends. `here` is the lane of the calling thread, if it has one: it is never woken, but told to arm itself.
    #[inline]
    pub(crate) fn send(
        &self,
        pid: Pid,
        payload: Payload,
        sender: Option<Pid>,
        here: Option<&Arc<Lane>>,
    ) -> Sent {
        if self.is_too_large(pid, payload.len()) {
            return self.refuse(Refusal::TooLarge);
        }
        self.deliver(pid, here, |_| Envelope { payload, sender, call: None })
    }

    /// Whether the other node would not take so many bytes.
    #[inline]
    pub(super) fn is_too_large(&self, pid: Pid, length: usize) -> bool {
        length > NEVER_TOO_LARGE && !self.fits(pid, length)
    }

    #[inline]
    pub(super) fn deliver(
        &self,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        envelope: impl FnOnce(Pid) -> Envelope,
    ) -> Sent {
        match self.try_deliver(pid, here, envelope) {
            Ok(arm) => Sent::Accepted { arm },
            Err(why) => self.refuse(why),
        }
    }

    /// As [`deliver`](Self::deliver), but a refusal is not counted: the caller tries again or [refuses](Self::refuse).
    /// `envelope` runs under the cell's lock, and only if the mailbox takes it.
    #[inline]
    pub(super) fn try_deliver(
        &self,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        envelope: impl FnOnce(Pid) -> Envelope,
    ) -> Result<bool, Refusal> {
        self.try_deliver_over(pid, here, envelope, 0)
    }

    #[inline]
    pub(super) fn try_deliver_over(
        &self,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        envelope: impl FnOnce(Pid) -> Envelope,
        hops: u32,
    ) -> Result<bool, Refusal> {
        let Some(slot) = self.slot(pid) else {
            return Err(if pid.tag() == self.tag {
                Refusal::NoSuchActor
            } else {
                Refusal::Foreign
            });
        };
        let mut c = slot.lock();
        if !c.takes(pid.generation()) {
            drop(c);
            return Err(if self.is_closed() { Refusal::Closed } else { Refusal::NoSuchActor });
        }
        if self.sheds_messages() {
            return Err(Refusal::Shed);
        }
        if !c.mailbox.has_room() {
            let mut envelope = Some(envelope);
            let mut once = |pid| match envelope.take() {
                Some(make) => make(pid),
                None => Envelope { payload: Payload::empty(), sender: None, call: None },
            };
            return self.overflow(c, pid, here, &mut once, hops);
        }
        c.mailbox.push(envelope(pid));
        self.books.accepted();
        let alarmed = c.mailbox.is_alarmed();
        if alarmed {
            self.note_level(&mut c, pid);
        }
        let wake = if c.pulls {
            self.tell_puller(&mut c)
        } else if c.may_schedule() {
            self.schedule(&mut c, pid, here)
        } else {
            Wake::None
        };
        drop(c);
        let arm = self.wake(wake);
        if alarmed {
            self.ring_pressure();
        }
        Ok(arm)
    }

    /// Delivers what a host has already promised its caller: an actor that another thread has ended meanwhile takes the
    /// message with it.
    #[inline]
    pub(super) fn deliver_promised(
        &self,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        envelope: impl FnOnce(Pid) -> Envelope,
    ) {
        let mut envelope = Some(envelope);
        let mut once = |pid| match envelope.take() {
            Some(make) => make(pid),
            None => Envelope { payload: Payload::empty(), sender: None, call: None },
        };
        if self.try_deliver(pid, here, &mut once).is_err()
            && self.keep(pid, &mut || once(pid)) != Some(true)
        {
            self.note_dead(pid, ExitReason::Killed, &once(pid));
            self.books.accepted();
            self.books.dead_in_queue(ExitReason::Killed, 1);
        }
    }

    /// Why a message would be refused right now.
    pub(crate) fn check_room(&self, pid: Pid) -> Result<(), Refusal> {
        let Some(slot) = self.slot(pid) else {
            return Err(if pid.tag() == self.tag {
                Refusal::NoSuchActor
            } else {
                Refusal::Foreign
            });
        };
        let c = slot.lock();
        if !c.takes(pid.generation()) {
            return Err(if self.is_closed() { Refusal::Closed } else { Refusal::NoSuchActor });
        }
        if c.mailbox.has_room() || c.makes_room() { Ok(()) } else { Err(Refusal::Full) }
    }

    #[cold]
    pub(super) fn refuse(&self, why: Refusal) -> Sent {
        self.books.refused(why, 1);
        Sent::Refused(why)
    }

    /// Puts an actor on its lane's run queue.
    #[inline]
    pub(super) fn schedule(&self, c: &mut Cell, pid: Pid, here: Option<&Arc<Lane>>) -> Wake {
        c.sched = Sched::Queued;
        let r = Runnable { slot: pid.slot(), generation: pid.generation() };
        match &c.lane {
            None => Wake::Pool(r),
            Some(lane) => {
                let mine = here.is_some_and(|h| Arc::ptr_eq(h, lane));
                if !lane.push(r, !mine) {
                    Wake::None
                } else if mine {
                    Wake::Here
                } else {
                    Wake::Lane(Arc::clone(lane))
                }
            }
        }
    }

    /// Wakes whoever must be woken; `true`: the caller's own lane, which arms itself.
    #[inline]
    pub(super) fn wake(&self, wake: Wake) -> bool {
        match wake {
            Wake::None => false,
            Wake::Here => true,
            Wake::Lane(lane) => {
                lane.wake();
                false
            }
            Wake::Pool(r) => {
                self.pool.push(r);
                false
            }
            Wake::Puller(signal) => {
                contain(|| signal(PullSignal::Ready));
                false
            }
        }
    }

    /// Whether the pid names an actor that takes messages, or handles the last of them.
    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.slot(pid).is_some_and(|s| {
            let c = s.lock();
            c.generation == pid.generation() && c.accepts_or_drains()
        })
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Core({})", self.tag)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        release_tag(self.tag);
    }
}
