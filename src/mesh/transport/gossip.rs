//! Chitchat over the authenticated sessions: its "socket" takes node ids for addresses, so no other socket is opened and
//! nobody gossips who has not proved itself.

use crate::mesh::node::Node;
use crate::mesh::session::Event;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::mesh::cluster::NodeId;
use crate::sync::Mutex;

/// Messages that wait for the gossip task; of more, the newest are dropped, as a datagram would be.
const BACKLOG: usize = 256;
/// First byte of a gossip payload: a message of chitchat's follows.
pub(crate) const CHITCHAT: u8 = 0;
/// First byte of a gossip payload: the sender leaves the cluster.
pub(crate) const LEAVING: u8 = 1;

/// A node id as the address that chitchat wants.
pub(crate) fn address_of(node: NodeId) -> SocketAddr {
    SocketAddr::new(IpAddr::from(node), 1)
}

/// The node that such an address means.
pub(crate) fn node_of(address: SocketAddr) -> Option<NodeId> {
    match address.ip() {
        IpAddr::V6(ip) => Some(ip.octets()),
        IpAddr::V4(_) => None,
    }
}

/// What came in: from whom, and the bytes of chitchat.
pub(crate) type Incoming = (NodeId, Vec<u8>);

/// The way in for what sessions receive.
pub(crate) fn inlet() -> (Sender<Incoming>, Receiver<Incoming>) {
    channel(BACKLOG)
}

/// See the module.
pub(crate) struct Sessions {
    node: Weak<Node>,
    incoming: Mutex<Option<Receiver<Incoming>>>,
}

impl Sessions {
    pub(crate) fn new(node: &Arc<Node>, incoming: Receiver<Incoming>) -> Self {
        Self { node: Arc::downgrade(node), incoming: Mutex::new(Some(incoming)) }
    }
}

#[async_trait]
impl Transport for Sessions {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let incoming = self.incoming.lock().take();
        let incoming = incoming.ok_or_else(|| anyhow::anyhow!("opened twice"))?;
        Ok(Box::new(Open { node: Weak::clone(&self.node), incoming }))
    }
}

struct Open {
    node: Weak<Node>,
    incoming: Receiver<Incoming>,
}

#[async_trait]
impl Socket for Open {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let Some(node) = self.node.upgrade() else { anyhow::bail!("the node is gone") };
        let session = node_of(to).and_then(|id| node.session_with(&id));
        if let Some(s) = session {
            let mut bytes = vec![CHITCHAT];
            message.serialize(&mut bytes);
            // A peer with a small cap takes part as far as its cap goes.
            if bytes.len() <= s.max_payload() {
                s.post(Event::Gossip(bytes));
            }
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let Some((from, bytes)) = self.incoming.recv().await else {
                anyhow::bail!("the node is gone");
            };
            // What makes no sense is dropped.
            if let Ok(message) = ChitchatMessage::deserialize(&mut &bytes[..]) {
                return Ok((address_of(from), message));
            }
        }
    }
}
