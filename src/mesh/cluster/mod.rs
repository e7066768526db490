//! Membership and names of a cluster: who is in it, where, and which actors have which names.
//!
//! ```text
//!   sessions --GOSSIP--> inlet --> chitchat (Scuttlebutt) --states--> members, registry --> conflicts, dials
//!   register, ends, node up or down ------------- wake ------------^
//! ```
//!
//! Chitchat spreads what every node says about itself: its address and its names. It does not say who is down: that is the
//! sessions' to say. What it hears through others only keeps a node's names its own while the direct link is cut.

mod life;
mod members;
mod registry;

pub(crate) use registry::{Claim, NodeId, Registry};

use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::mesh::node::Node;
use crate::mesh::options::ClusterOptions;
use crate::mesh::session::Session;
use crate::mesh::transport::gossip::{self, Incoming};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use members::Members;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::sync::{Notify, watch};

/// A membership that has begun.
struct Running {
    options: ClusterOptions,
    inlet: Sender<Incoming>,
    stop: tokio::task::AbortHandle,
}

/// See the module.
pub(crate) struct Cluster {
    me: NodeId,
    registry: Mutex<Registry>,
    members: Mutex<Members>,
    running: Mutex<Option<Running>>,
    wake: Notify,
    /// Counts looks at what gossip has brought.
    looks: watch::Sender<u64>,
    /// Own names may have come to another actor, or be free.
    stale: AtomicBool,
    /// Somebody floods this node with names: nothing more is learnt.
    flooded: AtomicBool,
}

impl Cluster {
    pub(crate) fn new(me: NodeId) -> Self {
        Self {
            me,
            registry: Mutex::new(Registry::new(me)),
            members: Mutex::new(Members::default()),
            running: Mutex::new(None),
            wake: Notify::new(),
            looks: watch::channel(0).0,
            stale: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
        }
    }

    /// A look at everything is due.
    fn rouse(&self) {
        self.wake.notify_one();
    }
}

impl Node {
    /// The session with a node, in whatever incarnation, that has not ended.
    pub(crate) fn session_with(&self, node: &NodeId) -> Option<Arc<Session>> {
        let s = self.peers.lock().session(node).map(Arc::clone);
        s.filter(|s| s.ended().is_none())
    }

    /// Where a member of the cluster listens.
    pub(crate) fn address_of(&self, node: &NodeId) -> Option<String> {
        self.cluster.members.lock().address(node).map(str::to_owned)
    }

    /// Gives a name to a local actor, in the whole cluster; before one is joined, in that of this node alone.
    pub(crate) fn claim(self: &Arc<Self>, name: &str, pid: Pid) -> Result<()> {
        let taken = {
            let (mut registry, now) = (self.cluster.registry.lock(), crate::clock::wall_ms());
            let taken = registry.claim(name, pid.to_bits(), now);
            if taken.is_err_and(|owner| owner.node == self.cluster.me) {
                // In this node the name is the actor's already: who had it here has ended, which this was not told yet.
                registry.disclaim(name);
                registry.claim(name, pid.to_bits(), now)
            } else {
                taken
            }
        };
        if let Err(owner) = taken {
            let who = format!("pid {} of node {}", owner.bits, short(&owner.node));
            return Err(Error::new(
                ErrorKind::NameTaken,
                format!(
                    "name {name:?} belongs to {who} in this cluster; unregister it there first"
                ),
            ));
        }
        self.watch_holder(pid);
        self.cluster.rouse();
        Ok(())
    }

    /// Looks again at the names of this node when the actor has ended.
    fn watch_holder(self: &Arc<Self>, pid: Pid) {
        let me = Arc::downgrade(self);
        let sink = Box::new(move |_| {
            if let Some(me) = me.upgrade() {
                me.cluster.stale.store(true, Ordering::Release);
                me.cluster.rouse();
            }
        });
        self.host.watch(pid, sink);
    }

    /// Takes such a name away; whether this node had it.
    pub(crate) fn disclaim(&self, name: &str) -> bool {
        let had = self.cluster.registry.lock().disclaim(name);
        self.cluster.rouse();
        had
    }

    /// Who has a name in the cluster: a local actor, or the proxy of one whose node is connected.
    pub(crate) fn whereis(self: &Arc<Self>, name: &str) -> Option<Pid> {
        let (owner, codec) = {
            let registry = self.cluster.registry.lock();
            let owner = registry.owner(name)?;
            (owner, registry.codec(owner))
        };
        if owner.node == self.cluster.me {
            return self.host.whereis(name);
        }
        let s = self.session_with(&owner.node)?;
        self.proxy_in(&s, owner.bits, codec).ok()
    }

    /// A peer has said something of the membership protocol. On the I/O thread, under the session's lock.
    pub(crate) fn gossip(&self, from: NodeId, payload: &[u8]) {
        let Some((kind, bytes)) = payload.split_first() else { return };
        match *kind {
            gossip::CHITCHAT if !self.cluster.flooded.load(Ordering::Relaxed) => {
                if let Some(r) = &*self.cluster.running.lock() {
                    let _ = r.inlet.try_send((from, bytes.to_vec()));
                }
                self.cluster.rouse();
            }
            gossip::LEAVING => {
                self.cluster.members.lock().leaves(from);
                self.cluster.rouse();
            }
            _ => {
                self.counts.forbidden.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// There is a session with a node that there was none with.
    pub(crate) fn session_began(&self, s: &Session) {
        self.cluster.members.lock().appears(s.peer.node);
        self.cluster.rouse();
        self.host.node_up(self.info_of(s));
    }

    /// That session has ended; what was its is gone.
    pub(crate) fn session_ended(&self, s: &Session, reason: crate::message::ExitReason) {
        if reason == crate::message::ExitReason::Disconnected {
            self.cluster.members.lock().parts(s.peer.node);
        }
        self.cluster.rouse();
        self.host.node_down(self.info_of(s), reason);
    }
}

/// A node's id for people.
fn short(node: &NodeId) -> String {
    node[..4].iter().map(|b| format!("{b:02x}")).collect()
}
