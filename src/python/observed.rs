//! Observed actors: they keep what they get until somebody asks for it.
//!
//! A scan of a selective receive is a place in the mailbox. Scans are moved when another takes a message out of the middle: under
//! one lock with the taking, which never calls Python. A matcher runs under none; what it looks at may be gone when it has
//! answered.

use super::args::{Count, Name, PidArg, Seconds, nanoseconds};
use super::codec;
use super::errors::{OrRaise, fail, wrong_type};
use super::futures;
use super::handler;
use super::home::{Home, Outcome, attached};
use super::mailbox::CallMessage;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::{process, waits};
use crate::config::SpawnOptions;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::Envelope;
use crate::runtime::{Peeked, PullSignal, Pulled};
use crate::sync::{Condvar, Mutex, wait_for};
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Matchers whose place is kept when their wait is over, for when they come again.
const KEPT: usize = 16;

#[derive(Default)]
struct Rung {
    times: u64,
    closed: bool,
    /// Whom to tell on an event loop, once, the next time; by scan.
    armed: HashMap<u64, (Arc<Home>, u64)>,
}

/// Rings when there is a message, and when none will come any more.
#[derive(Default)]
struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self, signal: PullSignal) {
        let told = {
            let mut r = self.rung.lock();
            r.times += 1;
            r.closed |= signal != PullSignal::Ready;
            std::mem::take(&mut r.armed)
        };
        self.changed.notify_all();
        for (home, key) in told.into_values() {
            home.finish(key, Outcome::Rung);
        }
    }

    /// Waits once; answers whether it has rung more often than `times`. Not with the GIL.
    fn wait(&self, times: u64, timeout: Option<Duration>) -> bool {
        let mut r = self.rung.lock();
        if r.times == times {
            r = wait_for(&self.changed, r, timeout);
        }
        r.times != times
    }
}

struct Place {
    /// The first message that the matcher has not refused.
    at: u64,
    /// What the matcher is looking at has been taken by another.
    lost: bool,
}

#[derive(Default)]
struct Scans {
    next: u64,
    going_on: HashMap<u64, Place>,
    /// The newest last.
    over: Vec<(Py<PyAny>, u64)>,
}

impl Scans {
    /// The message at `at` was taken out; if not, nobody knows whether what is behind it has moved.
    fn took(&mut self, at: u64, took: bool, by: u64) {
        let moved = |place: u64| if took { place - 1 } else { at };
        for (id, place) in &mut self.going_on {
            if place.at > at {
                place.at = moved(place.at);
            } else if place.at == at && *id != by {
                place.lost = true;
            }
        }
        for (_, place) in self.over.iter_mut().filter(|(_, p)| *p > at) {
            *place = moved(*place);
        }
    }
}

/// What the face knows of an observed actor.
pub(super) struct Observed {
    pid: Pid,
    bell: Arc<Bell>,
    scans: Mutex<Scans>,
}

enum Look {
    Found(Envelope),
    Empty,
    Closed,
}

/// A selective receive that is under way.
#[pyclass(module = "iris", frozen)]
struct Scan {
    shared: Arc<Shared>,
    observed: Arc<Observed>,
    matcher: Py<PyAny>,
    id: u64,
    /// Where it is awaited.
    home: Option<Arc<Home>>,
}

impl Scan {
    fn begin(
        py: Python<'_>,
        shared: &Arc<Shared>,
        pid: PidArg,
        matcher: &Bound<'_, PyAny>,
        home: Option<Arc<Home>>,
    ) -> PyResult<Self> {
        let observed = shared.observed(py, pid)?;
        if !matcher.is_callable() {
            return Err(wrong_type(matcher, "a matcher must be callable"));
        }
        let matcher = matcher.clone().unbind();
        let id = {
            let mut s = observed.scans.lock();
            let known = s.over.iter().find(|(m, _)| m.is(&matcher)).map_or(0, |(_, place)| *place);
            let id = s.next;
            s.next += 1;
            s.going_on.insert(id, Place { at: known, lost: false });
            id
        };
        Ok(Self { shared: Arc::clone(shared), observed, matcher, id, home })
    }

    fn place(&self) -> u64 {
        self.observed.scans.lock().going_on.get(&self.id).map_or(0, |p| p.at)
    }

    /// Looks at the messages that the matcher has not refused.
    fn find(&self, py: Python<'_>) -> PyResult<Look> {
        let rt = &self.shared.rt;
        let pid = self.observed.pid;
        loop {
            let (payload, next) = match rt.peek(pid, self.place()) {
                Peeked::Message(payload, next) => (payload, next),
                Peeked::Empty => return Ok(Look::Empty),
                Peeked::Closed => return Ok(Look::Closed),
            };
            if let Some(place) = self.observed.scans.lock().going_on.get_mut(&self.id) {
                *place = Place { at: next - 1, lost: false };
            }
            let message = codec::decode(py, None, payload)?;
            // If it raises, the message has not been refused.
            let answer = self.matcher.bind(py).call1((message,))?;
            if handler::is_awaitable(&answer) {
                let _ = answer.call_method0("close");
                return Err(fail(
                    py,
                    ErrorKind::InvalidArgument,
                    "a matcher must answer at once; this one answered an awaitable",
                ));
            }
            let likes = answer.is_truthy()?;
            let taken = attached(py, &self.shared, || {
                let mut s = self.observed.scans.lock();
                let place = s.going_on.get_mut(&self.id)?;
                if std::mem::take(&mut place.lost) {
                    return None;
                }
                if !likes {
                    place.at += 1;
                    return None;
                }
                let at = place.at;
                let taken = rt.take_peeked(pid, at + 1);
                s.took(at, taken.is_some(), self.id);
                taken
            });
            if let Some(e) = taken {
                return Ok(Look::Found(e));
            }
        }
    }

    fn hand<'py>(&self, py: Python<'py>, e: Envelope) -> PyResult<Bound<'py, PyAny>> {
        hand(py, &self.shared, e)
    }
}

fn hand<'py>(py: Python<'py>, shared: &Arc<Shared>, e: Envelope) -> PyResult<Bound<'py, PyAny>> {
    let data = codec::decode(py, None, e.payload)?;
    let Some(call) = e.call else { return Ok(data) };
    let message = CallMessage::new(shared, data.unbind(), e.sender, call);
    Ok(Bound::new(py, message)?.into_any())
}

impl Drop for Scan {
    fn drop(&mut self) {
        // At interpreter exit there is nothing to let go of.
        let _ = Python::try_attach(|py| self.end(py));
    }
}

#[pymethods]
impl Scan {
    /// The next message that the matcher likes, if there is one.
    fn look<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(py)? {
            Look::Found(e) => self.hand(py, e).map(Some),
            Look::Empty => Ok(None),
            Look::Closed => {
                self.observed.bell.rung.lock().closed = true;
                Ok(None)
            }
        }
    }

    #[getter]
    fn closed(&self) -> bool {
        self.observed.bell.rung.lock().closed
    }

    /// Calls `waker.set_result(None)` on the event loop when it is time to look again.
    fn arm(&self, waker: &Bound<'_, PyAny>) {
        let Some(home) = &self.home else { return };
        let mut rung = self.observed.bell.rung.lock();
        rung.armed.entry(self.id).or_insert_with(|| (Arc::clone(home), home.wait(waker)));
    }

    /// Nobody waits any more; the place is kept for the same matcher.
    fn end(&self, py: Python<'_>) {
        let armed = self.observed.bell.rung.lock().armed.remove(&self.id);
        if let Some((home, key)) = armed {
            home.forget(key);
        }
        let mut gone = Vec::new();
        {
            let mut s = self.observed.scans.lock();
            let Some(place) = s.going_on.remove(&self.id) else { return };
            if let Some(at) = s.over.iter().position(|(m, _)| m.is(&self.matcher)) {
                gone.push(s.over.remove(at));
            } else if s.over.len() == KEPT {
                gone.push(s.over.remove(0));
            }
            s.over.push((self.matcher.clone_ref(py), place.at));
        }
        drop(gone);
    }
}

impl Shared {
    fn observed(&self, py: Python<'_>, pid: PidArg) -> PyResult<Arc<Observed>> {
        let pid = pid.known(py)?;
        let found = self.observed.lock().get(&pid).cloned();
        found.filter(|_| self.rt.is_alive(pid)).ok_or_else(|| match self.rt.is_alive(pid) {
            true => fail(
                py,
                ErrorKind::InvalidArgument,
                format!("pid {pid} is no observed actor; see spawn_with_path_observed"),
            ),
            false => fail(
                py,
                ErrorKind::NoSuchActor,
                format!("no such actor: pid {pid} is unknown, dead or of another runtime"),
            ),
        })
    }

    /// Spawns an actor that keeps what it gets.
    fn spawn_observed(self: &Arc<Self>, py: Python<'_>, options: SpawnOptions) -> PyResult<Pid> {
        let bell = Arc::new(Bell::default());
        let known: Arc<OnceLock<Pid>> = Arc::default();
        let (rings, pid, me) = (Arc::clone(&bell), Arc::clone(&known), self.weak());
        let signal = move |signal| {
            rings.ring(signal);
            let (Some(pid), Some(shared)) = (pid.get().copied(), Weak::upgrade(&me)) else {
                return;
            };
            match signal {
                PullSignal::Ready => {}
                // It has no function that would return.
                PullSignal::Closing => shared.rt.finish_pull(pid, Ok(())),
                PullSignal::Gone => {
                    let gone = shared.observed.lock().remove(&pid);
                    // It may hold Python objects, and this may be any thread.
                    shared.courier.call(&me, move |_| drop(gone));
                }
            }
        };
        let pid = attached(py, self, || self.rt.spawn_pull(options, signal)).or_raise(py)?;
        let _ = known.set(pid);
        let observed = Observed { pid, bell: Arc::clone(&bell), scans: Mutex::default() };
        self.observed.lock().insert(pid, Arc::new(observed));
        if bell.rung.lock().closed {
            // The runtime was closed in this moment.
            attached(py, self, || self.rt.finish_pull(pid, Ok(())));
            let gone = self.observed.lock().remove(&pid);
            drop(gone);
        }
        Ok(pid)
    }
}

#[pymethods]
impl PyRuntime {
    /// Spawns an observed actor and registers it under a path.
    #[pyo3(signature = (budget, path, *, capacity=None))]
    fn spawn_with_path_observed(
        &self,
        py: Python<'_>,
        budget: Count,
        path: Name,
        capacity: Option<Count>,
    ) -> PyResult<u64> {
        let shared = self.open(py)?;
        let options = SpawnOptions {
            budget: budget.0,
            capacity: capacity.map(|n| n.0),
            ..SpawnOptions::default()
        };
        options.validate().or_raise(py)?;
        if let Some(holder) = shared.rt.whereis_path(&path.0).or_raise(py)? {
            return Err(fail(
                py,
                ErrorKind::NameTaken,
                format!("path {} belongs to pid {holder}; unregister it first", path.0),
            ));
        }
        let pid = shared.spawn_observed(py, options)?;
        // Another thread may have been faster.
        shared.rt.register_path(&path.0, pid).or_raise(py).inspect_err(|_| {
            attached(py, shared, || shared.rt.kill(pid));
        })?;
        Ok(pid.to_bits())
    }

    /// Takes everything that an observed actor has kept.
    fn get_messages<'py>(
        &self,
        py: Python<'py>,
        observer_pid: PidArg,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let shared = self.open(py)?;
        let observed = shared.observed(py, observer_pid)?;
        let mut kept = Vec::new();
        while let Pulled::Message(e) = attached(py, shared, || shared.rt.pull(observed.pid)) {
            kept.push(hand(py, shared, e)?);
        }
        Ok(kept)
    }

    /// The next message of an observed actor that a matcher likes, on an event loop; the answer is awaitable.
    #[pyo3(signature = (pid, matcher, timeout=None))]
    fn selective_recv<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        matcher: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = self.open(py)?;
        let home = futures::home_here(py, shared, "selective_recv")?;
        let scan = Scan::begin(py, shared, pid, matcher, Some(Arc::clone(&home)))?;
        let timeout = timeout.map(|t| t.0.as_secs_f64());
        py.import("iris._aio")?.call_method1("select", (home.event_loop(py), scan, timeout))
    }

    /// The next message of an observed actor that a matcher likes; blocks until it is there.
    #[pyo3(signature = (pid, matcher, timeout=None))]
    fn selective_recv_blocking<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        matcher: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let shared = self.open(py)?;
        let _waits = waits::check(py, "selective_recv_blocking")?;
        let scan = Scan::begin(py, shared, pid, matcher, None)?;
        let clock = &shared.clock;
        let end = timeout.map(|t| clock.now_ns().saturating_add(nanoseconds(t.0)));
        let on_main = waits::is_main_thread(py)?;
        loop {
            let times = scan.observed.bell.rung.lock().times;
            match scan.find(py)? {
                Look::Found(e) => return scan.hand(py, e).map(Some),
                Look::Closed => return Ok(None),
                Look::Empty => {}
            }
            loop {
                let left = end.map(|e| e.saturating_sub(clock.now_ns()));
                if left == Some(0) {
                    return Ok(None);
                }
                let slice = waits::slice(on_main, left.map(Duration::from_nanos));
                let rung = py.detach(|| {
                    let rung = scan.observed.bell.wait(times, slice);
                    if !on_main && process::is_exiting() {
                        process::stay();
                    }
                    rung
                });
                if on_main {
                    py.check_signals()?;
                }
                if rung {
                    break;
                }
            }
        }
    }
}
