//! System messages and paths.

use super::args::{Name, PidArg};
use super::errors::OrRaise;
use super::runtime::PyRuntime;
use crate::id::Pid;
use crate::message::{Meta, SystemMessage};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What the runtime itself tells an actor.
#[pyclass(name = "PySystemMessage", module = "iris", frozen, get_all)]
pub(super) struct PySystemMessage {
    type_name: &'static str,
    from_pid: Option<u64>,
    target_pid: Option<u64>,
    reason: Option<&'static str>,
    metadata: Py<PyDict>,
}

#[pymethods]
impl PySystemMessage {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let from = self.from_pid.map_or_else(|| "None".into(), |pid| pid.to_string());
        let reason = self.reason.map_or_else(|| "None".into(), |why| format!("'{why}'"));
        Ok(format!(
            "PySystemMessage(type_name='{}', from_pid={from}, reason={reason}, metadata={})",
            self.type_name,
            self.metadata.bind(py).repr()?
        ))
    }
}

/// A system message as a handler gets it. `addressed`: it is for an actor; otherwise for a function.
pub(super) fn system_message<'py>(
    py: Python<'py>,
    m: &SystemMessage,
    addressed: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let metadata = PyDict::new(py);
    for (name, value) in &m.metadata {
        match value {
            Meta::Text(text) => metadata.set_item(name, text)?,
            Meta::Number(n) => metadata.set_item(name, n)?,
        }
    }
    let message = PySystemMessage {
        type_name: m.kind.as_str(),
        from_pid: m.from.map(Pid::to_bits),
        target_pid: addressed.then_some(m.target.to_bits()),
        reason: m.reason.map(crate::message::ExitReason::as_str),
        metadata: metadata.unbind(),
    };
    Ok(Bound::new(py, message)?.into_any())
}

fn pairs(found: Vec<(std::sync::Arc<str>, Pid)>) -> Vec<(String, u64)> {
    found.into_iter().map(|(path, pid)| (path.to_string(), pid.to_bits())).collect()
}

#[pymethods]
impl PyRuntime {
    /// Registers a live actor under a path.
    fn register_path(&self, py: Python<'_>, path: Name, pid: PidArg) -> PyResult<()> {
        let shared = self.open(py)?;
        shared.rt.register_path(&path.0, pid.known(py)?).or_raise(py)
    }

    /// Takes a path away; answers whether it was held.
    fn unregister_path(&self, py: Python<'_>, path: Name) -> PyResult<bool> {
        self.open(py)?.rt.unregister_path(&path.0).or_raise(py)
    }

    /// The live actor at a path, or None.
    fn whereis_path(&self, py: Python<'_>, path: Name) -> PyResult<Option<u64>> {
        let found = self.open(py)?.rt.whereis_path(&path.0).or_raise(py)?;
        Ok(found.map(Pid::to_bits))
    }

    /// All live actors below a path.
    fn list_children(&self, py: Python<'_>, prefix: Name) -> PyResult<Vec<(String, u64)>> {
        self.open(py)?.rt.list_children(&prefix.0).or_raise(py).map(pairs)
    }

    /// The live actors one level below a path.
    fn list_children_direct(&self, py: Python<'_>, prefix: Name) -> PyResult<Vec<(String, u64)>> {
        self.open(py)?.rt.list_children_direct(&prefix.0).or_raise(py).map(pairs)
    }
}
