//! A tree of paths: who is registered where, in the order of the paths' bytes; liveness is the caller's business.
//!
//! Three views of the same set. `exact` answers a look-up; `ordered` all descendants of a path, which lie side by side in it
//! (they begin with it and a `/`); `direct` the children alone, however many descendants those have: its keys are the parent,
//! a byte that no path has, and the last segment. All three change under one lock, so that they never disagree about a path,
//! and every question costs its answer, not the tree.

use crate::id::Pid;
use crate::path::Path;
use crate::sync::Mutex;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The key in `direct`.
fn as_child(path: &Path) -> Box<str> {
    let text = path.as_str();
    let at = text.rfind('/').unwrap_or(0);
    [&text[..at], "\0", &text[at..]].concat().into()
}

#[derive(Debug, Default)]
struct Index {
    ordered: BTreeMap<Arc<str>, Pid>,
    direct: BTreeMap<Box<str>, (Arc<str>, Pid)>,
}

/// Paths of one runtime. No method calls foreign code while something is locked.
#[derive(Debug, Default)]
pub struct Paths {
    exact: DashMap<Arc<str>, Pid>,
    index: Mutex<Index>,
}

impl Paths {
    /// Gives `path` to `pid`; answers the holder if there is one already.
    pub fn claim(&self, path: &Path, pid: Pid) -> Option<Pid> {
        let child = as_child(path);
        let mut index = self.index.lock();
        match self.exact.entry(Arc::clone(path.text())) {
            Entry::Occupied(held) => Some(*held.get()),
            Entry::Vacant(free) => {
                index.ordered.insert(Arc::clone(path.text()), pid);
                index.direct.insert(child, (Arc::clone(path.text()), pid));
                free.insert(pid);
                None
            }
        }
    }

    /// Gives a path of `from` to `to`; answers whether `from` held it.
    pub fn transfer(&self, path: &Path, from: Pid, to: Pid) -> bool {
        let child = as_child(path);
        let mut index = self.index.lock();
        let Some(mut held) = self.exact.get_mut(&**path.text()) else { return false };
        if *held != from {
            return false;
        }
        *held = to;
        if let Some(pid) = index.ordered.get_mut(&**path.text()) {
            *pid = to;
        }
        if let Some((_, pid)) = index.direct.get_mut(&*child) {
            *pid = to;
        }
        true
    }

    /// Takes `path` away from `pid`; answers whether it held it.
    pub fn release(&self, path: &Path, pid: Pid) -> bool {
        let child = as_child(path);
        let mut index = self.index.lock();
        let gone = self.exact.remove_if(&**path.text(), |_, held| *held == pid).is_some();
        if gone {
            index.ordered.remove(&**path.text());
            index.direct.remove(&*child);
        }
        gone
    }

    /// Who holds `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Pid> {
        self.exact.get(&**path.text()).map(|held| *held)
    }

    /// All that lies below `prefix`, in order.
    #[must_use]
    pub fn below(&self, prefix: &Path) -> Vec<(Arc<str>, Pid)> {
        // What begins with "prefix/" ends before "prefix0": the digit is the byte after the slash.
        let (from, to) = (format!("{}/", prefix.text()), format!("{}0", prefix.text()));
        let bounds = (Bound::Included(&*from), Bound::Excluded(&*to));
        let index = self.index.lock();
        index.ordered.range::<str, _>(bounds).map(|(p, pid)| (Arc::clone(p), *pid)).collect()
    }

    /// What lies one level below `prefix`, in order.
    #[must_use]
    pub fn directly_below(&self, prefix: &Path) -> Vec<(Arc<str>, Pid)> {
        let (from, to) = (format!("{}\0", prefix.text()), format!("{}\u{1}", prefix.text()));
        let bounds = (Bound::Included(&*from), Bound::Excluded(&*to));
        let index = self.index.lock();
        index.direct.range::<str, _>(bounds).map(|(_, (p, pid))| (Arc::clone(p), *pid)).collect()
    }

    /// How many paths are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len()
    }

    /// Whether no path is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }
}
