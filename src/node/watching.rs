//! Monitors and links: lib/watching.js keeps the callbacks.

use super::face::{Face, pid, pid_or_none};
use super::raw::{Cx, Ret};
use crate::error::Result;

/// `monitor(target, watcher, key)`: `watcher` is a pid, or `undefined`: then the end comes as the join with `key`. Answers
/// the reference.
pub(super) fn monitor(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let target = pid(cx, 0)?;
    let reference = match cx.f64(1) {
        Some(_) => inner.rt.monitor(target, pid(cx, 1)?)?,
        None => inner.lane.monitor(target, cx.f64(2).unwrap_or(0.0) as u64)?,
    };
    Ok(Ret::F64(reference as f64))
}

/// `demonitor(reference)`: whether the end was still to come.
pub(super) fn demonitor(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let reference = cx.f64(0).unwrap_or(0.0);
    Ok(Ret::Bool(reference >= 0.0 && inner.rt.demonitor(reference as u64)))
}

/// `link(a, b)`
pub(super) fn link(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.link(pid(cx, 0)?, pid(cx, 1)?)?;
    face.note_control(&mut inner);
    Ok(Ret::Undefined)
}

/// `unlink(a, b)`: whether there was a link.
pub(super) fn unlink(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let (a, b) = (pid_or_none(cx, 0)?, pid_or_none(cx, 1)?);
    Ok(Ret::Bool(a.zip(b).is_some_and(|(a, b)| inner.rt.unlink(a, b))))
}

/// `setTrapExit(pid, traps)`: what was set before.
pub(super) fn set_trap_exit(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    Ok(Ret::Bool(inner.rt.set_trap_exit(pid(cx, 0)?, cx.bool(1))?))
}
