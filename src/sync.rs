//! The only door to locks, atomics and threads: the real ones, or shuttle's when a model runs.
//!
//! A model run (`RUSTFLAGS="--cfg iris_shuttle" cargo test --test model`) replaces every primitive of the core with one
//! whose schedule the checker chooses. `lock()` never answers a poison error: no foreign code runs under a core lock.
//!
//! The locks are the standard library's: a contended one spins for about a microsecond and then sleeps. `parking_lot`'s
//! yields to the system in between, which on a busy machine gives the core away for milliseconds (docs/adr/0002).

use std::cell::Cell;

#[cfg(not(iris_shuttle))]
mod imp {
    pub(crate) use std::sync::{Condvar, MutexGuard};
    use std::sync::{PoisonError, TryLockError};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }
        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
        /// `None`: somebody holds it.
        #[allow(dead_code, reason = "only the mesh tries")]
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }
    pub(crate) use std::sync::{atomic, mpsc};
    pub(crate) use std::thread_local;

    /// Starts a thread that nobody joins; `false`: the system has none to give. Stack size in bytes; `None`: 2 MiB.
    pub(crate) fn start_thread(
        name: String,
        stack: Option<usize>,
        body: impl FnOnce() + Send + 'static,
    ) -> bool {
        let mut builder = std::thread::Builder::new().name(name);
        if let Some(bytes) = stack {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(body).is_ok()
    }

    /// Waits on `cv` until notified or `timeout` is over.
    pub(crate) fn wait_for<'a, T>(
        cv: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: Option<std::time::Duration>,
    ) -> MutexGuard<'a, T> {
        match timeout {
            Some(t) => cv.wait_timeout(guard, t).unwrap_or_else(PoisonError::into_inner).0,
            None => cv.wait(guard).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

#[cfg(iris_shuttle)]
mod imp {
    use shuttle::rand::Rng;
    pub(crate) use shuttle::sync::{atomic, mpsc};
    pub(crate) use shuttle::thread_local;
    use std::ops::{Deref, DerefMut};
    use std::sync::Arc;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(crate) struct MutexGuard<'a, T> {
        of: &'a shuttle::sync::Mutex<T>,
        held: Option<shuttle::sync::MutexGuard<'a, T>>,
    }
    /// Who waits, each on a primitive of its own: shuttle's condition variable knows no timeouts.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(shuttle::sync::Mutex<Vec<Arc<Waiter>>>);
    #[derive(Debug, Default)]
    struct Waiter(shuttle::sync::Mutex<bool>, shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { of: &self.0, held: Some(locked(&self.0)) }
        }
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            let held = self.0.try_lock().ok()?;
            Some(MutexGuard { of: &self.0, held: Some(held) })
        }
    }
    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.held.as_ref().expect("guard is held")
        }
    }
    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.held.as_mut().expect("guard is held")
        }
    }
    impl Condvar {
        pub(crate) fn new() -> Self {
            Self::default()
        }
        pub(crate) fn notify_one(&self) {
            let mut waiting = locked(&self.0);
            if !waiting.is_empty() {
                let chosen = shuttle::rand::thread_rng().gen_range(0..waiting.len());
                let waiter = waiting.swap_remove(chosen);
                drop(waiting);
                waiter.wake();
            }
        }
        pub(crate) fn notify_all(&self) {
            let waiting = std::mem::take(&mut *locked(&self.0));
            waiting.iter().for_each(|w| w.wake());
        }
    }

    impl Waiter {
        fn wake(&self) {
            *locked(&self.0) = true;
            self.1.notify_one();
        }
        fn wait(&self) {
            let mut woken = locked(&self.0);
            while !*woken {
                woken = self.1.wait(woken).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
        }
    }

    pub(crate) fn start_thread(
        name: String,
        _stack: Option<usize>,
        body: impl FnOnce() + Send + 'static,
    ) -> bool {
        shuttle::thread::Builder::new().name(name).spawn(body).is_ok()
    }

    /// A model has no time: a timed wait may be over whenever the checker likes. One without a timeout must be notified,
    /// so a missing wake is a deadlock that the checker reports.
    pub(crate) fn wait_for<'a, T>(
        cv: &Condvar,
        mut guard: MutexGuard<'a, T>,
        timeout: Option<std::time::Duration>,
    ) -> MutexGuard<'a, T> {
        let waiter = Arc::new(Waiter::default());
        locked(&cv.0).push(Arc::clone(&waiter));
        drop(guard.held.take());
        if timeout.is_none() {
            waiter.wait();
        } else {
            shuttle::thread::yield_now();
            locked(&cv.0).retain(|w| !Arc::ptr_eq(w, &waiter));
        }
        guard.held = Some(locked(guard.of));
        guard
    }

    fn locked<T>(of: &shuttle::sync::Mutex<T>) -> shuttle::sync::MutexGuard<'_, T> {
        of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) use imp::{
    Condvar, Mutex, MutexGuard, atomic, mpsc, start_thread, thread_local, wait_for,
};

/// Runs foreign code (a sink, a hook, a waker, a `Drop`): a panic in it ends there, not the core's thread. The process'
/// panic hook has reported it by then.
pub(crate) fn contain(foreign: impl FnOnce()) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(foreign));
}

thread_local! {
    static MUST_NOT_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that must never wait: it runs a lane, timers or I/O.
pub fn mark_lane_thread() {
    MUST_NOT_WAIT.with(|t| t.set(true));
}

/// Whether waiting on this thread could stop the world.
#[must_use]
pub fn is_lane_thread() -> bool {
    MUST_NOT_WAIT.with(Cell::get)
}

/// Which of the process' threads this is: the first [`NUMBERED`] have a number of their own, the others share that one.
#[cfg(not(iris_shuttle))]
mod number {
    use std::cell::Cell;
    use std::sync::{Mutex, PoisonError};

    /// Threads at a time that have a number of their own.
    pub(crate) const NUMBERED: usize = 24;
    const UNKNOWN: usize = usize::MAX;

    /// Numbers of threads that have ended. The lock also orders what they did before what their successors do.
    static FREE: Mutex<(usize, Vec<usize>)> = Mutex::new((0, Vec::new()));

    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(UNKNOWN) };
        static NUMBER: Number = const { Number };
    }

    /// Gives the thread's number back when the thread ends.
    struct Number;

    impl Drop for Number {
        fn drop(&mut self) {
            // What still asks after this shares.
            let mine = MINE.replace(NUMBERED);
            if mine < NUMBERED {
                FREE.lock().unwrap_or_else(PoisonError::into_inner).1.push(mine);
            }
        }
    }

    #[inline]
    pub(crate) fn thread_number() -> usize {
        let mine = MINE.get();
        if mine == UNKNOWN { claim() } else { mine }
    }

    #[cold]
    fn claim() -> usize {
        // Without a guard to give it back, the thread gets no number.
        let mine = if NUMBER.try_with(|_| ()).is_ok() {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.1.pop().unwrap_or_else(|| {
                free.0 += 1;
                free.0 - 1
            })
        } else {
            NUMBERED
        };
        MINE.set(mine.min(NUMBERED));
        mine.min(NUMBERED)
    }
}

/// A model's threads are one thread of the system: they share.
#[cfg(iris_shuttle)]
mod number {
    pub(crate) const NUMBERED: usize = 0;
    pub(crate) fn thread_number() -> usize {
        NUMBERED
    }
}

pub(crate) use number::{NUMBERED, thread_number};
