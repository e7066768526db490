//! How actors end: stop, kill, crash, and what is cleaned up.

use super::core::{Core, REMEMBERED, TimerTask};
use super::turns::drop_quietly;
use crate::actor::cell::{Body, Cell, ExitSink, Life, Sched};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::mailbox::Mailbox;
use crate::message::{CrashInfo, ExitInfo, ExitReason, LaneEvent};
use crate::scheduler::lane::Lane;
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

impl Core {
    /// Stops an actor: no message is accepted from now on, the running handler finishes, what is queued dies (or, with
    /// `drain`, is handled first). A handler that is not done after `timeout` (default: the runtime's) is abandoned.
    /// Answers whether the actor was alive.
    pub(crate) fn stop(&self, pid: Pid, drain: bool, timeout: Option<Duration>) -> bool {
        self.stop_because(pid, ExitReason::Shutdown, drain, timeout)
    }

    fn stop_because(
        &self,
        pid: Pid,
        why: ExitReason,
        drain: bool,
        timeout: Option<Duration>,
    ) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.is(pid.generation()) || matches!(c.life, Life::Stopping(_)) {
            return false;
        }
        let was_alive = c.life == Life::Alive;
        if drain && !was_alive {
            return false;
        }
        let nothing_to_do = c.sched != Sched::Running && (!drain || c.mailbox.is_empty());
        if nothing_to_do {
            self.exit_locked(c, pid, why, None);
            return was_alive;
        }
        let dead = if drain {
            c.life = Life::Draining;
            std::collections::VecDeque::new()
        } else {
            c.life = Life::Stopping(why);
            if let Some(lane) = &c.lane {
                lane.bump_control();
            } else {
                self.pool_control.fetch_add(1, Ordering::AcqRel);
            }
            let reserved = c.mailbox.len() - c.mailbox.queued();
            let dead = c.mailbox.drain_all();
            c.mailbox.set_reserved(reserved as u32);
            dead
        };
        drop(c);
        self.bury_queue(pid, why, dead);
        self.timers
            .insert(timeout.unwrap_or(self.config.stop_timeout), TimerTask::StopDeadline(pid));
        was_alive
    }

    /// Ends an actor at once, without waiting for anything. Answers whether it was alive.
    pub(crate) fn kill(&self, pid: Pid) -> bool {
        self.exit(pid, ExitReason::Killed, None)
    }

    /// The stop timeout of `pid` is over.
    pub(super) fn abandon(&self, pid: Pid) {
        let stuck = self.slot(pid).is_some_and(|s| {
            let c = s.lock();
            c.is(pid.generation()) && matches!(c.life, Life::Stopping(_) | Life::Draining)
        });
        if stuck {
            let info = CrashInfo {
                message: format!(
                    "the handler of pid {pid} did not return within the stop timeout; it was abandoned"
                ),
                stack: None,
            };
            self.exit(pid, ExitReason::Timeout, Some(Arc::new(info)));
        }
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

    fn exit_locked(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        why: ExitReason,
        crash: Option<Arc<CrashInfo>>,
    ) {
        let running = c.sched == Sched::Running;
        let queue = c.mailbox.drain_all();
        let body = std::mem::replace(&mut c.body, Body::Empty);
        let extra = c.extra.take().map(|x| *x).unwrap_or_default();
        let lane = c.lane.take();
        let awaiting = std::mem::take(&mut c.awaiting);
        c.life = Life::Free;
        c.sched = Sched::Idle;
        c.mailbox = Mailbox::new(0);
        drop(c);

        // The slot is not in the free list yet, so nobody else is this pid's successor until the end.
        self.bury_queue(pid, why, queue);
        if awaiting {
            self.books.dead_in_flight(why, 1);
        }
        for id in extra.open_calls {
            self.fail_call_exited(id, pid, why);
        }
        for name in &extra.names {
            self.names.release(name, pid);
        }
        if running {
            match &lane {
                Some(lane) => lane.bump_control(),
                None => {
                    self.pool_control.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        let info = ExitInfo { pid, reason: why, crash };
        self.exits.lock()[pid.slot() as usize % REMEMBERED] = Some(info.clone());
        self.table.release(pid.slot(), pid.generation());
        self.books.exited(why);

        match body {
            Body::Hosted(key) => {
                if let Some(lane) = lane
                    && lane.push_event(LaneEvent::Gone { pid, key })
                {
                    lane.wake();
                }
            }
            Body::Native(actor) => drop_quietly(actor),
            Body::Empty => {}
        }
        for sink in extra.joiners {
            sink.deliver(info.clone());
        }
        if why.is_failure() {
            let hook = self.failure_hook.lock().clone();
            if let Some(hook) = hook {
                hook(info);
            }
        }
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_gone();
        }
    }

    fn bury_queue(
        &self,
        pid: Pid,
        why: ExitReason,
        queue: std::collections::VecDeque<crate::message::Envelope>,
    ) {
        if queue.is_empty() {
            return;
        }
        self.books.dead_in_queue(why, queue.len() as u64);
        for e in queue {
            if let Some(id) = e.call {
                self.fail_call_exited(id, pid, why);
            }
        }
    }

    /// Ends a call because its actor has ended.
    pub(super) fn fail_call_exited(&self, id: CallId, pid: Pid, why: ExitReason) {
        self.fail_call(
            id,
            Error::new(
                ErrorKind::ActorExited,
                format!("pid {pid} ended ({}) before it answered", why.as_str()),
            ),
        );
    }

    /// Tells `sink` how `pid` ended: when it ends, or at once if it has.
    pub(crate) fn join(&self, pid: Pid, sink: ExitSink) {
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if c.is(pid.generation()) {
                c.extra().joiners.push(sink);
                return;
            }
        }
        sink.deliver(self.remembered(pid));
    }

    fn remembered(&self, pid: Pid) -> ExitInfo {
        let known = self.exits.lock()[pid.slot() as usize % REMEMBERED].clone();
        known.filter(|info| info.pid == pid).unwrap_or(ExitInfo {
            pid,
            reason: ExitReason::NoProc,
            crash: None,
        })
    }

    /// The thread of `lane` is gone: so are its actors.
    pub(crate) fn close_lane(&self, lane: &Arc<Lane>) {
        lane.close();
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
                (c.life != Life::Free && pick(&c))
                    .then(|| (c.sequence, self.pid_of(slot, c.generation)))
            })
            .collect();
        found.sort_unstable_by_key(|(sequence, _)| *sequence);
        found.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Stops every actor, the last spawned first, and calls `done` when all have ended; those whose handlers run on
    /// after `timeout` are abandoned. From now on every call is `RuntimeClosed`. A second close waits for the first.
    pub(crate) fn close(&self, timeout: Duration, done: Box<dyn FnOnce() + Send>) {
        self.closing.lock().done.push(done);
        if !self.closed.swap(true, Ordering::AcqRel) {
            let mut all = self.pids(|_| true);
            all.reverse();
            for pid in all {
                self.stop_because(pid, ExitReason::Shutdown, false, Some(timeout));
            }
            self.timers.insert(timeout, TimerTask::CloseDeadline);
        }
        if self.live.load(Ordering::Acquire) == 0 {
            self.all_gone();
        }
    }

    /// Ends what a close has not ended yet.
    pub(crate) fn close_now(&self) {
        self.closed.store(true, Ordering::Release);
        let mut all = self.pids(|_| true);
        all.reverse();
        for pid in all {
            self.exit(pid, ExitReason::Killed, None);
        }
        if self.live.load(Ordering::Acquire) == 0 {
            self.all_gone();
        }
    }

    fn all_gone(&self) {
        if !self.is_closed() {
            return;
        }
        self.pool.close();
        self.timers.close();
        let done = std::mem::take(&mut self.closing.lock().done);
        for f in done {
            f();
        }
    }
}
