//! Supervision trees of Rust actors: [`Runtime::supervise`].

use super::{Last, Runtime};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::path::Path;
use crate::runtime::StartRequest;
use crate::supervision::policy::Restart;
use crate::supervision::tree::{ChildOptions, SupervisorOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

type Start = Arc<dyn Fn(&Runtime) -> Result<Pid> + Send + Sync>;

enum Kind {
    Actor(Start, Option<usize>),
    Supervisor(Vec<ChildSpec>, SupervisorOptions),
}

/// A child of [`Runtime::supervise`].
pub struct ChildSpec {
    id: String,
    restart: Restart,
    kind: Kind,
}

impl ChildSpec {
    /// A permanent child, registered at the path of its supervisor and `id`; `start` spawns it, first and for every restart.
    pub fn new(
        id: impl Into<String>,
        start: impl Fn(&Runtime) -> Result<Pid> + Send + Sync + 'static,
    ) -> Self {
        let kind = Kind::Actor(Arc::new(start), None);
        Self { id: id.into(), restart: Restart::default(), kind }
    }

    /// A supervisor among the children of another.
    pub fn supervisor(
        id: impl Into<String>,
        children: Vec<Self>,
        options: SupervisorOptions,
    ) -> Self {
        let kind = Kind::Supervisor(children, options);
        Self { id: id.into(), restart: Restart::default(), kind }
    }

    /// Which of its ends are followed by a restart.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        if let Kind::Supervisor(_, options) = &mut self.kind {
            options.restart = Some(restart);
        }
        self
    }

    /// So many of them, registered at `id/0`, `id/1`, ...
    #[must_use]
    pub fn workers(mut self, n: usize) -> Self {
        if let Kind::Actor(_, workers) = &mut self.kind {
            *workers = Some(n);
        }
        self
    }
}

impl std::fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChildSpec({})", self.id)
    }
}

impl Runtime {
    /// Makes a supervisor at a path and starts its children in order. If one does not start, those that did are stopped.
    ///
    /// # Errors
    /// `NameTaken` if there is a supervisor at the path already, `InvalidPath`, `InvalidArgument`, `RuntimeClosed`; what a
    /// `start` answered.
    pub fn supervise(
        &self,
        path: &str,
        children: Vec<ChildSpec>,
        options: SupervisorOptions,
    ) -> Result<()> {
        let at = Path::parse_prefix(path)?.as_str().to_owned();
        let mut made = Vec::new();
        let outcome = self.make(&at, children, options, &mut made);
        if outcome.is_err() {
            for path in made.iter().rev() {
                for pid in self.path_supervisor_children(path)?.into_iter().rev() {
                    self.terminate_child(path, pid)?;
                }
                self.remove_path_supervisor(path)?;
            }
        }
        outcome
    }

    fn make(
        &self,
        at: &str,
        children: Vec<ChildSpec>,
        options: SupervisorOptions,
        made: &mut Vec<String>,
    ) -> Result<()> {
        let path = if at.is_empty() { "/" } else { at };
        if !self.create_path_supervisor(path, options)? {
            return Err(Error::new(
                ErrorKind::NameTaken,
                format!("there is a supervisor at {path} already"),
            ));
        }
        made.push(path.to_owned());
        for ChildSpec { id, restart, kind } in children {
            match kind {
                Kind::Supervisor(below, options) => {
                    self.make(&format!("{at}/{id}"), below, options, made)?;
                }
                Kind::Actor(start, None) => self.start_first(path, at, &id, restart, &start)?,
                Kind::Actor(start, Some(workers)) => {
                    for i in 0..workers {
                        self.start_first(path, at, &format!("{id}/{i}"), restart, &start)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn start_first(
        &self,
        path: &str,
        at: &str,
        id: &str,
        restart: Restart,
        start: &Start,
    ) -> Result<()> {
        let pid = start(self)?;
        let own = format!("{at}/{id}");
        self.register_path(&own, pid)?;
        let last: Weak<Last> = Arc::downgrade(&self._last);
        let start = Arc::clone(start);
        let factory = move |r: StartRequest| {
            let Some(last) = last.upgrade() else { return false };
            let rt = Self { core: Arc::clone(&last.0), _last: last };
            rt.set_start_at_hand(r.ticket);
            let outcome = catch_unwind(AssertUnwindSafe(|| start(&rt)));
            rt.set_start_at_hand(0);
            if let Ok(Ok(pid)) = &outcome
                && rt.whereis_path(&own).is_ok_and(|holder| holder.is_none())
            {
                // Nobody hands the path over if its supervisor had given up. Another's it stays.
                let _ = rt.register_path(&own, *pid);
            }
            let outcome = match outcome {
                Ok(answer) => answer.map_err(|e| e.message().to_owned()),
                Err(panic) => Err(format!(
                    "its factory panicked: {}",
                    super::turns::panic_info(&*panic).message
                )),
            };
            rt.start_over(r.ticket, outcome);
            true
        };
        let child = ChildOptions { id: Some(id.into()), restart, strategy: None };
        self.path_supervise_with_factory(path, pid, factory, child, SupervisorOptions::default())
    }
}
