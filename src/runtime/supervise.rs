//! Carries out what the supervision [tree](crate::supervision::tree) commands.
//!
//! The tree is asked under its lock, and its commands are carried out without one, by whoever is the first to find any: a
//! command that makes others (a stop ends an actor, whose end is told to the tree) finds that somebody is at it already and
//! leaves them to that thread, so nothing recurses however many children there are.
//!
//! Factories are foreign code: a host's are called on its own loop or lane, a Rust one on the thread that carries out. What
//! the core learns of one is its outcome, under the ticket of the start. Actors that are spawned while it runs are suspended.

use super::core::{Core, TimerTask};
use crate::actor::cell::Keeper;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{IdMap, Pid};
use crate::message::{CrashInfo, ExitInfo, ExitReason, SupervisorEvent, SupervisorNews};
use crate::path::Path;
use crate::supervision::policy::Restart;
use crate::supervision::tree::{
    ChildId, ChildOptions, Command, Snapshot, SupervisorOptions, Ticket, Tree,
};
use crate::sync::{Mutex, contain, thread_local};
use crate::timer::wheel::TimerKey;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// A start that a factory is asked for.
#[derive(Clone, Copy, Debug)]
pub struct StartRequest {
    /// Its name: the outcome goes to [`Runtime::start_over`](super::Runtime::start_over) with it.
    pub ticket: u64,
    /// Who is replaced, if there are messages for the replacement.
    pub old: Option<Pid>,
}

/// Replaces an actor, now or later; `false`: nobody can be asked any more.
pub type Factory = Arc<dyn Fn(StartRequest) -> bool + Send + Sync>;

/// Who hears of what supervisors do.
pub(super) type NewsHook = Arc<dyn Fn(&SupervisorNews) + Send + Sync>;

struct State {
    tree: Tree,
    /// Somebody carries commands out.
    busy: bool,
}

/// The supervisors of a runtime.
pub(super) struct Supervision {
    state: Mutex<State>,
    factories: Mutex<IdMap<ChildId, Factory>>,
    /// Starts under way, and whom they have spawned.
    starting: Mutex<IdMap<Ticket, Vec<Pid>>>,
    /// Who waits until a lane gives back what it has of an actor that has ended.
    turns: Mutex<IdMap<Pid, (Waiting, TimerKey)>>,
    pub(super) pools: super::pools::Pools,
    pub(super) hooks: Mutex<Vec<NewsHook>>,
}

/// What goes on when a lane has given back what it had of an actor that has ended.
pub(super) enum Waiting {
    Start(ChildId, Ticket),
    Then(Box<dyn FnOnce() + Send>),
}

impl Supervision {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(State { tree: Tree::new(seed), busy: false }),
            factories: Mutex::default(),
            starting: Mutex::default(),
            turns: Mutex::default(),
            pools: super::pools::Pools::default(),
            hooks: Mutex::default(),
        }
    }

    /// Every supervisor and its children.
    pub(super) fn snapshot(&self) -> Vec<Snapshot> {
        self.state.lock().tree.snapshot()
    }
}

thread_local! {
    /// The start whose factory runs on this thread: the runtime's tag and the ticket; 0: none.
    static STARTING: Cell<u64> = const { Cell::new(0) };
}

/// Tickets of as many bits can be told from a tag: 140 billion starts of supervisors, and as many of pools.
pub(super) const TICKET_BITS: u32 = 48;

impl Core {
    /// The start for which this thread spawns right now.
    #[inline]
    pub(super) fn start_at_hand(&self) -> Option<Ticket> {
        let mark = STARTING.with(Cell::get);
        if mark == 0 { None } else { self.start_of(mark) }
    }

    #[cold]
    fn start_of(&self, mark: u64) -> Option<Ticket> {
        (mark >> TICKET_BITS == u64::from(self.tag) + 1).then_some(mark & ((1 << TICKET_BITS) - 1))
    }

    /// Says that this thread runs the factory of a start, or (0) none.
    pub(super) fn set_start_at_hand(&self, ticket: Ticket) {
        let mark = if ticket == 0 { 0 } else { (u64::from(self.tag) + 1) << TICKET_BITS | ticket };
        STARTING.with(|s| s.set(mark));
    }

    /// A start begins: what is spawned for it is noted.
    pub(super) fn expect_spawns(&self, ticket: Ticket) {
        self.supervision.starting.lock().insert(ticket, Vec::new());
    }

    /// What was spawned for a start, which is over; `None`: it was before.
    pub(super) fn spawned_for(&self, ticket: Ticket) -> Option<Vec<Pid>> {
        self.supervision.starting.lock().remove(&ticket)
    }

    /// An actor was spawned by a factory; `false`: its start is over.
    pub(super) fn note_spawned(&self, ticket: Ticket, pid: Pid) -> bool {
        let mut starting = self.supervision.starting.lock();
        starting.get_mut(&ticket).map(|spawned| spawned.push(pid)).is_some()
    }

    /// Whether `pid` was spawned to replace `old`, or may speak for who was.
    pub(super) fn may_take_over(&self, pid: Pid, old: Pid) -> bool {
        let parked = self.slot(old).is_some_and(|s| s.lock().is_parked(old.generation()));
        parked
            && (self.start_at_hand().is_some()
                || self.change(pid, |c| c.is_suspended()).unwrap_or(false))
    }

    pub(super) fn restarts_of(&self, pid: Pid) -> u64 {
        self.supervision.state.lock().tree.restarts_of(pid)
    }

    /// Asks the tree, then carries out what it commands.
    pub(super) fn with_tree<R>(&self, ask: impl FnOnce(&mut Tree) -> R) -> R {
        let answer = {
            let mut s = self.supervision.state.lock();
            s.tree.at(self.clock.now_ms());
            let answer = ask(&mut s.tree);
            if s.busy {
                return answer;
            }
            s.busy = true;
            answer
        };
        loop {
            let command = {
                let mut s = self.supervision.state.lock();
                match s.tree.command() {
                    Some(command) => command,
                    None => {
                        s.busy = false;
                        return answer;
                    }
                }
            };
            self.carry_out(command);
        }
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::Stop { pid, parks } => {
                let keeper = if parks { Keeper::ALWAYS } else { Keeper::NEVER };
                self.change(pid, |c| c.extra().keeper = Some(keeper));
                self.stop(pid, false, None);
            }
            Command::Start { child, ticket, old } => self.start_child(child, ticket, old),
            Command::Wait { ticket, ms } => {
                self.timers.insert(Duration::from_millis(ms), TimerTask::Restart(ticket));
            }
            Command::HandOver { child, old, new, restart } => {
                let outcome =
                    if self.hand_over(old, new, keeper_of(restart)) { Ok(()) } else { Err(old) };
                self.with_tree(|t| t.handed(child, outcome));
            }
            Command::Bury(old) => self.bury_parked(old),
            Command::Discard(pid) => {
                self.kill(pid);
            }
            Command::Release(pid) => {
                // Another supervisor may watch it.
                self.change(pid, |c| c.extra().keeper = Some(Keeper::NEVER));
            }
            Command::Forget(child) => {
                let factory = self.supervision.factories.lock().remove(&child);
                contain(|| drop(factory));
            }
            Command::Tell(news) => self.tell_news(&news),
        }
    }

    /// Calls a factory, once no lane has anything of the old actor in its hands.
    fn start_child(&self, child: ChildId, ticket: Ticket, old: Option<Pid>) {
        match old {
            Some(old) => self.after_turn(old, Waiting::Start(child, ticket)),
            None => self.call_factory(child, ticket, None),
        }
    }

    /// Goes on once no lane has anything in its hands of an actor that has ended.
    pub(super) fn after_turn(&self, old: Pid, waiting: Waiting) {
        if self.reason_of(old) == ExitReason::Timeout || !self.has_open_turn(old) {
            self.go_on(old, waiting);
            return;
        }
        // A handler that never returns keeps nobody waiting longer than a stop does.
        let timer = self.timers.insert(self.config.stop_timeout, TimerTask::Turn(old));
        self.supervision.turns.lock().insert(old, (waiting, timer));
        if !self.has_open_turn(old) {
            // It was over in this moment; whoever saw that may have gone on already.
            self.turn_is_over(old);
        }
    }

    /// The lane has given back what it had of an actor that has ended.
    pub(super) fn turn_is_over(&self, old: Pid) {
        let waiting = self.supervision.turns.lock().remove(&old);
        if let Some((waiting, timer)) = waiting {
            self.timers.cancel(timer);
            self.go_on(old, waiting);
        }
    }

    fn go_on(&self, old: Pid, waiting: Waiting) {
        match waiting {
            Waiting::Start(child, ticket) => self.call_factory(child, ticket, Some(old)),
            Waiting::Then(f) => contain(f),
        }
    }

    fn call_factory(&self, child: ChildId, ticket: Ticket, old: Option<Pid>) {
        let factory = self.supervision.factories.lock().get(&child).map(Arc::clone);
        self.expect_spawns(ticket);
        let mut asked = false;
        if let Some(factory) = factory {
            contain(|| asked = factory(StartRequest { ticket, old }));
        }
        if !asked {
            self.start_over(
                ticket,
                Err("nobody can be asked for a replacement: its thread has ended".into()),
            );
        }
    }

    /// The outcome of a start.
    pub(super) fn start_over(&self, ticket: Ticket, outcome: std::result::Result<Pid, String>) {
        let Some(spawned) = self.spawned_for(ticket) else { return };
        let outcome = outcome.and_then(|pid| {
            let lives = self.change(pid, |c| c.accepts_or_drains()).unwrap_or(false);
            if lives {
                Ok(pid)
            } else {
                Err(format!("the factory answered pid {pid}, which does not live"))
            }
        });
        match outcome {
            Ok(new) => {
                for pid in spawned.into_iter().filter(|p| *p != new) {
                    self.resume_new(pid);
                }
                self.with_tree(|t| t.started(ticket, new));
            }
            Err(why) => {
                // What a factory that failed has spawned is nobody's.
                for pid in spawned {
                    self.kill(pid);
                }
                self.with_tree(|t| t.failed(ticket, &why));
            }
        }
    }

    /// A supervised actor has ended.
    pub(super) fn child_ended(&self, info: &ExitInfo, parked: bool) {
        self.with_tree(|t| t.ended(info.pid, info.reason, info.crash.clone(), parked));
    }

    pub(super) fn wait_is_over(&self, ticket: Ticket) {
        self.with_tree(|t| t.rang(ticket));
    }

    fn tell_news(&self, news: &SupervisorNews) {
        match news.event {
            SupervisorEvent::Restarted => self.books.restarted(),
            SupervisorEvent::StartFailed => self.books.start_failed(),
            SupervisorEvent::GaveUp => self.books.gave_up(),
            SupervisorEvent::Ended => {}
        }
        let what = match news.event {
            SupervisorEvent::StartFailed => Some("could not start a replacement"),
            SupervisorEvent::GaveUp => Some("gave up: too many restarts"),
            _ => None,
        };
        if let (Some(what), Some(pid)) = (what, news.old) {
            let crash = news.crash.as_ref();
            let thrown = crash.map_or(news.reason.as_str(), |c| c.message.as_str());
            let message = format!("supervisor {} {what}: {thrown}", news.path);
            let stack = crash.and_then(|c| c.stack.clone());
            let hook = self.failure_hook.lock().clone();
            if let Some(hook) = hook {
                let crash = Some(Arc::new(CrashInfo { message, stack }));
                let reason = if news.reason.is_failure() { news.reason } else { ExitReason::Crash };
                contain(|| hook(ExitInfo { pid, reason, crash }));
            }
        }
        let hooks = self.supervision.hooks.lock().clone();
        for hook in hooks {
            contain(|| hook(news));
        }
    }

    // --- what is asked -------------------------------------------------------------------------------------------------

    pub(super) fn supervise(
        &self,
        path: &Path,
        pid: Pid,
        factory: Option<Factory>,
        child: ChildOptions,
        sup: SupervisorOptions,
    ) -> Result<()> {
        self.check_open()?;
        if let Some(b) = &sup.backoff {
            b.validate()?;
        }
        let restart = child.restart;
        let has_factory = factory.is_some();
        let keeper = if has_factory { keeper_of(restart) } else { Keeper::NEVER };
        // Under the tree's lock, so that whoever ends the actor finds it there as soon as its cell says that it is.
        let mut s = self.supervision.state.lock();
        if self.change(pid, |_| ()).is_none() {
            drop(s);
            return Err(self.no_such_actor(pid));
        }
        let made = s.tree.supervise(path, pid, has_factory, child);
        if let Ok(id) = &made {
            let listed = self.change(pid, |c| {
                let x = c.extra();
                if has_factory || x.keeper.is_none() {
                    x.keeper = Some(keeper);
                }
            });
            if listed.is_none() {
                // It has ended in this moment.
                s.tree.terminate(path, pid);
                drop(s);
                return Err(self.no_such_actor(pid));
            }
            s.tree.create(path, sup);
            if let Some(factory) = factory {
                self.supervision.factories.lock().insert(*id, factory);
            }
        }
        drop(s);
        made.map(drop).map_err(|at| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("pid {pid} has a factory already, under the supervisor at {at}"),
            )
        })
    }

    /// Supervision ends: what is parked is dead.
    pub(super) fn end_supervision(&self) {
        self.with_tree(Tree::clear);
        self.supervision.starting.lock().clear();
        let waiting = std::mem::take(&mut *self.supervision.turns.lock());
        drop(waiting);
        self.end_pools();
    }
}

fn keeper_of(restart: Restart) -> Keeper {
    let applies = ExitReason::ALL.into_iter().filter(|why| restart.applies_to(*why));
    Keeper(applies.fold(0, |bits, why| bits | 1 << why as u16))
}
