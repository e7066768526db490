//! Leases: what lets a host promise a message to an actor of another thread without asking the core each time.
//!
//! A lane that has leased an actor may promise it messages until it hears [`Nudge::LeaseEnded`]. That is said under the
//! actor's lock at the moment in which it takes no more, so whoever can know that it has ended finds its lease ended too.

use super::HostLane;
use super::core::Core;
use crate::actor::cell::Cell;
use crate::id::Pid;
use crate::scheduler::lane::Nudge;

impl HostLane {
    /// Whether the host may promise messages to this actor until it hears [`Nudge::LeaseEnded`]: it takes any number.
    #[must_use]
    pub fn lease(&self, pid: Pid) -> bool {
        let Some(slot) = self.core.slot(pid) else { return false };
        let mut c = slot.lock();
        let may = c.takes(pid.generation()) && c.mailbox.capacity().is_none();
        c.leased |= may;
        may
    }

    /// Counts up whenever another thread gives this lane something to do.
    #[inline]
    #[must_use]
    pub fn given(&self) -> u32 {
        self.lane.given()
    }
}

impl Core {
    /// The actor takes no more messages: nobody may promise it any.
    #[inline]
    pub(super) fn end_lease(&self, c: &mut Cell) {
        if std::mem::take(&mut c.leased) {
            for lane in self.listeners.lock().iter() {
                lane.nudge(Nudge::LeaseEnded);
            }
        }
    }
}
