//! Records: what a connection carries, each after its length. In a secured connection everything after the length is one
//! Noise message.

use super::{MAX_RECORD, Malformed, Reader};

/// Bytes of a record's length field.
pub const LENGTH: usize = 4;
/// Bytes of a DATA record before the stream's.
pub const DATA_HEAD: usize = 17;

const DATA: u8 = 0x10;
const ACK: u8 = 0x11;
const PING: u8 = 0x12;
const PONG: u8 = 0x13;

/// A record of an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Bytes of the session's stream.
    Data {
        /// Where in the stream they begin.
        offset: u64,
        /// Bytes of the other direction that the sender has received.
        ack: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Nothing but how far the sender has received.
    Ack {
        /// See [`Record::Data`].
        ack: u64,
    },
    /// A sign of life that wants an answer.
    Ping {
        /// See [`Record::Data`].
        ack: u64,
        /// Whether a lane of the sender's node is stuck.
        stalled: bool,
        /// Comes back in the answer.
        stamp: u64,
    },
    /// The answer.
    Pong {
        /// See [`Record::Data`].
        ack: u64,
        /// From the question.
        stamp: u64,
    },
}

impl<'a> Record<'a> {
    /// Appends the record without its length.
    pub fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Data { offset, ack, bytes } => {
                out.extend_from_slice(&data_head(offset, ack));
                out.extend_from_slice(bytes);
            }
            Self::Ack { ack } => {
                out.push(ACK);
                out.extend_from_slice(&ack.to_le_bytes());
            }
            Self::Ping { ack, stalled, stamp } => {
                out.push(PING);
                out.extend_from_slice(&ack.to_le_bytes());
                out.push(u8::from(stalled));
                out.extend_from_slice(&stamp.to_le_bytes());
            }
            Self::Pong { ack, stamp } => {
                out.push(PONG);
                out.extend_from_slice(&ack.to_le_bytes());
                out.extend_from_slice(&stamp.to_le_bytes());
            }
        }
    }

    /// From the bytes after the length (and after decryption).
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader(bytes);
        let record = match r.u8()? {
            DATA => return Ok(Self::Data { offset: r.u64()?, ack: r.u64()?, bytes: r.rest() }),
            ACK => Self::Ack { ack: r.u64()? },
            PING => Self::Ping { ack: r.u64()?, stalled: r.u8()? & 1 != 0, stamp: r.u64()? },
            PONG => Self::Pong { ack: r.u64()?, stamp: r.u64()? },
            other => return Err(Malformed::Kind(other)),
        };
        r.end()?;
        Ok(record)
    }
}

/// What stands before the stream's bytes in a DATA record.
#[must_use]
pub fn data_head(offset: u64, ack: u64) -> [u8; DATA_HEAD] {
    let mut head = [0; DATA_HEAD];
    head[0] = DATA;
    head[1..9].copy_from_slice(&offset.to_le_bytes());
    head[9..].copy_from_slice(&ack.to_le_bytes());
    head
}

/// Looks for a whole record at the front of what was read: `Ok(Some(n))` means that `n` bytes follow the length field
/// and are all there.
///
/// # Errors
/// `Length` for zero and for more than `most` (never more than [`MAX_RECORD`]): nothing was allocated for it.
#[inline]
pub fn split(read: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    let Some(head) = read.first_chunk::<LENGTH>() else { return Ok(None) };
    let n = u32::from_le_bytes(*head) as usize;
    if n == 0 || n > most.min(MAX_RECORD) {
        return Err(Malformed::Length(n as u64));
    }
    Ok((read.len() >= LENGTH + n).then_some(n))
}
