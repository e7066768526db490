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
//!
//! ```text
//!  mod.rs         what there is, and setting it up
//!  child.rs       one child: its end, what follows, its starts
//!  operation.rs   several: stopped and started in order
//!  escalation.rs  giving up, and what the supervisor above makes of it
//!  snapshot.rs    what people see
//! ```

mod child;
mod escalation;
mod operation;
mod snapshot;

pub use snapshot::{ChildSnapshot, Snapshot};

use super::backoff::Backoff;
use super::intensity::Intensity;
use super::policy::{Restart, Strategy};
use crate::id::{IdMap, Pid};
use crate::message::{CrashInfo, ExitReason, SupervisorEvent as Event, SupervisorNews as News};
use crate::path::Path;
use std::collections::{BTreeMap, VecDeque};
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
    children: IdMap<ChildId, Child>,
    of: IdMap<Pid, Vec<ChildId>>,
    tickets: IdMap<Ticket, ChildId>,
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
            children: IdMap::default(),
            of: IdMap::default(),
            tickets: IdMap::default(),
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

    /// Takes a child away from a supervisor for good, by the pid that it has or, while a replacement is to come, had; answers
    /// whether it was one.
    pub fn terminate(&mut self, path: &Path, pid: Pid) -> bool {
        let Some(sup) = self.sups.get(path) else { return false };
        let lives = |id: &&ChildId| self.children.get(id).is_some_and(|c| c.sup == *path);
        // It has ended and its replacement is to come: nobody wants that any more.
        let is_awaited = |id: &&ChildId| {
            self.children.get(id).is_some_and(|c| {
                c.was == pid
                    && matches!(c.state, State::Down | State::Waiting(_) | State::Starting(_))
            })
        };
        let mine = match self.of.get(&pid) {
            Some(ids) => ids.iter().find(lives),
            None => sup.children.iter().find(is_awaited),
        };
        let Some(id) = mine.copied() else { return false };
        self.drop_child(id);
        self.advance_at(path);
        true
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
