//! Every knob of the mesh: unit, default, range.

use super::detector::Judge;
use super::secure::Secret;
use super::tls::Tls;
use super::wire::DEFAULT_MAX_PAYLOAD;
use super::wire::greeting::Permissions;
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// How a node behaves towards all its peers.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// The secret for connections that this node opens and for listeners that do not say. Default: none.
    pub secret: Option<Secret>,
    /// Certificates for connections that this node opens and for listeners that do not say. Default: none.
    pub tls: Option<Tls>,
    /// Time between signs of life. Default 1 s; 10 ms to 1 h.
    pub heartbeat: Duration,
    /// When a silent peer is down. Default: after 10 s.
    pub judge: Judge,
    /// How long a session waits for a new connection after a cut. Default 10 s; up to 24 h.
    pub resume_window: Duration,
    /// How long a connection may take until both have said who they are. Default 5 s.
    pub handshake_timeout: Duration,
    /// Longest payload of one message, in bytes. Default 16 MiB; 1 KiB to 1 GiB.
    pub max_payload: usize,
    /// Bytes of one session that wait for the peer's acknowledgement before its proxies are not drained any further.
    /// Default 8 MiB.
    pub send_buffer: usize,
    /// Capacity of proxies' mailboxes, in messages. Default: the runtime's default capacity.
    pub proxy_capacity: Option<u32>,
    /// Messages that a remote sender may have on its way to one actor here. Default 16,384.
    pub window: u32,
    /// Connections that have not said who they are; one more ends the oldest. Default 128.
    pub max_handshakes: usize,
    /// Peers at once. Default 1,024.
    pub max_peers: usize,
    /// Actors of this node that one peer may know, and its actors that are known here. Default 1,000,000.
    pub max_refs: usize,
    /// How long a lane may be stuck before peers are told that this node is stalled. Default 5 s.
    pub stall: Duration,
    /// What peers may do over connections that this node opens. Default: everything.
    pub permissions: Permissions,
}

impl Default for MeshOptions {
    fn default() -> Self {
        Self {
            secret: None,
            tls: None,
            heartbeat: Duration::from_secs(1),
            judge: Judge::Fixed { timeout_ms: 10_000 },
            resume_window: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            max_payload: DEFAULT_MAX_PAYLOAD,
            send_buffer: 8 << 20,
            proxy_capacity: None,
            window: 16_384,
            max_handshakes: 128,
            max_peers: 1_024,
            max_refs: 1_000_000,
            stall: Duration::from_secs(5),
            permissions: Permissions::ALL,
        }
    }
}

impl MeshOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument` names the first knob that is out of range.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, range: &str| {
            Err(Error::new(ErrorKind::InvalidArgument, format!("{what} must be {range}")))
        };
        let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
        if !(Duration::from_millis(10)..=hour).contains(&self.heartbeat) {
            return wrong("the heartbeat", "10 ms to 1 h");
        }
        if self.resume_window > day {
            return wrong("the resume window", "at most 24 h");
        }
        if !(Duration::from_millis(10)..=hour).contains(&self.handshake_timeout) {
            return wrong("the handshake timeout", "10 ms to 1 h");
        }
        if !(1 << 10..=1 << 30).contains(&self.max_payload) {
            return wrong("the largest payload", "1 KiB to 1 GiB");
        }
        if !(1 << 16..=1 << 32).contains(&self.send_buffer) {
            return wrong("the send buffer", "64 KiB to 4 GiB");
        }
        if self.proxy_capacity == Some(0) || self.window == 0 {
            return wrong("a capacity", "at least 1 message");
        }
        if self.max_handshakes == 0 || self.max_peers == 0 || self.max_refs == 0 {
            return wrong("a limit", "at least 1");
        }
        let judged = match self.judge {
            Judge::Fixed { timeout_ms } => timeout_ms > self.heartbeat.as_millis() as u64,
            Judge::Phi { phi, .. } => phi.is_finite() && phi > 0.0,
        };
        if !judged {
            return wrong("the silence after which a peer is down", "longer than the heartbeat");
        }
        Ok(())
    }
}

/// What a listener may say.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Its secret; `None`: the node's. If the node has none, this becomes the node's.
    pub secret: Option<Secret>,
    /// Its certificates; `None`: the node's. If the node has none, these become the node's.
    pub tls: Option<Tls>,
    /// Listen beyond this machine without a secret or certificates. Whoever reaches the address can then do what `permissions` say.
    pub insecure: bool,
    /// What peers may do here; `None`: the node's.
    pub permissions: Option<Permissions>,
}

/// How a node takes part in a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Nodes of other clusters do not gossip with this one. Default: `iris`; 1 to 256 bytes.
    pub name: String,
    /// Time between rounds of gossip, with up to three nodes each; news go out at once. Default 1 s; 10 ms to 1 h.
    pub gossip: Duration,
    /// How long a join waits for one of the seeds. Default 5 s.
    pub timeout: Duration,
    /// Where other members reach this node, if that is not where it listens (a container, a proxy). Default: where it listens.
    pub advertise: Option<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let (gossip, timeout) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { name: "iris".into(), gossip, timeout, advertise: None }
    }
}

impl ClusterOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument` names the first knob that is out of range.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, range: &str| {
            Err(Error::new(ErrorKind::InvalidArgument, format!("{what} must be {range}")))
        };
        if !(1..=256).contains(&self.name.len()) {
            return wrong("the name of a cluster", "1 to 256 bytes long");
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(3_600)).contains(&self.gossip) {
            return wrong("the gossip interval", "10 ms to 1 h");
        }
        Ok(())
    }
}
