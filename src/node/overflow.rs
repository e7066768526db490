//! The entries of full mailboxes, pressure and load shedding.

use super::entries::text;
use super::face::{Face, number, pid, pid_or_none};
use super::raw::{Cx, Ret};
use crate::error::Result;
use crate::message::Payload;
use crate::runtime::{Overflow, Refusal};

/// `setOverflowPolicy(pid, word, target)`: `target` is `undefined` where there is none.
pub(super) fn set_overflow_policy(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let target = if cx.f64(2).is_some() { Some(pid(cx, 2)?) } else { None };
    let policy = Overflow::parse(&text(cx, 1, "policy")?, target)?;
    inner.rt.set_overflow_policy(pid(cx, 0)?, policy)?;
    Ok(Ret::Undefined)
}

/// `sendAsync(pid, bytes, key)`: whether the mailbox took it comes as the outcome of the call with `key`. Answers a token
/// for `forgetSend`, `null` if the outcome is there, or `false` if there is no such actor: then nothing comes.
pub(super) fn send_async(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let Some(to) = pid_or_none(cx, 0)? else {
        inner.lane.refuse(Refusal::NoSuchActor);
        return Ok(Ret::Bool(false));
    };
    let payload = cx.with_bytes(1, |b| Payload::from(b)).unwrap_or(Payload::empty());
    let token = inner.lane.send_wait(to, payload, cx.f64(2).unwrap_or(0.0) as u64);
    Ok(token.map_or(Ret::Null, |t| Ret::F64(t as f64)))
}

/// `forgetSend(pid, token)`: a sender gave up; answers whether it was still waiting.
pub(super) fn forget_send(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.synced() else { return Ok(Ret::Bool(false)) };
    let token = cx.f64(1).unwrap_or(-1.0);
    Ok(Ret::Bool(token >= 0.0 && inner.rt.forget_send(pid(cx, 0)?, token as u64)))
}

/// `mailboxBackpressure(pid)`: the level, or `null`.
pub(super) fn mailbox_backpressure(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let level = pid_or_none(cx, 0)?.and_then(|pid| inner.rt.mailbox_backpressure(pid));
    Ok(level.map_or(Ret::Null, |level| cx.ret(cx.str(level.as_str()))))
}

/// `setWatermarks(high, critical)`
pub(super) fn set_watermarks(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    inner.rt.set_watermarks(cx.u32(0), cx.u32(1))?;
    Ok(Ret::Undefined)
}

fn bound(cx: &Cx<'_>) -> Option<u64> {
    cx.f64(0).map(|n| n as u64)
}

/// `setSystemCapacity(actors)`; `null`: none.
pub(super) fn set_system_capacity(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    inner.rt.set_system_capacity(bound(cx));
    Ok(Ret::Undefined)
}

/// `setMessageCapacity(messages)`; `null`: none.
pub(super) fn set_message_capacity(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    inner.rt.set_message_capacity(bound(cx));
    Ok(Ret::Undefined)
}

/// `setLoadShedding(on)`
pub(super) fn set_load_shedding(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    inner.rt.set_load_shedding(cx.bool(0));
    Ok(Ret::Undefined)
}

/// `isLoadSheddingActive()`
pub(super) fn is_load_shedding_active(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(Ret::Bool(inner.rt.is_load_shedding_active()))
}

/// Levels that `pressures` answers at most at once: the time slice is looked at in between.
const LEVELS: usize = 64;

/// `watchPressure(on)`: from now on levels that change are told by an event, or no more.
pub(super) fn watch_pressure(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    inner.pressure = if cx.bool(0) { Some(inner.lane.watch_pressure()) } else { None };
    Ok(Ret::Undefined)
}

/// `pressures()`: a pid and its level for each change, flat, in their order.
pub(super) fn pressures(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let changes = inner.pressure.as_ref().map(|w| w.take_some(LEVELS)).unwrap_or_default();
    drop(inner);
    let items =
        changes.into_iter().flat_map(|(pid, level)| [cx.num(number(pid)), cx.str(level.as_str())]);
    Ok(cx.ret(cx.array(items.collect::<Vec<_>>().into_iter())))
}
