//! What can be seen from outside: how an actor ended, what is known of a live one, the books.

use crate::message::{ExitInfo, ExitReason};
use crate::runtime::{ActorInfo, BooksSnapshot, DropReason, Metrics, Refusal};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// How an actor ended.
#[pyclass(name = "ExitInfo", module = "iris", frozen, get_all)]
pub(super) struct PyExitInfo {
    pid: u64,
    reason: &'static str,
    message: Option<String>,
    traceback: Option<String>,
}

#[pymethods]
impl PyExitInfo {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let head = format!("ExitInfo(pid={}, reason='{}'", self.pid, self.reason);
        Ok(match &self.message {
            Some(m) => format!("{head}, message={})", PyString::new(py, m).repr()?),
            None => head + ")",
        })
    }
}

impl From<ExitInfo> for PyExitInfo {
    fn from(info: ExitInfo) -> Self {
        let crash = info.crash.as_deref();
        Self {
            pid: info.pid.to_bits(),
            reason: info.reason.as_str(),
            message: crash.map(|c| c.message.clone()),
            traceback: crash.and_then(|c| c.stack.clone()),
        }
    }
}

/// What is known of a live actor.
#[pyclass(name = "ActorInfo", module = "iris", frozen, get_all)]
pub(super) struct PyActorInfo {
    pid: u64,
    state: &'static str,
    kind: &'static str,
    budget: u32,
    capacity: Option<u32>,
    queue: usize,
    high_water: u32,
    handled: u64,
    age_ms: u64,
    names: Vec<String>,
}

#[pymethods]
impl PyActorInfo {
    fn __repr__(&self) -> String {
        format!(
            "ActorInfo(pid={}, state='{}', kind='{}', queue={}, handled={})",
            self.pid, self.state, self.kind, self.queue, self.handled
        )
    }
}

impl From<ActorInfo> for PyActorInfo {
    fn from(i: ActorInfo) -> Self {
        Self {
            pid: i.pid.to_bits(),
            state: i.state,
            kind: i.kind,
            budget: i.budget,
            capacity: i.capacity,
            queue: i.queue,
            high_water: i.high_water,
            handled: i.handled,
            age_ms: i.age_ms,
            names: i.names,
        }
    }
}

/// The books as a dict; every term of both sums is in it.
pub(super) fn metrics(py: Python<'_>, m: Metrics) -> PyResult<Bound<'_, PyDict>> {
    let BooksSnapshot {
        attempted,
        accepted,
        refused,
        handled,
        queued,
        in_flight,
        expired,
        forwarded,
        dropped,
        dead,
        late_replies,
        calls,
        call_timeouts,
        spawned,
        exited,
    } = m.books;
    let books = PyDict::new(py);
    for (name, n) in [
        ("attempted", attempted),
        ("accepted", accepted),
        ("handled", handled),
        ("queued", queued),
        ("in_flight", in_flight),
        ("expired", expired),
        ("forwarded", forwarded),
        ("late_replies", late_replies),
        ("calls", calls),
        ("call_timeouts", call_timeouts),
        ("spawned", spawned),
        ("actors", m.actors as u64),
        ("names", m.names as u64),
        ("open_calls", m.open_calls as u64),
        ("timers", m.timers as u64),
        ("delays", m.delays as u64),
        ("missed_ticks", m.missed_ticks),
        ("uptime_ms", m.uptime_ms),
    ] {
        books.set_item(name, n)?;
    }
    let refusals = PyDict::new(py);
    for (why, n) in Refusal::ALL.iter().zip(refused) {
        refusals.set_item(why.as_str(), n)?;
    }
    books.set_item("refused", refusals)?;
    let drops = PyDict::new(py);
    for (why, n) in DropReason::ALL.iter().zip(dropped) {
        drops.set_item(why.as_str(), n)?;
    }
    books.set_item("dropped", drops)?;
    for (name, counts) in [("dead", dead), ("exited", exited)] {
        let by_reason = PyDict::new(py);
        for (why, n) in ExitReason::ALL.iter().zip(counts) {
            by_reason.set_item(why.as_str(), n)?;
        }
        books.set_item(name, by_reason)?;
    }
    Ok(books)
}
