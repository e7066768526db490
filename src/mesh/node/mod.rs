//! This node: its options and what it holds.
//!
//! ```text
//!   listen.rs   listeners, and sessions by address
//!   asks.rs     questions to other nodes, with deadlines
//!   pids.rs     proxies, exported pids, what is asked of a remote actor
//!   ends.rs     goodbye, verdicts, close
//!   counts.rs   the numbers
//!   seam.rs     all of it as an [`Engine`](super::Engine)
//! ```

mod asks;
mod counts;
mod ends;
mod listen;
mod pids;
mod seam;

pub(super) use counts::Counts;
pub use counts::{MeshMetrics, NodeInfo};

use super::cluster::Cluster;
use super::host::Host;
use super::options::MeshOptions;
use super::peers::Peers;
use super::session::{Route, Session};
use super::transport::driver::Driver;
use super::wire::greeting::{NodeRef, Permissions};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::mesh::engine::{News, Talk};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use dashmap::DashMap;
use listen::{Dialled, Listening};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use tokio::task::AbortHandle;

/// Of a proxy without a session: its node's address, its actor's pid there, its codec.
type Early = (String, u64, Option<Arc<str>>);

/// See the module.
pub(crate) struct Node {
    pub(super) host: Arc<dyn Host>,
    pub(super) driver: Driver,
    pub(super) peers: Mutex<Peers>,
    /// Every proxy.
    pub(super) routes: DashMap<Pid, Arc<Route>>,
    /// Whom the last proxies that have ended stood for.
    past: Mutex<VecDeque<(Pid, Vec<u8>)>>,
    pub(super) counts: Counts,
    /// Connections that have not said who they are, the oldest first.
    pub(super) handshakes: Mutex<VecDeque<(u64, AbortHandle)>>,
    pub(super) numbers: AtomicU64,
    options: Mutex<Arc<MeshOptions>>,
    clock: Clock,
    listeners: Mutex<HashMap<String, Listening>>,
    dials: Mutex<HashMap<String, Vec<Dialled>>>,
    /// Proxies that wait for a session. Taken before the lock of `peers`.
    early: Mutex<HashMap<Early, Arc<Route>>>,
    closed: AtomicBool,
    /// Records with messages that came in, from all peers, and the session of the last.
    heard: AtomicU64,
    /// Writes by threads of the host.
    said: AtomicU64,
    /// The last was one of these.
    expects: AtomicBool,
    last: Mutex<Weak<Session>>,
    pub(super) cluster: Cluster,
}

impl Node {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        clock: Clock,
        options: MeshOptions,
    ) -> Result<Arc<Self>> {
        options.validate()?;
        let mut me = [0; 16];
        getrandom::fill(&mut me).map_err(|e| {
            Error::new(ErrorKind::Io, format!("the system has no random numbers to give: {e}"))
        })?;
        Ok(Arc::new(Self {
            host,
            driver: Driver::default(),
            peers: Mutex::new(Peers::new(me)),
            routes: DashMap::new(),
            past: Mutex::new(VecDeque::new()),
            counts: Counts::default(),
            handshakes: Mutex::new(VecDeque::new()),
            numbers: AtomicU64::new(0),
            options: Mutex::new(Arc::new(options)),
            clock,
            listeners: Mutex::new(HashMap::new()),
            dials: Mutex::new(HashMap::new()),
            early: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            said: AtomicU64::new(0),
            expects: AtomicBool::new(false),
            last: Mutex::new(Weak::new()),
            cluster: Cluster::new(me),
        }))
    }

    pub(super) fn options(&self) -> Arc<MeshOptions> {
        Arc::clone(&self.options.lock())
    }

    /// Changes what sessions and connections that begin from now on do.
    pub(crate) fn configure(&self, options: MeshOptions) -> Result<()> {
        options.validate()?;
        *self.options.lock() = Arc::new(options);
        Ok(())
    }

    pub(crate) fn current_options(&self) -> MeshOptions {
        MeshOptions::clone(&self.options())
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A peer has said something.
    pub(super) fn note_heard(&self, session: &Arc<Session>) {
        self.expects.store(false, Ordering::Relaxed);
        self.heard.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock();
        if !std::ptr::eq(last.as_ptr(), Arc::as_ptr(session)) {
            *last = Arc::downgrade(session);
        }
    }

    /// A thread of the host has said something to a peer.
    pub(super) fn note_said(&self) {
        self.said.fetch_add(1, Ordering::Relaxed);
        self.expects.store(true, Ordering::Relaxed);
    }

    fn talk(&self) -> Talk {
        let (heard, said) = (self.heard.load(Ordering::Relaxed), self.said.load(Ordering::Relaxed));
        let expects = self.expects.load(Ordering::Relaxed);
        Talk { count: heard.wrapping_add(said), said, expects }
    }

    fn news(&self) -> Option<Box<dyn News>> {
        let last = self.last.lock().upgrade()?;
        Some(Box::new(last.news()?))
    }

    pub(super) fn me_text(&self) -> String {
        self.peers.lock().me().to_string()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(in crate::mesh) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::RuntimeClosed,
                "this runtime is closed; make a new one",
            ));
        }
        Ok(())
    }

    /// Where this node listens, for HELLO and exported pids: the first address that others can use.
    pub(super) fn public_address(&self) -> String {
        let listeners = self.listeners.lock();
        let mut all: Vec<&String> = listeners.keys().collect();
        all.sort();
        let usable = |a: &&&String| !a.starts_with("0.0.0.0:") && !a.starts_with("[::]:");
        all.iter().find(usable).map_or_else(String::new, |a| (**a).clone())
    }
}

impl Session {
    /// Whether it is with that node, in that incarnation or an earlier one that is still the same session.
    fn is(&self, node: NodeRef) -> bool {
        self.peer.node == node.node && node.incarnation >= self.peer.incarnation
    }
}

/// What peers of a connection that this node opens may do here.
pub(super) fn own_grants(node: &Node) -> Permissions {
    node.options().permissions
}
