//! The bytes on the wire, without any I/O: numbers, records, greetings and operations. The drawing is
//! `docs/wire-protocol.md`; the bytes are pinned by `tests/vectors/wire.json`.
//!
//! Decoders take what a stranger sent: they answer an error, never panic, and allocate nothing that the input does not
//! already hold.

pub mod greeting;
pub mod op;
pub mod record;
#[cfg(test)]
mod tests;

use std::fmt;

/// First bytes of every connection.
pub const MAGIC: [u8; 4] = *b"IRIS";
/// The protocol versions that this build speaks, lowest and highest.
pub const VERSIONS: (u8, u8) = (1, 1);
/// Longest record after its length field, in bytes: what one Noise message can hold.
pub const MAX_RECORD: usize = 65_535;
/// Default longest payload of one message, in bytes (16 MiB).
pub const DEFAULT_MAX_PAYLOAD: usize = 16 << 20;
/// What an operation may have beside its payload, in bytes.
pub const OP_OVERHEAD: usize = 64;

/// Why bytes of a peer's were not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    Short,
    /// A number has more than 64 bits.
    Number,
    /// The first bytes are not this protocol's.
    Magic,
    /// A kind or code that does not exist.
    Kind(u8),
    /// A length of zero, or more than the cap.
    Length(u64),
    /// Text that is not UTF-8, or too long.
    Text,
    /// Bytes are left over.
    Trailing,
    /// Bytes of the stream are missing between two records.
    Gap,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end too early"),
            Self::Number => f.write_str("a number has more than 64 bits"),
            Self::Magic => f.write_str("this is not the iris protocol"),
            Self::Kind(k) => write!(f, "kind {k} does not exist"),
            Self::Length(n) => write!(f, "a length of {n} bytes is not allowed"),
            Self::Text => f.write_str("a text is not UTF-8 or too long"),
            Self::Trailing => f.write_str("bytes are left over"),
            Self::Gap => f.write_str("bytes of the stream are missing"),
        }
    }
}

/// Reads numbers and texts off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    ///
    /// # Errors
    /// `Short`.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Malformed::Short)?;
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// `Short`.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.0 = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// `Short`.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes, little end first.
    ///
    /// # Errors
    /// `Short`.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little end first.
    ///
    /// # Errors
    /// `Short`.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number of seven bits a byte, low bits first, the high bit set on all but the last byte.
    ///
    /// # Errors
    /// `Short`; `Number` if it does not fit 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (i, byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7F);
            if i == 9 && *byte > 1 {
                return Err(Malformed::Number);
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() >= 10 { Malformed::Number } else { Malformed::Short })
    }

    /// A text after its length, of at most `most` bytes.
    ///
    /// # Errors
    /// `Short`, `Text`.
    pub fn text(&mut self, most: usize) -> Result<&'a str, Malformed> {
        let n = self.varint()?;
        let n = usize::try_from(n).ok().filter(|n| *n <= most).ok_or(Malformed::Text)?;
        std::str::from_utf8(self.bytes(n)?).map_err(|_| Malformed::Text)
    }

    /// Everything that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// `Trailing`.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// Appends a number as [`Reader::varint`] reads it.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// How many bytes [`put_varint`] appends.
#[inline]
#[must_use]
pub fn varint_len(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a text and its length; it is cut at `most` bytes.
pub fn put_text(out: &mut Vec<u8>, text: &str, most: usize) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_varint(out, end as u64);
    out.extend_from_slice(&text.as_bytes()[..end]);
}
