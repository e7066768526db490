//! The table of open calls.
//!
//! A call has one entry from `call` until its outcome: the reply, a failure, or the deadline, whichever comes first takes
//! the entry out, and the others find nothing. So an outcome is given exactly once and a late reply is recognised.

use crate::error::Error;
use crate::id::{CallId, Pid};
use crate::message::{CallOutcome, LaneEvent};
use crate::scheduler::lane::{Lane, Nudge};
use crate::sync::{Mutex, contain};
use crate::timer::wheel::TimerKey;
use std::sync::Arc;

/// Who hears how a call came out.
pub enum CallSink {
    /// A host lane, under this key.
    Lane(Arc<Lane>, u64),
    /// A closure; called with no lock held.
    Func(Box<dyn FnOnce(CallOutcome) + Send>),
}

impl CallSink {
    /// Delivers; wakes the lane if need be.
    pub fn deliver(self, outcome: CallOutcome) {
        match self {
            Self::Lane(lane, key) => {
                if outcome.is_err() {
                    lane.nudge(Nudge::CallEnded);
                }
                if lane.push_event(LaneEvent::CallDone { key, outcome }) {
                    lane.wake();
                }
            }
            Self::Func(f) => contain(|| f(outcome)),
        }
    }

    /// Delivers a failure.
    pub fn fail(self, error: Error) {
        self.deliver(Err(error));
    }
}

/// An open call that somebody has just taken out of the table.
pub struct Open {
    /// Who was asked.
    pub callee: Pid,
    /// The actor that asked in its own name, if one did.
    pub caller: Option<Pid>,
    /// Its deadline timer.
    pub timer: Option<TimerKey>,
    /// Whether a handler has it.
    pub handed: bool,
    /// Who waits.
    pub sink: CallSink,
}

struct Entry {
    generation: u32,
    open: Option<Open>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

impl State {
    fn close(&mut self, id: CallId) -> Option<Open> {
        let entry = self.entries.get_mut(id.index() as usize)?;
        if entry.generation != id.generation() {
            return None;
        }
        let open = entry.open.take()?;
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(id.index());
        Some(open)
    }
}

/// All open calls of a runtime.
#[derive(Default)]
pub struct CallTable(Mutex<State>);

impl CallTable {
    /// Opens a call; `arm` sets its deadline timer.
    pub fn open(&self, mut open: Open, arm: impl FnOnce(CallId) -> TimerKey) -> CallId {
        let mut s = self.0.lock();
        let index = s.free.pop().unwrap_or_else(|| {
            s.entries.push(Entry { generation: 1, open: None });
            (s.entries.len() - 1) as u32
        });
        let entry = &mut s.entries[index as usize];
        let id = CallId::new(entry.generation, index);
        open.timer = Some(arm(id));
        entry.open = Some(open);
        id
    }

    /// Takes the call out, if it is still open.
    #[must_use]
    pub fn close(&self, id: CallId) -> Option<Open> {
        self.0.lock().close(id)
    }

    /// Takes those of the calls out that are still open.
    #[must_use]
    pub fn close_all(&self, ids: impl Iterator<Item = CallId>) -> Vec<(CallId, Open)> {
        let mut s = self.0.lock();
        ids.filter_map(|id| Some((id, s.close(id)?))).collect()
    }

    /// The key of an open call of `lane`'s thread which no actor made in its own name.
    #[must_use]
    pub fn key_of(&self, id: CallId, lane: &Arc<Lane>) -> Option<u64> {
        let s = self.0.lock();
        let entry = s.entries.get(id.index() as usize)?;
        match &entry.open {
            Some(Open { caller: None, sink: CallSink::Lane(l, key), .. })
                if entry.generation == id.generation() && Arc::ptr_eq(l, lane) =>
            {
                Some(*key)
            }
            _ => None,
        }
    }

    /// Hands the call to its handler; `None`: it is over. `Some(true)`: for the first time (a call that went back to its
    /// mailbox is handed again).
    pub fn hand(&self, id: CallId) -> Option<bool> {
        let mut s = self.0.lock();
        match s.entries.get_mut(id.index() as usize) {
            Some(Entry { generation, open: Some(open) }) if *generation == id.generation() => {
                Some(!std::mem::replace(&mut open.handed, true))
            }
            _ => None,
        }
    }

    /// The deadline timer of an open call.
    #[must_use]
    pub fn timer(&self, id: CallId) -> Option<TimerKey> {
        let s = self.0.lock();
        let entry = s.entries.get(id.index() as usize)?;
        if entry.generation != id.generation() {
            return None;
        }
        entry.open.as_ref()?.timer
    }

    /// The call's message has moved to another actor.
    pub fn retarget(&self, id: CallId, callee: Pid) {
        let mut s = self.0.lock();
        if let Some(Entry { generation, open: Some(open) }) = s.entries.get_mut(id.index() as usize)
            && *generation == id.generation()
        {
            open.callee = callee;
        }
    }

    /// The call's message waits for another actor, which has not had it in its hands.
    pub fn rehome(&self, id: CallId, callee: Pid) {
        let mut s = self.0.lock();
        if let Some(Entry { generation, open: Some(open) }) = s.entries.get_mut(id.index() as usize)
            && *generation == id.generation()
        {
            open.callee = callee;
            open.handed = false;
        }
    }

    /// Whether the call is open.
    #[must_use]
    pub fn is_open(&self, id: CallId) -> bool {
        let s = self.0.lock();
        s.entries
            .get(id.index() as usize)
            .is_some_and(|e| e.generation == id.generation() && e.open.is_some())
    }

    /// How many calls are open.
    #[must_use]
    pub fn len(&self) -> usize {
        let s = self.0.lock();
        s.entries.len() - s.free.len()
    }

    /// Whether no call is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
