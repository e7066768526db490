//! System messages: what the runtime itself tells its actors, in their mailboxes and in order.
//!
//! One that is delivered is in the books like any other message; one that its target does not hear never was.

use super::core::{Core, Wake};
use crate::id::Pid;
use crate::message::{Envelope, Payload, SystemMessage};

impl Core {
    /// Puts a system message at the end of its target's queue, whatever bounds say; `false`: it has ended or does not hear
    /// system messages.
    pub(super) fn tell(&self, message: SystemMessage) -> bool {
        let pid = message.target;
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.takes(pid.generation()) || !c.hears {
            return false;
        }
        let payload = Payload::system(message);
        c.mailbox.push_exempt(Envelope { payload, sender: None, call: None });
        self.books.accepted();
        let wake = if c.pulls {
            self.tell_puller(&mut c)
        } else if c.may_schedule() {
            self.schedule(&mut c, pid, None)
        } else {
            Wake::None
        };
        drop(c);
        self.wake(wake);
        true
    }
}

impl super::Runtime {
    /// Delivers a system message in the order of its target's mailbox, exempt from bounds and load shedding; `false`: the
    /// target has ended, or is a push actor that does not [ask](crate::SpawnOptions::system) for them.
    pub fn tell_system(&self, message: SystemMessage) -> bool {
        self.core.tell(message)
    }

    /// Whether an actor gets system messages.
    #[must_use]
    pub fn hears_system(&self, pid: Pid) -> bool {
        self.core.slot(pid).is_some_and(|s| {
            let c = s.lock();
            c.is(pid.generation()) && c.hears
        })
    }
}
