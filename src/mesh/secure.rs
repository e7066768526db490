//! The first bytes of a connection, up to a channel for records. Sans-I/O: bytes in, bytes out.
//!
//! With a secret the channel is `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s`, bound to both preambles: who does not know the
//! secret can neither read nor write nor talk the two into another version. A recorded first message can be played again,
//! but who does so does not know its ephemeral key, so the first record after it fails; nothing of the node is touched
//! before that (docs/adr/0019).

use super::wire::greeting::{PREAMBLE, Preamble, Refuse, RefuseCode};
use super::wire::{MAX_RECORD, Malformed, VERSIONS, greeting::Greeting, record};
use crate::error::{Error, ErrorKind};
use blake2::{Blake2s256, Digest};
use snow::{Builder, HandshakeState, StatelessTransportState};
use std::sync::Arc;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// Longest handshake record, in bytes.
const MAX_HANDSHAKE: usize = 512;
/// How a TLS listener answers who does not speak TLS.
const TLS_ALERT: u8 = 0x15;
/// What encryption adds to a record, in bytes.
pub const TAG: usize = 16;

/// A secret that all nodes of a mesh share.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The key of a secret.
    ///
    /// # Errors
    /// `InvalidArgument` if it is empty.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        if secret.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the secret is empty; take 32 random bytes",
            ));
        }
        let mut hash = Blake2s256::new();
        hash.update(b"iris mesh psk v1");
        hash.update(secret);
        Ok(Self(hash.finalize().into()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It connected.
    Initiator,
    /// It accepted.
    Responder,
}

/// Both directions of an open connection.
pub struct Channel {
    /// For what goes out.
    pub sealer: Sealer,
    /// For what comes in.
    pub opener: Opener,
}

impl Channel {
    /// Records as they are.
    #[must_use]
    pub fn plain() -> Self {
        Self { sealer: Sealer::Plain, opener: Opener::Plain }
    }

    fn noise(state: StatelessTransportState) -> Self {
        let state = Arc::new(state);
        Self { sealer: Sealer::Noise(Arc::clone(&state), 0), opener: Opener::Noise(state, 0) }
    }
}

/// Turns records into what goes over the wire.
pub enum Sealer {
    /// As they are.
    Plain,
    /// Encrypted, each with the next number.
    Noise(Arc<StatelessTransportState>, u64),
}

impl Sealer {
    /// Longest plain record.
    #[must_use]
    pub fn most(&self) -> usize {
        match self {
            Self::Plain => MAX_RECORD,
            Self::Noise(..) => MAX_RECORD - TAG,
        }
    }

    /// Appends a record to what is to be written, length first.
    ///
    /// # Errors
    /// `Length` if it is too long; `Kind(0)` once the channel's key is used up (2^64 records).
    pub fn seal(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        if record.len() > self.most() {
            return Err(Malformed::Length(record.len() as u64));
        }
        match self {
            Self::Plain => {
                out.extend_from_slice(&(record.len() as u32).to_le_bytes());
                out.extend_from_slice(record);
            }
            Self::Noise(noise, number) => {
                let n = record.len() + TAG;
                out.extend_from_slice(&(n as u32).to_le_bytes());
                let start = out.len();
                out.resize(start + n, 0);
                noise
                    .write_message(*number, record, &mut out[start..])
                    .map_err(|_| Malformed::Kind(0))?;
                *number = number.checked_add(1).ok_or(Malformed::Kind(0))?;
            }
        }
        Ok(())
    }
}

/// Turns what came over the wire into records.
pub enum Opener {
    /// As they are.
    Plain,
    /// Encrypted, each with the next number.
    Noise(Arc<StatelessTransportState>, u64),
}

impl Opener {
    /// The record in what was read after a length; `scratch` is room for it.
    ///
    /// # Errors
    /// `Kind(0)` if it was not encrypted with this channel's key, or is not the next one.
    pub fn open<'a>(
        &mut self,
        sealed: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Plain => Ok(sealed),
            Self::Noise(noise, number) => {
                if scratch.len() < sealed.len() {
                    scratch.resize(sealed.len(), 0);
                }
                let n =
                    noise.read_message(*number, sealed, scratch).map_err(|_| Malformed::Kind(0))?;
                *number = number.checked_add(1).ok_or(Malformed::Kind(0))?;
                Ok(&scratch[..n])
            }
        }
    }
}

/// Why there is no channel.
#[derive(Debug)]
pub enum Failure {
    /// What came is not this protocol, or not for the secret of this node.
    Malformed(Malformed),
    /// The secrets differ, or only one side has one.
    Secret(&'static str),
    /// No version in common: theirs.
    Version((u8, u8)),
    /// The other refused.
    Refused(Refuse),
}

impl From<Malformed> for Failure {
    fn from(m: Malformed) -> Self {
        Self::Malformed(m)
    }
}

enum Step {
    Preamble,
    Noise(Box<HandshakeState>),
}

/// The state of the first bytes.
pub struct Opening {
    role: Role,
    secret: Option<Secret>,
    own: Preamble,
    step: Step,
}

impl Opening {
    /// Begins; what the initiator says first is appended to `out`.
    #[must_use]
    pub fn new(role: Role, secret: Option<Secret>, out: &mut Vec<u8>) -> Self {
        let own = Preamble::own(secret.is_some());
        if role == Role::Initiator {
            out.extend_from_slice(&own.encode());
        }
        Self { role, secret, own, step: Step::Preamble }
    }

    /// Takes what it understands off the front of `read` and appends its answers to `out`. `Some`: the channel is open.
    ///
    /// # Errors
    /// See [`Failure`]; what is in `out` then tells the other why.
    pub fn advance(
        &mut self,
        read: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Channel>, Failure> {
        loop {
            match &mut self.step {
                Step::Preamble => {
                    if read.len() < PREAMBLE {
                        // A stranger is recognised by its first byte, not by its twelfth.
                        let known = read.len().min(4);
                        if read.first() == Some(&TLS_ALERT) {
                            return Err(Failure::Secret(
                                "it wants certificates (TLS) and this node has none",
                            ));
                        }
                        if read[..known] != super::wire::MAGIC[..known] {
                            return Err(Malformed::Magic.into());
                        }
                        return Ok(None);
                    }
                    let theirs: Vec<u8> = read.drain(..PREAMBLE).collect();
                    if let Some(channel) = self.greet(&theirs, out)? {
                        return Ok(Some(channel));
                    }
                }
                Step::Noise(noise) => {
                    let Some(n) = record::split(read, MAX_HANDSHAKE)? else { return Ok(None) };
                    let sealed: Vec<u8> =
                        read.drain(..record::LENGTH + n).skip(record::LENGTH).collect();
                    if noise.read_message(&sealed, &mut [0; MAX_HANDSHAKE]).is_err() {
                        // It may be a refusal, which cannot be proved to come from the peer: good for a message only.
                        if self.role == Role::Initiator
                            && let Ok(Greeting::Refuse(r)) = Greeting::decode(&sealed)
                        {
                            return Err(Failure::Refused(r));
                        }
                        if self.role == Role::Responder {
                            refuse(RefuseCode::Secret, "the secrets differ", out);
                        }
                        return Err(Failure::Secret("the secrets differ"));
                    }
                    if self.role == Role::Responder {
                        write_noise(noise, out)?;
                    }
                    return Ok(Some(self.finish()?));
                }
            }
        }
    }

    fn greet(&mut self, theirs: &[u8], out: &mut Vec<u8>) -> Result<Option<Channel>, Failure> {
        let other = Preamble::decode(theirs)?;
        let own = self.own.encode();
        if self.role == Role::Responder {
            out.extend_from_slice(&own);
        }
        if self.own.agree(&other).is_none() {
            let (low, high) = VERSIONS;
            refuse(RefuseCode::Version, &format!("this node speaks versions {low} to {high}"), out);
            return Err(Failure::Version(other.versions));
        }
        let why = match (self.own.secured, other.secured) {
            (true, false) => "this node has a secret and the other has none",
            (false, true) => "the other node has a secret and this one has none",
            _ => "",
        };
        if !why.is_empty() {
            let told = if self.own.secured {
                "a secret is needed here"
            } else {
                "no secret is known here"
            };
            refuse(RefuseCode::Secret, told, out);
            return Err(Failure::Secret(why));
        }
        let Some(secret) = &self.secret else { return Ok(Some(Channel::plain())) };
        let (first, second) = match self.role {
            Role::Initiator => (own.as_slice(), theirs),
            Role::Responder => (theirs, own.as_slice()),
        };
        let prologue = [first, second].concat();
        let builder = PATTERN
            .parse()
            .and_then(|params| Builder::new(params).psk(0, &secret.0)?.prologue(&prologue));
        let noise = builder.and_then(|b| match self.role {
            Role::Initiator => b.build_initiator(),
            Role::Responder => b.build_responder(),
        });
        let mut noise = noise.map_err(|_| Failure::Secret("the cipher cannot be set up"))?;
        if self.role == Role::Initiator {
            write_noise(&mut noise, out)?;
        }
        self.step = Step::Noise(Box::new(noise));
        Ok(None)
    }

    fn finish(&mut self) -> Result<Channel, Failure> {
        match std::mem::replace(&mut self.step, Step::Preamble) {
            Step::Noise(noise) => noise
                .into_stateless_transport_mode()
                .map(Channel::noise)
                .map_err(|_| Failure::Secret("the handshake is not finished")),
            Step::Preamble => Ok(Channel::plain()),
        }
    }
}

fn write_noise(noise: &mut HandshakeState, out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut message = [0; MAX_HANDSHAKE];
    let n = noise
        .write_message(&[], &mut message)
        .map_err(|_| Failure::Secret("the handshake is out of step"))?;
    out.extend_from_slice(&(n as u32).to_le_bytes());
    out.extend_from_slice(&message[..n]);
    Ok(())
}

fn refuse(code: RefuseCode, why: &str, out: &mut Vec<u8>) {
    let record = Greeting::Refuse(Refuse { code, incarnation: 0, why: why.to_owned() }).encode();
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&record);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(s: &str) -> Option<Secret> {
        (!s.is_empty()).then(|| Secret::new(s.as_bytes()).expect("not empty"))
    }

    /// Lets both talk until one has failed or both have a channel; the initiator's bytes go over piecewise.
    fn talk(a: &str, b: &str) -> (Result<Channel, Failure>, Result<Channel, Failure>, Vec<u8>) {
        let (mut to_b, mut to_a, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        let mut one = Opening::new(Role::Initiator, secret(a), &mut to_b);
        let mut two = Opening::new(Role::Responder, secret(b), &mut to_a);
        let (mut first, mut second) = (None, None);
        let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            if !to_b.is_empty() {
                heard.push(to_b[0]);
                at_b.push(to_b.remove(0));
            }
            at_a.append(&mut to_a);
            if second.is_none() {
                second = two.advance(&mut at_b, &mut to_a).transpose();
            }
            if first.is_none() {
                first = one.advance(&mut at_a, &mut to_b).transpose();
            }
        }
        let never = || Err(Failure::Secret("nothing came"));
        (first.unwrap_or_else(never), second.unwrap_or_else(never), heard)
    }

    #[test]
    fn the_same_secret_opens_a_channel_in_which_order_counts() {
        let (a, b, _) = talk("swordfish", "swordfish");
        let (mut a, mut b) = (a.expect("open"), b.expect("open"));
        let (mut one, mut two) = (Vec::new(), Vec::new());
        a.sealer.seal(b"first", &mut one).expect("sealed");
        a.sealer.seal(b"second", &mut two).expect("sealed");
        assert!(!one.windows(5).any(|w| w == b"first"), "it is encrypted");
        let mut scratch = Vec::new();
        assert!(b.opener.open(&two[4..], &mut scratch).is_err(), "the second is not the next");
        assert_eq!(b.opener.open(&one[4..], &mut scratch), Ok(&b"first"[..]));
        assert!(b.opener.open(&one[4..], &mut Vec::new()).is_err(), "not twice");
        assert_eq!(b.opener.open(&two[4..], &mut scratch), Ok(&b"second"[..]));
    }

    #[test]
    fn fault_row_31_another_secret_or_none_is_refused() {
        for (a, b) in [("swordfish", "password"), ("", "password"), ("swordfish", "")] {
            let (first, second, _) = talk(a, b);
            let refused = |r: &Result<Channel, Failure>| match r {
                Err(Failure::Secret(_)) => true,
                Err(Failure::Refused(r)) => r.code == RefuseCode::Secret,
                _ => false,
            };
            assert!(refused(&first), "{a:?} to {b:?}");
            assert!(refused(&second), "{a:?} to {b:?}");
        }
        assert!(matches!(
            talk("", ""),
            (
                Ok(Channel { sealer: Sealer::Plain, .. }),
                Ok(Channel { opener: Opener::Plain, .. }),
                _
            )
        ));
    }

    #[test]
    fn fault_row_31_a_replayed_opening_can_say_nothing() {
        let (_, _, recorded) = talk("swordfish", "swordfish");
        let mut out = Vec::new();
        let mut responder = Opening::new(Role::Responder, secret("swordfish"), &mut out);
        let mut read = recorded;
        // The bytes are genuine, so the responder answers them ...
        let mut channel = responder.advance(&mut read, &mut out).ok().flatten().expect("a channel");
        // ... with an ephemeral key of its own: no record of the old connection, or of a forger, opens here.
        for forged in [vec![0; 40], b"HELLO, let me in, I am the real one".to_vec()] {
            assert!(channel.opener.open(&forged, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn fault_row_33_versions_without_a_common_one_are_refused() {
        let mut out = Vec::new();
        let mut responder = Opening::new(Role::Responder, None, &mut out);
        let newer = Preamble { versions: (7, 9), secured: false, capabilities: 0 };
        let mut read = newer.encode().to_vec();
        let failed = responder.advance(&mut read, &mut out);
        assert!(matches!(failed, Err(Failure::Version((7, 9)))));
        let told = Greeting::decode(&out[PREAMBLE + record::LENGTH..]);
        assert!(matches!(told, Ok(Greeting::Refuse(Refuse { code: RefuseCode::Version, .. }))));
        // A later build that still speaks version 1 is welcome.
        let mut responder = Opening::new(Role::Responder, None, &mut out);
        let newer = Preamble { versions: (1, 9), secured: false, capabilities: u32::MAX };
        assert!(matches!(
            responder.advance(&mut newer.encode().to_vec(), &mut Vec::new()),
            Ok(Some(Channel { sealer: Sealer::Plain, .. }))
        ));
    }

    #[test]
    fn strangers_are_recognised_at_once() {
        let mut responder = Opening::new(Role::Responder, None, &mut Vec::new());
        let failed = responder.advance(&mut b"GE".to_vec(), &mut Vec::new());
        assert!(matches!(failed, Err(Failure::Malformed(Malformed::Magic))));
    }
}
