//! A connection with its buffers, and the way to its channel.

use super::refusal::Opened;
use crate::mesh::secure::{Channel, Failure, Opener, Opening, Role, Sealer, Secret};
use crate::mesh::session::{Reader, Writer};
use crate::mesh::transport::{By, Intake, Stream};
use crate::mesh::wire::greeting::Greeting;
use crate::mesh::wire::record::{self, LENGTH};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Longest record before both have said who they are, in bytes.
const MAX_GREETING: usize = 2048;

/// A connection with its buffers.
pub(super) struct Conn {
    pub(super) stream: Arc<Stream>,
    pub(super) channel: Channel,
    pub(super) read: Intake,
    pub(super) scratch: Vec<u8>,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
}

impl Conn {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: Arc::new(stream),
            channel: Channel::plain(),
            read: Intake::default(),
            scratch: Vec::new(),
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

    /// Both ends, for the session. Nothing is left to be written.
    pub(super) fn ends(&mut self) -> (Reader, Writer) {
        debug_assert!(self.out.is_empty());
        let sealer = std::mem::replace(&mut self.channel.sealer, Sealer::Plain);
        let opener = std::mem::replace(&mut self.channel.opener, Opener::Plain);
        let read = std::mem::take(&mut self.read);
        let reader = Reader::new(Arc::clone(&self.stream), opener, read);
        (reader, Writer::new(Arc::clone(&self.stream), sealer))
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
                    self.read = Intake::of(read);
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
        let sealed = &self.read.bytes()[LENGTH..LENGTH + n];
        let open = self.channel.opener.open(sealed, &mut self.scratch);
        let plain = open.map_err(|_| Failure::Secret("the other does not know the secret"))?;
        let greeting = Greeting::decode(plain).map_err(Failure::Malformed)?;
        self.read.used(LENGTH + n);
        Ok(greeting)
    }

    /// Waits until a whole record is there; answers its length.
    pub(super) async fn whole(&mut self, most: usize) -> std::result::Result<usize, Opened> {
        loop {
            let split = record::split(self.read.bytes(), most);
            if let Some(n) = split.map_err(Failure::Malformed)? {
                return Ok(n);
            }
            if self.read.read(&self.stream, By::Driver)? == 0 {
                self.stream.readable().await?;
            }
        }
    }
}
