//! The pool lane: worker threads for Rust actors.
//!
//! Each worker has a run queue of its own; an actor made runnable by a worker goes on that worker's queue, one made
//! runnable from outside goes on the injector. A worker looks at its own queue, then the injector, then steals half of
//! another's, then sleeps.
//!
//! Waking another core costs 25 to 30 microseconds here, so a worker that makes *one* actor runnable (ping-pong) wakes
//! nobody: it will run it next itself. It wakes a sleeper when it leaves more behind than the actor it is about to run.
//! What it leaves behind by running one handler for long is found by the watcher: one sleeping worker at a time sleeps
//! for at most [`WATCH`] and then looks around, as long as another worker is busy. A watcher that finds work wakes the
//! next sleeper, which takes over the watch.
//!
//! No wake is lost, by the queues' locks alone. A worker counts itself asleep, then looks through every queue under its
//! lock, then waits. Whoever pushes does so under the queue's lock, then reads that count. Either the push came first
//! and the worker's look finds it; or the look came first, and then the count that it followed is visible to the pusher.

use super::lane::Runnable;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a runnable actor can wait behind one long handler while another worker sleeps.
const WATCH: Duration = Duration::from_millis(1);
/// Every so many turns a worker looks at the injector first, so outside work is not starved.
const FAIR_TICK: u32 = 61;

crate::sync::thread_local! {
    static WORKER: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

#[derive(Default)]
struct Sleep {
    asleep: usize,
    watcher: bool,
}

/// The worker threads of one runtime.
pub struct Pool {
    queues: Box<[Mutex<VecDeque<Runnable>>]>,
    injector: Mutex<VecDeque<Runnable>>,
    injected: AtomicUsize,
    sleepers: AtomicUsize,
    watchers: AtomicUsize,
    sleep: Mutex<Sleep>,
    wakeup: Condvar,
    /// Threads are being started or run.
    started: AtomicBool,
    closed: AtomicBool,
}

impl Pool {
    /// A pool of `workers` threads that are not started yet.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            queues: (0..workers).map(|_| Mutex::new(VecDeque::new())).collect(),
            injector: Mutex::new(VecDeque::new()),
            injected: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            sleep: Mutex::new(Sleep::default()),
            wakeup: Condvar::new(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether the threads have been started.
    #[inline]
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Starts the threads, once; each runs `body(worker)` until the pool is closed. `false`: the system has not one
    /// thread to give; the next call tries again.
    pub fn start(&self, body: impl Fn(usize) + Send + Sync + 'static) -> bool {
        if self.started.swap(true, Ordering::AcqRel) {
            return true;
        }
        let body = Arc::new(body);
        let id = self.identity();
        for worker in 0..self.queues.len() {
            let body = Arc::clone(&body);
            let started = start_thread(format!("iris-worker-{worker}"), None, move || {
                WORKER.with(|w| w.set((id, worker)));
                super::mark_lane_thread();
                body(worker);
            });
            if !started && worker == 0 {
                self.started.store(false, Ordering::Release);
                return false;
            }
            // With fewer threads than asked for the others carry on: work on a queue without a thread is stolen.
        }
        true
    }

    fn identity(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn current(&self) -> Option<usize> {
        let (pool, worker) = WORKER.with(Cell::get);
        (pool == self.identity()).then_some(worker)
    }

    /// Makes an actor runnable.
    #[inline]
    pub fn push(&self, r: Runnable) {
        if let Some(worker) = self.current() {
            let left = {
                let mut q = self.queues[worker].lock();
                q.push_back(r);
                q.len()
            };
            if left == 1 && self.watchers.load(Ordering::Relaxed) != 0 {
                return; // this worker runs it next, or the watcher finds it
            }
        } else {
            let mut q = self.injector.lock();
            q.push_back(r);
            self.injected.store(q.len(), Ordering::Release);
        }
        self.wake_one();
    }

    fn wake_one(&self) {
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            let _sleep = self.sleep.lock();
            self.wakeup.notify_one();
        }
    }

    /// The next actor for `worker`, sleeping until there is one; `None` when the pool is closed.
    pub fn next(&self, worker: usize, tick: &mut u32) -> Option<Runnable> {
        let mut watched = false;
        loop {
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            if let Some(r) = self.find(worker, tick) {
                if watched {
                    self.wake_one();
                }
                return Some(r);
            }
            let mut sleep = self.sleep.lock();
            sleep.asleep += 1;
            self.sleepers.store(sleep.asleep, Ordering::Relaxed);
            if self.has_work() || self.closed.load(Ordering::Acquire) {
                sleep.asleep -= 1;
                self.sleepers.store(sleep.asleep, Ordering::Relaxed);
                continue;
            }
            let watch = !sleep.watcher && sleep.asleep < self.queues.len();
            if watch {
                sleep.watcher = true;
                self.watchers.store(1, Ordering::Relaxed);
            }
            sleep = wait_for(&self.wakeup, sleep, watch.then_some(WATCH));
            watched = watch;
            if watch {
                sleep.watcher = false;
                self.watchers.store(0, Ordering::Relaxed);
            }
            sleep.asleep -= 1;
            self.sleepers.store(sleep.asleep, Ordering::Relaxed);
        }
    }

    fn has_work(&self) -> bool {
        !self.injector.lock().is_empty() || self.queues.iter().any(|q| !q.lock().is_empty())
    }

    fn find(&self, worker: usize, tick: &mut u32) -> Option<Runnable> {
        *tick = tick.wrapping_add(1);
        if tick.is_multiple_of(FAIR_TICK)
            && let Some(r) = self.pop_injected(worker)
        {
            return Some(r);
        }
        let (own, left) = {
            let mut q = self.queues[worker].lock();
            (q.pop_front(), q.len())
        };
        if own.is_some() {
            if left != 0 {
                self.wake_one();
            }
            return own;
        }
        self.pop_injected(worker).or_else(|| self.steal(worker))
    }

    fn pop_injected(&self, worker: usize) -> Option<Runnable> {
        if self.injected.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut moved = VecDeque::new();
        let first = {
            let mut q = self.injector.lock();
            let share = (q.len() / self.queues.len()).clamp(1, 256).min(q.len());
            let first = q.pop_front();
            moved.extend(q.drain(..share.saturating_sub(1)));
            self.injected.store(q.len(), Ordering::Release);
            first
        };
        self.adopt(worker, moved);
        first
    }

    fn steal(&self, worker: usize) -> Option<Runnable> {
        let n = self.queues.len();
        (1..n).find_map(|i| {
            let mut moved = {
                let mut q = self.queues[(worker + i) % n].lock();
                let half = q.len().div_ceil(2);
                q.drain(..half).collect::<VecDeque<_>>()
            };
            let first = moved.pop_front();
            self.adopt(worker, moved);
            first
        })
    }

    fn adopt(&self, worker: usize, moved: VecDeque<Runnable>) {
        if !moved.is_empty() {
            self.queues[worker].lock().extend(moved);
            self.wake_one();
        }
    }

    /// Ends the threads after the turn they are in.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _sleep = self.sleep.lock();
        self.wakeup.notify_all();
    }
}
