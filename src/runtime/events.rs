//! Who hears that actors begin and end, and of dead letters.
//!
//! Off by default: then a spawn costs one load more, and an end or a dead letter another. What happens is noted with no core
//! lock held, in the order in which it happens on its thread, and the watcher is told by a bell, once until it takes what is
//! noted.

use super::core::Core;
use crate::id::Pid;
use crate::message::{Envelope, ExitInfo, ExitReason, Payload};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, contain};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Events that are kept for a watcher that does not take them; of more, the oldest are forgotten and counted.
const KEPT: usize = 65_536;

/// What a watcher wants to hear of; a sum of these.
pub type EventKinds = u8;
/// Actors that begin.
pub const SPAWNS: EventKinds = 1;
/// Actors that end.
pub const EXITS: EventKinds = 2;
/// Accepted messages that nobody will handle, because their actor has ended.
pub const DEAD_LETTERS: EventKinds = 4;

/// Nodes that this one begins or ceases to have a session with.
pub const NODES: EventKinds = 8;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// An actor began.
    Spawned {
        /// Who.
        pid: Pid,
        /// Who ends it by ending.
        parent: Option<Pid>,
    },
    /// An actor ended.
    Ended(ExitInfo),
    /// A message died.
    DeadLetter(DeadLetter),
    /// A node came or went.
    Node(NodeEvent),
}

/// There is a session with a node, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node, in its incarnation.
    pub id: String,
    /// Where it can be reached, if that is known.
    pub address: Option<String>,
    /// Why it went; `None`: it came.
    pub down: Option<ExitReason>,
}

/// A message that was accepted and that nobody will handle.
#[derive(Debug)]
pub struct DeadLetter {
    /// To whom it was sent.
    pub pid: Pid,
    /// Why that actor ended.
    pub reason: ExitReason,
    /// The bytes; `None`: the handler had them already, and did not finish.
    pub payload: Option<Payload>,
    /// The actor that sent it in its own name.
    pub sender: Option<Pid>,
    /// Whether it was a call.
    pub is_call: bool,
}

#[derive(Default)]
struct Noted {
    events: VecDeque<Event>,
    lost: u64,
    rung: bool,
}

struct Watcher {
    kinds: EventKinds,
    noted: Mutex<Noted>,
    bell: Box<dyn Fn() + Send + Sync>,
}

/// The watchers of a runtime.
#[derive(Default)]
pub(super) struct Events {
    /// What anybody wants.
    wanted: AtomicU8,
    watchers: Mutex<Vec<Arc<Watcher>>>,
}

/// Hears of events until it is dropped.
pub struct EventWatch {
    core: Weak<Core>,
    watcher: Arc<Watcher>,
}

impl EventWatch {
    /// At most `max` events since the last time, in their order, and how many were forgotten because nobody took them. The
    /// bell rings again for what comes after, at once if there are more.
    #[must_use]
    pub fn take(&self, max: usize) -> (Vec<Event>, u64) {
        let mut noted = self.watcher.noted.lock();
        let n = max.min(noted.events.len());
        let some = noted.events.drain(..n).collect();
        let lost = std::mem::take(&mut noted.lost);
        noted.rung = !noted.events.is_empty();
        let more = noted.rung;
        drop(noted);
        if more {
            contain(|| (self.watcher.bell)());
        }
        (some, lost)
    }
}

impl Drop for EventWatch {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            let mut watchers = core.events.watchers.lock();
            watchers.retain(|w| !Arc::ptr_eq(w, &self.watcher));
            core.events.publish(&watchers);
        }
    }
}

impl std::fmt::Debug for EventWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventWatch")
    }
}

impl Events {
    fn publish(&self, watchers: &[Arc<Watcher>]) {
        self.wanted.store(watchers.iter().fold(0, |all, w| all | w.kinds), Ordering::Release);
    }

    #[inline]
    fn wants(&self, kind: EventKinds) -> bool {
        self.wanted.load(Ordering::Relaxed) & kind != 0
    }

    #[cold]
    fn note(&self, kind: EventKinds, make: impl Fn() -> Event) {
        let watchers = self.watchers.lock().clone();
        for w in watchers.iter().filter(|w| w.kinds & kind != 0) {
            let rung = {
                let mut noted = w.noted.lock();
                if noted.events.len() == KEPT {
                    noted.events.pop_front();
                    noted.lost += 1;
                }
                noted.events.push_back(make());
                std::mem::replace(&mut noted.rung, true)
            };
            if !rung {
                contain(|| (w.bell)());
            }
        }
    }
}

impl Core {
    pub(super) fn watch_events(
        &self,
        kinds: EventKinds,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> EventWatch {
        let watcher = Arc::new(Watcher { kinds, noted: Mutex::default(), bell: Box::new(bell) });
        let mut watchers = self.events.watchers.lock();
        watchers.push(Arc::clone(&watcher));
        self.events.publish(&watchers);
        drop(watchers);
        EventWatch { core: Weak::clone(&self.me), watcher }
    }

    #[inline]
    pub(super) fn note_spawn(&self, pid: Pid, parent: Option<Pid>) {
        if self.events.wants(SPAWNS) {
            self.events.note(SPAWNS, || Event::Spawned { pid, parent });
        }
    }

    #[inline]
    pub(super) fn note_end(&self, info: &ExitInfo) {
        if self.events.wants(EXITS) {
            self.events.note(EXITS, || Event::Ended(info.clone()));
        }
    }

    #[cfg(feature = "mesh")]
    pub(super) fn note_node(&self, node: &crate::mesh::NodeInfo, down: Option<ExitReason>) {
        if self.events.wants(NODES) {
            self.events.note(NODES, || {
                let (id, address) = (node.id.clone(), node.address.clone());
                Event::Node(NodeEvent { id, address, down })
            });
        }
    }

    /// A message that was queued, or taken and not begun, died.
    #[inline]
    pub(super) fn note_dead(&self, pid: Pid, reason: ExitReason, e: &Envelope) {
        if self.events.wants(DEAD_LETTERS) && e.payload.as_system().is_none() {
            self.events.note(DEAD_LETTERS, || {
                Event::DeadLetter(DeadLetter {
                    pid,
                    reason,
                    payload: Some(e.payload.clone()),
                    sender: e.sender,
                    is_call: e.call.is_some(),
                })
            });
        }
    }

    /// The message that a handler had died with it.
    #[inline]
    pub(super) fn note_dead_in_hand(&self, pid: Pid, reason: ExitReason) {
        if self.events.wants(DEAD_LETTERS) {
            self.events.note(DEAD_LETTERS, || {
                let (payload, sender, is_call) = (None, None, false);
                Event::DeadLetter(DeadLetter { pid, reason, payload, sender, is_call })
            });
        }
    }
}

impl super::Runtime {
    /// Hears of what happens from now on, of the `kinds` asked for: `bell` is called, from any thread and with no lock held,
    /// when there is something to [take](EventWatch::take). It must not block.
    pub fn watch_events(
        &self,
        kinds: EventKinds,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> EventWatch {
        self.core.watch_events(kinds, bell)
    }
}
