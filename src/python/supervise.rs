//! Supervisors: what Python factories are, and who calls them.
//!
//! A factory runs on the interpreter lane, where handlers run: it has to return soon. One that answers an awaitable is
//! awaited on iris' own event loop (python/iris/_supervise.py).

use super::args::{Name, PidArg};
use super::errors::{OrRaise, fail, wrong_type};
use super::handler;
use super::home::attached;
use super::runtime::PyRuntime;
use super::shared::Shared;
use crate::error::{Error, ErrorKind};
use crate::id::Pid;
use crate::message::SupervisorNews;
use crate::runtime::{Backoff, ChildOptions, Restart, Strategy, SupervisorOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyWeakrefReference};
use std::sync::Arc;

/// What a supervisor did.
#[pyclass(name = "SupervisionEvent", module = "iris", frozen, get_all)]
pub(super) struct PySupervisionEvent {
    event: &'static str,
    path: String,
    id: Option<String>,
    old_pid: Option<u64>,
    pid: Option<u64>,
    reason: &'static str,
    message: Option<String>,
    traceback: Option<String>,
    restarts: u64,
}

#[pymethods]
impl PySupervisionEvent {
    fn __repr__(&self) -> String {
        let id = self.id.as_ref().map_or(String::new(), |id| format!(", id='{id}'"));
        format!(
            "SupervisionEvent(event='{}', path='{}'{id}, reason='{}', restarts={})",
            self.event, self.path, self.reason, self.restarts
        )
    }
}

impl From<&SupervisorNews> for PySupervisionEvent {
    fn from(n: &SupervisorNews) -> Self {
        Self {
            event: n.event.as_str(),
            path: n.path.to_string(),
            id: n.id.as_deref().map(ToOwned::to_owned),
            old_pid: n.old.map(Pid::to_bits),
            pid: n.new.map(Pid::to_bits),
            reason: n.reason.as_str(),
            message: n.crash.as_ref().map(|c| c.message.clone()),
            traceback: n.crash.as_ref().and_then(|c| c.stack.clone()),
            restarts: n.restarts,
        }
    }
}

/// A word of a set, `None` if it was not given.
fn word<T>(
    given: Option<&Bound<'_, PyAny>>,
    what: &str,
    parse: impl Fn(&str) -> Result<T, Error>,
) -> PyResult<Option<T>> {
    let Some(given) = given.filter(|g| !g.is_none()) else { return Ok(None) };
    let text = given
        .cast::<PyString>()
        .map_err(|_| wrong_type(given, &format!("{what} must be a str")))?;
    parse(text.to_str().unwrap_or("?")).or_raise(given.py()).map(Some)
}

fn real(given: &Bound<'_, PyAny>, what: &str) -> PyResult<f64> {
    if given.is_instance_of::<PyBool>() || given.is_instance_of::<PyString>() {
        return Err(wrong_type(given, &format!("{what} must be a number")));
    }
    given.extract().map_err(|_| wrong_type(given, &format!("{what} must be a number")))
}

fn count(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u32>> {
    let Some(given) = given.filter(|g| !g.is_none()) else { return Ok(None) };
    if given.is_instance_of::<PyBool>() || !given.is_instance_of::<PyInt>() {
        return Err(wrong_type(given, "max_restarts must be an int"));
    }
    given.extract().map(Some).map_err(|_| {
        fail(given.py(), ErrorKind::InvalidArgument, "max_restarts must be 0 to 2^32 - 1")
    })
}

fn window(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    let Some(given) = given.filter(|g| !g.is_none()) else { return Ok(None) };
    let ms = real(given, "within_ms")?;
    if !(1.0..=9_007_199_254_740_992.0).contains(&ms) {
        return Err(fail(
            given.py(),
            ErrorKind::InvalidArgument,
            format!("within_ms must be 1 to 2^53, got {ms}"),
        ));
    }
    Ok(Some(ms as u64))
}

/// `True`, or a dict of numbers.
fn backoff(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Backoff>> {
    let Some(given) = given.filter(|g| !g.is_none()) else { return Ok(None) };
    if let Ok(on) = given.cast::<PyBool>() {
        return Ok(on.is_true().then(Backoff::default));
    }
    let dict = given
        .cast::<PyDict>()
        .map_err(|_| wrong_type(given, "backoff must be a bool or a dict of numbers"))?;
    let mut b = Backoff::default();
    for (name, value) in dict {
        let name: String = name.extract()?;
        let place = match name.as_str() {
            "initial_ms" => &mut b.initial_ms,
            "max_ms" => &mut b.max_ms,
            "factor" => &mut b.factor,
            "jitter" => &mut b.jitter,
            _ => {
                return Err(fail(
                    given.py(),
                    ErrorKind::InvalidArgument,
                    format!("backoff takes initial_ms, max_ms, factor, jitter, not {name}"),
                ));
            }
        };
        *place = real(&value, &name)?;
    }
    b.max_ms = b.max_ms.max(b.initial_ms);
    b.validate().or_raise(given.py())?;
    Ok(Some(b))
}

impl Shared {
    /// Calls a factory, on the interpreter lane.
    pub(super) fn start(self: &Arc<Self>, py: Python<'_>, key: u64, ticket: u64, old: Option<Pid>) {
        let factory = self.factories.lock().get(&key).map(|(f, wants)| (f.clone_ref(py), *wants));
        self.rt.set_start_at_hand(ticket);
        let answer = match &factory {
            Some((factory, true)) => factory.bind(py).call1((old.map(Pid::to_bits),)),
            Some((factory, false)) => factory.bind(py).call0(),
            None => Err(fail(py, ErrorKind::Internal, "the factory is gone")),
        };
        self.rt.set_start_at_hand(0);
        let outcome = answer.and_then(|answer| {
            if handler::is_awaitable(&answer) {
                let me = self.handle(py)?;
                py.import("iris._supervise")?.call_method1("begin", (me, ticket, answer))?;
                return Ok(None);
            }
            to_pid(&answer).map(Some)
        });
        match outcome {
            Ok(None) => {}
            Ok(Some(pid)) => attached(py, self, || self.rt.start_over(ticket, Ok(pid))),
            Err(e) => {
                let why = why(py, &e);
                attached(py, self, || self.rt.start_over(ticket, Err(why)));
            }
        }
    }
}

fn why(py: Python<'_>, e: &PyErr) -> String {
    let info = handler::describe(py, e);
    format!("its factory failed: {}", info.stack.unwrap_or(info.message).trim_end())
}

fn to_pid(answer: &Bound<'_, PyAny>) -> PyResult<Pid> {
    if answer.is_instance_of::<PyBool>() || !answer.is_instance_of::<PyInt>() {
        return Err(wrong_type(answer, "a factory must answer a pid"));
    }
    answer.extract::<PidArg>()?.known(answer.py())
}

#[pymethods]
impl PyRuntime {
    /// Makes a supervisor at a path, or changes what is given of one.
    #[pyo3(signature = (path, *, strategy=None, max_restarts=None, within_ms=None, restart=None, backoff=None))]
    #[allow(clippy::too_many_arguments, reason = "these are the options of the call")]
    fn create_path_supervisor(
        &self,
        py: Python<'_>,
        path: Name,
        strategy: Option<&Bound<'_, PyAny>>,
        max_restarts: Option<&Bound<'_, PyAny>>,
        within_ms: Option<&Bound<'_, PyAny>>,
        restart: Option<&Bound<'_, PyAny>>,
        backoff: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let shared = self.open(py)?;
        let options = SupervisorOptions {
            strategy: word(strategy, "strategy", Strategy::parse)?,
            max_restarts: count(max_restarts)?,
            within_ms: window(within_ms)?,
            restart: word(restart, "restart", Restart::parse)?,
            backoff: self::backoff(backoff)?,
        };
        shared.rt.create_path_supervisor(&path.0, options).or_raise(py)
    }

    /// Takes a supervisor away; its children live on without one.
    fn remove_path_supervisor(&self, py: Python<'_>, path: Name) -> PyResult<bool> {
        let shared = self.open(py)?;
        attached(py, shared, || shared.rt.remove_path_supervisor(&path.0)).or_raise(py)
    }

    /// Puts an actor under the supervisor at a path: its end is reported.
    fn path_supervisor_watch(&self, py: Python<'_>, path: Name, pid: PidArg) -> PyResult<()> {
        self.open(py)?.rt.path_supervisor_watch(&path.0, pid.known(py)?).or_raise(py)
    }

    /// The live children of the supervisor at a path.
    fn path_supervisor_children(&self, py: Python<'_>, path: Name) -> PyResult<Vec<u64>> {
        let found = self.open(py)?.rt.path_supervisor_children(&path.0).or_raise(py)?;
        Ok(found.into_iter().map(Pid::to_bits).collect())
    }

    /// Has a factory replace an actor when it ends.
    #[pyo3(signature = (path, pid, factory, strategy, *, restart=None, max_restarts=None, within_ms=None, backoff=None, id=None))]
    #[allow(clippy::too_many_arguments, reason = "these are the options of the call")]
    fn path_supervise_with_factory(
        slf: &Bound<'_, Self>,
        path: Name,
        pid: PidArg,
        factory: &Bound<'_, PyAny>,
        strategy: Option<&Bound<'_, PyAny>>,
        restart: Option<&Bound<'_, PyAny>>,
        max_restarts: Option<&Bound<'_, PyAny>>,
        within_ms: Option<&Bound<'_, PyAny>>,
        backoff: Option<&Bound<'_, PyAny>>,
        id: Option<Name>,
    ) -> PyResult<()> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        if !factory.is_callable() {
            return Err(wrong_type(factory, "a factory must be callable"));
        }
        let strategy = word(strategy, "strategy", Strategy::parse)?;
        let child = ChildOptions {
            id: id.map(|id| id.0.into()),
            restart: word(restart, "restart", Restart::parse)?.unwrap_or_default(),
            strategy,
        };
        let supervisor = SupervisorOptions {
            strategy,
            max_restarts: count(max_restarts)?,
            within_ms: window(within_ms)?,
            restart: None,
            backoff: self::backoff(backoff)?,
        };
        let pid = pid.known(py)?;
        if !shared.has_handle() {
            shared.set_handle(PyWeakrefReference::new(slf.as_any())?.unbind());
        }
        let wants_old: bool =
            py.import("iris._support")?.call_method1("wants_old", (factory,))?.extract()?;
        let engine = shared.lane(py)?;
        let key = shared.keep_factory(factory.clone().unbind(), wants_old);
        let make = engine.lane().factory(key);
        // If it is refused, the lane is told to forget the factory.
        shared.rt.path_supervise_with_factory(&path.0, pid, make, child, supervisor).or_raise(py)
    }

    /// Stops a child of a supervisor for good.
    fn terminate_child(&self, py: Python<'_>, path: Name, pid: PidArg) -> PyResult<bool> {
        let shared = self.open(py)?;
        let pid = pid.known(py)?;
        attached(py, shared, || shared.rt.terminate_child(&path.0, pid)).or_raise(py)
    }

    /// Puts the live actors one level below a path under the global supervisor.
    fn watch_path(&self, py: Python<'_>, prefix: Name) -> PyResult<usize> {
        self.open(py)?.rt.watch_path(&prefix.0).or_raise(py)
    }

    /// How many live children the global supervisor has.
    fn children_count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.rt.child_pids().len())
    }

    /// The live children of the global supervisor.
    fn child_pids(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        Ok(self.open(py)?.rt.child_pids().into_iter().map(Pid::to_bits).collect())
    }

    /// Makes a supervisor at a path and starts its children.
    #[pyo3(signature = (path, children, *, strategy=None, max_restarts=None, within_ms=None, restart=None, backoff=None))]
    #[allow(clippy::too_many_arguments, reason = "these are the options of the call")]
    fn supervise<'py>(
        slf: &Bound<'py, Self>,
        path: Name,
        children: &Bound<'py, PyAny>,
        strategy: Option<&Bound<'py, PyAny>>,
        max_restarts: Option<&Bound<'py, PyAny>>,
        within_ms: Option<&Bound<'py, PyAny>>,
        restart: Option<&Bound<'py, PyAny>>,
        backoff: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().open(py)?;
        let options = PyDict::new(py);
        for (name, value) in [
            ("strategy", strategy),
            ("max_restarts", max_restarts),
            ("within_ms", within_ms),
            ("restart", restart),
            ("backoff", backoff),
        ] {
            options.set_item(name, value)?;
        }
        py.import("iris._supervise")?.call_method1("supervise", (slf, path.0, children, options))
    }

    /// Sets who hears of everything that supervisors do.
    fn on_supervision(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.hear_supervisors(py, 0, hook)
    }

    /// Sets who hears of restarts.
    fn on_restart(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.hear_supervisors(py, 1, hook)
    }

    /// Sends to whoever is registered under a path.
    fn send_path(&self, py: Python<'_>, path: Name, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let shared = self.open(py)?;
        let holder = shared.rt.named_by_path(&path.0).or_raise(py)?;
        let (data, _) = shared.encode(holder, data)?;
        let send = || shared.rt.send_path_unless_blocked(&path.0, data);
        match attached(py, shared, send).or_raise(py)? {
            Ok(took) => Ok(took),
            Err((pid, data)) => shared.wait_for_room(py, PidArg(Some(pid)), data, None),
        }
    }

    /// The outcome of an awaited factory.
    #[pyo3(signature = (ticket, answer, error=None))]
    fn _start_over(
        &self,
        py: Python<'_>,
        ticket: u64,
        answer: &Bound<'_, PyAny>,
        error: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        let outcome = match error {
            Some(e) => Err(why(py, &PyErr::from_value(e))),
            None => to_pid(answer).map_err(|e| why(py, &e)),
        };
        attached(py, shared, || shared.rt.start_over(ticket, outcome));
        Ok(())
    }

    /// The next spawn of this thread is of a start that is under way; 0: of none.
    fn _start_at_hand(&self, ticket: u64) {
        self.shared().rt.set_start_at_hand(ticket);
    }
}

impl PyRuntime {
    fn hear_supervisors(
        &self,
        py: Python<'_>,
        which: usize,
        hook: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        if let Some(hook) = hook
            && !hook.is_callable()
        {
            return Err(wrong_type(hook, "a hook must be callable or None"));
        }
        let old = {
            let mut hooks = shared.supervision_hooks.lock();
            std::mem::replace(&mut hooks[which], hook.map(|h| h.clone().unbind()))
        };
        drop(old);
        if hook.is_some() && !shared.listens.swap(true, std::sync::atomic::Ordering::AcqRel) {
            let me = Arc::downgrade(shared);
            shared.rt.on_supervisor(move |news| {
                let Some(shared) = me.upgrade() else { return };
                let news = news.clone();
                let told = Arc::downgrade(&shared);
                shared.courier.call(&me, move |py| tell(py, &told, &news));
            });
        }
        Ok(())
    }
}

fn tell(py: Python<'_>, shared: &std::sync::Weak<Shared>, news: &SupervisorNews) {
    let Some(shared) = shared.upgrade() else { return };
    let [all, restarts] = {
        let hooks = shared.supervision_hooks.lock();
        [0, 1].map(|i| hooks[i].as_ref().map(|h: &Py<PyAny>| h.clone_ref(py)))
    };
    let restarted = news.event == crate::message::SupervisorEvent::Restarted;
    for hook in all.into_iter().chain(restarts.filter(|_| restarted)) {
        let called = Bound::new(py, PySupervisionEvent::from(news))
            .and_then(|event| hook.bind(py).call1((event,)).map(drop));
        if let Err(e) = called {
            let logged = py
                .import("iris._support")
                .and_then(|m| m.call_method1("log_callback", (handler::value_of(py, &e),)));
            if let Err(e) = logged {
                e.write_unraisable(py, None);
            }
        }
    }
}
