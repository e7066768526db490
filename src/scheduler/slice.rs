//! The clock that ends the time slices of host lanes.
//!
//! A lane that has to ask the clock after every message pays as much for that as for the message itself, and one that asks
//! after every tenth may be held nine handlers too long. So one thread of the runtime sleeps until the next slice is over and
//! then [nudges](Lane::nudge) its lane, which raises a flag that costs its loop one load a message. The thread starts with
//! the first slice and ends when there has been none for a second.

use super::lane::{Lane, Nudge};
use crate::clock::Clock;
use crate::sync::{Condvar, Mutex, mark_lane_thread, start_thread, wait_for};
use std::sync::Arc;
use std::time::Duration;

/// How long the thread waits for another slice before it ends.
const IDLE: Duration = Duration::from_secs(1);

struct State {
    /// Slices that run, and when they are over.
    running: Vec<(u64, Arc<Lane>)>,
    /// When the thread wakes by itself; `u64::MAX` while it waits for a slice.
    wakes_at: u64,
    started: bool,
    closed: bool,
}

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

/// The slices of one runtime's lanes.
pub struct Slices(Arc<Inner>);

impl Slices {
    /// Slices on `clock`; with a manual clock nobody is nudged.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let state =
            State { running: Vec::new(), wakes_at: u64::MAX, started: false, closed: false };
        Self(Arc::new(Inner { clock, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Nudges `lane` once the clock shows `at_ns`, in place of what was asked for it before.
    pub fn end_at(&self, lane: &Arc<Lane>, at_ns: u64) {
        let inner = &self.0;
        let mut s = inner.state.lock();
        if s.closed || inner.clock.is_manual() {
            return;
        }
        match s.running.iter_mut().find(|(_, l)| Arc::ptr_eq(l, lane)) {
            Some((at, _)) => *at = at_ns,
            None => s.running.push((at_ns, Arc::clone(lane))),
        }
        if !s.started {
            // If there is no thread to be had, the next slice tries again; the lane looks at the clock now and then.
            let inner = Arc::clone(inner);
            s.started = start_thread("iris-slices".into(), Some(256 * 1024), move || inner.run());
        } else if at_ns < s.wakes_at {
            inner.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub fn close(&self) {
        let mut s = self.0.state.lock();
        s.closed = true;
        let gone = std::mem::take(&mut s.running);
        drop(s);
        drop(gone);
        self.0.changed.notify_all();
    }
}

impl Drop for Slices {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    fn run(&self) {
        mark_lane_thread();
        let mut due = Vec::new();
        let mut s = self.state.lock();
        while !s.closed {
            let now = self.clock.now_ns();
            let mut next = u64::MAX;
            s.running.retain(|(at, lane)| {
                if *at <= now {
                    due.push(Arc::clone(lane));
                } else {
                    next = next.min(*at);
                }
                *at > now
            });
            if !due.is_empty() {
                s.wakes_at = 0; // awake: nobody needs to notify
                drop(s);
                due.drain(..).for_each(|lane| lane.nudge(Nudge::Look));
                s = self.state.lock();
                continue;
            }
            s.wakes_at = next;
            let sleep = if next == u64::MAX { IDLE } else { Duration::from_nanos(next - now) };
            s = wait_for(&self.changed, s, Some(sleep));
            if next == u64::MAX && s.running.is_empty() {
                break;
            }
        }
        s.started = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> (Arc<Lane>, std::sync::mpsc::Receiver<()>) {
        let (tx, rx) = std::sync::mpsc::channel();
        let lane = Lane::new("test", || {});
        let tx = std::sync::Mutex::new(tx);
        lane.on_nudge(move |_| {
            let _ = tx.lock().map(|tx| tx.send(()));
        });
        (Arc::new(lane), rx)
    }

    #[test]
    fn each_lane_is_nudged_once_when_its_slice_is_over_and_not_before() {
        let clock = Clock::real();
        let slices = Slices::new(clock.clone());
        let ((a, a_over), (b, b_over)) = (lane(), lane());
        let end = clock.now_ns() + 20_000_000;
        slices.end_at(&a, end);
        slices.end_at(&b, u64::MAX);
        a_over.recv_timeout(Duration::from_secs(30)).expect("the slice of a ends");
        assert!(clock.now_ns() >= end);
        slices.end_at(&b, clock.now_ns());
        b_over.recv_timeout(Duration::from_secs(30)).expect("an earlier end replaces a later one");
        assert!(a_over.try_recv().is_err(), "a second nudge");
    }

    #[test]
    fn a_closed_one_nudges_nobody() {
        let clock = Clock::real();
        let slices = Slices::new(clock.clone());
        let (a, over) = lane();
        slices.close();
        slices.end_at(&a, clock.now_ns());
        drop((slices, a));
        assert!(over.recv().is_err());
    }
}
