//! What a tree shows of itself.

use super::{ChildId, State, Tree};
use crate::id::Pid;
use crate::path::Path;
use crate::supervision::policy::{Restart, Strategy};
use std::sync::Arc;

impl Tree {
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
