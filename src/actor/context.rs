//! What a running handler can do. Every effect of a handler goes through [`Effects`]: the one place where a later
//! feature (staged effects, see docs/architecture.md) can stand between a handler and the world.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::Payload;

/// The effects that a handler may have; the runtime implements them.
pub trait Effects {
    /// Sends in the name of `sender`.
    fn send(&self, to: Pid, payload: Payload, sender: Pid) -> bool;
    /// Answers a call.
    fn reply(&self, call: CallId, payload: Payload) -> bool;
    /// Stops an actor.
    fn stop(&self, pid: Pid) -> bool;
    /// Monitors `target` for `watcher`.
    ///
    /// # Errors
    /// `InvalidArgument` if the watcher does not take system messages.
    fn monitor(&self, target: Pid, watcher: Pid) -> Result<u64>;
    /// Links two actors.
    ///
    /// # Errors
    /// `NoSuchActor` if both have ended.
    fn link(&self, a: Pid, b: Pid) -> Result<()>;
}

/// A handler's view of its own actor while it handles one message.
pub struct Context<'a> {
    pub(crate) effects: &'a dyn Effects,
    pub(crate) pid: Pid,
    pub(crate) call: Option<CallId>,
}

impl Context<'_> {
    /// This actor.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether the sender waits for an answer that has not been given.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.call.is_some()
    }

    /// Sends in this actor's name; `false`: the mailbox did not take it.
    pub fn send(&self, to: Pid, payload: impl Into<Payload>) -> bool {
        self.effects.send(to, payload.into(), self.pid)
    }

    /// Answers the call. Without it, the answer is empty when the handler returns.
    ///
    /// # Errors
    /// `StaleReply` if this is no call, or it was answered, or its deadline has passed.
    pub fn reply(&mut self, payload: impl Into<Payload>) -> Result<()> {
        match self.call.take() {
            Some(call) if self.effects.reply(call, payload.into()) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::StaleReply,
                format!(
                    "actor {}: nothing waits for this reply (no call, answered, or too late)",
                    self.pid
                ),
            )),
        }
    }

    /// Takes the duty to answer out of the handler: give the id to [`reply`](crate::Runtime::reply) later.
    pub fn defer_reply(&mut self) -> Option<CallId> {
        self.call.take()
    }

    /// Has this actor told when `target` ends; see [`Runtime::monitor`](crate::Runtime::monitor).
    ///
    /// # Errors
    /// `InvalidArgument` if this actor was not spawned with [`system`](crate::SpawnOptions::system).
    pub fn monitor(&self, target: Pid) -> Result<u64> {
        self.effects.monitor(target, self.pid)
    }

    /// Links this actor with another; see [`Runtime::link`](crate::Runtime::link).
    ///
    /// # Errors
    /// As there.
    pub fn link(&self, other: Pid) -> Result<()> {
        self.effects.link(self.pid, other)
    }

    /// Stops this actor when the handler returns.
    pub fn stop(&self) -> bool {
        self.effects.stop(self.pid)
    }
}
