//! One runtime as the Python face sees it.

use super::args::{PidArg, nanoseconds};
use super::codec::Codecs;
use super::courier::{Courier, Watch};
use super::engine::Engine;
use super::errors::{OrRaise, fail};
use super::home::{Home, attached};
use super::info::PyExitInfo;
use super::lane::{self, Parker};
use super::mailbox::Pullers;
use super::observed::Observed;
use super::process;
use super::release::Released;
use super::tracing::DeadLetterHook;
use super::virtuals::Hooks;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::ErrorKind;
use crate::id::{CallId, Pid};
use crate::message::{ExitInfo, ExitReason, Payload};
use crate::runtime::{PressureWatch, Runtime};
use crate::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a closed runtime's threads are waited for.
const JOIN: Duration = Duration::from_secs(1);

/// Why calls are looked at before they are made, as bits; 0: the runtime is open and all is well.
const CLOSED: u8 = 1;
const GAVE_UP: u8 = 2;

/// See the module doc.
pub(super) struct Shared {
    pub(super) rt: Runtime,
    pub(super) id: u64,
    pub(super) clock: Clock,
    pub(super) slice_ns: u64,
    pub(super) call_timeout: Duration,
    pub(super) stop_timeout: Duration,
    pub(super) courier: Arc<Courier>,
    pub(super) pullers: Arc<Pullers>,
    /// What handlers threw in calls, until the caller gets it.
    pub(super) causes: Mutex<HashMap<u64, Py<PyAny>>>,
    pub(super) observed: Mutex<HashMap<Pid, Arc<Observed>>>,
    /// The hooks of the last virtual actor that was spawned.
    pub(super) last_hooks: Mutex<Option<Arc<Hooks>>>,
    /// Handlers run in the trace context of who sends.
    pub(super) tracing: bool,
    pub(super) codecs: Mutex<Codecs>,
    pub(super) released: Released,
    /// Factories of supervised actors, by the key under which the core asks, and whether they are told who is replaced.
    pub(super) factories: Mutex<HashMap<u64, (Py<PyAny>, bool)>>,
    next_factory: AtomicU64,
    /// Who hears of what supervisors do: of everything, of restarts.
    pub(super) supervision_hooks: Mutex<[Option<Py<PyAny>>; 2]>,
    pub(super) listens: AtomicBool,
    me: Weak<Self>,
    /// The process that it belongs to, in forks.
    born: u32,
    trouble: AtomicU8,
    has_homes: AtomicBool,
    lane: Mutex<Option<Arc<Engine>>>,
    homes: Mutex<Vec<Arc<Home>>>,
    hook: Mutex<Option<Py<PyAny>>>,
    pressure: Mutex<Option<(Arc<PressureWatch>, Py<PyAny>)>>,
    pub(super) dead_letters: DeadLetterHook,
    #[cfg(feature = "mesh")]
    pub(super) node_hooks: super::cluster::NodeHooks,
    handle: Mutex<Option<Py<PyWeakrefReference>>>,
}

impl Shared {
    pub(super) fn new(
        py: Python<'_>,
        config: Config,
        slice: Duration,
        tracing: bool,
    ) -> PyResult<Arc<Self>> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let clock = Clock::real();
        let (call_timeout, stop_timeout) = (config.call_timeout, config.stop_timeout);
        let rt = Runtime::new(config).or_raise(py)?;
        let shared = Arc::new_cyclic(|me: &Weak<Self>| Self {
            rt,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            courier: Courier::new(clock.clone()),
            pullers: Arc::default(),
            clock,
            slice_ns: nanoseconds(slice),
            call_timeout,
            stop_timeout,
            causes: Mutex::default(),
            observed: Mutex::default(),
            last_hooks: Mutex::default(),
            tracing,
            codecs: Mutex::default(),
            released: Released::default(),
            factories: Mutex::default(),
            next_factory: AtomicU64::new(1),
            supervision_hooks: Mutex::new([None, None]),
            listens: AtomicBool::new(false),
            me: Weak::clone(me),
            born: process::forks(),
            trouble: AtomicU8::new(0),
            has_homes: AtomicBool::new(false),
            lane: Mutex::default(),
            homes: Mutex::default(),
            hook: Mutex::default(),
            pressure: Mutex::default(),
            dead_letters: DeadLetterHook::default(),
            #[cfg(feature = "mesh")]
            node_hooks: super::cluster::NodeHooks::default(),
            handle: Mutex::default(),
        });
        let me = Weak::clone(&shared.me);
        shared.rt.on_failure(move |info| {
            if let Some(shared) = me.upgrade() {
                shared.failed(info);
            }
        });
        process::remember(&shared);
        Ok(shared)
    }

    pub(super) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.me)
    }

    // --- whether calls may be made ---------------------------------------------------------------------------------

    /// `Ok` while the runtime is open, belongs to this process, and this thread's handler was not given up.
    ///
    /// # Errors
    /// `RuntimeClosed`; `ActorExited` for a handler that was given up.
    #[inline]
    pub(super) fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.trouble.load(Ordering::Acquire) == 0 && !self.is_forked() {
            return Ok(());
        }
        self.why_not(py)
    }

    #[cold]
    fn why_not(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_forked() {
            return Err(fail(
                py,
                ErrorKind::RuntimeClosed,
                "forked: this runtime belongs to the parent process; make a new one here",
            ));
        }
        if lane::was_given_up() {
            return Err(fail(
                py,
                ErrorKind::ActorExited,
                "this handler did not return in time; its actor was given up and can do nothing any more",
            ));
        }
        if self.is_closed() {
            return Err(fail(
                py,
                ErrorKind::RuntimeClosed,
                "this runtime is closed; make a new one",
            ));
        }
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.trouble.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn is_forked(&self) -> bool {
        process::forks() != self.born
    }

    pub(super) fn note_given_up(&self) {
        self.trouble.fetch_or(GAVE_UP, Ordering::AcqRel);
    }

    // --- messages --------------------------------------------------------------------------------------------------

    /// Sends; where the mailbox is full and its policy is `block`, waits for room if this thread may wait.
    #[inline]
    pub(super) fn send(
        &self,
        py: Python<'_>,
        to: PidArg,
        data: Payload,
        from: Option<Pid>,
    ) -> PyResult<bool> {
        match attached(py, self, || self.rt.send_unless_blocked(to.0, data, from)) {
            Ok(took) => Ok(took),
            Err(data) => self.wait_for_room(py, to, data, from),
        }
    }

    /// What the handler of a failed call threw, once.
    pub(super) fn take_cause(&self, call: CallId) -> Option<Py<PyAny>> {
        self.causes.lock().remove(&call.to_bits())
    }

    // --- lanes and event loops -------------------------------------------------------------------------------------

    /// The interpreter lane; its thread starts with the first call.
    ///
    /// # Errors
    /// `RuntimeClosed` at interpreter exit, `AtCapacity` if the system has no thread.
    pub(super) fn lane(self: &Arc<Self>, py: Python<'_>) -> PyResult<Arc<Engine>> {
        let mut lane = self.lane.lock();
        if let Some(engine) = &*lane {
            return Ok(Arc::clone(engine));
        }
        let parker = Arc::new(Parker::default());
        let sleeper = Arc::clone(&parker);
        let waker = move || sleeper.wake();
        let engine = Engine::new(self.rt.open_lane_of("python", waker), Some(parker), false);
        if process::is_exiting() || !lane::start(self, &engine, 0) {
            drop(lane);
            return Err(fail(
                py,
                ErrorKind::AtCapacity,
                "the system has no thread to run Python handlers on",
            ));
        }
        *lane = Some(Arc::clone(&engine));
        Ok(engine)
    }

    pub(super) fn has_homes(&self) -> bool {
        self.has_homes.load(Ordering::Relaxed)
    }

    /// What this runtime knows of an event loop.
    pub(super) fn home_of(
        self: &Arc<Self>,
        py: Python<'_>,
        event_loop: &Bound<'_, PyAny>,
    ) -> PyResult<Arc<Home>> {
        if let Some(home) = self.homes.lock().iter().find(|h| h.is_loop(event_loop)) {
            return Ok(Arc::clone(home));
        }
        let lost: Vec<_> = self.all_homes().into_iter().filter(|h| h.is_lost(py)).collect();
        for home in &lost {
            home.lose(py);
        }
        let new = Home::new(py, self, event_loop)?;
        let home = {
            // Other threads may have come by while Python ran.
            let mut homes = self.homes.lock();
            homes.retain(|h| !lost.iter().any(|l| Arc::ptr_eq(l, h)));
            match homes.iter().find(|h| h.is_loop(event_loop)) {
                Some(theirs) => Arc::clone(theirs),
                None => {
                    homes.push(Arc::clone(&new));
                    Arc::clone(&new)
                }
            }
        };
        self.has_homes.store(true, Ordering::Release);
        Ok(home)
    }

    /// The event loop that iris itself runs, on a thread of its own.
    pub(super) fn own_home(self: &Arc<Self>, py: Python<'_>) -> PyResult<Arc<Home>> {
        let event_loop = py.import("iris._aio")?.call_method0("own_loop")?;
        self.home_of(py, &event_loop)
    }

    fn all_homes(&self) -> Vec<Arc<Home>> {
        self.homes.lock().clone()
    }

    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        let lane = self.lane.lock().clone();
        let homes = self.all_homes();
        let loops = homes.iter().filter_map(|h| h.has_engine().cloned());
        lane.into_iter().chain(loops).chain(self.released.engines()).collect()
    }

    /// The lanes with threads on which the handler of `pid` can run.
    fn threads_of(&self, pid: Pid) -> Vec<Arc<Engine>> {
        let lane = self.lane.lock().clone();
        lane.into_iter().chain(self.released.engines_of(pid)).collect()
    }

    /// The task that awaits a handler of `pid`.
    pub(super) fn task_of(&self, py: Python<'_>, pid: Pid) -> Option<Py<PyAny>> {
        if !self.has_homes() {
            return None;
        }
        self.engines().iter().find_map(|e| e.tasks.lock().get(&pid).map(|task| task.clone_ref(py)))
    }

    // --- failures --------------------------------------------------------------------------------------------------

    /// An actor failed; the core says so on any thread, with no lock held.
    fn failed(self: &Arc<Self>, info: ExitInfo) {
        if info.reason == ExitReason::Timeout {
            for engine in self.threads_of(info.pid) {
                lane::replace(self, &engine, info.pid, ExitReason::Timeout);
            }
        }
        // At interpreter exit handlers are not given the time that their user has set: that is no failure of theirs.
        if !(process::is_exiting() && info.reason == ExitReason::Timeout) {
            self.courier.failed(&self.me, info);
        }
    }

    pub(super) fn set_hook(&self, hook: Option<Py<PyAny>>) {
        let old = std::mem::replace(&mut *self.hook.lock(), hook);
        drop(old);
    }

    /// Tells the crash hook, or the log.
    pub(super) fn tell_failure(&self, py: Python<'_>, info: ExitInfo) {
        let hook = self.hook.lock().as_ref().map(|h| h.clone_ref(py));
        let told = Bound::new(py, PyExitInfo::from(info)).and_then(|info| {
            let log = || py.import("iris._support")?.call_method1("log_crash", (&info,));
            let Some(hook) = &hook else { return log() };
            hook.bind(py).call1((&info,)).inspect_err(|_| {
                // The failure itself must not vanish with the hook.
                if let Err(e) = log() {
                    e.write_unraisable(py, None);
                }
            })
        });
        if let Err(e) = told {
            e.write_unraisable(py, hook.as_ref().map(|h| h.bind(py)));
        }
    }

    /// Sets who hears of levels of mailboxes that change.
    pub(super) fn set_pressure_hook(&self, hook: Option<Py<PyAny>>) {
        let new = hook.map(|hook| {
            let (me, courier) = (Weak::clone(&self.me), Arc::clone(&self.courier));
            let bell = move || {
                let shared = Weak::clone(&me);
                courier.call(&me, move |py| {
                    if let Some(shared) = shared.upgrade() {
                        shared.tell_pressure(py);
                    }
                });
            };
            (Arc::new(self.rt.watch_pressure(bell)), hook)
        });
        let old = std::mem::replace(&mut *self.pressure.lock(), new);
        drop(old);
    }

    fn tell_pressure(&self, py: Python<'_>) {
        let watch = self.pressure.lock().as_ref().map(|(w, h)| (Arc::clone(w), h.clone_ref(py)));
        let Some((watch, hook)) = watch else { return };
        for (pid, level) in watch.take() {
            if let Err(e) = hook.call1(py, (pid.to_bits(), level.as_str())) {
                e.write_unraisable(py, Some(hook.bind(py)));
            }
        }
    }

    /// An actor was killed: if its handler is still running when a stop would have given it up, so is this.
    pub(super) fn watch_killed(&self, pid: Pid) {
        for engine in self.threads_of(pid) {
            if let Some((_, index, epoch)) = engine.running().filter(|(p, ..)| *p == pid) {
                let due = self.clock.now_ns().saturating_add(nanoseconds(self.stop_timeout));
                self.courier.watch(&self.me, Watch { engine, pid, running: (index, epoch), due });
                return;
            }
        }
    }

    /// Keeps a factory; answers its key.
    pub(super) fn keep_factory(&self, factory: Py<PyAny>, wants_old: bool) -> u64 {
        let key = self.next_factory.fetch_add(1, Ordering::Relaxed);
        self.factories.lock().insert(key, (factory, wants_old));
        key
    }

    /// A factory is not needed any more.
    pub(super) fn forget_factory(&self, key: u64) {
        let old = self.factories.lock().remove(&key);
        drop(old);
    }

    // --- the handle, and the end -----------------------------------------------------------------------------------

    pub(super) fn has_handle(&self) -> bool {
        self.handle.lock().is_some()
    }

    pub(super) fn set_handle(&self, handle: Py<PyWeakrefReference>) {
        *self.handle.lock() = Some(handle);
    }

    /// The `Runtime` object.
    ///
    /// # Errors
    /// `RuntimeClosed` if nobody holds it any more.
    pub(super) fn handle<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        use pyo3::types::PyWeakrefMethods;
        let handle = self.handle.lock().as_ref().map(|h| h.clone_ref(py));
        handle.and_then(|h| h.bind(py).upgrade()).ok_or_else(|| {
            fail(py, ErrorKind::RuntimeClosed, "nobody holds this runtime any more; it is closing")
        })
    }

    /// The runtime has closed: ends its threads, waits for them for at most `join` each, lets go of its handlers. Answers
    /// whether all threads have ended.
    pub(super) fn finish_close(&self, py: Python<'_>, join: Duration) -> bool {
        self.trouble.fetch_or(CLOSED, Ordering::AcqRel);
        let engines = self.engines();
        for parker in engines.iter().filter_map(|e| e.parker.as_ref()) {
            parker.quit();
        }
        self.courier.quit();
        let ended = py.detach(|| {
            let lanes = engines.iter().filter_map(|e| e.parker.as_ref()).all(|p| p.join(join));
            lanes & self.courier.join(join) & self.pullers.join(join)
        });
        for engine in &engines {
            engine.clear(py);
        }
        self.set_hook(None);
        let factories = std::mem::take(&mut *self.factories.lock());
        drop(factories);
        let hooks = std::mem::take(&mut *self.supervision_hooks.lock());
        drop(hooks);
        self.set_pressure_hook(None);
        self.dead_letters.clear();
        #[cfg(feature = "mesh")]
        self.node_hooks.clear();
        let hooks = self.last_hooks.lock().take();
        drop(hooks);
        let codecs = std::mem::take(&mut *self.codecs.lock());
        drop(codecs);
        ended
    }

    /// Ends the runtime's threads and lets go of its handlers, after an orderly close.
    pub(super) fn finish(&self, py: Python<'_>) {
        self.finish_close(py, JOIN);
    }

    /// Nobody holds the runtime any more: what still runs is killed.
    pub(super) fn forsake(&self, py: Python<'_>) {
        if !self.is_closed() && !self.is_forked() {
            attached(py, self, || self.rt.close_now());
            self.finish_close(py, Duration::ZERO);
        }
    }

    /// Threads of handlers that do not return, as `threading.get_ident()` gives them.
    pub(super) fn lane_threads(&self) -> Vec<u64> {
        let engines = self.engines();
        engines.iter().filter_map(|e| e.parker.as_ref()).flat_map(|p| p.idents()).collect()
    }

    /// Actors whose event loop does not turn any more cannot finish: they end now.
    pub(super) fn lose_stopped_loops(&self, py: Python<'_>) {
        for home in self.all_homes() {
            if !home.is_running(py) {
                home.lose(py);
            }
        }
    }
}
