//! `ctx`: a handler's view of its own actor.

use super::args::{PidArg, Seconds};
use super::codec::{self, MaybeCodec};
use super::errors::fail;
use super::futures;
use super::home::attached;
use super::shared::Shared;
use crate::error::ErrorKind;
use crate::id::{CallId, Pid};
use crate::sync::Mutex;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a handler is given beside the message.
///
/// One per actor where nothing per message is asked of it; each call gets its own.
#[pyclass(name = "Context", module = "iris", frozen, subclass)]
pub(super) struct Context {
    shared: Arc<Shared>,
    pid: Pid,
    is_call: bool,
    /// The call that waits for its answer; 0: none, or answered.
    call: AtomicU64,
    /// Who sent the message in its own name; 0: nobody.
    sender: AtomicU64,
    /// The context of the actor that this one, of a call, belongs to: it has the state.
    main: Option<Py<Self>>,
    state: Mutex<Option<Py<PyAny>>>,
    /// What the actor's messages and replies are encoded with.
    codec: MaybeCodec,
}

impl Context {
    pub(super) fn new(
        shared: &Arc<Shared>,
        pid: Pid,
        call: Option<CallId>,
        codec: MaybeCodec,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            pid,
            is_call: call.is_some(),
            call: AtomicU64::new(call.map_or(0, CallId::to_bits)),
            sender: AtomicU64::new(0),
            main: None,
            state: Mutex::default(),
            codec,
        }
    }

    pub(super) fn for_call(
        shared: &Arc<Shared>,
        pid: Pid,
        call: Option<CallId>,
        main: Option<Py<Self>>,
        codec: MaybeCodec,
    ) -> Self {
        Self { main, ..Self::new(shared, pid, call, codec) }
    }

    /// What the contexts of a message's branches have in common with its own: everything but effects, state and the call.
    #[cfg(feature = "vortex")]
    pub(super) fn for_branch(py: Python<'_>, real: &Py<Self>) -> Self {
        let of = real.get();
        Self {
            is_call: of.is_call,
            sender: AtomicU64::new(of.sender.load(Ordering::Relaxed)),
            main: Some(of.main.as_ref().unwrap_or(real).clone_ref(py)),
            ..Self::new(&of.shared, of.pid, None, of.codec.clone())
        }
    }

    /// The call, if it is still to be answered.
    #[cfg(feature = "vortex")]
    pub(super) fn open_call(&self) -> Option<CallId> {
        CallId::from_bits(self.call.load(Ordering::Acquire))
    }

    #[cfg(feature = "vortex")]
    pub(super) fn owes_reply(&self) -> bool {
        self.open_call().is_some()
    }

    #[cfg(feature = "vortex")]
    pub(super) fn codec(&self) -> Option<&codec::Codec> {
        self.codec.as_deref()
    }

    /// Changes the state of the actor.
    pub(super) fn put_state(&self, value: Option<Py<PyAny>>) {
        let old = match &self.main {
            Some(main) => std::mem::replace(&mut *main.get().state.lock(), value),
            None => std::mem::replace(&mut *self.state.lock(), value),
        };
        drop(old);
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn actor(&self) -> Pid {
        self.pid
    }

    pub(super) fn set_sender(&self, sender: Option<Pid>) {
        self.sender.store(sender.map_or(0, Pid::to_bits), Ordering::Relaxed);
    }

    /// The call, if it is still to be answered; from now on it is not.
    pub(super) fn take_call(&self) -> Option<CallId> {
        CallId::from_bits(self.call.swap(0, Ordering::AcqRel))
    }
}

#[pymethods]
impl Context {
    /// The pid of this actor.
    #[getter]
    fn pid(&self) -> u64 {
        self.pid.to_bits()
    }

    /// The runtime of this actor.
    #[getter]
    fn runtime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.shared.handle(py)
    }

    /// Whether the sender waits for an answer.
    #[getter]
    fn is_call(&self) -> bool {
        self.is_call
    }

    /// The pid of the actor that sent the message in its own name (`ctx.send`, `ctx.call`), or None.
    #[getter]
    fn sender(&self) -> Option<u64> {
        Some(self.sender.load(Ordering::Relaxed)).filter(|bits| *bits != 0)
    }

    /// A value of the actor's own, the same in all its contexts.
    #[getter]
    pub(super) fn state(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let main = self.main.as_ref().map_or(self, Py::get);
        let state = main.state.lock();
        state.as_ref().map(|s| s.clone_ref(py))
    }

    #[setter]
    fn set_state(&self, value: Option<Py<PyAny>>) {
        self.put_state(value);
    }

    /// Whether this is the context of a branch that has lost, or whose actor has ended.
    #[getter]
    fn cancelled(&self) -> bool {
        false
    }

    /// Sends in this actor's name; False: the mailbox did not take it.
    pub(super) fn send(
        &self,
        py: Python<'_>,
        pid: PidArg,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        self.shared.check(py)?;
        let (data, _) = self.shared.encode(pid.0, data)?;
        self.shared.send(py, pid, data, Some(self.pid))
    }

    /// Asks in this actor's name, on an event loop; the answer is awaitable.
    #[pyo3(signature = (pid, data, timeout=None))]
    pub(super) fn call<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.shared.check(py)?;
        futures::call(py, &self.shared, pid, data, timeout, Some(self.pid))
    }

    /// Answers the call; if the caller has given up, the reply is dropped and counted.
    pub(super) fn reply(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.shared.check(py)?;
        let data = codec::encode(self.codec.as_deref(), data)?;
        if let Some(call) = self.take_call() {
            attached(py, &self.shared, || self.shared.rt.reply(call, data));
            return Ok(());
        }
        Err(fail(
            py,
            ErrorKind::StaleReply,
            format!(
                "actor {}: nothing waits for this reply (it is no call, or was answered already)",
                self.pid
            ),
        ))
    }

    /// Stops this actor when the handler returns; answers whether it was alive.
    pub(super) fn stop(&self, py: Python<'_>) -> PyResult<bool> {
        self.shared.check(py)?;
        Ok(attached(py, &self.shared, || self.shared.rt.stop(self.pid)))
    }

    fn __repr__(&self) -> String {
        format!("Context(pid={})", self.pid)
    }
}
