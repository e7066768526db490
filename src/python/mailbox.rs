//! Pull actors: a function with a thread of its own, or a coroutine on an event loop, and the mailbox that it receives from.
//!
//! Messages stay in the core until they are taken. Who found none waits for the bell: the core rings it once for the next
//! message, and when none will come any more.

use super::args::{Count, PidArg, Seconds, nanoseconds};
use super::codec::{self, MaybeCodec};
use super::engine;
use super::errors::{OrRaise, fail, wrong_type};
use super::handler;
use super::home::{self, Home, Outcome, attached};
use super::lane::STACK;
use super::outcome::fail_call;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::waits;
use super::{buffer, process};
use crate::config::SpawnOptions;
use crate::error::ErrorKind;
use crate::id::{CallId, Pid};
use crate::message::{CrashInfo, Envelope};
use crate::runtime::{Peeked, PullSignal, Pulled};
use crate::sync::{Condvar, Mutex, start_thread, wait_for};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

thread_local! {
    static OWNER: Cell<u64> = const { Cell::new(0) };
}

/// Whether a pull actor of this runtime runs on this thread.
pub(super) fn runs_here(runtime: u64) -> bool {
    OWNER.get() == runtime
}

/// The threads of a runtime's pull actors.
#[derive(Default)]
pub(super) struct Pullers {
    threads: Mutex<usize>,
    changed: Condvar,
    /// Whether a thread of a pull actor waits for the GIL. Only one does at a time: each that waits wakes up every 5 ms to
    /// ask for it, so thousands would use up the machine (10,000 that are closed at once).
    taken: Mutex<bool>,
    freed: Condvar,
}

impl Pullers {
    /// Waits, at most for `timeout`, until no thread is left; answers whether none is. Not with the GIL.
    pub(super) fn join(&self, timeout: Duration) -> bool {
        waits::wait_until(&self.threads, &self.changed, timeout, |n| *n == 0)
    }

    /// Waits until no other thread of a pull actor waits for the GIL. Not with the GIL.
    fn enter(&self) {
        let mut taken = self.taken.lock();
        while *taken {
            taken = wait_for(&self.freed, taken, None);
        }
        *taken = true;
    }

    /// This thread has the GIL now.
    fn entered(&self) {
        *self.taken.lock() = false;
        self.freed.notify_one();
    }

    fn ended(&self) {
        *self.threads.lock() -= 1;
        self.changed.notify_all();
    }
}

#[derive(Default)]
struct Rung {
    times: u64,
    closed: bool,
    /// Whom to tell on an event loop, once, the next time.
    armed: Option<(Arc<Home>, u64)>,
    /// Whom to tell on an event loop that the actor has ended.
    gone: Option<(Arc<Home>, u64)>,
}

/// What a mailbox that was found empty waits for.
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
            let gone = if signal == PullSignal::Gone { r.gone.take() } else { None };
            [r.armed.take(), gone]
        };
        self.changed.notify_all();
        for (home, key) in told.into_iter().flatten() {
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

enum Look {
    Found(Envelope),
    Empty,
    Closed,
}

/// A pull actor's mailbox.
#[pyclass(name = "Mailbox", module = "iris", frozen, weakref)]
pub(super) struct Mailbox {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    pid: Pid,
    /// The event loop of an `async def` function.
    home: Option<Arc<Home>>,
    selecting: AtomicBool,
    /// What the messages are encoded with.
    codec: MaybeCodec,
    /// The matcher that looked last, and the place of the first message that it has not seen.
    matched: Mutex<(Option<Py<PyAny>>, u64)>,
}

/// Lets the next selective receive in.
struct Selecting<'a>(&'a AtomicBool);

impl Drop for Selecting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Mailbox {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn actor(&self) -> Pid {
        self.pid
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.shared.is_forked() { self.shared.check(py) } else { Ok(()) }
    }

    fn look(&self, py: Python<'_>) -> Look {
        match attached(py, &self.shared, || self.shared.rt.pull(self.pid)) {
            Pulled::Message(e) => Look::Found(e),
            Pulled::Empty => Look::Empty,
            Pulled::Closed => Look::Closed,
        }
    }

    /// Looks until something is found, nothing will come, or the time is over.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<Duration>,
        mut look: impl FnMut() -> PyResult<Look>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = timeout.map(|t| self.shared.clock.now_ns().saturating_add(nanoseconds(t)));
        loop {
            let times = self.bell.rung.lock().times;
            match look()? {
                Look::Found(e) => return self.hand(py, e).map(Some),
                Look::Closed => {
                    self.bell.rung.lock().closed = true;
                    return Ok(None);
                }
                Look::Empty => {}
            }
            let gated = OWNER.get() != 0;
            let on_main = !gated && waits::is_main_thread(py)?;
            loop {
                let left = end.map(|e| e.saturating_sub(self.shared.clock.now_ns()));
                if left == Some(0) {
                    return Ok(None);
                }
                let left = left.map(Duration::from_nanos);
                let slice = waits::slice(on_main, left);
                let rung = py.detach(|| {
                    let rung = self.bell.wait(times, slice);
                    if gated {
                        self.shared.pullers.enter();
                    }
                    rung
                });
                if gated {
                    self.shared.pullers.entered();
                }
                if on_main {
                    py.check_signals()?;
                }
                if rung {
                    break;
                }
            }
        }
    }

    /// Looks at the messages that this matcher has not seen.
    fn select(&self, py: Python<'_>, matcher: &Bound<'_, PyAny>) -> PyResult<Look> {
        loop {
            let place = self.matched.lock().1;
            let (payload, next) = match self.shared.rt.peek(self.pid, place) {
                Peeked::Message(payload, next) => (payload, next),
                Peeked::Empty => return Ok(Look::Empty),
                Peeked::Closed => return Ok(Look::Closed),
            };
            // If it raises, the message has not been seen.
            let message = codec::decode(py, self.codec.as_deref(), payload)?;
            if !matcher.call1((message,))?.is_truthy()? {
                self.matched.lock().1 = next;
                continue;
            }
            // What is behind the message moves up to its place.
            self.matched.lock().1 = next - 1;
            let taken = attached(py, &self.shared, || self.shared.rt.take_peeked(self.pid, next));
            if let Some(e) = taken {
                return Ok(Look::Found(e));
            }
        }
    }

    /// Begins a selective receive with a matcher.
    fn select_with(&self, py: Python<'_>, matcher: &Bound<'_, PyAny>) -> PyResult<Selecting<'_>> {
        if !matcher.is_callable() {
            return Err(wrong_type(matcher, "a matcher must be callable"));
        }
        if self.selecting.swap(true, Ordering::AcqRel) {
            return Err(fail(
                py,
                ErrorKind::WouldDeadlock,
                "another selective_recv of this mailbox is under way",
            ));
        }
        let mut matched = self.matched.lock();
        let old = match &matched.0 {
            Some(same) if same.is(matcher) => None,
            _ => std::mem::replace(&mut *matched, (Some(matcher.clone().unbind()), 0)).0,
        };
        drop(matched);
        drop(old);
        Ok(Selecting(&self.selecting))
    }

    fn hand<'py>(&self, py: Python<'py>, e: Envelope) -> PyResult<Bound<'py, PyAny>> {
        let data = codec::decode(py, self.codec.as_deref(), e.payload);
        let Some(call) = e.call else { return data };
        let data = data.inspect_err(|error| fail_call(py, &self.shared, call, error))?;
        let message = CallMessage {
            shared: Arc::clone(&self.shared),
            codec: self.codec.clone(),
            data: data.unbind(),
            sender: e.sender.map(Pid::to_bits),
            call: AtomicU64::new(call.to_bits()),
        };
        Ok(Bound::new(py, message)?.into_any())
    }
}

#[pymethods]
impl Mailbox {
    /// `Mailbox[T]`, for annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        cls.py().import("types")?.getattr("GenericAlias")?.call1((cls, item))
    }

    /// Takes the next message; None: the time is over, or none will come.
    #[pyo3(signature = (timeout=None))]
    fn recv<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check(py)?;
        let _waits = waits::check(py, "recv")?;
        self.receive(py, timeout.map(|t| t.0), || Ok(self.look(py)))
    }

    /// Takes the next message if there is one.
    fn try_recv<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check(py)?;
        self.receive(py, Some(Duration::ZERO), || Ok(self.look(py)))
    }

    /// Takes the next message that a matcher likes.
    #[pyo3(signature = (matcher, timeout=None))]
    fn selective_recv<'py>(
        &self,
        py: Python<'py>,
        matcher: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check(py)?;
        let _waits = waits::check(py, "selective_recv")?;
        let _selecting = self.select_with(py, matcher)?;
        self.receive(py, timeout.map(|t| t.0), || self.select(py, matcher))
    }

    /// `selective_recv` that does not wait.
    fn _try_select<'py>(
        &self,
        py: Python<'py>,
        matcher: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check(py)?;
        let _selecting = self.select_with(py, matcher)?;
        self.receive(py, Some(Duration::ZERO), || self.select(py, matcher))
    }

    /// Calls `waker.set_result(None)` on the event loop when it is time to look again.
    #[pyo3(signature = (waker, timeout=None))]
    #[allow(unused_variables, reason = "the timeout is only checked")]
    fn _arm(&self, waker: &Bound<'_, PyAny>, timeout: Option<Seconds>) {
        let Some(home) = &self.home else { return };
        let mut rung = self.bell.rung.lock();
        if rung.armed.is_none() {
            rung.armed = Some((Arc::clone(home), home.wait(waker)));
        }
    }

    /// Calls `waker.set_result(None)` on the event loop when the actor has ended.
    fn _when_gone(&self, waker: &Bound<'_, PyAny>) {
        let Some(home) = &self.home else { return };
        let gone = (Arc::clone(home), home.wait(waker));
        self.bell.rung.lock().gone = Some(gone);
    }

    /// The coroutine is over.
    fn _finish(&self, py: Python<'_>, error: Option<Bound<'_, PyAny>>) {
        let outcome = match error {
            None => Ok(()),
            Some(e) => Err(handler::describe(py, &PyErr::from_value(e))),
        };
        attached(py, &self.shared, || self.shared.rt.finish_pull(self.pid, outcome));
    }

    /// Messages that wait.
    #[getter]
    fn size(&self) -> usize {
        self.shared.rt.mailbox_size(self.pid).unwrap_or(0)
    }

    /// The pid of this actor.
    #[getter]
    fn pid(&self) -> u64 {
        self.pid.to_bits()
    }

    /// Whether no message will come any more.
    #[getter]
    fn closed(&self) -> bool {
        self.bell.rung.lock().closed
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.recv(py, None)
    }

    fn __repr__(&self) -> String {
        format!("Mailbox(pid={}, size={})", self.pid, self.size())
    }
}

/// A call, as a pull mailbox receives it.
#[pyclass(name = "CallMessage", module = "iris", frozen)]
pub(super) struct CallMessage {
    shared: Arc<Shared>,
    codec: MaybeCodec,
    #[pyo3(get)]
    data: Py<PyAny>,
    #[pyo3(get)]
    sender: Option<u64>,
    /// 0: answered.
    call: AtomicU64,
}

impl CallMessage {
    pub(super) fn new(
        shared: &Arc<Shared>,
        data: Py<PyAny>,
        sender: Option<Pid>,
        call: CallId,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            codec: None,
            data,
            sender: sender.map(Pid::to_bits),
            call: AtomicU64::new(call.to_bits()),
        }
    }
}

#[pymethods]
impl CallMessage {
    /// `CallMessage[T]`, for annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        cls.py().import("types")?.getattr("GenericAlias")?.call1((cls, item))
    }

    /// Answers the call.
    fn reply(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.shared.check(py)?;
        let data = codec::encode(self.codec.as_deref(), data)?;
        let call = CallId::from_bits(self.call.swap(0, Ordering::AcqRel));
        let rt = &self.shared.rt;
        if call.is_some_and(|call| attached(py, &self.shared, || rt.reply(call, data))) {
            return Ok(());
        }
        Err(fail(
            py,
            ErrorKind::StaleReply,
            "nothing waits for this reply: the call was answered, or it is too late",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("CallMessage({})", self.data.bind(py).repr()?))
    }
}

/// Runs the function of a pull actor on this thread.
fn run(
    py: Python<'_>,
    mailbox: &Bound<'_, Mailbox>,
    function: &Bound<'_, PyAny>,
    variables: Option<&Bound<'_, PyAny>>,
) {
    let Mailbox { shared, pid, .. } = mailbox.get();
    OWNER.set(shared.id);
    engine::set_current(*pid);
    let called = match variables {
        None => buffer::call(function, mailbox.as_any(), None, None),
        Some(context) => context
            .getattr("run")
            .and_then(|run| buffer::call(&run, function, Some(mailbox.as_any()), None)),
    };
    let outcome = match called {
        Ok(value) if handler::is_awaitable(&value) => Err(CrashInfo {
            message: "the function answered an awaitable, and is no `async def`".into(),
            stack: None,
        }),
        Ok(_) => Ok(()),
        Err(e) => Err(handler::describe(py, &e)),
    };
    attached(py, shared, || shared.rt.finish_pull(*pid, outcome));
}

impl PyRuntime {
    pub(super) fn spawn_pull(
        slf: &Bound<'_, Self>,
        function: &Bound<'_, PyAny>,
        options: SpawnOptions,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        options.validate().or_raise(py)?;
        let shape = Self::shape_of(slf, function)?;
        if shape.wants_ctx {
            return Err(fail(
                py,
                ErrorKind::InvalidArgument,
                format!("a function of a pull actor must take (mailbox); {function} does not"),
            ));
        }
        if process::is_exiting() {
            return Err(fail(py, ErrorKind::RuntimeClosed, "the interpreter is exiting"));
        }
        let codec = shared.codec(codec)?;
        let noted = codec::noted(&codec);
        let variables = handler::spawner_context(py)?;
        let home = match (shape.is_async, home::running_loop(py)?) {
            (false, _) => None,
            (true, Some(event_loop)) => Some(shared.home_of(py, &event_loop)?),
            (true, None) => Some(shared.own_home(py)?),
        };
        let bell = Arc::new(Bell::default());
        let rings = Arc::clone(&bell);
        let signal = move |signal| rings.ring(signal);
        let pid = attached(py, shared, || match &home {
            Some(home) => home.engine(shared).lane().spawn_pull(options, signal),
            None => shared.rt.spawn_pull(options, signal),
        });
        let mailbox = Mailbox {
            shared: Arc::clone(shared),
            bell,
            pid: pid.or_raise(py)?,
            home: home.clone(),
            codec,
            selecting: AtomicBool::new(false),
            matched: Mutex::new((None, 0)),
        };
        let pid = mailbox.pid;
        shared.note_codec(pid, noted);
        let begun = match home {
            Some(home) => py.import("iris._aio").and_then(|aio| {
                let begin = aio.getattr("begin_pull")?;
                begin.call1((home.event_loop(py), function, mailbox, variables)).map(drop)
            }),
            None => Bound::new(py, mailbox).and_then(|m| start(py, &m, function, variables)),
        };
        begun.inspect_err(|_| {
            attached(py, shared, || shared.rt.kill(pid));
        })?;
        Ok(pid.to_bits())
    }
}

/// Starts the thread of a pull actor.
fn start(
    py: Python<'_>,
    mailbox: &Bound<'_, Mailbox>,
    function: &Bound<'_, PyAny>,
    variables: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    let pullers = Arc::clone(&mailbox.get().shared.pullers);
    *pullers.threads.lock() += 1;
    let end = Arc::clone(&pullers);
    let (mailbox, function) = (mailbox.clone().unbind(), function.clone().unbind());
    let variables = variables.map(Bound::unbind);
    let started = start_thread("iris-pull".into(), Some(STACK), move || {
        // At interpreter exit there is nothing to attach to, and nothing to do.
        let gate = Arc::clone(&pullers);
        gate.enter();
        let attached = Python::try_attach(move |py| {
            gate.entered();
            let variables = variables.map(|v| v.into_bound(py));
            run(py, mailbox.bind(py), function.bind(py), variables.as_ref());
            drop((mailbox, function));
        });
        if attached.is_none() {
            pullers.entered();
        }
        pullers.ended();
    });
    if started {
        return Ok(());
    }
    end.ended();
    Err(fail(py, ErrorKind::AtCapacity, "the system has no thread for another pull actor"))
}

#[pymethods]
impl PyRuntime {
    /// Spawns a pull actor: a function that receives from its mailbox.
    #[pyo3(signature = (handler, budget=Count(100), *, codec=None), text_signature = "($self, handler, budget=100, *, codec=None)")]
    fn spawn_with_mailbox(
        slf: &Bound<'_, Self>,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let options = SpawnOptions { budget: budget.0, ..SpawnOptions::default() };
        Self::spawn_pull(slf, handler, options, codec)
    }

    /// Spawns a pull actor that ends with its parent.
    #[pyo3(signature = (parent, handler, budget=Count(100), *, codec=None), text_signature = "($self, parent, handler, budget=100, *, codec=None)")]
    fn spawn_child_with_mailbox(
        slf: &Bound<'_, Self>,
        parent: PidArg,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let parent = Some(parent.known(slf.py())?);
        let options = SpawnOptions { budget: budget.0, parent, ..SpawnOptions::default() };
        Self::spawn_pull(slf, handler, options, codec)
    }
}
