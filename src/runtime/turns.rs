//! Turns: how messages go from mailboxes into the hands of a lane, and what becomes of them there.

use super::core::{Core, Wake};
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::id::Pid;
use crate::message::{CrashInfo, Envelope, ExitReason, Payload};
use crate::scheduler::lane::Lane;
use crate::sync::{MutexGuard, contain};
use std::sync::Arc;

/// One actor's part of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Whose messages.
    pub pid: Pid,
    /// The host's key of its handler.
    pub key: u32,
    /// First message, as an index into [`Batch::envelopes`].
    pub start: usize,
    /// One past the last message.
    pub end: usize,
    /// Messages from here on are not to be handled; `end` if all are.
    pub cut: usize,
    /// Messages in a row that the host may hand over to this actor itself whenever it has none, before others that wait; 0:
    /// none at all.
    pub plain: u32,
    /// The turn goes on without the batch (a promise is being awaited), or is over.
    pub detached: bool,
}

/// What a host lane has taken: open turns and their messages, in the order in which to handle them.
///
/// The envelopes stay here until the batch is settled, so what was not handled can go back to its mailbox.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages.
    pub envelopes: Vec<Envelope>,
    /// Whose they are, in order.
    pub runs: Vec<Run>,
    settled: usize,
}

impl Batch {
    /// The run that message `index` belongs to.
    #[must_use]
    pub fn run_of(&self, index: usize) -> Option<usize> {
        let at = self.runs.partition_point(|r| r.end <= index);
        (at < self.runs.len() && self.runs[at].start <= index).then_some(at)
    }
}

impl Core {
    /// Opens turns of `lane`'s runnable actors and moves their messages to the (settled, empty) batch, until it holds
    /// `max` messages or `fits` refuses one. The first message is never refused by count. Answers whether the lane's thread
    /// may hand over messages itself now, which `direct` asks for: none waits for any of its actors but in the batch.
    pub(crate) fn take(
        &self,
        lane: &Arc<Lane>,
        batch: &mut Batch,
        max: usize,
        mut fits: impl FnMut(&Envelope) -> bool,
        mut direct: bool,
    ) -> bool {
        debug_assert!(batch.envelopes.is_empty() && batch.runs.is_empty());
        batch.settled = 0;
        let (mut full, mut hooks, mut turns, mut granted) = (false, 0, 0, false);
        while !full && batch.envelopes.len() + hooks < max {
            let next = if direct && !batch.runs.is_empty() {
                let next;
                (next, granted) = lane.pop_or_direct();
                next
            } else {
                lane.pop()
            };
            let Some(r) = next else { break };
            let Some(slot) = self.table.get(r.slot) else { continue };
            let start = batch.envelopes.len();
            let mut c = slot.lock();
            if !c.is(r.generation) || c.sched != Sched::Queued {
                continue; // the actor ended since
            }
            let key = match &c.body {
                Body::Hosted(key) => *key,
                Body::Virtual(_) => {
                    let pid = self.pid_of(r.slot, r.generation);
                    direct = false;
                    match self.open_virtual(&mut c, lane, pid) {
                        Some(key) => key,
                        None => {
                            hooks += 1;
                            continue;
                        }
                    }
                }
                _ => continue,
            };
            let limit = if c.one_at_a_time { 1 } else { (c.budget as usize).min(max - start) };
            let n = c.mailbox.take(limit, &mut batch.envelopes, |e| {
                let ok = fits(e);
                full |= !ok;
                ok
            });
            if n == 0 && full {
                drop(c);
                lane.push_front(r);
                break;
            }
            let pid = self.pid_of(r.slot, r.generation);
            c.sched = Sched::Running;
            turns += 1;
            direct &= c.mailbox.is_empty();
            let hosted = matches!(c.body, Body::Hosted(_)) && c.mailbox.is_plain();
            let plain = if hosted && !c.one_at_a_time { c.budget } else { 0 };
            let over = if batch.envelopes[start..].iter().any(|e| e.call.is_some()) {
                self.hand_calls(&mut c, &mut batch.envelopes[start..])
            } else {
                0
            };
            batch.envelopes.truncate(start + n - over);
            drop(c);
            self.books.taken(n as u64);
            if over != 0 {
                self.books.expired_in_flight(over as u64);
            }
            let end = batch.envelopes.len();
            if end == start {
                // Nothing but calls that were over.
                let wake = self.end_turn(pid, 0, std::iter::empty(), None);
                self.wake(wake);
            } else {
                batch.runs.push(Run { pid, key, start, end, cut: end, plain, detached: false });
            }
        }
        if turns != 0 {
            lane.holds().turns(turns);
        }
        granted
    }

    /// Marks the calls among the taken messages as handed to their actor and moves those that are over behind the others;
    /// answers how many those are. Under the cell's lock, so whoever ends a call finds it either in the actor's list or
    /// not handed yet.
    pub(super) fn hand_calls(&self, c: &mut Cell, envelopes: &mut [Envelope]) -> usize {
        let mut kept = 0;
        for at in 0..envelopes.len() {
            if let Some(id) = envelopes[at].call {
                match self.calls.hand(id) {
                    None => continue,
                    Some(true) => c.extra().open_calls.push_back(id),
                    Some(false) => {}
                }
            }
            envelopes.swap(kept, at);
            kept += 1;
        }
        envelopes.len() - kept
    }

    /// Brings the books up to date with what the lane has done: `finished` messages are over, `begun` have begun.
    ///
    /// Turns that are over are closed; with everything finished the batch is empty again.
    pub(crate) fn settle(&self, batch: &mut Batch, finished: usize, begun: usize) {
        while let Some(run) = batch.runs.get(batch.settled).copied() {
            if run.end > finished {
                break;
            }
            batch.settled += 1;
            if !run.detached {
                let rest = drain_range(&mut batch.envelopes, run.cut, run.end);
                let wake = self.end_turn(run.pid, run.cut - run.start, rest, None);
                self.wake(wake);
            }
        }
        match batch.runs.get(batch.settled) {
            None => {
                batch.envelopes.clear();
                batch.runs.clear();
                batch.settled = 0;
            }
            Some(run) if run.start <= begun && !run.detached => {
                if let Some(slot) = self.slot(run.pid) {
                    let mut c = slot.lock();
                    if c.is(run.pid.generation()) {
                        c.mailbox.set_reserved(run.end.saturating_sub(begun) as u32);
                        self.note_pressure(&mut c, run.pid);
                        let waiters = c.has_waiters();
                        drop(c);
                        if waiters {
                            self.admit_to(run.pid);
                        }
                        self.ring_pressure();
                    }
                }
            }
            Some(_) => {}
        }
    }

    /// Whether the actor of a run may be given its next message.
    pub(crate) fn may_run(&self, pid: Pid) -> bool {
        self.is_alive(pid)
    }

    /// The handler of message `index` answered a promise: its turn stays open until [`resume`](Self::resume), what the
    /// batch holds behind it goes back to the mailbox, and from now on the actor gets one message a turn.
    pub(crate) fn suspend(&self, batch: &mut Batch, index: usize) {
        let Some(at) = batch.run_of(index) else { return };
        let run = &mut batch.runs[at];
        run.detached = true;
        let (pid, handled, end) = (run.pid, index - run.start, run.end);
        let rest = drain_range(&mut batch.envelopes, index + 1, end);
        self.books.handled(handled as u64);
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if c.is(pid.generation()) {
            c.handled += handled as u64;
            c.one_at_a_time = true;
            c.awaiting = true;
            c.mailbox.set_reserved(0);
            if c.life == Life::Alive || c.life == Life::Draining {
                self.books.returned(rest.len() as u64);
                c.mailbox.put_back(rest.into_iter());
                self.note_pressure(&mut c, pid);
                let waiters = c.has_waiters();
                drop(c);
                if waiters {
                    self.admit_to(pid);
                }
                self.ring_pressure();
            } else if let Life::Stopping(why) = c.life {
                self.leave_rest(c, pid, why, rest.into_iter());
            }
        } else {
            // The message itself is in flight no more for anybody: its actor is gone.
            let why = self.reason_of(pid);
            self.note_dead_in_hand(pid, why);
            self.books.dead_in_flight(why, 1);
            self.end_dead_turn(c, pid, rest.into_iter());
        }
    }

    /// The awaited handler of `pid` is over; answers whether the caller's lane must be armed.
    pub(crate) fn resume(&self, pid: Pid, here: Option<&Arc<Lane>>) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        {
            let mut c = slot.lock();
            if !c.is(pid.generation()) || !c.awaiting {
                return false; // it was counted when the actor ended
            }
            c.awaiting = false;
        }
        let wake = self.end_turn(pid, 1, std::iter::empty(), here);
        self.wake(wake)
    }

    /// Ends a turn: `handled` messages were handled, `rest` were not.
    #[inline]
    pub(super) fn end_turn(
        &self,
        pid: Pid,
        handled: usize,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
        here: Option<&Arc<Lane>>,
    ) -> Wake {
        let wake = self.finish_turn(pid, handled, rest, here);
        self.ring_pressure();
        wake
    }

    fn finish_turn(
        &self,
        pid: Pid,
        handled: usize,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
        here: Option<&Arc<Lane>>,
    ) -> Wake {
        if handled != 0 {
            self.books.handled(handled as u64);
        }
        let Some(slot) = self.slot(pid) else { return Wake::None };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            self.end_dead_turn(c, pid, rest);
            return Wake::None;
        }
        c.handled += handled as u64;
        if let Life::Stopping(why) = c.life {
            c.mailbox.set_reserved(0);
            if c.owes_deactivation() {
                let wake = self.retire(&mut c, pid, why, here);
                self.leave_rest(c, pid, why, rest);
                return wake;
            }
            if c.parks(why) {
                c.sched = Sched::Idle;
            }
            self.leave_rest(c, pid, why, rest);
            self.exit(pid, why, None);
            return Wake::None;
        }
        if rest.len() != 0 {
            self.books.returned(rest.len() as u64);
            c.mailbox.put_back(rest);
        }
        self.close_turn(c, pid, here)
    }

    /// Closes the turn of an actor that goes on, and whose hands are empty. The caller then rings the bells of pressure.
    pub(super) fn close_turn(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        here: Option<&Arc<Lane>>,
    ) -> Wake {
        c.mailbox.set_reserved(0);
        self.note_pressure(&mut c, pid);
        if c.life == Life::Alive && c.has_waiters() {
            let told = self.admit(&mut c);
            self.note_pressure(&mut c, pid);
            c.sched = Sched::Idle;
            let wake = if c.may_schedule() { self.schedule(&mut c, pid, here) } else { Wake::None };
            self.note_rest(&mut c, pid);
            drop(c);
            told.into_iter().for_each(|done| contain(|| done(true)));
            return wake;
        }
        if c.mailbox.is_empty() {
            c.sched = Sched::Idle;
            c.mailbox.rest();
            if c.life == Life::Draining {
                if c.owes_deactivation() {
                    return self.retire(&mut c, pid, ExitReason::Shutdown, here);
                }
                drop(c);
                self.exit(pid, ExitReason::Shutdown, None);
                return Wake::None;
            }
            self.note_rest(&mut c, pid);
            return Wake::None;
        }
        self.schedule(&mut c, pid, here)
    }

    /// The handler of message `index` threw: its actor ends with `crash`, and what it had not begun dies with it.
    pub(crate) fn crash(&self, batch: &mut Batch, index: usize, crash: Arc<CrashInfo>) {
        self.fail_run(batch, index, ExitReason::Crash, crash);
    }

    /// Message `index` is dead for the reason `why`, and so is the rest of its run.
    pub(super) fn fail_run(
        &self,
        batch: &mut Batch,
        index: usize,
        why: ExitReason,
        crash: Arc<CrashInfo>,
    ) {
        let Some(at) = batch.run_of(index) else { return };
        let run = &mut batch.runs[at];
        if run.detached {
            return;
        }
        run.detached = true;
        let (pid, handled, end) = (run.pid, index - run.start, run.end);
        let rest = drain_range(&mut batch.envelopes, index + 1, end);
        self.crash_turn(pid, handled, rest.into_iter(), why, crash);
    }

    /// The awaited handler of `pid` threw.
    pub(crate) fn crash_awaited(&self, pid: Pid, crash: CrashInfo) {
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if !c.is(pid.generation()) || !c.awaiting {
                return;
            }
            c.awaiting = false;
        }
        self.crash_turn(pid, 0, std::iter::empty(), ExitReason::Crash, Arc::new(crash));
    }

    pub(super) fn crash_turn(
        &self,
        pid: Pid,
        handled: usize,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
        why: ExitReason,
        crash: Arc<CrashInfo>,
    ) {
        if handled != 0 {
            self.books.handled(handled as u64);
        }
        self.note_dead_in_hand(pid, why);
        self.books.dead_in_flight(why, 1);
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            self.end_dead_turn(c, pid, rest);
            return;
        }
        if c.parks(why) {
            c.sched = Sched::Idle;
        }
        self.leave_rest(c, pid, why, rest);
        self.exit(pid, why, Some(crash));
    }

    /// Counts taken messages that nobody will handle, and fails the calls among them.
    pub(super) fn bury_in_flight(
        &self,
        pid: Pid,
        why: ExitReason,
        rest: impl Iterator<Item = Envelope>,
    ) {
        let mut n = 0;
        for e in rest {
            n += 1;
            self.note_dead(pid, why, &e);
            if let Some(id) = e.call {
                self.fail_call_exited(id, pid, why);
            }
        }
        if n != 0 {
            self.books.dead_in_flight(why, n);
        }
    }
}

/// Takes envelopes out of the middle of a batch without moving the others.
fn drain_range(envelopes: &mut [Envelope], from: usize, to: usize) -> std::vec::IntoIter<Envelope> {
    let gone = || Envelope { payload: Payload::empty(), sender: None, call: None };
    envelopes[from.min(to)..to]
        .iter_mut()
        .map(|e| std::mem::replace(e, gone()))
        .collect::<Vec<_>>()
        .into_iter()
}

/// A panic's message.
pub(crate) fn panic_info(panic: &(dyn std::any::Any + Send)) -> CrashInfo {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".into());
    CrashInfo { message, stack: None }
}
