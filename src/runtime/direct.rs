//! Messages that the host hands over itself, from one actor of a lane to another: ADR 0027.
//!
//! While a lane's thread has everything that waits for its actors in its hands, what one of them sends to another need not
//! cross into the core and back: the host calls the handler and tells the core afterwards, before anything else is asked of
//! it. Whatever another thread gives the lane meanwhile is noticed before the next message.

use super::HostLane;
use super::core::{Core, TimerTask, Wake};
use super::turns::{Batch, Run};
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::actor::request::{CallSink, Open};
use crate::id::{CallId, Pid};
use crate::message::{Envelope, Payload};
use crate::scheduler::lane::{Lane, Nudge};
use crate::sync::atomic::Ordering;
use std::sync::Arc;

/// A message that the host was handing over when it stopped.
#[derive(Clone, Copy, Debug)]
pub struct InHand {
    /// Whose handler runs.
    pub pid: Pid,
    /// The actor that sent it in its own name, if one did.
    pub sender: Option<Pid>,
    /// If it is a call that nobody has answered: its key and its deadline.
    pub call: Option<(u64, u64)>,
}

impl HostLane {
    /// As [`take`](Self::take). `true`: until the next call of this lane's, the host may hand over itself what its actors send
    /// each other, to those whose [`Run`] said that they are `plain`, and then [says so](Self::handed_over). It stops
    /// before the next message when it is [nudged](Self::on_nudge) to look.
    pub fn take_direct(
        &self,
        batch: &mut Batch,
        max: usize,
        fits: impl FnMut(&Envelope) -> bool,
    ) -> bool {
        let direct = self.core.may_be_direct();
        self.core.take(&self.lane, batch, max, fits, direct)
    }

    /// As [`try_sleep`](Self::try_sleep); `Some(true)`: it sleeps, and the host may hand over messages itself as after
    /// [`take_direct`](Self::take_direct), in its sleep.
    #[must_use]
    pub fn try_sleep_direct(&self) -> Option<bool> {
        let direct = self.core.may_be_direct();
        self.lane.try_sleep_or_direct(direct).then_some(direct)
    }

    /// The host hands over nothing more itself. It has handed messages to `done`, in this order, after it was done with the
    /// batch, and `calls` of them were calls of its own that it has answered. One more is in the hands of an actor and is the
    /// batch from now on; the answer is its call, if it is an open one.
    pub fn handed_over(
        &self,
        batch: &mut Batch,
        done: impl Iterator<Item = Pid>,
        calls: u64,
        in_hand: Option<InHand>,
    ) -> Option<CallId> {
        let core = &self.core;
        if let Some(hand) = &in_hand {
            core.keep_open(batch, hand.pid);
        }
        let all = batch.envelopes.len();
        core.settle(batch, all, all);
        let mut n = 0;
        for pid in done {
            core.note_handled(pid);
            n += 1;
        }
        core.books.accepted_many(n);
        core.books.taken(n);
        core.books.handled(n);
        core.books.calls(calls);
        self.lane.holds().turns(n + u64::from(in_hand.is_some()));
        let call = in_hand.and_then(|hand| core.open_in_hand(batch, hand, &self.lane));
        self.end_direct();
        call
    }

    /// Shows messages that the host may give to a pull actor of this lane before it [says so](Self::looked_ahead), with its next
    /// call of this lane's: those in front of its mailbox, in their order, for as long as `see` takes them. Answers how many it took,
    /// and whether those are all there are: the actor is told of the next, as if it had found none. The host gives none of them
    /// once it is [nudged](Self::on_nudge) to look.
    pub fn look_ahead(&self, pid: Pid, see: impl FnMut(&Envelope) -> bool) -> (usize, bool) {
        self.core.look_ahead(pid, see)
    }

    /// The first `n` messages that [`look_ahead`](Self::look_ahead) showed have been given to their actor.
    pub fn looked_ahead(&self, pid: Pid, n: usize) {
        self.core.looked_ahead(pid, n);
    }

    /// The host hands over nothing itself, and has not.
    pub fn end_direct(&self) {
        for pid in self.lane.end_direct() {
            self.core.end_owed(pid);
        }
    }
}

impl Core {
    /// Shows messages that a pull actor of this lane may be given before the core hears of it: those in front of its mailbox, for as
    /// long as `see` takes them. Until the next call of this lane's nothing but a message behind them reaches the mailbox, or the
    /// lane is nudged to look. Answers how many were taken, and whether those are all there are: then the actor waits for the next.
    fn look_ahead(&self, pid: Pid, mut see: impl FnMut(&Envelope) -> bool) -> (usize, bool) {
        if !self.may_be_direct() {
            return (0, false);
        }
        let Some(slot) = self.slot(pid) else { return (0, false) };
        let mut c = slot.lock();
        let may = c.takes(pid.generation()) && c.sched != Sched::Queued && c.mailbox.is_plain();
        if !may || c.has_waiters() {
            return (0, false);
        }
        // A call may be over any time; what is no message of bytes is made elsewhere.
        let plain = |e: &&Envelope| e.call.is_none() && e.payload.as_system().is_none();
        let n = c.mailbox.iter().take_while(plain).take_while(|e| see(e)).count();
        let all = n != 0 && n == c.mailbox.queued();
        c.waits |= all;
        (n, all)
    }

    /// The first `n` messages of a pull actor, which it was shown, have been given to it.
    fn looked_ahead(&self, pid: Pid, n: usize) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return;
        }
        let taken = (0..n).map_while(|_| c.mailbox.pop_oldest()).count() as u64;
        c.handled += taken;
        self.books.taken(taken);
        self.books.handled(taken);
        self.after_pull(c, pid);
    }

    /// Whether nobody but one lane's thread ends actors, nobody asks how full mailboxes are, and every message is taken.
    fn may_be_direct(&self) -> bool {
        self.alone.load(Ordering::Acquire)
            && !self.pool.is_started()
            && !self.has_peers()
            && !self.watches_pressure()
            && !self.may_shed()
            && !self.is_closed()
    }

    /// A new lane. What others do themselves, they stop: its thread may end their actors.
    pub(super) fn add_lane(&self, lane: &Arc<Lane>) {
        let mut lanes = self.lanes.lock();
        lanes.add(lane);
        let open = lanes.open();
        self.alone.store(open.len() <= 1, Ordering::Release);
        drop(lanes);
        for other in open.iter().filter(|l| !Arc::ptr_eq(l, lane)) {
            other.nudge(Nudge::Look);
        }
    }

    /// The batch is over, and this actor has another message in hand: its turn goes on. Should it have been stopped meanwhile, it
    /// ends with that.
    fn keep_open(&self, batch: &mut Batch, pid: Pid) {
        let Some(run) = batch.runs.iter_mut().find(|r| r.pid == pid && !r.detached) else { return };
        run.detached = true;
        let n = (run.end - run.start) as u64;
        self.books.handled(n);
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if c.is(pid.generation()) {
                c.handled += n;
            }
        }
    }

    fn note_handled(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if c.is(pid.generation()) {
            c.handled += 1;
            c.mailbox.passed();
        }
    }

    /// The turn of an actor whose message the host has begun to hand over.
    fn open_in_hand(&self, batch: &mut Batch, hand: InHand, lane: &Arc<Lane>) -> Option<CallId> {
        let InHand { pid, sender, call } = hand;
        self.books.accepted();
        self.books.taken(1);
        let mut opened = None;
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if c.is(pid.generation()) {
                c.mailbox.passed();
                // Should another thread's message have put it into the run queue: its place there is stale.
                c.sched = Sched::Running;
                if let Some((key, due_ns)) = call {
                    let sink = CallSink::Lane(Arc::clone(lane), key);
                    let open = Open { callee: pid, caller: None, timer: None, handed: true, sink };
                    let arm = |id| self.timers.insert_at(due_ns, TimerTask::Call(id));
                    let id = self.calls.open(open, arm);
                    c.extra().open_calls.push_back(id);
                    opened = Some(id);
                }
            }
        }
        if let Some((key, _)) = call {
            self.books.call();
            if opened.is_none() {
                CallSink::Lane(Arc::clone(lane), key)
                    .fail(self.exited_before(pid, self.reason_of(pid)));
            }
        }
        batch.envelopes.push(Envelope { payload: Payload::empty(), sender, call: opened });
        let run = Run { pid, key: pid.slot(), start: 0, end: 1, cut: 1, plain: 0, detached: false };
        batch.runs.push(run);
        opened
    }

    /// Whether an actor that is to be stopped, and looks idle, may be running all the same: then its lane ends it.
    /// `Some`: and whom to wake for that.
    pub(super) fn may_be_in_hand(&self, c: &Cell, pid: Pid) -> Option<Wake> {
        let lane = c.lane.as_ref().filter(|_| matches!(c.body, Body::Hosted(_)))?;
        lane.owes_end(pid).map(|w| if w { Wake::Lane(Arc::clone(lane)) } else { Wake::None })
    }

    /// An actor was stopped while it may have had a message in hand. If it has, it ends with that.
    fn end_owed(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let c = slot.lock();
        let due = c.is(pid.generation()) && c.sched != Sched::Running && c.life != Life::Alive;
        let waits = c.life == Life::Draining && !c.mailbox.is_empty();
        drop(c);
        if due && !waits {
            let wake = self.end_turn(pid, 0, std::iter::empty(), None);
            self.wake(wake);
        }
    }
}
