//! The nodes of a cluster, as far as gossip tells. Pure.

use super::NodeId;
use chitchat::Heartbeat;
use std::collections::{HashMap, HashSet};

/// First and longest pause between tries to reach a member, in milliseconds.
const REDIAL_MS: (u64, u64) = (100, 5_000);

#[derive(Debug, Default)]
pub(super) struct Member {
    /// Where it listens; empty: nowhere.
    pub(super) address: String,
    /// What it last said that it had changed.
    pub(super) version: (u64, u64),
    heartbeat: Option<Heartbeat>,
    /// When its heartbeat last went on; what was heard first may be the last word of a dead one.
    heard_ms: Option<u64>,
    /// When to try to reach it again, and the pause after that.
    dial_at_ms: u64,
    pause_ms: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: HashMap<NodeId, Member>,
    /// Those that have left the cluster.
    left: HashSet<NodeId>,
    /// Those that are not to be dialled, because somebody said goodbye.
    parted: HashSet<NodeId>,
}

impl Members {
    pub(super) fn get_mut(&mut self, node: NodeId) -> &mut Member {
        self.all.entry(node).or_default()
    }

    pub(super) fn knows(&self, node: &NodeId) -> bool {
        self.all.contains_key(node)
    }

    /// Whether the node has a heartbeat that went on lately, and has not left.
    pub(super) fn is_heard(&self, node: &NodeId, now_ms: u64, patience_ms: u64) -> bool {
        !self.left.contains(node)
            && self.all.get(node).is_some_and(|m| {
                m.heard_ms.is_some_and(|heard| now_ms.saturating_sub(heard) <= patience_ms)
            })
    }

    pub(super) fn has_left(&self, node: &NodeId) -> bool {
        self.left.contains(node)
    }

    pub(super) fn leaves(&mut self, node: NodeId) {
        self.left.insert(node);
    }

    pub(super) fn parts(&mut self, node: NodeId) {
        self.parted.insert(node);
    }

    /// It has come, or come back.
    pub(super) fn appears(&mut self, node: NodeId) {
        self.left.remove(&node);
        self.parted.remove(&node);
        if let Some(m) = self.all.get_mut(&node) {
            m.pause_ms = 0;
            m.dial_at_ms = 0;
        }
    }

    /// Forgets all but those; answers whom.
    pub(super) fn keep(&mut self, known: &HashSet<NodeId>) -> Vec<NodeId> {
        let gone: Vec<NodeId> = self.all.keys().filter(|n| !known.contains(*n)).copied().collect();
        for node in &gone {
            self.all.remove(node);
            self.left.remove(node);
            self.parted.remove(node);
        }
        gone
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.all.keys().copied().collect()
    }

    pub(super) fn address(&self, node: &NodeId) -> Option<&str> {
        self.all.get(node).map(|m| m.address.as_str()).filter(|a| !a.is_empty())
    }

    /// The address to try now, if it is time.
    pub(super) fn take_due(&mut self, node: &NodeId, now_ms: u64) -> Option<String> {
        if self.left.contains(node) || self.parted.contains(node) {
            return None;
        }
        let m = self.all.get_mut(node)?;
        if m.address.is_empty() || now_ms < m.dial_at_ms {
            return None;
        }
        m.pause_ms = (m.pause_ms * 2).clamp(REDIAL_MS.0, REDIAL_MS.1);
        m.dial_at_ms = now_ms + m.pause_ms;
        Some(m.address.clone())
    }
}

impl Member {
    pub(super) fn heard(&mut self, heartbeat: Heartbeat, now_ms: u64) {
        if self.heartbeat.is_none_or(|last| heartbeat > last) {
            if self.heartbeat.is_some() {
                self.heard_ms = Some(now_ms);
            }
            self.heartbeat = Some(heartbeat);
        }
    }
}
