//! Hot swap: another handler for an actor that lives on, and the way back.
//!
//! A handler is looked up for each message with the GIL held, and changed with the GIL held: so each message sees exactly
//! one version, and every message after the swap the new one. What goes is dropped when no lock is held.

use super::args::{Count, PidArg};
use super::behavior::{Behavior, Slot};
use super::errors::fail;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::slots::Versions;
use super::telemetry;
use crate::error::ErrorKind;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;

/// How many handlers are kept to go back to.
const KEPT: usize = 16;

/// What a hot swap has replaced.
#[derive(Default)]
pub(super) struct Past {
    /// Swaps so far: the highest version is one more.
    swaps: u64,
    /// The versions before the one in force, the newest at the back.
    kept: VecDeque<Behavior>,
}

/// Puts `new` in force; answers the version, and the handler that is kept no longer.
fn swap(slot: &mut Slot, past: Versions<'_>, mut new: Behavior) -> (u64, Option<Behavior>) {
    let past = past.or_default();
    past.swaps += 1;
    new.version = u32::try_from(1 + past.swaps).unwrap_or(u32::MAX);
    let old = std::mem::replace(&mut slot.now, new);
    past.kept.push_back(old);
    let forgotten = if past.kept.len() > KEPT { past.kept.pop_front() } else { None };
    (u64::from(slot.now.version), forgotten)
}

/// Goes back; answers the version and what is forgotten.
///
/// # Errors
/// How many versions are kept, if that is too few.
fn roll_back(
    slot: &mut Slot,
    past: Versions<'_>,
    steps: usize,
) -> Result<(u64, Vec<Behavior>), usize> {
    let Entry::Occupied(mut past) = past else { return Err(0) };
    let kept = past.get().kept.len();
    if steps > kept {
        return Err(kept);
    }
    let mut newer: Vec<Behavior> = past.get_mut().kept.drain(kept - steps..).collect();
    // The oldest of those comes into force, and what was in force is forgotten in its place.
    std::mem::swap(&mut slot.now, &mut newer[0]);
    Ok((u64::from(slot.now.version), newer))
}

impl Shared {
    fn change<R>(
        &self,
        py: Python<'_>,
        pid: PidArg,
        change: impl FnOnce(&mut Slot, Versions<'_>) -> R,
    ) -> PyResult<R> {
        let pid = pid.known(py)?;
        let mut change = Some(change);
        for engine in self.engines() {
            let found =
                engine.with_versions(py, pid, |slot, past| change.take().map(|c| c(slot, past)));
            if let Some(Some(result)) = found {
                return Ok(result);
            }
        }
        Err(match self.rt.actor_info(pid) {
            Some(info) if info.kind == "remote" => fail(
                py,
                ErrorKind::NotLocal,
                format!("pid {pid} lives on another node; handlers do not travel"),
            ),
            Some(info) => fail(
                py,
                ErrorKind::InvalidArgument,
                format!("pid {pid} is a {} actor; only push actors can be swapped", info.kind),
            ),
            None => fail(
                py,
                ErrorKind::NoSuchActor,
                format!("no such actor: pid {pid} is unknown, dead or of another runtime"),
            ),
        })
    }
}

#[pymethods]
impl PyRuntime {
    /// Gives an actor another handler; answers the version now in force.
    fn hot_swap(
        slf: &Bound<'_, Self>,
        pid: PidArg,
        new_handler: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        let codec = shared.codec_of(py, pid.0)?;
        let vortex = shared.change(py, pid, |slot, _| slot.origin.as_ref()?.vortex.clone())?;
        let raced = vortex.map(|v| v.call_method1(py, "wrap", (new_handler,))).transpose()?;
        let new_handler = raced.as_ref().map_or(new_handler, |raced| raced.bind(py));
        let handler = telemetry::swapped(new_handler, codec.as_deref())?;
        let shape = Self::shape_of(slf, &handler)?;
        let new = Behavior { handler: handler.unbind(), wants_ctx: shape.wants_ctx, version: 0 };
        let (version, forgotten) = shared.change(py, pid, |slot, past| swap(slot, past, new))?;
        drop(forgotten);
        Ok(version)
    }

    /// The version of the handler in force.
    fn behavior_version(&self, py: Python<'_>, pid: PidArg) -> PyResult<u64> {
        self.open(py)?.change(py, pid, |slot, _| u64::from(slot.now.version))
    }

    /// Goes back to an earlier handler; answers the version now in force.
    #[pyo3(signature = (pid, steps=Count(1)), text_signature = "($self, pid, steps=1)")]
    fn rollback_behavior(&self, py: Python<'_>, pid: PidArg, steps: Count) -> PyResult<u64> {
        let shared = self.open(py)?;
        if steps.0 == 0 {
            return Err(fail(py, ErrorKind::InvalidArgument, "steps must be 1 or more"));
        }
        let back = shared.change(py, pid, |slot, past| roll_back(slot, past, steps.0 as usize))?;
        let (version, forgotten) = back.map_err(|kept| {
            fail(
                py,
                ErrorKind::InvalidArgument,
                format!("cannot go back {} versions: {kept} are kept", steps.0),
            )
        })?;
        drop(forgotten);
        Ok(version)
    }
}
