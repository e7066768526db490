//! Speculation: the race of a message and the contexts of its branches. `iris._vortex` runs the branches, one event loop or
//! one lane thread for both; who wins is decided in `src/vortex`.

use super::args::{PidArg, Seconds};
use super::codec;
use super::context::Context;
use super::errors::{OrRaise, fail, to_py};
use super::home::attached;
use super::outcome;
use super::runtime::PyRuntime;
use crate::error::ErrorKind;
use crate::runtime::vortex::{
    self as core, Branch, Effect, Event, HedgeOptions, Policy, Transaction, Verdict, not_staged,
};
use crate::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;
use std::time::Duration;

/// How an actor speculates, and what its last messages took.
#[pyclass(name = "Hedge", module = "iris", frozen)]
pub(super) struct Hedge(Arc<core::Hedge>);

#[pymethods]
impl Hedge {
    /// Seconds; no `ghost_after` is the actor's own 95th percentile.
    #[new]
    fn new(
        py: Python<'_>,
        ghost_after: Option<Seconds>,
        grace: Option<Seconds>,
        max_rate: Option<f64>,
    ) -> PyResult<Self> {
        let defaults = HedgeOptions::default();
        core::Hedge::new(HedgeOptions {
            ghost_after: ghost_after.map(|s| s.0),
            grace: grace.map_or(defaults.grace, |s| s.0),
            max_rate: max_rate.unwrap_or(defaults.max_rate),
        })
        .or_raise(py)
        .map(Self)
    }
}

/// What becomes of a branch's effects.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Staged,
    /// It has won: its context is that of any handler.
    Direct,
    Dropped,
}

#[derive(Default)]
struct Staging {
    mode: Mode,
    effects: Transaction,
    replied: bool,
    state: Option<Option<Py<PyAny>>>,
}

/// `ctx` of one branch.
#[pyclass(name = "BranchContext", module = "iris", extends = Context, frozen)]
pub(super) struct BranchContext {
    real: Py<Context>,
    staging: Mutex<Staging>,
}

impl BranchContext {
    fn mode(&self) -> Mode {
        self.staging.lock().mode
    }

    /// What answers something needs a branch that has won.
    fn check_direct(&self, py: Python<'_>, what: &str) -> PyResult<()> {
        let pid = self.real.get().actor();
        match self.mode() {
            Mode::Direct => Ok(()),
            Mode::Staged => Err(to_py(py, &not_staged(pid, what))),
            Mode::Dropped => Err(fail(
                py,
                ErrorKind::Aborted,
                format!("actor {pid}: this branch of the message has lost, or its actor has ended"),
            )),
        }
    }

    /// Whether the call that is handled still waits for its answer.
    fn owes_reply(&self) -> bool {
        self.real.get().owes_reply() && !self.staging.lock().replied
    }

    /// The handler has returned: that is the reply, unless there was one.
    fn finish(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.owes_reply() {
            return Ok(());
        }
        let payload = outcome::payload(py, value, self.real.get().codec())?;
        self.stage_reply(payload);
        Ok(())
    }

    fn stage_reply(&self, payload: crate::message::Payload) {
        let Some(call) = self.real.get().open_call() else { return };
        let mut staging = self.staging.lock();
        staging.replied = true;
        staging.effects.stage(Effect::Reply(call, payload));
    }

    /// What was staged becomes visible, in its order.
    fn commit(&self, py: Python<'_>) {
        let real = self.real.get();
        let (effects, state) = {
            let mut staging = self.staging.lock();
            staging.mode = Mode::Direct;
            (std::mem::take(&mut staging.effects), staging.state.take())
        };
        if let Some(value) = state {
            real.put_state(value);
        }
        let (shared, pid) = (real.shared(), real.actor());
        for effect in effects.into_effects() {
            match effect {
                Effect::Send(to, payload) => {
                    // Nobody is there to be told: what is not taken is counted as refused.
                    let _ = shared.send(py, PidArg(Some(to)), payload, Some(pid));
                }
                Effect::Reply(_, payload) => {
                    if let Some(call) = real.take_call() {
                        attached(py, shared, || shared.rt.reply(call, payload));
                    }
                }
                Effect::Stop(pid) => {
                    attached(py, shared, || shared.rt.stop(pid));
                }
            }
        }
    }

    fn lose(&self) {
        let dropped = {
            let mut staging = self.staging.lock();
            staging.mode = Mode::Dropped;
            (std::mem::take(&mut staging.effects), staging.state.take())
        };
        drop(dropped);
    }
}

#[pymethods]
impl BranchContext {
    #[getter]
    fn state(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let staged =
            self.staging.lock().state.as_ref().map(|v| v.as_ref().map(|v| v.clone_ref(py)));
        staged.unwrap_or_else(|| self.real.get().state(py))
    }

    #[setter]
    fn set_state(&self, value: Option<Py<PyAny>>) {
        let mut value = Some(value);
        let old = {
            let mut staging = self.staging.lock();
            match staging.mode {
                Mode::Staged => staging.state.replace(value.take().flatten()),
                _ => None,
            }
        };
        drop(old);
        if self.mode() == Mode::Direct
            && let Some(value) = value
        {
            self.real.get().put_state(value);
        }
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.mode() == Mode::Dropped
    }

    fn send(&self, py: Python<'_>, pid: PidArg, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let real = self.real.get();
        if self.mode() == Mode::Direct {
            return real.send(py, pid, data);
        }
        let shared = real.shared();
        shared.check(py)?;
        let (payload, _) = shared.encode(pid.0, data)?;
        let Some(to) = pid.0.filter(|pid| shared.rt.is_alive(*pid)) else { return Ok(false) };
        let mut staging = self.staging.lock();
        let open = staging.mode == Mode::Staged;
        if open {
            staging.effects.stage(Effect::Send(to, payload));
        }
        Ok(open)
    }

    #[pyo3(signature = (pid, data, timeout=None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        data: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let real = self.real.get();
        self.check_direct(py, "call")?;
        real.call(py, pid, data, timeout)
    }

    fn monitor(&self, py: Python<'_>, target: PidArg) -> PyResult<u64> {
        self.check_direct(py, "monitor")?;
        self.real.get().monitor(py, target)
    }

    fn link(&self, py: Python<'_>, other: PidArg) -> PyResult<()> {
        self.check_direct(py, "link")?;
        self.real.get().link(py, other)
    }

    fn reply(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let real = self.real.get();
        if self.mode() == Mode::Direct {
            return real.reply(py, data);
        }
        real.shared().check(py)?;
        let payload = codec::encode(real.codec(), data)?;
        if self.mode() == Mode::Dropped || !self.owes_reply() {
            return Err(fail(
                py,
                ErrorKind::StaleReply,
                format!(
                    "actor {}: nothing waits for this reply (it is no call, was answered already, \
                     or another branch was faster)",
                    real.actor()
                ),
            ));
        }
        self.stage_reply(payload);
        Ok(())
    }

    fn stop(&self, py: Python<'_>) -> PyResult<bool> {
        let real = self.real.get();
        if self.mode() == Mode::Direct {
            return real.stop(py);
        }
        real.shared().check(py)?;
        if !real.shared().rt.is_alive(real.actor()) {
            return Ok(false);
        }
        let mut staging = self.staging.lock();
        let open = staging.mode == Mode::Staged;
        if open {
            staging.effects.stage(Effect::Stop(real.actor()));
        }
        Ok(open)
    }
}

struct Running {
    race: core::Race,
    branches: [Option<Py<BranchContext>>; 2],
}

/// One message and its branches; for one thread at a time.
#[pyclass(name = "Race", module = "iris", frozen)]
pub(super) struct Race {
    real: Py<Context>,
    running: Mutex<Running>,
}

/// What `iris._vortex` is told: the same numbers are there.
fn number(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Wait => 0,
        Verdict::Start => 1,
        Verdict::Hold => 2,
        Verdict::Commit(Branch::Primary) => 3,
        Verdict::Commit(Branch::Ghost) => 4,
        Verdict::Crash => 5,
        Verdict::Drop => 6,
    }
}

const fn branch_of(ghost: bool) -> Branch {
    if ghost { Branch::Ghost } else { Branch::Primary }
}

impl Race {
    /// Says what has happened, and does what follows to the branches' effects.
    fn tell(&self, py: Python<'_>, event: Event) -> u8 {
        let (verdict, branches) = {
            let mut running = self.running.lock();
            let verdict = running.race.step(event);
            let over = matches!(verdict, Verdict::Commit(_) | Verdict::Crash | Verdict::Drop);
            (verdict, if over { std::mem::take(&mut running.branches) } else { [None, None] })
        };
        // With no lock held: both may run Python.
        for (context, branch) in branches.iter().zip([Branch::Primary, Branch::Ghost]) {
            let Some(context) = context else { continue };
            if verdict == Verdict::Commit(branch) {
                context.get().commit(py);
            } else {
                context.get().lose();
            }
        }
        number(verdict)
    }
}

#[pymethods]
impl Race {
    #[new]
    fn new(hedge: &Bound<'_, Hedge>, ctx: Py<Context>) -> Self {
        let (shared, pid) = (ctx.get().shared(), ctx.get().actor());
        let race = shared.rt.begin_race(pid, &hedge.get().0);
        Self { real: ctx, running: Mutex::new(Running { race, branches: [None, None] }) }
    }

    /// The context of a branch that begins.
    fn branch(&self, py: Python<'_>, ghost: bool) -> PyResult<Py<BranchContext>> {
        let branch = BranchContext { real: self.real.clone_ref(py), staging: Mutex::default() };
        let base = Context::for_branch(py, &self.real);
        let context = Py::new(py, PyClassInitializer::from(base).add_subclass(branch))?;
        let old = self.running.lock().branches[usize::from(ghost)].replace(context.clone_ref(py));
        drop(old);
        Ok(context)
    }

    /// A branch has returned; what is no reply raises.
    fn finished(&self, py: Python<'_>, ghost: bool, value: &Bound<'_, PyAny>) -> PyResult<u8> {
        let context =
            self.running.lock().branches[usize::from(ghost)].as_ref().map(|c| c.clone_ref(py));
        if let Some(context) = context {
            context.get().finish(py, value)?;
        }
        Ok(self.tell(py, Event::Finished(branch_of(ghost))))
    }

    /// A branch has raised.
    fn failed(&self, py: Python<'_>, ghost: bool) -> u8 {
        self.tell(py, Event::Failed(branch_of(ghost)))
    }

    fn slow(&self, py: Python<'_>) -> u8 {
        self.tell(py, Event::Slow)
    }

    fn grace_over(&self, py: Python<'_>) -> u8 {
        self.tell(py, Event::GraceOver)
    }

    fn gone(&self, py: Python<'_>) -> u8 {
        self.tell(py, Event::Gone)
    }

    /// In how many seconds to say that the primary is slow; None: never.
    #[getter]
    fn ghost_after(&self) -> Option<f64> {
        self.running.lock().race.ghost_after().as_ref().map(Duration::as_secs_f64)
    }

    /// For how many seconds a ghost is held.
    #[getter]
    fn grace(&self) -> f64 {
        self.running.lock().race.grace().as_secs_f64()
    }
}

#[pymethods]
impl PyRuntime {
    /// Sets who commits of two branches, for messages from now on; False: there is no such policy.
    fn vortex_set_auto_ghost_policy(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let shared = self.open(py)?;
        let name = policy
            .cast::<PyString>()
            .map_err(|_| super::errors::wrong_type(policy, "a policy must be a str"))?;
        let policy = Policy::parse(&name.to_string_lossy());
        policy.inspect(|policy| shared.rt.vortex().set_policy(*policy));
        Ok(policy.is_some())
    }

    /// The policy in force.
    fn vortex_get_auto_ghost_policy(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(Some(self.open(py)?.rt.vortex().policy().as_str()))
    }

    /// Messages that had a ghost, by who committed: the primary, the ghost.
    fn vortex_get_auto_resolution_counts(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        Ok(self.open(py)?.rt.vortex().resolutions())
    }

    /// Ghosts that were begun because the primary had failed.
    fn vortex_get_auto_replay_count(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.open(py)?.rt.vortex().replays())
    }

    /// Sets what is counted to 0.
    fn vortex_reset_auto_telemetry(&self, py: Python<'_>) -> PyResult<()> {
        self.open(py)?.rt.vortex().reset();
        Ok(())
    }
}
