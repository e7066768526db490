//! What can be seen from outside: how an actor ended, what is known of a live one, the books.

use crate::id::Pid;
use crate::message::ExitInfo;
use crate::runtime::{ActorInfo, Metrics};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

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
    paths: Vec<String>,
    codec: Option<String>,
    lane: Option<(u32, &'static str)>,
    parent: Option<u64>,
    children: Vec<u64>,
    restarts: u64,
    health: &'static str,
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
            paths: i.paths,
            codec: i.codec.map(|name| name.as_ref().to_owned()),
            lane: i.lane,
            parent: i.parent.map(Pid::to_bits),
            children: i.children.iter().map(|p| p.to_bits()).collect(),
            restarts: i.restarts,
            health: i.health.as_str(),
        }
    }
}

/// The books as a dict; every term of both sums is in it.
pub(super) fn metrics(py: Python<'_>, m: Metrics) -> PyResult<Bound<'_, PyDict>> {
    let books = PyDict::new(py);
    let mut failed = None;
    m.each(|group, name, n| {
        let set = || match group {
            None => books.set_item(name, n),
            Some(group) => match books.get_item(group)? {
                Some(counts) => counts.set_item(name, n),
                None => {
                    let counts = PyDict::new(py);
                    counts.set_item(name, n)?;
                    books.set_item(group, counts)
                }
            },
        };
        if let Err(e) = set() {
            failed = Some(e);
        }
    });
    if let Some(e) = failed {
        return Err(e);
    }
    let lanes = PyList::empty(py);
    for l in &m.lanes {
        let lane = PyDict::new(py);
        lane.set_item("lane", l.number)?;
        lane.set_item("host", l.host)?;
        lane.set_item("turns", l.holds.turns)?;
        lane.set_item("busy_ms", l.holds.sum_ns as f64 / 1e6)?;
        lane.set_item("longest_hold_ms", l.holds.longest_ns as f64 / 1e6)?;
        lanes.append(lane)?;
    }
    books.set_item("lanes", lanes)?;
    Ok(books)
}
