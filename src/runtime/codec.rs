//! The name of the codec that an actor's messages are encoded with. The core carries it; hosts encode and decode.

use super::Runtime;
#[cfg(feature = "mesh")]
use super::core::Core;
use crate::id::Pid;
use std::sync::Arc;

impl Runtime {
    /// Says what the messages of a new actor are encoded with, before anybody is told its pid; `false`: it has ended.
    pub fn set_codec(&self, pid: Pid, name: Arc<str>) -> bool {
        let Some(slot) = self.core.slot(pid) else { return false };
        let mut c = slot.lock();
        let lives = c.is(pid.generation());
        if lives {
            c.extra().codec = Some(name);
        }
        lives
    }

    /// Whether this was, or is, an actor's pid.
    #[must_use]
    pub fn has_been(&self, pid: Pid) -> bool {
        let used = self.core.slot(pid).map_or(0, |slot| slot.lock().generation);
        (1..=used).contains(&pid.generation())
    }

    /// Whether the actor with this pid has ended for good: no replacement of it is to come either.
    #[must_use]
    pub fn is_gone(&self, pid: Pid) -> bool {
        let there = self.core.slot(pid).is_some_and(|slot| {
            let c = slot.lock();
            c.is(pid.generation()) || c.is_parked(pid.generation())
        });
        !there && self.has_been(pid)
    }

    /// Has a new actor take nothing from other nodes; `false`: it has ended.
    pub fn keep_local(&self, pid: Pid) -> bool {
        let Some(slot) = self.core.slot(pid) else { return false };
        let mut c = slot.lock();
        let lives = c.is(pid.generation());
        if lives {
            c.extra().local_only = true;
        }
        lives
    }

    /// What the messages of an actor are encoded with; `None`: they are bytes, or there is no such actor. One that has ended
    /// speaks it still while its [name](Self::named) waits for its replacement.
    #[must_use]
    pub fn codec_of(&self, pid: Pid) -> Option<Arc<str>> {
        let c = self.core.slot(pid)?.lock();
        let there = c.is(pid.generation()) || c.is_parked(pid.generation());
        c.extra.as_ref().filter(|_| there)?.codec.clone()
    }
}

#[cfg(feature = "mesh")]
impl Core {
    /// Whether an actor takes nothing from other nodes.
    pub(super) fn is_local_only(&self, pid: Pid) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let c = slot.lock();
        let there = c.is(pid.generation()) || c.is_parked(pid.generation());
        there && c.extra.as_ref().is_some_and(|x| x.local_only)
    }
}
