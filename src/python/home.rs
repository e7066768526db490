//! An asyncio event loop that iris works with: it completes the futures of its tasks, awaits handlers, and has a lane of
//! its own for `async def` handlers.
//!
//! All of it happens in one callback, the *tick*, which is scheduled at most once at a time: so a burst of completions and
//! messages costs one `call_soon_threadsafe`. Whoever makes work for a loop while it holds core locks, or without the GIL,
//! only notes the loop; it is woken when the locks are gone ([`attached`]), or by the courier.

use super::args::Seconds;
use super::engine::{self, Awaited, Engine, Pause};
use super::errors::{OrRaise, fail, to_py};
use super::info::PyExitInfo;
use super::shared::Shared;
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::message::{CallOutcome, ExitInfo, Payload};
use crate::runtime::is_lane_thread;
use crate::sync::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};
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
    Closed,
}

struct Waiting {
    future: Py<PyAny>,
    call: Option<CallId>,
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
            let lane = shared.rt.open_lane(move || {
                if let Some(home) = home.upgrade() {
                    home.wake();
                }
            });
            Engine::new(lane, None)
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

    fn wait(&self, future: &Bound<'_, PyAny>) -> u64 {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { future: future.clone().unbind(), call: None };
        self.waiting.lock().insert(key, waiting);
        key
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
        let coroutine = guard.call1((&awaited.coroutine,))?;
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
        Outcome::Called(outcome) => called(py, shared, waiting.call, outcome),
        Outcome::Ended(info) => Bound::new(py, PyExitInfo::from(info)).map(Bound::into_any),
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

/// A call's outcome as `bytes` or an exception.
pub(super) fn called<'py>(
    py: Python<'py>,
    shared: &Shared,
    call: Option<CallId>,
    outcome: CallOutcome,
) -> PyResult<Bound<'py, PyAny>> {
    match outcome {
        Ok(payload) => Ok(PyBytes::new(py, &payload).into_any()),
        Err(e) => {
            let cause = call.and_then(|c| shared.take_cause(c));
            let Some(cause) = cause.filter(|_| e.kind() == ErrorKind::HandlerFailed) else {
                return Err(to_py(py, &e));
            };
            let error = to_py(py, &Error::new(e.kind(), e.message().to_owned()));
            error.set_cause(py, Some(PyErr::from_value(cause.into_bound(py))));
            Err(error)
        }
    }
}

/// The event loop that runs on this thread.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static ASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let ask = match ASK.get(py) {
        Some(ask) => ask,
        None => {
            // Where nobody has imported asyncio no loop runs.
            let modules = py.import("sys")?.getattr("modules")?;
            let events = modules.call_method1("get", ("asyncio.events",))?;
            if events.is_none() || !events.hasattr("_get_running_loop")? {
                return Ok(None);
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

fn home_here(py: Python<'_>, shared: &Arc<Shared>, what: &str) -> PyResult<Arc<Home>> {
    if let Some(event_loop) = running_loop(py)? {
        return shared.home_of(py, &event_loop);
    }
    let (kind, advice) = if is_lane_thread() {
        (ErrorKind::WouldDeadlock, "a handler must be `async def` to await it")
    } else {
        (ErrorKind::NotLocal, "this thread runs none: use the blocking form")
    };
    Err(fail(py, kind, format!("{what} answers an awaitable of the running event loop; {advice}")))
}

fn new_future<'py>(py: Python<'py>, home: &Home) -> PyResult<Bound<'py, PyAny>> {
    home.event_loop.bind(py).call_method0(intern!(py, "create_future"))
}

/// `await rt.call(...)`.
pub(super) fn call<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    pid: Pid,
    payload: Payload,
    timeout: Option<Seconds>,
    caller: Option<Pid>,
) -> PyResult<Bound<'py, PyAny>> {
    let caller = if shared.would_call_itself(py, pid)? { Some(pid) } else { caller };
    let timeout = timeout.map_or(shared.call_timeout, |t| t.0);
    if caller == Some(pid) {
        // Said by the core; nothing is made for a call that cannot be.
        shared.rt.call_with(pid, payload, timeout, caller, |_| ()).or_raise(py)?;
        return Err(fail(py, ErrorKind::SelfCall, "an actor called itself"));
    }
    let home = home_here(py, shared, "call")?;
    let future = new_future(py, &home)?;
    let key = home.wait(&future);
    let sink = Arc::clone(&home);
    let opened = attached(py, shared, || {
        shared.rt.call_with(pid, payload, timeout, caller, move |outcome| {
            sink.finish(key, Outcome::Called(outcome));
        })
    });
    let call = match opened {
        Ok(call) => call,
        Err(e) => {
            drop(home.forget(key));
            return Err(to_py(py, &e));
        }
    };
    if let Some(waiting) = home.waiting.lock().get_mut(&key) {
        waiting.call = Some(call);
    }
    let given_up = FutureDone { shared: Arc::clone(shared), home, key, waits: Waits::Call(call) };
    future.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, given_up)?,))?;
    Ok(future)
}

/// `await rt.join_async(pid)`.
pub(super) fn join<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    pid: Pid,
) -> PyResult<Bound<'py, PyAny>> {
    let home = home_here(py, shared, "join_async")?;
    let future = new_future(py, &home)?;
    let key = home.wait(&future);
    let sink = Arc::clone(&home);
    let token = attached(py, shared, || {
        shared.rt.join_with(pid, move |info| sink.finish(key, Outcome::Ended(info)))
    });
    let given_up =
        FutureDone { shared: Arc::clone(shared), home, key, waits: Waits::Join(pid, token) };
    future.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, given_up)?,))?;
    Ok(future)
}

/// `await rt.aclose()`.
pub(super) fn close<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    timeout: Duration,
) -> PyResult<Bound<'py, PyAny>> {
    let home = home_here(py, shared, "aclose")?;
    let future = new_future(py, &home)?;
    if shared.is_closed() {
        future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        return Ok(future);
    }
    let key = home.wait(&future);
    let sink = Arc::clone(&home);
    attached(py, shared, || {
        shared.rt.close_with(timeout, move || sink.finish(key, Outcome::Closed));
    });
    Ok(future)
}

/// A future of the running loop that is done already.
pub(super) fn ready<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let home = home_here(py, shared, "async with")?;
    let future = new_future(py, &home)?;
    future.call_method1(intern!(py, "set_result"), (value,))?;
    Ok(future)
}

impl Home {
    fn forget(&self, key: u64) -> Option<Waiting> {
        self.waiting.lock().remove(&key)
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

enum Waits {
    Call(CallId),
    Join(Pid, u64),
}

/// Takes back what a cancelled future waited for.
#[pyclass(module = "iris", frozen)]
struct FutureDone {
    shared: Arc<Shared>,
    home: Arc<Home>,
    key: u64,
    waits: Waits,
}

#[pymethods]
impl FutureDone {
    fn __call__(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if !future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            return Ok(());
        }
        drop(self.home.forget(self.key));
        match self.waits {
            Waits::Call(call) => {
                attached(py, &self.shared, || self.shared.rt.cancel_call(call));
                drop(self.shared.take_cause(call));
            }
            Waits::Join(pid, token) => {
                self.shared.rt.forget_join(pid, token);
            }
        }
        Ok(())
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

impl Shared {
    /// Whether the code that runs here is the handler of `pid`, which a call to `pid` would wait for.
    pub(super) fn would_call_itself(&self, py: Python<'_>, pid: Pid) -> PyResult<bool> {
        if engine::current_actor() == pid.to_bits() {
            return Ok(true);
        }
        let Some(task) = self.task_of(py, pid) else { return Ok(false) };
        static ASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Ok(running_loop(py)?.is_some()
            && ASK.import(py, "asyncio", "current_task")?.call0()?.is(&task))
    }
}
