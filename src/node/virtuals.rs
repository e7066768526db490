//! The entries of virtual actors: lib/virtuals.js runs their hooks.

use super::entries::options;
use super::face::{Face, number, pid};
use super::raw::{Cx, Ret};
use crate::config::VirtualOptions;
use crate::error::Result;
use std::time::Duration;

const ON_ACTIVATE: u32 = 1;
const ON_DEACTIVATE: u32 = 2;

/// `spawnVirtual(budget, capacity, parent, idleMs, hooks)`: as `spawn`; `idleMs` is negative where there is no idle timeout.
pub(super) fn spawn_virtual(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let hooks = cx.u32(4);
    let idle = cx.f64(3).filter(|ms| *ms >= 0.0);
    let v = VirtualOptions {
        idle_timeout: idle.map(|ms| Duration::from_secs_f64((ms / 1e3).min(1e13))),
        on_activate: hooks & ON_ACTIVATE != 0,
        on_deactivate: hooks & ON_DEACTIVATE != 0,
    };
    let (pid, bounded) = inner.lane.spawn_virtual_keyed_by_slot(options(cx)?, v)?;
    face.note_control(&mut inner);
    Ok(Ret::F64(if bounded { -number(pid) } else { number(pid) }))
}

/// `hookDone(pid)`: its hook is over; answers whether the lane must be armed.
pub(super) fn hook_done(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    Ok(Ret::Bool(inner.lane.hook_done(pid(cx, 0)?)))
}

/// `hookIsDue(pid)`: whether its hook is to be run, or runs: it has not ended meanwhile.
pub(super) fn hook_is_due(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    Ok(Ret::Bool(inner.lane.hook_is_due(pid(cx, 0)?)))
}
