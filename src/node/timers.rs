//! The entries of delayed messages.

use super::face::{Face, pid};
use super::raw::{Cx, Ret};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Payload;
use crate::runtime::{TimerId, delay_from_ms};

fn payload(cx: &Cx<'_>, i: usize) -> Result<Payload> {
    cx.with_bytes(i, |b| Payload::from(b))
        .ok_or_else(|| Error::new(ErrorKind::InvalidType, "data must be a Uint8Array"))
}

fn answer(id: TimerId) -> Ret {
    Ret::F64(id.to_bits() as f64)
}

/// `sendAfter(pid, ms, bytes)`: answers the timer.
pub(super) fn send_after(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let delay = delay_from_ms(cx.f64(1).unwrap_or(f64::NAN))?;
    Ok(answer(inner.rt.send_after(pid(cx, 0)?, delay, payload(cx, 2)?)?))
}

/// `sendInterval(pid, ms, bytes)`: answers the timer.
pub(super) fn send_interval(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let interval = delay_from_ms(cx.f64(1).unwrap_or(f64::NAN))?;
    Ok(answer(inner.rt.send_interval(pid(cx, 0)?, interval, payload(cx, 2)?)?))
}

/// `cancelTimer(id)`: answers whether it was still to come.
pub(super) fn cancel_timer(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let x = cx.f64(0).unwrap_or(f64::NAN);
    let bits = x as u64;
    Ok(Ret::Bool(bits as f64 == x && inner.rt.cancel_timer(TimerId::from_bits(bits))))
}

/// `hasDelays()`: whether delayed messages are still to come, or have come and were not handled yet.
pub(super) fn has_delays(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    Ok(Ret::Bool(inner.lane.has_delays()))
}
