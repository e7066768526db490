//! What a host with threads of its own needs beyond a [`HostLane`]: calls and closes whose outcome goes to a closure, sends
//! in the name of an actor, and a way to give up a handler that never returned.

use super::{HostLane, Runtime, turns::Batch};
use crate::actor::cell::ExitSink;
use crate::actor::request::CallSink;
use crate::error::{Error, Result};
use crate::id::{CallId, Pid};
use crate::message::{CallOutcome, Envelope, ExitInfo, ExitReason, Payload};
use crate::scheduler::stats::Refusal;
use std::time::Duration;

impl Runtime {
    /// Sends in the name of `sender`; `None` for `to` is a number that is no pid, which is counted as refused.
    #[inline]
    pub fn send_as(&self, to: Option<Pid>, payload: Payload, sender: Option<Pid>) -> bool {
        match to {
            Some(pid) => self.core.send(pid, payload, sender, None).is_accepted(),
            None => self.core.refuse(Refusal::NoSuchActor).is_accepted(),
        }
    }

    /// [`send_as`](Self::send_as), except that a mailbox that is full and whose policy is `block` gives the message back:
    /// then nothing is counted, and the caller sends it another way.
    ///
    /// # Errors
    /// The message.
    #[inline]
    pub fn send_unless_blocked(
        &self,
        to: Option<Pid>,
        payload: Payload,
        sender: Option<Pid>,
    ) -> std::result::Result<bool, Payload> {
        let Some(pid) = to else {
            return Ok(self.core.refuse(Refusal::NoSuchActor).is_accepted());
        };
        if self.core.is_too_large(pid, payload.len()) {
            return Ok(self.core.refuse(Refusal::TooLarge).is_accepted());
        }
        let mut payload = Some(payload);
        let envelope = |_| {
            let payload = payload.take().unwrap_or_else(Payload::empty);
            Envelope { payload, sender, call: None }
        };
        let why = match self.core.try_deliver(pid, None, envelope) {
            Ok(_) => return Ok(true),
            Err(why) => why,
        };
        match payload {
            Some(payload) if why == Refusal::Full && self.core.blocks(pid) => Err(payload),
            _ => Ok(self.core.refuse(why).is_accepted()),
        }
    }

    /// Sends a message of `length` bytes that `make` makes, under the lock of the mailbox that takes it and only if one does.
    /// `None`: the mailbox is full and its policy is `block`; then nothing is counted.
    pub fn send_made(
        &self,
        to: Option<Pid>,
        length: usize,
        make: impl FnOnce() -> Payload,
    ) -> Option<bool> {
        let refused = |why| Some(self.core.refuse(why).is_accepted());
        let Some(pid) = to else { return refused(Refusal::NoSuchActor) };
        if self.core.is_too_large(pid, length) {
            return refused(Refusal::TooLarge);
        }
        let envelope = |_| Envelope { payload: make(), sender: None, call: None };
        match self.core.try_deliver(pid, None, envelope) {
            Ok(_) => Some(true),
            Err(Refusal::Full) if self.core.blocks(pid) => None,
            Err(why) => refused(why),
        }
    }

    /// Counts a send to a full mailbox, which cannot wait; it is refused.
    pub fn refuse_full(&self) -> bool {
        self.core.refuse(Refusal::Full).is_accepted()
    }

    /// Calls, and gives the outcome to `sink` exactly once, from any thread and with no lock held.
    ///
    /// # Errors
    /// `NoSuchActor`, `MailboxFull`, `SelfCall` (if `caller` is `pid`), `RuntimeClosed`; then `sink` is not called.
    pub fn call_with(
        &self,
        pid: Pid,
        payload: Payload,
        timeout: Duration,
        caller: Option<Pid>,
        sink: impl FnOnce(CallOutcome) + Send + 'static,
    ) -> Result<CallId> {
        let sink = CallSink::Func(Box::new(sink));
        self.core.call(pid, payload, timeout, caller, sink, None).map(|(id, _)| id)
    }

    /// Gives a call up; answers whether it was open. Its sink is not called any more.
    pub fn cancel_call(&self, call: CallId) -> bool {
        self.core.cancel_call(call)
    }

    /// Ends a call with an error; `false`: it was over.
    pub fn fail_call(&self, call: CallId, error: Error) -> bool {
        self.core.fail_call(call, error)
    }

    /// [`on_exit`](Self::on_exit), and a token to [take it back](Self::forget_join) with.
    pub fn join_with(&self, pid: Pid, sink: impl FnOnce(ExitInfo) + Send + 'static) -> u64 {
        self.core.join(pid, ExitSink::Func(Box::new(sink)))
    }

    /// Takes a [`join_with`](Self::join_with) back (a waiter gave up); answers whether it was still to come.
    pub fn forget_join(&self, pid: Pid, token: u64) -> bool {
        self.core.forget_join(pid, |t, _| t == token)
    }

    /// [`close`](Self::close) without the wait: `done` is called when all actors have ended, from any thread.
    pub fn close_with(&self, timeout: Duration, done: impl FnOnce() + Send + 'static) {
        self.core.close(timeout, Box::new(done));
    }

    /// Kills every actor; from now on every call is `RuntimeClosed`.
    pub fn close_now(&self) {
        self.core.close_now();
    }
}

impl HostLane {
    /// The handler of message `index` will not return, and its actor has ended because of `why`: the message and what the
    /// batch holds for the same actor are dead.
    pub fn abandon(&self, batch: &mut Batch, index: usize, why: ExitReason) {
        self.core.fail_run(batch, index, why, std::sync::Arc::default());
    }

    /// [`resume`](Self::resume) from a thread that is not this lane's: the lane is woken if it slept.
    pub fn resume_elsewhere(&self, pid: Pid) {
        self.core.resume(pid, None);
    }
}
