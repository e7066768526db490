//! The native half of one `NodeRuntime` in one JS environment: its runtime, its lane, the batch that is being handled.

use super::linger::Linger;
use super::raw::{Cx, EnvSlot, FlagMemory, Reference, Shared, WatchSlot, unwatch_environment};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::{CrashInfo, LaneEvent, Payload};
use crate::runtime::{self, Batch, EventWatch, HostLane, InHand, PressureWatch, Runtime};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeSet, VecDeque};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Places in the control array that both sides share (lib/border.js has the same names).
pub(super) mod ctl {
    /// Messages of the batch that are over (written by JS).
    pub(crate) const FINISHED: usize = 0;
    /// 1 while a handler runs (written by JS).
    pub(crate) const IN_HANDLER: usize = 1;
    /// Set when an actor of the lane was stopped or killed: look before the next message.
    pub(crate) const CONTROL: usize = 2;
    /// Set when there are events to fetch.
    pub(crate) const EVENTS: usize = 3;
    /// What `take` took; see there.
    pub(crate) const TAKEN: usize = 4;
    /// The last call's id, low and high half.
    pub(crate) const CALL_LOW: usize = 5;
    pub(crate) const CALL_HIGH: usize = 6;
    /// Messages in the outbox, and their bytes.
    pub(crate) const OUT_COUNT: usize = 7;
    pub(crate) const OUT_BYTES: usize = 8;
    /// Set when the lane was given something to do by this very thread: no wake comes, JS arms a drain.
    pub(crate) const ARM: usize = 9;
    /// Calls that JS has answered itself.
    pub(crate) const ANSWERED: usize = 10;
    /// Messages that the outbox may hold once one of them is for another thread.
    pub(crate) const FAR_MAX: usize = 11;
    /// Whether JS hands over messages itself: 0 no, [`MAY_HAND`](super::MAY_HAND), [`HANDS`](super::HANDS),
    /// [`SLEEPS`](super::SLEEPS).
    pub(crate) const DIRECT: usize = 12;
    /// Messages of the outbox that JS has handed over itself.
    pub(crate) const HANDED: usize = 13;
    /// Bytes of the slab that are used (written by whoever fills it).
    pub(crate) const USED: usize = 14;
    /// 1 while the message that JS hands over is a call that nobody has answered.
    pub(crate) const HAND_CALL: usize = 15;
    /// Its id, low and high half, once the core has heard of it.
    pub(crate) const HAND_LOW: usize = 16;
    pub(crate) const HAND_HIGH: usize = 17;
    /// Events that [`told`](super::Memory::told) holds and JS has not seen.
    pub(crate) const TOLD: usize = 18;
    /// Set by JS: a factory has answered, and the core has not heard of it.
    pub(crate) const STARTED: usize = 19;
    /// Not 0 while JS may give a pull actor what `pull` has shown (2: all there is), and how many messages it has given.
    pub(crate) const AHEAD: usize = 20;
    pub(crate) const AHEAD_DONE: usize = 21;
    /// Where in the slab of pulls the first of them is.
    pub(crate) const AHEAD_AT: usize = 22;
}

/// Events that `told` holds (lib/border.js has the same).
pub(super) const TOLD_MAX: usize = 64;

/// JS may hand over the first messages of the outbox itself, and has not begun.
pub(super) const MAY_HAND: i32 = 1;
/// JS hands over the first messages of the outbox.
const HANDS: i32 = 2;
/// As `MAY_HAND`, and the lane sleeps.
pub(super) const SLEEPS: i32 = 3;

/// The arrays that JS made for both sides.
pub(super) struct Memory {
    pub(super) ctl: Shared,
    pub(super) records: Shared,
    pub(super) senders: Shared,
    /// Bytes of the outbox's messages, one behind the other.
    pub(super) stage: Shared,
    /// The outbox: a target and a sender (0: none) for each message.
    pub(super) out_pids: Shared,
    /// The outbox: a length for each message.
    pub(super) out_lengths: Shared,
    /// The outbox: for each call (its length is inverted) its key, and its timeout in milliseconds.
    pub(super) out_calls: Shared,
    /// The keys of calls in the batch that this very loop made; -1: another's.
    pub(super) call_keys: Shared,
    /// Calls that JS has answered itself: low and high half of each.
    pub(super) answered: Shared,
    /// The lengths of the messages that `pull` has shown.
    pub(super) shown: Shared,
    pub(super) clock: Shared,
    /// Events that are numbers, four doubles each: see `entries::events`. Behind them a ticket and the pid that its factory has
    /// answered.
    pub(super) told: Shared,
    /// Words that other threads set for JS.
    pub(super) nudged: FlagMemory,
}

pub(super) struct Inner {
    pub(super) rt: Runtime,
    pub(super) lane: HostLane,
    pub(super) batch: Batch,
    /// Where small messages are laid for JS, and how much of it is used.
    pub(super) slab: Option<Shared>,
    pub(super) used: usize,
    /// The slab of pulls, how much of it is used, and whom its last messages are for.
    pub(super) pulls: (Option<Shared>, usize, Option<Pid>),
    /// Hears of levels that change, if JS wants to.
    pub(super) pressure: Option<PressureWatch>,
    pub(super) events: Option<EventWatch>,
    /// What was said of the last crash that had no stack: in a storm it is the same again and again.
    pub(super) last_crash: Option<Arc<CrashInfo>>,
    #[cfg(feature = "vortex")]
    pub(super) races: super::vortex::Races,
    seen_control: u32,
    hold: Hold,
    pub(super) linger: Linger,
    pub(super) far: runtime::Linger,
    /// When a message for another thread was last posted, in nanoseconds.
    posted_ns: u64,
}

/// Most messages that wait in the outbox while one of them is for another thread.
const FAR_MOST: u64 = 128;
/// How long such a message may wait for the next while they come as fast as they do, in nanoseconds.
const FAR_WAIT: u64 = 20_000;

/// One hold of the event loop: from the first drain of a turn of the loop to the end of the last, on the runtime's clock.
#[derive(Default)]
struct Hold {
    begun_ns: u64,
    until_ns: u64,
}

impl Inner {
    /// A turn of the loop begins to run handlers: what the last one held is known now.
    pub(super) fn begin_hold(&mut self) {
        self.count_hold();
        self.hold.begun_ns = self.lane.now_ns();
    }

    /// Handlers ran until now.
    #[inline]
    pub(super) fn note_hold(&mut self, now_ns: u64) {
        self.hold.until_ns = now_ns;
    }

    /// Tells the lane of the hold that is over.
    pub(super) fn count_hold(&mut self) {
        let Hold { begun_ns, until_ns } = std::mem::take(&mut self.hold);
        if until_ns > begun_ns && begun_ns != 0 {
            self.lane.held(until_ns - begun_ns);
        }
    }
}

/// See the module doc. One thread only.
pub(super) struct Face {
    inner: RefCell<Option<Inner>>,
    pub(super) memory: Memory,
    pub(super) make_error: Reference,
    /// Set by the lane's waker on this thread.
    pub(super) armed: Arc<AtomicBool>,
    /// The home of the buffers that this thread allocates.
    pub(super) home: u64,
    id: u32,
    pub(super) env: EnvSlot,
    pub(super) watch: WatchSlot,
}

impl Face {
    pub(super) fn new(
        rt: Runtime,
        lane: HostLane,
        home: u64,
        memory: Memory,
        make_error: Reference,
        armed: Arc<AtomicBool>,
    ) -> Self {
        let id = rt.id();
        let inner = Inner {
            rt,
            lane,
            batch: Batch::default(),
            slab: None,
            used: 0,
            pulls: (None, 0, None),
            pressure: None,
            events: None,
            last_crash: None,
            #[cfg(feature = "vortex")]
            races: super::vortex::Races::default(),
            seen_control: 0,
            hold: Hold::default(),
            linger: Linger::default(),
            far: runtime::Linger::default(),
            posted_ns: 0,
        };
        Self {
            inner: RefCell::new(Some(inner)),
            memory,
            make_error,
            armed,
            home,
            id,
            env: Cell::new(null_mut()),
            watch: Cell::new(null_mut()),
        }
    }

    /// The runtime, unless it is disposed of.
    #[inline]
    pub(super) fn inner(&self) -> Result<RefMut<'_, Inner>> {
        let direct = self.memory.ctl.i32(ctl::DIRECT);
        if direct != 0 {
            self.memory.ctl.set_i32(ctl::DIRECT, 0);
        }
        let busy = |_| Error::new(ErrorKind::Internal, "iris was entered twice on one thread");
        let inner = self.inner.try_borrow_mut().map_err(busy)?;
        let mut inner = RefMut::filter_map(inner, Option::as_mut).map_err(|_| {
            Error::new(ErrorKind::RuntimeClosed, "this runtime is closed; make a new one")
        })?;
        if self.memory.ctl.i32(ctl::AHEAD) != 0 {
            self.looked_ahead(&mut inner);
        }
        if self.memory.ctl.i32(ctl::ANSWERED) != 0 {
            self.tell_answered(&mut inner);
        }
        let handed = if direct == 0 { (0, 0) } else { self.handed_over(&mut inner, direct) };
        if self.memory.ctl.i32(ctl::OUT_COUNT) != 0 {
            self.post(&mut inner, handed);
        }
        if self.memory.ctl.i32(ctl::STARTED) != 0 {
            self.tell_started(&mut inner);
        }
        Ok(inner)
    }

    /// What JS has handed over itself is told to the core, the message in hand included. Answers how many messages of the outbox
    /// that were, and their bytes.
    fn handed_over(&self, inner: &mut Inner, direct: i32) -> (usize, usize) {
        if direct != HANDS {
            inner.lane.end_direct();
            return (0, 0);
        }
        let m = &self.memory;
        let done = m.ctl.i32(ctl::HANDED) as usize;
        let in_hand = m.ctl.i32(ctl::IN_HANDLER) != 0;
        inner.used = m.ctl.i32(ctl::USED) as usize;
        let to = |i: usize| pid_of(m.out_pids.f64(2 * i));
        let hand = if in_hand { to(done).map(|pid| self.in_hand(inner, done, pid)) } else { None };
        let calls = (0..done).filter(|i| m.out_lengths.i32(*i) < 0).count() as u64;
        let calls = calls + u64::from(in_hand && m.out_lengths.i32(done) < 0);
        // One that is open still is counted when it is opened.
        let open = u64::from(hand.is_some_and(|h| h.call.is_some()));
        let done_to = (0..done).filter_map(to);
        let call = inner.lane.handed_over(&mut inner.batch, done_to, calls - open, hand);
        let id = call.map_or(0, CallId::to_bits);
        m.ctl.set_i32(ctl::HAND_LOW, id as i32);
        m.ctl.set_i32(ctl::HAND_HIGH, (id >> 32) as i32);
        let all = done + usize::from(in_hand);
        let length = |i| match m.out_lengths.i32(i) {
            call if call < 0 => !call,
            length => length,
        };
        (all, (0..all).map(|i| align(length(i) as usize)).sum())
    }

    /// Message `i` of the outbox, whose handler runs.
    fn in_hand(&self, inner: &Inner, i: usize, pid: Pid) -> InHand {
        let m = &self.memory;
        let call = (m.ctl.i32(ctl::HAND_CALL) != 0).then(|| {
            let timeout_ns = (m.out_calls.f64(2 * i + 1) * 1e6) as u64;
            (m.out_calls.f64(2 * i) as u64, inner.lane.now_ns().saturating_add(timeout_ns))
        });
        InHand { pid, sender: self.sender(i), call }
    }

    /// What JS has given to a pull actor is told to the core; the rest is not shown any more.
    fn looked_ahead(&self, inner: &mut Inner) {
        let ctl = &self.memory.ctl;
        ctl.set_i32(ctl::AHEAD, 0);
        let done = ctl.i32(ctl::AHEAD_DONE) as usize;
        if let Some(pid) = inner.pulls.2.filter(|_| done != 0) {
            inner.lane.looked_ahead(pid, done);
        }
    }

    fn tell_answered(&self, inner: &mut Inner) {
        let m = &self.memory;
        let count = m.ctl.i32(ctl::ANSWERED) as usize;
        m.ctl.set_i32(ctl::ANSWERED, 0);
        let id = |i| {
            let (low, high) = (m.answered.i32(2 * i) as u32, m.answered.i32(2 * i + 1) as u32);
            CallId::from_bits(u64::from(high) << 32 | u64::from(low))
        };
        let ids: Vec<CallId> = (0..count).filter_map(id).collect();
        inner.lane.answered(ids.into_iter());
    }

    /// The outcome of the last start that JS was told of: it waits for the next entry, whichever that is.
    #[cold]
    #[inline(never)]
    fn tell_started(&self, inner: &mut Inner) {
        let m = &self.memory;
        m.ctl.set_i32(ctl::STARTED, 0);
        self.sync(inner);
        inner.rt.set_start_at_hand(0);
        let (ticket, x) = (m.told.f64(TOLD_MAX * 4), m.told.f64(TOLD_MAX * 4 + 1));
        let outcome = pid_of(x).ok_or_else(|| not_a_pid(x).message().to_owned());
        inner.rt.start_over(ticket as u64, outcome);
        self.note_control(inner);
    }

    /// Writes ends and starts to `told`, four numbers each. The factory of the first start is at hand from then on.
    pub(super) fn tell(&self, inner: &Inner, events: &[LaneEvent]) {
        let mut at_hand = false;
        for (i, event) in events.iter().enumerate() {
            let numbers = match *event {
                LaneEvent::Start { key, ticket, old } => {
                    if !at_hand {
                        inner.rt.set_start_at_hand(ticket);
                    }
                    at_hand = true;
                    [9.0, key as f64, ticket as f64, old.map_or(0.0, number)]
                }
                LaneEvent::Gone { pid, key } => [3.0, f64::from(key), number(pid), 0.0],
                _ => continue,
            };
            for (at, n) in numbers.into_iter().enumerate() {
                self.memory.told.set_f64(i * 4 + at, n);
            }
        }
    }

    /// Sends what JS has put into the outbox, but for what it has `handed` over itself: a number of messages, and their bytes.
    /// Every entry does this first, so what JS sends and what it asks keep their order.
    fn post(&self, inner: &mut Inner, handed: (usize, usize)) {
        let m = &self.memory;
        let count = m.ctl.i32(ctl::OUT_COUNT) as usize;
        let ((mut i, mut at), mut now_ns, mut far) = (handed, None, false);
        while i < count {
            let (length, to) = (m.out_lengths.i32(i), m.out_pids.f64(2 * i));
            // Marked by JS: it is for another thread.
            let away = to < 0.0;
            far |= away;
            if length < 0 {
                let end = at + !length as usize;
                let now_ns = *now_ns.get_or_insert_with(|| {
                    self.sync(inner);
                    inner.lane.now_ns()
                });
                self.post_call(inner, i, to, m.stage.range(at, end), self.sender(i), now_ns);
                (i, at) = (i + 1, align(end));
                continue;
            }
            let mut end = i + 1;
            while end < count && m.out_lengths.i32(end) >= 0 && m.out_pids.f64(2 * end) == to {
                end += 1;
            }
            let n = end - i;
            let mut next = || {
                let bytes = m.stage.range(at, at + m.out_lengths.i32(i) as usize);
                at += align(bytes.len());
                i += 1;
                let payload = if away { Payload::from(bytes) } else { Payload::staying(bytes) };
                (payload, self.sender(i - 1))
            };
            // JS was told that the mailbox takes them. Should another thread have ended the actor in this moment, they
            // died in its queue.
            match pid_of(to.abs()) {
                // Another thread takes from that mailbox meanwhile: they are made before it is locked.
                Some(to) if away => {
                    let mut made: VecDeque<_> = (0..n).map(|_| next()).collect();
                    inner.lane.send_promised_run(to, n, || {
                        made.pop_front().unwrap_or((Payload::empty(), None))
                    });
                }
                Some(to) => inner.lane.send_promised_run(to, n, next),
                None => (0..n).for_each(|_| drop(next())),
            }
            i = end;
        }
        m.ctl.set_i32(ctl::OUT_COUNT, 0);
        m.ctl.set_i32(ctl::OUT_BYTES, 0);
        if far {
            self.pace(inner, count as u64);
        }
    }

    /// `count` messages were posted, some of them for other threads: as many may wait next time as come in `FAR_WAIT`. A lone
    /// message, and each of those that come slowly, does not wait for others.
    fn pace(&self, inner: &mut Inner, count: u64) {
        let now = inner.lane.now_ns();
        let each = (now.saturating_sub(inner.posted_ns) / count.max(1)).max(1);
        inner.posted_ns = now;
        let most = (count * 2).min(FAR_WAIT / each).clamp(1, FAR_MOST);
        self.memory.ctl.set_i32(ctl::FAR_MAX, most as i32);
    }

    /// The sender of message `i` of the outbox.
    #[inline]
    fn sender(&self, i: usize) -> Option<Pid> {
        let sender = self.memory.out_pids.f64(2 * i + 1);
        if sender == 0.0 { None } else { pid_of(sender) }
    }

    /// The runtime with the books up to date: what JS has finished since the last batch is told to the core first, so a
    /// question from inside a handler gets the exact answer.
    pub(super) fn synced(&self) -> Result<RefMut<'_, Inner>> {
        let mut inner = self.inner()?;
        self.sync(&mut inner);
        Ok(inner)
    }

    pub(super) fn sync(&self, inner: &mut Inner) {
        let finished = self.memory.ctl.i32(ctl::FINISHED) as usize;
        let begun = finished + self.memory.ctl.i32(ctl::IN_HANDLER) as usize;
        if !inner.batch.runs.is_empty() {
            inner.lane.settle(&mut inner.batch, finished, begun);
            // An end that was due may have taken linked actors of this batch along.
            self.note_control(inner);
        }
    }

    #[inline(never)]
    fn post_call(
        &self,
        inner: &mut Inner,
        i: usize,
        to: f64,
        bytes: &[u8],
        sender: Option<Pid>,
        now_ns: u64,
    ) {
        let key = self.memory.out_calls.f64(2 * i) as u64;
        let due_ns = now_ns.saturating_add((self.memory.out_calls.f64(2 * i + 1) * 1e6) as u64);
        let made = pid_of(to)
            .ok_or_else(|| not_a_pid(to))
            .and_then(|to| inner.lane.call_until(to, Payload::from(bytes), due_ns, sender, key));
        if let Err(e) = made {
            inner.lane.refuse_call(key, e);
        }
    }

    /// Tells JS to look before its next message if an actor of the lane was stopped or killed.
    #[inline]
    pub(super) fn note_control(&self, inner: &mut Inner) {
        let control = inner.lane.control();
        if control != inner.seen_control {
            inner.seen_control = control;
            self.memory.ctl.set_i32(ctl::CONTROL, 1);
        }
    }

    /// Tells JS to arm a drain if the lane was woken by this thread.
    #[inline]
    pub(super) fn note_armed(&self) {
        if self.armed.load(Ordering::Relaxed) {
            self.armed.store(false, Ordering::Relaxed);
            self.memory.ctl.set_i32(ctl::ARM, 1);
        }
    }

    /// Lets go of the runtime: what still runs in it is killed with the last handle.
    pub(super) fn dispose(&self) {
        self.leave();
        unwatch_environment(self);
    }

    /// The environment (main thread or Worker) ends: so do the actors of its lane, and nobody wakes it any more.
    pub(super) fn environment_closes(&self) {
        self.leave();
    }

    /// What this thread has promised is sent, what it had taken is counted, its actors and buffers end.
    fn leave(&self) {
        self.memory.nudged.give_up();
        // Posts the outbox, unless the thread ended in the middle of an entry.
        drop(self.inner());
        let Ok(mut slot) = self.inner.try_borrow_mut() else { return };
        let Some(mut inner) = slot.take() else { return };
        let begun = self.memory.ctl.i32(ctl::FINISHED) + self.memory.ctl.i32(ctl::IN_HANDLER);
        inner.lane.close();
        inner.lane.discard(&mut inner.batch, begun as usize);
        inner.rt.free_buffers_of(self.home);
        leave_thread(self.id);
    }
}

thread_local! {
    /// The runtimes that this thread has joined.
    static JOINED: RefCell<BTreeSet<u32>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that this thread has a lane in a runtime. It has no use for two: who wakes a lane from its own thread reckons with
/// being in an entry of that lane.
pub(super) fn join_thread(id: u32) -> Result<()> {
    let first = JOINED.try_with(|joined| joined.borrow_mut().insert(id)).unwrap_or(true);
    if first {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("another copy of iris on this thread has joined runtime {id} already; use that"),
    ))
}

pub(super) fn leave_thread(id: u32) {
    let _ = JOINED.try_with(|joined| joined.borrow_mut().remove(&id));
}

/// Messages start at multiples of 8 bytes, so that a view of any element type fits them.
#[inline]
pub(super) fn align(len: usize) -> usize {
    (len + 7) & !7
}

/// Argument `i` as a pid; `None`: it is a number, but of no actor.
///
/// # Errors
/// `InvalidType` if it is no number.
#[inline]
pub(super) fn pid_or_none(cx: &Cx<'_>, i: usize) -> Result<Option<Pid>> {
    match cx.f64(i) {
        Some(x) => Ok(pid_of(x)),
        None => Err(Error::new(ErrorKind::InvalidType, "pid must be a number")),
    }
}

/// The pid that a JS number is.
#[inline]
pub(super) fn pid_of(x: f64) -> Option<Pid> {
    let bits = x as u64;
    if bits as f64 == x { Pid::from_bits(bits) } else { None }
}

/// Argument `i` as a pid.
///
/// # Errors
/// `InvalidType` if it is no number, `NoSuchActor` if it is none of a pid's numbers.
pub(super) fn pid(cx: &Cx<'_>, i: usize) -> Result<Pid> {
    pid_or_none(cx, i)?.ok_or_else(|| not_a_pid(cx.f64(i).unwrap_or(f64::NAN)))
}

fn not_a_pid(x: f64) -> Error {
    Error::new(ErrorKind::NoSuchActor, format!("{x} is not a pid; pids come from spawn"))
}

/// A pid as a JS number.
pub(super) fn number(pid: Pid) -> f64 {
    pid.to_bits() as f64
}
