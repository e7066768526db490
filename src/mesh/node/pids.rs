//! Proxies, exported pids, and what is asked of a remote actor.

use super::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::mesh::session::{Event, Route, Session};
use crate::mesh::transport::Address;
use crate::mesh::wire::greeting::{MAX_ADDRESS, NodeRef};
use crate::mesh::wire::op::{MAX_CODEC, StopMode};
use crate::mesh::wire::{Malformed, Reader, put_text};
use crate::message::ExitReason;
use crate::sync::atomic::Ordering;
use std::sync::Arc;

/// Proxies that have ended, of which is remembered whom they stood for.
const PAST: usize = 1024;
/// The first byte of an exported pid: what the bytes after it hold.
const PLAIN: u8 = 1;
const WITH_CODEC: u8 = 2;

impl Node {
    /// The proxy of an actor by its node's address and its pid there. It takes messages at once; they go out when the node
    /// is reached, and if it is not, the proxy ends with `node_down`.
    pub(crate) fn proxy_at(self: &Arc<Self>, address: &str, remote: Pid) -> Result<Pid> {
        self.proxy_of(address, remote.to_bits(), None, NodeRef::UNKNOWN)
    }

    fn proxy_of(
        self: &Arc<Self>,
        address: &str,
        remote: u64,
        codec: Option<Arc<str>>,
        expected: NodeRef,
    ) -> Result<Pid> {
        self.check_open()?;
        let key = (Address::parse(address)?.to_string(), remote, codec.clone());
        let fits = move |s: &Arc<Session>| !expected.is_known() || s.is(expected);
        let mut early = self.early.lock();
        // Under the lock: who waits for a session is in `early` or, from the same moment on, in the session.
        let known = self.peers.lock().at(&key.0);
        if let Some(s) = known.filter(fits) {
            drop(early);
            return self.proxy_in(&s, remote, codec);
        }
        if let Some(pid) =
            early.get(&key).and_then(|r| r.pid()).filter(|p| self.routes.contains_key(p))
        {
            return Ok(pid);
        }
        let capacity = self.options().proxy_capacity;
        let route = Route::open(self, remote, codec, std::sync::Weak::new(), capacity)?;
        let pid =
            route.pid().ok_or_else(|| Error::new(ErrorKind::Internal, "a proxy has no pid"))?;
        early.insert(key.clone(), Arc::clone(&route));
        drop(early);
        let me = Arc::clone(self);
        self.session_at(
            address,
            Box::new(move |session| {
                let mut early = me.early.lock();
                early.remove(&key);
                match session {
                    Ok(s) if fits(&s) => {
                        s.adopt(&route, None);
                        s.wake.notify_one();
                    }
                    Ok(_) | Err(_) => {
                        drop(early);
                        me.forget_route(pid);
                        me.host.end_proxy(pid, ExitReason::NodeDown, None);
                    }
                }
            }),
        );
        Ok(pid)
    }

    /// The proxy of an actor of the node that a session is with; `codec` is what it speaks.
    pub(in crate::mesh) fn proxy_in(
        self: &Arc<Self>,
        s: &Arc<Session>,
        bits: u64,
        codec: Option<Arc<str>>,
    ) -> Result<Pid> {
        if let Some(pid) = s.known_end(bits, codec.as_ref()) {
            return Ok(pid);
        }
        // One at a time: whoever asks twice gets the same.
        let _one = self.early.lock();
        if let Some(pid) = s.known_end(bits, codec.as_ref()) {
            return Ok(pid);
        }
        let capacity = self.options().proxy_capacity;
        let route = Route::open(self, bits, codec, Arc::downgrade(s), capacity)?;
        s.adopt(&route, None);
        s.wake.notify_one();
        route.pid().ok_or_else(|| Error::new(ErrorKind::Internal, "a proxy has no pid"))
    }

    /// A proxy is no more.
    pub(in crate::mesh) fn forget_route(&self, pid: Pid) {
        if let Some((_, route)) = self.routes.remove(&pid)
            && let Ok(bytes) = self.export_by(pid, Some(route))
        {
            let mut past = self.past.lock();
            if past.len() == PAST {
                past.pop_front();
            }
            past.push_back((pid, bytes));
        }
    }

    /// Whom a `DOWN` for a watcher of another node is about, in bytes that it understands; empty: not known any more.
    pub(in crate::mesh) fn export_ended(&self, pid: Pid) -> Vec<u8> {
        let past = self.past.lock().iter().find(|(p, _)| *p == pid).map(|(_, b)| b.clone());
        past.unwrap_or_else(|| self.export(pid).unwrap_or_default())
    }

    /// A pid as bytes that any node of the mesh understands.
    pub(crate) fn export(&self, pid: Pid) -> Result<Vec<u8>> {
        let route = self.routes.get(&pid).map(|r| Arc::clone(&r));
        self.export_by(pid, route)
    }

    fn export_by(&self, pid: Pid, route: Option<Arc<Route>>) -> Result<Vec<u8>> {
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
        let codec = self.host.codec_of(pid);
        let mut out = vec![if codec.is_some() { WITH_CODEC } else { PLAIN }];
        out.extend_from_slice(&node.node);
        out.extend_from_slice(&node.incarnation.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        put_text(&mut out, &address, MAX_ADDRESS);
        if let Some(name) = codec {
            put_text(&mut out, &name, MAX_CODEC);
        }
        Ok(out)
    }

    /// As [`import`](Self::import), if no connection has to be made for it.
    pub(in crate::mesh) fn import_known(self: &Arc<Self>, bytes: &[u8]) -> Option<Pid> {
        let node = Reader(bytes.get(1..)?).array().ok()?;
        let known = node == self.peers.lock().me().node || self.session_with(&node).is_some();
        if known { self.import(bytes).ok() } else { None }
    }

    /// The pid that such bytes mean here: the actor itself where it lives, a proxy elsewhere.
    pub(crate) fn import(self: &Arc<Self>, bytes: &[u8]) -> Result<Pid> {
        let wrong = || Error::new(ErrorKind::InvalidArgument, "these bytes are no exported pid");
        let mut r = Reader(bytes);
        let mut read = || {
            let version = r.u8()?;
            let node = NodeRef { node: r.array()?, incarnation: r.u64()? };
            let (bits, address) = (r.u64()?, r.text(MAX_ADDRESS)?);
            let codec = match version {
                PLAIN => None,
                WITH_CODEC => Some(r.text(MAX_CODEC)?).filter(|name| !name.is_empty()),
                other => return Err(Malformed::Kind(other)),
            };
            r.end()?;
            Ok::<_, Malformed>((node, bits, address, codec.map(Arc::from)))
        };
        let (node, bits, address, codec) = read().map_err(|_| wrong())?;
        let pid = Pid::from_bits(bits).filter(|_| node.is_known()).ok_or_else(wrong)?;
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
            Some(s) => self.proxy_in(&s, bits, codec),
            None if address.is_empty() => Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "pid {bits} lives on node {node}, which does not listen and is not connected"
                ),
            )),
            None => self.proxy_of(address, bits, codec, node),
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

    /// A proxy and another actor were linked, or no more: so shall they be on the other side, where a local one is the
    /// proxy. Answers whether the peer lets this node end its actors.
    pub(crate) fn link(&self, proxy: Pid, other: Pid, on: bool) -> bool {
        let session = |pid: &Pid| self.routes.get(pid).map(|r| r.session());
        let Some(Some(s)) = session(&proxy) else { return true };
        let far = session(&other);
        let mine = s.grants().stop;
        if !mine || far.iter().flatten().any(|s| !s.grants().stop) {
            return false;
        }
        if far.is_none() {
            s.post(Event::Link { proxy, local: other, on });
        } else if let Ok(other) = self.export(other) {
            s.post(Event::LinkFar { proxy, other, on });
        }
        true
    }

    /// A peer wants a local actor linked with one of whatever node, or no more.
    pub(in crate::mesh) fn link_with(self: &Arc<Self>, local: Pid, other: &[u8], on: bool) {
        // A peer that has many nodes connected to is not let on for ever.
        if self.early.lock().len() >= self.options().max_peers {
            self.counts.forbidden.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Ok(other) = self.import(other) else { return };
        if !self.routes.contains_key(&other) || self.link(other, local, on) {
            self.host.link(local, other, on);
        }
    }

    /// A remote actor shall trap exits, or no more. Answers whether the peer lets this node say so.
    pub(crate) fn trap(&self, proxy: Pid, on: bool) -> bool {
        let route = self.routes.get(&proxy).map(|r| Arc::clone(&r));
        match route.and_then(|r| r.session()) {
            Some(s) if s.grants().stop => {
                s.post(Event::Trap(proxy, on));
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Somebody here has given up waiting for a call.
    pub(crate) fn cancelled(&self, proxy: Pid, call: CallId) {
        let route = self.routes.get(&proxy).map(|r| Arc::clone(&r));
        if let Some(s) = route.and_then(|r| r.session()) {
            s.post(Event::Cancel(call.to_bits()));
        }
    }
}
