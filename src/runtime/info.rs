//! What can be seen from outside.

use super::core::Core;
use crate::actor::activation::Phase;
use crate::actor::cell::{Body, Life, Sched};
use crate::actor::health::Health;
use crate::error::Error;
use crate::id::Pid;
use crate::message::ExitReason;
use crate::scheduler::holds::HoldsSnapshot;
use crate::scheduler::lane::Lane;
use crate::scheduler::stats::{BooksSnapshot, DropReason, Refusal};
use crate::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// What is known of a live actor.
#[derive(Clone, Debug)]
pub struct ActorInfo {
    /// Who.
    pub pid: Pid,
    /// `idle`, `queued`, `running`, `draining` or `stopping`; of virtual actors `dormant`, `activating`, `active` or
    /// `deactivating` in the place of the first three.
    pub state: &'static str,
    /// `push` for handlers of a host, `virtual` if they sleep when idle, `pull` for functions that own a mailbox, `native` for
    /// Rust actors.
    pub kind: &'static str,
    /// Messages a turn.
    pub budget: u32,
    /// Mailbox bound in messages, if there is one.
    pub capacity: Option<u32>,
    /// Messages that wait.
    pub queue: usize,
    /// Longest the queue has been, in messages.
    pub high_water: u32,
    /// Messages handled.
    pub handled: u64,
    /// Time since the spawn, in milliseconds.
    pub age_ms: u64,
    /// Names it holds.
    pub names: Vec<String>,
    /// What its messages are encoded with; `None`: they are bytes.
    pub codec: Option<Arc<str>>,
    /// Paths it holds.
    pub paths: Vec<String>,
    /// The number of the lane that runs it, from 1, and its host; `None`: the pool of Rust actors, or a thread of its own.
    pub lane: Option<(u32, &'static str)>,
    /// Who ends it by ending.
    pub parent: Option<Pid>,
    /// Whom it ends by ending, in the order of their spawns.
    pub children: Vec<Pid>,
    /// How often a supervisor replaced its predecessors.
    pub restarts: u64,
    /// Its condition, as somebody said.
    pub health: Health,
}

/// What is known of a runtime.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The books of messages, calls and actors.
    pub books: BooksSnapshot,
    /// Actors that have not ended.
    pub actors: usize,
    /// Actors that have ended and are being cleaned up: the books are exact when there is none.
    pub ending: usize,
    /// Names held.
    pub names: usize,
    /// Paths held.
    pub paths: usize,
    /// Monitors whose DOWN is still to come.
    pub monitors: usize,
    /// Calls without an outcome.
    pub open_calls: usize,
    /// Timers that wait, the core's own deadlines included.
    pub timers: usize,
    /// Delayed messages and intervals that wait.
    pub delays: usize,
    /// Ticks of intervals that were skipped because they came too late.
    pub missed_ticks: u64,
    /// Buffers that were allocated and not sent.
    pub buffers: usize,
    /// Time since the runtime was made, in milliseconds.
    pub uptime_ms: u64,
    /// The lanes of hosts that are open, in the order in which they were opened.
    pub lanes: Vec<LaneMetrics>,
}

/// What is known of one lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneMetrics {
    /// `node`, `python`, `asyncio`; `host` if the host did not say.
    pub host: &'static str,
    /// Its number in the runtime, from 1.
    pub number: u32,
    /// Turns, and how long the lane kept its thread.
    pub holds: HoldsSnapshot,
}

/// The lanes of one runtime.
#[derive(Default)]
pub(super) struct Lanes {
    opened: u32,
    open: Vec<(u32, Weak<Lane>)>,
}

impl Lanes {
    pub(super) fn add(&mut self, lane: &Arc<Lane>) {
        self.open.retain(|(_, l)| l.strong_count() != 0);
        self.opened += 1;
        self.open.push((self.opened, Arc::downgrade(lane)));
    }

    /// The lanes that are open.
    pub(super) fn open(&self) -> Vec<Arc<Lane>> {
        self.open.iter().filter_map(|(_, l)| l.upgrade()).filter(|l| !l.is_closed()).collect()
    }

    /// How long the slowest lane has had work without looking at it, in milliseconds.
    #[cfg(feature = "mesh")]
    pub(super) fn longest_stuck_ms(&self, now_ms: u64) -> u64 {
        let stuck = |(_, lane): &(u32, Weak<Lane>)| Some(lane.upgrade()?.stuck_ms(now_ms));
        self.open.iter().filter_map(stuck).max().unwrap_or(0)
    }

    fn label(&self, lane: &Arc<Lane>) -> Option<(u32, &'static str)> {
        let found = self.open.iter().find(|(_, l)| std::ptr::eq(l.as_ptr(), Arc::as_ptr(lane)))?;
        Some((found.0, lane.host()))
    }

    fn metrics(&self) -> Vec<LaneMetrics> {
        let of = |(number, lane): &(u32, Weak<Lane>)| {
            let lane = lane.upgrade().filter(|l| !l.is_closed())?;
            Some(LaneMetrics { host: lane.host(), number: *number, holds: lane.holds().snapshot() })
        };
        self.open.iter().filter_map(of).collect()
    }
}

impl Metrics {
    /// Every number with its name, for hosts and exporters: `term(group, name, value)`. Terms that are one counter have no
    /// group; the others are counted by reason.
    pub fn each(&self, mut term: impl FnMut(Option<&'static str>, &'static str, u64)) {
        let b = &self.books;
        for (name, n) in [
            ("attempted", b.attempted),
            ("accepted", b.accepted),
            ("handled", b.handled),
            ("queued", b.queued),
            ("in_flight", b.in_flight),
            ("parked", b.parked),
            ("expired", b.expired),
            ("forwarded", b.forwarded),
            ("late_replies", b.late_replies),
            ("calls", b.calls),
            ("call_timeouts", b.call_timeouts),
            ("spawned", b.spawned),
            ("restarts", b.restarts),
            ("failed_starts", b.failed_starts),
            ("gave_up", b.gave_up),
            ("actors", self.actors as u64),
            ("names", self.names as u64),
            ("paths", self.paths as u64),
            ("monitors", self.monitors as u64),
            ("open_calls", self.open_calls as u64),
            ("timers", self.timers as u64),
            ("delays", self.delays as u64),
            ("missed_ticks", self.missed_ticks),
            ("buffers", self.buffers as u64),
            ("uptime_ms", self.uptime_ms),
        ] {
            term(None, name, n);
        }
        Refusal::ALL.iter().zip(b.refused).for_each(|(r, n)| term(Some("refused"), r.as_str(), n));
        DropReason::ALL
            .iter()
            .zip(b.dropped)
            .for_each(|(r, n)| term(Some("dropped"), r.as_str(), n));
        term(Some("dead"), "handover", b.handover);
        for (group, counts) in [("dead", b.dead), ("exited", b.exited)] {
            ExitReason::ALL.iter().zip(counts).for_each(|(r, n)| term(Some(group), r.as_str(), n));
        }
    }
}

impl Core {
    pub(crate) fn actor_info(&self, pid: Pid) -> Option<ActorInfo> {
        let c = self.slot(pid)?.lock();
        if !c.is(pid.generation()) {
            return None;
        }
        let state = match (c.life, &c.body, c.sched) {
            (Life::Draining, ..) => "draining",
            (Life::Stopping(_), ..) => "stopping",
            (_, Body::Virtual(v), _) => match v.phase {
                Phase::Dormant => "dormant",
                Phase::Activating => "activating",
                Phase::Active => "active",
                Phase::Deactivating => "deactivating",
            },
            (.., Sched::Idle) => "idle",
            (.., Sched::Queued) => "queued",
            (.., Sched::Running) => "running",
        };
        let lane = c.lane.clone();
        let x = c.extra.as_deref();
        let mut info = ActorInfo {
            pid,
            lane: None,
            restarts: 0,
            parent: x.and_then(|x| x.parent),
            children: x.iter().flat_map(|x| x.children.values().copied()).collect(),
            health: x.map_or(Health::default(), |x| x.health),
            state,
            kind: match c.body {
                Body::Hosted(_) => "push",
                Body::Virtual(_) => "virtual",
                Body::Pull(_) if c.remote => "remote",
                Body::Pull(_) => "pull",
                Body::Native(_) | Body::Empty => "native",
            },
            budget: c.budget,
            capacity: c.mailbox.capacity(),
            queue: c.mailbox.len(),
            high_water: c.mailbox.high_water(),
            handled: c.handled,
            age_ms: self.clock.now_ms().saturating_sub(c.born_ms),
            names: c.extra.iter().flat_map(|x| x.names.iter().map(ToString::to_string)).collect(),
            codec: c.extra.as_ref().and_then(|x| x.codec.clone()),
            paths: c.extra.iter().flat_map(|x| x.paths.iter().map(ToString::to_string)).collect(),
        };
        drop(c);
        info.lane = lane.and_then(|l| self.lanes.lock().label(&l));
        info.restarts = self.restarts_of(pid);
        Some(info)
    }

    pub(crate) fn set_health(&self, pid: Pid, health: Health) -> Result<(), Error> {
        self.check_open()?;
        self.change(pid, |c| c.extra().health = health).ok_or_else(|| self.no_such_actor(pid))
    }

    pub(crate) fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        let c = self.slot(pid)?.lock();
        c.is(pid.generation()).then(|| c.mailbox.len())
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let (delays, missed_ticks) = self.delay_counts();
        Metrics {
            delays,
            buffers: self.buffers.waiting(),
            missed_ticks,
            books: self.books.snapshot(),
            actors: self.live.load(Ordering::Acquire),
            ending: self.ending.load(Ordering::Acquire),
            names: self.names.len(),
            paths: self.paths.len(),
            monitors: self.monitors.len(),
            open_calls: self.calls.len(),
            timers: self.timers.pending(),
            uptime_ms: self.clock.now_ms(),
            lanes: self.lanes.lock().metrics(),
        }
    }

    /// Compares the books, the names and the open calls with the actors themselves; meaningful only while the runtime is
    /// quiet.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let mut parked = 0;
        let (mut queued, mut live, mut names, mut paths, mut monitors) = (0, 0, 0, 0, 0);
        for (slot, cell) in self.table.iter() {
            let c = cell.lock();
            if c.life == Life::Parked {
                parked += c.mailbox.queued() as u64;
            }
            if !c.lives() {
                continue;
            }
            live += 1;
            queued += c.mailbox.queued() as u64;
            let Some(x) = &c.extra else { continue };
            let pid = self.pid_of(slot, c.generation);
            if let Some(over) = x.open_calls.iter().find(|id| !self.calls.is_open(**id)) {
                return Err(format!("pid {pid} owes an answer to {over:?}, which is over"));
            }
            monitors += x.monitored_by.len();
            if let Some(lost) = x.monitored_by.iter().find(|r| !self.monitors.watches(**r, pid)) {
                return Err(format!("pid {pid} lists monitor {lost}, which is over"));
            }
            if c.accepts_or_drains() {
                names += x.names.len();
                if let Some(lost) = x.names.iter().find(|n| self.names.get(n) != Some(pid)) {
                    return Err(format!("pid {pid} lists name {lost:?}, which is not its own"));
                }
                paths += x.paths.len();
                if let Some(lost) = x.paths.iter().find(|p| self.paths.get(p) != Some(pid)) {
                    return Err(format!("pid {pid} lists path {lost}, which is not its own"));
                }
            }
        }
        let m = self.metrics();
        let exited: u64 = m.books.exited.iter().sum();
        if !m.books.balances() {
            return Err(format!("the sums do not hold: {:?}", m.books));
        }
        if parked != m.books.parked {
            return Err(format!("{parked} messages are parked, the books say {:?}", m.books));
        }
        if queued != m.books.queued {
            return Err(format!("{queued} messages are queued, the books say {:?}", m.books));
        }
        if live != m.actors || m.books.spawned - exited != live as u64 {
            return Err(format!(
                "{live} actors are alive, {} are counted, the books say {:?}",
                m.actors, m.books
            ));
        }
        if monitors != m.monitors {
            return Err(format!("{monitors} monitors are listed, {} are known", m.monitors));
        }
        if paths > m.paths {
            return Err(format!("{paths} paths are held, {} are known", m.paths));
        }
        if names > m.names {
            return Err(format!("{names} names are held, {} are known", m.names));
        }
        Ok(())
    }
}
