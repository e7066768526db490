//! The hot entries: send, take, poll, call, reply. None allocates in V8.

use super::face::{Face, Inner, MAY_HAND, SLEEPS, align, ctl, number, pid, pid_of, pid_or_none};
use super::raw::{Cx, Ret, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::id::CallId;
use crate::message::Payload;
use crate::runtime::{Lingered, Refusal, Replied, Sent};
use std::time::Duration;

/// Answers of the sends (lib/border.js has the same names); accepted and nothing to do is `undefined`.
const REFUSED: i32 = 0;
const ARM: i32 = 1;
const CLOSED: i32 = 2;
const NOT_A_PID: i32 = 3;

/// Messages up to this size lie in slabs; larger ones are fetched one by one.
pub(super) const SMALL_MAX: usize = 4096;
/// Messages a batch.
pub(super) const BATCH_MAX: usize = 512;
/// 32-bit numbers a record: key, offset, length, flags, call low, call high. Where there is no call, low is how many messages
/// in a row JS may hand over to the actor itself before others.
const RECORD: usize = 6;

/// Most messages in a row that JS hands over to one actor before others, and where a call's flags say how many.
const MOST_IN_ROW: u32 = 1 << 20;
const PLAIN_SHIFT: i32 = 8;

const FLAG_CALL: i32 = 1;
const FLAG_SENDER: i32 = 2;
const FLAG_BIG: i32 = 4;
const FLAG_SYSTEM: i32 = 8;

pub(super) fn answer(sent: Sent) -> Ret {
    match sent {
        Sent::Accepted { arm: false } => Ret::Undefined,
        Sent::Accepted { arm: true } => Ret::I32(ARM),
        Sent::Refused(Refusal::Closed) => Ret::I32(CLOSED),
        Sent::Refused(_) => Ret::I32(REFUSED),
    }
}

/// `send(pid, bytes, sender)`: for what does not go through the outbox.
pub(super) fn send(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Some(to) = cx.f64(0) else { return Ok(Ret::I32(NOT_A_PID)) };
    let Ok(mut inner) = face.inner() else { return Ok(Ret::I32(CLOSED)) };
    let sender = cx.f64(2).and_then(pid_of);
    // Copied before the mailbox is locked: it may be many megabytes. `Err`: no mailbox would take it anyway.
    let payload = || cx.with_bytes(1, |b| Payload::from(b)).unwrap_or(Payload::empty());
    let Some(to) = pid_of(to) else {
        return Ok(answer(inner.lane.refuse(Refusal::NoSuchActor)));
    };
    face.sync(&mut inner);
    Ok(answer(match inner.lane.check_room(to) {
        Ok(()) => inner.lane.send(to, payload(), sender),
        Err(why) => inner.lane.refuse(why),
    }))
}

/// `sendPacked(pid, bytes, count)`: `count` messages, each a little-endian length and its bytes. Answers how many were
/// accepted, negative minus one if the lane must be armed.
pub(super) fn send_packed(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let to = pid_or_none(cx, 0)?;
    let mut inner = face.inner()?;
    face.sync(&mut inner);
    let count = cx.u32(2) as usize;
    let payloads = cx
        .with_bytes(1, |mut b| {
            let mut payloads = Vec::with_capacity(count);
            for _ in 0..count {
                let Some((len, rest)) = b.split_first_chunk::<4>() else { break };
                let len = (u32::from_le_bytes(*len) as usize).min(rest.len());
                payloads.push(Payload::from(&rest[..len]));
                b = &rest[len..];
            }
            payloads
        })
        .unwrap_or_default();
    let (mut accepted, mut arm) = (0.0, false);
    for payload in payloads {
        let sent = match to {
            Some(to) => inner.lane.send(to, payload, None),
            None => inner.lane.refuse(Refusal::NoSuchActor),
        };
        if let Sent::Accepted { arm: a } = sent {
            accepted += 1.0;
            arm |= a;
        }
    }
    Ok(Ret::F64(if arm { -accepted - 1.0 } else { accepted }))
}

/// `take()`: everything of the last batch is over; sends what is in the outbox, then fills records and slab with the next
/// messages. `ctl[TAKEN]` is their number; 0: fetch the events first, or look again; -1: nothing to do, the lane sleeps;
/// -2: the slab is full.
pub(super) fn take(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let mut guard = face.inner()?;
    let taken = take_batch(face, &mut guard);
    if taken == -1 {
        let now = guard.lane.now_ns();
        guard.note_hold(now);
    }
    face.memory.ctl.set_i32(ctl::TAKEN, taken);
    Ok(Ret::Undefined)
}

fn take_batch(face: &Face, inner: &mut Inner) -> i32 {
    let m = &face.memory;
    let all = inner.batch.envelopes.len();
    let given = inner.lane.given();
    inner.lane.settle(&mut inner.batch, all, all);
    // What this lane gives itself is no news.
    inner.linger.discount(inner.lane.given().wrapping_sub(given));
    m.ctl.set_i32(ctl::FINISHED, 0);
    let events = inner.lane.has_events();
    m.ctl.set_i32(ctl::EVENTS, i32::from(events));
    if events {
        // JS forgets the handlers of ended actors before it gets messages again.
        return 0;
    }
    let Some(slab) = inner.slab.as_mut().map(Shared::bytes_mut) else { return -2 };
    let mut used = inner.used;
    if used + SMALL_MAX > slab.len() {
        return -2;
    }
    let direct = inner.lane.take_direct(&mut inner.batch, BATCH_MAX, |e| {
        let need = if e.payload.len() > SMALL_MAX { 0 } else { align(e.payload.len()) };
        let fits = used + need <= slab.len();
        if fits {
            used += need;
        }
        fits
    });
    let mut at = inner.used;
    for run in &inner.batch.runs {
        for i in run.start..run.end {
            let e = &inner.batch.envelopes[i];
            let len = e.payload.len();
            let mut flags = 0;
            let from = at;
            if len > SMALL_MAX {
                flags |= FLAG_BIG;
            } else if let Some(to) = slab.get_mut(at..at + len) {
                to.copy_from_slice(&e.payload);
                at += align(len);
            }
            if len == 0 && e.payload.as_system().is_some() {
                flags |= FLAG_SYSTEM;
            }
            let call = e.call.map_or(0, CallId::to_bits);
            if call != 0 {
                flags |= FLAG_CALL;
                let key = e.call.and_then(|id| inner.lane.key_of_call(id));
                let key = key.and_then(|key| i32::try_from(key).ok());
                m.call_keys.set_i32(i, key.unwrap_or(-1));
            }
            if let Some(sender) = e.sender {
                flags |= FLAG_SENDER;
                m.senders.set_f64(i, number(sender));
            }
            let plain = run.plain.min(MOST_IN_ROW) as i32;
            let low = if call == 0 { plain } else { call as i32 };
            if call != 0 {
                flags |= plain << PLAIN_SHIFT;
            }
            let record = [run.key as i32, from as i32, len as i32, flags, low, (call >> 32) as i32];
            m.records.set_record(i * RECORD, record);
        }
    }
    inner.used = at.max(used);
    m.ctl.set_i32(ctl::USED, inner.used as i32);
    m.ctl.set_i32(ctl::DIRECT, if direct { MAY_HAND } else { 0 });
    m.ctl.set_i32(ctl::CONTROL, 0);
    face.note_control(inner);
    let n = inner.batch.envelopes.len() as i32;
    if n != 0 {
        return n;
    }
    let more = match inner.lane.linger(&mut inner.far) {
        Lingered::Idle => inner.linger.wait(&inner.lane),
        Lingered::Vain => false,
        Lingered::Found => true,
    };
    if more {
        return 0;
    }
    match inner.lane.try_sleep_direct() {
        None => 0,
        Some(direct) => {
            m.ctl.set_i32(ctl::DIRECT, if direct { SLEEPS } else { 0 });
            -1
        }
    }
}

/// `linger()`: the turn of the loop is over and the lane sleeps; whether there is something to do after a moment of looking for
/// news of other nodes.
pub(super) fn linger(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let mut guard = face.inner()?;
    let inner = &mut *guard;
    Ok(Ret::Bool(inner.lane.linger_asleep(&mut inner.far)))
}

/// `flush()`: sends what is in the outbox, which every entry does first.
pub(super) fn flush(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    face.inner()?;
    Ok(Ret::Undefined)
}

/// `lease(pid)`: whether JS may promise messages to this actor of another thread.
pub(super) fn lease(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    Ok(Ret::Bool(pid_or_none(cx, 0)?.is_some_and(|pid| inner.lane.lease(pid))))
}

/// `slab(bytes)`: a fresh slab; messages that lie in older ones are untouched.
pub(super) fn slab(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    inner.slab = cx.shared(0);
    inner.used = 0;
    Ok(Ret::Undefined)
}

/// `beginSlice()`: [`poll`], and the beginning of a hold of the loop.
pub(super) fn begin_slice(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    face.inner()?.begin_hold();
    poll(face, cx)
}

/// `poll()`: writes the time, in milliseconds, to the shared clock, and looks whether other threads stopped actors.
pub(super) fn poll(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let now = inner.lane.now_ns();
    face.memory.clock.set_f64(0, now as f64 / 1e6);
    inner.note_hold(now);
    face.note_control(&mut inner);
    Ok(Ret::Undefined)
}

/// `endSlice(at)`: raises the flag that JS looks at before each message once the shared clock would show `at`.
pub(super) fn end_slice(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let at = cx.f64(0).unwrap_or(0.0);
    face.inner()?.lane.end_slice_at((at * 1e6) as u64);
    Ok(Ret::Undefined)
}

/// `call(pid, bytes, timeoutMs, key, caller)`: answers `ARM` or `undefined`, and the id through the
/// control array.
pub(super) fn call(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let to = pid(cx, 0)?;
    let mut inner = face.inner()?;
    face.sync(&mut inner);
    let payload = cx
        .with_bytes(1, |b| Payload::from(b))
        .ok_or_else(|| Error::new(ErrorKind::InvalidType, "data must be a Uint8Array"))?;
    let timeout = Duration::from_secs_f64(cx.f64(2).unwrap_or(0.0) / 1e3);
    let key = cx.f64(3).unwrap_or(0.0) as u64;
    let caller = cx.f64(4).and_then(pid_of);
    let (id, arm) = inner.lane.call(to, payload, timeout, caller, key)?;
    face.memory.ctl.set_i32(ctl::CALL_LOW, id.to_bits() as i32);
    face.memory.ctl.set_i32(ctl::CALL_HIGH, (id.to_bits() >> 32) as i32);
    Ok(if arm { Ret::I32(ARM) } else { Ret::Undefined })
}

/// Arguments `i` and `i + 1` as a call.
pub(super) fn call_id(cx: &Cx<'_>, i: usize) -> Option<CallId> {
    CallId::from_bits(u64::from(cx.u32(i + 1)) << 32 | u64::from(cx.u32(i)))
}

/// `reply(low, high, bytes)`: answers the caller's key if the caller is on this loop (JS settles the promise itself), -1
/// if the reply was delivered elsewhere, -2 if it is late.
pub(super) fn reply(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let replied = call_id(cx, 0).map_or(Replied::Late, |id| {
        inner.lane.reply(id, || cx.with_bytes(2, |b| Payload::from(b)).unwrap_or(Payload::empty()))
    });
    Ok(settled(&replied))
}

/// How JS hears of a settled call.
pub(super) fn settled(replied: &Replied) -> Ret {
    Ret::F64(match replied {
        Replied::Here(key) => *key as f64,
        Replied::Delivered => -1.0,
        Replied::Late => -2.0,
    })
}
