//! The name of the codec that an actor's messages are encoded with. The core carries it; hosts encode and decode.

use super::Runtime;
use super::core::Core;
use crate::actor::cell::Cell;
use crate::id::Pid;
use crate::sync::atomic::Ordering;
use std::sync::Arc;

impl Runtime {
    /// Says what the messages of a new actor are encoded with, before anybody is told its pid; `false`: it has ended.
    pub fn set_codec(&self, pid: Pid, name: Arc<str>) -> bool {
        let Some(slot) = self.core.slot(pid) else { return false };
        let mut c = slot.lock();
        let lives = c.is(pid.generation());
        if lives {
            self.core.note_codec(&mut c, Some(name));
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

    /// Whether an actor that was ever known here speaks a codec; until then nobody needs to ask.
    #[inline]
    #[must_use]
    pub fn has_codecs(&self) -> bool {
        self.core.codecs.load(Ordering::Relaxed)
    }

    /// What the messages of an actor are encoded with; `None`: they are bytes, or there is no such actor. One that has ended
    /// speaks it still while its [name](Self::named) waits for its replacement.
    #[must_use]
    pub fn codec_of(&self, pid: Pid) -> Option<Arc<str>> {
        self.core.codec_of(pid)
    }
}

impl Core {
    /// An actor speaks a codec.
    pub(super) fn note_codec(&self, c: &mut Cell, codec: Option<Arc<str>>) {
        c.extra().codec = codec;
        self.codecs.store(true, Ordering::Relaxed);
    }

    fn codec_of(&self, pid: Pid) -> Option<Arc<str>> {
        let c = self.slot(pid)?.lock();
        let there = c.is(pid.generation()) || c.is_parked(pid.generation());
        c.extra.as_ref().filter(|_| there)?.codec.clone()
    }
}

/// Before the name of a codec that carries the sender's trace context too, within a process.
#[cfg(feature = "mesh")]
const TRACED: &str = "traced+";

#[cfg(feature = "mesh")]
impl Core {
    /// What other nodes have to know of an actor's codec: trace contexts stay at home, and `raw` is bytes.
    pub(super) fn codec_abroad(&self, pid: Pid) -> Option<Arc<str>> {
        if !self.codecs.load(Ordering::Relaxed) {
            return None;
        }
        let name = self.codec_of(pid)?;
        match name.strip_prefix(TRACED) {
            None => Some(name),
            Some("raw") => None,
            Some(inner) => Some(inner.into()),
        }
    }

    /// Whether an actor takes nothing from other nodes.
    pub(super) fn is_local_only(&self, pid: Pid) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let c = slot.lock();
        let there = c.is(pid.generation()) || c.is_parked(pid.generation());
        there && c.extra.as_ref().is_some_and(|x| x.local_only)
    }
}
