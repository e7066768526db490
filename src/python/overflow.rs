//! Full mailboxes: policies, sends that wait, pressure, load shedding.

use super::args::{Capacity, Count, Flag, PidArg};
use super::errors::{OrRaise, fail, wrong_type};
use super::futures;
use super::home::{self, attached};
use super::process::Waits;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::waits::Answer;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::Payload;
use crate::runtime::{Overflow, Pressure, is_lane_thread};
use pyo3::prelude::*;
use pyo3::types::PyString;

impl Shared {
    /// A send that found the mailbox full, with the policy `block`: waits for room, where waiting is possible.
    ///
    /// # Errors
    /// What a signal handler raised while it waited; then the message was not sent.
    #[cold]
    pub(super) fn wait_for_room(
        &self,
        py: Python<'_>,
        to: PidArg,
        data: Payload,
        from: Option<Pid>,
    ) -> PyResult<bool> {
        let Some(pid) = to.0 else { return Ok(false) };
        if !self.may_wait(py)? {
            return Ok(attached(py, self, || self.rt.send_as(to.0, data, from)));
        }
        let _waits = Waits::begin();
        let answer = Answer::new();
        let sink = answer.clone();
        let token =
            attached(py, self, || self.rt.send_with(pid, data, from, move |took| sink.give(took)));
        let waited = answer.wait_for(py, &self.clock, None);
        if waited.is_err()
            && let Some(token) = token
        {
            self.rt.forget_send(pid, token);
        }
        Ok(waited?.unwrap_or(false))
    }

    /// Whether this thread is its actor's, or nobody's, to block.
    pub(super) fn may_wait(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!is_lane_thread() && home::running_loop(py)?.is_none())
    }
}

impl Shared {
    /// Sends, never waits, and tells how full the mailbox is now.
    pub(super) fn send_with_pressure(
        &self,
        py: Python<'_>,
        to: PidArg,
        data: Payload,
    ) -> (bool, &'static str) {
        let took = attached(py, self, || self.rt.send_as(to.0, data, None));
        (took, self.pressure_of(to))
    }

    /// How full a mailbox is now; that of nobody is not.
    pub(super) fn pressure_of(&self, pid: PidArg) -> &'static str {
        let level = pid.0.and_then(|pid| self.rt.mailbox_backpressure(pid));
        level.unwrap_or(Pressure::Normal).as_str()
    }
}

#[pymethods]
impl PyRuntime {
    /// Says what happens to messages that find the mailbox full.
    #[pyo3(signature = (pid, policy, target=None))]
    fn set_overflow_policy(
        &self,
        py: Python<'_>,
        pid: PidArg,
        policy: &Bound<'_, PyAny>,
        target: Option<PidArg>,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        let word =
            policy.cast::<PyString>().map_err(|_| wrong_type(policy, "a policy must be a str"))?;
        let word = word.extract::<String>().map_err(|_| {
            fail(py, ErrorKind::InvalidArgument, "a policy must be encodable as UTF-8")
        })?;
        let target = target.map(|t| t.known(py)).transpose()?;
        let policy = Overflow::parse(&word, target).or_raise(py)?;
        shared.rt.set_overflow_policy(pid.known(py)?, policy).or_raise(py)
    }

    /// Sends, and waits for room where the policy is `block`; on an event loop, awaitable.
    fn send_async<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        futures::send(py, self.open(py)?, pid, data)
    }

    /// How full a mailbox is; None: there is no such actor.
    fn mailbox_backpressure(&self, py: Python<'_>, pid: PidArg) -> PyResult<Option<&'static str>> {
        let shared = self.open(py)?;
        Ok(pid.0.and_then(|pid| shared.rt.mailbox_backpressure(pid)).map(Pressure::as_str))
    }

    /// Sends, never waits, and tells how full the mailbox is now.
    fn send_with_backpressure(
        &self,
        py: Python<'_>,
        pid: PidArg,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<(bool, &'static str)> {
        let shared = self.open(py)?;
        let (data, _) = shared.encode(pid.0, data)?;
        Ok(shared.send_with_pressure(py, pid, data))
    }

    /// From how many messages on an unbounded mailbox is HIGH and CRITICAL.
    fn set_watermarks(&self, py: Python<'_>, high: Count, critical: Count) -> PyResult<()> {
        self.open(py)?.rt.set_watermarks(high.0, critical.0).or_raise(py)
    }

    /// Most live actors while load is shed; None: no bound.
    fn set_system_capacity(&self, py: Python<'_>, actors: Option<Capacity>) -> PyResult<()> {
        self.open(py)?.rt.set_system_capacity(actors.map(|n| n.0));
        Ok(())
    }

    /// Most queued messages of the whole runtime while load is shed; None: no bound.
    fn set_message_capacity(&self, py: Python<'_>, messages: Option<Capacity>) -> PyResult<()> {
        self.open(py)?.rt.set_message_capacity(messages.map(|n| n.0));
        Ok(())
    }

    /// Turns load shedding on or off.
    fn set_load_shedding(&self, py: Python<'_>, on: Flag) -> PyResult<()> {
        self.open(py)?.rt.set_load_shedding(on.0);
        Ok(())
    }

    /// Whether load is being shed right now.
    fn is_load_shedding_active(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.open(py)?.rt.is_load_shedding_active())
    }
}
