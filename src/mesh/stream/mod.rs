//! A session's stream: bytes in order that survive the connections which carry them. Pure: no socket, no clock.
//!
//! ```text
//!   base            cursor                 end         Outbound: kept until the peer has them
//!    |--- sent, not acknowledged ---|--- not sent ---|
//!                                                      Inbound: what was received, up to the first unfinished operation
//! ```
//!
//! Both directions count bytes from 0 at the session's begin. Every DATA record says where its bytes begin, so whatever
//! comes twice is cut off and a hole is noticed; after a new connection both say how far they have received, and the
//! sender goes on from there.

use super::wire::op::{self, Op};
use super::wire::{Malformed, OP_OVERHEAD, Reader};
use crate::message::Payload;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A chunk of small operations is closed when it is this long, in bytes.
const CHUNK: usize = 32 << 10;
/// Payloads from this length on stay where they are instead of being copied into a chunk, in bytes.
const OWN_CHUNK: usize = 8 << 10;
/// A payload up to this length gets its memory when its first bytes have come, in bytes.
const AT_ONCE: usize = 256 << 10;

enum Bytes {
    /// Whole operations, or the head of one whose payload follows.
    Ops(Vec<u8>),
    /// The payload of the operation whose head ends the chunk before. Shared with the connection that is writing it.
    Payload(Arc<Vec<u8>>),
}

/// A piece of the stream on its way out.
pub enum Piece<'a> {
    /// To be copied: it may be gone when the next acknowledgement comes.
    Small(&'a [u8]),
    /// A part of a large payload, to be written from where it is.
    Large(&'a Arc<Vec<u8>>, Range<usize>),
}

impl Piece<'_> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(payload, part) => &payload[part.clone()],
        }
    }
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Ops(v) => v,
            Self::Payload(p) => p,
        }
    }
}

/// What goes to the peer.
#[derive(Default)]
pub struct Outbound {
    chunks: VecDeque<Bytes>,
    /// Chunks that were given back, to be used again.
    spare: Vec<Vec<u8>>,
    /// Where the first chunk begins.
    first: u64,
    acked: u64,
    cursor: u64,
    end: u64,
}

impl Outbound {
    /// Appends an operation.
    pub fn push(&mut self, op: &Op<'_>) {
        let tail = self.tail();
        let before = tail.len();
        op.put(tail);
        self.end += (tail.len() - before) as u64;
    }

    /// Appends an operation whose payload is empty so far, and that payload.
    pub fn push_with(&mut self, head: &Op<'_>, payload: Payload) {
        let own = payload.len() >= OWN_CHUNK;
        let tail = self.tail();
        let before = tail.len();
        head.put_head(tail, payload.len());
        if !own {
            tail.extend_from_slice(&payload);
        }
        self.end += (tail.len() - before) as u64;
        if own {
            self.end += payload.len() as u64;
            self.chunks.push_back(Bytes::Payload(Arc::new(payload.into_vec())));
        }
    }

    fn tail(&mut self) -> &mut Vec<u8> {
        let fits = matches!(self.chunks.back(), Some(Bytes::Ops(v)) if v.len() < CHUNK);
        if !fits {
            let fresh = self.spare.pop().unwrap_or_default();
            self.chunks.push_back(Bytes::Ops(fresh));
        }
        match self.chunks.back_mut() {
            Some(Bytes::Ops(v)) => v,
            _ => unreachable!("the last chunk was just made"),
        }
    }

    /// Bytes that the peer has not acknowledged, sent or not.
    #[must_use]
    pub fn kept(&self) -> usize {
        (self.end - self.acked) as usize
    }

    /// Bytes that were not sent over the current connection.
    #[must_use]
    pub fn unsent(&self) -> usize {
        (self.end - self.cursor) as usize
    }

    /// The next bytes to send, up to `most`, piece by piece; answers how many they are. They begin at
    /// [`cursor`](Self::cursor); [`sent`](Self::sent) moves on.
    pub fn next<'a>(&'a self, most: usize, mut each: impl FnMut(Piece<'a>)) -> usize {
        let mut skip = (self.cursor - self.first) as usize;
        let mut taken = 0;
        for chunk in &self.chunks {
            let length = chunk.get().len();
            if skip >= length {
                skip -= length;
                continue;
            }
            let part = skip..length.min(skip + most - taken);
            skip = 0;
            taken += part.len();
            each(match chunk {
                Bytes::Ops(ops) => Piece::Small(&ops[part]),
                Bytes::Payload(payload) => Piece::Large(payload, part),
            });
            if taken == most {
                break;
            }
        }
        taken
    }

    /// Where in the stream the next bytes to send begin.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// `n` more bytes were handed to the connection.
    pub fn sent(&mut self, n: usize) {
        self.cursor = (self.cursor + n as u64).min(self.end);
    }

    /// The peer has received the stream up to `offset`.
    ///
    /// # Errors
    /// `Gap` if that much was never sent.
    pub fn ack(&mut self, offset: u64) -> Result<(), Malformed> {
        if offset > self.end {
            return Err(Malformed::Gap);
        }
        if offset <= self.acked {
            return Ok(());
        }
        self.acked = offset;
        self.cursor = self.cursor.max(offset);
        // A chunk of operations goes whole, so that what is left can be counted; and only with the payload behind it.
        while let Some(chunk) = self.chunks.front() {
            let n = chunk.get().len() as u64;
            if self.first + n > offset {
                break;
            }
            if let Some(Bytes::Payload(p)) = self.chunks.get(1)
                && self.first + n + p.len() as u64 > offset
            {
                break;
            }
            self.first += n;
            if let Some(Bytes::Ops(mut v)) = self.chunks.pop_front()
                && self.spare.len() < 4
                && v.capacity() <= 2 * CHUNK
            {
                v.clear();
                self.spare.push(v);
            }
        }
        Ok(())
    }

    /// A new connection begins: the peer has received the stream up to `offset`, and what comes after goes out again.
    ///
    /// # Errors
    /// `Gap` if that much was never sent.
    pub fn resume(&mut self, offset: u64) -> Result<(), Malformed> {
        self.ack(offset)?;
        // Another connection may have brought a later acknowledgement in the meantime.
        self.cursor = self.acked;
        Ok(())
    }

    /// The messages (sends and calls) that the peer has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<Unacknowledged> {
        let mut found = Vec::new();
        let mut at = self.first;
        let mut chunks = self.chunks.iter().peekable();
        while let Some(chunk) = chunks.next() {
            let Bytes::Ops(ops) = chunk else {
                at += chunk.get().len() as u64;
                continue;
            };
            let mut r = Reader(ops);
            while !r.0.is_empty() {
                let before = r.0.len();
                let Ok(n) = r.varint() else { break };
                let n = n as usize;
                let outside = n.saturating_sub(r.0.len());
                let Ok(head) = r.bytes(n - outside) else { break };
                at += (before - r.0.len()) as u64;
                if at + outside as u64 <= self.acked {
                    continue;
                }
                let Ok(op) = Op::decode(head) else { continue };
                let (Op::Send { to, payload, .. } | Op::Call { to, payload, .. }) = op else {
                    continue;
                };
                let payload = match chunks.peek() {
                    Some(Bytes::Payload(p)) if outside != 0 => Vec::clone(p).into(),
                    _ => payload.into(),
                };
                found.push(Unacknowledged { to, payload });
            }
        }
        found
    }
}

/// A message whose fate is not known.
#[derive(Debug)]
pub struct Unacknowledged {
    /// To whom, on the peer.
    pub to: u64,
    /// The bytes.
    pub payload: Payload,
}

/// The begin of an operation whose end has not come.
enum Partial {
    /// All of it so far, from its length on.
    Whole(Vec<u8>),
    /// An operation that ends with a payload: what stands before that, and the payload so far, which needs no copy when
    /// it is complete.
    Payload { head: Vec<u8>, payload: Vec<u8>, length: usize },
}

impl Default for Partial {
    fn default() -> Self {
        Self::Whole(Vec::new())
    }
}

/// What comes from the peer.
#[derive(Default)]
pub struct Inbound {
    received: u64,
    partial: Partial,
    /// Bytes that came twice.
    doubled: u64,
}

impl Inbound {
    /// Bytes received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that came twice and were dropped.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.doubled
    }

    /// Takes the bytes of a DATA record and gives every operation that is complete to `each`, in order, once. The payload
    /// of a long one comes beside it, in memory of its own, and is empty in the operation.
    ///
    /// # Errors
    /// `Gap` if bytes are missing before these: the connection is of no use any more, the session is. Anything else means
    /// that the peer does not speak this protocol.
    pub fn accept(
        &mut self,
        offset: u64,
        bytes: &[u8],
        max_payload: usize,
        mut each: impl FnMut(Op<'_>, Option<Vec<u8>>),
    ) -> Result<(), Malformed> {
        if offset > self.received {
            return Err(Malformed::Gap);
        }
        let known = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        self.doubled += known.min(bytes.len()) as u64;
        let Some(mut fresh) = bytes.get(known..) else { return Ok(()) };
        self.received += fresh.len() as u64;
        let most =
            max_payload.saturating_add(OP_OVERHEAD).max(2 * op::MAX_ERROR_TEXT + OP_OVERHEAD);
        if let Partial::Whole(begun) = &mut self.partial
            && !begun.is_empty()
        {
            fresh = complete(begun, fresh, most, &mut each)?;
            // What is left is either whole operations or nothing.
            if !begun.is_empty() {
                return Ok(());
            }
        }
        if let Partial::Payload { head, payload, length } = &mut self.partial {
            let (now, rest) = fresh.split_at(fresh.len().min(*length - payload.len()));
            append(payload, now, *length);
            if payload.len() < *length {
                return Ok(());
            }
            each(Op::decode(head)?, Some(std::mem::take(payload)));
            self.partial = Partial::default();
            fresh = rest;
        }
        while let Some((head, body)) = op::split(fresh, most)? {
            each(Op::decode(&fresh[head..head + body])?, None);
            fresh = &fresh[head + body..];
        }
        self.begin(fresh);
        Ok(())
    }

    /// Bytes of memory for the unfinished operation.
    #[cfg(test)]
    fn held(&self) -> usize {
        match &self.partial {
            Partial::Whole(begun) => begun.capacity(),
            Partial::Payload { head, payload, .. } => head.capacity() + payload.capacity(),
        }
    }

    /// Keeps the begin of an operation.
    fn begin(&mut self, fresh: &[u8]) {
        if fresh.is_empty() {
            return;
        }
        let mut r = Reader(fresh);
        if let Ok(body) = r.varint()
            && let Some(head) = op::payload_at(r.0)
        {
            let length = body as usize - head;
            let (head, so_far) = r.0.split_at(head);
            let mut payload = Vec::new();
            append(&mut payload, so_far, length);
            self.partial = Partial::Payload { head: head.to_vec(), payload, length };
        } else if let Partial::Whole(begun) = &mut self.partial {
            begun.extend_from_slice(fresh);
        }
    }
}

/// Appends to a buffer that will have `length` bytes; it is made at once if that is little, and otherwise grows as its bytes
/// come.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], length: usize) {
    if length <= AT_ONCE {
        buffer.reserve_exact(length - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// Adds to the unfinished operation just what it needs; answers the rest.
fn complete<'a>(
    begun: &mut Vec<u8>,
    mut fresh: &'a [u8],
    most: usize,
    each: &mut impl FnMut(Op<'_>, Option<Vec<u8>>),
) -> Result<&'a [u8], Malformed> {
    // The length field first, a byte at a time: it may be cut too.
    while op::split(begun, most)?.is_none() && Reader(begun).varint().is_err() {
        let Some((byte, rest)) = fresh.split_first() else { return Ok(fresh) };
        begun.push(*byte);
        fresh = rest;
    }
    let mut r = Reader(begun);
    let body = r.varint()? as usize;
    let have = r.0.len();
    let head = begun.len() - have;
    let (now, rest) = fresh.split_at(fresh.len().min(body.saturating_sub(have)));
    begun.extend_from_slice(now);
    // The check of the length, even when nothing more came.
    if op::split(begun, most)?.is_some() {
        each(Op::decode(&begun[head..])?, None);
        if begun.capacity() <= CHUNK {
            begun.clear();
        } else {
            *begun = Vec::new();
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests;
