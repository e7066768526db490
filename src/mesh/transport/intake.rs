//! What was read from a connection and is not used yet.

use super::Stream;
use std::io;

/// Bytes that are read at a time.
const READ: usize = 64 << 10;
/// The largest buffer of a connection that is busy.
const READ_BUSY: usize = 512 << 10;

/// See the module.
#[derive(Default)]
pub struct Intake {
    buffer: Vec<u8>,
    /// `buffer[start..end]` is not used yet.
    start: usize,
    end: usize,
    /// The last read filled the buffer: a larger one pays.
    filled: bool,
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The I/O thread.
    Driver,
    /// Any other, up to that many bytes.
    Other(usize),
}

impl Intake {
    /// Begins with bytes that were read already.
    #[must_use]
    pub fn of(buffer: Vec<u8>) -> Self {
        Self { end: buffer.len(), buffer, ..Self::default() }
    }

    /// What is not used yet.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The first `n` bytes are used.
    pub fn used(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    /// Whether more may be there: the last read filled the buffer.
    #[must_use]
    pub fn may_have_more(&self) -> bool {
        self.filled
    }

    /// Reads what is there, once; answers how much, 0 if nothing is there.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` if the other end has closed the connection.
    pub fn read(&mut self, stream: &Stream, by: By) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < READ / 4 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < READ / 4 || self.filled {
            let len = (self.buffer.len() * 2).clamp(READ, READ_BUSY.max(self.end + READ));
            self.buffer.resize(len.max(self.buffer.len()), 0);
        }
        let room = &mut self.buffer[self.end..];
        loop {
            let read = match by {
                By::Driver => stream.try_read(room),
                By::Other(most) => {
                    let n = room.len().min(most);
                    stream.try_read_here(&mut room[..n])
                }
            };
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.end += n;
                    if by == By::Driver {
                        self.filled = self.end == self.buffer.len();
                        if !self.filled {
                            stream.has_read_all();
                        }
                    }
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}
