//! Giving up, and what the supervisor above makes of it.

use super::{ChildId, Command, Event, News, Op, Pending, Tree};
use crate::message::ExitReason;
use crate::path::Path;
use crate::supervision::policy::{Restart, Strategy};
use std::collections::VecDeque;

impl Tree {
    /// One restart too many: everything ends, and then the supervisor.
    pub(super) fn give_up(&mut self, path: &Path, because: Option<ChildId>) {
        let child = because.and_then(|id| self.children.get(&id));
        let last = child.and_then(|c| c.last.clone());
        let news = News {
            event: Event::GaveUp,
            path: path.clone(),
            id: child.and_then(|c| c.options.id.clone()),
            old: child.map(|c| c.was),
            new: None,
            reason: last.as_ref().map_or(ExitReason::Shutdown, |l| l.reason),
            crash: last.and_then(|l| l.crash),
            restarts: child.map_or(0, |c| c.restarts),
        };
        self.out.push_back(Command::Tell(news));
        let stops = self.leaves(path).into_iter().rev().collect();
        self.replace_op(path, Op { stops, gives_up: true, ..Op::default() });
    }

    /// All children of a supervisor that gave up have ended.
    pub(super) fn gone(&mut self, path: &Path, pending: VecDeque<Pending>) {
        drop(pending);
        let above = self.above(path);
        let Some(sup) = self.sups.get_mut(path) else { return };
        sup.intensity.reset();
        sup.down = true;
        match above {
            // `shutdown` is no error, so only a permanent one is restarted.
            Some(above) if sup.restart == Restart::Permanent => {
                if let Some(owner) = self.owner(&above) {
                    if let Some(op) = self.sups.get_mut(&owner).and_then(|s| s.op.as_mut()) {
                        op.pending.push_back(Pending::Sup(path.clone()));
                    }
                } else {
                    self.sup_ended(&above, path);
                }
            }
            _ => self.forget_all(path),
        }
    }

    /// A supervisor below has ended: as the end of a child.
    pub(super) fn sup_ended(&mut self, path: &Path, below: &Path) {
        if !self.sups.get(below).is_some_and(|s| s.down) {
            return;
        }
        let now = self.now;
        let Some(sup) = self.sups.get_mut(path) else { return };
        if !sup.intensity.add(now) {
            self.give_up(path, None);
            return;
        }
        let mut who = match sup.strategy {
            Strategy::One => self.leaves(below),
            Strategy::All | Strategy::Rest => self.leaves(path),
        };
        if self.sups.get(path).is_some_and(|s| s.strategy == Strategy::Rest)
            && let Some(first) = self.leaves(below).first()
            && let Some(from) = who.iter().position(|c| c == first)
        {
            who = who.split_off(from);
        }
        if let Some(sup) = self.sups.get_mut(below) {
            sup.down = false;
        }
        self.begin(path, who);
    }
}
