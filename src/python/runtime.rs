//! Class `Runtime`. What each method means is in python/iris/_iris.pyi and docs/semantics.md.

use super::args::{Count, Flag, Name, PidArg, Scope, Seconds, Slice};
use super::errors::{OrRaise, fail, wrong_type};
use super::futures;
use super::handler::Shape;
use super::home::{self, attached};
use super::info::{self, PyActorInfo, PyExitInfo};
use super::shared::Shared;
use super::spawn::{self, Plan};
use super::telemetry;
use super::waits::{self, Answer};
use super::{engine, handler, lane, mailbox, process};
use crate::config::{Config, SpawnOptions};
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::Payload;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};
use std::sync::Arc;
use std::time::Duration;

/// How long handlers run before others get the GIL.
const TIME_SLICE: Duration = Duration::from_millis(5);
/// How long `close` waits for running handlers when it does not say.
const CLOSE: Seconds = Seconds(Duration::from_secs(5));

/// A lane, contextvars, and an event loop.
pub(super) type Place = (Arc<engine::Engine>, Option<Py<PyAny>>, Option<Arc<home::Home>>);

/// A runtime: actors, mailboxes, names, calls.
#[pyclass(name = "Runtime", module = "iris", frozen, weakref)]
pub(super) struct PyRuntime {
    shared: Arc<Shared>,
}

impl Drop for PyRuntime {
    fn drop(&mut self) {
        if !self.shared.is_closed() {
            let _ = Python::try_attach(|py| self.shared.forsake(py));
        }
    }
}

impl PyRuntime {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[inline]
    pub(super) fn open(&self, py: Python<'_>) -> PyResult<&Arc<Shared>> {
        self.shared.check(py)?;
        Ok(&self.shared)
    }

    /// Looks at a push handler, and keeps the way from its `ctx` to this object.
    pub(super) fn shape_of(slf: &Bound<'_, Self>, handler: &Bound<'_, PyAny>) -> PyResult<Shape> {
        if !handler.is_callable() {
            return Err(wrong_type(handler, "a handler must be callable"));
        }
        let shape = handler::inspect(handler)?;
        if shape.wants_ctx {
            Self::keep_handle(slf)?;
        }
        Ok(shape)
    }

    /// Keeps the way from a `ctx` to this object.
    pub(super) fn keep_handle(slf: &Bound<'_, Self>) -> PyResult<()> {
        let shared = &slf.get().shared;
        if !shared.has_handle() {
            shared.set_handle(PyWeakrefReference::new(slf.as_any())?.unbind());
        }
        Ok(())
    }

    /// Where an actor with such a handler is to run: its lane, contextvars and event loop.
    pub(super) fn place(slf: &Bound<'_, Self>, shape: Shape) -> PyResult<Place> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        let (variables, home) = spawn::surroundings(slf, shape)?;
        let engine = match &home {
            Some(home) if shape.is_async => Arc::clone(home.engine(shared)),
            _ => shared.lane(py)?,
        };
        Ok((engine, variables, home))
    }

    pub(super) fn spawn_with(
        slf: &Bound<'_, Self>,
        handler: &Bound<'_, PyAny>,
        options: SpawnOptions,
        release_gil: Flag,
        codec: Option<&Bound<'_, PyAny>>,
        vortex: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let plan = Plan::new(slf, handler, options, release_gil.0, codec, vortex)?;
        plan.spawn(slf.py(), slf.get().open(slf.py())?).map(Pid::to_bits)
    }
}

#[pymethods]
impl PyRuntime {
    #[new]
    #[pyo3(signature = (*, workers=None, stop_timeout=None, call_timeout=None, default_capacity=None, time_slice_ms=None, tracing=Flag(false)), text_signature = "(*, workers=None, stop_timeout=None, call_timeout=None, default_capacity=None, time_slice_ms=None, tracing=False)")]
    fn new(
        py: Python<'_>,
        workers: Option<Count>,
        stop_timeout: Option<Seconds>,
        call_timeout: Option<Seconds>,
        default_capacity: Option<Count>,
        time_slice_ms: Option<Slice>,
        tracing: Flag,
    ) -> PyResult<Self> {
        if process::is_exiting() {
            return Err(fail(py, ErrorKind::RuntimeClosed, "the interpreter is exiting"));
        }
        let defaults = Config::default();
        let config = Config {
            workers: workers.map_or(defaults.workers, |n| n.0 as usize),
            stop_timeout: stop_timeout.map_or(defaults.stop_timeout, |t| t.0),
            call_timeout: call_timeout.map_or(defaults.call_timeout, |t| t.0),
            default_capacity: default_capacity.map(|n| n.0),
        };
        let slice = time_slice_ms.map_or(TIME_SLICE, |s| s.0);
        if tracing.0 {
            telemetry::check(py)?;
        }
        Ok(Self { shared: Shared::new(py, config, slice, tracing.0)? })
    }

    // --- spawning ----------------------------------------------------------------------------------------------------

    /// Spawns an actor and answers its pid.
    #[pyo3(signature = (handler, budget=Count(100), release_gil=Flag(false), *, system=Flag(false), codec=None, vortex=None), text_signature = "($self, handler, budget=100, release_gil=False, *, system=False, codec=None, vortex=False)")]
    fn spawn(
        slf: &Bound<'_, Self>,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        release_gil: Flag,
        system: Flag,
        codec: Option<&Bound<'_, PyAny>>,
        vortex: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let options =
            SpawnOptions { budget: budget.0, system: system.0, ..SpawnOptions::default() };
        Self::spawn_with(slf, handler, options, release_gil, codec, vortex)
    }

    /// Spawns an actor whose mailbox holds at most `capacity` messages.
    #[pyo3(signature = (handler, budget, capacity, release_gil=Flag(false), *, system=Flag(false), codec=None, vortex=None), text_signature = "($self, handler, budget, capacity, release_gil=False, *, system=False, codec=None, vortex=False)")]
    #[allow(clippy::too_many_arguments, reason = "the seed's signature, and three options")]
    fn spawn_py_handler_bounded(
        slf: &Bound<'_, Self>,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        capacity: Count,
        release_gil: Flag,
        system: Flag,
        codec: Option<&Bound<'_, PyAny>>,
        vortex: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let options = SpawnOptions {
            budget: budget.0,
            capacity: Some(capacity.0),
            system: system.0,
            ..SpawnOptions::default()
        };
        Self::spawn_with(slf, handler, options, release_gil, codec, vortex)
    }

    // --- messages ----------------------------------------------------------------------------------------------------

    /// Sends; False: the mailbox did not take it.
    fn send(&self, py: Python<'_>, pid: PidArg, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let shared = self.open(py)?;
        let (data, _) = shared.encode(pid.0, data)?;
        shared.send(py, pid, data, None)
    }

    /// Sends each payload; answers how many the mailbox took.
    fn send_many(
        &self,
        py: Python<'_>,
        pid: PidArg,
        payloads: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        let codec = self.open(py)?.codec_of(py, pid.0)?;
        let not_iterable = |_| {
            fail(py, ErrorKind::InvalidType, "payloads must be an iterable of bytes-like objects")
        };
        let all = payloads
            .try_iter()
            .map_err(not_iterable)?
            .map(|item| self.shared.encode_with(pid.0, codec.as_deref(), &item?))
            .collect::<PyResult<Vec<Payload>>>()?;
        let shared = self.open(py)?; // the iterable may have closed it
        let (mut rest, mut taken) = (all.into_iter(), 0);
        loop {
            let blocked = attached(py, shared, || {
                for data in rest.by_ref() {
                    match shared.rt.send_unless_blocked(pid.0, data, None) {
                        Ok(took) => taken += usize::from(took),
                        Err(data) => return Some(data),
                    }
                }
                None
            });
            let Some(data) = blocked else { return Ok(taken) };
            taken += usize::from(shared.wait_for_room(py, pid, data, None)?);
        }
    }

    /// Sends to whoever holds a name; False: nobody does, or the mailbox did not take it.
    fn send_named(&self, py: Python<'_>, name: Name, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let shared = self.open(py)?;
        // Whoever holds it says how it is encoded, also while the replacement of who did is to come.
        let (data, _) = shared.encode(shared.rt.named(&name.0), data)?;
        match attached(py, shared, || shared.rt.send_named_unless_blocked(&name.0, data)) {
            Ok(took) => Ok(took),
            Err((pid, data)) => shared.wait_for_room(py, PidArg(Some(pid)), data, None),
        }
    }

    /// Asks, on an event loop; the answer is awaitable.
    #[pyo3(signature = (pid, data, timeout=None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        futures::call(py, self.open(py)?, pid, data, timeout, None)
    }

    /// Asks, and blocks until the answer.
    #[pyo3(signature = (pid, data, timeout=None))]
    fn call_blocking<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        futures::call_blocking(py, self.open(py)?, pid, data, timeout)
    }

    // --- names -------------------------------------------------------------------------------------------------------

    /// Gives a name to a live actor, here or in the whole cluster.
    #[pyo3(
        signature = (name, pid, *, scope=Scope::Local),
        text_signature = "($self, name, pid, *, scope='local')"
    )]
    fn register(&self, py: Python<'_>, name: Name, pid: PidArg, scope: Scope) -> PyResult<()> {
        let shared = self.open(py)?;
        let pid = pid.known(py)?;
        match scope {
            Scope::Local => shared.rt.register(&name.0, pid),
            #[cfg(feature = "mesh")]
            Scope::Cluster => attached(py, shared, || shared.rt.register_cluster(&name.0, pid)),
        }
        .or_raise(py)
    }

    /// Takes a name away; answers whether it was held.
    fn unregister(&self, py: Python<'_>, name: Name) -> PyResult<bool> {
        self.open(py)?.rt.unregister(&name.0).or_raise(py)
    }

    /// The live actor that holds a name, or None.
    fn resolve(&self, py: Python<'_>, name: Name) -> PyResult<Option<u64>> {
        Ok(self.open(py)?.rt.whereis(&name.0).map(Pid::to_bits))
    }

    /// The same as `resolve`.
    fn whereis(&self, py: Python<'_>, name: Name) -> PyResult<Option<u64>> {
        self.resolve(py, name)
    }

    // --- life and death ----------------------------------------------------------------------------------------------

    /// Stops an actor; answers whether it was alive.
    #[pyo3(signature = (pid, drain=Flag(false), timeout=None), text_signature = "($self, pid, drain=False, timeout=None)")]
    fn stop(
        &self,
        py: Python<'_>,
        pid: PidArg,
        drain: Flag,
        timeout: Option<Seconds>,
    ) -> PyResult<bool> {
        let shared = self.open(py)?;
        let timeout = timeout.map(|t| t.0);
        Ok(pid.0.is_some_and(|pid| {
            attached(py, shared, || shared.rt.stop_within(pid, drain.0, timeout))
        }))
    }

    /// Ends an actor at once; answers whether it was alive.
    fn kill(&self, py: Python<'_>, pid: PidArg) -> PyResult<bool> {
        let shared = self.open(py)?;
        let Some(pid) = pid.0 else { return Ok(false) };
        let killed = attached(py, shared, || shared.rt.kill(pid));
        // Also one that was stopping, and so no more alive: its stop's own watch has ended with it.
        shared.watch_killed(pid);
        Ok(killed)
    }

    /// Blocks until an actor has ended and answers how.
    #[pyo3(signature = (pid, timeout=None))]
    fn join(&self, py: Python<'_>, pid: PidArg, timeout: Option<Seconds>) -> PyResult<PyExitInfo> {
        let shared = self.open(py)?;
        let _waits = waits::check(py, "join")?;
        let pid = pid.known(py)?;
        if engine::current_actor() == pid.to_bits() {
            return Err(fail(py, ErrorKind::WouldDeadlock, "an actor cannot wait for its own end"));
        }
        let answer = Answer::new();
        let sink = answer.clone();
        let token = attached(py, shared, || shared.rt.join_with(pid, move |info| sink.give(info)));
        let timeout = timeout.map(|t| t.0);
        match answer.wait_for(py, &shared.clock, timeout) {
            Ok(Some(info)) => Ok(info.into()),
            Ok(None) => {
                shared.rt.forget_join(pid, token);
                let after = timeout.unwrap_or_default().as_secs_f64();
                Err(fail(
                    py,
                    ErrorKind::Timeout,
                    format!("pid {pid} has not ended within {after} s"),
                ))
            }
            Err(interrupt) => {
                shared.rt.forget_join(pid, token);
                Err(interrupt)
            }
        }
    }

    /// How an actor ended, on an event loop; the answer is awaitable.
    fn join_async<'py>(&self, py: Python<'py>, pid: PidArg) -> PyResult<Bound<'py, PyAny>> {
        futures::join(py, self.open(py)?, pid.known(py)?)
    }

    /// Whether an actor has not ended and is not about to.
    fn is_alive(&self, py: Python<'_>, pid: PidArg) -> PyResult<bool> {
        let shared = self.open(py)?;
        Ok(pid.0.is_some_and(|pid| shared.rt.is_alive(pid)))
    }

    // --- what can be seen --------------------------------------------------------------------------------------------

    /// Messages that wait for an actor; None: there is no such actor.
    fn mailbox_size(&self, py: Python<'_>, pid: PidArg) -> PyResult<Option<usize>> {
        let shared = self.open(py)?;
        Ok(pid.0.and_then(|pid| shared.rt.mailbox_size(pid)))
    }

    /// Live actors in the order of their spawns.
    fn list_actors(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        Ok(self.open(py)?.rt.list_actors().into_iter().map(Pid::to_bits).collect())
    }

    /// What is known of a live actor; None: there is no such actor.
    fn actor_info(&self, py: Python<'_>, pid: PidArg) -> PyResult<Option<PyActorInfo>> {
        let shared = self.open(py)?;
        Ok(pid.0.and_then(|pid| shared.rt.actor_info(pid)).map(PyActorInfo::from))
    }

    /// The books and the sizes of things.
    fn get_metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        info::metrics(py, self.open(py)?.rt.metrics())
    }

    /// The metrics as Prometheus reads them.
    fn prometheus(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.open(py)?.rt.metrics().prometheus())
    }

    /// Sets who hears of actors that fail; None: the logger `iris`.
    #[pyo3(signature = (hook))]
    fn on_crash(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shared = self.open(py)?;
        if hook.is_some_and(|h| !h.is_callable()) {
            return Err(fail(py, ErrorKind::InvalidType, "a crash hook must be callable or None"));
        }
        shared.set_hook(hook.map(|h| h.clone().unbind()));
        Ok(())
    }

    /// Sets who hears of mailboxes that come to another level; None: nobody.
    #[pyo3(signature = (hook))]
    fn on_pressure(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shared = self.open(py)?;
        if hook.is_some_and(|h| !h.is_callable()) {
            return Err(fail(
                py,
                ErrorKind::InvalidType,
                "a pressure hook must be callable or None",
            ));
        }
        attached(py, shared, || shared.set_pressure_hook(hook.map(|h| h.clone().unbind())));
        Ok(())
    }

    /// Compares the books with the mailboxes themselves; raises Internal if they disagree.
    fn _audit(&self, py: Python<'_>) -> PyResult<()> {
        let shared = self.open(py)?;
        shared.rt.audit().map_err(|what| fail(py, ErrorKind::Internal, what))
    }

    // --- the end -----------------------------------------------------------------------------------------------------

    /// Stops every actor, the last spawned first, and blocks until all have ended.
    #[pyo3(signature = (timeout=CLOSE), text_signature = "($self, timeout=5.0)")]
    fn close(&self, py: Python<'_>, timeout: Seconds) -> PyResult<()> {
        let shared = &self.shared;
        if shared.is_forked() {
            return shared.check(py);
        }
        if shared.is_closed() {
            return Ok(());
        }
        let _waits = waits::check(py, "close")?;
        if mailbox::runs_here(shared.id) || lane::is_own_thread(shared.id) {
            return Err(fail(
                py,
                ErrorKind::WouldDeadlock,
                "close waits for this actor, which would wait for close; use another thread",
            ));
        }
        let closed = Answer::new();
        let told = closed.clone();
        attached(py, shared, || shared.rt.close_with(timeout.0, move || told.give(())));
        closed.wait_for(py, &shared.clock, None)?;
        shared.finish(py);
        Ok(())
    }

    /// `close` on an event loop; the answer is awaitable.
    #[pyo3(signature = (timeout=CLOSE), text_signature = "($self, timeout=5.0)")]
    fn aclose<'py>(&self, py: Python<'py>, timeout: Seconds) -> PyResult<Bound<'py, PyAny>> {
        if self.shared.is_forked() {
            self.shared.check(py)?;
        }
        futures::close(py, &self.shared, timeout.0)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().open(slf.py())?;
        Ok(slf.clone())
    }

    #[pyo3(signature = (exc_type=None, exc=None, tb=None))]
    #[allow(unused_variables, reason = "the protocol's names; closing is the same after an error")]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        tb: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if self.shared.is_forked() {
            return Ok(()); // the `with` block of the parent, left in the child
        }
        self.close(py, CLOSE)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let shared = slf.get().open(slf.py())?;
        futures::ready(slf.py(), shared, slf.as_any())
    }

    #[pyo3(signature = (exc_type=None, exc=None, tb=None))]
    #[allow(unused_variables, reason = "as in __exit__")]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        exc_type: Option<&Bound<'py, PyAny>>,
        exc: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.aclose(py, CLOSE)
    }

    /// Whether the runtime was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed() || self.shared.is_forked()
    }

    /// The version of iris.
    #[classattr]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// The number of this runtime in its process.
    #[getter]
    fn id(&self) -> u64 {
        self.shared.id
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { "closed" } else { "open" };
        format!("<iris.Runtime {} {state}>", self.shared.id)
    }
}
