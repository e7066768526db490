//! Calls: a request, its deadline, its one outcome.

use super::core::{Core, Sent, TimerTask};
use crate::actor::request::{CallSink, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::{Envelope, Payload};
use crate::scheduler::lane::Lane;
use crate::scheduler::stats::Refusal;
use std::sync::Arc;
use std::time::Duration;

/// What became of a reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Replied {
    /// The call was over: the reply is dropped and counted.
    Late,
    /// It was delivered.
    Delivered,
    /// The caller is on the replying lane's own thread: the host settles the call with this key itself, the bytes need
    /// not pass through the core.
    Here(u64),
}

impl Core {
    /// Opens a call. `Ok`: the outcome comes through `sink`, exactly once; `arm` as in [`Sent`].
    pub(crate) fn call(
        &self,
        pid: Pid,
        payload: Payload,
        timeout: Duration,
        caller: Option<Pid>,
        sink: CallSink,
        here: Option<&Arc<Lane>>,
    ) -> Result<(CallId, bool)> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let due_ns = self.clock.now_ns().saturating_add(timeout);
        self.call_until(pid, payload, due_ns, caller, sink, here)
    }

    /// As [`call`](Self::call), with the deadline as a time of the runtime's clock.
    pub(crate) fn call_until(
        &self,
        pid: Pid,
        payload: Payload,
        due_ns: u64,
        caller: Option<Pid>,
        sink: CallSink,
        here: Option<&Arc<Lane>>,
    ) -> Result<(CallId, bool)> {
        self.check_open()?;
        if caller == Some(pid) {
            return Err(Error::new(
                ErrorKind::SelfCall,
                format!("pid {pid} called itself and would wait for itself; use send"),
            ));
        }
        let mut made = None;
        let sent = self.deliver(pid, here, |pid| {
            let open = Open { callee: pid, caller, timer: None, handed: false, sink };
            let id = self.calls.open(open, |id| self.timers.insert_at(due_ns, TimerTask::Call(id)));
            made = Some(id);
            Envelope { payload, sender: caller, call: Some(id) }
        });
        match (sent, made) {
            (Sent::Accepted { arm }, Some(id)) => {
                self.books.call();
                Ok((id, arm))
            }
            (Sent::Refused(Refusal::Full), _) => Err(Error::new(
                ErrorKind::MailboxFull,
                format!("the mailbox of pid {pid} is full; try again later or raise its capacity"),
            )),
            (Sent::Refused(Refusal::TargetGone), _) => Err(Error::new(
                ErrorKind::MailboxFull,
                format!("the mailbox of pid {pid} is full and its policy's target has ended"),
            )),
            (Sent::Refused(Refusal::Shed), _) => Err(Error::new(
                ErrorKind::AtCapacity,
                "the runtime sheds load: too many messages wait; try again later",
            )),
            (Sent::Refused(Refusal::Closed), _) => {
                self.check_open()?;
                Err(self.no_such_actor(pid))
            }
            _ => Err(self.no_such_actor(pid)),
        }
    }

    /// Takes a call out of the table and off its actor's list.
    fn finish_call(&self, id: CallId) -> Option<Open> {
        let open = self.calls.close(id)?;
        if let Some(timer) = open.timer {
            self.timers.cancel(timer);
        }
        if open.handed
            && let Some(slot) = self.slot(open.callee)
        {
            let mut c = slot.lock();
            c.forget_open_call(open.callee, id);
        }
        Some(open)
    }

    /// Calls of a lane's thread that it has answered itself, with none of them [over](CallTable::key_of) before.
    pub(crate) fn finish_answered(&self, ids: impl ExactSizeIterator<Item = CallId>) {
        let all = ids.len();
        let done = self.calls.close_all(ids);
        for _ in done.len()..all {
            // It ended in the very moment in which it was answered.
            self.books.late_reply();
        }
        self.timers.cancel_all(done.iter().filter_map(|(_, open)| open.timer));
        for calls in done.chunk_by(|(_, a), (_, b)| a.callee == b.callee) {
            let Some((_, Open { callee, .. })) = calls.first() else { continue };
            let Some(slot) = self.slot(*callee) else { continue };
            let mut c = slot.lock();
            for (id, open) in calls {
                if open.handed {
                    c.forget_open_call(*callee, *id);
                }
            }
        }
    }

    /// Answers a call; `false`: it was over, and the reply was dropped and counted.
    pub(crate) fn reply(&self, id: CallId, payload: Payload) -> bool {
        self.reply_from(id, None, || payload) == Replied::Delivered
    }

    /// Answers a call from the thread of `here`; the payload is made only if it must pass through the core.
    pub(crate) fn reply_from(
        &self,
        id: CallId,
        here: Option<&Arc<Lane>>,
        payload: impl FnOnce() -> Payload,
    ) -> Replied {
        let Some(open) = self.finish_call(id) else {
            self.books.late_reply();
            return Replied::Late;
        };
        if let Some(caller) = open.caller
            && !self.is_alive(caller)
        {
            self.books.late_reply();
            open.sink.fail(Error::new(
                ErrorKind::ActorExited,
                format!("pid {caller}, which made this call, has ended; the reply was dropped"),
            ));
            return Replied::Late;
        }
        match (open.sink, here) {
            (CallSink::Lane(lane, key), Some(here)) if Arc::ptr_eq(&lane, here) => {
                Replied::Here(key)
            }
            (sink, _) => {
                sink.deliver(Ok(payload()));
                Replied::Delivered
            }
        }
    }

    /// Ends a call with an error; `false`: it was over.
    pub(crate) fn fail_call(&self, id: CallId, error: Error) -> bool {
        self.finish_call(id).map(|open| open.sink.fail(error)).is_some()
    }

    /// Ends a call with an error that the host on `here` raises itself, if the caller is there.
    pub(crate) fn fail_call_from(
        &self,
        id: CallId,
        here: &Arc<Lane>,
        error: impl FnOnce() -> Error,
    ) -> Replied {
        match self.finish_call(id).map(|open| open.sink) {
            None => Replied::Late,
            Some(CallSink::Lane(lane, key)) if Arc::ptr_eq(&lane, here) => Replied::Here(key),
            Some(sink) => {
                sink.fail(error());
                Replied::Delivered
            }
        }
    }

    /// The caller gave up: the call is over, nobody is told. Answers whether it was open.
    pub(crate) fn cancel_call(&self, id: CallId) -> bool {
        match self.finish_call(id) {
            None => false,
            Some(open) => {
                self.forget_queued(&open);
                self.cancel_there(open.callee, id);
                true
            }
        }
    }

    pub(super) fn expire_call(&self, id: CallId) {
        let Some(open) = self.finish_call(id) else { return };
        self.books.call_timeout();
        self.forget_queued(&open);
        self.cancel_there(open.callee, id);
        let callee = open.callee;
        open.sink.fail(Error::new(
            ErrorKind::Timeout,
            format!("pid {callee} did not answer within the timeout"),
        ));
    }

    /// A call is over while its message may still be queued: once half of a queue is such messages they are swept out,
    /// so a million timeouts at a stuck actor leave nothing behind.
    fn forget_queued(&self, open: &Open) {
        if open.handed {
            return;
        }
        let Some(slot) = self.slot(open.callee) else { return };
        let mut c = slot.lock();
        if c.is(open.callee.generation()) && c.mailbox.note_expired() {
            let n = c.mailbox.sweep(|e| e.call.is_some_and(|id| !self.calls.is_open(id)));
            self.note_pressure(&mut c, open.callee);
            drop(c);
            self.books.expired_in_queue(n as u64);
            self.ring_pressure();
        }
    }
}
