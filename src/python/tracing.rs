//! Dead letters for the hook that wants them, the condition of actors, the tree of supervisors.

use super::args::PidArg;
use super::buffer;
use super::errors::{OrRaise, fail};
use super::handler;
use super::home::attached;
use super::runtime::PyRuntime;
use super::shared::Shared;
use crate::error::ErrorKind;
use crate::runtime::{DEAD_LETTERS, DeadLetter, Event, EventWatch, Health};
use crate::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::sync::{Arc, Weak};

/// A message that was accepted and that nobody will handle.
#[pyclass(name = "DeadLetter", module = "iris", frozen, get_all)]
pub(super) struct PyDeadLetter {
    pid: u64,
    reason: &'static str,
    data: Option<Py<PyBytes>>,
    sender: Option<u64>,
    is_call: bool,
}

#[pymethods]
impl PyDeadLetter {
    fn __repr__(&self, py: Python<'_>) -> String {
        let size = self
            .data
            .as_ref()
            .map_or("None".to_owned(), |d| format!("<{} bytes>", d.bind(py).as_bytes().len()));
        format!("DeadLetter(pid={}, reason='{}', data={size})", self.pid, self.reason)
    }
}

impl PyDeadLetter {
    fn new(py: Python<'_>, dead: DeadLetter) -> Self {
        Self {
            pid: dead.pid.to_bits(),
            reason: dead.reason.as_str(),
            data: dead.payload.map(|p| buffer::bytes(py, p).unbind()),
            sender: dead.sender.map(crate::id::Pid::to_bits),
            is_call: dead.is_call,
        }
    }
}

/// The hook, and what it is told from.
#[derive(Default)]
pub(super) struct DeadLetterHook(Mutex<Option<(Arc<EventWatch>, Py<PyAny>)>>);

impl DeadLetterHook {
    /// Lets go of the hook.
    pub(super) fn clear(&self) {
        let old = self.0.lock().take();
        drop(old);
    }

    fn set(&self, shared: &Arc<Shared>, hook: Option<Py<PyAny>>) {
        let new = hook.map(|hook| {
            let (me, courier) = (Arc::downgrade(shared), Arc::clone(&shared.courier));
            let bell = move || {
                let shared = Weak::clone(&me);
                courier.call(&me, move |py| {
                    if let Some(shared) = shared.upgrade() {
                        shared.dead_letters.tell(py);
                    }
                });
            };
            (Arc::new(shared.rt.watch_events(DEAD_LETTERS, bell)), hook)
        });
        let old = std::mem::replace(&mut *self.0.lock(), new);
        drop(old);
    }

    fn tell(&self, py: Python<'_>) {
        let watch = self.0.lock().as_ref().map(|(w, h)| (Arc::clone(w), h.clone_ref(py)));
        let Some((watch, hook)) = watch else { return };
        let (events, _) = watch.take(usize::MAX);
        for event in events {
            let Event::DeadLetter(dead) = event else { continue };
            if let Err(e) = hook.call1(py, (PyDeadLetter::new(py, dead),)) {
                let logged = py
                    .import("iris._support")
                    .and_then(|m| m.call_method1("log_callback", (handler::value_of(py, &e),)));
                if let Err(e) = logged {
                    e.write_unraisable(py, None);
                }
            }
        }
    }
}

#[pymethods]
impl PyRuntime {
    /// Sets who hears of dead letters; None: nobody.
    #[pyo3(signature = (hook))]
    fn on_dead_letter(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shared = self.open(py)?;
        if hook.is_some_and(|h| !h.is_callable()) {
            return Err(fail(
                py,
                ErrorKind::InvalidType,
                "a dead letter hook must be callable or None",
            ));
        }
        let hook = hook.map(|h| h.clone().unbind());
        attached(py, shared, || shared.dead_letters.set(shared, hook));
        Ok(())
    }
}

#[pymethods]
impl PyRuntime {
    /// Says in what condition an actor is.
    fn set_actor_health(
        &self,
        py: Python<'_>,
        pid: PidArg,
        health: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        let word = health
            .extract::<String>()
            .map_err(|_| fail(py, ErrorKind::InvalidType, "health must be a str"))?;
        let health = Health::parse(&word).or_raise(py)?;
        shared.rt.set_actor_health(pid.known(py)?, health).or_raise(py)
    }

    /// Every supervisor with its children.
    fn supervision_tree<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let tree = PyList::empty(py);
        for sup in self.open(py)?.rt.supervision_tree() {
            let children = PyList::empty(py);
            for c in &sup.children {
                let child = PyDict::new(py);
                child.set_item("id", c.id.as_deref())?;
                child.set_item("pid", c.pid.map(crate::id::Pid::to_bits))?;
                child.set_item("restart", c.restart.as_str())?;
                child.set_item("restarts", c.restarts)?;
                child.set_item("has_factory", c.has_factory)?;
                children.append(child)?;
            }
            let path = sup.path.to_string();
            let one = PyDict::new(py);
            one.set_item("path", Some(path).filter(|p| p != "\0"))?;
            one.set_item("strategy", sup.strategy.as_str())?;
            one.set_item("max_restarts", sup.max_restarts)?;
            one.set_item("within_ms", sup.within_ms)?;
            one.set_item("children", children)?;
            tree.append(one)?;
        }
        Ok(tree)
    }
}
