//! One timer facility for all: call deadlines, stop timeouts, and later the users' timers.
//!
//! A [`Timers`] is a [`wheel::Wheel`] behind a lock and one thread that sleeps until the next occupied slot. The
//! thread starts with the first timer. A timer never fires early: delays are rounded up to the next millisecond. With a
//! manual clock there is no thread; [`Timers::poll`] fires what is due.

pub mod wheel;

use crate::clock::Clock;
use crate::sync::{Condvar, Mutex, contain, mark_lane_thread, start_thread, wait_for};
use std::sync::Arc;
use std::time::Duration;
use wheel::{TimerKey, Wheel};

type Fire<T> = Box<dyn Fn(&mut Vec<T>) + Send + Sync>;

struct State<T> {
    wheel: Wheel<T>,
    /// Tick at which the thread wakes by itself; `u64::MAX` while it sleeps without end.
    wakes_at: u64,
    started: bool,
    closed: bool,
}

struct Inner<T> {
    clock: Clock,
    state: Mutex<State<T>>,
    changed: Condvar,
    fire: Fire<T>,
}

/// The timers of one runtime.
pub struct Timers<T: Send + 'static>(Arc<Inner<T>>);

impl<T: Send + 'static> Timers<T> {
    /// Timers on `clock`; `fire` runs on the timer thread (or in [`poll`](Self::poll)) with no lock held, and takes all that
    /// are due out of its argument, in their order.
    pub fn new(clock: Clock, fire: impl Fn(&mut Vec<T>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            clock,
            state: Mutex::new(State {
                wheel: Wheel::default(),
                wakes_at: u64::MAX,
                started: false,
                closed: false,
            }),
            changed: Condvar::new(),
            fire: Box::new(fire),
        }))
    }

    /// Fires `value` once `delay` has passed. After [`close`](Self::close) nothing waits and nothing fires.
    pub fn insert(&self, delay: Duration, value: T) -> TimerKey {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.insert_at(self.0.clock.now_ns().saturating_add(delay), value)
    }

    /// Fires `value` once the clock shows `due_ns`. After [`close`](Self::close) nothing waits and nothing fires.
    pub fn insert_at(&self, due_ns: u64, value: T) -> TimerKey {
        let inner = &self.0;
        let when = due_ns.div_ceil(1_000_000);
        let mut s = inner.state.lock();
        if s.closed {
            return TimerKey::NEVER;
        }
        let key = s.wheel.insert(when, value);
        if when < s.wakes_at && !inner.clock.is_manual() {
            if s.started {
                inner.changed.notify_one();
            } else {
                // If there is no thread to be had, the next insert tries again.
                let inner = Arc::clone(inner);
                s.started =
                    start_thread("iris-timer".into(), Some(256 * 1024), move || inner.run());
            }
        }
        key
    }

    /// Removes a timer; answers its value if it was still to fire.
    pub fn cancel(&self, key: TimerKey) -> Option<T> {
        self.0.state.lock().wheel.cancel(key)
    }

    /// When a timer is due, in milliseconds of the clock; `None`: it has fired or was cancelled.
    #[must_use]
    pub fn due_ms(&self, key: TimerKey) -> Option<u64> {
        self.0.state.lock().wheel.due(key)
    }

    /// Removes timers, with one lock.
    pub fn cancel_all(&self, keys: impl Iterator<Item = TimerKey>) {
        let mut s = self.0.state.lock();
        for key in keys {
            drop(s.wheel.cancel(key));
        }
    }

    /// Timers that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.state.lock().wheel.len()
    }

    /// Fires what is due by now. The timer thread does this by itself; tests with a manual clock call it.
    pub fn poll(&self) {
        let mut due = Vec::new();
        self.0.state.lock().wheel.advance(self.0.clock.now_ms(), &mut due);
        self.0.fire(&mut due);
    }

    /// Ends the thread and drops what waits. It may be called from the thread itself.
    pub fn close(&self) {
        let mut s = self.0.state.lock();
        s.closed = true;
        let dropped = std::mem::take(&mut s.wheel);
        drop(s);
        drop(dropped);
        self.0.changed.notify_all();
    }
}

impl<T: Send + 'static> Drop for Timers<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T: Send> Inner<T> {
    fn fire(&self, due: &mut Vec<T>) {
        while !due.is_empty() {
            contain(|| (self.fire)(due));
        }
    }

    fn run(&self) {
        mark_lane_thread();
        let mut due = Vec::new();
        let mut s = self.state.lock();
        while !s.closed {
            let now = self.clock.now_ns();
            s.wheel.advance(now / 1_000_000, &mut due);
            if !due.is_empty() {
                s.wakes_at = 0; // awake: nobody needs to notify
                drop(s);
                self.fire(&mut due);
                s = self.state.lock();
                continue;
            }
            let next = s.wheel.next_tick();
            s.wakes_at = next.unwrap_or(u64::MAX);
            let sleep = next.map(|t| {
                Duration::from_nanos((t.saturating_mul(1_000_000)).saturating_sub(now).max(1))
            });
            s = wait_for(&self.changed, s, sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Mutex;

    #[test]
    fn a_manual_clock_fires_only_when_told_and_never_early() {
        let clock = Clock::manual();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let timers = Timers::new(clock.clone(), move |v: &mut Vec<u32>| sink.lock().append(v));
        timers.insert(Duration::from_micros(1_500), 1);
        let dead = timers.insert(Duration::from_millis(1), 2);
        assert_eq!(timers.cancel(dead), Some(2));
        clock.advance(Duration::from_micros(1_999));
        timers.poll();
        assert!(seen.lock().is_empty());
        clock.advance(Duration::from_micros(1));
        timers.poll();
        assert_eq!(*seen.lock(), [1]);
        assert_eq!(timers.pending(), 0);
    }

    #[test]
    fn the_thread_fires_an_earlier_timer_that_comes_later() {
        let (tx, rx) = std::sync::mpsc::channel();
        let timers = Timers::new(Clock::real(), move |v: &mut Vec<u32>| {
            for v in v.drain(..) {
                let _ = tx.send(v);
            }
        });
        timers.insert(Duration::from_secs(3600), 1);
        timers.insert(Duration::from_millis(5), 2);
        assert_eq!(rx.recv_timeout(Duration::from_secs(30)), Ok(2));
    }
}
