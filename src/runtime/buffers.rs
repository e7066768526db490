//! Buffers that wait to be sent: memory that a host has lent under an id, so that sending it moves it.
//!
//! A buffer has an *owner* (an actor, or nobody but the runtime), with which it is freed if it was not sent, and a *home*
//! (the host's number for the thread that can still write to it), with which it is freed too. An id works once: taking a
//! buffer out is what makes it so, and a refused send [gives it back](Runtime::give_back_buffer).

use super::Runtime;
use super::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::ForeignBytes;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, contain};
use std::collections::HashMap;

/// A buffer that was taken out to be sent.
pub struct KeptBuffer {
    /// The memory.
    pub bytes: Box<dyn ForeignBytes>,
    owner: Option<Pid>,
    home: u64,
}

#[derive(Default)]
struct State {
    kept: HashMap<u64, KeptBuffer>,
    /// Ids by the actor that owns them.
    owned: HashMap<Pid, Vec<u64>>,
    last: u64,
}

#[derive(Default)]
pub(super) struct Buffers {
    state: Mutex<State>,
    /// Owners in `owned`, so that the exits of all others need not lock.
    owners: AtomicUsize,
    waiting: AtomicUsize,
}

impl Buffers {
    fn insert(&self, id: Option<u64>, buffer: KeptBuffer) -> u64 {
        let mut s = self.state.lock();
        let id = id.unwrap_or_else(|| {
            s.last += 1;
            s.last
        });
        if let Some(owner) = buffer.owner {
            s.owned.entry(owner).or_default().push(id);
            self.owners.store(s.owned.len(), Ordering::Release);
        }
        s.kept.insert(id, buffer);
        self.waiting.store(s.kept.len(), Ordering::Relaxed);
        id
    }

    /// Takes a buffer out if `pick` agrees.
    fn remove<E>(
        &self,
        id: u64,
        pick: impl FnOnce(Option<&KeptBuffer>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<KeptBuffer>, E> {
        let mut s = self.state.lock();
        pick(s.kept.get(&id))?;
        let buffer = s.kept.remove(&id);
        if let Some(owner) = buffer.as_ref().and_then(|b| b.owner)
            && let Some(ids) = s.owned.get_mut(&owner)
        {
            ids.retain(|x| *x != id);
            if ids.is_empty() {
                s.owned.remove(&owner);
            }
            self.owners.store(s.owned.len(), Ordering::Release);
        }
        self.waiting.store(s.kept.len(), Ordering::Relaxed);
        Ok(buffer)
    }

    /// An actor has ended: so have its buffers.
    pub(super) fn forget_owner(&self, pid: Pid) {
        if self.owners.load(Ordering::Acquire) == 0 {
            return;
        }
        let gone: Vec<_> = {
            let mut s = self.state.lock();
            let ids = s.owned.remove(&pid).unwrap_or_default();
            self.owners.store(s.owned.len(), Ordering::Release);
            let gone = ids.iter().filter_map(|id| s.kept.remove(id)).collect();
            self.waiting.store(s.kept.len(), Ordering::Relaxed);
            gone
        };
        // Whatever frees memory of a host's is foreign code.
        gone.into_iter().for_each(|b| contain(|| drop(b)));
    }

    fn free_where(&self, pick: impl Fn(&KeptBuffer) -> bool) {
        let ids: Vec<u64> = {
            let s = self.state.lock();
            s.kept.iter().filter(|(_, b)| pick(b)).map(|(id, _)| *id).collect()
        };
        for id in ids {
            let gone = self.remove(id, |_| Ok::<_, ()>(())).ok().flatten();
            contain(|| drop(gone));
        }
    }

    /// The runtime has ended: so have all buffers.
    pub(super) fn clear(&self) {
        self.free_where(|_| true);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn no_such_buffer(id: u64) -> Error {
    Error::new(
        ErrorKind::NoSuchBuffer,
        format!(
            "buffer {id}: it was sent already, was freed, ended with its owner, or never was; allocate another"
        ),
    )
}

impl Core {
    fn buffer_owner_lives(&self, owner: Option<Pid>) -> bool {
        owner.is_none_or(|pid| self.slot(pid).is_some_and(|s| s.lock().is(pid.generation())))
    }
}

impl Runtime {
    /// Keeps a host's memory until it is sent; answers the id. It is freed with `owner` (`None`: with the runtime) and with
    /// `home`, whichever ends first.
    ///
    /// # Errors
    /// `RuntimeClosed`; `NoSuchActor` if the owner has ended.
    pub fn keep_buffer(
        &self,
        owner: Option<Pid>,
        home: u64,
        bytes: Box<dyn ForeignBytes>,
    ) -> Result<u64> {
        self.core.check_open()?;
        let id = self.core.buffers.insert(None, KeptBuffer { bytes, owner, home });
        // Looked at after it is there: an owner or a runtime that ends meanwhile either finds it or is found out.
        if !self.core.buffer_owner_lives(owner) {
            self.free_buffer(id);
            return Err(match owner {
                Some(pid) => self.core.no_such_actor(pid),
                None => no_such_buffer(id),
            });
        }
        if let Err(closed) = self.core.check_open() {
            self.free_buffer(id);
            return Err(closed);
        }
        Ok(id)
    }

    /// Takes a buffer out, to be sent from the thread that is its home: the id works for nobody else any more.
    ///
    /// # Errors
    /// `NoSuchBuffer`; `NotLocal` if its home is another, and then it stays.
    pub fn take_buffer(&self, id: u64, home: u64) -> Result<KeptBuffer> {
        self.core.check_open()?;
        let taken = self.core.buffers.remove(id, |found| match found {
            None => Err(no_such_buffer(id)),
            Some(b) if b.home != home => Err(Error::new(
                ErrorKind::NotLocal,
                format!("buffer {id} was allocated on another thread; send it from there"),
            )),
            Some(_) => Ok(()),
        })?;
        taken.ok_or_else(|| no_such_buffer(id))
    }

    /// The send of a taken buffer was refused: the id works again, unless its owner has ended meanwhile.
    pub fn give_back_buffer(&self, id: u64, buffer: KeptBuffer) {
        let owner = buffer.owner;
        self.core.buffers.insert(Some(id), buffer);
        if !self.core.buffer_owner_lives(owner) || self.core.is_closed() {
            self.free_buffer(id);
        }
    }

    /// Frees a buffer that will not be sent; `false`: there is none with this id.
    pub fn free_buffer(&self, id: u64) -> bool {
        let gone = self.core.buffers.remove(id, |_| Ok::<_, ()>(())).ok().flatten();
        let there = gone.is_some();
        contain(|| drop(gone));
        there
    }

    /// A thread of the host's ends: so do the buffers whose home it is.
    pub fn free_buffers_of(&self, home: u64) {
        self.core.buffers.free_where(|b| b.home == home);
    }
}

impl std::fmt::Debug for KeptBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptBuffer({} B)", self.bytes.bytes().len())
    }
}
