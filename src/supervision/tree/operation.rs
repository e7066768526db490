//! Operations: several children stopped and started in order.

use super::{ChildId, Command, Op, Pending, State, Tree};
use crate::path::Path;
use crate::supervision::policy::Restart;

impl Tree {
    /// The supervisor, at `path` or above, whose operation covers it.
    pub(super) fn owner(&self, path: &Path) -> Option<Path> {
        let mut at = path.as_str();
        loop {
            if let Some((p, sup)) = self.sups.get_key_value(at)
                && sup.op.is_some()
            {
                return Some(p.clone());
            }
            at = &at[..at.rfind('/')?];
        }
    }

    /// The nearest supervisor above `path`.
    pub(super) fn above(&self, path: &Path) -> Option<Path> {
        let mut at = path.as_str();
        loop {
            at = &at[..at.rfind('/')?];
            if let Some((p, _)) = self.sups.get_key_value(at) {
                return Some(p.clone());
            }
        }
    }

    /// The supervisors whose nearest above is `path`, in path order.
    pub(super) fn nested(&self, path: &Path) -> Vec<Path> {
        let below = |p: &&Path| p.is_below(path) && self.above(p).as_ref() == Some(path);
        self.sups.keys().filter(below).cloned().collect()
    }

    /// All children at `path` and below, in start order: a supervisor stands where it was made.
    pub(super) fn leaves(&self, path: &Path) -> Vec<ChildId> {
        let Some(sup) = self.sups.get(path) else { return Vec::new() };
        let mut items: Vec<(u64, Option<Path>)> = sup.children.iter().map(|c| (*c, None)).collect();
        let nested = self.nested(path);
        if nested.is_empty() {
            return sup.children.clone();
        }
        items.extend(nested.into_iter().filter_map(|p| Some((self.sups.get(&p)?.id, Some(p)))));
        items.sort_by_key(|(id, _)| *id);
        let mut all = Vec::new();
        for (id, nested) in items {
            match nested {
                None => all.push(id),
                Some(p) => all.extend(self.leaves(&p)),
            }
        }
        all
    }

    /// Stops what runs of `who` in reverse order and starts them in order.
    pub(super) fn begin(&mut self, path: &Path, who: Vec<ChildId>) {
        let has_factory = |id: &ChildId| self.children.get(id).is_some_and(|c| c.has_factory);
        let who: Vec<_> = who.into_iter().filter(has_factory).collect();
        let delay_ms = self.delay(path);
        let stops = who.iter().rev().copied().collect();
        let op = Op { stops, starts: who.into(), delay_ms, ..Op::default() };
        self.replace_op(path, op);
    }

    /// An operation takes the place of those below, and of the starts that are under way there.
    pub(super) fn replace_op(&mut self, path: &Path, mut op: Op) {
        let below: Vec<Path> =
            self.sups.keys().filter(|p| *p == path || p.is_below(path)).cloned().collect();
        for p in below {
            if let Some(old) = self.sups.get_mut(&p).and_then(|s| s.op.take()) {
                op.pending.extend(old.pending);
            }
        }
        for id in op.stops.iter().chain(&op.starts) {
            if let Some(child) = self.children.get_mut(id)
                && let State::Waiting(ticket) | State::Starting(ticket) = child.state
            {
                self.tickets.remove(&ticket);
                child.state = State::Down;
            }
        }
        if let Some(sup) = self.sups.get_mut(path) {
            sup.op = Some(op);
        }
        self.advance(path);
    }

    /// The next step of the operation at `path` or above, if there is one.
    pub(super) fn advance_at(&mut self, path: &Path) {
        if let Some(owner) = self.owner(path) {
            self.advance(&owner);
        }
    }

    pub(super) fn advance_above(&mut self, path: &Path) {
        if let Some(above) = path.parent() {
            self.advance_at(&above);
        }
    }

    pub(super) fn advance(&mut self, path: &Path) {
        loop {
            let Some(op) = self.sups.get_mut(path).and_then(|s| s.op.as_mut()) else { return };
            if let Some(id) = op.stops.front().copied() {
                let (gives_up, restarts) = (op.gives_up, op.starts.contains(&id));
                match self.children.get_mut(&id) {
                    None => {}
                    Some(child) => match child.state {
                        State::Running(pid) => {
                            child.state = State::Stopping(pid);
                            let parks = restarts && child.options.restart != Restart::Temporary;
                            self.out.push_back(Command::Stop { pid, parks });
                            return;
                        }
                        State::Stopping(_) | State::Handing(_) => return,
                        State::Down | State::Waiting(_) | State::Starting(_) => {
                            let gone =
                                child.options.restart == Restart::Temporary || !child.has_factory;
                            if gone {
                                self.drop_child(id);
                            } else if gives_up && let Some(old) = child.old.take() {
                                self.out.push_back(Command::Bury(old));
                            }
                        }
                    },
                }
                if let Some(op) = self.sups.get_mut(path).and_then(|s| s.op.as_mut()) {
                    op.stops.pop_front();
                }
                continue;
            }
            if let Some(id) = op.starts.front().copied() {
                if op.delay_ms != 0 {
                    if op.waiting.is_none() {
                        let ms = op.delay_ms;
                        let ticket = self.fresh();
                        if let Some(op) = self.sups.get_mut(path).and_then(|s| s.op.as_mut()) {
                            op.waiting = Some(ticket);
                        }
                        self.out.push_back(Command::Wait { ticket, ms });
                    }
                    return;
                }
                match self.children.get(&id).map(|c| c.state) {
                    Some(State::Down) => {
                        self.start(id);
                        return;
                    }
                    None | Some(State::Running(_)) => {}
                    Some(_) => return,
                }
                if let Some(op) = self.sups.get_mut(path).and_then(|s| s.op.as_mut()) {
                    op.starts.pop_front();
                }
                continue;
            }
            self.finish(path);
            return;
        }
    }

    pub(super) fn finish(&mut self, path: &Path) {
        let Some(sup) = self.sups.get_mut(path) else { return };
        let Some(op) = sup.op.take() else { return };
        if op.gives_up {
            self.gone(path, op.pending);
            return;
        }
        for ended in op.pending {
            if self.owner(path).is_some() {
                // The one before began another operation.
                let op = self.owner(path).and_then(|o| self.sups.get_mut(&o)?.op.as_mut());
                if let Some(op) = op {
                    op.pending.push_back(ended);
                }
                continue;
            }
            match ended {
                Pending::Child(id) => {
                    if self.children.get(&id).is_some_and(|c| c.state == State::Down) {
                        self.decide(id, None);
                    }
                }
                Pending::Sup(below) => self.sup_ended(path, &below),
            }
        }
    }
}
