//! Blocking waits: the GIL is released; on the main thread, and only there, signals are looked for, so that Ctrl-C works.

use super::args::nanoseconds;
use super::errors::{OrRaise, fail};
use super::home;
use super::process::{self, Waits};
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::runtime::check_may_block;
use crate::sync::{Condvar, Mutex, wait_for};
use pyo3::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks for signals. Ctrl-C must work within 200 ms.
const LOOK: Duration = Duration::from_millis(50);

/// Something that comes once, from any thread.
pub(super) struct Answer<T>(Arc<(Mutex<Option<T>>, Condvar)>);

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send> Answer<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(None), Condvar::new())))
    }

    pub(super) fn give(&self, value: T) {
        *self.0.0.lock() = Some(value);
        self.0.1.notify_all();
    }

    /// What has come.
    pub(super) fn take(&self) -> Option<T> {
        self.0.0.lock().take()
    }

    /// Waits once for at most `timeout`. Not with the GIL.
    fn wait(&self, timeout: Option<Duration>) -> Option<T> {
        let mut value = self.0.0.lock();
        if value.is_none() {
            value = wait_for(&self.0.1, value, timeout);
        }
        value.take()
    }

    /// Waits until it has come; `None`: the timeout came first.
    ///
    /// # Errors
    /// What a signal handler raised (`KeyboardInterrupt`).
    pub(super) fn wait_for(
        &self,
        py: Python<'_>,
        clock: &Clock,
        timeout: Option<Duration>,
    ) -> PyResult<Option<T>> {
        let on_main = is_main_thread(py)?;
        let end = timeout.map(|t| clock.now_ns().saturating_add(nanoseconds(t)));
        loop {
            let left = end.map(|e| Duration::from_nanos(e.saturating_sub(clock.now_ns())));
            let slice = slice(on_main, left);
            let value = py.detach(|| {
                let value = self.wait(slice);
                if !on_main && process::is_exiting() {
                    process::stay();
                }
                value
            });
            if let Some(value) = value {
                return Ok(Some(value));
            }
            if on_main {
                py.check_signals()?;
            }
            if end.is_some_and(|e| clock.now_ns() >= e) {
                return Ok(self.take());
            }
        }
    }
}

/// How long to wait at once: on the main thread until the next look for signals.
pub(super) fn slice(on_main: bool, left: Option<Duration>) -> Option<Duration> {
    if on_main { Some(left.map_or(LOOK, |l| l.min(LOOK))) } else { left }
}

/// Waits until `done`, at most for `timeout`; answers whether it is. Not with the GIL.
pub(super) fn wait_until<T>(
    lock: &Mutex<T>,
    changed: &Condvar,
    timeout: Duration,
    done: impl Fn(&T) -> bool,
) -> bool {
    let clock = Clock::real();
    let end = nanoseconds(timeout);
    let mut state = lock.lock();
    while !done(&state) {
        let now = clock.now_ns();
        if now >= end {
            return false;
        }
        state = wait_for(changed, state, Some(Duration::from_nanos(end - now)));
    }
    true
}

pub(super) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}

/// `WouldDeadlock` on a thread that runs a lane or an event loop. What this answers is held until the call returns.
///
/// # Errors
/// `WouldDeadlock`.
pub(super) fn check(py: Python<'_>, what: &str) -> PyResult<Waits> {
    let waits = Waits::begin();
    check_may_block(what).or_raise(py)?;
    if home::running_loop(py)?.is_some() {
        return Err(fail(
            py,
            ErrorKind::WouldDeadlock,
            format!("{what} waits, and this thread runs an event loop; use the awaitable form"),
        ));
    }
    Ok(waits)
}
