//! The entries of pull actors: lib/mailbox.js waits, the messages stay in the core until they are taken.

use super::entries::{crash_info, options};
use super::face::{Face, Inner, align, ctl, number, pid};
use super::hot::SMALL_MAX;
use super::raw::{Cx, Js, Ret, Shared};
use super::system::system_message;
use crate::error::Result;
use crate::id::Pid;
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

/// Most messages that `pull` shows.
pub(super) const SHOWN_MAX: usize = 128;

/// `pullSlab(bytes)`: a fresh slab for what `pull` shows.
pub(super) fn pull_slab(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    inner.pulls = (cx.shared(0), 0, None);
    Ok(Ret::Undefined)
}

/// Lays up to `max` messages for JS, which may give them to the actor until it enters the core again: `Some` is how many, or -1
/// if the slab is full.
fn show(face: &Face, inner: &mut Inner, pid: Pid, max: usize) -> Option<i32> {
    let (slab, used, of) = &mut inner.pulls;
    let slab = slab.as_mut().map(Shared::bytes_mut)?;
    let m = &face.memory;
    let (from, mut at, mut n, mut full) = (*used, *used, 0, false);
    let (shown, all) = inner.lane.look_ahead(pid, |e| {
        let len = e.payload.len();
        if n == max || len > SMALL_MAX {
            return false;
        }
        let Some(to) = slab.get_mut(at..at + len) else {
            full = true;
            return false;
        };
        to.copy_from_slice(&e.payload);
        m.shown.set_i32(n, len as i32);
        at += align(len);
        n += 1;
        true
    });
    if shown == 0 {
        return full.then_some(-1);
    }
    (*used, *of) = (at, Some(pid));
    m.ctl.set_i32(ctl::AHEAD, 1 + i32::from(all));
    m.ctl.set_i32(ctl::AHEAD_DONE, 0);
    m.ctl.set_i32(ctl::AHEAD_AT, from as i32);
    Some(shown as i32)
}

/// `pull(pid, max)`: the next message, `null` if there is none, `false` if none will come; a number: so many messages, up to `max`,
/// lie in the slab of pulls; -1: there must be another first.
pub(super) fn pull(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.inner() else { return Ok(CLOSED) };
    let pid = pid(cx, 0)?;
    let max = (cx.u32(1) as usize).min(SHOWN_MAX);
    if max != 0
        && let Some(n) = show(face, &mut inner, pid, max)
    {
        return Ok(Ret::I32(n));
    }
    let pulled = inner.rt.pull(pid);
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
