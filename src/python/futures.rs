//! What is awaited on an event loop: calls, joins, closes.

use super::args::{PidArg, Seconds};
use super::codec::{self, Codec};
use super::engine;
use super::errors::{OrRaise, fail, to_py};
use super::home::{Home, Outcome, attached, running_loop};
use super::shared::Shared;
use super::waits::{self, Answer};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::message::CallOutcome;
use crate::runtime::is_lane_thread;
use pyo3::exceptions::{PyException, PyStopAsyncIteration, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn home_here(py: Python<'_>, shared: &Arc<Shared>, what: &str) -> PyResult<Arc<Home>> {
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
    home.event_loop(py).call_method0(intern!(py, "create_future"))
}

/// `await rt.call(...)`.
pub(super) fn call<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    pid: PidArg,
    data: &Bound<'py, PyAny>,
    timeout: Option<Seconds>,
    caller: Option<Pid>,
) -> PyResult<Bound<'py, PyAny>> {
    let (payload, codec) = shared.encode(pid.0, data)?;
    let pid = pid.known(py)?;
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
            home.forget(key);
            return Err(to_py(py, &e));
        }
    };
    home.note_call(key, call, codec);
    let given_up = FutureDone { shared: Arc::clone(shared), home, key, waits: Waits::Call(call) };
    future.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, given_up)?,))?;
    Ok(future)
}

/// `rt.call_blocking(...)`.
pub(super) fn call_blocking<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    pid: PidArg,
    data: &Bound<'py, PyAny>,
    timeout: Option<Seconds>,
) -> PyResult<Bound<'py, PyAny>> {
    let (data, codec) = shared.encode(pid.0, data)?;
    let _waits = waits::check(py, "call_blocking")?;
    let timeout = timeout.map_or(shared.call_timeout, |t| t.0);
    let answer = Answer::new();
    let sink = answer.clone();
    let pid = pid.known(py)?;
    let caller = (engine::current_actor() == pid.to_bits()).then_some(pid);
    let call = attached(py, shared, || {
        shared.rt.call_with(pid, data, timeout, caller, move |outcome| sink.give(outcome))
    })
    .or_raise(py)?;
    match answer.wait_for(py, &shared.clock, None) {
        Ok(Some(outcome)) => called(py, shared, Some(call), outcome, codec.as_deref()),
        Ok(None) => Err(fail(py, ErrorKind::Internal, "a call had no outcome")),
        Err(interrupt) => {
            attached(py, shared, || shared.rt.cancel_call(call));
            drop(shared.take_cause(call));
            Err(interrupt)
        }
    }
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

/// `await rt.send_async(...)`.
pub(super) fn send<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    to: PidArg,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (data, _) = shared.encode(to.0, data)?;
    let home = home_here(py, shared, "send_async")?;
    let future = new_future(py, &home)?;
    let blocked = attached(py, shared, || shared.rt.send_unless_blocked(to.0, data, None));
    let (pid, data) = match (blocked, to.0) {
        (Err(data), Some(pid)) => (pid, data),
        (took, _) => {
            future.call_method1(intern!(py, "set_result"), (took.unwrap_or(false),))?;
            return Ok(future);
        }
    };
    let key = home.wait(&future);
    let sink = Arc::clone(&home);
    let token = attached(py, shared, || {
        shared.rt.send_with(pid, data, None, move |took| sink.finish(key, Outcome::Sent(took)))
    });
    if let Some(token) = token {
        let given_up =
            FutureDone { shared: Arc::clone(shared), home, key, waits: Waits::Send(pid, token) };
        future.call_method1(intern!(py, "add_done_callback"), (Bound::new(py, given_up)?,))?;
    }
    Ok(future)
}

/// A question whose outcome `begin` gives to its second argument.
#[cfg(feature = "mesh")]
pub(super) fn ask<'py>(
    py: Python<'py>,
    shared: &Arc<Shared>,
    what: &str,
    begin: impl FnOnce(&crate::runtime::Runtime, Box<dyn FnOnce(super::home::Outcome) + Send>) + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let home = home_here(py, shared, what)?;
    let future = new_future(py, &home)?;
    let key = home.wait(&future);
    let sink = Arc::clone(&home);
    attached(py, shared, || {
        begin(&shared.rt, Box::new(move |outcome| sink.finish(key, outcome)));
    });
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

/// A call's outcome as `bytes`, or whatever the codec of who was asked makes of it, or an exception.
pub(super) fn called<'py>(
    py: Python<'py>,
    shared: &Shared,
    call: Option<CallId>,
    outcome: CallOutcome,
    codec: Option<&Codec>,
) -> PyResult<Bound<'py, PyAny>> {
    match outcome {
        Ok(payload) => codec::decode(py, codec, payload),
        Err(e) => {
            let cause = call.and_then(|c| shared.take_cause(c));
            let Some(cause) = cause.filter(|_| e.kind() == ErrorKind::HandlerFailed) else {
                return Err(to_py(py, &e));
            };
            let cause = cause.into_bound(py);
            if is_told_as_it_is(&cause) {
                return Err(PyErr::from_value(cause));
            }
            let error = to_py(py, &Error::new(e.kind(), e.message().to_owned()));
            error.set_cause(py, Some(PyErr::from_value(cause)));
            Err(error)
        }
    }
}

/// What a handler raised is what its caller gets, except what would mean something else there: the end of the caller's own
/// thread, task or iteration.
fn is_told_as_it_is(raised: &Bound<'_, PyAny>) -> bool {
    raised.is_instance_of::<PyException>()
        && !raised.is_instance_of::<PyStopIteration>()
        && !raised.is_instance_of::<PyStopAsyncIteration>()
}

enum Waits {
    Call(CallId),
    Join(Pid, u64),
    Send(Pid, u64),
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
        self.home.forget(self.key);
        match self.waits {
            Waits::Call(call) => {
                attached(py, &self.shared, || self.shared.rt.cancel_call(call));
                drop(self.shared.take_cause(call));
            }
            Waits::Join(pid, token) => {
                self.shared.rt.forget_join(pid, token);
            }
            Waits::Send(pid, token) => {
                self.shared.rt.forget_send(pid, token);
            }
        }
        Ok(())
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
