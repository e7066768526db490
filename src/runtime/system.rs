//! System messages: what the runtime itself tells its actors, in their mailboxes and in order.
//!
//! One that is delivered is in the books like any other message; one that its target does not hear never was.

use super::core::Core;
use crate::actor::cell::Cell;
use crate::id::Pid;
use crate::message::SystemMessage;

impl Core {
    /// Puts a system message at the end of its target's queue, whatever bounds say; `false`: it has ended or does not hear
    /// system messages. `also` runs under the cell's lock if the actor has not ended.
    pub(super) fn tell_and(&self, message: SystemMessage, also: impl FnOnce(&mut Cell)) -> bool {
        let pid = message.target;
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return false;
        }
        also(&mut c);
        if !c.takes(pid.generation()) || !c.hears {
            return false;
        }
        let wake = self.push_system(&mut c, message);
        drop(c);
        self.wake(wake);
        true
    }
}

impl super::Runtime {
    /// Delivers a system message in the order of its target's mailbox, exempt from bounds and load shedding; `false`: the
    /// target has ended, or is a push actor that does not [ask](crate::SpawnOptions::system) for them.
    pub fn tell_system(&self, message: SystemMessage) -> bool {
        self.core.tell_and(message, |_| {})
    }

    /// Whether an actor gets system messages.
    #[must_use]
    pub fn hears_system(&self, pid: Pid) -> bool {
        self.core.change(pid, |c| c.hears).unwrap_or(false)
    }
}
