//! What a host needs to run its actors: a [`HostLane`] for each of its threads.
//!
//! The host's loop, on the thread that the lane belongs to:
//!
//! ```text
//!   woken (by the waker, or by `arm` of a send of its own)
//!   loop
//!     take_events                    calls that are over, joins, handlers to forget, failures
//!     take -> batch                  open turns and their messages, in order
//!     for each message: run the handler
//!        returned       -> nothing to say (reply first, if it was a call)
//!        promise        -> suspend; later resume, or crash_awaited
//!        threw          -> crash (fail_call first, if it was a call)
//!        `control` has changed since the take -> cut_if_gone, before this and every later message of the batch
//!     settle                         closes the turns
//!     nothing taken, no events, try_sleep -> done
//! ```

use super::calls::Replied;
use super::core::{Core, KEY_IS_SLOT, Sent};
use super::events::{EventKinds, EventWatch};
use super::pressure::PressureWatch;
use super::turns::{Batch, Run};
use crate::actor::activation::Virtual;
use crate::actor::cell::{Body, ExitSink};
use crate::actor::request::CallSink;
use crate::config::{SpawnOptions, VirtualOptions};
use crate::error::{Error, Result};
use crate::id::{CallId, Pid};
use crate::message::{CrashInfo, Envelope, LaneEvent, Payload, PullSignal};
use crate::scheduler::lane::{Lane, Nudge};

use crate::scheduler::stats::Refusal;
use std::sync::Arc;
use std::time::Duration;

/// A host thread's end of the core. Methods that take turns belong to that thread; the others may be called from any
/// thread, but `arm` in their answers is meant for the lane's own.
#[derive(Clone, Debug)]
pub struct HostLane {
    pub(super) core: Arc<Core>,
    pub(super) lane: Arc<Lane>,
}

impl super::Runtime {
    /// Opens a lane for a thread of the host. `waker` is called, from any thread and with no lock held, when the lane
    /// has something to do and slept; it must not block.
    pub fn open_lane(&self, waker: impl Fn() + Send + Sync + 'static) -> HostLane {
        self.open_lane_of("host", waker)
    }

    /// As [`open_lane`](Self::open_lane); `host` is what metrics call the lane's kind.
    pub fn open_lane_of(
        &self,
        host: &'static str,
        waker: impl Fn() + Send + Sync + 'static,
    ) -> HostLane {
        let lane = Arc::new(Lane::new(host, waker));
        self.core.add_lane(&lane);
        HostLane { core: Arc::clone(&self.core), lane }
    }
}

impl HostLane {
    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Spawns an actor that this lane's thread runs; `key` is the host's name for its handler, free again when the lane
    /// gets [`LaneEvent::Gone`].
    ///
    /// # Errors
    /// `InvalidArgument`, `RuntimeClosed`, `AtCapacity`.
    pub fn spawn(&self, key: u32, options: SpawnOptions) -> Result<Pid> {
        self.core.spawn_hosted(&self.lane, key, options)
    }

    /// The host's name for the handler of a live actor of this lane.
    #[must_use]
    pub fn key_of(&self, pid: Pid) -> Option<u32> {
        let c = self.core.slot(pid)?.lock();
        let mine = c.lane.as_ref().is_some_and(|l| Arc::ptr_eq(l, &self.lane));
        match c.body {
            Body::Hosted(key) | Body::Virtual(Virtual { key, .. })
                if mine && c.is(pid.generation()) =>
            {
                Some(key)
            }
            _ => None,
        }
    }

    /// As [`spawn`](Self::spawn) with the actor's slot (the low 23 bits of its pid) as the key; answers also whether the
    /// mailbox is bounded.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_keyed_by_slot(&self, options: SpawnOptions) -> Result<(Pid, bool)> {
        let bounded = options.capacity.or(self.core.config.default_capacity).is_some();
        Ok((self.core.spawn_hosted(&self.lane, KEY_IS_SLOT, options)?, bounded))
    }

    /// As [`Runtime::spawn_pull`](super::Runtime::spawn_pull), on this lane: the actor ends with it.
    ///
    /// # Errors
    /// As there.
    pub fn spawn_pull(
        &self,
        options: SpawnOptions,
        signal: impl Fn(PullSignal) + Send + Sync + 'static,
    ) -> Result<Pid> {
        self.core.spawn_pull(Some(&self.lane), options, Arc::new(signal))
    }

    /// As [`spawn_pull`](Self::spawn_pull), and what the actor is told comes as [`LaneEvent::Pull`] with `key`. Answers
    /// also whether the mailbox is bounded.
    ///
    /// # Errors
    /// As there.
    pub fn spawn_pull_keyed(&self, options: SpawnOptions, key: u64) -> Result<(Pid, bool)> {
        let bounded = options.capacity.or(self.core.config.default_capacity).is_some();
        let lane = Arc::clone(&self.lane);
        let signal = move |signal| {
            if lane.push_event(LaneEvent::Pull { key, signal }) {
                lane.wake();
            }
        };
        Ok((self.core.spawn_pull(Some(&self.lane), options, Arc::new(signal))?, bounded))
    }

    /// Sends, and waits for room where the policy is `block`; whether the mailbox took the message comes as
    /// [`LaneEvent::CallDone`] with `key`: one byte if it did, none if not. Answers a token for
    /// [`Runtime::forget_send`](super::Runtime::forget_send) if it waits.
    pub fn send_wait(&self, pid: Pid, payload: Payload, key: u64) -> Option<u64> {
        let sink = CallSink::Lane(Arc::clone(&self.lane), key);
        let done = Box::new(move |took| {
            sink.deliver(Ok(if took { Payload::from(b"1") } else { Payload::empty() }));
        });
        // No `here`: the wake comes by the waker, for the message as for the event.
        self.core.send_wait(pid, payload, None, None, done).0
    }

    /// Wakes this lane whenever the last delayed message of the runtime is over, so that the host can look at
    /// [`has_delays`](Self::has_delays) again.
    pub fn watch_delays(&self) {
        self.core.watch_delays(Arc::clone(&self.lane));
    }

    /// Whether delayed messages are still to come, or have come and this lane has not seen them yet.
    #[must_use]
    pub fn has_delays(&self) -> bool {
        self.core.has_delays() || !self.lane.is_asleep()
    }

    /// Sends from this lane's thread.
    #[inline]
    pub fn send(&self, pid: Pid, payload: Payload, sender: Option<Pid>) -> Sent {
        self.core.send(pid, payload, sender, Some(&self.lane))
    }

    /// Sends from this lane's thread what `payload` makes; it is called under the mailbox's lock, and only if the mailbox
    /// takes it. Answers whether the lane must be armed.
    ///
    /// # Errors
    /// Why the mailbox did not take it. The refusal is not in the books yet: try again, or [`refuse`](Self::refuse).
    #[inline]
    pub fn send_with(
        &self,
        pid: Pid,
        length: usize,
        payload: impl FnOnce() -> Payload,
        sender: Option<Pid>,
    ) -> std::result::Result<bool, Refusal> {
        if self.core.is_too_large(pid, length) {
            return Err(Refusal::TooLarge);
        }
        let envelope = |_| Envelope { payload: payload(), sender, call: None };
        self.core.try_deliver(pid, Some(&self.lane), envelope)
    }

    /// Why a message would be refused right now.
    ///
    /// # Errors
    /// The refusal, not counted.
    pub fn check_room(&self, pid: Pid) -> std::result::Result<(), Refusal> {
        self.core.check_room(pid)
    }

    /// Counts a refused send.
    pub fn refuse(&self, why: Refusal) -> Sent {
        self.core.refuse(why)
    }

    /// Calls from this lane's thread; the outcome comes as [`LaneEvent::CallDone`] with `key`. Answers the call and
    /// whether the lane must be armed.
    ///
    /// # Errors
    /// `NoSuchActor`, `MailboxFull`, `SelfCall` (if `caller` is `pid`), `RuntimeClosed`.
    pub fn call(
        &self,
        pid: Pid,
        payload: Payload,
        timeout: Duration,
        caller: Option<Pid>,
        key: u64,
    ) -> Result<(CallId, bool)> {
        let sink = CallSink::Lane(Arc::clone(&self.lane), key);
        self.core.call(pid, payload, timeout, caller, sink, Some(&self.lane))
    }

    /// As [`call`](Self::call), with the deadline as a time of the runtime's clock.
    ///
    /// # Errors
    /// As there.
    pub fn call_until(
        &self,
        pid: Pid,
        payload: Payload,
        due_ns: u64,
        caller: Option<Pid>,
        key: u64,
    ) -> Result<(CallId, bool)> {
        let sink = CallSink::Lane(Arc::clone(&self.lane), key);
        self.core.call_until(pid, payload, due_ns, caller, sink, Some(&self.lane))
    }

    /// The key of an open call that this lane's thread made, and no actor in its own name: the host may answer it itself,
    /// as long as it was not [nudged](Self::on_nudge) that a call has ended, and tell the core soon.
    #[must_use]
    pub fn key_of_call(&self, call: CallId) -> Option<u64> {
        self.core.calls.key_of(call, &self.lane)
    }

    /// The host has answered these calls itself.
    pub fn answered(&self, calls: impl ExactSizeIterator<Item = CallId>) {
        self.core.finish_answered(calls);
    }

    /// Gives this lane an error as the outcome of a call that could not be made.
    pub fn refuse_call(&self, key: u64, error: Error) {
        CallSink::Lane(Arc::clone(&self.lane), key).fail(error);
    }

    /// Answers a call from this lane's thread; `payload` is made only if it must pass through the core.
    pub fn reply(&self, call: CallId, payload: impl FnOnce() -> Payload) -> Replied {
        self.core.reply_from(call, Some(&self.lane), payload)
    }

    /// Ends a call with an error.
    pub fn fail_call(&self, call: CallId, error: impl FnOnce() -> Error) -> Replied {
        self.core.fail_call_from(call, &self.lane, error)
    }

    /// Gives a call up; answers whether it was open. Nothing comes for it any more.
    pub fn cancel_call(&self, call: CallId) -> bool {
        self.core.cancel_call(call)
    }

    /// Asks for [`LaneEvent::Joined`] with `key` when the actor has ended (at once if it has).
    pub fn join(&self, pid: Pid, key: u64) {
        self.core.join(pid, ExitSink::Lane(Arc::clone(&self.lane), key));
    }

    /// Takes a [`join`](Self::join) of this lane back (a waiter gave up); answers whether it was still to come.
    pub fn forget_join(&self, pid: Pid, key: u64) -> bool {
        self.core.forget_join(pid, |_, sink| {
            matches!(sink, ExitSink::Lane(lane, k) if *k == key && Arc::ptr_eq(lane, &self.lane))
        })
    }

    /// Sends [`LaneEvent::Failed`] to this lane for every actor of the runtime that fails.
    pub fn take_failures(&self) {
        let lane = Arc::clone(&self.lane);
        *self.core.failure_hook.lock() = Some(Arc::new(move |info| {
            if lane.push_event(LaneEvent::Failed(info)) {
                lane.wake();
            }
        }));
    }

    /// Opens turns and moves their messages to the settled batch, until it holds `max` or `fits` refuses one.
    pub fn take(&self, batch: &mut Batch, max: usize, fits: impl FnMut(&Envelope) -> bool) {
        let _ = self.core.take(&self.lane, batch, max, fits, false);
    }

    /// Tells the core how far the batch is: `finished` messages are over, `begun` have begun.
    pub fn settle(&self, batch: &mut Batch, finished: usize, begun: usize) {
        self.core.settle(batch, finished, begun);
    }

    /// Message `index` answered a promise.
    pub fn suspend(&self, batch: &mut Batch, index: usize) {
        self.core.suspend(batch, index);
    }

    /// The promise of `pid` was kept; answers whether this lane must be armed.
    pub fn resume(&self, pid: Pid) -> bool {
        self.core.resume(pid, Some(&self.lane))
    }

    /// Spawns a virtual actor, as [`spawn`](Self::spawn): what is to be done when it wakes and before it sleeps comes as
    /// [`LaneEvent::Hook`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_virtual(&self, key: u32, options: SpawnOptions, v: VirtualOptions) -> Result<Pid> {
        self.core.spawn_virtual(&self.lane, key, options, v)
    }

    /// As [`spawn_virtual`](Self::spawn_virtual) with the actor's slot as the key, as
    /// [`spawn_keyed_by_slot`](Self::spawn_keyed_by_slot).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_virtual_keyed_by_slot(
        &self,
        options: SpawnOptions,
        v: VirtualOptions,
    ) -> Result<(Pid, bool)> {
        let bounded = options.capacity.or(self.core.config.default_capacity).is_some();
        Ok((self.core.spawn_virtual(&self.lane, KEY_IS_SLOT, options, v)?, bounded))
    }

    /// Whether the hook of `pid` that this lane was told of is still to be run, or runs: its actor has not ended meanwhile.
    #[must_use]
    pub fn hook_is_due(&self, pid: Pid) -> bool {
        self.core.hook_is_due(pid)
    }

    /// [`Runtime::watch_pressure`](super::Runtime::watch_pressure), and the bell is [`LaneEvent::Pressure`] for this lane.
    #[must_use]
    pub fn watch_pressure(&self) -> PressureWatch {
        let lane = Arc::clone(&self.lane);
        self.core.watch_pressure(Box::new(move || {
            if lane.push_event(LaneEvent::Pressure) {
                lane.wake();
            }
        }))
    }

    /// [`Runtime::watch_events`](super::Runtime::watch_events), and the bell is [`LaneEvent::Events`] for this lane.
    #[must_use]
    pub fn watch_events(&self, kinds: EventKinds) -> EventWatch {
        let lane = Arc::clone(&self.lane);
        self.core.watch_events(kinds, move || {
            if lane.push_event(LaneEvent::Events) {
                lane.wake();
            }
        })
    }

    /// The hook of `pid` is over; answers whether this lane must be armed.
    pub fn hook_done(&self, pid: Pid) -> bool {
        self.core.hook_done(pid, Some(&self.lane))
    }

    /// [`hook_done`](Self::hook_done) from a thread that is not this lane's.
    pub fn hook_done_elsewhere(&self, pid: Pid) {
        self.core.hook_done(pid, None);
    }

    /// Message `index` made its handler throw.
    pub fn crash(&self, batch: &mut Batch, index: usize, crash: impl Into<Arc<CrashInfo>>) {
        self.core.crash(batch, index, crash.into());
    }

    /// The promise of `pid` was broken.
    pub fn crash_awaited(&self, pid: Pid, crash: CrashInfo) {
        self.core.crash_awaited(pid, crash);
    }

    /// Ends an actor with `crash` for something that it had begun and did not wait for; `false`: it had ended.
    pub fn crash_now(&self, pid: Pid, crash: CrashInfo) -> bool {
        self.core.exit(pid, crate::message::ExitReason::Crash, Some(Arc::new(crash)))
    }

    /// Message `index` must not be handled if its actor was stopped or killed; then its run is cut short there, and the
    /// answer is the run's end.
    pub fn cut_if_gone(&self, batch: &mut Batch, index: usize) -> Option<usize> {
        let run: &mut Run = batch.run_of(index).and_then(|at| batch.runs.get_mut(at))?;
        if run.detached || self.core.may_run(run.pid) {
            return None;
        }
        run.cut = run.cut.min(index);
        Some(run.end)
    }

    /// Counts up whenever an actor of this lane was stopped or killed while a turn was open.
    #[inline]
    #[must_use]
    pub fn control(&self) -> u32 {
        self.lane.control()
    }

    /// Moves what the lane is told to `out`.
    pub fn take_events(&self, out: &mut Vec<LaneEvent>) {
        self.lane.take_events(out);
    }

    /// As [`take_events`](Self::take_events), if there are some, no more than `max`, and all are ends of actors
    /// ([`LaneEvent::Gone`]) and starts ([`LaneEvent::Start`]): what a storm of crashes makes.
    pub fn take_ends_and_starts(&self, max: usize, out: &mut Vec<LaneEvent>) -> bool {
        let pick = |e: &LaneEvent| matches!(e, LaneEvent::Gone { .. } | LaneEvent::Start { .. });
        self.lane.take_events_if(max, pick, out)
    }

    /// Whether [`take_events`](Self::take_events) has something to take.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.lane.has_events()
    }

    /// The host has kept this lane's thread for `ns` nanoseconds in one go.
    pub fn held(&self, ns: u64) {
        self.lane.holds().held(ns);
    }

    /// Sets what is called, from any thread, when the lane's thread must see something before its next message: a
    /// [slice](Self::end_slice_at) is over, [`control`](Self::control) has changed, a call has ended. It may be called with
    /// core locks held: it must neither block nor call back. Once.
    pub fn on_nudge(&self, nudge: impl Fn(Nudge) + Send + Sync + 'static) {
        self.lane.on_nudge(nudge);
    }

    /// Nudges this lane when the runtime's clock shows `at_ns`, in place of what was asked before.
    pub fn end_slice_at(&self, at_ns: u64) {
        self.core.slices.end_at(&self.lane, at_ns);
    }

    /// Nanoseconds of the runtime's clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.core.clock.now_ns()
    }

    /// Closes the whole runtime; [`LaneEvent::CallDone`] with `key` comes when all actors have ended. See
    /// [`Runtime::close`](super::Runtime::close).
    pub fn close_runtime(&self, timeout: Duration, key: u64) {
        let sink = CallSink::Lane(Arc::clone(&self.lane), key);
        self.core.close(timeout, Box::new(move || sink.deliver(Ok(Payload::empty()))));
    }

    /// Goes to sleep; `false`: there is something to do.
    #[must_use]
    pub fn try_sleep(&self) -> bool {
        self.lane.try_sleep()
    }

    /// Counts what the batch holds and nobody will handle: the first `begun` messages have begun, the others die with
    /// their actors. Call it after [`close`](Self::close) when the thread went away in the middle of a batch.
    pub fn discard(&self, batch: &mut Batch, begun: usize) {
        for run in &mut batch.runs {
            run.cut = run.cut.min(begun.clamp(run.start, run.end));
        }
        let all = batch.envelopes.len();
        self.settle(batch, all, all);
    }

    /// The thread is going away: its actors end with `disconnected`.
    pub fn close(&self) {
        self.core.close_lane(&self.lane);
    }
}
