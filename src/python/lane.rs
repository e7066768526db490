//! The interpreter lane: one thread of a runtime that runs synchronous handlers, many messages for each time it takes the
//! GIL.
//!
//! The thread is attached for its whole life, so that Python sees one thread with one identity, and waits detached. It is
//! woken once per burst. When a handler never returns, and its actor has been given up, the lane gets another thread; the
//! old one leaves when it comes back.

use super::engine::{Engine, Pause};
use super::process;
use super::shared::Shared;
use super::waits::wait_until;
use crate::id::Pid;
use crate::message::ExitReason;
use crate::runtime::mark_lane_thread;
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
struct State {
    woken: bool,
    quit: bool,
    /// Threads that have started and not ended.
    threads: usize,
    /// Of those that are attached, `threading.get_ident()`.
    idents: Vec<u64>,
}

/// Where a lane's thread sleeps.
#[derive(Default)]
pub(super) struct Parker {
    state: Mutex<State>,
    changed: Condvar,
}

impl Parker {
    /// Ends the sleep of the thread, or the next one if it is awake.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_all();
    }

    /// Sleeps until woken; `false`: the thread is to end.
    fn park(&self) -> bool {
        let mut s = self.state.lock();
        while !s.woken && !s.quit {
            s = wait_for(&self.changed, s, None);
        }
        s.woken = false;
        !s.quit
    }

    /// Lets the threads end.
    pub(super) fn quit(&self) {
        self.state.lock().quit = true;
        self.changed.notify_all();
    }

    fn is_quitting(&self) -> bool {
        self.state.lock().quit
    }

    /// Waits, at most for `timeout`, until no thread is left; answers whether none is. Not with the GIL.
    pub(super) fn join(&self, timeout: Duration) -> bool {
        wait_until(&self.state, &self.changed, timeout, |s| s.threads == 0)
    }

    /// The threads that have not ended, as `threading.get_ident()` gives them.
    pub(super) fn idents(&self) -> Vec<u64> {
        self.state.lock().idents.clone()
    }

    fn began(&self) {
        self.state.lock().threads += 1;
    }

    fn ended(&self) {
        self.state.lock().threads -= 1;
        self.changed.notify_all();
    }
}

/// Stack of a thread that runs handlers, in bytes; it takes memory as far as it is used. With less, Python's recursion limit
/// is reached too late where the recursion goes through C (`sorted(key=...)`), and the process dies.
pub(super) const STACK: usize = 4 << 20;

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
    static SERVES: RefCell<Option<(Arc<Engine>, u64)>> = const { RefCell::new(None) };
}

/// Whether this is the own thread of an actor of this runtime.
pub(super) fn is_own_thread(runtime: u64) -> bool {
    OWN.get() == runtime
}

/// Whether this thread's handler was given up: its actor is dead, and another thread runs the lane.
pub(super) fn was_given_up() -> bool {
    SERVES.with_borrow(|s| s.as_ref().is_some_and(|(engine, epoch)| engine.epoch() != *epoch))
}

/// Starts the thread that serves `epoch`; `false`: the system has none to give.
pub(super) fn start(shared: &Arc<Shared>, engine: &Arc<Engine>, epoch: u64) -> bool {
    let Some(parker) = engine.parker.clone() else { return false };
    let (shared, engine) = (Arc::clone(shared), Arc::clone(engine));
    parker.began();
    let end = Arc::clone(&parker);
    let name = if engine.is_own() { "iris-own" } else { "iris-lane" };
    let name = format!("{name}-{}", shared.id);
    let started = start_thread(name, Some(STACK), move || {
        // At interpreter exit there is nothing to attach to, and nothing to do.
        let _ = Python::try_attach(|py| {
            serve(py, &shared, &engine, &parker, epoch);
            drop((shared, engine));
        });
        parker.ended();
    });
    if !started {
        end.ended();
    }
    started
}

fn serve(
    py: Python<'_>,
    shared: &Arc<Shared>,
    engine: &Arc<Engine>,
    parker: &Arc<Parker>,
    epoch: u64,
) {
    if engine.is_own() {
        OWN.set(shared.id);
    } else {
        mark_lane_thread();
    }
    SERVES.set(Some((Arc::clone(engine), epoch)));
    let ident = py
        .import("threading")
        .and_then(|m| m.call_method0("get_ident"))
        .and_then(|n| n.extract::<u64>());
    let ident = ident.unwrap_or(0);
    parker.state.lock().idents.push(ident);
    while !parker.is_quitting() {
        match engine.drain(py, shared, epoch) {
            Pause::Replaced => break,
            Pause::Slice => py.detach(std::thread::yield_now),
            Pause::Idle => {
                if !py.detach(|| parker.park()) {
                    break;
                }
            }
        }
    }
    parker.state.lock().idents.retain(|i| *i != ident);
    SERVES.set(None);
}

/// Gives the lane another thread if the handler of `pid`, an actor that has ended because of `why`, still runs.
pub(super) fn replace(shared: &Arc<Shared>, engine: &Arc<Engine>, pid: Pid, why: ExitReason) {
    if let Some(epoch) = engine.give_up(pid, why) {
        shared.note_given_up();
        if !process::is_exiting() {
            start(shared, engine, epoch);
        }
    }
}
