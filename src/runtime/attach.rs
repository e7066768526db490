//! Threads that join a runtime: the open runtimes of this process by id, what their lanes are told of the runtime itself,
//! and how one lane leaves while the others go on.

use super::core::Core;
use super::{HostLane, Last, Runtime};
use crate::actor::cell::ExitSink;
use crate::actor::request::CallSink;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{ExitReason, LaneEvent, Payload, RuntimeNews};
use crate::scheduler::lane::Lane;
use crate::sync::atomic::Ordering;
use crate::sync::{Mutex, contain};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

/// The last id that was given, and the runtimes that are open, by id. An id is never given twice.
static OPEN: std::sync::Mutex<(u32, BTreeMap<u32, Weak<Last>>)> =
    std::sync::Mutex::new((0, BTreeMap::new()));

pub(super) fn next_id() -> u32 {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.0 += 1;
    open.0
}

pub(super) fn publish(id: u32, last: &Arc<Last>) {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).1.insert(id, Arc::downgrade(last));
}

pub(super) fn withdraw(id: u32) {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&id);
}

impl Runtime {
    /// The number by which other threads of this process find this runtime.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.core.id
    }

    /// Another handle of an open runtime of this process.
    ///
    /// # Errors
    /// `RuntimeClosed`: no runtime with this id is open.
    pub fn attach(id: u32) -> Result<Self> {
        let found = OPEN.lock().unwrap_or_else(PoisonError::into_inner).1.get(&id).cloned();
        // The handle is made, and may be dropped again, after the lock: the last one closes its runtime.
        let found = found.and_then(|last| last.upgrade());
        let runtime = found.map(|last| Self { core: Arc::clone(&last.0), _last: last });
        runtime.filter(|rt| rt.check_open().is_ok()).ok_or_else(|| {
            Error::new(
                ErrorKind::RuntimeClosed,
                format!(
                    "no runtime with id {id} is open in this process: it was closed, or never was"
                ),
            )
        })
    }

    /// The capacity of mailboxes that do not say; `None`: unbounded.
    #[must_use]
    pub fn default_capacity(&self) -> Option<u32> {
        self.core.config.default_capacity
    }
}

/// Runs what it holds when the last owner lets go.
struct WhenAllGone(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Drop for WhenAllGone {
    fn drop(&mut self) {
        let f = self.0.lock().take();
        if let Some(f) = f {
            contain(f);
        }
    }
}

impl Core {
    /// Tells every lane that listens.
    pub(super) fn tell_lanes(&self, news: RuntimeNews) {
        let lanes = self.listeners.lock().clone();
        for lane in lanes {
            if lane.push_event(LaneEvent::Runtime(news)) {
                lane.wake();
            }
        }
    }

    pub(super) fn forget_lane(&self, lane: &Arc<Lane>) {
        self.listeners.lock().retain(|l| !Arc::ptr_eq(l, lane));
        self.unwatch_delays(lane);
        let lanes = self.lanes.lock();
        self.alone.store(lanes.open().len() <= 1, Ordering::Release);
    }

    /// Stops the actors of one lane, the last spawned first, and calls `done` when all have ended; handlers that run on
    /// after `timeout` are abandoned.
    fn stop_lane(&self, lane: &Arc<Lane>, timeout: Duration, done: Box<dyn FnOnce() + Send>) {
        let done = Arc::new(WhenAllGone(Mutex::new(Some(done))));
        let mut mine = self.pids(|c| c.lane.as_ref().is_some_and(|l| Arc::ptr_eq(l, lane)));
        mine.reverse();
        for pid in mine {
            self.stop_because(pid, ExitReason::Shutdown, false, Some(timeout));
            let done = Arc::clone(&done);
            self.join(pid, ExitSink::Func(Box::new(move |_| drop(done))));
        }
    }
}

impl HostLane {
    /// Sends [`LaneEvent::Runtime`] to this lane whenever there is news of the runtime itself.
    pub fn take_news(&self) {
        self.core.listeners.lock().push(Arc::clone(&self.lane));
    }

    /// Sends [`LaneEvent::Failed`] to this lane for those of its own actors that fail.
    pub fn take_own_failures(&self) {
        self.lane.hear_failures();
    }

    /// Stops the actors of this lane alone; [`LaneEvent::CallDone`] with `key` comes when all have ended. Then
    /// [`close`](Self::close) it.
    pub fn detach(&self, timeout: Duration, key: u64) {
        let sink = CallSink::Lane(Arc::clone(&self.lane), key);
        let done = Box::new(move || sink.deliver(Ok(Payload::empty())));
        self.core.stop_lane(&self.lane, timeout, done);
    }
}
