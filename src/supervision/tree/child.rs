//! One child: its end, what follows, its starts.

use super::{ChildId, Command, Event, Last, News, Pending, State, Sup, Ticket, Tree};
use crate::id::Pid;
use crate::message::{CrashInfo, ExitReason};
use crate::path::Path;
use crate::supervision::backoff::chance;
use crate::supervision::policy::Strategy;
use std::sync::Arc;

impl Tree {
    /// Time has come so far.
    pub fn at(&mut self, now_ms: u64) {
        self.now = now_ms;
    }

    /// An actor has ended; `parked`: its cell keeps what it had queued.
    pub fn ended(
        &mut self,
        pid: Pid,
        reason: ExitReason,
        crash: Option<Arc<CrashInfo>>,
        parked: bool,
    ) {
        let mut kept = false;
        for id in self.of.remove(&pid).unwrap_or_default() {
            let Some(child) = self.children.get_mut(&id) else { continue };
            let mine = parked && child.has_factory;
            kept |= mine;
            let last = Last { reason, crash: crash.clone(), parked: mine };
            if child.state == State::Handing(pid) {
                child.early = Some(last);
            } else {
                self.down(id, pid, last);
            }
        }
        if parked && !kept {
            self.out.push_back(Command::Bury(pid));
        }
    }

    pub(super) fn down(&mut self, id: ChildId, pid: Pid, last: Last) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let stopped = child.state == State::Stopping(pid);
        child.state = State::Down;
        if last.parked {
            child.old = Some(pid);
        }
        child.last = Some(last);
        let sup = child.sup.clone();
        let Some(owner) = self.owner(&sup) else {
            self.decide(id, Some(pid));
            return;
        };
        let Some(op) = self.sups.get_mut(&owner).and_then(|s| s.op.as_mut()) else { return };
        let listed = stopped || op.stops.contains(&id) || op.starts.contains(&id);
        if listed || op.gives_up {
            self.advance(&owner);
        } else {
            op.pending.push_back(Pending::Child(id));
        }
    }

    /// A child that nobody had asked to stop has ended.
    pub(super) fn decide(&mut self, id: ChildId, pid: Option<Pid>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let Some(last) = child.last.clone() else { return };
        if !child.has_factory || !child.options.restart.applies_to(last.reason) {
            let news = News {
                event: Event::Ended,
                path: child.sup.clone(),
                id: child.options.id.clone(),
                old: pid,
                new: None,
                reason: last.reason,
                crash: last.crash,
                restarts: child.restarts,
            };
            self.drop_child(id);
            self.out.push_back(Command::Tell(news));
            return;
        }
        let path = child.sup.clone();
        let own = child.options.strategy;
        let Some(sup) = self.sups.get_mut(&path) else { return };
        if !sup.intensity.add(self.now) {
            self.give_up(&path, Some(id));
            return;
        }
        match own.unwrap_or(sup.strategy) {
            Strategy::One => self.start_soon(id),
            Strategy::All => {
                let all = self.leaves(&path);
                self.begin(&path, all);
            }
            Strategy::Rest => {
                let mut rest = self.leaves(&path);
                let from = rest.iter().position(|c| *c == id).unwrap_or(0);
                self.begin(&path, rest.split_off(from));
            }
        }
    }

    pub(super) fn delay(&mut self, path: &Path) -> u64 {
        let random = chance(&mut self.random);
        self.sups.get(path).map_or(0, |sup| {
            let nth = sup.intensity.count() as u32;
            sup.backoff.map_or(0, |b| b.delay_ms(nth, random))
        })
    }

    /// Starts one child, after the wait that its supervisor wants.
    pub(super) fn start_soon(&mut self, id: ChildId) {
        let Some(path) = self.children.get(&id).map(|c| c.sup.clone()) else { return };
        let ms = self.delay(&path);
        if ms == 0 {
            self.start(id);
            return;
        }
        let ticket = self.fresh();
        if let Some(child) = self.children.get_mut(&id) {
            child.state = State::Waiting(ticket);
            self.tickets.insert(ticket, id);
            self.out.push_back(Command::Wait { ticket, ms });
        }
    }

    pub(super) fn start(&mut self, id: ChildId) {
        let ticket = self.fresh();
        if let Some(child) = self.children.get_mut(&id) {
            child.state = State::Starting(ticket);
            self.tickets.insert(ticket, id);
            self.out.push_back(Command::Start { child: id, ticket, old: child.old });
        }
    }

    /// A wait is over.
    pub fn rang(&mut self, ticket: Ticket) {
        if let Some(id) = self.tickets.remove(&ticket) {
            if self.children.get(&id).is_some_and(|c| c.state == State::Waiting(ticket)) {
                self.start(id);
            }
            return;
        }
        let waiting = |sup: &Sup| sup.op.as_ref().is_some_and(|op| op.waiting == Some(ticket));
        let Some(path) = self.sups.iter().find(|(_, s)| waiting(s)).map(|(p, _)| p.clone()) else {
            return;
        };
        if let Some(op) = self.sups.get_mut(&path).and_then(|s| s.op.as_mut()) {
            op.waiting = None;
            op.delay_ms = 0;
        }
        self.advance(&path);
    }

    /// A factory has answered a live actor.
    pub fn started(&mut self, ticket: Ticket, new: Pid) {
        let id = self.tickets.remove(&ticket);
        let child = id.and_then(|id| self.children.get_mut(&id));
        let (Some(id), Some(child)) = (id, child) else {
            self.out.push_back(Command::Discard(new));
            return;
        };
        child.state = State::Handing(new);
        child.early = None;

        let (old, restart) = (child.old.take(), child.options.restart);
        self.of.entry(new).or_default().push(id);
        self.out.push_back(Command::HandOver { child: id, old, new, restart });
    }

    /// A replacement has what was parked.
    ///
    /// `Err`: it did not live any more, and this is who has it still.
    pub fn handed(&mut self, id: ChildId, outcome: Result<(), Option<Pid>>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let State::Handing(new) = child.state else { return };
        child.state = State::Running(new);
        let early = child.early.take();
        if let Err(old) = outcome {
            // It had ended before anybody listened.
            child.state = State::Down;
            child.old = old;
            if let Some(ids) = self.of.get_mut(&new) {
                ids.retain(|c| *c != id);
                if ids.is_empty() {
                    self.of.remove(&new);
                }
            }
            self.start_failed(id, "the factory answered an actor that has ended");
            return;
        }
        child.restarts += 1;
        let last = child.last.clone();
        let news = News {
            event: Event::Restarted,
            path: child.sup.clone(),
            id: child.options.id.clone(),
            old: Some(child.was),
            new: Some(new),
            reason: last.as_ref().map_or(ExitReason::Normal, |l| l.reason),
            crash: last.and_then(|l| l.crash),
            restarts: child.restarts,
        };
        child.was = new;
        let path = child.sup.clone();
        self.out.push_back(Command::Tell(news));
        if let Some(last) = early {
            self.down(id, new, last);
        }
        self.advance_at(&path);
    }

    /// A factory threw, or answered no live actor.
    pub fn failed(&mut self, ticket: Ticket, why: &str) {
        if let Some(id) = self.tickets.remove(&ticket)
            && let Some(child) = self.children.get_mut(&id)
        {
            child.state = State::Down;
            self.start_failed(id, why);
        }
    }

    pub(super) fn start_failed(&mut self, id: ChildId, why: &str) {
        let Some(child) = self.children.get(&id) else { return };
        let path = child.sup.clone();
        let crash = Some(Arc::new(CrashInfo { message: why.into(), stack: None }));
        let news = News {
            event: Event::StartFailed,
            path: path.clone(),
            id: child.options.id.clone(),
            old: Some(child.was),
            new: None,
            reason: ExitReason::Crash,
            crash: crash.clone(),
            restarts: child.restarts,
        };
        if let Some(child) = self.children.get_mut(&id) {
            let parked = child.old.is_some();
            child.last = Some(Last { reason: ExitReason::Crash, crash, parked });
        }
        self.out.push_back(Command::Tell(news));
        let owner = self.owner(&path);
        let at = owner.clone().unwrap_or_else(|| path.clone());
        if let Some(sup) = self.sups.get_mut(&at)
            && !sup.intensity.add(self.now)
        {
            self.give_up(&at, Some(id));
        } else if owner.is_some() {
            let ms = self.delay(&at);
            if let Some(op) = self.sups.get_mut(&at).and_then(|s| s.op.as_mut()) {
                op.delay_ms = ms;
            }
            self.advance(&at);
        } else {
            self.start_soon(id);
        }
    }
}
