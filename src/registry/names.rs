//! A map from names to pids; liveness is the caller's business.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// Longest name, in bytes.
pub const MAX_NAME: usize = 1024;

/// Names of one runtime. No method calls foreign code while a shard is locked.
#[derive(Debug, Default)]
pub struct Names(DashMap<Box<str>, Pid>);

impl Names {
    /// Checks a name's form.
    ///
    /// # Errors
    /// `InvalidArgument` if it is empty or longer than [`MAX_NAME`] bytes.
    pub fn check(name: &str) -> Result<()> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("a name has 1 to {MAX_NAME} bytes, got {}", name.len()),
            ));
        }
        Ok(())
    }

    /// Gives `name` to `pid`; answers the holder if there is one already.
    pub fn claim(&self, name: &str, pid: Pid) -> Option<Pid> {
        match self.0.entry(name.into()) {
            Entry::Occupied(held) => Some(*held.get()),
            Entry::Vacant(free) => {
                free.insert(pid);
                None
            }
        }
    }

    /// Gives a name of `from` to `to`; answers whether `from` held it.
    pub fn transfer(&self, name: &str, from: Pid, to: Pid) -> bool {
        self.0.get_mut(name).is_some_and(|mut held| {
            let holds = *held == from;
            if holds {
                *held = to;
            }
            holds
        })
    }

    /// Takes `name` away from `pid`; answers whether it held it.
    pub fn release(&self, name: &str, pid: Pid) -> bool {
        self.0.remove_if(name, |_, held| *held == pid).is_some()
    }

    /// Who holds `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Pid> {
        self.0.get(name).map(|r| *r)
    }

    /// How many names are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no name is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
