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
    /// Sends, in their order; those to one actor in a row with one lock.
    pub(super) fn send_runs(&self, messages: &mut Vec<(Pid, Payload)>) {
        let mut rest = messages.drain(..).peekable();
        let envelope = |payload| Envelope { payload, sender: None, call: None };
        while let Some((pid, payload)) = rest.next() {
            let cell = self.slot(pid).map(|slot| slot.lock()).filter(|c| {
                let takes = c.takes(pid.generation()) && !c.remote && c.mailbox.is_plain();
                takes && !self.sheds_messages()
            });
            let Some(mut c) = cell else {
                let _ = self.send(pid, payload, None, None);
                continue;
            };
            let mut n = 1;
            c.mailbox.push(envelope(payload));
            while let Some((_, payload)) = rest.next_if(|(to, _)| *to == pid) {
                c.mailbox.push(envelope(payload));
                n += 1;
            }
            self.books.accepted_many(n);
            let wake = if c.pulls {
                self.tell_puller(&mut c)
            } else if c.may_schedule() {
                self.schedule(&mut c, pid, None)
            } else {
                Wake::None
            };
            drop(c);
            self.wake(wake);
        }
    }

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
            if c.takes(pid.generation()) && c.mailbox.is_plain() && !self.sheds_messages() {
                for _ in 0..n {
                    c.mailbox.push(next());
                }
                self.books.accepted_many(n as u64);
                let wake = if c.pulls {
                    self.tell_puller(&mut c)
                } else if c.may_schedule() {
                    self.schedule(&mut c, pid, here)
                } else {
                    Wake::None
                };
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
