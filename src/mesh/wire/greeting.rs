//! What two nodes say before the first message: the preamble in the clear, then HELLO, WELCOME or REFUSE.

use super::{MAGIC, Malformed, Reader, VERSIONS, put_text};
use std::fmt;

/// Length of a preamble, in bytes.
pub const PREAMBLE: usize = 12;
/// Longest address that a node may tell of itself, in bytes.
pub const MAX_ADDRESS: usize = 255;
/// Longest explanation of a refusal, in bytes.
const MAX_WHY: usize = 255;

/// Flag of a preamble: what follows is encrypted with a key that both know.
const SECURED: u8 = 1;

/// The first bytes in each direction, in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Lowest and highest version that the sender speaks.
    pub versions: (u8, u8),
    /// Whether the sender goes on with Noise.
    pub secured: bool,
    /// What the sender can do beyond the version; both use what both have.
    pub capabilities: u32,
}

impl Preamble {
    /// This build's.
    #[must_use]
    pub fn own(secured: bool) -> Self {
        Self { versions: VERSIONS, secured, capabilities: 0 }
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; PREAMBLE] {
        let mut out = [0; PREAMBLE];
        out[..4].copy_from_slice(&MAGIC);
        out[4] = self.versions.0;
        out[5] = self.versions.1;
        out[6] = if self.secured { SECURED } else { 0 };
        out[8..].copy_from_slice(&self.capabilities.to_le_bytes());
        out
    }

    /// From the bytes; what a later version may put into the reserved bits is ignored.
    ///
    /// # Errors
    /// `Short`, `Magic`; `Length` for a version range that is empty.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader(bytes);
        if r.array::<4>()? != MAGIC {
            return Err(Malformed::Magic);
        }
        let versions = (r.u8()?, r.u8()?);
        let flags = r.u8()?;
        let _reserved = r.u8()?;
        if versions.0 > versions.1 {
            return Err(Malformed::Length(u64::from(versions.0)));
        }
        Ok(Self { versions, secured: flags & SECURED != 0, capabilities: r.u32()? })
    }

    /// The version that both speak, and what both can do; the same whoever asks.
    #[must_use]
    pub fn agree(&self, other: &Self) -> Option<(u8, u32)> {
        let version = self.versions.1.min(other.versions.1);
        let fits = version >= self.versions.0.max(other.versions.0);
        fits.then_some((version, self.capabilities & other.capabilities))
    }
}

/// A node, for as long as nobody has declared it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    /// Drawn at random when the node began.
    pub node: [u8; 16],
    /// Counts up when somebody has declared it down; 0 means "not known".
    pub incarnation: u64,
}

impl NodeRef {
    /// Nobody in particular.
    pub const UNKNOWN: Self = Self { node: [0; 16], incarnation: 0 };

    /// Whether it is somebody.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.incarnation != 0
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.node);
        out.extend_from_slice(&self.incarnation.to_le_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { node: r.array()?, incarnation: r.u64()? })
    }
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in &self.node[..4] {
            write!(f, "{b:02x}")?;
        }
        write!(f, ".{}", self.incarnation)
    }
}

/// What a peer may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Send to every pid it knows; otherwise only to those that it was told of here (by name, or as a sender).
    pub any_pid: bool,
    /// Ask for names.
    pub resolve: bool,
    /// Stop and kill actors, and end them by links.
    pub stop: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { any_pid: true, resolve: true, stop: true };

    fn bits(self) -> u8 {
        u8::from(self.any_pid) | u8::from(self.resolve) << 1 | u8::from(self.stop) << 2
    }

    fn from_bits(bits: u8) -> Self {
        Self { any_pid: bits & 1 != 0, resolve: bits & 2 != 0, stop: bits & 4 != 0 }
    }
}

/// HELLO and WELCOME: who speaks, whom it expects, how far their session has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The speaker.
    pub me: NodeRef,
    /// Whom it expects, if it has a session with it already.
    pub you: NodeRef,
    /// Bytes of the session's stream that it has received.
    pub received: u64,
    /// What the listener may do at the speaker's.
    pub grants: Permissions,
    /// Longest payload that the speaker takes, in bytes.
    pub max_payload: u32,
    /// Where the speaker listens; empty: nowhere.
    pub address: String,
}

/// Why a connection ends before its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefuseCode {
    /// No common version.
    Version = 1,
    /// One side has a secret and the other has none, or another one.
    Secret = 2,
    /// The other was declared down and must come as a new incarnation.
    DeclaredDown = 3,
    /// The session that the other wants to go on with does not exist here.
    UnknownSession = 4,
    /// Another node is listening here.
    WrongNode = 5,
    /// Too many connections.
    Capacity = 6,
    /// It is the node itself.
    Itself = 7,
    /// The node is closing.
    Closing = 8,
}

impl RefuseCode {
    fn from_u8(code: u8) -> Result<Self, Malformed> {
        Ok(match code {
            1 => Self::Version,
            2 => Self::Secret,
            3 => Self::DeclaredDown,
            4 => Self::UnknownSession,
            5 => Self::WrongNode,
            6 => Self::Capacity,
            7 => Self::Itself,
            8 => Self::Closing,
            other => return Err(Malformed::Kind(other)),
        })
    }
}

/// REFUSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// Why.
    pub code: RefuseCode,
    /// The incarnation that was declared down, for that code; otherwise 0.
    pub incarnation: u64,
    /// For people.
    pub why: String,
}

/// A record of the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// From who connected.
    Hello(Hello),
    /// From who accepted.
    Welcome(Hello),
    /// From either.
    Refuse(Refuse),
}

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSE: u8 = 3;

impl Greeting {
    /// The bytes of a record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        match self {
            Self::Hello(h) => h.put(HELLO, &mut out),
            Self::Welcome(h) => h.put(WELCOME, &mut out),
            Self::Refuse(r) => {
                out.extend_from_slice(&[REFUSE, r.code as u8]);
                out.extend_from_slice(&r.incarnation.to_le_bytes());
                put_text(&mut out, &r.why, MAX_WHY);
            }
        }
        out
    }

    /// From the bytes of a record; what a later version appends is ignored.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader(bytes);
        Ok(match r.u8()? {
            HELLO => Self::Hello(Hello::read(&mut r)?),
            WELCOME => Self::Welcome(Hello::read(&mut r)?),
            REFUSE => Self::Refuse(Refuse {
                code: RefuseCode::from_u8(r.u8()?)?,
                incarnation: r.u64()?,
                why: r.text(MAX_WHY)?.to_owned(),
            }),
            other => return Err(Malformed::Kind(other)),
        })
    }
}

impl Hello {
    fn put(&self, kind: u8, out: &mut Vec<u8>) {
        out.push(kind);
        self.me.put(out);
        self.you.put(out);
        out.extend_from_slice(&self.received.to_le_bytes());
        out.push(self.grants.bits());
        out.extend_from_slice(&self.max_payload.to_le_bytes());
        put_text(out, &self.address, MAX_ADDRESS);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let me = NodeRef::read(r)?;
        if !me.is_known() {
            return Err(Malformed::Length(0));
        }
        Ok(Self {
            me,
            you: NodeRef::read(r)?,
            received: r.u64()?,
            grants: Permissions::from_bits(r.u8()?),
            max_payload: r.u32()?,
            address: r.text(MAX_ADDRESS)?.to_owned(),
        })
    }
}
