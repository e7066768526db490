//! What a node counts and shows of itself.

use super::Node;
use crate::mesh::session::Session;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What went wrong on the wire, counted.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Counts {
    /// Messages that a session's end left unacknowledged.
    pub(in crate::mesh) lost: AtomicU64,
    /// Messages for actors that the sender does not know here, and operations of a later version.
    pub(in crate::mesh) unknown: AtomicU64,
    /// Messages beyond the credit that was given.
    pub(in crate::mesh) over_credit: AtomicU64,
    /// What a peer was not allowed.
    pub(in crate::mesh) forbidden: AtomicU64,
    /// Messages that were too large for the peer.
    pub(in crate::mesh) too_large: AtomicU64,
    /// Connections that ended before both had said who they are.
    pub(in crate::mesh) refused: AtomicU64,
    /// Connections that carried a session and were cut.
    pub(in crate::mesh) cuts: AtomicU64,
}

/// The numbers of a mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeshMetrics {
    /// Sessions.
    pub peers: usize,
    /// Proxies.
    pub proxies: usize,
    /// Connections that have not said who they are.
    pub handshakes: usize,
    /// Messages that a session's end left unacknowledged.
    pub lost: u64,
    /// Messages for actors that their sender does not know here, and operations of a later version.
    pub unknown: u64,
    /// Messages beyond the credit that was given.
    pub over_credit: u64,
    /// What a peer was not allowed.
    pub forbidden: u64,
    /// Messages that were too large for the peer.
    pub too_large: u64,
    /// Connections that ended before both had said who they are.
    pub refused: u64,
    /// Connections that carried a session and were cut.
    pub cuts: u64,
}

impl MeshMetrics {
    /// Every number with its name, for hosts and exporters.
    pub fn each(&self, mut term: impl FnMut(&'static str, u64)) {
        for (name, n) in [
            ("peers", self.peers as u64),
            ("proxies", self.proxies as u64),
            ("handshakes", self.handshakes as u64),
            ("lost", self.lost),
            ("unknown", self.unknown),
            ("over_credit", self.over_credit),
            ("forbidden", self.forbidden),
            ("too_large", self.too_large),
            ("refused", self.refused),
            ("cuts", self.cuts),
        ] {
            term(name, n);
        }
    }
}

/// A node that this one has a session with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id and incarnation.
    pub id: String,
    /// Where it can be reached: where this node connected to, or what it says as a member of the cluster; `None`: not known.
    pub address: Option<String>,
    /// Whether a connection carries the session now.
    pub connected: bool,
    /// Whether it says that a lane of its is stuck.
    pub stalled: bool,
}

impl Node {
    /// What is shown of the node that a session is with.
    pub(in crate::mesh) fn info_of(&self, s: &Session) -> NodeInfo {
        NodeInfo {
            id: s.peer.to_string(),
            address: s.address().map(|a| a.to_string()).or_else(|| self.address_of(&s.peer.node)),
            connected: s.carried().is_some(),
            stalled: s.stalled.load(Ordering::Relaxed),
        }
    }

    /// Nodes with a session: their ids, addresses and whether a connection carries them.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        let sessions = self.peers.lock().all();
        let mut all: Vec<NodeInfo> = sessions.iter().map(|s| self.info_of(s)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    pub(crate) fn metrics(&self) -> MeshMetrics {
        let n = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let c = &self.counts;
        MeshMetrics {
            peers: self.peers.lock().len(),
            proxies: self.routes.len(),
            handshakes: self.handshakes.lock().len(),
            lost: n(&c.lost),
            unknown: n(&c.unknown),
            over_credit: n(&c.over_credit),
            forbidden: n(&c.forbidden),
            too_large: n(&c.too_large),
            refused: n(&c.refused),
            cuts: n(&c.cuts),
        }
    }

    /// Whether messages are on their way to nodes that are connected or being connected.
    pub(crate) fn is_sending(&self) -> bool {
        let sessions = self.peers.lock().all();
        !self.dials.lock().is_empty()
            || sessions.iter().any(|s| s.carried().is_some() && (s.kept() != 0 || s.has_ready()))
    }
}
