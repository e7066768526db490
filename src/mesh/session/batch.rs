//! What is on its way to a socket: small bytes in one buffer, large payloads where they are.

use crate::mesh::transport::Stream;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

/// Slices of one write at most.
const SLICES: usize = 64;
/// A buffer that grew larger is given back when it is written, in bytes.
const KEEP: usize = 1 << 20;

enum Piece {
    Small(Range<usize>),
    Large(Arc<Vec<u8>>, Range<usize>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Small(part) | Self::Large(_, part) => part.len(),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Batch {
    small: Vec<u8>,
    /// In their order; what `small` holds from `mark` on comes last.
    pieces: Vec<Piece>,
    mark: usize,
    /// The first piece that is not written, and how much of it is.
    next: usize,
    part: usize,
    left: usize,
    /// TLS holds something back.
    held: bool,
}

impl Batch {
    /// Bytes that are not written; not 0 while TLS holds some of them back.
    pub(super) fn len(&self) -> usize {
        self.left + usize::from(self.held)
    }

    /// Appends a copy.
    #[inline]
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
        self.left += bytes.len();
    }

    /// Appends what `f` appends.
    pub(super) fn with<T>(&mut self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.small.len();
        let answer = f(&mut self.small);
        self.left += self.small.len() - before;
        answer
    }

    /// Appends a part of a payload that is not copied.
    pub(super) fn share(&mut self, payload: &Arc<Vec<u8>>, part: Range<usize>) {
        self.close_small();
        self.left += part.len();
        self.pieces.push(Piece::Large(Arc::clone(payload), part));
    }

    fn close_small(&mut self) {
        if self.mark < self.small.len() {
            self.pieces.push(Piece::Small(self.mark..self.small.len()));
            self.mark = self.small.len();
        }
    }

    /// Writes what there is room for; `true`: everything is written.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&mut self, stream: &Stream) -> io::Result<bool> {
        self.close_small();
        while self.left != 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut n = 0;
            let mut skip = self.part;
            for piece in &self.pieces[self.next..] {
                let bytes = match piece {
                    Piece::Small(part) => &self.small[part.clone()],
                    Piece::Large(payload, part) => &payload[part.clone()],
                };
                slices[n] = IoSlice::new(&bytes[skip..]);
                skip = 0;
                n += 1;
                if n == SLICES {
                    break;
                }
            }
            match stream.try_write(&slices[..n]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.held = !stream.flush()?;
        if self.held {
            return Ok(false);
        }
        self.pieces.clear();
        self.small.clear();
        if self.small.capacity() > KEEP {
            self.small = Vec::new();
        }
        (self.mark, self.next, self.part) = (0, 0, 0);
        Ok(true)
    }

    fn advance(&mut self, mut n: usize) {
        self.left -= n;
        while let Some(piece) = self.pieces.get(self.next) {
            let rest = piece.len() - self.part;
            if n < rest {
                break;
            }
            n -= rest;
            (self.next, self.part) = (self.next + 1, 0);
        }
        self.part += n;
    }
}
