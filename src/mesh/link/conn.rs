//! A connection with its buffers, and the way to its channel.

use super::refusal::Opened;
use crate::mesh::secure::{Channel, Failure, Opening, Role, Sealer, Secret};
use crate::mesh::session::Writer;
use crate::mesh::transport::Stream;
use crate::mesh::wire::greeting::Greeting;
use crate::mesh::wire::record::{self, LENGTH};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes that are read at a time.
const READ: usize = 64 << 10;
/// The largest read buffer of a connection that is busy.
const READ_BUSY: usize = 512 << 10;
/// Longest record before both have said who they are, in bytes.
const MAX_GREETING: usize = 2048;

/// A connection with its buffers.
pub(super) struct Conn {
    pub(super) stream: Arc<Stream>,
    pub(super) channel: Channel,
    /// What was read: `read[start..end]` is not used yet.
    pub(super) read: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) scratch: Vec<u8>,
    /// The last read filled the buffer: a larger one pays.
    pub(super) filled: bool,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
}

impl Conn {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: Arc::new(stream),
            channel: Channel::plain(),
            read: Vec::new(),
            start: 0,
            end: 0,
            scratch: Vec::new(),
            filled: false,
            out: Vec::new(),
            written: 0,
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        while !self.write_some()? {
            self.stream.writable().await?;
        }
        Ok(())
    }

    /// Writes what there is room for; `true`: everything is written.
    fn write_some(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.stream.try_write(&[IoSlice::new(&self.out[self.written..])]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.written = 0;
        self.stream.flush()
    }

    /// The writing end, for the session: from now on this is the reading end. Nothing is left to be written.
    pub(super) fn writer(&mut self) -> Writer {
        debug_assert!(self.out.is_empty());
        let sealer = std::mem::replace(&mut self.channel.sealer, Sealer::Plain);
        Writer::new(Arc::clone(&self.stream), sealer)
    }

    /// Whether more may be there: the last read filled the buffer.
    pub(super) fn may_have_more(&self) -> bool {
        self.filled
    }

    /// Reads what is there, up to one buffer; answers how much, 0 if nothing is there.
    pub(super) fn read_some(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.read.len() - self.end < READ / 4 {
            self.read.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.read.len() - self.end < READ / 4 || self.filled {
            let len = (self.read.len() * 2).clamp(READ, READ_BUSY.max(self.end + READ));
            self.read.resize(len.max(self.read.len()), 0);
        }
        loop {
            match self.stream.try_read(&mut self.read[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.end += n;
                    self.filled = self.end == self.read.len();
                    if !self.filled {
                        self.stream.has_read_all();
                    }
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Opens the channel. No more than a few hundred bytes are kept meanwhile.
    pub(super) async fn open(
        &mut self,
        role: Role,
        secret: Option<Secret>,
    ) -> std::result::Result<(), Opened> {
        let mut opening = Opening::new(role, secret, &mut self.out);
        let mut read = Vec::new();
        let mut some = [0; 1024];
        loop {
            match opening.advance(&mut read, &mut self.out) {
                Ok(None) => self.write_all().await?,
                Ok(Some(channel)) => {
                    self.write_all().await?;
                    self.channel = channel;
                    self.end = read.len();
                    self.read = read;
                    return Ok(());
                }
                Err(failure) => {
                    // The other shall know why, if it listens.
                    let _ = self.write_all().await;
                    return Err(Opened::Failure(failure));
                }
            }
            match self.stream.try_read(&mut some) {
                Ok(0) if self.stream.is_opening() => return Err(Opened::Certificate),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => read.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub(super) async fn say(&mut self, greeting: &Greeting) -> std::result::Result<(), Opened> {
        self.channel.sealer.seal(&greeting.encode(), &mut self.out).map_err(Failure::Malformed)?;
        self.write_all().await?;
        Ok(())
    }

    /// The next greeting, and nothing else.
    pub(super) async fn greeting(&mut self) -> std::result::Result<Greeting, Opened> {
        let n = self.whole(MAX_GREETING).await?;
        let sealed = &self.read[self.start + LENGTH..self.start + LENGTH + n];
        let open = self.channel.opener.open(sealed, &mut self.scratch);
        let plain = open.map_err(|_| Failure::Secret("the other does not know the secret"))?;
        let greeting = Greeting::decode(plain).map_err(Failure::Malformed)?;
        self.start += LENGTH + n;
        Ok(greeting)
    }

    /// Waits until a whole record is there; answers its length.
    pub(super) async fn whole(&mut self, most: usize) -> std::result::Result<usize, Opened> {
        loop {
            let split = record::split(&self.read[self.start..self.end], most);
            if let Some(n) = split.map_err(Failure::Malformed)? {
                return Ok(n);
            }
            if self.read_some()? == 0 {
                self.stream.readable().await?;
            }
        }
    }
}
