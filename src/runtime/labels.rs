//! Names and paths: two ways to be found, one way to hold them.

use super::core::Core;
use crate::actor::cell::{Extra, Life};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::path::Path;
use crate::registry::names::Names;
use std::fmt;

/// Under what somebody is found.
#[derive(Clone, Copy)]
pub(super) enum Label<'a> {
    Name(&'a str),
    Path(&'a Path),
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Name(name) => write!(f, "name {name:?}"),
            Label::Path(path) => write!(f, "path {path}"),
        }
    }
}

impl Label<'_> {
    fn put_into(self, x: &mut Extra) {
        match self {
            Label::Name(name) => x.names.push(name.into()),
            Label::Path(path) => x.paths.push(path.clone()),
        }
    }

    fn take_from(self, x: &mut Extra) {
        match self {
            Label::Name(name) => x.names.retain(|n| &**n != name),
            Label::Path(path) => x.paths.retain(|p| p != path),
        }
    }
}

impl Core {
    /// Who holds a label, alive or not.
    pub(super) fn holder(&self, label: Label<'_>) -> Option<Pid> {
        match label {
            Label::Name(name) => self.names.get(name),
            Label::Path(path) => self.paths.get(path),
        }
    }

    /// Gives a label to `pid` from whoever is its holder; `false`: another was faster.
    fn give(&self, label: Label<'_>, holder: Option<Pid>, pid: Pid) -> bool {
        // From hand to hand: whoever sends meanwhile finds one or the other.
        match (label, holder) {
            (Label::Name(name), Some(holder)) => self.names.transfer(name, holder, pid),
            (Label::Path(path), Some(holder)) => self.paths.transfer(path, holder, pid),
            (Label::Name(name), None) => self.names.claim(name, pid).is_none(),
            (Label::Path(path), None) => self.paths.claim(path, pid).is_none(),
        }
    }

    pub(super) fn register_label(&self, label: Label<'_>, pid: Pid) -> Result<()> {
        self.check_open()?;
        if let Label::Name(name) = label {
            Names::check(name)?;
        }
        loop {
            let holder = self.holder(label);
            if let Some(holder) = holder {
                let taken = |how: fmt::Arguments<'_>| {
                    Err(Error::new(ErrorKind::NameTaken, format!("{label} {how}")))
                };
                if self.is_alive(holder) {
                    if holder == pid {
                        return Ok(());
                    }
                    return taken(format_args!("belongs to pid {holder}; unregister it first"));
                }
                if self.is_reserved(holder) && !self.may_take_over(pid, holder) {
                    return taken(format_args!("is kept for the replacement of pid {holder}"));
                }
            }
            let slot = self.slot(pid).ok_or_else(|| self.no_such_actor(pid))?;
            let mut c = slot.lock();
            if !c.takes(pid.generation()) {
                drop(c);
                return Err(self.no_such_actor(pid));
            }
            if self.give(label, holder, pid) {
                label.put_into(c.extra());
                return Ok(());
            }
        }
    }

    pub(super) fn unregister_label(&self, label: Label<'_>) -> Result<bool> {
        self.check_open()?;
        let Some(pid) = self.holder(label) else { return Ok(false) };
        let Some(slot) = self.slot(pid) else { return Ok(false) };
        // Both halves under the cell's lock, as in `register`: the holder's list and the map never disagree.
        let mut c = slot.lock();
        let released = match label {
            Label::Name(name) => self.names.release(name, pid),
            Label::Path(path) => self.paths.release(path, pid),
        };
        if !released || !c.is(pid.generation()) {
            return Ok(false);
        }
        if let Some(x) = &mut c.extra {
            label.take_from(x);
        }
        Ok(c.accepts_or_drains())
    }

    /// The live actor that holds a label.
    pub(super) fn labelled(&self, label: Label<'_>) -> Option<Pid> {
        self.holder(label).filter(|pid| self.is_alive(*pid))
    }

    /// Whether the names of an actor that has ended are kept for its replacement.
    pub(super) fn is_reserved(&self, pid: Pid) -> bool {
        self.slot(pid).is_some_and(|s| {
            let c = s.lock();
            match c.life {
                _ if c.generation != pid.generation() => false,
                Life::Parked => true,
                Life::Stopping(why) => c.parks(why),
                _ => false,
            }
        })
    }
}
