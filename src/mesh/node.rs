//! This node: its options, its listeners, its sessions.

use super::host::{Host, Seen, Sink};
use super::link;
use super::options::{ListenOptions, MeshOptions};
use super::peers::Peers;
use super::session::{Ask, Event, Route, Session};
use super::transport::driver::{self, Driver};
use super::transport::{Address, io_error};
use super::wire::greeting::{NodeRef, Permissions};
use super::wire::op::StopMode;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::ExitReason;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use dashmap::DashMap;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// What went wrong on the wire, counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Messages that a session's end left unacknowledged.
    pub(super) lost: AtomicU64,
    /// Messages for actors that the sender does not know here, and operations of a later version.
    pub(super) unknown: AtomicU64,
    /// Messages beyond the credit that was given.
    pub(super) over_credit: AtomicU64,
    /// What a peer was not allowed.
    pub(super) forbidden: AtomicU64,
    /// Messages that were too large for the peer.
    pub(super) too_large: AtomicU64,
    /// Connections that ended before both had said who they are.
    pub(super) refused: AtomicU64,
    /// Connections that carried a session and were cut.
    pub(super) cuts: AtomicU64,
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

struct Listening {
    stop: oneshot::Sender<()>,
    /// What it was asked to be, where that differs from what it is (port 0).
    asked: String,
}

type Dialled = Box<dyn FnOnce(Result<Arc<Session>>) + Send>;

/// See the module.
pub(crate) struct Node {
    pub(super) host: Arc<dyn Host>,
    pub(super) driver: Driver,
    pub(super) peers: Mutex<Peers>,
    /// Every proxy.
    pub(super) routes: DashMap<Pid, Arc<Route>>,
    pub(super) counts: Counts,
    /// Connections that have not said who they are, the oldest first.
    pub(super) handshakes: Mutex<VecDeque<(u64, AbortHandle)>>,
    pub(super) numbers: AtomicU64,
    options: Mutex<Arc<MeshOptions>>,
    clock: Clock,
    listeners: Mutex<HashMap<String, Listening>>,
    dials: Mutex<HashMap<String, Vec<Dialled>>>,
    /// Proxies by address and remote pid that wait for a session.
    early: Mutex<HashMap<(String, u64), Arc<Route>>>,
    closed: AtomicBool,
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
            counts: Counts::default(),
            handshakes: Mutex::new(VecDeque::new()),
            numbers: AtomicU64::new(0),
            options: Mutex::new(Arc::new(options)),
            clock,
            listeners: Mutex::new(HashMap::new()),
            dials: Mutex::new(HashMap::new()),
            early: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
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

    pub(super) fn me_text(&self) -> String {
        self.peers.lock().me().to_string()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<()> {
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

    /// Addresses that this node listens at.
    pub(crate) fn listening(&self) -> Vec<String> {
        let mut all: Vec<String> = self.listeners.lock().keys().cloned().collect();
        all.sort();
        all
    }

    /// Listens; the bound address goes to `sink`, on the I/O thread.
    pub(crate) fn listen(self: &Arc<Self>, address: &str, o: ListenOptions, sink: Sink<String>) {
        let begin = || {
            self.check_open()?;
            let address = Address::parse(address)?;
            let mut options = self.options.lock();
            let secret = o.secret.clone().or_else(|| options.secret.clone());
            if secret.is_none() && !o.insecure && !address.is_local() {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "{address} can be reached from other machines and no secret is set: give a secret, or say \
                         insecure if the network itself is trusted"
                    ),
                ));
            }
            if options.secret.is_none() && secret.is_some() {
                let changed =
                    MeshOptions { secret: secret.clone(), ..MeshOptions::clone(&options) };
                *options = Arc::new(changed);
            }
            let allowed = o.permissions.unwrap_or(options.permissions);
            drop(options);
            Ok((address, secret, allowed))
        };
        let (address, secret, allowed) = match begin() {
            Ok(all) => all,
            Err(e) => return sink(Err(e)),
        };
        let me = Arc::clone(self);
        self.run_or(sink, move |sink| async move {
            let (listener, bound) = match address.listen().await {
                Ok(both) => both,
                Err(e) => return sink(Err(io_error("cannot listen on", &address, &e))),
            };
            let text = bound.to_string();
            let (stop, stopped) = oneshot::channel();
            me.listeners
                .lock()
                .insert(text.clone(), Listening { stop, asked: address.to_string() });
            driver::task(link::accept(me, listener, secret, allowed, stopped));
            sink(Ok(text));
        });
    }

    /// Stops listening at an address; connections that are open stay. Answers whether it listened there.
    pub(crate) fn unlisten(&self, address: &str) -> bool {
        let mut listeners = self.listeners.lock();
        let key = if listeners.contains_key(address) {
            Some(address.to_owned())
        } else {
            listeners.iter().find(|(_, l)| l.asked == address).map(|(k, _)| k.clone())
        };
        match key.and_then(|k| listeners.remove(&k)) {
            Some(l) => {
                let _ = l.stop.send(());
                true
            }
            None => false,
        }
    }

    /// Runs a task that ends by calling `sink`, on the I/O thread.
    fn run_or<T, F>(self: &Arc<Self>, sink: Sink<T>, task: impl FnOnce(Sink<T>) -> F)
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        match self.driver.handle() {
            Ok(handle) => {
                handle.spawn(task(sink));
            }
            Err(e) => sink(Err(e)),
        }
    }

    /// Gives the session with the node at an address to `sink`; connects if there is none.
    pub(super) fn session_at(self: &Arc<Self>, address: &str, sink: Dialled) {
        let parsed = match self.check_open().and_then(|()| Address::parse(address)) {
            Ok(parsed) => parsed,
            Err(e) => return sink(Err(e)),
        };
        let address = parsed.to_string();
        if let Some(s) = self.peers.lock().at(&address) {
            return sink(Ok(s));
        }
        {
            let mut dials = self.dials.lock();
            let waiting = dials.entry(address.clone()).or_default();
            waiting.push(sink);
            if waiting.len() > 1 {
                return;
            }
        }
        let me = Arc::clone(self);
        let key = address.clone();
        let started = self.driver.run(async move {
            let outcome = link::dial(&me, &parsed).await;
            me.dialled(&key, &outcome);
        });
        if let Err(e) = started {
            self.dialled(&address, &Err(e));
        }
    }

    fn dialled(&self, address: &str, outcome: &Result<Arc<Session>>) {
        if let Ok(s) = outcome {
            self.peers.lock().add_address(address.to_owned(), s);
        }
        let waiting = self.dials.lock().remove(address).unwrap_or_default();
        for sink in waiting {
            sink(outcome.clone());
        }
    }

    /// Asks the node at an address for a name; the proxy goes to `sink`. `timeout` bounds all of it.
    pub(crate) fn resolve(
        self: &Arc<Self>,
        address: &str,
        name: &str,
        timeout: Duration,
        sink: Sink<Option<Pid>>,
    ) {
        if let Err(e) = crate::registry::names::Names::check(name) {
            return sink(Err(e));
        }
        let what = format!("{address} did not answer whether it knows {name:?}");
        let sink = self.with_deadline(what, timeout, sink);
        let name = name.to_owned();
        self.session_at(
            address,
            Box::new(move |session| match session {
                Err(e) => sink(Err(e)),
                Ok(s) if !s.grants().resolve => sink(Err(Error::new(
                    ErrorKind::NotPermitted,
                    format!("node {} lets nobody ask for names", s.peer),
                ))),
                Ok(s) => s.question_of(Ask::Resolve(name, sink)),
            }),
        );
    }

    /// Asks whether a node answers at an address.
    pub(crate) fn probe(self: &Arc<Self>, address: &str, timeout: Duration, sink: Sink<bool>) {
        if let Err(e) = Address::parse(address) {
            return sink(Err(e));
        }
        let answer: Sink<()> = Box::new(move |outcome| match outcome {
            Ok(()) => sink(Ok(true)),
            Err(e) if e.kind() == ErrorKind::RuntimeClosed => sink(Err(e)),
            Err(_) => sink(Ok(false)),
        });
        let answer = self.with_deadline("no answer".into(), timeout, answer);
        self.session_at(
            address,
            Box::new(move |session| match session {
                Err(e) => answer(Err(e)),
                Ok(s) => s.question_of(Ask::Ping(answer)),
            }),
        );
    }

    /// Asks a remote actor's node about it.
    pub(crate) fn look(self: &Arc<Self>, pid: Pid, timeout: Duration, sink: Sink<Option<Seen>>) {
        let route = self.routes.get(&pid).map(|r| Arc::clone(&r));
        let session = route.as_ref().and_then(|r| r.session());
        match (route, session) {
            (Some(r), Some(s)) => {
                let what = format!("node {} did not answer about pid {pid}", s.peer);
                s.question_of(Ask::Info(r.remote, self.with_deadline(what, timeout, sink)));
            }
            _ => sink(Ok(None)),
        }
    }

    /// Makes sure that `sink` is called once, at the deadline at the latest.
    fn with_deadline<T: Send + 'static>(
        self: &Arc<Self>,
        what: String,
        timeout: Duration,
        sink: Sink<T>,
    ) -> Sink<T> {
        let shared = Arc::new(Mutex::new(Some(sink)));
        let (done, waits) = oneshot::channel::<()>();
        let late = Arc::clone(&shared);
        let started = self.driver.run(async move {
            if tokio::time::timeout(timeout, waits).await.is_err() {
                let sink = late.lock().take();
                if let Some(sink) = sink {
                    sink(Err(Error::new(ErrorKind::Timeout, what)));
                }
            }
        });
        if let Err(e) = started {
            let sink = shared.lock().take();
            if let Some(sink) = sink {
                sink(Err(e));
            }
        }
        Box::new(move |outcome| {
            let sink = shared.lock().take();
            if let Some(sink) = sink {
                let _ = done.send(());
                sink(outcome);
            }
        })
    }

    /// The proxy of an actor by its node's address and its pid there. It takes messages at once; they go out when the node
    /// is reached, and if it is not, the proxy ends with `node_down`.
    pub(crate) fn proxy_at(self: &Arc<Self>, address: &str, remote: Pid) -> Result<Pid> {
        self.proxy_of(address, remote.to_bits(), NodeRef::UNKNOWN)
    }

    fn proxy_of(self: &Arc<Self>, address: &str, remote: u64, expected: NodeRef) -> Result<Pid> {
        self.check_open()?;
        let key = (Address::parse(address)?.to_string(), remote);
        let known = self.peers.lock().at(&key.0);
        if let Some(pid) = known.and_then(|s| s.known_end(remote)) {
            return Ok(pid);
        }
        let mut early = self.early.lock();
        if let Some(pid) =
            early.get(&key).and_then(|r| r.pid()).filter(|p| self.routes.contains_key(p))
        {
            return Ok(pid);
        }
        let capacity = self.options().proxy_capacity;
        let route = Route::open(self, remote, std::sync::Weak::new(), capacity)?;
        let pid =
            route.pid().ok_or_else(|| Error::new(ErrorKind::Internal, "a proxy has no pid"))?;
        early.insert(key.clone(), Arc::clone(&route));
        drop(early);
        let me = Arc::clone(self);
        self.session_at(
            address,
            Box::new(move |session| {
                me.early.lock().remove(&key);
                match session {
                    Ok(s) if !expected.is_known() || s.is(expected) => s.post(Event::Adopt(route)),
                    Ok(_) | Err(_) => {
                        me.routes.remove(&pid);
                        me.host.end_proxy(pid, ExitReason::NodeDown, None);
                    }
                }
            }),
        );
        Ok(pid)
    }

    /// A pid as bytes that any node of the mesh understands.
    pub(crate) fn export(&self, pid: Pid) -> Result<Vec<u8>> {
        let route = self.routes.get(&pid).map(|r| Arc::clone(&r));
        let (node, bits, address) = match route {
            None => (self.peers.lock().me(), pid.to_bits(), self.public_address()),
            Some(r) => {
                let s = r.session().ok_or_else(|| {
                    Error::new(
                        ErrorKind::Disconnected,
                        format!("pid {pid}: its node has not been reached yet"),
                    )
                })?;
                let address = s.address().map_or_else(String::new, |a| a.to_string());
                (s.peer, r.remote, address)
            }
        };
        let mut out = vec![1];
        out.extend_from_slice(&node.node);
        out.extend_from_slice(&node.incarnation.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        super::wire::put_text(&mut out, &address, super::wire::greeting::MAX_ADDRESS);
        Ok(out)
    }

    /// The pid that such bytes mean here: the actor itself where it lives, a proxy elsewhere.
    pub(crate) fn import(self: &Arc<Self>, bytes: &[u8]) -> Result<Pid> {
        let wrong = || Error::new(ErrorKind::InvalidArgument, "these bytes are no exported pid");
        let mut r = super::wire::Reader(bytes);
        let mut read = || {
            let version = r.u8()?;
            let node = NodeRef { node: r.array()?, incarnation: r.u64()? };
            let (bits, address) = (r.u64()?, r.text(super::wire::greeting::MAX_ADDRESS)?);
            r.end()?;
            Ok::<_, super::wire::Malformed>((version, node, bits, address))
        };
        let (version, node, bits, address) = read().map_err(|_| wrong())?;
        let pid =
            Pid::from_bits(bits).filter(|_| version == 1 && node.is_known()).ok_or_else(wrong)?;
        let session = {
            let peers = self.peers.lock();
            if node.node == peers.me().node {
                return Ok(pid);
            }
            if peers.is_buried(node) {
                return Err(Error::new(
                    ErrorKind::NoSuchActor,
                    format!("node {node} was declared down; its pids of that time are void"),
                ));
            }
            peers.session(&node.node).filter(|s| s.ended().is_none()).map(Arc::clone)
        };
        match session {
            Some(s) if !s.is(node) => Err(Error::new(
                ErrorKind::NoSuchActor,
                format!("node {node} is {} now; its pids of that time are void", s.peer),
            )),
            Some(s) => match s.known_end(bits) {
                Some(pid) => Ok(pid),
                None => {
                    let capacity = self.options().proxy_capacity;
                    let route = Route::open(self, bits, Arc::downgrade(&s), capacity)?;
                    s.post(Event::Adopt(Arc::clone(&route)));
                    route.pid().ok_or_else(wrong)
                }
            },
            None if address.is_empty() => Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "pid {bits} lives on node {node}, which does not listen and is not connected"
                ),
            )),
            None => self.proxy_of(address, bits, node),
        }
    }

    /// Longest payload that goes to an actor, in bytes; without a bound if it lives here.
    pub(crate) fn max_payload(&self, pid: Pid) -> usize {
        let Some(route) = self.routes.get(&pid).map(|r| Arc::clone(&r)) else { return usize::MAX };
        route.session().map_or_else(|| self.options().max_payload, |s| s.max_payload())
    }

    /// Before a proxy is stopped or killed: whether the peer allows it. The stop itself comes back as the proxy's signal.
    pub(crate) fn before_stop(&self, pid: Pid, mode: StopMode) -> bool {
        let Some(route) = self.routes.get(&pid).map(|r| Arc::clone(&r)) else { return true };
        let Some(s) = route.session() else { return true };
        if !s.grants().stop {
            return false;
        }
        match mode {
            StopMode::Stop => {}
            StopMode::Drain => s.post(Event::Draining(pid)),
            StopMode::Kill => s.post(Event::Kill(pid)),
        }
        true
    }

    /// A proxy and a local actor were linked, or no more: so shall they be on the other side, where the local one is the
    /// proxy. Answers whether the peer lets this node end its actors.
    pub(crate) fn link(&self, proxy: Pid, local: Pid, on: bool) -> bool {
        let route = self.routes.get(&proxy).map(|r| Arc::clone(&r));
        match route.and_then(|r| r.session()) {
            Some(s) if s.grants().stop => {
                s.post(Event::Link { proxy, local, on });
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Says goodbye to the node at an address: its proxies end with `disconnected`, and so do ours there.
    pub(crate) fn disconnect(self: &Arc<Self>, address: &str) -> Result<bool> {
        let address = Address::parse(address)?.to_string();
        let Some(s) = self.peers.lock().at(&address) else { return Ok(false) };
        s.part();
        let me = Arc::clone(self);
        self.driver.run(async move {
            link::leave(&s).await;
            me.over(&s, ExitReason::Disconnected);
        })?;
        Ok(true)
    }

    /// A session is over: on the I/O thread.
    pub(super) fn over(&self, s: &Arc<Session>, reason: ExitReason) {
        {
            let mut peers = self.peers.lock();
            peers.remove(s);
            if s.ended().is_none() {
                peers.bury(s.peer);
                if reason == ExitReason::Disconnected {
                    // Whoever parts on purpose comes back as somebody else, too.
                    peers.outlive(s.mine);
                }
            }
        }
        s.end(reason);
    }

    /// The peer has declared this node's `incarnation` down: the session with it is over, and this node goes on as
    /// another. On the I/O thread.
    pub(super) fn declared_down(&self, s: Option<&Arc<Session>>, incarnation: u64) {
        let mut peers = self.peers.lock();
        peers.outlive(incarnation);
        if let Some(s) = s {
            peers.remove(s);
            drop(peers);
            s.end(ExitReason::NodeDown);
        }
    }

    pub(super) fn gossip(&self, _from: NodeRef, _payload: &[u8]) {}

    /// Nodes with a session: their ids, addresses and whether a connection carries them.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        let sessions = self.peers.lock().all();
        let mut all: Vec<NodeInfo> = sessions
            .iter()
            .map(|s| NodeInfo {
                id: s.peer.to_string(),
                address: s.address().map(|a| a.to_string()),
                connected: s.carried().is_some(),
                stalled: s.stalled.load(Ordering::Relaxed),
            })
            .collect();
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

    /// Sends what proxies hold, as far as peers take it within `patience`, says goodbye to all and ends the I/O thread;
    /// then calls `done`.
    pub(crate) fn close(self: &Arc<Self>, patience: Duration, done: Box<dyn FnOnce() + Send>) {
        let stops: Vec<_> = self.listeners.lock().drain().map(|(_, l)| l.stop).collect();
        for stop in stops {
            let _ = stop.send(());
        }
        let first = !self.closed.swap(true, Ordering::AcqRel);
        let handle = self.driver.started().filter(|_| first).cloned();
        let Some(handle) = handle else { return done() };
        let me = Arc::clone(self);
        handle.spawn(async move {
            let sessions = me.peers.lock().all();
            let all = async {
                for s in &sessions {
                    link::flush(s).await;
                    s.part();
                    link::leave(s).await;
                }
            };
            let _ = tokio::time::timeout(patience, all).await;
            for s in &sessions {
                me.over(s, ExitReason::Disconnected);
            }
            done();
            me.driver.stop();
        });
    }

    /// Ends everything at once.
    pub(crate) fn abort(&self) {
        self.closed.store(true, Ordering::Release);
        self.listeners.lock().clear();
        let sessions = self.peers.lock().all();
        // Nobody hears of what ends from now on.
        sessions.iter().for_each(|s| s.silence());
        self.driver.stop();
        // The cycles of sessions and node end here.
        for s in sessions {
            self.peers.lock().remove(&s);
        }
        self.routes.clear();
    }
}

/// A node that this one has a session with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id and incarnation.
    pub id: String,
    /// Where this node connected to; `None`: it connected here.
    pub address: Option<String>,
    /// Whether a connection carries the session now.
    pub connected: bool,
    /// Whether it says that a lane of its is stuck.
    pub stalled: bool,
}

impl Session {
    fn question_of(&self, ask: Ask) {
        match self.ended() {
            Some(reason) => ask.fail(self.gone(reason)),
            None => self.post(Event::Ask(ask)),
        }
    }

    /// Whether it is with that node, in that incarnation or an earlier one that is still the same session.
    fn is(&self, node: NodeRef) -> bool {
        self.peer.node == node.node && node.incarnation >= self.peer.incarnation
    }
}

/// What peers of a connection that this node opens may do here.
pub(super) fn own_grants(node: &Node) -> Permissions {
    node.options().permissions
}
