//! Sends of a host that come in bursts.

use super::HostLane;
use super::core::{Core, Wake};
use crate::id::Pid;
use crate::message::{Envelope, Payload};
use crate::scheduler::lane::Lane;
use std::sync::Arc;

impl HostLane {
    /// Sends `n` messages that the host has promised its caller to have sent to one actor, with one lock. `next` makes them, in
    /// their order, under the mailbox's lock. Should another thread have ended the actor, they died in its queue.
    #[inline]
    pub fn send_promised_run(
        &self,
        pid: Pid,
        n: usize,
        mut next: impl FnMut() -> (Payload, Option<Pid>),
    ) {
        self.core.deliver_promised_run(pid, Some(&self.lane), n, || {
            let (payload, sender) = next();
            Envelope { payload, sender, call: None }
        });
    }
}

impl Core {
    #[inline]
    fn deliver_promised_run(
        &self,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        n: usize,
        mut next: impl FnMut() -> Envelope,
    ) {
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            if c.takes(pid.generation())
                && !c.pulls
                && c.mailbox.is_plain()
                && !self.sheds_messages()
            {
                for _ in 0..n {
                    c.mailbox.push(next());
                }
                self.books.accepted_many(n as u64);
                let wake =
                    if c.may_schedule() { self.schedule(&mut c, pid, here) } else { Wake::None };
                drop(c);
                self.wake(wake);
                return;
            }
        }
        for _ in 0..n {
            self.deliver_promised(pid, here, |_| next());
        }
    }
}
