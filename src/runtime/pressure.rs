//! Who hears that mailboxes fill and empty.
//!
//! A mailbox knows the length at which its next level begins, so a message costs one compare whether or not anybody listens;
//! on the way down the level is looked at only where it is not the lowest. A change is noted under the cell's lock, in the
//! order in which it happens, and its watchers are told when the lock is gone: by a bell, once until they take what is noted.

use super::core::Core;
use crate::actor::cell::{Cell, Life};
use crate::id::Pid;
use crate::mailbox::overflow::Pressure;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, contain};
use std::collections::VecDeque;
use std::sync::Arc;

/// Changes that are kept for a watcher that does not take them; of more, the oldest are forgotten.
const KEPT: usize = 65_536;

#[derive(Default)]
struct Noted {
    changes: VecDeque<(Pid, Pressure)>,
    rung: bool,
}

struct Watcher {
    noted: Mutex<Noted>,
    bell: Box<dyn Fn() + Send + Sync>,
}

/// The watchers of a runtime.
#[derive(Default)]
pub(super) struct Pressures {
    on: AtomicBool,
    /// Bells are to be rung.
    due: AtomicBool,
    watchers: Mutex<Vec<Arc<Watcher>>>,
}

/// Hears of levels until it is dropped.
pub struct PressureWatch {
    core: std::sync::Weak<Core>,
    watcher: Arc<Watcher>,
}

impl PressureWatch {
    /// The changes since the last time, in their order; after this the bell rings again.
    #[must_use]
    pub fn take(&self) -> Vec<(Pid, Pressure)> {
        self.take_some(usize::MAX)
    }

    /// As [`take`](Self::take), but at most `max`; the bell rings at once if there are more.
    #[must_use]
    pub fn take_some(&self, max: usize) -> Vec<(Pid, Pressure)> {
        let mut noted = self.watcher.noted.lock();
        let n = max.min(noted.changes.len());
        let some = noted.changes.drain(..n).collect();
        noted.rung = !noted.changes.is_empty();
        let more = noted.rung;
        drop(noted);
        if more {
            contain(|| (self.watcher.bell)());
        }
        some
    }
}

impl Drop for PressureWatch {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.unwatch_pressure(&self.watcher);
        }
    }
}

impl std::fmt::Debug for PressureWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PressureWatch")
    }
}

impl Core {
    /// After messages came or went: notes the level if it may have changed.
    #[inline]
    pub(super) fn note_pressure(&self, c: &mut Cell, pid: Pid) {
        if c.level != Pressure::Normal || c.mailbox.is_alarmed() {
            self.note_level(c, pid);
        }
    }

    #[cold]
    pub(super) fn note_level(&self, c: &mut Cell, pid: Pid) {
        let watched = self.pressures.on.load(Ordering::Acquire);
        let marks = self.marks();
        let level = if watched {
            Pressure::of(c.mailbox.len(), c.mailbox.capacity(), marks)
        } else {
            Pressure::Normal
        };
        let next = level.ends_at(c.mailbox.capacity(), marks);
        c.mailbox.set_alarm(if watched { next } else { u32::MAX });
        let old = std::mem::replace(&mut c.level, level);
        if old == level || !watched {
            return;
        }
        for w in self.pressures.watchers.lock().iter() {
            let mut noted = w.noted.lock();
            if noted.changes.len() == KEPT {
                noted.changes.pop_front();
            }
            noted.changes.push_back((pid, level));
        }
        self.pressures.due.store(true, Ordering::Relaxed);
    }

    /// A new actor's mailbox is watched as all are.
    #[inline]
    pub(super) fn begin_pressure(&self, c: &mut Cell, pid: Pid) {
        c.level = Pressure::Normal;
        if self.pressures.on.load(Ordering::Relaxed) {
            self.note_level(c, pid);
        }
    }

    /// Tells whoever watches what was noted. No lock may be held.
    #[inline]
    pub(super) fn ring_pressure(&self) {
        if self.pressures.due.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        self.pressures.due.store(false, Ordering::Relaxed);
        let watchers = self.pressures.watchers.lock().clone();
        for w in watchers {
            let quiet = {
                let mut noted = w.noted.lock();
                noted.changes.is_empty() || std::mem::replace(&mut noted.rung, true)
            };
            if !quiet {
                contain(|| (w.bell)());
            }
        }
    }

    pub(super) fn watch_pressure(&self, bell: Box<dyn Fn() + Send + Sync>) -> PressureWatch {
        let watcher = Arc::new(Watcher { noted: Mutex::default(), bell });
        self.pressures.watchers.lock().push(Arc::clone(&watcher));
        self.pressures.on.store(true, Ordering::SeqCst);
        self.note_all_levels();
        PressureWatch { core: std::sync::Weak::clone(&self.me), watcher }
    }

    fn unwatch_pressure(&self, watcher: &Arc<Watcher>) {
        let mut watchers = self.pressures.watchers.lock();
        watchers.retain(|w| !Arc::ptr_eq(w, watcher));
        if !watchers.is_empty() {
            return;
        }
        self.pressures.on.store(false, Ordering::SeqCst);
        drop(watchers);
        self.note_all_levels();
    }

    /// Looks at every mailbox: somebody watches from now on, or nobody, or the watermarks have changed.
    pub(super) fn note_all_levels(&self) {
        for (slot, cell) in self.table.iter() {
            let mut c = cell.lock();
            if c.life != Life::Free {
                let pid = self.pid_of(slot, c.generation);
                self.note_level(&mut c, pid);
            }
        }
        self.ring_pressure();
    }

    /// Whether anybody watches.
    pub(super) fn watches_pressure(&self) -> bool {
        self.pressures.on.load(Ordering::Acquire)
    }
}

impl super::Runtime {
    /// Hears whenever a mailbox comes to another level, up or down, whatever it was filled by: `bell` is called, from any
    /// thread and with no lock held, when there is something to [take](PressureWatch::take). The first
    /// watcher is told at once of mailboxes that are above `Normal`. An actor that ends changes no level.
    pub fn watch_pressure(&self, bell: impl Fn() + Send + Sync + 'static) -> PressureWatch {
        self.core.watch_pressure(Box::new(bell))
    }
}
