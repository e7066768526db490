//! Monitors and links.

use super::args::{Flag, PidArg};
use super::context::Context;
use super::errors::{OrRaise, fail};
use super::handler;
use super::home::attached;
use super::mailbox::Mailbox;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::system;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::{ExitInfo, SystemKind, SystemMessage};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls `callback` with the DOWN of `target`, on the courier's thread and in the caller's context.
fn monitor_with(
    py: Python<'_>,
    shared: &Arc<Shared>,
    target: Pid,
    callback: &Bound<'_, PyAny>,
) -> PyResult<u64> {
    let variables = handler::spawner_context(py)?.map(Bound::unbind);
    let callback = callback.clone().unbind();
    let (known, knows) = (Arc::new(AtomicU64::new(0)), Arc::downgrade(shared));
    let reference = Arc::clone(&known);
    let sink = move |info: ExitInfo| {
        let Some(shared) = knows.upgrade() else { return };
        shared.courier.call(&knows, move |py| tell(py, &callback, variables, &info, &known));
    };
    let made = attached(py, shared, || shared.rt.monitor_with(target, sink)).or_raise(py)?;
    reference.store(made, Ordering::Release);
    Ok(made)
}

fn tell(
    py: Python<'_>,
    callback: &Py<PyAny>,
    variables: Option<Py<PyAny>>,
    info: &ExitInfo,
    reference: &AtomicU64,
) {
    // The courier has the GIL, which whoever made the monitor held until the reference was known.
    let reference = reference.load(Ordering::Acquire);
    let down = SystemMessage::of_exit(SystemKind::Down, info, info.pid, Some(reference));
    let called = system::system_message(py, &down, false).and_then(|message| match variables {
        None => callback.call1(py, (message,)),
        Some(context) => context.call_method1(py, "run", (callback, message)),
    });
    if let Err(e) = called {
        let logged = py
            .import("iris._support")
            .and_then(|m| m.call_method1("log_callback", (handler::value_of(py, &e),)));
        if let Err(e) = logged {
            e.write_unraisable(py, None);
        }
    }
}

#[pymethods]
impl PyRuntime {
    /// Has a watcher told when an actor ends.
    pub(super) fn monitor(
        &self,
        py: Python<'_>,
        target: PidArg,
        watcher: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let shared = self.open(py)?;
        let target = target.known(py)?;
        if watcher.is_callable() && !watcher.is_instance_of::<PyInt>() {
            return monitor_with(py, shared, target, watcher);
        }
        let watcher = watcher.extract::<PidArg>()?.known(py)?;
        attached(py, shared, || shared.rt.monitor(target, watcher)).or_raise(py)
    }

    /// Takes a monitor back.
    fn demonitor(&self, py: Python<'_>, reference: Reference) -> PyResult<bool> {
        Ok(self.open(py)?.rt.demonitor(reference.0))
    }

    /// Links two actors.
    fn link(&self, py: Python<'_>, a: PidArg, b: PidArg) -> PyResult<()> {
        let shared = self.open(py)?;
        let (a, b) = (a.known(py)?, b.known(py)?);
        attached(py, shared, || shared.rt.link(a, b)).or_raise(py)
    }

    /// Takes a link away.
    fn unlink(&self, py: Python<'_>, a: PidArg, b: PidArg) -> PyResult<bool> {
        let shared = self.open(py)?;
        Ok(a.0.zip(b.0).is_some_and(|(a, b)| shared.rt.unlink(a, b)))
    }

    /// Says whether the ends of linked actors come as messages.
    fn set_trap_exit(&self, py: Python<'_>, pid: PidArg, traps: Flag) -> PyResult<bool> {
        let shared = self.open(py)?;
        shared.rt.set_trap_exit(pid.known(py)?, traps.0).or_raise(py)
    }
}

/// A monitor's reference; 0: an int that is none.
struct Reference(u64);

impl<'py> FromPyObject<'_, 'py> for Reference {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if obj.is_instance_of::<pyo3::types::PyBool>() || !obj.is_instance_of::<PyInt>() {
            return Err(fail(
                obj.py(),
                ErrorKind::InvalidType,
                "a monitor's reference must be an int",
            ));
        }
        Ok(Self(obj.extract::<u64>().unwrap_or(0)))
    }
}

#[pymethods]
impl Context {
    /// Has this actor told when another ends.
    pub(super) fn monitor(&self, py: Python<'_>, target: PidArg) -> PyResult<u64> {
        monitor_for(py, self.shared(), self.actor(), target)
    }

    /// Links this actor with another.
    pub(super) fn link(&self, py: Python<'_>, other: PidArg) -> PyResult<()> {
        link_with(py, self.shared(), self.actor(), other)
    }
}

#[pymethods]
impl Mailbox {
    /// Has this actor told when another ends.
    fn monitor(&self, py: Python<'_>, target: PidArg) -> PyResult<u64> {
        monitor_for(py, self.shared(), self.actor(), target)
    }

    /// Links this actor with another.
    fn link(&self, py: Python<'_>, other: PidArg) -> PyResult<()> {
        link_with(py, self.shared(), self.actor(), other)
    }
}

fn monitor_for(py: Python<'_>, shared: &Arc<Shared>, me: Pid, target: PidArg) -> PyResult<u64> {
    shared.check(py)?;
    let target = target.known(py)?;
    attached(py, shared, || shared.rt.monitor(target, me)).or_raise(py)
}

fn link_with(py: Python<'_>, shared: &Arc<Shared>, me: Pid, other: PidArg) -> PyResult<()> {
    shared.check(py)?;
    let other = other.known(py)?;
    attached(py, shared, || shared.rt.link(me, other)).or_raise(py)
}
