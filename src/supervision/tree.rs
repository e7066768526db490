//! All supervisors of a runtime and their children: events go in, commands come out.
//!
//! ```text
//!   a child:   Running --end--> Down --start--> (Waiting) --> Starting --started--> Handing --handed--> Running
//!                 \--stop by its supervisor--> Stopping --end--> Down
//! ```
//!
//! A supervisor lives at a path. The nearest supervisor above a path has the ones below among its children: when one gives
//! up, that is the end of a child. What concerns one child alone (`restartone`) runs beside everything else; what concerns
//! several is an *operation*: stops in reverse start order, then starts in start order, one after the other. Ends that
//! come meanwhile and are not part of it wait until it is over. An operation covers the supervisors below.

use super::backoff::{Backoff, chance};
use super::intensity::Intensity;
use super::policy::{Restart, Strategy};
use crate::id::Pid;
use crate::message::{CrashInfo, ExitReason, SupervisorEvent as Event, SupervisorNews as News};
use crate::path::Path;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Names a child, and its factory.
pub type ChildId = u64;
/// Names one start of a child, or one wait.
pub type Ticket = u64;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// Stop an actor: its end is to be [told](Tree::ended). `parks`: what it has queued is for its replacement.
    Stop {
        /// Who.
        pid: Pid,
        /// Whether a restart follows.
        parks: bool,
    },
    /// Call a child's factory: its outcome is to be told as [`Tree::started`] or [`Tree::failed`].
    Start {
        /// Whose factory.
        child: ChildId,
        /// The name of this start.
        ticket: Ticket,
        /// Who has what is parked.
        old: Option<Pid>,
    },
    /// Tell [`Tree::rang`] after so many milliseconds.
    Wait {
        /// The name of this wait.
        ticket: Ticket,
        /// How long.
        ms: u64,
    },
    /// Give what is parked to the replacement, then tell [`Tree::handed`].
    HandOver {
        /// Whose.
        child: ChildId,
        /// From whom.
        old: Option<Pid>,
        /// To whom.
        new: Pid,
        /// Which of its ends restart it.
        restart: Restart,
    },
    /// No replacement comes: what is parked is dead.
    Bury(Pid),
    /// Nobody waits for this new actor any more.
    Discard(Pid),
    /// Nobody supervises this actor any more.
    Release(Pid),
    /// The factory of this child is not needed any more.
    Forget(ChildId),
    /// Something that people want to hear of.
    Tell(News),
}

/// How a child is supervised.
#[derive(Clone, Debug, Default)]
pub struct ChildOptions {
    /// Its name among its siblings.
    pub id: Option<Arc<str>>,
    /// Which of its ends are followed by a restart.
    pub restart: Restart,
    /// Who is restarted with it; `None`: as its supervisor says.
    pub strategy: Option<Strategy>,
}

/// How a supervisor is set up; what is `None` stays as it is, or is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SupervisorOptions {
    /// Who is restarted with a child that does not say. Default `restartone`.
    pub strategy: Option<Strategy>,
    /// Restarts that are fine within the window. Default 3.
    pub max_restarts: Option<u32>,
    /// The window, in milliseconds. Default 5,000.
    pub within_ms: Option<u64>,
    /// Waits before restarts. Default: none.
    pub backoff: Option<Backoff>,
    /// Which of its own ends the supervisor above restarts. Default `permanent`.
    pub restart: Option<Restart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running(Pid),
    Stopping(Pid),
    Down,
    Waiting(Ticket),
    Starting(Ticket),
    Handing(Pid),
}

#[derive(Clone, Debug)]
struct Last {
    reason: ExitReason,
    crash: Option<Arc<CrashInfo>>,
    parked: bool,
}

#[derive(Debug)]
struct Child {
    sup: Path,
    options: ChildOptions,
    has_factory: bool,
    state: State,
    /// Who it was last.
    was: Pid,
    /// Who has what is parked for it.
    old: Option<Pid>,
    /// How it ended last.
    last: Option<Last>,
    /// The end of the replacement, while it is being given what is parked.
    early: Option<Last>,
    restarts: u64,
}

#[derive(Debug)]
enum Pending {
    Child(ChildId),
    Sup(Path),
}

#[derive(Debug, Default)]
struct Op {
    stops: VecDeque<ChildId>,
    starts: VecDeque<ChildId>,
    /// The wait before the first start.
    delay_ms: u64,
    waiting: Option<Ticket>,
    pending: VecDeque<Pending>,
    gives_up: bool,
}

#[derive(Debug)]
struct Sup {
    id: u64,
    children: Vec<ChildId>,
    strategy: Strategy,
    intensity: Intensity,
    backoff: Option<Backoff>,
    restart: Restart,
    op: Option<Op>,
    /// It has given up, and the one above has not restarted it.
    down: bool,
}

/// See the module doc.
#[derive(Debug)]
pub struct Tree {
    sups: BTreeMap<Path, Sup>,
    children: HashMap<ChildId, Child>,
    of: HashMap<Pid, Vec<ChildId>>,
    tickets: HashMap<Ticket, ChildId>,
    next: u64,
    random: u64,
    now: u64,
    out: VecDeque<Command>,
}

impl Tree {
    /// No supervisors. `seed` begins the random numbers of backoffs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            sups: BTreeMap::new(),
            children: HashMap::new(),
            of: HashMap::new(),
            tickets: HashMap::new(),
            next: 1,
            random: seed,
            now: 0,
            out: VecDeque::new(),
        }
    }

    /// The next command.
    pub fn command(&mut self) -> Option<Command> {
        self.out.pop_front()
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    // --- setting up ----------------------------------------------------------------------------------------------------

    /// Makes a supervisor, or changes what is given of one; answers whether it is new.
    pub fn create(&mut self, path: &Path, o: SupervisorOptions) -> bool {
        let is_new = !self.sups.contains_key(path);
        if is_new {
            let id = self.fresh();
            let sup = Sup {
                id,
                children: Vec::new(),
                strategy: Strategy::default(),
                intensity: Intensity::default(),
                backoff: None,
                restart: Restart::default(),
                op: None,
                down: false,
            };
            self.sups.insert(path.clone(), sup);
        }
        if let Some(sup) = self.sups.get_mut(path) {
            sup.strategy = o.strategy.unwrap_or(sup.strategy);
            sup.intensity.max = o.max_restarts.unwrap_or(sup.intensity.max);
            sup.intensity.within_ms = o.within_ms.unwrap_or(sup.intensity.within_ms);
            sup.backoff = o.backoff.or(sup.backoff);
            sup.restart = o.restart.unwrap_or(sup.restart);
        }
        is_new
    }

    /// Takes a supervisor away: its children live on without one, and what is parked is dead. Answers whether it was there.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some(sup) = self.sups.remove(path) else { return false };
        for id in sup.children {
            if let Some(child) = self.children.get(&id)
                && let State::Running(pid) | State::Stopping(pid) | State::Handing(pid) =
                    child.state
            {
                self.out.push_back(Command::Release(pid));
            }
            self.drop_child(id);
        }
        self.advance_above(path);
        true
    }

    /// Supervises a live actor; `factory`: there is one to replace it. Answers its name, or who supervises it already.
    ///
    /// # Errors
    /// The path of its supervisor, if it has a factory already.
    pub fn supervise(
        &mut self,
        path: &Path,
        pid: Pid,
        factory: bool,
        options: ChildOptions,
    ) -> Result<ChildId, Path> {
        for id in self.of.get(&pid).cloned().unwrap_or_default() {
            let Some(child) = self.children.get_mut(&id) else { continue };
            if factory && child.has_factory {
                return Err(child.sup.clone());
            }
            if child.sup == *path {
                child.has_factory |= factory;
                child.options = options;
                return Ok(id);
            }
        }
        self.create(path, SupervisorOptions::default());
        let id = self.fresh();
        self.children.insert(
            id,
            Child {
                sup: path.clone(),
                options,
                has_factory: factory,
                state: State::Running(pid),
                was: pid,
                old: None,
                last: None,
                early: None,
                restarts: 0,
            },
        );
        if let Some(sup) = self.sups.get_mut(path) {
            sup.children.push(id);
            sup.down = false;
        }
        self.of.entry(pid).or_default().push(id);
        Ok(id)
    }

    /// Takes a child away from a supervisor for good; answers whether it was one.
    pub fn terminate(&mut self, path: &Path, pid: Pid) -> bool {
        let ids = self.of.get(&pid).cloned().unwrap_or_default();
        let mine = ids.into_iter().find(|id| {
            self.children.get(id).is_some_and(|c| {
                c.sup == *path && matches!(c.state, State::Running(_) | State::Stopping(_))
            })
        });
        let Some(id) = mine else { return false };
        self.drop_child(id);
        self.advance_at(path);
        true
    }

    // --- looking -------------------------------------------------------------------------------------------------------

    /// The live children of a supervisor, in start order; `None`: there is no such supervisor.
    #[must_use]
    pub fn children(&self, path: &Path) -> Option<Vec<Pid>> {
        let sup = self.sups.get(path)?;
        let live = |id: &ChildId| match self.children.get(id)?.state {
            State::Running(pid) | State::Handing(pid) => Some(pid),
            _ => None,
        };
        Some(sup.children.iter().filter_map(live).collect())
    }

    /// How often the supervised actor `pid` was restarted.
    #[must_use]
    pub fn restarts_of(&self, pid: Pid) -> u64 {
        let all = self.of.get(&pid).into_iter().flatten();
        all.filter_map(|id| self.children.get(id)).map(|c| c.restarts).sum()
    }

    /// Every supervisor, its live children by name, and restarts within its window, in path order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Snapshot> {
        let child = |id: &ChildId| {
            let c = self.children.get(id)?;
            let pid = match c.state {
                State::Running(pid) | State::Handing(pid) | State::Stopping(pid) => Some(pid),
                _ => None,
            };
            Some(ChildSnapshot {
                id: c.options.id.clone(),
                pid,
                restart: c.options.restart,
                restarts: c.restarts,
                has_factory: c.has_factory,
            })
        };
        self.sups
            .iter()
            .map(|(path, sup)| Snapshot {
                path: path.clone(),
                strategy: sup.strategy,
                max_restarts: sup.intensity.max,
                within_ms: sup.intensity.within_ms,
                children: sup.children.iter().filter_map(child).collect(),
            })
            .collect()
    }

    /// How many supervisors and children there are.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.sups.len(), self.children.len())
    }

    // --- events --------------------------------------------------------------------------------------------------------

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

    fn down(&mut self, id: ChildId, pid: Pid, last: Last) {
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
    fn decide(&mut self, id: ChildId, pid: Option<Pid>) {
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

    fn delay(&mut self, path: &Path) -> u64 {
        let random = chance(&mut self.random);
        self.sups.get(path).map_or(0, |sup| {
            let nth = sup.intensity.count() as u32;
            sup.backoff.map_or(0, |b| b.delay_ms(nth, random))
        })
    }

    /// Starts one child, after the wait that its supervisor wants.
    fn start_soon(&mut self, id: ChildId) {
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

    fn start(&mut self, id: ChildId) {
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

    fn start_failed(&mut self, id: ChildId, why: &str) {
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

    // --- operations ----------------------------------------------------------------------------------------------------

    /// The supervisor, at `path` or above, whose operation covers it.
    fn owner(&self, path: &Path) -> Option<Path> {
        let mut at = Some(path.clone());
        while let Some(p) = at {
            if self.sups.get(&p).is_some_and(|s| s.op.is_some()) {
                return Some(p);
            }
            at = p.parent();
        }
        None
    }

    /// The nearest supervisor above `path`.
    fn above(&self, path: &Path) -> Option<Path> {
        let mut at = path.parent();
        while let Some(p) = at {
            if self.sups.contains_key(&p) {
                return Some(p);
            }
            at = p.parent();
        }
        None
    }

    /// The supervisors whose nearest above is `path`, in path order.
    fn nested(&self, path: &Path) -> Vec<Path> {
        let below = |p: &&Path| p.is_below(path) && self.above(p).as_ref() == Some(path);
        self.sups.keys().filter(below).cloned().collect()
    }

    /// All children at `path` and below, in start order: a supervisor stands where it was made.
    fn leaves(&self, path: &Path) -> Vec<ChildId> {
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
    fn begin(&mut self, path: &Path, who: Vec<ChildId>) {
        let has_factory = |id: &ChildId| self.children.get(id).is_some_and(|c| c.has_factory);
        let who: Vec<_> = who.into_iter().filter(has_factory).collect();
        let delay_ms = self.delay(path);
        let stops = who.iter().rev().copied().collect();
        let op = Op { stops, starts: who.into(), delay_ms, ..Op::default() };
        self.replace_op(path, op);
    }

    /// An operation takes the place of those below, and of the starts that are under way there.
    fn replace_op(&mut self, path: &Path, mut op: Op) {
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
    fn advance_at(&mut self, path: &Path) {
        if let Some(owner) = self.owner(path) {
            self.advance(&owner);
        }
    }

    fn advance_above(&mut self, path: &Path) {
        if let Some(above) = path.parent() {
            self.advance_at(&above);
        }
    }

    fn advance(&mut self, path: &Path) {
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

    fn finish(&mut self, path: &Path) {
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

    /// One restart too many: everything ends, and then the supervisor.
    fn give_up(&mut self, path: &Path, because: Option<ChildId>) {
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
    fn gone(&mut self, path: &Path, pending: VecDeque<Pending>) {
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
    fn sup_ended(&mut self, path: &Path, below: &Path) {
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

    /// A supervisor and what is below it are no more.
    fn forget_all(&mut self, path: &Path) {
        let all: Vec<Path> =
            self.sups.keys().filter(|p| *p == path || p.is_below(path)).cloned().collect();
        for p in all {
            let children = self.sups.remove(&p).map(|s| s.children).unwrap_or_default();
            for id in children {
                self.drop_child(id);
            }
        }
    }

    fn drop_child(&mut self, id: ChildId) {
        let Some(child) = self.children.remove(&id) else { return };
        if let State::Running(pid) | State::Stopping(pid) | State::Handing(pid) = child.state
            && let Some(ids) = self.of.get_mut(&pid)
        {
            ids.retain(|c| *c != id);
            if ids.is_empty() {
                self.of.remove(&pid);
            }
        }
        if let State::Waiting(ticket) | State::Starting(ticket) = child.state {
            self.tickets.remove(&ticket);
        }
        if let Some(old) = child.old {
            self.out.push_back(Command::Bury(old));
        }
        if let Some(sup) = self.sups.get_mut(&child.sup) {
            sup.children.retain(|c| *c != id);
        }
        self.out.push_back(Command::Forget(id));
    }

    /// Ends all supervision: what is parked is dead.
    pub fn clear(&mut self) {
        let all: Vec<ChildId> = self.children.keys().copied().collect();
        self.sups.clear();
        for id in all {
            self.drop_child(id);
        }
        self.of.clear();
        self.tickets.clear();
    }
}

/// A supervisor as people see it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where it is.
    pub path: Path,
    /// Who is restarted with a child.
    pub strategy: Strategy,
    /// Restarts that are fine within the window.
    pub max_restarts: u32,
    /// The window, in milliseconds.
    pub within_ms: u64,
    /// Its children, in start order.
    pub children: Vec<ChildSnapshot>,
}

/// A child as people see it.
#[derive(Clone, Debug)]
pub struct ChildSnapshot {
    /// Its name.
    pub id: Option<Arc<str>>,
    /// Who it is; `None`: it is down.
    pub pid: Option<Pid>,
    /// Which ends are followed by a restart.
    pub restart: Restart,
    /// How often it was restarted.
    pub restarts: u64,
    /// Whether it can be replaced.
    pub has_factory: bool,
}
