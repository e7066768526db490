//! The path registry's calls. An actor lists the paths that it holds, as it lists its names, and both halves change under its
//! cell's lock.

use super::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::path::Path;
use std::sync::Arc;

impl Core {
    pub(super) fn register_path(&self, path: &Path, pid: Pid) -> Result<()> {
        self.check_open()?;
        loop {
            let ended = self.paths.get(path);
            if let Some(holder) = ended {
                if holder == pid && self.is_alive(pid) {
                    return Ok(());
                }
                if self.is_alive(holder) {
                    return Err(Error::new(
                        ErrorKind::NameTaken,
                        format!("path {path} belongs to pid {holder}; unregister it first"),
                    ));
                }
                if self.is_reserved(holder) && !self.may_take_over(pid, holder) {
                    return Err(Error::new(
                        ErrorKind::NameTaken,
                        format!("path {path} is kept for the replacement of pid {holder}"),
                    ));
                }
            }
            let slot = self.slot(pid).ok_or_else(|| self.no_such_actor(pid))?;
            let mut c = slot.lock();
            if !c.takes(pid.generation()) {
                drop(c);
                return Err(self.no_such_actor(pid));
            }
            // From hand to hand: whoever sends meanwhile finds one or the other.
            let taken = match ended {
                Some(holder) => self.paths.transfer(path, holder, pid),
                None => self.paths.claim(path, pid).is_none(),
            };
            if taken {
                c.extra().paths.push(path.clone());
                return Ok(());
            }
        }
    }

    pub(super) fn unregister_path(&self, path: &Path) -> Result<bool> {
        self.check_open()?;
        let Some(pid) = self.paths.get(path) else { return Ok(false) };
        let Some(slot) = self.slot(pid) else { return Ok(false) };
        let mut c = slot.lock();
        if !self.paths.release(path, pid) || !c.is(pid.generation()) {
            return Ok(false);
        }
        if let Some(x) = &mut c.extra {
            x.paths.retain(|p| p != path);
        }
        Ok(c.accepts_or_drains())
    }

    pub(super) fn whereis_path(&self, path: &Path) -> Option<Pid> {
        self.paths.get(path).filter(|pid| self.is_alive(*pid))
    }

    fn living(&self, mut found: Vec<(Arc<str>, Pid)>) -> Vec<(Arc<str>, Pid)> {
        found.retain(|(_, pid)| self.is_alive(*pid));
        found
    }
}

impl super::Runtime {
    /// Registers a live actor under a path; the same pair again is fine.
    ///
    /// # Errors
    /// `InvalidPath`, `NameTaken`, `NoSuchActor`, `RuntimeClosed`.
    pub fn register_path(&self, path: &str, pid: Pid) -> Result<()> {
        self.core.register_path(&Path::parse(path)?, pid)
    }

    /// Takes a path away; answers whether it was held.
    ///
    /// # Errors
    /// `InvalidPath`, `RuntimeClosed`.
    pub fn unregister_path(&self, path: &str) -> Result<bool> {
        self.core.unregister_path(&Path::parse(path)?)
    }

    /// The live actor at a path.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn whereis_path(&self, path: &str) -> Result<Option<Pid>> {
        Ok(self.core.whereis_path(&Path::parse(path)?))
    }

    /// All live actors below a path (`/`: all there are), in the order of their paths' bytes. Costs what it answers.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn list_children(&self, prefix: &str) -> Result<Vec<(Arc<str>, Pid)>> {
        Ok(self.core.living(self.core.paths.below(&Path::parse_prefix(prefix)?)))
    }

    /// The live actors one level below a path, in the order of their paths' bytes. Costs what it answers.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn list_children_direct(&self, prefix: &str) -> Result<Vec<(Arc<str>, Pid)>> {
        Ok(self.core.living(self.core.paths.directly_below(&Path::parse_prefix(prefix)?)))
    }
}
