//! The pool lane: worker threads for Rust actors.
//!
//! Each worker has a run queue of its own; an actor made runnable by a worker goes on that worker's queue, one made
//! runnable from outside goes on the injector. A worker looks at its own queue, then the injector, then steals half of
//! another's, then sleeps.
//!
//! Waking another core costs 25 to 30 microseconds here, so a worker that makes *one* actor runnable (ping-pong) wakes
//! nobody: it will run it next itself. It wakes a sleeper when it leaves more behind than the actor it is about to run.
//! What it leaves behind by running one handler for long is found by the watcher: one sleeping worker at a time sleeps
//! for at most a millisecond and then looks around, as long as another worker is busy.
//!
//! At most one sleeper is being woken at a time; until it is up, pushes wake nobody else. When it has found work and more
//! is left anywhere, it wakes the next.
//!
//! No wake is lost, by the locks alone. A worker says that it can be woken, then looks through every queue under its
//! lock, then waits. Whoever pushes does so under the queue's lock, then reads whether somebody can be woken. Either the
//! push came first and the worker's look finds it; or the look came first, and then what was said before it is visible to
//! the pusher. The same holds for a worker that is being woken: it says that it is up, then looks.

use super::lane::Runnable;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a runnable actor can wait behind one long handler while another worker sleeps.
const WATCH: Duration = Duration::from_millis(1);
/// Most actors that a worker takes from the injector at once.
const SHARE: usize = 256;
/// Every so many turns a worker looks at the injector first, so outside work is not starved.
const FAIR_TICK: u32 = 61;

crate::sync::thread_local! {
    static WORKER: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

#[derive(Default)]
struct Sleep {
    asleep: usize,
    /// One of them sleeps for [`WATCH`] only.
    watcher: bool,
    /// One of them has been notified and is not up yet.
    waking: bool,
}

/// The worker threads of one runtime.
pub struct Pool {
    queues: Box<[Mutex<VecDeque<Runnable>>]>,
    injector: Mutex<VecDeque<Runnable>>,
    injected: AtomicUsize,
    /// Somebody sleeps and nobody is being woken.
    wakeable: AtomicBool,
    watched: AtomicBool,
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
            wakeable: AtomicBool::new(false),
            watched: AtomicBool::new(false),
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
            if left == 1 && self.watched.load(Ordering::Relaxed) {
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
        if !self.wakeable.load(Ordering::Relaxed) {
            return;
        }
        let mut sleep = self.sleep.lock();
        if sleep.asleep == 0 || sleep.waking {
            return;
        }
        sleep.waking = true;
        self.publish(&sleep);
        drop(sleep);
        self.wakeup.notify_one();
    }

    fn publish(&self, sleep: &Sleep) {
        self.wakeable.store(sleep.asleep != 0 && !sleep.waking, Ordering::Relaxed);
        self.watched.store(sleep.watcher, Ordering::Relaxed);
    }

    /// The next actor for `worker`, sleeping until there is one; `None` when the pool is closed.
    pub fn next(&self, worker: usize, tick: &mut u32) -> Option<Runnable> {
        let mut woken = false;
        loop {
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            if let Some(r) = self.find(worker, tick) {
                // What was pushed while this worker slept or was being woken may have woken nobody.
                if woken && self.has_work() {
                    self.wake_one();
                }
                return Some(r);
            }
            let mut sleep = self.sleep.lock();
            sleep.asleep += 1;
            self.publish(&sleep);
            if self.has_work() || self.closed.load(Ordering::Acquire) {
                sleep.asleep -= 1;
                self.publish(&sleep);
                continue;
            }
            let watch = !sleep.watcher && sleep.asleep < self.queues.len();
            sleep.watcher |= watch;
            self.publish(&sleep);
            sleep = wait_for(&self.wakeup, sleep, watch.then_some(WATCH));
            woken = true;
            sleep.watcher &= !watch;
            sleep.waking = false;
            sleep.asleep -= 1;
            self.publish(&sleep);
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
        let (first, left) = {
            let mut q = self.injector.lock();
            // A fair share, so that a burst does not end up on one worker. Lock order: the injector, then a queue.
            let share = (q.len() / self.queues.len()).clamp(1, SHARE).min(q.len());
            let first = q.pop_front();
            if share > 1 {
                self.queues[worker].lock().extend(q.drain(..share - 1));
            }
            self.injected.store(q.len(), Ordering::Release);
            (first, share > 1 || !q.is_empty())
        };
        if left {
            self.wake_one();
        }
        first
    }

    fn steal(&self, worker: usize) -> Option<Runnable> {
        let n = self.queues.len();
        (1..n).find_map(|i| {
            let (first, moved, left) = {
                let mut q = self.queues[(worker + i) % n].lock();
                let half = q.len().div_ceil(2);
                let first = q.pop_front()?;
                (first, q.drain(..half - 1).collect::<Vec<_>>(), !q.is_empty())
            };
            let more = left || !moved.is_empty();
            self.queues[worker].lock().extend(moved);
            if more {
                self.wake_one();
            }
            Some(first)
        })
    }

    /// Ends the threads after the turn they are in.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _sleep = self.sleep.lock();
        self.wakeup.notify_all();
    }
}
