//! What travels: [`Payload`], [`Envelope`], and how actors end: [`ExitReason`], [`ExitInfo`].

use crate::bytes;
use crate::error::Error;
use crate::id::{CallId, Pid};
use crate::path::Path;
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Longest payload that needs no allocation of its own, in bytes.
pub const INLINE_MAX: usize = 22;

/// The bytes of a message: up to 22 bytes lie in the envelope itself, more on the heap.
pub struct Payload(Repr);

enum Repr {
    Inline {
        len: u8,
        bytes: [u8; INLINE_MAX],
    },
    /// And the thread that allocated them.
    Heap(u8, Box<[u8]>),
    Foreign(Box<dyn ForeignBytes>),
    System(Box<SystemMessage>),
}

/// Bytes that a host lends to the core until they are handled, so that a large message need not be copied.
pub trait ForeignBytes: Send {
    /// The bytes; the same at every call, and nobody changes them meanwhile.
    fn bytes(&self) -> &[u8];
    /// The lender's own object again.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl Payload {
    /// Bytes of a host's that are not copied.
    #[must_use]
    pub fn foreign(bytes: Box<dyn ForeignBytes>) -> Self {
        Self(Repr::Foreign(bytes))
    }

    /// The lender's object, if the bytes are lent.
    ///
    /// # Errors
    /// The payload itself if they are not.
    pub fn into_foreign(mut self) -> Result<Box<dyn Any + Send>, Self> {
        match self.take() {
            Repr::Foreign(b) => Ok(b.into_any()),
            other => Err(Self(other)),
        }
    }

    /// What the runtime itself tells an actor; it has no bytes.
    #[must_use]
    pub fn system(message: SystemMessage) -> Self {
        Self(Repr::System(Box::new(message)))
    }

    /// The system message, if it is one.
    #[inline]
    #[must_use]
    pub fn as_system(&self) -> Option<&SystemMessage> {
        match &self.0 {
            Repr::System(m) => Some(m),
            _ => None,
        }
    }

    /// A copy of bytes whose receiver is on this very thread, as a rule: nobody need send their memory home.
    #[inline]
    #[must_use]
    pub fn staying(src: &[u8]) -> Self {
        if src.len() <= INLINE_MAX {
            Self::from(src)
        } else {
            Self(Repr::Heap(u8::MAX, src.into()))
        }
    }

    /// Bytes that this thread has allocated.
    #[inline]
    fn heap(bytes: Box<[u8]>) -> Self {
        Self(Repr::Heap(bytes::home(), bytes))
    }

    fn take(&mut self) -> Repr {
        std::mem::replace(&mut self.0, Repr::Inline { len: 0, bytes: [0; INLINE_MAX] })
    }

    /// A payload of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Repr::Inline { len: 0, bytes: [0; INLINE_MAX] })
    }

    /// The bytes as a vector, without a copy where they were on the heap.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        match self.take() {
            Repr::Inline { len, bytes } => bytes[..usize::from(len)].to_vec(),
            Repr::Heap(_, b) => b.into_vec(),
            Repr::Foreign(b) => b.bytes().to_vec(),
            Repr::System(_) => Vec::new(),
        }
    }
}

impl Drop for Payload {
    #[inline]
    fn drop(&mut self) {
        if let Repr::Heap(home, piece) = &mut self.0 {
            bytes::give_back(std::mem::take(piece), *home);
        }
    }
}

impl Clone for Payload {
    /// A copy of its own; one of lent bytes is on the heap.
    fn clone(&self) -> Self {
        match &self.0 {
            Repr::Inline { len, bytes } => Self(Repr::Inline { len: *len, bytes: *bytes }),
            Repr::Heap(_, b) => Self::heap(b.clone()),
            Repr::Foreign(b) => Self::heap(b.bytes().into()),
            Repr::System(m) => Self(Repr::System(m.clone())),
        }
    }
}

impl Deref for Payload {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(_, b) => b,
            Repr::Foreign(b) => b.bytes(),
            Repr::System(_) => &[],
        }
    }
}

impl From<&[u8]> for Payload {
    #[inline]
    fn from(src: &[u8]) -> Self {
        if src.len() <= INLINE_MAX {
            let mut bytes = [0; INLINE_MAX];
            bytes[..src.len()].copy_from_slice(src);
            Self(Repr::Inline { len: src.len() as u8, bytes })
        } else {
            Self::heap(src.into())
        }
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(src: &[u8; N]) -> Self {
        src.as_slice().into()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(src: Vec<u8>) -> Self {
        if src.len() <= INLINE_MAX {
            src.as_slice().into()
        } else {
            Self::heap(src.into_boxed_slice())
        }
    }
}

impl From<&str> for Payload {
    fn from(src: &str) -> Self {
        src.as_bytes().into()
    }
}

impl From<String> for Payload {
    fn from(src: String) -> Self {
        src.into_bytes().into()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::System(m) => m.fmt(f),
            _ => write!(f, "Payload({} B)", self.len()),
        }
    }
}

/// A message in a mailbox.
#[derive(Debug)]
pub struct Envelope {
    /// The bytes.
    pub payload: Payload,
    /// The actor that sent it in its own name, if one did.
    pub sender: Option<Pid>,
    /// The request that waits for an answer, if it is a call.
    pub call: Option<CallId>,
}

const _: () = assert!(size_of::<Envelope>() == 40);

/// Why an actor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum ExitReason {
    /// It finished by itself.
    Normal,
    /// Someone stopped it.
    Shutdown,
    /// Someone killed it.
    Killed,
    /// Its handler threw.
    Crash,
    /// Its Rust code panicked.
    Panic,
    /// It did not finish within the stop timeout and was abandoned.
    Timeout,
    /// Its parent ended.
    ParentExit,
    /// There was no such actor.
    NoProc,
    /// Its peer said goodbye, or its lane (a Worker, an event loop) went away.
    Disconnected,
    /// Its node was declared down.
    NodeDown,
    /// Another node's actor kept the name.
    NameConflict,
}

impl ExitReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Normal,
        Self::Shutdown,
        Self::Killed,
        Self::Crash,
        Self::Panic,
        Self::Timeout,
        Self::ParentExit,
        Self::NoProc,
        Self::Disconnected,
        Self::NodeDown,
        Self::NameConflict,
    ];

    /// The word that both languages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Killed => "killed",
            Self::Crash => "crash",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::ParentExit => "parent_exit",
            Self::NoProc => "noproc",
            Self::Disconnected => "disconnected",
            Self::NodeDown => "node_down",
            Self::NameConflict => "name_conflict",
        }
    }

    /// Whether it is an error that a crash hook should hear of.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Crash | Self::Panic | Self::Timeout)
    }
}

/// What a [`SystemMessage`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemKind {
    /// A linked actor has ended, and the receiver traps exits.
    Exit,
    /// A monitored actor has ended.
    Down,
    /// An actor's handler was replaced.
    HotSwap,
    /// Someone asks for a sign of life.
    Ping,
    /// The sign of life.
    Pong,
}

impl SystemKind {
    /// The word that both languages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "EXIT",
            Self::Down => "DOWN",
            Self::HotSwap => "HOT_SWAP",
            Self::Ping => "PING",
            Self::Pong => "PONG",
        }
    }
}

/// A value in the metadata of a [`SystemMessage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meta {
    /// Words: a crash's message, its stack.
    Text(String),
    /// A number: a monitor's reference, a version.
    Number(u64),
}

/// What the runtime itself tells an actor, in its mailbox and in the order of everything else there.
///
/// It goes to pull actors and to those that were spawned with [`SpawnOptions::system`](crate::SpawnOptions); bounds and load
/// shedding do not hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemMessage {
    /// What it is about.
    pub kind: SystemKind,
    /// The actor that it is about, or that asks.
    pub from: Option<Pid>,
    /// Who gets it.
    pub target: Pid,
    /// How `from` ended, for `EXIT` and `DOWN`.
    pub reason: Option<ExitReason>,
    /// What else is known, each under its name.
    pub metadata: Vec<(&'static str, Meta)>,
}

impl SystemMessage {
    /// The news of an actor's end for `target`: [`SystemKind::Exit`], or [`SystemKind::Down`] with the monitor's reference.
    #[must_use]
    pub fn of_exit(kind: SystemKind, info: &ExitInfo, target: Pid, reference: Option<u64>) -> Self {
        let mut metadata = Vec::new();
        metadata.extend(reference.map(|n| ("ref", Meta::Number(n))));
        if let Some(crash) = &info.crash {
            metadata.push(("message", Meta::Text(crash.message.clone())));
            metadata.extend(crash.stack.clone().map(|s| ("stack", Meta::Text(s))));
        }
        Self { kind, from: Some(info.pid), target, reason: Some(info.reason), metadata }
    }
}

/// What a handler threw.
#[derive(Clone, Debug, Default)]
pub struct CrashInfo {
    /// The error's message, with its class where the host has one.
    pub message: String,
    /// The host's stack trace.
    pub stack: Option<String>,
}

/// How an actor ended.
#[derive(Clone, Debug)]
pub struct ExitInfo {
    /// Who ended.
    pub pid: Pid,
    /// Why.
    pub reason: ExitReason,
    /// What was thrown, for `crash` and `panic`.
    pub crash: Option<Arc<CrashInfo>>,
}

/// What a supervisor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorEvent {
    /// A child was replaced.
    Restarted,
    /// A child's factory threw, or answered no live actor.
    StartFailed,
    /// A child ended and is not restarted.
    Ended,
    /// A supervisor had to restart too often and ended with all its children.
    GaveUp,
}

impl SupervisorEvent {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::StartFailed => "start_failed",
            Self::Ended => "ended",
            Self::GaveUp => "gave_up",
        }
    }
}

/// What people hear of a supervisor's work.
#[derive(Clone, Debug)]
pub struct SupervisorNews {
    /// What happened.
    pub event: SupervisorEvent,
    /// Where.
    pub path: Path,
    /// The child's name, if it has one.
    pub id: Option<Arc<str>>,
    /// Who ended.
    pub old: Option<Pid>,
    /// The replacement.
    pub new: Option<Pid>,
    /// Why it ended.
    pub reason: ExitReason,
    /// What it threw, or what its factory did.
    pub crash: Option<Arc<CrashInfo>>,
    /// How often this child was restarted.
    pub restarts: u64,
}

/// How a call came out.
pub type CallOutcome = Result<Payload, Error>;

/// What a pull actor is told. Called from any thread with no lock held; it must not block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullSignal {
    /// There is a message; said once after each time that it looked and found none.
    Ready,
    /// No message comes any more: it should return.
    Closing,
    /// It has ended; what it still takes is nothing.
    Gone,
}

/// What happened to the runtime itself, for threads that have joined it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeNews {
    /// It is closed: every actor has ended.
    Closed,
    /// Whether load is shed from now on.
    Shedding(bool),
}

/// What a lane is told beside messages.
#[derive(Debug)]
pub enum LaneEvent {
    /// A call that this lane's thread made is over.
    CallDone {
        /// The key that the host gave when it called.
        key: u64,
        /// The reply, or why there is none.
        outcome: CallOutcome,
    },
    /// An actor that this lane's thread joined has ended.
    Joined {
        /// The key that the host gave when it joined.
        key: u64,
        /// How it ended.
        info: ExitInfo,
    },
    /// An actor of this lane is gone: its handler slot `key` may be reused.
    Gone {
        /// Who.
        pid: Pid,
        /// The host's key of its handler.
        key: u32,
    },
    /// A virtual actor of this lane is to be activated, or deactivated: the host runs the hook and says when it is done. Its
    /// turn is open until then.
    Hook {
        /// Who.
        pid: Pid,
        /// The host's key of its handler.
        key: u32,
        /// Which of the two.
        activate: bool,
    },
    /// Levels of mailboxes have changed: the host takes them from its watch.
    Pressure,
    /// An actor failed and nobody supervises it.
    Failed(ExitInfo),
    /// The factory with this key is to be called: its outcome goes to
    /// [`Runtime::start_over`](crate::Runtime::start_over).
    Start {
        /// The key that the host gave.
        key: u64,
        /// The name of this start.
        ticket: u64,
        /// Who is replaced, if there are messages for its replacement.
        old: Option<Pid>,
    },
    /// The factory with this key is not needed any more.
    Forget {
        /// The key that the host gave.
        key: u64,
    },
    /// Something has happened that this lane watches: the host takes it from its watch.
    Events,
    /// A supervisor did something.
    Supervisor(Box<SupervisorNews>),
    /// A pull actor of this lane should look at its mailbox.
    Pull {
        /// The key that the host gave when it spawned.
        key: u64,
        /// Why.
        signal: PullSignal,
    },
    /// Something happened to the runtime itself.
    Runtime(RuntimeNews),
}
