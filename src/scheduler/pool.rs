//! The pool lane: worker threads for Rust actors.
//!
//! Each worker has a run queue of its own; an actor made runnable by a worker goes on that worker's queue, one made
//! runnable from outside goes on the injector. A worker looks at its own queue, then the injector, then steals half of
//! another's, then sleeps.
//!
//! The front of a worker's queue has a place of its own, which only the worker fills, with a plain store, and whoever
//! empties it does so by an exchange: a queue that never holds more than one actor (ping-pong) takes no lock.
//!
//! Waking another core costs 25 to 30 microseconds here, so a worker that makes *one* actor runnable wakes nobody: it
//! will run it next itself. It wakes a sleeper when it leaves more behind than the actor it is about to run. What it
//! leaves at the front by running one handler for long is found by the watcher: one sleeping worker at a time sleeps for
//! at most a millisecond and then looks around, as long as another worker is busy. It takes the front of a worker that
//! has not moved on since the last look, so two actors that wake each other stay on the core whose caches they are in.
//!
//! At most one sleeper is being woken at a time; until it is up, pushes wake nobody else. When it has found work and more
//! is left anywhere, it wakes the next.
//!
//! No wake is lost, by the locks alone (a front needs none: its worker comes back to it). A worker says that it can be woken, then looks through every queue under its
//! lock, then waits. Whoever pushes does so under the queue's lock, then reads whether somebody can be woken. Either the
//! push came first and the worker's look finds it; or the look came first, and then what was said before it is visible to
//! the pusher. The same holds for a worker that is being woken: it says that it is up, then looks.

use super::lane::Runnable;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A runnable actor waits behind one long handler for at most twice this while another worker sleeps.
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

/// A worker's run queue, in cache lines of its own.
#[repr(align(128))]
struct Queue {
    /// The first of the queue, packed; 0: none. Filled by the worker alone, when the rest is empty too.
    front: AtomicU64,
    /// Length of `rest`, stored under its lock; only the worker makes it longer.
    behind: AtomicUsize,
    /// Counts up with every actor that the worker takes.
    turns: AtomicU32,
    /// `turns` when a watcher looked last.
    seen: AtomicU32,
    rest: Mutex<VecDeque<Runnable>>,
}

impl Queue {
    fn new() -> Self {
        Self {
            front: AtomicU64::new(0),
            behind: AtomicUsize::new(0),
            turns: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            rest: Mutex::new(VecDeque::new()),
        }
    }

    /// Whether the worker itself would find it empty.
    fn is_empty(&self) -> bool {
        self.front.load(Ordering::Relaxed) == 0 && self.behind.load(Ordering::Relaxed) == 0
    }

    /// Appends, by the worker; answers whether it is alone.
    #[inline]
    fn push(&self, r: Runnable) -> bool {
        if self.is_empty() {
            self.front.store(pack(r), Ordering::SeqCst);
            return true;
        }
        let mut rest = self.rest.lock();
        rest.push_back(r);
        self.behind.store(rest.len(), Ordering::Relaxed);
        false
    }

    /// Appends many, by the worker.
    fn extend(&self, many: impl IntoIterator<Item = Runnable>) {
        let mut rest = self.rest.lock();
        rest.extend(many);
        self.behind.store(rest.len(), Ordering::Relaxed);
    }

    /// Takes the first, by the worker.
    #[inline]
    fn pop(&self) -> Option<Runnable> {
        let first = self.take_front();
        if first.is_some() || self.behind.load(Ordering::Relaxed) == 0 {
            return first;
        }
        let mut rest = self.rest.lock();
        let first = rest.pop_front();
        self.behind.store(rest.len(), Ordering::Relaxed);
        first
    }

    #[inline]
    fn take_front(&self) -> Option<Runnable> {
        if self.front.load(Ordering::Relaxed) == 0 {
            return None;
        }
        unpack(self.front.swap(0, Ordering::AcqRel))
    }

    /// Takes half of the rest, by another worker: the first, the others, and whether more is left.
    fn halve(&self) -> Option<(Runnable, Vec<Runnable>, bool)> {
        let mut rest = self.rest.lock();
        let half = rest.len().div_ceil(2);
        let first = rest.pop_front()?;
        let moved = rest.drain(..half - 1).collect();
        self.behind.store(rest.len(), Ordering::Relaxed);
        Some((first, moved, !rest.is_empty()))
    }

    /// Takes the front, by another worker, if the worker has not moved on since the last look.
    fn rescue(&self) -> Option<Runnable> {
        let turns = self.turns.load(Ordering::Relaxed);
        if self.seen.swap(turns, Ordering::Relaxed) == turns { self.take_front() } else { None }
    }
}

/// Generations count from 1, so no actor is 0.
fn pack(r: Runnable) -> u64 {
    u64::from(r.generation) << 32 | u64::from(r.slot)
}

fn unpack(bits: u64) -> Option<Runnable> {
    (bits != 0).then_some(Runnable { slot: bits as u32, generation: (bits >> 32) as u32 })
}

/// The worker threads of one runtime.
pub struct Pool {
    queues: Box<[Queue]>,
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
            queues: (0..workers).map(|_| Queue::new()).collect(),
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
            if self.queues[worker].push(r) && self.watched.load(Ordering::SeqCst) {
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
        if !self.wakeable.load(Ordering::SeqCst) {
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
        self.wakeable.store(sleep.asleep != 0 && !sleep.waking, Ordering::SeqCst);
        self.watched.store(sleep.watcher, Ordering::SeqCst);
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
                if woken && (self.has_work() || self.has_front()) {
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
        !self.injector.lock().is_empty() || self.queues.iter().any(|q| !q.rest.lock().is_empty())
    }

    fn has_front(&self) -> bool {
        self.queues.iter().any(|q| q.front.load(Ordering::SeqCst) != 0)
    }

    fn find(&self, worker: usize, tick: &mut u32) -> Option<Runnable> {
        *tick = tick.wrapping_add(1);
        if tick.is_multiple_of(FAIR_TICK)
            && let Some(r) = self.pop_injected(worker)
        {
            return Some(r);
        }
        let queue = &self.queues[worker];
        queue.turns.store(*tick, Ordering::Relaxed);
        if let Some(own) = queue.pop() {
            if !queue.is_empty() {
                self.wake_one();
            }
            return Some(own);
        }
        self.pop_injected(worker).or_else(|| self.steal(worker))
    }

    /// Whether `worker` would find no actor if it looked, without taking another's.
    #[must_use]
    pub fn is_alone(&self, worker: usize) -> bool {
        self.injected.load(Ordering::Acquire) == 0 && self.queues[worker].is_empty()
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
                self.queues[worker].extend(q.drain(..share - 1));
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
            let queue = &self.queues[(worker + i) % n];
            let Some((first, moved, left)) = queue.halve() else { return queue.rescue() };
            let more = left || !moved.is_empty();
            self.queues[worker].extend(moved);
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
