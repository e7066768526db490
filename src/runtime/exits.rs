//! How actors end: stop, kill, crash, and what is cleaned up.

use super::core::{Core, REMEMBERED_BITS, TimerTask};
use crate::actor::activation::Virtual;
use crate::actor::cell::{Body, Cell, ExitSink, Extra, Keeper, Life, Sched, StopWatch};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::message::{CrashInfo, Envelope, ExitInfo, ExitReason, LaneEvent, PullSignal};
use crate::scheduler::lane::Lane;
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, contain};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// An actor that has been taken down and is not cleaned up yet.
struct Ended {
    info: ExitInfo,
    children: Vec<Pid>,
    running: bool,
    queue: VecDeque<Envelope>,
    body: Body,
    lane: Option<Arc<Lane>>,
    awaiting: bool,
    has_delays: bool,
    sequence: u64,
    /// It ends because a linked actor did.
    linked: bool,
    /// Somebody supervises it.
    kept: bool,
    /// A pool replaces it.
    pooled: bool,
    /// What it had queued is for a replacement.
    parked: bool,
    extra: Extra,
}

/// Ends of linked actors, on their way.
type Signals = VecDeque<(Pid, ExitInfo)>;

impl Core {
    /// Stops an actor: no message is accepted from now on, the running handler finishes, what is queued dies (or, with
    /// `drain`, is handled first). A handler that is not done after `timeout` (default: the runtime's) is abandoned.
    /// Answers whether the actor was alive.
    pub(crate) fn stop(&self, pid: Pid, drain: bool, timeout: Option<Duration>) -> bool {
        self.may_end(pid, drain, false)
            && self.stop_because(pid, ExitReason::Shutdown, drain, timeout)
    }

    pub(super) fn stop_because(
        &self,
        pid: Pid,
        why: ExitReason,
        drain: bool,
        timeout: Option<Duration>,
    ) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.is(pid.generation()) || !c.accepts_or_drains() {
            return false;
        }
        if drain && c.life == Life::Draining {
            return true;
        }
        self.end_lease(&mut c);
        let pulls = matches!(c.body, Body::Pull(_));
        let idle = c.sched != Sched::Running && !pulls && (!drain || c.mailbox.is_empty());
        let owed = if idle { self.may_be_in_hand(&c, pid) } else { None };
        if idle && owed.is_none() {
            if !c.owes_deactivation() {
                self.exit_locked(c, pid, why, None);
                return true;
            }
            let dead = if c.parks(why) { VecDeque::new() } else { c.mailbox.drain_all() };
            self.watch_stop(&mut c, pid, timeout.unwrap_or(self.config.stop_timeout));
            let wake = self.retire(&mut c, pid, why, None);
            drop(c);
            self.wake(wake);
            self.bury_queue(pid, why, dead);
            return true;
        }
        let dead = if drain && !(pulls && c.mailbox.is_empty()) {
            c.life = Life::Draining;
            VecDeque::new()
        } else if c.parks(why) && !self.is_closed() {
            c.life = Life::Stopping(why);
            VecDeque::new()
        } else {
            c.life = Life::Stopping(why);
            let reserved = c.mailbox.reserved();
            let dead = c.mailbox.drain_all();
            c.mailbox.set_reserved(reserved);
            dead
        };
        self.bump_control(c.lane.as_ref());
        self.watch_stop(&mut c, pid, timeout.unwrap_or(self.config.stop_timeout));
        let signal = if matches!(c.life, Life::Stopping(_)) { c.pull_signal() } else { None };
        drop(c);
        if let Some(wake) = owed {
            self.wake(wake);
        }
        if let Some(signal) = signal {
            contain(|| signal(PullSignal::Closing));
        }
        self.bury_queue(pid, why, dead);
        true
    }

    /// A child has ended: its parent need not end it any more.
    fn forget_child(&self, parent: Pid, sequence: u64) {
        let Some(slot) = self.slot(parent) else { return };
        let mut c = slot.lock();
        if c.is(parent.generation())
            && let Some(x) = &mut c.extra
        {
            x.children.remove(&sequence);
        }
    }

    /// Makes the lane look again before it begins another message of a turn that is open.
    fn bump_control(&self, lane: Option<&Arc<Lane>>) {
        match lane {
            Some(lane) => lane.bump_control(),
            None => {
                self.pool_control.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    fn watch_stop(&self, c: &mut Cell, pid: Pid, timeout: Duration) {
        let timer = self.timers.insert(timeout, TimerTask::Stop(pid));
        let progress = c.progress();
        let watch = StopWatch { timer, timeout, progress };
        if let Some(old) = c.extra().stop.replace(watch) {
            self.timers.cancel(old.timer);
        }
    }

    /// Ends an actor at once, without waiting for anything. Answers whether it was alive.
    pub(crate) fn kill(&self, pid: Pid) -> bool {
        // The other node may be faster than the end of this call.
        let remote = self.change(pid, |c| c.remote && c.accepts_or_drains()).unwrap_or(false);
        if !self.may_end(pid, false, true) {
            return false;
        }
        let Some(slot) = self.slot(pid) else { return false };
        let c = slot.lock();
        if !c.is(pid.generation()) {
            return remote;
        }
        let was_alive = c.accepts_or_drains();
        self.exit_locked(c, pid, ExitReason::Killed, None);
        was_alive
    }

    /// The stop timeout of `pid` is over. A draining actor that has handled something since gets as long again.
    pub(super) fn abandon(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if !c.is(pid.generation()) || c.life == Life::Alive {
            return;
        }
        if c.life == Life::Draining {
            let progress = c.progress();
            if let Some(stop) = c.extra().stop.take()
                && stop.progress != progress
            {
                self.watch_stop(&mut c, pid, stop.timeout);
                return;
            }
        }
        self.exit_locked(c, pid, ExitReason::Timeout, Some(overdue(pid, "stop")));
    }

    /// Ends an actor; `false`: it had ended.
    pub(super) fn exit(&self, pid: Pid, why: ExitReason, crash: Option<Arc<CrashInfo>>) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let c = slot.lock();
        if !c.is(pid.generation()) {
            return false;
        }
        self.exit_locked(c, pid, why, crash);
        true
    }

    /// Ends a remote actor's local end: how is known already, and was reported where it lived.
    #[cfg(feature = "mesh")]
    pub(super) fn exit_told(&self, pid: Pid, why: ExitReason, crash: Option<Arc<CrashInfo>>) {
        let Some(slot) = self.slot(pid) else { return };
        let c = slot.lock();
        if !c.is(pid.generation()) {
            return;
        }
        let mut signals = Signals::new();
        self.end_tree(c, pid, why, crash, true, &mut signals);
        self.pass_on(signals);
    }

    /// Ends an actor and its descendants: all are taken down from the top, so that none gets another child, and then
    /// cleaned up from the bottom, so that whoever hears of an actor's end finds its children ended.
    fn exit_locked(
        &self,
        c: MutexGuard<'_, Cell>,
        pid: Pid,
        why: ExitReason,
        crash: Option<Arc<CrashInfo>>,
    ) {
        let mut signals = Signals::new();
        self.end_tree(c, pid, why, crash, false, &mut signals);
        self.pass_on(signals);
    }

    /// Tells linked actors of ends; those that it ends tell theirs.
    pub(super) fn signal_all(&self, signals: impl IntoIterator<Item = (Pid, ExitInfo)>) {
        self.pass_on(signals.into_iter().collect());
    }

    /// A loop, not a recursion: a chain of links may be as long as there are actors.
    fn pass_on(&self, mut signals: Signals) {
        while let Some((to, info)) = signals.pop_front() {
            if let Some(c) = self.signal(to, &info) {
                self.end_tree(c, to, info.reason, info.crash, true, &mut signals);
            }
        }
    }

    fn end_tree(
        &self,
        c: MutexGuard<'_, Cell>,
        pid: Pid,
        why: ExitReason,
        crash: Option<Arc<CrashInfo>>,
        linked: bool,
        signals: &mut Signals,
    ) {
        let mut ended = vec![self.take_down(c, pid, why, crash)];
        ended[0].linked = linked;
        let mut at = 0;
        while at < ended.len() {
            for child in std::mem::take(&mut ended[at].children) {
                let Some(slot) = self.slot(child) else { continue };
                let c = slot.lock();
                if c.is(child.generation()) {
                    ended.push(self.take_down(c, child, ExitReason::ParentExit, None));
                }
            }
            at += 1;
        }
        ended.into_iter().rev().for_each(|e| self.clean_up(e, signals));
    }

    fn take_down(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        why: ExitReason,
        crash: Option<Arc<CrashInfo>>,
    ) -> Ended {
        self.end_lease(&mut c);
        let mut extra = c.extra.take().map(|x| *x).unwrap_or_default();
        let parked = extra.keeper.is_some_and(|k| k.parks(why)) && !self.is_closed();
        let running = c.sched == Sched::Running;
        let queue = if parked {
            self.park(&mut c, &mut extra);
            VecDeque::new()
        } else {
            c.life = Life::Free;
            c.sched = Sched::Idle;
            std::mem::take(&mut c.mailbox).drain_all()
        };
        let ended = Ended {
            children: std::mem::take(&mut extra.children).into_values().collect(),
            info: ExitInfo { pid, reason: why, crash },
            running,
            queue,
            body: std::mem::replace(&mut c.body, Body::Empty),
            lane: c.lane.take(),
            awaiting: std::mem::take(&mut c.awaiting),
            has_delays: c.has_delays,
            sequence: c.sequence,
            linked: false,
            kept: extra.keeper.is_some(),
            pooled: parked && extra.keeper.is_some_and(Keeper::is_pool),
            parked,
            extra,
        };
        // Under the cell's lock: whoever finds the actor gone finds out how.
        self.exits.lock()[remembered_at(pid)] = Some(ended.info.clone());
        self.ending.fetch_add(1, Ordering::AcqRel);
        ended
    }

    fn clean_up(&self, ended: Ended, signals: &mut Signals) {
        let Ended {
            info,
            running,
            queue,
            body,
            lane,
            awaiting,
            has_delays,
            sequence,
            linked,
            kept,
            pooled,
            parked,
            extra,
            ..
        } = ended;
        let (pid, why) = (info.pid, info.reason);
        // The slot is not in the free list yet, so nobody else is this pid's successor until the end.
        if running {
            self.bump_control(lane.as_ref());
        }
        if let Some(stop) = extra.stop {
            self.timers.cancel(stop.timer);
        }
        if has_delays {
            self.forget_delays(pid);
        }
        self.buffers.forget_owner(pid);
        if let Body::Virtual(v) = &body {
            self.timers.cancel(v.timer);
        }
        self.bury_queue(pid, why, queue);
        if awaiting {
            self.note_dead_in_hand(pid, why);
            self.books.dead_in_flight(why, 1);
        }
        for id in extra.open_calls {
            self.fail_call_exited(id, pid, why);
        }
        self.turn_away(extra.waiters);
        for name in &extra.names {
            self.names.release(name, pid);
        }
        for path in &extra.paths {
            self.paths.release(path, pid);
        }
        self.books.exited(why);
        self.live.fetch_sub(1, Ordering::AcqRel);
        if !parked {
            self.table.release(pid.slot(), pid.generation());
        }

        match body {
            Body::Hosted(key) | Body::Virtual(Virtual { key, .. }) => {
                if let Some(lane) = &lane
                    && lane.push_event(LaneEvent::Gone { pid, key })
                {
                    lane.wake();
                }
            }
            Body::Native(actor) => contain(|| drop(actor)),
            Body::Pull(signal) => contain(|| signal(PullSignal::Gone)),
            Body::Empty => {}
        }
        if let Some(parent) = extra.parent {
            self.forget_child(parent, sequence);
        }
        // Before the joins: who waits for the end finds the failure reported.
        // One that is replaced has not failed for good, but its lane must hear of a handler that was abandoned.
        if why.is_failure() && !linked && (!parked || pooled || why == ExitReason::Timeout) {
            let hook = self.failure_hook.lock().clone();
            if let Some(hook) = hook {
                contain(|| hook(info.clone()));
            }
            if let Some(lane) = lane.filter(|l| l.hears_failures())
                && lane.push_event(LaneEvent::Failed(info.clone()))
            {
                lane.wake();
            }
        }
        self.note_end(&info);
        if pooled {
            self.await_pool(pid);
        }
        for (_, sink) in extra.joiners {
            sink.deliver(info.clone());
        }
        self.end_monitors(&info, extra.monitored_by, extra.monitors);
        signals.extend(extra.links.into_iter().map(|peer| (peer, info.clone())));
        if kept {
            self.child_ended(&info, parked && !pooled);
        }
        if self.ending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close_if_gone();
        }
    }

    pub(super) fn bury_queue(&self, pid: Pid, why: ExitReason, queue: VecDeque<Envelope>) {
        if queue.is_empty() {
            return;
        }
        self.books.dead_in_queue(why, queue.len() as u64);
        for e in queue {
            self.note_dead(pid, why, &e);
            if let Some(id) = e.call {
                self.fail_call_exited(id, pid, why);
            }
        }
    }

    /// Ends a call because its actor has ended.
    pub(super) fn fail_call_exited(&self, id: CallId, pid: Pid, why: ExitReason) {
        self.fail_call(id, self.exited_before(pid, why));
    }

    pub(super) fn exited_before(&self, pid: Pid, why: ExitReason) -> Error {
        Error::new(
            ErrorKind::ActorExited,
            format!("pid {pid} ended ({}) before it answered", why.as_str()),
        )
    }

    /// Tells `sink` how `pid` ended: when it ends, or at once if it has. Answers a token for
    /// [`forget_join`](Self::forget_join).
    pub(crate) fn join(&self, pid: Pid, sink: ExitSink) -> u64 {
        let token = self.joins.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if c.is(pid.generation()) {
                c.extra().joiners.push((token, sink));
                return token;
            }
        }
        sink.deliver(self.remembered(pid));
        token
    }

    /// Takes joins back that `pick` likes; answers whether there was one.
    pub(crate) fn forget_join(&self, pid: Pid, pick: impl Fn(u64, &ExitSink) -> bool) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return false;
        }
        let Some(x) = &mut c.extra else { return false };
        let (gone, kept) =
            std::mem::take(&mut x.joiners).into_iter().partition(|(t, s)| pick(*t, s));
        x.joiners = kept;
        drop(c);
        let gone: Vec<_> = gone;
        !gone.is_empty()
    }

    pub(super) fn remembered(&self, pid: Pid) -> ExitInfo {
        let known = self.exits.lock()[remembered_at(pid)].clone();
        known.filter(|info| info.pid == pid).unwrap_or(ExitInfo {
            pid,
            reason: ExitReason::NoProc,
            crash: None,
        })
    }

    /// Why `pid`, which has ended, did.
    pub(super) fn reason_of(&self, pid: Pid) -> ExitReason {
        match self.remembered(pid).reason {
            ExitReason::NoProc => ExitReason::Killed,
            why => why,
        }
    }

    /// The thread of `lane` is gone: so are its actors.
    pub(crate) fn close_lane(&self, lane: &Arc<Lane>) {
        lane.close();
        self.forget_lane(lane);
        if self.is_closed() && self.live.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut mine = self.pids(|c| c.lane.as_ref().is_some_and(|l| Arc::ptr_eq(l, lane)));
        mine.reverse();
        for pid in mine {
            self.exit(pid, ExitReason::Disconnected, None);
        }
    }

    /// Live pids that `pick` likes, in the order of their spawns.
    pub(super) fn pids(&self, pick: impl Fn(&Cell) -> bool) -> Vec<Pid> {
        let mut found: Vec<(u64, Pid)> = self
            .table
            .iter()
            .filter_map(|(slot, cell)| {
                let c = cell.lock();
                (c.lives() && pick(&c)).then(|| (c.sequence, self.pid_of(slot, c.generation)))
            })
            .collect();
        found.sort_unstable_by_key(|(sequence, _)| *sequence);
        found.into_iter().map(|(_, pid)| pid).collect()
    }
}

pub(super) fn overdue(pid: Pid, what: &str) -> Arc<CrashInfo> {
    Arc::new(CrashInfo {
        message: format!(
            "the handler of pid {pid} did not return within the {what} timeout; it was abandoned"
        ),
        stack: None,
    })
}

/// Where an exit is remembered: a busy spawn/stop loop uses one slot, so the generation counts as well.
fn remembered_at(pid: Pid) -> usize {
    (pid.to_bits().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - REMEMBERED_BITS)) as usize
}
