//! What happens to runtimes when the process forks and when the interpreter exits.

use super::shared::Shared;
use super::waits::{Answer, wait_until};
use crate::sync::{Condvar, Mutex};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

/// How long handlers may go on when the interpreter exits, and how long threads are waited for.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How long threads may take from the end of their wait to where they stay.
const LAST_STEPS: Duration = Duration::from_secs(2);

static FORKS: AtomicU32 = AtomicU32::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);
static RUNTIMES: LazyLock<Mutex<Vec<Weak<Shared>>>> = LazyLock::new(Mutex::default);
/// Threads that are not of iris in a call that waits.
static WAITING: AtomicIsize = AtomicIsize::new(0);
/// Those of them that stay where they are.
static STAYING: LazyLock<(Mutex<isize>, Condvar)> = LazyLock::new(Default::default);

/// How many forks lie between this process and the one that imported iris.
#[inline]
pub(super) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Whether the interpreter is exiting.
pub(super) fn is_exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

/// Where a daemon thread stays that would come back from a wait to an interpreter that is ending: CPython before 3.14 would
/// end it by unwinding through Rust, which aborts the process. It goes with the process, a moment later.
pub(super) fn stay() -> ! {
    if !is_ours() {
        *STAYING.0.lock() += 1;
        STAYING.1.notify_all();
    }
    loop {
        std::thread::park();
    }
}

/// Whether iris has started this thread: then its runtime waits for its end.
fn is_ours() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("iris-"))
}

/// Held by a call that waits: the interpreter does not end while its thread is on its way back, or on its way to
/// [`stay`].
pub(super) struct Waits(bool);

impl Waits {
    pub(super) fn begin() -> Self {
        let counts = !is_ours();
        if counts {
            WAITING.fetch_add(1, Ordering::AcqRel);
        }
        Self(counts)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.0 {
            WAITING.fetch_sub(1, Ordering::AcqRel);
            if is_exiting() {
                drop(STAYING.0.lock());
                STAYING.1.notify_all();
            }
        }
    }
}

/// Closes it at interpreter exit.
pub(super) fn remember(shared: &Arc<Shared>) {
    let mut all = RUNTIMES.lock();
    all.retain(|r| r.strong_count() != 0);
    all.push(Arc::downgrade(shared));
}

fn runtimes() -> Vec<Arc<Shared>> {
    let all = RUNTIMES.lock();
    all.iter().filter_map(Weak::upgrade).collect()
}

/// Closes every runtime and ends its threads; run by `atexit`.
#[pyfunction]
pub(super) fn at_exit(py: Python<'_>) {
    EXITING.store(true, Ordering::Release);
    let mine: Vec<_> = runtimes().into_iter().filter(|s| !s.is_forked()).collect();
    let closing: Vec<_> = mine
        .iter()
        .filter(|s| !s.is_closed())
        .map(|shared| {
            shared.lose_stopped_loops(py);
            let closed = Answer::new();
            let told = closed.clone();
            shared.rt.close_with(LAST_CALL, move || told.give(()));
            (shared, closed)
        })
        .collect();
    for (shared, closed) in closing {
        let done = closed.wait_for(py, &shared.clock, Some(LAST_CALL + LAST_CALL / 2));
        if !matches!(done, Ok(Some(()))) {
            shared.rt.close_now();
        }
    }
    for shared in &mine {
        if shared.finish_close(py, LAST_CALL / 2) {
            continue;
        }
        // A handler still runs. If it runs Python code, this ends it; if it waits outside, it sleeps on till the end.
        for thread in shared.lane_threads() {
            let asked =
                py.import("iris._support").and_then(|m| m.call_method1("interrupt", (thread,)));
            drop(asked);
        }
        shared.finish_close(py, LAST_CALL / 2);
    }
    // The wait of each thread is over by now; on a busy machine it may not have noticed.
    py.detach(|| {
        let all_stay = |staying: &isize| WAITING.load(Ordering::Acquire) <= *staying;
        wait_until(&STAYING.0, &STAYING.1, LAST_STEPS, all_stay)
    });
}

/// Cuts the child off from its parent's runtimes; run by `os.register_at_fork`.
#[pyfunction]
pub(super) fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::AcqRel);
    // Only the thread that forked is here, and it waits for nothing.
    WAITING.store(0, Ordering::Release);
    // Their threads are gone and their locks may be held by them: they are never touched again, not even to free them.
    for shared in runtimes() {
        std::mem::forget(shared);
    }
    RUNTIMES.lock().clear();
}
