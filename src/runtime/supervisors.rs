//! What the outside asks of supervisors: [`Runtime`](super::Runtime)'s calls, and those of a host's lane. Who carries out what
//! follows is [`supervise`](super::supervise).

use super::labels::Label;
use super::supervise::StartRequest;
use crate::actor::cell::Keeper;
use crate::error::Result;
use crate::id::Pid;
use crate::message::{Payload, SupervisorNews};
use crate::path::Path;
use crate::scheduler::lane::Lane;
use crate::supervision::backoff::Backoff;
use crate::supervision::tree::{ChildOptions, SupervisorOptions};
use std::sync::Arc;

impl super::Runtime {
    /// Makes a supervisor at a path, or changes what is given of one. Answers whether it is new.
    ///
    /// # Errors
    /// `InvalidPath`, `InvalidArgument`, `RuntimeClosed`.
    pub fn create_path_supervisor(&self, path: &str, options: SupervisorOptions) -> Result<bool> {
        self.core.check_open()?;
        let path = Path::parse_prefix(path)?;
        options.backoff.as_ref().map_or(Ok(()), Backoff::validate)?;
        Ok(self.core.with_tree(|t| t.create(&path, options)))
    }

    /// Takes a supervisor away; its children live on without one. Answers whether it was there.
    ///
    /// # Errors
    /// `InvalidPath`, `RuntimeClosed`.
    pub fn remove_path_supervisor(&self, path: &str) -> Result<bool> {
        self.core.check_open()?;
        let path = Path::parse_prefix(path)?;
        Ok(self.core.with_tree(|t| t.remove(&path)))
    }

    /// Puts a live actor under the supervisor at a path, which is made if there is none: its end is reported, never followed
    /// by a restart.
    ///
    /// # Errors
    /// `InvalidPath`, `NoSuchActor`, `RuntimeClosed`.
    pub fn path_supervisor_watch(&self, path: &str, pid: Pid) -> Result<()> {
        let path = Path::parse_prefix(path)?;
        let options = (ChildOptions::default(), SupervisorOptions::default());
        self.core.supervise(&path, pid, None, options.0, options.1)
    }

    /// The live children of the supervisor at a path, in start order; none if there is no supervisor.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn path_supervisor_children(&self, path: &str) -> Result<Vec<Pid>> {
        let path = Path::parse_prefix(path)?;
        Ok(self.core.with_tree(|t| t.children(&path)).unwrap_or_default())
    }

    /// Puts a live actor under the supervisor at a path, which is made if there is none. When it ends, and `child` wants a
    /// restart for that, `factory` is asked for a replacement, which gets its queue, names and paths.
    ///
    /// # Errors
    /// `InvalidPath`, `InvalidArgument`, `NoSuchActor`, `RuntimeClosed`.
    pub fn path_supervise_with_factory(
        &self,
        path: &str,
        pid: Pid,
        factory: impl Fn(StartRequest) -> bool + Send + Sync + 'static,
        child: ChildOptions,
        supervisor: SupervisorOptions,
    ) -> Result<()> {
        let path = Path::parse_prefix(path)?;
        self.core.supervise(&path, pid, Some(Arc::new(factory)), child, supervisor)
    }

    /// The outcome of the [start](StartRequest) that a factory was asked for: the pid of the replacement, or why there is
    /// none.
    pub fn start_over(&self, ticket: u64, outcome: std::result::Result<Pid, String>) {
        self.core.start_over(ticket, outcome);
    }

    /// Says that the factory of a start runs on this thread from now on (0: none does): what it spawns is suspended until
    /// the start is over.
    pub fn set_start_at_hand(&self, ticket: u64) {
        self.core.set_start_at_hand(ticket);
    }

    /// Stops a child for good: no restart follows. Answers whether it was a child of the supervisor at `path`.
    ///
    /// # Errors
    /// `InvalidPath`, `RuntimeClosed`.
    pub fn terminate_child(&self, path: &str, pid: Pid) -> Result<bool> {
        self.core.check_open()?;
        let path = Path::parse_prefix(path)?;
        let was = self.core.with_tree(|t| t.terminate(&path, pid));
        if was {
            self.core.change(pid, |c| c.extra().keeper = Some(Keeper::NEVER));
            self.core.stop(pid, false, None);
        }
        Ok(was)
    }

    /// Puts the live actors one level below a path under the global supervisor; answers how many there are.
    ///
    /// # Errors
    /// `InvalidPath`, `RuntimeClosed`.
    pub fn watch_path(&self, prefix: &str) -> Result<usize> {
        self.core.check_open()?;
        let found = self.list_children_direct(prefix)?;
        let mut watched = 0;
        for (_, pid) in found {
            let options = (ChildOptions::default(), SupervisorOptions::default());
            let made = self.core.supervise(&Path::nowhere(), pid, None, options.0, options.1);
            watched += usize::from(made.is_ok());
        }
        Ok(watched)
    }

    /// The live children of the global supervisor.
    #[must_use]
    pub fn child_pids(&self) -> Vec<Pid> {
        self.core.with_tree(|t| t.children(&Path::nowhere())).unwrap_or_default()
    }

    /// Every supervisor and its children at this moment, in path order; the global one is at `/`.
    #[must_use]
    pub fn supervision_tree(&self) -> Vec<crate::supervision::tree::Snapshot> {
        self.core.supervision.snapshot()
    }

    /// Calls `hook` with everything that a supervisor does. It runs on the thread that does it and must not block.
    pub fn on_supervisor(&self, hook: impl Fn(&SupervisorNews) + Send + Sync + 'static) {
        self.core.supervision.hooks.lock().push(Arc::new(hook));
    }

    /// Who gets what is sent to a name: its holder, or one that has ended and whose replacement is to come.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Pid> {
        self.core.holder(Label::Name(name))
    }

    /// As [`named`](Self::named), of a path.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn named_by_path(&self, path: &str) -> Result<Option<Pid>> {
        Ok(self.core.holder(Label::Path(&Path::parse(path)?)))
    }

    /// [`send_named`](Self::send_named), except that a mailbox that is full and whose policy is `block` gives the message
    /// back, and says whose it is: then nothing is counted, and the caller sends it another way.
    ///
    /// # Errors
    /// Who, and the message.
    pub fn send_named_unless_blocked(
        &self,
        name: &str,
        payload: Payload,
    ) -> std::result::Result<bool, (Pid, Payload)> {
        let sent = self.core.send_labelled(Label::Name(name), payload, None, None)?;
        Ok(sent.is_accepted())
    }

    /// As [`send_named_unless_blocked`](Self::send_named_unless_blocked), to a path.
    ///
    /// # Errors
    /// `InvalidPath`; then who, and the message.
    pub fn send_path_unless_blocked(
        &self,
        path: &str,
        payload: Payload,
    ) -> Result<std::result::Result<bool, (Pid, Payload)>> {
        let path = Path::parse(path)?;
        let sent = self.core.send_labelled(Label::Path(&path), payload, None, None);
        Ok(sent.map(super::Sent::is_accepted))
    }

    /// Sends to whoever holds a name. While a replacement of its holder is to come, the message waits for that.
    pub fn send_named(&self, name: &str, payload: impl Into<Payload>) -> bool {
        let sent = self.send_named_unless_blocked(name, payload.into());
        sent.unwrap_or_else(|_| self.refuse_full())
    }

    /// Sends to whoever is registered under a path, as [`send_named`](Self::send_named).
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn send_path(&self, path: &str, payload: impl Into<Payload>) -> Result<bool> {
        let sent = self.send_path_unless_blocked(path, payload.into())?;
        Ok(sent.unwrap_or_else(|_| self.refuse_full()))
    }
}

impl super::HostLane {
    /// A factory of this lane's host: it is asked by [`LaneEvent::Start`](crate::message::LaneEvent::Start) with `key`, and
    /// told by [`LaneEvent::Forget`](crate::message::LaneEvent::Forget) when it is needed no more.
    pub fn factory(&self, key: u64) -> impl Fn(StartRequest) -> bool + Send + Sync + 'static {
        let kept = Kept { lane: Arc::clone(self.lane()), key };
        move |r: StartRequest| {
            let event =
                crate::message::LaneEvent::Start { key: kept.key, ticket: r.ticket, old: r.old };
            if kept.lane.is_closed() {
                return false;
            }
            if kept.lane.push_event(event) {
                kept.lane.wake();
            }
            true
        }
    }

    /// Sends [`LaneEvent::Supervisor`](crate::message::LaneEvent::Supervisor) to this lane for everything that a supervisor
    /// does.
    pub fn take_supervisor_news(&self) {
        let lane = Arc::clone(self.lane());
        let hook = move |news: &SupervisorNews| {
            if lane.push_event(crate::message::LaneEvent::Supervisor(Box::new(news.clone()))) {
                lane.wake();
            }
        };
        self.core.supervision.hooks.lock().push(Arc::new(hook));
    }

    /// As [`Runtime::send_named`](super::Runtime::send_named), from this lane's thread.
    pub fn send_named(&self, name: &str, payload: Payload) -> super::Sent {
        let label = Label::Name(name);
        match self.core.send_labelled(label, payload, None, Some(self.lane())) {
            Ok(sent) => sent,
            Err(_) => self.core.refuse(super::Refusal::Full),
        }
    }

    /// As [`Runtime::send_path`](super::Runtime::send_path), from this lane's thread.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn send_path(&self, path: &str, payload: Payload) -> Result<super::Sent> {
        let path = Path::parse(path)?;
        let label = Label::Path(&path);
        Ok(match self.core.send_labelled(label, payload, None, Some(self.lane())) {
            Ok(sent) => sent,
            Err(_) => self.core.refuse(super::Refusal::Full),
        })
    }
}

/// Tells a lane when a factory is needed no more.
struct Kept {
    lane: Arc<Lane>,
    key: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.lane.push_event(crate::message::LaneEvent::Forget { key: self.key }) {
            self.lane.wake();
        }
    }
}
