//! The path registry's calls. An actor lists the paths that it holds, as it lists its names, and both halves change under its
//! cell's lock.

use super::core::Core;
use super::labels::Label;
use crate::error::Result;
use crate::id::Pid;
use crate::path::Path;
use std::sync::Arc;

impl Core {
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
        self.core.register_label(Label::Path(&Path::parse(path)?), pid)
    }

    /// Takes a path away; answers whether it was held.
    ///
    /// # Errors
    /// `InvalidPath`, `RuntimeClosed`.
    pub fn unregister_path(&self, path: &str) -> Result<bool> {
        self.core.unregister_label(Label::Path(&Path::parse(path)?))
    }

    /// The live actor at a path.
    ///
    /// # Errors
    /// `InvalidPath`.
    pub fn whereis_path(&self, path: &str) -> Result<Option<Pid>> {
        Ok(self.core.labelled(Label::Path(&Path::parse(path)?)))
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
