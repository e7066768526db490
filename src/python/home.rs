//! An asyncio event loop that iris works with: it completes the futures of its tasks, awaits handlers, and has a lane of
//! its own for `async def` handlers.
//!
//! All of it happens in one callback, the *tick*, which is scheduled at most once at a time: so a burst of completions and
//! messages costs one `call_soon_threadsafe`. Whoever makes work for a loop while it holds core locks, or without the GIL,
//! only notes the loop; it is woken when the locks are gone ([`attached`]), or by the courier.

use super::codec::MaybeCodec;
use super::engine::{Engine, Pause};
#[cfg(feature = "mesh")]
use super::errors::OrRaise;
use super::errors::fail;
use super::futures;
use super::info::PyExitInfo;
use super::outcome::Awaited;
use super::shared::Shared;
#[cfg(feature = "mesh")]
use crate::error::Error;
use crate::error::ErrorKind;
use crate::id::CallId;
use crate::message::{CallOutcome, ExitInfo};
use crate::sync::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
#[cfg(feature = "mesh")]
use pyo3::types::PyInt;
use pyo3::types::{PyBool, PyDict};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WAKES: RefCell<Vec<Arc<Home>>> = const { RefCell::new(Vec::new()) };
}

/// Runs an operation of the core on a thread that holds the GIL, then wakes the event loops that it gave work to.
#[inline]
pub(super) fn attached<R>(py: Python<'_>, shared: &Shared, f: impl FnOnce() -> R) -> R {
    if !shared.has_homes() {
        return f();
    }
    DEPTH.set(DEPTH.get() + 1);
    let result = f();
    DEPTH.set(DEPTH.get() - 1);
    for home in WAKES.take() {
        home.schedule(py);
    }
    result
}

/// What a future waits for.
pub(super) enum Outcome {
    Called(CallOutcome),
    Ended(ExitInfo),
    Sent(bool),
    #[cfg(feature = "mesh")]
    Resolved(Result<Option<u64>, Error>),
    #[cfg(feature = "mesh")]
    Probed(Result<bool, Error>),
    #[cfg(feature = "mesh")]
    Joined(Result<(), Error>),
    #[cfg(feature = "mesh")]
    Seen(Result<Option<crate::runtime::mesh::Seen>, Error>),
    Rung,
    Closed,
}

struct Waiting {
    future: Py<PyAny>,
    call: Option<CallId>,
    /// What the reply is encoded with.
    codec: MaybeCodec,
}

/// An event loop, as one runtime sees it.
pub(super) struct Home {
    event_loop: Py<PyAny>,
    /// The context of the tick: nobody's.
    in_context: Py<PyDict>,
    tick: OnceLock<Py<Tick>>,
    scheduled: AtomicBool,
    lost: AtomicBool,
    shared: Weak<Shared>,
    keys: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    done: Mutex<Vec<(u64, Outcome)>>,
    awaited: Mutex<Vec<Awaited>>,
    engine: OnceLock<Arc<Engine>>,
}

impl Home {
    pub(super) fn new(
        py: Python<'_>,
        shared: &Arc<Shared>,
        event_loop: &Bound<'_, PyAny>,
    ) -> PyResult<Arc<Self>> {
        let in_context = PyDict::new(py);
        in_context.set_item("context", empty_context(py)?)?;
        let home = Arc::new(Self {
            event_loop: event_loop.clone().unbind(),
            in_context: in_context.unbind(),
            tick: OnceLock::new(),
            scheduled: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            shared: Arc::downgrade(shared),
            keys: AtomicU64::new(0),
            waiting: Mutex::default(),
            done: Mutex::default(),
            awaited: Mutex::default(),
            engine: OnceLock::new(),
        });
        let _ = home.tick.set(Py::new(py, Tick(Arc::downgrade(&home)))?);
        Ok(home)
    }

    pub(super) fn is_loop(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.event_loop.is(event_loop)
    }

    /// Whether the event loop was closed.
    pub(super) fn is_lost(&self, py: Python<'_>) -> bool {
        self.lost.load(Ordering::Acquire)
            || self
                .event_loop
                .call_method0(py, intern!(py, "is_closed"))
                .and_then(|closed| closed.is_truthy(py))
                .unwrap_or(true)
    }

    /// Whether the event loop turns, now.
    pub(super) fn is_running(&self, py: Python<'_>) -> bool {
        self.event_loop
            .call_method0(py, intern!(py, "is_running"))
            .and_then(|running| running.is_truthy(py))
            .unwrap_or(false)
    }

    /// The lane of this loop, for `async def` handlers.
    pub(super) fn engine(self: &Arc<Self>, shared: &Shared) -> &Arc<Engine> {
        self.engine.get_or_init(|| {
            let home = Arc::downgrade(self);
            let lane = shared.rt.open_lane_of("asyncio", move || {
                if let Some(home) = home.upgrade() {
                    home.wake();
                }
            });
            Engine::new(lane, None, false)
        })
    }

    pub(super) fn has_engine(&self) -> Option<&Arc<Engine>> {
        self.engine.get()
    }

    /// Sees to it that the tick runs, from any thread.
    fn wake(self: &Arc<Self>) {
        if self.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        if DEPTH.get() > 0 {
            WAKES.with_borrow_mut(|w| w.push(Arc::clone(self)));
        } else if let Some(shared) = self.shared.upgrade() {
            shared.courier.wake(&self.shared, Arc::clone(self));
        }
    }

    /// Schedules the tick; call it only after [`wake`](Self::wake) has claimed it.
    pub(super) fn schedule(self: &Arc<Self>, py: Python<'_>) {
        let here = running_loop(py).ok().flatten().is_some_and(|l| self.is_loop(&l));
        let name =
            if here { intern!(py, "call_soon") } else { intern!(py, "call_soon_threadsafe") };
        let scheduled = self.event_loop.bind(py).call_method(
            name,
            (&self.tick.get(),),
            Some(self.in_context.bind(py)),
        );
        if let Err(e) = scheduled {
            if !(e.is_instance_of::<PyRuntimeError>(py) && self.is_lost(py)) {
                e.write_unraisable(py, Some(self.event_loop.bind(py)));
            }
            self.lose(py);
        }
    }

    /// The event loop is gone: so are the actors that live on it, and who waited there waits no more.
    pub(super) fn lose(&self, py: Python<'_>) {
        self.lost.store(true, Ordering::Release);
        let Some(shared) = self.shared.upgrade() else { return };
        if let Some(engine) = self.engine.get() {
            attached(py, &shared, || engine.close_lane());
            engine.clear(py);
        }
        let awaited = std::mem::take(&mut *self.awaited.lock());
        for a in awaited {
            let _ = a.coroutine.call_method0(py, "close");
            let gone = fail(
                py,
                ErrorKind::ActorExited,
                "the event loop that was to await this handler is closed",
            );
            a.over(py, &shared, Err(gone));
        }
        let done = std::mem::take(&mut *self.done.lock());
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for call in waiting.values().filter_map(|w| w.call) {
            drop(shared.take_cause(call));
        }
        drop((done, waiting));
    }

    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.event_loop.bind(py)
    }

    /// Keeps a future until its outcome comes; answers the key to [finish](Self::finish) it with.
    pub(super) fn wait(&self, future: &Bound<'_, PyAny>) -> u64 {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { future: future.clone().unbind(), call: None, codec: None };
        self.waiting.lock().insert(key, waiting);
        key
    }

    /// The future waits for this call, whose reply is encoded so.
    pub(super) fn note_call(&self, key: u64, call: CallId, codec: MaybeCodec) {
        if let Some(waiting) = self.waiting.lock().get_mut(&key) {
            (waiting.call, waiting.codec) = (Some(call), codec);
        }
    }

    /// Lets go of a future.
    pub(super) fn forget(&self, key: u64) {
        let waiting = self.waiting.lock().remove(&key);
        drop(waiting);
    }

    /// Gives a future its outcome, from any thread.
    pub(super) fn finish(self: &Arc<Self>, key: u64, outcome: Outcome) {
        self.done.lock().push((key, outcome));
        self.wake();
    }

    /// Awaits what a handler answered.
    pub(super) fn take_over(self: &Arc<Self>, py: Python<'_>, awaited: Awaited) {
        let here = running_loop(py).ok().flatten().is_some_and(|l| self.is_loop(&l));
        if here {
            self.begin(py, awaited);
            return;
        }
        self.awaited.lock().push(awaited);
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.schedule(py);
        }
    }

    fn begin(self: &Arc<Self>, py: Python<'_>, mut awaited: Awaited) {
        let Some(shared) = self.shared.upgrade() else { return };
        let task = self.start_task(py, &mut awaited);
        match task {
            Ok(task) => {
                let (engine, pid) = (Arc::clone(&awaited.engine), awaited.pid);
                let old = engine.tasks.lock().insert(pid, task.clone().unbind());
                drop(old);
                let done = TaskDone { shared, awaited: Mutex::new(Some(awaited)) };
                let added = Bound::new(py, done)
                    .and_then(|done| task.call_method1(intern!(py, "add_done_callback"), (done,)));
                if let Err(e) = added {
                    e.write_unraisable(py, None);
                }
            }
            Err(e) => awaited.over(py, &shared, Err(e)),
        }
    }

    fn start_task<'py>(
        &self,
        py: Python<'py>,
        awaited: &mut Awaited,
    ) -> PyResult<Bound<'py, PyAny>> {
        static GUARD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let guard = GUARD.import(py, "iris._aio", "await_handler")?;
        let context = match awaited.variables.take() {
            Some(context) => context.into_bound(py),
            None => empty_context(py)?,
        };
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "context"), context)?;
        let coroutine = guard.call1((&awaited.coroutine, awaited.pid.to_bits()))?;
        self.event_loop.bind(py).call_method(
            intern!(py, "create_task"),
            (coroutine,),
            Some(&kwargs),
        )
    }

    fn tick(self: &Arc<Self>, py: Python<'_>) {
        self.scheduled.store(false, Ordering::Release);
        let Some(shared) = self.shared.upgrade() else { return };
        let done = std::mem::take(&mut *self.done.lock());
        for (key, outcome) in done {
            let waiting = self.waiting.lock().remove(&key);
            if let Some(waiting) = waiting {
                complete(py, &shared, waiting, outcome);
            }
        }
        let awaited = std::mem::take(&mut *self.awaited.lock());
        for a in awaited {
            self.begin(py, a);
        }
        if let Some(engine) = self.engine.get()
            && engine.drain(py, &shared, 0) == Pause::Slice
            && !self.scheduled.swap(true, Ordering::AcqRel)
        {
            self.schedule(py);
        }
    }
}

fn complete(py: Python<'_>, shared: &Arc<Shared>, waiting: Waiting, outcome: Outcome) {
    let value = match outcome {
        Outcome::Called(outcome) => {
            futures::called(py, shared, waiting.call, outcome, waiting.codec.as_deref())
        }
        Outcome::Ended(info) => Bound::new(py, PyExitInfo::from(info)).map(Bound::into_any),
        Outcome::Sent(took) => Ok(PyBool::new(py, took).to_owned().into_any()),
        #[cfg(feature = "mesh")]
        Outcome::Resolved(found) => found.or_raise(py).map(|pid| match pid {
            Some(pid) => PyInt::new(py, pid).into_any(),
            None => py.None().into_bound(py),
        }),
        #[cfg(feature = "mesh")]
        Outcome::Probed(up) => up.or_raise(py).map(|up| PyBool::new(py, up).to_owned().into_any()),
        #[cfg(feature = "mesh")]
        Outcome::Joined(outcome) => outcome.or_raise(py).map(|()| py.None().into_bound(py)),
        #[cfg(feature = "mesh")]
        Outcome::Seen(seen) => {
            seen.or_raise(py).and_then(|seen| super::mesh::remote_info(py, seen))
        }
        Outcome::Rung => Ok(py.None().into_bound(py)),
        Outcome::Closed => {
            shared.finish_close(py, Duration::ZERO);
            Ok(py.None().into_bound(py))
        }
    };
    let future = waiting.future.bind(py);
    let set = || -> PyResult<()> {
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(()); // cancelled
        }
        match value {
            Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
            Err(e) => future.call_method1(intern!(py, "set_exception"), (e,))?,
        };
        Ok(())
    };
    if let Err(e) = set() {
        e.write_unraisable(py, Some(future));
    }
}

/// The event loop that runs on this thread.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static ASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let ask = match ASK.get(py) {
        Some(ask) => ask,
        None => {
            // Where nobody has imported asyncio no loop runs.
            static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
            let modules = MODULES.import(py, "sys", "modules")?;
            let Some(events) = modules.get_item(intern!(py, "asyncio.events"))? else {
                return Ok(None);
            };
            if !events.hasattr(intern!(py, "_get_running_loop"))? {
                return Ok(None); // it is just being imported
            }
            let ask = events.getattr("_get_running_loop")?.unbind();
            ASK.get_or_init(py, || ask)
        }
    };
    let event_loop = ask.bind(py).call0()?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

fn empty_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONTEXT.import(py, "contextvars", "Context")?.call0()
}

/// Cancels the task of a handler whose actor is gone, from any thread.
pub(super) fn cancel(py: Python<'_>, task: &Py<PyAny>) {
    let cancelled = (|| {
        let event_loop = task.call_method0(py, intern!(py, "get_loop"))?.into_bound(py);
        let cancel = task.getattr(py, intern!(py, "cancel"))?;
        if running_loop(py)?.is_some_and(|here| here.is(&event_loop)) {
            return cancel.call0(py).map(drop);
        }
        if event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
            return Ok(());
        }
        event_loop.call_method1(intern!(py, "call_soon_threadsafe"), (cancel,)).map(drop)
    })();
    if let Err(e) = cancelled {
        e.write_unraisable(py, Some(task.bind(py)));
    }
}

/// The callback of [`Home::schedule`].
#[pyclass(module = "iris", frozen)]
struct Tick(Weak<Home>);

#[pymethods]
impl Tick {
    fn __call__(&self, py: Python<'_>) {
        if let Some(home) = self.0.upgrade() {
            home.tick(py);
        }
    }
}

/// Tells the core how an awaited handler came out.
#[pyclass(module = "iris", frozen)]
struct TaskDone {
    shared: Arc<Shared>,
    awaited: Mutex<Option<Awaited>>,
}

#[pymethods]
impl TaskDone {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        let Some(awaited) = self.awaited.lock().take() else { return };
        let ours = {
            let mut tasks = awaited.engine.tasks.lock();
            match tasks.get(&awaited.pid) {
                Some(t) if t.is(task) => tasks.remove(&awaited.pid),
                _ => None,
            }
        };
        drop(ours);
        let cancelled = task.call_method0(intern!(py, "cancelled")).and_then(|c| c.is_truthy());
        if cancelled.unwrap_or(false) {
            awaited.cancelled(py, &self.shared);
            return;
        }
        // The guard answers (result, None) or (None, exception).
        let result = task.call_method0(intern!(py, "result")).and_then(|pair| {
            let (value, error): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
            if error.is_none() { Ok(value) } else { Err(PyErr::from_value(error)) }
        });
        awaited.over(py, &self.shared, result);
    }
}
