//! Messages that the runtime sends later: once, or again and again.
//!
//! A delay belongs to its target: it goes when the target ends. All delays of one target are a doubly linked list in the slab,
//! so that end is O(its delays) and a cancel is O(1). An interval keeps its grid: the next tick is one interval after the
//! last one was *due*. Ticks do not pile up: one that was missed, and one whose predecessor still waits in the mailbox, is
//! skipped and counted.

use super::core::{Core, TimerTask};
use crate::config::MAX_DELAY_MS;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::Payload;
use crate::scheduler::lane::Lane;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::timer::wheel::TimerKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const NIL: u32 = u32::MAX;
/// Bits of an id that name its place; the other 29 of the 53 that a JS number holds count its uses.
const INDEX_BITS: u32 = 24;
const GENERATIONS: u32 = (1 << 29) - 1;
/// Most delays that are taken with one lock.
const AT_ONCE: usize = 256;

/// A delayed message: cancel it with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(u64);

impl TimerId {
    fn new(generation: u32, index: u32) -> Self {
        Self(u64::from(generation) << INDEX_BITS | u64::from(index))
    }
    /// The id as a number below 2^53.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }
    /// The id from [`to_bits`](Self::to_bits).
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
    fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }
}

struct Delay {
    generation: u32,
    prev: u32,
    next: u32,
    live: Option<Live>,
}

struct Live {
    target: Pid,
    payload: Payload,
    /// Nanoseconds of the runtime's clock.
    due_ns: u64,
    every_ns: Option<u64>,
    /// The number of the last tick in its target's mailbox; 0: there was none.
    last_tick: u64,
    key: Option<TimerKey>,
}

struct State {
    delays: Vec<Delay>,
    free: u32,
    heads: HashMap<Pid, u32>,
    waiting: usize,
}

/// All delayed messages of a runtime.
pub(super) struct Delays {
    state: Mutex<State>,
    missed: AtomicU64,
    /// Delays that are over but whose messages are still being sent.
    firing: AtomicUsize,
    /// The lane that wants to know when none is left.
    watchers: Mutex<Vec<Arc<Lane>>>,
}

impl Default for Delays {
    fn default() -> Self {
        let state = State { delays: Vec::new(), free: NIL, heads: HashMap::new(), waiting: 0 };
        Self {
            state: Mutex::new(state),
            missed: AtomicU64::new(0),
            firing: AtomicUsize::new(0),
            watchers: Mutex::new(Vec::new()),
        }
    }
}

impl State {
    fn add(&mut self, live: Live) -> Option<TimerId> {
        let target = live.target;
        let index = if self.free == NIL {
            if self.delays.len() >= 1 << INDEX_BITS {
                return None;
            }
            self.delays.push(Delay { generation: 1, prev: NIL, next: NIL, live: None });
            (self.delays.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.delays[index as usize].next;
            index
        };
        let head = self.heads.insert(target, index).unwrap_or(NIL);
        if head != NIL {
            self.delays[head as usize].prev = index;
        }
        let d = &mut self.delays[index as usize];
        (d.prev, d.next) = (NIL, head);
        d.live = Some(live);
        self.waiting += 1;
        Some(TimerId::new(d.generation, index))
    }

    fn live(&mut self, id: TimerId) -> Option<&mut Live> {
        let d = self.delays.get_mut(id.index())?;
        if d.generation == id.generation() { d.live.as_mut() } else { None }
    }

    fn remove(&mut self, id: TimerId) -> Option<Live> {
        self.live(id)?;
        let index = id.index();
        let (prev, next) = (self.delays[index].prev, self.delays[index].next);
        if next != NIL {
            self.delays[next as usize].prev = prev;
        }
        let live = self.release(index)?;
        if prev != NIL {
            self.delays[prev as usize].next = next;
        } else if next != NIL {
            self.heads.insert(live.target, next);
        } else {
            self.heads.remove(&live.target);
        }
        Some(live)
    }

    fn release(&mut self, index: usize) -> Option<Live> {
        let free = std::mem::replace(&mut self.free, index as u32);
        let d = &mut self.delays[index];
        d.generation = if d.generation == GENERATIONS { 1 } else { d.generation + 1 };
        (d.prev, d.next) = (NIL, free);
        self.waiting -= 1;
        d.live.take()
    }

    fn remove_all(&mut self, target: Pid) -> Vec<Live> {
        let mut gone = Vec::new();
        let mut at = self.heads.remove(&target).unwrap_or(NIL);
        while at != NIL {
            let next = self.delays[at as usize].next;
            gone.extend(self.release(at as usize));
            at = next;
        }
        gone
    }
}

impl Core {
    /// Sends `payload` to `target` after `delay`, then every `every`.
    pub(super) fn delay(
        &self,
        target: Pid,
        delay: Duration,
        every: Option<Duration>,
        payload: Payload,
    ) -> Result<TimerId> {
        self.check_open()?;
        if every.is_some_and(|e| e.is_zero()) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "an interval must be longer than 0",
            ));
        }
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let slot = self.slot(target).ok_or_else(|| self.no_such_actor(target))?;
        let mut c = slot.lock();
        if !c.takes(target.generation()) {
            drop(c);
            return Err(self.no_such_actor(target));
        }
        // Under the cell's lock: an actor that ends either sees the delay or the delay sees it ended.
        c.has_delays = true;
        let due_ns = self.clock.now_ns().saturating_add(nanos(delay));
        let every_ns = every.map(nanos);
        let mut s = self.delays.state.lock();
        let id = s
            .add(Live { target, payload, due_ns, every_ns, last_tick: 0, key: None })
            .ok_or_else(|| Error::new(ErrorKind::AtCapacity, "16,777,216 timers wait already"))?;
        let key = self.timers.insert_at(due_ns, TimerTask::Send(id));
        if let Some(live) = s.live(id) {
            live.key = Some(key);
        }
        Ok(id)
    }

    /// Takes a delayed message back; answers whether it was still to come.
    pub(super) fn cancel_delay(&self, id: TimerId) -> bool {
        let Some(live) = self.delays.state.lock().remove(id) else { return false };
        live.key.map(|k| self.timers.cancel(k));
        self.tell_if_no_delays();
        true
    }

    /// The time of these delayed messages has come: many are often due at once.
    pub(super) fn fire_delays(&self, mut ids: &[TimerId]) {
        let mut once: Vec<(Pid, Payload)> = Vec::new();
        while !ids.is_empty() {
            let mut s = self.delays.state.lock();
            let mut seen = 0;
            for id in &ids[..ids.len().min(AT_ONCE)] {
                if s.live(*id).is_some_and(|live| live.every_ns.is_some()) {
                    break;
                }
                seen += 1;
                once.extend(s.remove(*id).map(|live| (live.target, live.payload)));
            }
            let n = once.len();
            self.delays.firing.fetch_add(n, Ordering::AcqRel);
            drop(s);
            self.send_runs(&mut once);
            self.delays.firing.fetch_sub(n, Ordering::AcqRel);
            ids = &ids[seen..];
            if seen == 0 {
                self.fire_delay(ids[0]);
                ids = &ids[1..];
            } else if n != 0 {
                self.tell_if_no_delays();
            }
        }
    }

    /// The time of an interval has come.
    fn fire_delay(&self, id: TimerId) {
        let now = self.clock.now_ns();
        let last = self.delays.state.lock().live(id).map(|live| (live.target, live.last_tick));
        let Some((target, last_tick)) = last else { return };
        // Not under the lock of the delays: a cell's comes before it.
        let waits = last_tick != 0 && self.may_hold(target, last_tick);
        let mut s = self.delays.state.lock();
        let Some(live) = s.live(id) else { return };
        let (payload, interval);
        if let Some(every) = live.every_ns {
            interval = true;
            let late = now.saturating_sub(live.due_ns) / every;
            live.due_ns = live.due_ns.saturating_add(every.saturating_mul(late + 1));
            live.key = Some(self.timers.insert_at(live.due_ns, TimerTask::Send(id)));
            self.delays.missed.fetch_add(late + u64::from(waits), Ordering::Relaxed);
            if waits {
                return;
            }
            payload = live.payload.clone();
        } else if let Some(live) = s.remove(id) {
            interval = false;
            payload = live.payload;
        } else {
            return;
        }
        self.delays.firing.fetch_add(1, Ordering::AcqRel);
        drop(s);
        if self.send(target, payload, None, None).is_accepted() && interval {
            let last_tick = self.slot(target).map_or(0, |slot| slot.lock().mailbox.last_pushed());
            if let Some(live) = self.delays.state.lock().live(id) {
                live.last_tick = last_tick;
            }
        }
        self.delays.firing.fetch_sub(1, Ordering::AcqRel);
        self.tell_if_no_delays();
    }

    /// Whether the message of that number may still wait for `pid`.
    fn may_hold(&self, pid: Pid, number: u64) -> bool {
        self.slot(pid).is_some_and(|slot| {
            let c = slot.lock();
            c.is(pid.generation()) && c.mailbox.may_hold(number)
        })
    }

    /// Whether delayed messages are still to come or on their way to a mailbox.
    pub(super) fn has_delays(&self) -> bool {
        // In this order: a delay that fires counts as firing before it is no more waiting.
        self.delays.state.lock().waiting != 0 || self.delays.firing.load(Ordering::Acquire) != 0
    }

    /// Wakes `lane` whenever the last delay is over.
    pub(super) fn watch_delays(&self, lane: Arc<Lane>) {
        self.delays.watchers.lock().push(lane);
    }

    pub(super) fn unwatch_delays(&self, lane: &Arc<Lane>) {
        self.delays.watchers.lock().retain(|l| !Arc::ptr_eq(l, lane));
    }

    fn tell_if_no_delays(&self) {
        if self.has_delays() {
            return;
        }
        let watchers = self.delays.watchers.lock().clone();
        watchers.iter().for_each(|lane| lane.wake());
    }

    /// `target` has ended: so have its delays.
    pub(super) fn forget_delays(&self, target: Pid) {
        let gone = self.delays.state.lock().remove_all(target);
        for key in gone.iter().filter_map(|l| l.key) {
            self.timers.cancel(key);
        }
        self.tell_if_no_delays();
    }

    /// Delayed messages that wait, and ticks of intervals that were skipped because they came too late.
    pub(super) fn delay_counts(&self) -> (usize, u64) {
        (self.delays.state.lock().waiting, self.delays.missed.load(Ordering::Relaxed))
    }
}

impl super::Runtime {
    /// Sends once, after `delay`; never earlier, and not if the target has ended by then. The target's end cancels it.
    ///
    /// # Errors
    /// `NoSuchActor`, `AtCapacity` (16,777,216 wait), `RuntimeClosed`.
    pub fn send_after(
        &self,
        pid: Pid,
        delay: Duration,
        payload: impl Into<Payload>,
    ) -> Result<TimerId> {
        self.core.delay(pid, delay, None, payload.into())
    }

    /// Sends every `interval`, first after one. Ticks do not drift and do not pile up: what is missed is skipped and counted.
    ///
    /// # Errors
    /// As [`send_after`](Self::send_after), and `InvalidArgument` for an interval of 0.
    pub fn send_interval(
        &self,
        pid: Pid,
        interval: Duration,
        payload: impl Into<Payload>,
    ) -> Result<TimerId> {
        self.core.delay(pid, interval, Some(interval), payload.into())
    }

    /// Takes a delayed message or an interval back; answers whether it was still to come.
    pub fn cancel_timer(&self, id: TimerId) -> bool {
        self.core.cancel_delay(id)
    }
}

/// A host's delay in milliseconds: 0 to 2^53.
///
/// # Errors
/// `InvalidArgument` if it is negative, NaN or longer.
pub fn delay_from_ms(ms: f64) -> Result<Duration> {
    if (0.0..=MAX_DELAY_MS).contains(&ms) {
        Ok(Duration::from_secs_f64(ms / 1e3))
    } else {
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a delay must be 0 to 2^53 milliseconds, got {ms}"),
        ))
    }
}
