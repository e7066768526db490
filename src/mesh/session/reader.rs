//! The reading end of the connection that carries a session. It belongs to the I/O thread, and for a moment to a host thread
//! that waits for an answer and looks for it itself, which spares the answer two hand-overs between threads (docs/adr/0048).

use super::Session;
use super::writer::Stuck;
use crate::mesh::engine::{News, Polled};
use crate::mesh::secure::Opener;
use crate::mesh::transport::{By, Intake, Stream, driver};
use crate::mesh::wire::greeting::{Greeting, RefuseCode};
use crate::mesh::wire::record::{self, LENGTH, Record};
use crate::mesh::wire::{MAX_RECORD, Malformed};
use crate::sync::atomic::Ordering;
use std::sync::Arc;

/// A host thread that finds more than this leaves the rest to the I/O thread, which makes batches, in bytes.
const MOST_HERE: usize = 8 << 10;

/// How often the I/O thread is woken at least while a host thread reads, in milliseconds.
const LOOK_MS: u64 = 10;

/// Why nothing can be read.
#[derive(Clone, Copy)]
pub(in crate::mesh) enum Broken {
    /// The other end closed it, or the system did.
    Closed,
    /// What came makes no sense.
    Malformed(Malformed),
    /// The peer has declared this node's incarnation down.
    DeclaredDown(u64),
    /// Another connection carries the session, or none.
    Replaced,
}

impl From<Malformed> for Broken {
    fn from(m: Malformed) -> Self {
        Self::Malformed(m)
    }
}

impl From<Stuck> for Broken {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Closed => Self::Closed,
            Stuck::Malformed(m) => Self::Malformed(m),
            Stuck::Replaced => Self::Replaced,
        }
    }
}

/// See the module.
pub(in crate::mesh) struct Reader {
    pub(super) number: u64,
    stream: Arc<Stream>,
    opener: Opener,
    read: Intake,
    scratch: Vec<u8>,
    /// What a host thread found; the I/O thread sees to it.
    broken: Option<Broken>,
}

impl Reader {
    pub(in crate::mesh) fn new(stream: Arc<Stream>, opener: Opener, read: Intake) -> Self {
        Self { number: 0, stream, opener, read, scratch: Vec::new(), broken: None }
    }
}

/// What a look at the socket came to.
pub(in crate::mesh) struct Looked {
    /// Something was there.
    pub(in crate::mesh) some: bool,
    /// More may be.
    pub(in crate::mesh) more: bool,
}

/// A host thread looks at the socket itself. Until it stops to, the I/O thread sleeps through what is little.
pub(in crate::mesh) struct Watch {
    session: Arc<Session>,
    stream: Arc<Stream>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stream.wake_at(1);
    }
}

impl News for Watch {
    fn look(&mut self) -> Polled {
        let Some(mut held) = self.session.reader.try_lock() else { return Polled::Nothing };
        let mine = |r: &&mut Reader| r.broken.is_none() && Arc::ptr_eq(&r.stream, &self.stream);
        let Some(r) = held.as_mut().filter(mine) else { return Polled::Never };
        let n = match r.read.read(&r.stream, By::Other(MOST_HERE)) {
            Ok(0) => return Polled::Nothing,
            Ok(n) => n,
            // The I/O thread finds the same.
            Err(_) => return Polled::Never,
        };
        let session = &self.session;
        r.broken = driver::as_io_thread(|| session.take_records(r)).err();
        let broken = r.broken.is_some();
        drop(held);
        if broken || session.has_said() || session.owes_a_look() {
            session.wake.notify_one();
        }
        if broken || n == MOST_HERE { Polled::Never } else { Polled::Some }
    }
}

impl Session {
    /// Takes in what was read together with the greeting. On the I/O thread.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(in crate::mesh) fn begin_reading(self: &Arc<Self>, carrier: u64) -> Result<(), Broken> {
        let mut held = self.reader.lock();
        let r = held.as_mut().filter(|r| r.number == carrier).ok_or(Broken::Replaced)?;
        self.take_records(r)
    }

    /// Reads once and takes in what was there. On the I/O thread.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(in crate::mesh) fn read(self: &Arc<Self>, carrier: u64) -> Result<Looked, Broken> {
        let mut held = self.reader.lock();
        let r = held.as_mut().filter(|r| r.number == carrier).ok_or(Broken::Replaced)?;
        if let Some(broken) = r.broken {
            return Err(broken);
        }
        let n = r.read.read(&r.stream, By::Driver).map_err(|_| Broken::Closed)?;
        if n != 0 {
            self.take_records(r)?;
        }
        Ok(Looked { some: n != 0, more: r.read.may_have_more() })
    }

    /// What a thread of the host that has nothing else to do can look for news at; `None`: only the I/O thread can.
    pub(in crate::mesh) fn news(self: &Arc<Self>) -> Option<Watch> {
        let stream = self.reader.try_lock()?.as_ref().map(|r| Arc::clone(&r.stream))?;
        if !stream.is_open_to_all() {
            return None;
        }
        stream.wake_at(MOST_HERE as i32);
        Some(Watch { session: Arc::clone(self), stream })
    }

    /// Something came whose answer the I/O thread gives: credits, refusals, a goodbye.
    fn has_said(&self) -> bool {
        self.unsent() != 0 || self.was_bidden_farewell()
    }

    /// Whether the I/O thread should look what it owes the peer: an acknowledgement, if no message takes it along.
    fn owes_a_look(&self) -> bool {
        let now = self.node.now_ms();
        let due = now >= self.looked_ms.load(Ordering::Relaxed) + LOOK_MS;
        if due {
            self.looked_ms.store(now, Ordering::Relaxed);
        }
        due
    }

    /// Takes in every whole record that was read.
    fn take_records(self: &Arc<Self>, r: &mut Reader) -> Result<(), Broken> {
        while let Some(n) = record::split(r.read.bytes(), MAX_RECORD)? {
            let sealed = &r.read.bytes()[LENGTH..LENGTH + n];
            let plain = r.opener.open(sealed, &mut r.scratch)?;
            // A refusal may come instead of the first record, never later.
            if plain.first() == Some(&3)
                && let Ok(Greeting::Refuse(refusal)) = Greeting::decode(plain)
            {
                return Err(match refusal.code {
                    RefuseCode::DeclaredDown => Broken::DeclaredDown(refusal.incarnation),
                    _ => Broken::Closed,
                });
            }
            let question = self.receive(r.number, Record::decode(plain)?)?;
            r.read.used(LENGTH + n);
            if let Some(stamp) = question {
                self.say(r.number, |ack| Record::Pong { ack, stamp })?;
            }
        }
        Ok(())
    }
}
