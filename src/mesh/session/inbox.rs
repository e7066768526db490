//! What other threads want of a session: signals of proxies, replies, exits, questions. One short lock, one wake a burst.

use crate::error::Error;
use crate::id::Pid;
use crate::mesh::host::{Seen, Sink};
use crate::message::{CallOutcome, ExitInfo};
use crate::sync::Mutex;

/// What a host thread takes upon itself at most.
const QUICK: usize = 8;

/// A question to the peer.
pub(in crate::mesh) enum Ask {
    /// Who has this name?
    Resolve(String, Sink<Option<Pid>>),
    /// What is known of this remote actor?
    Info(u64, Sink<Option<Seen>>),
    /// Are you there?
    Ping(Sink<()>),
}

impl Ask {
    pub(in crate::mesh) fn fail(self, error: Error) {
        match self {
            Self::Resolve(_, sink) => sink(Err(error)),
            Self::Info(_, sink) => sink(Err(error)),
            Self::Ping(sink) => sink(Err(error)),
        }
    }
}

/// Something for the I/O thread.
pub(in crate::mesh) enum Event {
    /// A call of the peer's came out.
    Reply(u64, CallOutcome),
    /// An actor that the peer watches has ended.
    Exited(ExitInfo),
    /// A proxy is being stopped: the actor shall be.
    Stopping(Pid),
    /// A proxy has ended by itself.
    Gone(Pid),
    /// A proxy is going to be drained and stopped.
    Draining(Pid),
    /// End the remote actor at once.
    Kill(Pid),
    /// A remote actor and a local one are linked, or no more.
    Link {
        /// The remote one's local end.
        proxy: Pid,
        /// The local one.
        local: Pid,
        /// Whether they are.
        on: bool,
    },
    /// A remote actor and one of another node are linked, or no more.
    LinkFar {
        /// The one's local end.
        proxy: Pid,
        /// The other, exported.
        other: Vec<u8>,
        /// Whether they are.
        on: bool,
    },
    /// A remote actor traps exits, or no more.
    Trap(Pid, bool),
    /// A watched actor has room for more.
    Room(u64),
    /// A question.
    Ask(Ask),
    /// Nobody waits for a call any more.
    Cancel(u64),
    /// Something for the membership protocol.
    Gossip(Vec<u8>),
    /// Say goodbye and end.
    Goodbye,
}

#[derive(Default)]
struct State {
    ready: Vec<Pid>,
    events: Vec<Event>,
    awake: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Inbox(Mutex<State>);

impl Inbox {
    /// Answers whether the I/O thread must be woken.
    pub(super) fn post(&self, event: Event) -> bool {
        let mut s = self.0.lock();
        s.events.push(event);
        !std::mem::replace(&mut s.awake, true)
    }

    /// As [`post`](Self::post), for the commonest of all.
    pub(super) fn ready(&self, pid: Pid) -> bool {
        let mut s = self.0.lock();
        s.ready.push(pid);
        !std::mem::replace(&mut s.awake, true)
    }

    /// Moves everything out.
    pub(super) fn take(&self, ready: &mut Vec<Pid>, events: &mut Vec<Event>) {
        let mut s = self.0.lock();
        ready.append(&mut s.ready);
        events.append(&mut s.events);
    }

    /// As [`take`](Self::take) if there is nothing but a few proxies and replies; otherwise `false`.
    pub(super) fn take_quick(&self, ready: &mut Vec<Pid>, events: &mut Vec<Event>) -> bool {
        let mut s = self.0.lock();
        let few = s.ready.len() + s.events.len() <= QUICK;
        if !few || !s.events.iter().all(|e| matches!(e, Event::Reply(..))) {
            return false;
        }
        ready.append(&mut s.ready);
        events.append(&mut s.events);
        true
    }

    pub(super) fn take_all(&self) -> Vec<Event> {
        let mut s = self.0.lock();
        s.ready.clear();
        std::mem::take(&mut s.events)
    }

    /// Goes to sleep; `false`: there is something.
    pub(super) fn sleep(&self) -> bool {
        let mut s = self.0.lock();
        let empty = s.ready.is_empty() && s.events.is_empty();
        s.awake = !empty;
        empty
    }
}
