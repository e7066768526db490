//! The writing end of the connection that carries a session. It belongs to whoever has something to say: the I/O thread as
//! a rule, or the very thread that sends while nothing else is going on, which spares the message a way between threads.

use super::batch::Batch;
use super::{Event, Session};
use crate::id::Pid;
use crate::mesh::secure::Sealer;
use crate::mesh::transport::{Stream, driver};
use crate::mesh::wire::Malformed;
use crate::mesh::wire::record::{DATA_HEAD, Record};
use crate::message::Envelope;
use crate::sync::atomic::Ordering;
use std::io;
use std::sync::Arc;

/// More than this is left to the I/O thread, which has the time to encrypt and copy it, in bytes.
const MOST_HERE: usize = 16 << 10;

/// Memory of a writer, used again and again.
#[derive(Default)]
pub(super) struct Workspace {
    pub(super) ready: Vec<Pid>,
    pub(super) events: Vec<Event>,
    pub(super) envelopes: Vec<Envelope>,
    pub(super) record: Vec<u8>,
}

/// See the module.
pub(in crate::mesh) struct Writer {
    pub(super) number: u64,
    stream: Arc<Stream>,
    pub(super) sealer: Sealer,
    pub(super) batch: Batch,
    pub(super) space: Workspace,
    /// The first record has been said. The other end takes it for a sign that this connection is the one, and for nothing else:
    /// a message in its place would be lost.
    opened: bool,
    /// When something was said last.
    said_ms: u64,
    /// When, and with what received, a host thread wrote last.
    here: (u64, u64),
}

/// What a turn of writing came to.
pub(in crate::mesh) struct Written {
    /// The socket has no room for the rest.
    pub(in crate::mesh) blocked: bool,
    /// When something was said last.
    pub(in crate::mesh) said_ms: u64,
}

impl Writer {
    pub(in crate::mesh) fn new(stream: Arc<Stream>, sealer: Sealer) -> Self {
        Self {
            number: 0,
            stream,
            sealer,
            batch: Batch::default(),
            space: Workspace::default(),
            opened: false,
            said_ms: 0,
            here: (0, 0),
        }
    }

    /// Longest part of the stream that goes into one record.
    pub(super) fn most(&self) -> usize {
        self.sealer.most() - DATA_HEAD
    }
}

/// Why nothing can be written.
pub(in crate::mesh) enum Stuck {
    /// The other end closed it, or the system did.
    Closed,
    /// The channel is used up.
    Malformed(Malformed),
    /// Another connection carries the session, or none.
    Replaced,
}

impl From<io::Error> for Stuck {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl From<Malformed> for Stuck {
    fn from(m: Malformed) -> Self {
        Self::Malformed(m)
    }
}

impl Session {
    /// Writes as long as there is something and room for it. On the I/O thread.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(in crate::mesh) fn write(self: &Arc<Self>, carrier: u64) -> Result<Written, Stuck> {
        let mut held = self.writer.lock();
        let w = held.as_mut().filter(|w| w.number == carrier).ok_or(Stuck::Replaced)?;
        loop {
            if w.batch.len() == 0 {
                self.collect(&mut w.space);
                self.pump(w)?;
                if w.batch.len() == 0 {
                    break;
                }
                w.said_ms = self.node.now_ms();
            }
            if !w.batch.write(&w.stream)? {
                break;
            }
        }
        Ok(Written { blocked: w.batch.len() != 0, said_ms: w.said_ms })
    }

    /// Appends a record that is not of the stream, and writes. On the I/O thread.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(in crate::mesh) fn say(
        &self,
        carrier: u64,
        record: impl FnOnce(u64) -> Record<'static>,
    ) -> Result<(), Stuck> {
        let mut held = self.writer.lock();
        let w = held.as_mut().filter(|w| w.number == carrier).ok_or(Stuck::Replaced)?;
        w.space.record.clear();
        record(self.tell()).put(&mut w.space.record);
        w.batch.with(|out| w.sealer.seal(&w.space.record, out))?;
        w.opened = true;
        w.said_ms = self.node.now_ms();
        w.batch.write(&w.stream)?;
        Ok(())
    }

    /// Whether the carrier's socket has room again, after it had none.
    pub(in crate::mesh) fn flush_here(&self) {
        if let Some(w) = self.writer.lock().as_mut() {
            // What the other should know, goodbye for one, is on its way if there was room.
            let _ = w.batch.write(&w.stream);
        }
    }

    /// There is something to send and the I/O thread sleeps. Writes it here and now if that is quick: whoever asks and waits
    /// for the answer does, whoever sends many is better served by batches.
    #[cold]
    pub(super) fn hurry(self: &Arc<Self>) {
        if driver::is_io_thread() || !self.write_here() {
            self.wake.notify_one();
        }
    }

    fn write_here(self: &Arc<Self>) -> bool {
        let Some(mut held) = self.writer.try_lock() else { return false };
        let Some(w) = held.as_mut().filter(|w| w.opened && w.batch.len() == 0) else {
            return false;
        };
        let now = self.node.now_ms();
        let here = (now, self.heard.load(Ordering::Relaxed));
        if here.0 == w.here.0 && here.1 == w.here.1 {
            return false;
        }
        w.here = here;
        if !self.inbox.take_quick(&mut w.space.ready, &mut w.space.events) {
            return false;
        }
        self.admit_taken(&mut w.space);
        if self.unsent() > MOST_HERE || self.pump(w).is_err() || w.batch.len() > 4 * MOST_HERE {
            return false;
        }
        if w.batch.len() != 0 {
            w.said_ms = now;
            // Before the other can have answered.
            self.node.note_said();
            // An error is found by the I/O thread, too.
            if !matches!(w.batch.write(&w.stream), Ok(true)) {
                return false;
            }
        }
        drop(held);
        self.sleep()
    }
}
