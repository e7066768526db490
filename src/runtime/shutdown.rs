//! The end of a runtime: what closes in which order.

use super::core::{Core, TimerTask};
use super::exits::overdue;
use crate::message::{ExitReason, RuntimeNews};
use crate::sync::atomic::Ordering;
use crate::sync::contain;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Closing {
    pub(super) done: Vec<Box<dyn FnOnce() + Send>>,
}

impl Core {
    /// Stops every actor, the last spawned first, and calls `done` when all have ended; those whose handlers run on
    /// after `timeout` are abandoned. From now on every call is `RuntimeClosed`. A second close waits for the first.
    pub(crate) fn close(&self, timeout: Duration, done: Box<dyn FnOnce() + Send>) {
        self.closing.lock().done.push(done);
        if self.closed.swap(true, Ordering::AcqRel) {
            return self.close_if_gone();
        }
        self.end_supervision();
        let me = self.me.upgrade();
        self.close_mesh(
            timeout,
            Box::new(move || {
                if let Some(me) = me {
                    me.close_actors(timeout);
                }
            }),
        );
    }

    fn close_actors(&self, timeout: Duration) {
        let mut all = self.pids(|_| true);
        all.reverse();
        for pid in all {
            self.stop_because(pid, ExitReason::Shutdown, false, Some(timeout));
        }
        self.timers.insert(timeout, TimerTask::Close);
        self.actors_told.store(true, Ordering::Release);
        self.close_if_gone();
    }

    /// The close timeout is over.
    pub(super) fn close_overdue(&self) {
        let mut all = self.pids(|_| true);
        all.reverse();
        for pid in all {
            self.exit(pid, ExitReason::Timeout, Some(overdue(pid, "close")));
        }
    }

    /// Ends everything at once.
    pub(crate) fn close_now(&self) {
        self.closed.store(true, Ordering::Release);
        self.actors_told.store(true, Ordering::Release);
        self.abort_mesh();
        self.end_supervision();
        let mut all = self.pids(|_| true);
        all.reverse();
        for pid in all {
            self.exit(pid, ExitReason::Killed, None);
        }
        self.close_if_gone();
    }

    /// Ends the threads and says that the runtime is closed, if it is and no actor is left. It may come more than once.
    pub(super) fn close_if_gone(&self) {
        if !self.actors_told.load(Ordering::Acquire)
            || self.live.load(Ordering::Acquire) != 0
            || self.ending.load(Ordering::Acquire) != 0
        {
            return;
        }
        self.buffers.clear();
        self.pool.close();
        self.timers.close();
        self.slices.close();
        let done = std::mem::take(&mut self.closing.lock().done);
        for f in done {
            contain(f);
        }
        self.tell_lanes(RuntimeNews::Closed);
    }
}
