//! The courier: a thread that takes the GIL for those who must not wait for it (timers, workers, a stop from a thread that
//! holds no GIL): it wakes event loops, tells the crash hook, and looks after handlers that outlive their actor.

use super::engine::Engine;
use super::home::Home;
use super::lane;
use super::shared::Shared;
use super::waits::wait_until;
use crate::clock::Clock;
use crate::id::Pid;
use crate::message::{ExitInfo, ExitReason};
use crate::runtime::mark_lane_thread;
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use pyo3::prelude::*;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A handler whose actor was killed while it ran.
pub(super) struct Watch {
    pub(super) engine: Arc<Engine>,
    pub(super) pid: Pid,
    pub(super) running: (usize, u64),
    /// When it is given up, in nanoseconds of the runtime's clock.
    pub(super) due: u64,
}

/// What the courier calls with the GIL.
type Call = Box<dyn FnOnce(Python<'_>) + Send>;

#[derive(Default)]
struct State {
    homes: Vec<Arc<Home>>,
    failures: Vec<ExitInfo>,
    calls: Vec<Call>,
    watches: Vec<Watch>,
    threads: usize,
    quit: bool,
}

/// The courier of one runtime; its thread starts with its first errand.
pub(super) struct Courier {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

impl Courier {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Wakes an event loop.
    pub(super) fn wake(self: &Arc<Self>, shared: &Weak<Shared>, home: Arc<Home>) {
        self.add(shared, |s| s.homes.push(home));
    }

    /// Tells the crash hook.
    pub(super) fn failed(self: &Arc<Self>, shared: &Weak<Shared>, info: ExitInfo) {
        self.add(shared, |s| s.failures.push(info));
    }

    /// Calls `f` with the GIL.
    pub(super) fn call(
        self: &Arc<Self>,
        shared: &Weak<Shared>,
        f: impl FnOnce(Python<'_>) + Send + 'static,
    ) {
        self.add(shared, |s| s.calls.push(Box::new(f)));
    }

    /// Looks later whether a handler has returned.
    pub(super) fn watch(self: &Arc<Self>, shared: &Weak<Shared>, watch: Watch) {
        self.add(shared, |s| s.watches.push(watch));
    }

    fn add(self: &Arc<Self>, shared: &Weak<Shared>, errand: impl FnOnce(&mut State)) {
        let start = {
            let mut s = self.state.lock();
            errand(&mut s);
            let start = s.threads == 0 && !s.quit;
            s.threads += usize::from(start);
            start
        };
        self.changed.notify_all();
        if start {
            let (me, shared) = (Arc::clone(self), Weak::clone(shared));
            let started = start_thread("iris-courier".into(), None, move || {
                me.run(&shared);
                me.state.lock().threads -= 1;
                me.changed.notify_all();
            });
            if !started {
                self.state.lock().threads -= 1; // the next errand tries again
            }
        }
    }

    /// Lets the thread end once it has nothing to do.
    pub(super) fn quit(&self) {
        let mut s = self.state.lock();
        s.quit = true;
        s.watches.clear();
        drop(s);
        self.changed.notify_all();
    }

    /// As [`Parker::join`](lane::Parker::join).
    pub(super) fn join(&self, timeout: Duration) -> bool {
        wait_until(&self.state, &self.changed, timeout, |s| s.threads == 0)
    }

    fn run(&self, shared: &Weak<Shared>) {
        mark_lane_thread();
        loop {
            let (homes, failures, calls, due) = {
                let mut s = self.state.lock();
                loop {
                    let now = self.clock.now_ns();
                    let due: Vec<Watch> = s.watches.extract_if(.., |w| w.due <= now).collect();
                    let idle = s.homes.is_empty() && s.failures.is_empty() && s.calls.is_empty();
                    if !idle || !due.is_empty() {
                        let s = &mut *s;
                        let (homes, failures) =
                            (std::mem::take(&mut s.homes), std::mem::take(&mut s.failures));
                        break (homes, failures, std::mem::take(&mut s.calls), due);
                    }
                    if s.quit {
                        return;
                    }
                    let next = s.watches.iter().map(|w| w.due).min();
                    let sleep = next.map(|at| Duration::from_nanos(at.saturating_sub(now).max(1)));
                    s = wait_for(&self.changed, s, sleep);
                }
            };
            let Some(shared) = shared.upgrade() else { return };
            for w in due {
                let (index, epoch) = w.running;
                if w.engine.running() == Some((w.pid, index, epoch)) {
                    lane::replace(&shared, &w.engine, w.pid, ExitReason::Killed);
                }
            }
            if homes.is_empty() && failures.is_empty() && calls.is_empty() {
                continue;
            }
            let served = Python::try_attach(|py| {
                for home in homes {
                    home.schedule(py);
                }
                for info in failures {
                    shared.tell_failure(py, info);
                }
                for call in calls {
                    call(py);
                }
                drop(shared);
            });
            if served.is_none() {
                return; // the interpreter is exiting
            }
        }
    }
}
