//! Pools: children of one parent that share the work. A member that failed is replaced; one that was stopped or killed is not.

use super::args::{Count, Flag, PidArg, Seconds};
use super::buffer;
use super::codec;
use super::errors::{fail, wrong_type};
use super::futures;
use super::home::attached;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::spawn::Plan;
use crate::config::SpawnOptions;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::ExitInfo;
use crate::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyWeakrefMethods, PyWeakrefReference};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Most members of a pool.
const MOST: u32 = 65_536;

struct Inner {
    plan: Plan,
    members: Mutex<Vec<Pid>>,
    next: AtomicUsize,
    shortest: bool,
    /// The list of pids that the user has.
    list: Mutex<Option<Py<PyWeakrefReference>>>,
}

/// The half of `iris.Pool` that sends.
#[pyclass(name = "PoolCore", module = "iris", frozen)]
pub(super) struct PoolCore {
    shared: Arc<Shared>,
    inner: Arc<Inner>,
}

impl Inner {
    /// Members in the order in which they are to be tried.
    fn order(&self, shared: &Shared) -> Vec<Pid> {
        let mut order = self.members.lock().clone();
        if order.is_empty() {
            return order;
        }
        let first = if self.shortest {
            let size = |pid: &Pid| shared.rt.mailbox_size(*pid).unwrap_or(usize::MAX);
            let sizes = order.iter().map(size).enumerate();
            sizes.min_by_key(|(_, size)| *size).map_or(0, |(at, _)| at)
        } else {
            self.next.fetch_add(1, Ordering::Relaxed) % order.len()
        };
        order.rotate_left(first);
        order
    }

    /// Shows the user who the members are.
    fn show(&self, py: Python<'_>) {
        let list = self.list.lock().as_ref().map(|list| list.clone_ref(py));
        let Some(list) = list.and_then(|list| list.bind(py).upgrade()) else { return };
        let pids: Vec<u64> = self.members.lock().iter().map(|pid| pid.to_bits()).collect();
        if let Err(e) = list.call_method1("_show", (pids,)) {
            e.write_unraisable(py, Some(&list));
        }
    }
}

/// Spawns a member, in the place `at` of one that has failed, and sees to it that its end is heard of.
fn add(
    py: Python<'_>,
    shared: &Arc<Shared>,
    inner: &Arc<Inner>,
    at: Option<usize>,
) -> PyResult<Pid> {
    let pid = inner.plan.again(py)?.spawn(py, shared)?;
    {
        let mut members = inner.members.lock();
        match at.and_then(|at| members.get_mut(at)) {
            Some(member) => *member = pid,
            None => members.push(pid),
        }
    }
    let (inner, weak) = (Arc::clone(inner), Arc::downgrade(shared));
    attached(py, shared, || {
        shared.rt.join_member(pid, move |info| ended(&weak, inner, info));
    });
    Ok(pid)
}

/// A member has ended; heard on any thread, with no lock held.
fn ended(shared: &Weak<Shared>, inner: Arc<Inner>, info: ExitInfo) {
    let Some(strong) = shared.upgrade() else { return };
    let weak = Weak::clone(shared);
    strong.courier.call(shared, move |py| {
        let Some(shared) = weak.upgrade() else { return };
        let at = inner.members.lock().iter().position(|pid| *pid == info.pid);
        let Some(at) = at else { return };
        if !info.reason.is_failure() || !replace(py, &shared, &inner, at, info.pid) {
            inner.members.lock().retain(|pid| *pid != info.pid);
        }
        inner.show(py);
    });
}

/// Another takes the place of a member that has failed, and what it left; `false`: the parent or the runtime has ended, or
/// load is shed.
fn replace(py: Python<'_>, shared: &Arc<Shared>, inner: &Arc<Inner>, at: usize, old: Pid) -> bool {
    let ticket = shared.rt.begin_replacement();
    let new = add(py, shared, inner, Some(at)).ok();
    attached(py, shared, || shared.rt.end_replacement(ticket, old, new));
    new.is_some()
}

#[pymethods]
impl PoolCore {
    /// Sends to one member, whoever takes it; False: all refuse.
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.shared.check(py)?;
        let codec = self.inner.plan.codec();
        let data = codec::encoded(codec.as_deref(), data)?;
        let order = self.inner.order(&self.shared);
        let mut full = None;
        for pid in &order {
            let payload = buffer::payload(&data)?;
            let took = attached(py, &self.shared, || {
                self.shared.rt.send_unless_blocked(Some(*pid), payload, None)
            });
            match took {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(_) => full = full.or(Some(*pid)),
            }
        }
        // Wrong data raises and a refusal is counted even where nobody is left; who would block may do so now.
        let payload = buffer::payload(&data)?;
        if order.is_empty() || full.is_some() {
            return self.shared.send(py, PidArg(full), payload, None);
        }
        Ok(false)
    }

    /// Asks one member, on an event loop; the answer is awaitable.
    #[pyo3(signature = (data, timeout=None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.shared.check(py)?;
        futures::call(py, &self.shared, self.pick(py)?, data, timeout, None)
    }

    /// Asks one member, and blocks until the answer.
    #[pyo3(signature = (data, timeout=None))]
    fn call_blocking<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.shared.check(py)?;
        futures::call_blocking(py, &self.shared, self.pick(py)?, data, timeout)
    }
}

impl PoolCore {
    /// The member whose turn it is, among those that live.
    fn pick(&self, py: Python<'_>) -> PyResult<PidArg> {
        let order = self.inner.order(&self.shared);
        let live = order.iter().copied().find(|pid| self.shared.rt.is_alive(*pid));
        let pid = live.or_else(|| order.first().copied()).ok_or_else(|| {
            fail(py, ErrorKind::NoSuchActor, "this pool has no member left; its parent has ended")
        })?;
        Ok(PidArg(Some(pid)))
    }
}

#[pymethods]
impl PyRuntime {
    /// Spawns children that share the work; answers the list of their pids, which can send.
    #[pyo3(signature = (parent, handler, workers, budget=Count(100), release_gil=Flag(false), *, routing=None, codec=None, vortex=None), text_signature = "($self, parent, handler, workers, budget=100, release_gil=False, *, routing='roundrobin', codec=None, vortex=False)")]
    #[allow(clippy::too_many_arguments, reason = "the seed's signature, and three options")]
    fn spawn_child_pool<'py>(
        slf: &Bound<'py, Self>,
        parent: PidArg,
        handler: &Bound<'py, PyAny>,
        workers: Count,
        budget: Count,
        release_gil: Flag,
        routing: Option<&Bound<'py, PyAny>>,
        codec: Option<&Bound<'py, PyAny>>,
        vortex: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        if !(1..=MOST).contains(&workers.0) {
            return Err(fail(
                py,
                ErrorKind::InvalidArgument,
                format!("workers must be 1 to {MOST}, got {}", workers.0),
            ));
        }
        let shortest = is_shortest(routing)?;
        let parent = Some(parent.known(py)?);
        let options = SpawnOptions { budget: budget.0, parent, ..SpawnOptions::default() };
        let plan = Plan::new(slf, handler, options, release_gil.0, codec, vortex)?;
        let inner = Arc::new(Inner {
            plan,
            members: Mutex::default(),
            next: AtomicUsize::new(0),
            shortest,
            list: Mutex::default(),
        });
        for _ in 0..workers.0 {
            if let Err(e) = add(py, shared, &inner, None) {
                let members = std::mem::take(&mut *inner.members.lock());
                attached(py, shared, || {
                    members.into_iter().for_each(|pid| {
                        shared.rt.kill(pid);
                    });
                });
                return Err(e);
            }
        }
        let core = PoolCore { shared: Arc::clone(shared), inner: Arc::clone(&inner) };
        let pool = py.import("iris._pool")?.getattr("Pool")?.call1((core,))?;
        *inner.list.lock() = Some(PyWeakrefReference::new(&pool)?.unbind());
        inner.show(py);
        Ok(pool)
    }
}

fn is_shortest(routing: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let Some(routing) = routing else { return Ok(false) };
    let word =
        routing.cast::<PyString>().map_err(|_| wrong_type(routing, "routing must be a str"))?;
    match word.to_string_lossy().as_ref() {
        "roundrobin" => Ok(false),
        "shortest" => Ok(true),
        other => Err(fail(
            routing.py(),
            ErrorKind::InvalidArgument,
            format!("routing must be 'roundrobin' or 'shortest', got {other:?}"),
        )),
    }
}
