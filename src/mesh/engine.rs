//! The seam: everything that a runtime wants of whatever connects it to other nodes. The embedded mesh is one engine; another
//! takes its place with [`Runtime::use_engine`](crate::Runtime::use_engine), and nothing changes for users' code.
//!
//! An engine gets a [`Host`], through which it makes proxies (ordinary actors here, whose mailboxes it drains), delivers what
//! comes in and tells of ends. tests/mesh/suite.rs holds two engines to the same behaviour.

use super::host::{Host, Seen, Sink};
use super::node::{MeshMetrics, NodeInfo};
use super::options::{ClusterOptions, ListenOptions, MeshOptions};
use super::wire::op::StopMode;
use crate::error::Result;
use crate::id::Pid;
use std::sync::Arc;
use std::time::Duration;

/// Makes an engine for the runtime behind a host.
pub type MakeEngine = Box<dyn FnOnce(Arc<dyn Host>) -> Result<Arc<dyn Engine>> + Send>;

/// What a look for news came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nothing has come.
    Nothing,
    /// Something has, and was taken in.
    Some,
    /// It is of no use to look again soon: much is coming, or it comes another way.
    Never,
}

/// What was said between this node and others lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// Counts up with everything that comes, and with everything that a thread of the host sends itself.
    pub count: u64,
    /// Counts up with everything that a thread of the host sends itself.
    pub said: u64,
    /// That was the last that happened.
    pub expects: bool,
}

/// Where a thread looks for news instead of sleeping. As long as it lives, nobody else need look.
pub trait News {
    /// Takes in what has come, on the calling thread, which holds no lock. Does not wait.
    fn look(&mut self) -> Polled;
}

/// What connects a runtime to others: links, membership and names of a cluster. No method blocks; sinks are called once, from
/// any thread and with no lock held.
pub trait Engine: Send + Sync + 'static {
    /// Changes how it behaves from now on.
    ///
    /// # Errors
    /// `InvalidArgument` names the knob that is out of range.
    fn configure(&self, options: MeshOptions) -> Result<()>;
    /// How it behaves.
    fn options(&self) -> MeshOptions;

    /// Lets other nodes in at an address; the address as others reach it goes to the sink.
    fn listen(self: Arc<Self>, address: &str, options: ListenOptions, sink: Sink<String>);
    /// Takes that back; whether it was so.
    fn unlisten(&self, address: &str) -> bool;
    /// Where others are let in.
    fn listening(&self) -> Vec<String>;
    /// Says goodbye to the node at an address; whether there was a session.
    ///
    /// # Errors
    /// `InvalidArgument`.
    fn disconnect(self: Arc<Self>, address: &str) -> Result<bool>;
    /// The nodes that there is a session with.
    fn nodes(&self) -> Vec<NodeInfo>;

    /// Asks the node at an address who has a name; the proxy goes to the sink.
    fn resolve(
        self: Arc<Self>,
        address: &str,
        name: &str,
        timeout: Duration,
        sink: Sink<Option<Pid>>,
    );
    /// Asks whether a node answers at an address.
    fn probe(self: Arc<Self>, address: &str, timeout: Duration, sink: Sink<bool>);
    /// Asks about a remote actor, by its proxy.
    fn look(self: Arc<Self>, proxy: Pid, timeout: Duration, sink: Sink<Option<Seen>>);

    /// What was said lately.
    fn talk(&self) -> Talk {
        Talk::default()
    }
    /// Where a thread that waits can look for news of the node that was heard last.
    fn news(&self) -> Option<Box<dyn News>> {
        None
    }

    /// The proxy of an actor by its node's address and its pid there.
    ///
    /// # Errors
    /// `InvalidArgument`, `RuntimeClosed`, `AtCapacity`.
    fn proxy(self: Arc<Self>, address: &str, remote: Pid) -> Result<Pid>;
    /// A pid as bytes that every node understands.
    ///
    /// # Errors
    /// `Disconnected` for a proxy whose node was not reached yet.
    fn export(&self, pid: Pid) -> Result<Vec<u8>>;
    /// The pid that such bytes mean.
    ///
    /// # Errors
    /// `InvalidArgument`, `NoSuchActor`, `Unreachable`.
    fn import(self: Arc<Self>, bytes: &[u8]) -> Result<Pid>;
    /// Longest payload that goes to an actor, in bytes; no bound for those that live here.
    fn max_payload(&self, pid: Pid) -> usize;
    /// Before a proxy is stopped or killed: whether that is allowed over there.
    fn before_stop(&self, proxy: Pid, mode: StopMode) -> bool;
    /// A proxy is linked with an actor, or no more: so shall it be over there. The other is a local one, which is linked here
    /// by the runtime, or another proxy. Whether that is allowed.
    fn link(self: Arc<Self>, proxy: Pid, other: Pid, on: bool) -> bool;
    /// A remote actor traps exits from now on, or no more. Whether that is allowed.
    fn trap(&self, proxy: Pid, traps: bool) -> bool;
    /// Somebody here has given up waiting for a call.
    fn cancelled(&self, proxy: Pid, call: crate::id::CallId);

    /// Makes this node a member of the cluster that the nodes at `seeds` are in; without seeds it is the first.
    fn join_cluster(self: Arc<Self>, seeds: Vec<String>, options: ClusterOptions, sink: Sink<()>);
    /// Gives a name to a local actor, in the whole cluster.
    ///
    /// # Errors
    /// `NameTaken`; `InvalidState` before a cluster was joined.
    fn claim(self: Arc<Self>, name: &str, pid: Pid) -> Result<()>;
    /// Takes such a name away; whether this node had it.
    fn disclaim(&self, name: &str) -> bool;
    /// Who has a name in the cluster, as far as it is known here and can be reached.
    fn whereis(self: Arc<Self>, name: &str) -> Option<Pid>;

    /// Its numbers.
    fn metrics(&self) -> MeshMetrics;
    /// Whether something is on its way.
    fn is_sending(&self) -> bool;
    /// Sends what is left, as far as it goes within `patience`, says goodbye and calls `done`.
    fn close(self: Arc<Self>, patience: Duration, done: Box<dyn FnOnce() + Send>);
    /// Ends at once.
    fn abort(&self);
}
