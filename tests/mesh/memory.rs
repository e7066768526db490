//! A second engine, to prove the seam: nodes of one process that hand messages to each other, without a socket or a session.

use iris::mesh::engine::Engine;
use iris::mesh::host::Sink;
use iris::mesh::wire::op::StopMode;
use iris::mesh::{
    ClusterOptions, Drained, Host, ListenOptions, MeshMetrics, MeshOptions, NodeInfo, Seen,
};
use iris::message::{Envelope, ExitInfo, PullSignal, SystemMessage};
use iris::{CallId, Error, ErrorKind, ExitReason, Pid, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Where the nodes of a test find each other.
#[derive(Default)]
pub(crate) struct Switch {
    nodes: Mutex<Vec<Weak<Memory>>>,
    names: Mutex<HashMap<String, (usize, Pid)>>,
}

impl Switch {
    fn node(&self, number: usize) -> Option<Arc<Memory>> {
        self.nodes.lock().unwrap().get(number)?.upgrade()
    }

    fn at(&self, address: &str) -> Result<Arc<Memory>> {
        let number = address.strip_prefix("memory:").and_then(|n| n.parse().ok());
        let number: usize =
            number.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "no address"))?;
        let node = self.node(number).filter(|n| !n.state.lock().unwrap().closed);
        node.ok_or_else(|| Error::new(ErrorKind::Unreachable, "no node"))
    }
}

#[derive(Clone, Copy)]
struct Remote {
    node: usize,
    pid: Pid,
    drain: bool,
}

#[derive(Default)]
struct State {
    options: MeshOptions,
    proxies: HashMap<Pid, Remote>,
    known: HashMap<(usize, Pid), Pid>,
    past: HashMap<Pid, (usize, Pid)>,
    /// Nodes that this one has to do with.
    met: BTreeSet<usize>,
    /// Calls of this node's actors, by the number that they have where they are answered.
    calls: HashMap<CallId, (usize, CallId)>,
    closed: bool,
}

enum Event {
    Signal(Pid, PullSignal),
    Ended(Pid, ExitInfo),
    Stop,
}

/// See the module.
pub(crate) struct Memory {
    me: usize,
    host: Arc<dyn Host>,
    switch: Arc<Switch>,
    state: Mutex<State>,
    events: Sender<Event>,
}

/// Makes the engine of a runtime.
pub(crate) fn engine(switch: &Arc<Switch>, host: Arc<dyn Host>) -> Result<Arc<dyn Engine>> {
    let (events, inbox) = channel();
    let mut nodes = switch.nodes.lock().unwrap();
    let memory = Arc::new(Memory {
        me: nodes.len(),
        host,
        switch: Arc::clone(switch),
        state: Mutex::default(),
        events,
    });
    nodes.push(Arc::downgrade(&memory));
    let weak = Arc::downgrade(&memory);
    std::thread::spawn(move || work(&weak, &inbox));
    Ok(memory)
}

fn info(node: usize) -> NodeInfo {
    let id = format!("memory:{node}");
    NodeInfo { address: Some(id.clone()), id, connected: true, stalled: false }
}

fn work(memory: &Weak<Memory>, inbox: &Receiver<Event>) {
    while let (Ok(event), Some(me)) = (inbox.recv(), memory.upgrade()) {
        match event {
            Event::Signal(proxy, PullSignal::Ready) => me.pump(proxy),
            Event::Signal(proxy, PullSignal::Closing) => {
                if let Some((peer, r)) = me.remote(proxy) {
                    let mode = if r.drain { StopMode::Drain } else { StopMode::Stop };
                    peer.host.stop(r.pid, mode);
                }
            }
            Event::Signal(proxy, PullSignal::Gone) => {
                me.forget(proxy);
            }
            Event::Ended(proxy, info) => {
                me.forget(proxy);
                me.host.end_proxy(proxy, info.reason, info.crash);
            }
            Event::Stop => return,
        }
    }
}

impl Memory {
    fn remote(&self, proxy: Pid) -> Option<(Arc<Self>, Remote)> {
        let remote = *self.state.lock().unwrap().proxies.get(&proxy)?;
        Some((self.switch.node(remote.node)?, remote))
    }

    fn forget(&self, proxy: Pid) {
        let mut state = self.state.lock().unwrap();
        if let Some(r) = state.proxies.remove(&proxy) {
            state.known.remove(&(r.node, r.pid));
            state.past.insert(proxy, (r.node, r.pid));
        }
    }

    /// There is something between two nodes from now on.
    fn meet(&self, peer: &Self) {
        for (one, other) in [(self, peer), (peer, self)] {
            if one.me != other.me && one.state.lock().unwrap().met.insert(other.me) {
                one.host.node_up(info(other.me));
            }
        }
    }

    /// And no more: one has said goodbye.
    fn part(&self, peer: &Self) {
        for (one, other) in [(self, peer), (peer, self)] {
            if !one.state.lock().unwrap().met.remove(&other.me) {
                continue;
            }
            let mut gone: Vec<Pid> = Vec::new();
            for (proxy, r) in &one.state.lock().unwrap().proxies {
                gone.extend((r.node == other.me).then_some(*proxy));
            }
            for proxy in gone {
                one.forget(proxy);
                one.host.end_proxy(proxy, ExitReason::Disconnected, None);
            }
            one.host.node_down(info(other.me), ExitReason::Disconnected);
        }
    }

    /// On which node an actor lives or lived, and its pid there.
    fn whom(&self, pid: Pid) -> (usize, Pid) {
        let state = self.state.lock().unwrap();
        let now = state.proxies.get(&pid).map(|r| (r.node, r.pid));
        now.or_else(|| state.past.get(&pid).copied()).unwrap_or((self.me, pid))
    }

    /// The proxy of another node's actor.
    fn proxy_of(&self, node: usize, pid: Pid) -> Result<Pid> {
        if let Some(proxy) = self.state.lock().unwrap().known.get(&(node, pid)) {
            return Ok(*proxy);
        }
        let made = Arc::new(Mutex::new(None));
        let (events, own) = (self.events.clone(), Arc::clone(&made));
        let signal = move |signal| {
            if let Some(pid) = *own.lock().unwrap() {
                let _ = events.send(Event::Signal(pid, signal));
            }
        };
        let capacity = self.state.lock().unwrap().options.proxy_capacity;
        let proxy = self.host.open_proxy(capacity, None, Arc::new(signal))?;
        *made.lock().unwrap() = Some(proxy);
        {
            let mut state = self.state.lock().unwrap();
            state.proxies.insert(proxy, Remote { node, pid, drain: false });
            state.known.insert((node, pid), proxy);
        }
        // Whoever has looked is told of the next message.
        self.host.drain(proxy, 1, &mut Vec::new());
        let events = self.events.clone();
        let ended = move |info| {
            let _ = events.send(Event::Ended(proxy, info));
        };
        match self.switch.node(node).filter(|peer| peer.host.look(pid).is_some()) {
            Some(peer) => {
                self.meet(&peer);
                peer.host.watch(pid, Box::new(ended));
            }
            None => ended(ExitInfo { pid, reason: ExitReason::NoProc, crash: None }),
        }
        Ok(proxy)
    }

    /// As many messages as there is room for over there.
    fn pump(self: &Arc<Self>, proxy: Pid) {
        loop {
            let Some((peer, to)) = self.remote(proxy) else { return };
            let Some(seen) = peer.host.look(to.pid) else { return };
            let room = seen.capacity.map_or(256, |c| (c as usize).saturating_sub(seen.queue));
            if room == 0 {
                let events = self.events.clone();
                let again = move || {
                    let _ = events.send(Event::Signal(proxy, PullSignal::Ready));
                };
                let most = seen.capacity.unwrap_or(1) as usize - 1;
                if peer.host.when_room(to.pid, most, Box::new(again)) {
                    return;
                }
                continue;
            }
            let mut out = Vec::new();
            let state = self.host.drain(proxy, room, &mut out);
            out.into_iter().for_each(|e| self.deliver(&peer, to.pid, e));
            if state != Drained::More {
                return;
            }
        }
    }

    fn deliver(self: &Arc<Self>, peer: &Arc<Self>, to: Pid, e: Envelope) {
        if let Some(m) = e.payload.as_system() {
            let ended = m.from.map(|pid| self.whom(pid));
            let from = ended.and_then(|(node, pid)| {
                if node == peer.me { Some(pid) } else { peer.proxy_of(node, pid).ok() }
            });
            peer.host.tell(SystemMessage { from, target: to, ..m.clone() });
            return;
        }
        let sender = e.sender.and_then(|s| peer.proxy_of(self.me, s).ok());
        let Some(call) = e.call else {
            peer.host.deliver(to, e.payload, sender);
            return;
        };
        let Some(left) = self.host.time_left(call) else { return };
        let me = Arc::clone(self);
        let sink = Box::new(move |outcome| {
            me.state.lock().unwrap().calls.remove(&call);
            me.host.settle(call, outcome);
        });
        match peer.host.call(to, e.payload, left, sender, sink) {
            Ok(there) => {
                self.state.lock().unwrap().calls.insert(call, (peer.me, there));
            }
            Err(error) => {
                self.host.settle(call, Err(error));
            }
        }
    }
}

impl Engine for Memory {
    fn configure(&self, options: MeshOptions) -> Result<()> {
        self.state.lock().unwrap().options = options;
        Ok(())
    }

    fn options(&self) -> MeshOptions {
        self.state.lock().unwrap().options.clone()
    }

    fn listen(self: Arc<Self>, _: &str, _: ListenOptions, sink: Sink<String>) {
        sink(Ok(format!("memory:{}", self.me)));
    }

    fn unlisten(&self, _: &str) -> bool {
        false
    }

    fn listening(&self) -> Vec<String> {
        vec![format!("memory:{}", self.me)]
    }

    fn disconnect(self: Arc<Self>, address: &str) -> Result<bool> {
        let peer = self.switch.at(address)?;
        let met = self.state.lock().unwrap().met.contains(&peer.me);
        self.part(&peer);
        Ok(met)
    }

    fn nodes(&self) -> Vec<NodeInfo> {
        let met = self.state.lock().unwrap().met.clone();
        met.into_iter().map(info).collect()
    }

    fn resolve(self: Arc<Self>, address: &str, name: &str, _: Duration, sink: Sink<Option<Pid>>) {
        sink(self.switch.at(address).and_then(|peer| {
            peer.host.whereis(name).map(|pid| self.proxy_of(peer.me, pid)).transpose()
        }));
    }

    fn probe(self: Arc<Self>, address: &str, _: Duration, sink: Sink<bool>) {
        sink(Ok(self.switch.at(address).is_ok()));
    }

    fn look(self: Arc<Self>, proxy: Pid, _: Duration, sink: Sink<Option<Seen>>) {
        sink(Ok(self.remote(proxy).and_then(|(peer, r)| peer.host.look(r.pid))));
    }

    fn proxy(self: Arc<Self>, address: &str, remote: Pid) -> Result<Pid> {
        self.proxy_of(self.switch.at(address)?.me, remote)
    }

    fn export(&self, pid: Pid) -> Result<Vec<u8>> {
        let of = self.state.lock().unwrap().proxies.get(&pid).copied();
        let (node, pid) = of.map_or((self.me, pid), |r| (r.node, r.pid));
        Ok([(node as u64).to_le_bytes(), pid.to_bits().to_le_bytes()].concat())
    }

    fn import(self: Arc<Self>, bytes: &[u8]) -> Result<Pid> {
        let wrong = || Error::new(ErrorKind::InvalidArgument, "no exported pid");
        let ([node, bits], []) = bytes.as_chunks::<8>() else { return Err(wrong()) };
        let node = u64::from_le_bytes(*node) as usize;
        let pid = Pid::from_bits(u64::from_le_bytes(*bits)).ok_or_else(wrong)?;
        if node == self.me { Ok(pid) } else { self.proxy_of(node, pid) }
    }

    fn max_payload(&self, _: Pid) -> usize {
        usize::MAX
    }

    fn before_stop(&self, proxy: Pid, mode: StopMode) -> bool {
        match mode {
            StopMode::Stop => {}
            StopMode::Drain => {
                if let Some(r) = self.state.lock().unwrap().proxies.get_mut(&proxy) {
                    r.drain = true;
                }
            }
            StopMode::Kill => {
                if let Some((peer, r)) = self.remote(proxy) {
                    peer.host.stop(r.pid, StopMode::Kill);
                }
            }
        }
        true
    }

    fn link(self: Arc<Self>, proxy: Pid, other: Pid, on: bool) -> bool {
        let Some((peer, r)) = self.remote(proxy) else { return true };
        let far = self.remote(other).map_or((self.me, other), |(peer, r)| (peer.me, r.pid));
        if far.0 == peer.me {
            peer.host.link(r.pid, far.1, on);
        } else if let Ok(back) = peer.proxy_of(far.0, far.1) {
            if far.0 != self.me {
                Arc::clone(&peer).link(back, r.pid, on);
            }
            peer.host.link(r.pid, back, on);
        }
        true
    }

    fn trap(&self, proxy: Pid, traps: bool) -> bool {
        if let Some((peer, r)) = self.remote(proxy) {
            peer.host.trap(r.pid, traps);
        }
        true
    }

    fn cancelled(&self, _: Pid, call: CallId) {
        let there = self.state.lock().unwrap().calls.remove(&call);
        if let Some((node, there)) = there
            && let Some(peer) = self.switch.node(node)
        {
            peer.host.cancel(there);
        }
    }

    fn join_cluster(self: Arc<Self>, _: Vec<String>, _: ClusterOptions, sink: Sink<()>) {
        sink(Ok(()));
    }

    fn claim(self: Arc<Self>, name: &str, pid: Pid) -> Result<()> {
        let holder = self.switch.names.lock().unwrap().get(name).copied();
        let live = holder.filter(|(node, pid)| {
            self.switch.node(*node).is_some_and(|n| n.host.look(*pid).is_some())
        });
        if live.is_some_and(|holder| holder != (self.me, pid)) {
            return Err(Error::new(ErrorKind::NameTaken, "another node has it"));
        }
        self.switch.names.lock().unwrap().insert(name.to_owned(), (self.me, pid));
        Ok(())
    }

    fn disclaim(&self, name: &str) -> bool {
        let mut names = self.switch.names.lock().unwrap();
        let mine = names.get(name).is_some_and(|(node, _)| *node == self.me);
        mine && names.remove(name).is_some()
    }

    fn whereis(self: Arc<Self>, name: &str) -> Option<Pid> {
        let (node, pid) = *self.switch.names.lock().unwrap().get(name)?;
        self.switch.node(node)?.host.look(pid)?;
        if node == self.me { Some(pid) } else { self.proxy_of(node, pid).ok() }
    }

    fn metrics(&self) -> MeshMetrics {
        MeshMetrics::default()
    }

    fn is_sending(&self) -> bool {
        false
    }

    fn close(self: Arc<Self>, _: Duration, done: Box<dyn FnOnce() + Send>) {
        self.abort();
        done();
    }

    fn abort(&self) {
        self.state.lock().unwrap().closed = true;
        let met = self.state.lock().unwrap().met.clone();
        for node in met {
            if let Some(peer) = self.switch.node(node) {
                self.part(&peer);
            }
        }
        let _ = self.events.send(Event::Stop);
    }
}
