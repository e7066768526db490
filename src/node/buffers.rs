//! The entries of buffers: allocated under an id, written in place, sent without a copy. lib/buffers.js keeps the views.

use super::face::{Face, pid_of, pid_or_none};
use super::hot::answer;
use super::lent::{Block, Lent};
use super::raw::{Cx, Ret};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Payload;
use crate::runtime::{Refusal, Sent};

fn id(cx: &Cx<'_>, i: usize) -> u64 {
    cx.f64(i).filter(|x| *x >= 0.0 && x.fract() == 0.0).map_or(0, |x| x as u64)
}

/// `allocateBuffer(size, owner)`: `[id, Buffer]`; `owner` is a pid, 0: none but the runtime and this thread.
pub(super) fn allocate_buffer(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let size = cx.f64(0).unwrap_or(0.0) as usize;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let block = Block::new(size)?;
    let owner = cx.f64(1).and_then(pid_of);
    let view = cx.view(&block, size).unwrap_or_else(|| cx.buffer(vec![0; size]));
    let id = inner.rt.keep_buffer(owner, face.home, Box::new(Lent::new(block, size)))?;
    Ok(cx.ret(cx.array([cx.num(id as f64), view].into_iter())))
}

/// `sendBuffer(pid, id, view, sender)`: answers as `send`. If nobody takes it nothing has changed.
pub(super) fn send_buffer(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let to = pid_or_none(cx, 0)?;
    let mut inner = face.inner()?;
    face.sync(&mut inner);
    let id = id(cx, 1);
    let kept = inner.rt.take_buffer(id, face.home)?;
    let len = kept.bytes.bytes().len();
    let ours = cx.is_view_of(2, &*kept.bytes, len);
    if !ours && cx.with_bytes(2, <[u8]>::len) != Some(len) {
        return Err(Error::new(
            ErrorKind::InvalidType,
            format!("buffer {id} was transferred away: its memory is gone, and so is the id"),
        ));
    }
    let mut kept = Some(kept);
    let payload = || match kept.take() {
        Some(kept) if ours && cx.detach(2) => Payload::foreign(kept.bytes),
        // The host forbids views on our memory, or will not take them away.
        _ => {
            let copy = cx.with_bytes(2, |b| Payload::from(b)).unwrap_or(Payload::empty());
            cx.detach(2);
            copy
        }
    };
    let sender = cx.f64(3).and_then(pid_of);
    let sent = match to {
        Some(to) => inner.lane.send_with(to, len, payload, sender),
        None => Err(Refusal::NoSuchActor),
    };
    Ok(answer(match sent {
        Ok(arm) => Sent::Accepted { arm },
        Err(why) => {
            if let Some(kept) = kept {
                inner.rt.give_back_buffer(id, kept);
            }
            inner.lane.refuse(why)
        }
    }))
}

/// `freeBuffer(id)`: answers whether it was there.
pub(super) fn free_buffer(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(Ret::Bool(inner.rt.free_buffer(id(cx, 0))))
}

/// `addressOf(bytes)`: where they are, so that a test can see that they were not copied.
pub(super) fn address_of(_face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    Ok(cx.with_bytes(0, |b| Ret::F64(b.as_ptr() as usize as f64)).unwrap_or(Ret::Null))
}
