//! The entries of pull actors: lib/mailbox.js waits, the messages stay in the core until they are taken.

use super::entries::{crash_info, options};
use super::face::{Face, number, pid};
use super::raw::{Cx, Js, Ret};
use super::system::system_message;
use crate::error::Result;
use crate::message::Envelope;
use crate::runtime::{Peeked, Pulled};

/// What `pull` and `peek` answer when nothing will come any more.
const CLOSED: Ret = Ret::Bool(false);

/// `spawnPull(budget, capacity, parent, key)`: as `spawn`; the actor's signals come as events with `key`.
pub(super) fn spawn_pull(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    let key = cx.f64(3).unwrap_or(0.0) as u64;
    let (pid, bounded) = inner.lane.spawn_pull_keyed(options(cx)?, key)?;
    face.note_control(&mut inner);
    Ok(Ret::F64(if bounded { -number(pid) } else { number(pid) }))
}

/// A message: its bytes, an array of them and both halves of the call, or what lib/system.js makes a system message of.
fn message<'a>(cx: &Cx<'a>, e: Envelope) -> Js<'a> {
    if let Some(m) = e.payload.as_system() {
        return system_message(cx, m);
    }
    let bytes = cx.message(e.payload);
    let Some(call) = e.call.map(crate::id::CallId::to_bits) else { return bytes };
    let halves = [bytes, cx.num(f64::from(call as u32)), cx.num(f64::from((call >> 32) as u32))];
    cx.array(halves.into_iter())
}

/// `pull(pid)`: the next message, `null` if there is none, `false` if none will come.
pub(super) fn pull(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(CLOSED) };
    let pulled = inner.rt.pull(pid(cx, 0)?);
    drop(inner);
    Ok(match pulled {
        Pulled::Message(e) => cx.ret(message(cx, e)),
        Pulled::Empty => Ret::Null,
        Pulled::Closed => CLOSED,
    })
}

/// `peek(pid, place)`: `[bytes, next place]`, `null` or `false` as `pull`.
pub(super) fn peek(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(CLOSED) };
    let peeked = inner.rt.peek(pid(cx, 0)?, cx.f64(1).unwrap_or(0.0) as u64);
    drop(inner);
    Ok(match peeked {
        Peeked::Message(bytes, next) => {
            let shown = match bytes.as_system() {
                Some(m) => system_message(cx, m),
                None => cx.buffer(bytes.into_vec()),
            };
            let items = [shown, cx.num(next as f64)];
            cx.ret(cx.array(items.into_iter()))
        }
        Peeked::Empty => Ret::Null,
        Peeked::Closed => CLOSED,
    })
}

/// `takePeeked(pid, next)`: the message that `peek` showed, or `null` if it is gone.
pub(super) fn take_peeked(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Null) };
    let taken = inner.rt.take_peeked(pid(cx, 0)?, cx.f64(1).unwrap_or(0.0) as u64);
    drop(inner);
    Ok(taken.map_or(Ret::Null, |e| cx.ret(message(cx, e))))
}

/// `finishPull(pid, threw, message, stack)`: the function is over; answers whether the actor was still there.
pub(super) fn finish_pull(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.synced() else { return Ok(Ret::Bool(false)) };
    let pid = pid(cx, 0)?;
    let there = inner.rt.actor_info(pid).is_some();
    let outcome = if cx.bool(1) { Err(crash_info(cx, 2)) } else { Ok(()) };
    inner.rt.finish_pull(pid, outcome);
    face.note_control(&mut inner);
    Ok(Ret::Bool(there))
}
