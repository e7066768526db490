//! Operations: what a session's stream says, each after its length.

use super::{Malformed, Reader, put_text, put_varint, varint_len};
use crate::error::ErrorKind;
use crate::message::ExitReason;

/// Longest name, in bytes: the registry's.
const MAX_NAME: usize = 1024;
/// Longest name of a codec, in bytes: what its registration allows.
pub const MAX_CODEC: usize = 255;
/// Longest message and stack of an error, in bytes each.
pub const MAX_ERROR_TEXT: usize = 16 << 10;

const SEND: u8 = 1;
const CALL: u8 = 2;
const REPLY: u8 = 3;
const FAIL: u8 = 4;
const CANCEL: u8 = 5;
const RESOLVE: u8 = 6;
const RESOLVED: u8 = 7;
const WATCH: u8 = 8;
const CREDIT: u8 = 9;
const EXIT: u8 = 10;
const STOP: u8 = 11;
const LINK: u8 = 12;
const INFO: u8 = 13;
const INFO_IS: u8 = 14;
const GOODBYE: u8 = 15;
const GOSSIP: u8 = 16;
const DOWN: u8 = 17;
const TRAP: u8 = 18;
const LINK_FAR: u8 = 19;

/// Longest exported pid, in bytes.
pub const MAX_EXPORTED: usize = 768;
const CODEC: u8 = 20;

/// How to end a remote actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopMode {
    /// What is queued is dropped.
    Stop = 0,
    /// What is queued is handled first.
    Drain = 1,
    /// At once.
    Kill = 2,
}

/// An error's or a crash's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Texts<'a> {
    /// The message.
    pub message: &'a str,
    /// The host's stack trace; empty: none.
    pub stack: &'a str,
}

/// An operation. Pids are the bits of the node that the actor lives on; `from` is the sender's own, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// A message.
    Send {
        /// To whom.
        to: u64,
        /// From whom.
        from: u64,
        /// The bytes.
        payload: &'a [u8],
    },
    /// A message that wants an answer.
    Call {
        /// To whom.
        to: u64,
        /// From whom.
        from: u64,
        /// The asker's number of the call.
        id: u64,
        /// What is left until its deadline, in milliseconds.
        timeout_ms: u64,
        /// The bytes.
        payload: &'a [u8],
    },
    /// The answer to a call.
    Reply {
        /// Which.
        id: u64,
        /// The bytes.
        payload: &'a [u8],
    },
    /// The failure of a call.
    Fail {
        /// Which.
        id: u64,
        /// Why.
        kind: ErrorKind,
        /// In words.
        texts: Texts<'a>,
    },
    /// Nobody waits for the call any more.
    Cancel {
        /// Which.
        id: u64,
    },
    /// Who has this name?
    Resolve {
        /// The asker's number of the question.
        id: u64,
        /// The name.
        name: &'a str,
    },
    /// The answer: the pid, or 0; the answerer watches it for the asker.
    Resolved {
        /// Which question.
        id: u64,
        /// Who.
        pid: u64,
        /// Messages that it takes for a start.
        credit: u64,
    },
    /// Tell when this actor ends, and how many messages it takes.
    Watch {
        /// Whom.
        pid: u64,
    },
    /// So many more messages may be sent to this actor.
    Credit {
        /// Whom.
        pid: u64,
        /// How many.
        more: u64,
    },
    /// A watched actor has ended.
    Exit {
        /// Who.
        pid: u64,
        /// Why.
        reason: ExitReason,
        /// What was thrown.
        texts: Texts<'a>,
    },
    /// End this actor.
    Stop {
        /// Whom.
        pid: u64,
        /// How.
        mode: StopMode,
    },
    /// Link `to`, which lives with the receiver, with `from`, which lives with the sender; or take that link away.
    Link {
        /// The receiver's actor.
        to: u64,
        /// The sender's actor.
        from: u64,
        /// Whether they are to be linked.
        on: bool,
    },
    /// What is known of this actor?
    Info {
        /// The asker's number of the question.
        id: u64,
        /// Whom.
        pid: u64,
    },
    /// The answer.
    InfoIs {
        /// Which question.
        id: u64,
        /// Whether it is alive.
        alive: bool,
        /// Messages that wait.
        queue: u64,
        /// Mailbox bound, 0 for none.
        capacity: u64,
        /// Messages handled.
        handled: u64,
    },
    /// The node ends the session on purpose.
    Goodbye,
    /// Bytes of the membership protocol.
    Gossip {
        /// The bytes.
        payload: &'a [u8],
    },
    /// The end of an actor that `to`, which lives with the receiver, was made the watcher of. It counts as a message.
    Down {
        /// The watcher.
        to: u64,
        /// The monitor's reference, on the sender's node.
        reference: u64,
        /// How it ended.
        reason: ExitReason,
        /// Who, as an exported pid; empty: the sender cannot say any more.
        about: &'a [u8],
        /// What was thrown.
        texts: Texts<'a>,
    },
    /// Say whether this actor traps exits.
    Trap {
        /// Whom.
        pid: u64,
        /// Whether it does.
        on: bool,
    },
    /// Link `to`, which lives with the receiver, with an actor of any node; or take that link away.
    LinkFar {
        /// The receiver's actor.
        to: u64,
        /// Whether they are to be linked.
        on: bool,
        /// The other, as an exported pid.
        other: &'a [u8],
    },
    /// What the messages of an actor of the sender's are encoded with; it comes before whatever first speaks of that actor.
    Codec {
        /// Whose.
        pid: u64,
        /// Its name.
        name: &'a str,
    },
    /// Something of a later version; skipped.
    Unknown {
        /// Its kind.
        kind: u8,
    },
}

impl<'a> Op<'a> {
    /// Appends the operation and its length.
    pub fn put(&self, out: &mut Vec<u8>) {
        let length = self.len();
        put_varint(out, length as u64);
        out.reserve(length);
        let start = out.len();
        self.put_body(out);
        debug_assert_eq!(out.len() - start, length, "{self:?}");
    }

    /// Appends everything but the payload, which has to follow: for payloads that are not to be copied.
    pub fn put_head(&self, out: &mut Vec<u8>, payload: usize) {
        put_varint(out, (self.len() + payload) as u64);
        self.put_body(out);
    }

    fn len(&self) -> usize {
        let v = varint_len;
        let t = |t: &str, most: usize| {
            let n = cut(t, most).len();
            v(n as u64) + n
        };
        1 + match *self {
            Self::Send { to, from, payload } => v(to) + v(from) + payload.len(),
            Self::Call { to, from, id, timeout_ms, payload } => {
                v(to) + v(from) + v(id) + v(timeout_ms) + payload.len()
            }
            Self::Reply { id, payload } => v(id) + payload.len(),
            Self::Fail { id, texts, .. } => {
                v(id) + 1 + t(texts.message, MAX_ERROR_TEXT) + t(texts.stack, MAX_ERROR_TEXT)
            }
            Self::Cancel { id } => v(id),
            Self::Resolve { id, name } => v(id) + t(name, MAX_NAME),
            Self::Resolved { id, pid, credit } => v(id) + v(pid) + v(credit),
            Self::Watch { pid } => v(pid),
            Self::Credit { pid, more } => v(pid) + v(more),
            Self::Exit { pid, texts, .. } => {
                v(pid) + 1 + t(texts.message, MAX_ERROR_TEXT) + t(texts.stack, MAX_ERROR_TEXT)
            }
            Self::Stop { pid, .. } => v(pid) + 1,
            Self::Link { to, from, .. } => v(to) + v(from) + 1,
            Self::Info { id, pid } => v(id) + v(pid),
            Self::InfoIs { id, queue, capacity, handled, .. } => {
                v(id) + 1 + v(queue) + v(capacity) + v(handled)
            }
            Self::Goodbye | Self::Unknown { .. } => 0,
            Self::Gossip { payload } => payload.len(),
            Self::Down { to, reference, about, texts, .. } => {
                v(to)
                    + v(reference)
                    + 1
                    + v(about.len() as u64)
                    + about.len()
                    + t(texts.message, MAX_ERROR_TEXT)
                    + t(texts.stack, MAX_ERROR_TEXT)
            }
            Self::Trap { pid, .. } => v(pid) + 1,
            Self::LinkFar { to, other, .. } => v(to) + 1 + v(other.len() as u64) + other.len(),
            Self::Codec { pid, name } => v(pid) + t(name, MAX_CODEC),
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        let kind = self.kind();
        out.push(kind);
        let numbers = |out: &mut Vec<u8>, all: &[u64]| all.iter().for_each(|n| put_varint(out, *n));
        match *self {
            Self::Send { to, from, payload } => {
                put_varint(out, to);
                put_varint(out, from);
                out.extend_from_slice(payload);
            }
            Self::Call { to, from, id, timeout_ms, payload } => {
                numbers(out, &[to, from, id, timeout_ms]);
                out.extend_from_slice(payload);
            }
            Self::Reply { id, payload } => {
                put_varint(out, id);
                out.extend_from_slice(payload);
            }
            Self::Fail { id, kind, texts } => {
                put_varint(out, id);
                out.push(error_code(kind));
                put_texts(out, texts);
            }
            Self::Cancel { id } => put_varint(out, id),
            Self::Resolve { id, name } => {
                put_varint(out, id);
                put_text(out, name, MAX_NAME);
            }
            Self::Resolved { id, pid, credit } => numbers(out, &[id, pid, credit]),
            Self::Watch { pid } => put_varint(out, pid),
            Self::Credit { pid, more } => numbers(out, &[pid, more]),
            Self::Exit { pid, reason, texts } => {
                put_varint(out, pid);
                out.push(reason as u8);
                put_texts(out, texts);
            }
            Self::Stop { pid, mode } => {
                put_varint(out, pid);
                out.push(mode as u8);
            }
            Self::Link { to, from, on } => {
                numbers(out, &[to, from]);
                out.push(u8::from(on));
            }
            Self::Info { id, pid } => numbers(out, &[id, pid]),
            Self::InfoIs { id, alive, queue, capacity, handled } => {
                put_varint(out, id);
                out.push(u8::from(alive));
                numbers(out, &[queue, capacity, handled]);
            }
            Self::Goodbye | Self::Unknown { .. } => {}
            Self::Gossip { payload } => out.extend_from_slice(payload),
            Self::Down { to, reference, reason, about, texts } => {
                numbers(out, &[to, reference]);
                out.push(reason as u8);
                put_bytes(out, about);
                put_texts(out, texts);
            }
            Self::Trap { pid, on } => {
                put_varint(out, pid);
                out.push(u8::from(on));
            }
            Self::LinkFar { to, on, other } => {
                put_varint(out, to);
                out.push(u8::from(on));
                put_bytes(out, other);
            }
            Self::Codec { pid, name } => {
                put_varint(out, pid);
                put_text(out, name, MAX_CODEC);
            }
        }
    }

    fn kind(&self) -> u8 {
        match *self {
            Self::Send { .. } => SEND,
            Self::Call { .. } => CALL,
            Self::Reply { .. } => REPLY,
            Self::Fail { .. } => FAIL,
            Self::Cancel { .. } => CANCEL,
            Self::Resolve { .. } => RESOLVE,
            Self::Resolved { .. } => RESOLVED,
            Self::Watch { .. } => WATCH,
            Self::Credit { .. } => CREDIT,
            Self::Exit { .. } => EXIT,
            Self::Stop { .. } => STOP,
            Self::Link { .. } => LINK,
            Self::Info { .. } => INFO,
            Self::InfoIs { .. } => INFO_IS,
            Self::Goodbye => GOODBYE,
            Self::Gossip { .. } => GOSSIP,
            Self::Down { .. } => DOWN,
            Self::Trap { .. } => TRAP,
            Self::LinkFar { .. } => LINK_FAR,
            Self::Codec { .. } => CODEC,
            Self::Unknown { kind } => kind,
        }
    }

    /// From the bytes after the length.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader(body);
        let kind = r.u8()?;
        let op = match kind {
            SEND => {
                let (to, from) = (r.varint()?, r.varint()?);
                return Ok(Self::Send { to, from, payload: r.rest() });
            }
            CALL => Self::Call {
                to: r.varint()?,
                from: r.varint()?,
                id: r.varint()?,
                timeout_ms: r.varint()?,
                payload: r.rest(),
            },
            REPLY => Self::Reply { id: r.varint()?, payload: r.rest() },
            FAIL => Self::Fail {
                id: r.varint()?,
                kind: error_kind(r.u8()?),
                texts: read_texts(&mut r)?,
            },
            CANCEL => Self::Cancel { id: r.varint()? },
            RESOLVE => Self::Resolve { id: r.varint()?, name: r.text(MAX_NAME)? },
            RESOLVED => Self::Resolved { id: r.varint()?, pid: r.varint()?, credit: r.varint()? },
            WATCH => Self::Watch { pid: r.varint()? },
            CREDIT => Self::Credit { pid: r.varint()?, more: r.varint()? },
            EXIT => Self::Exit {
                pid: r.varint()?,
                reason: exit_reason(r.u8()?)?,
                texts: read_texts(&mut r)?,
            },
            STOP => Self::Stop {
                pid: r.varint()?,
                mode: match r.u8()? {
                    0 => StopMode::Stop,
                    1 => StopMode::Drain,
                    2 => StopMode::Kill,
                    other => return Err(Malformed::Kind(other)),
                },
            },
            LINK => Self::Link { to: r.varint()?, from: r.varint()?, on: r.u8()? != 0 },
            INFO => Self::Info { id: r.varint()?, pid: r.varint()? },
            INFO_IS => Self::InfoIs {
                id: r.varint()?,
                alive: r.u8()? != 0,
                queue: r.varint()?,
                capacity: r.varint()?,
                handled: r.varint()?,
            },
            GOODBYE => Self::Goodbye,
            GOSSIP => Self::Gossip { payload: r.rest() },
            DOWN => Self::Down {
                to: r.varint()?,
                reference: r.varint()?,
                reason: exit_reason(r.u8()?)?,
                about: read_bytes(&mut r)?,
                texts: read_texts(&mut r)?,
            },
            TRAP => Self::Trap { pid: r.varint()?, on: r.u8()? != 0 },
            LINK_FAR => {
                Self::LinkFar { to: r.varint()?, on: r.u8()? != 0, other: read_bytes(&mut r)? }
            }
            CODEC => Self::Codec { pid: r.varint()?, name: r.text(MAX_CODEC)? },
            kind => return Ok(Self::Unknown { kind }),
        };
        r.end()?;
        Ok(op)
    }
}

/// Looks for a whole operation at the front of a stream's bytes: `Ok(Some((head, body)))` are the lengths of its length
/// field and of what follows, if that is all there.
///
/// # Errors
/// `Length` for zero and for more than `most`; `Number`.
#[inline]
pub fn split(stream: &[u8], most: usize) -> Result<Option<(usize, usize)>, Malformed> {
    let mut r = Reader(stream);
    let n = match r.varint() {
        Ok(n) => n,
        Err(Malformed::Short) => return Ok(None),
        Err(e) => return Err(e),
    };
    let body = usize::try_from(n).ok().filter(|n| (1..=most).contains(n));
    let body = body.ok_or(Malformed::Length(n))?;
    Ok((r.0.len() >= body).then_some((stream.len() - r.0.len(), body)))
}

/// Where the payload begins in the body of a SEND, CALL or REPLY, as far as that has come: `None` for anything else, and as
/// long as what stands before the payload is not all there.
#[must_use]
pub fn payload_at(body: &[u8]) -> Option<usize> {
    match Op::decode(body).ok()? {
        Op::Send { payload, .. } | Op::Call { payload, .. } | Op::Reply { payload, .. } => {
            Some(body.len() - payload.len())
        }
        _ => None,
    }
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// An exported pid.
fn read_bytes<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let n = r.varint()?;
    let n = usize::try_from(n).ok().filter(|n| *n <= MAX_EXPORTED).ok_or(Malformed::Length(n))?;
    r.bytes(n)
}

fn put_texts(out: &mut Vec<u8>, texts: Texts<'_>) {
    put_text(out, texts.message, MAX_ERROR_TEXT);
    put_text(out, texts.stack, MAX_ERROR_TEXT);
}

fn read_texts<'a>(r: &mut Reader<'a>) -> Result<Texts<'a>, Malformed> {
    Ok(Texts { message: r.text(MAX_ERROR_TEXT)?, stack: r.text(MAX_ERROR_TEXT)? })
}

/// Reasons are written by their place in [`ExitReason::ALL`]; new ones are appended there.
fn exit_reason(code: u8) -> Result<ExitReason, Malformed> {
    ExitReason::ALL.get(usize::from(code)).copied().ok_or(Malformed::Kind(code))
}

/// The errors that a call can fail with, by their number on the wire. Append only.
const ERRORS: [ErrorKind; 10] = [
    ErrorKind::Internal,
    ErrorKind::NoSuchActor,
    ErrorKind::ActorExited,
    ErrorKind::HandlerFailed,
    ErrorKind::Timeout,
    ErrorKind::MailboxFull,
    ErrorKind::AtCapacity,
    ErrorKind::NotPermitted,
    ErrorKind::TooLarge,
    ErrorKind::Disconnected,
];

fn error_code(kind: ErrorKind) -> u8 {
    ERRORS.iter().position(|k| *k == kind).unwrap_or(0) as u8
}

/// What this build does not know is `Internal`.
fn error_kind(code: u8) -> ErrorKind {
    ERRORS.get(usize::from(code)).copied().unwrap_or(ErrorKind::Internal)
}
