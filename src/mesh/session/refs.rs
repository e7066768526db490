//! Local ends of remote actors.

use super::{Event, Session, Tx};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::mesh::node::Node;
use crate::mesh::wire::op::Op;
use crate::message::PullSignal;
use crate::sync::Mutex;
use std::sync::{Arc, OnceLock, Weak};

/// The way from a proxy's mailbox to its session.
pub(in crate::mesh) struct Route {
    /// The actor, on its own node.
    pub(in crate::mesh) remote: u64,
    /// What its messages are encoded with, as far as it was known when the proxy was made: that never changes.
    codec: Option<Arc<str>>,
    pid: OnceLock<Pid>,
    session: Mutex<Weak<Session>>,
}

/// A proxy, as its session sees it.
pub(super) struct Proxy {
    pub(super) remote: u64,
    codec: Option<Arc<str>>,
    /// It has messages and waits for credit.
    pub(super) starved: bool,
    /// Its stop is to let the remote actor handle what it has.
    pub(super) drain: bool,
}

/// What a session knows of a remote actor. It stays when its ends go, until the actor ends: the other node has not forgotten
/// what it lets this one send.
#[derive(Default)]
pub(super) struct Ends {
    /// Its proxies: one, or more where a pid was used before its node was known.
    pids: Vec<Pid>,
    /// Messages that it takes yet, whichever proxy they come from.
    pub(super) credit: u64,
}

impl Ends {
    pub(super) fn first(&self) -> Option<Pid> {
        self.pids.first().copied()
    }
}

impl Route {
    /// Makes the proxy of a remote actor that speaks a codec; without a session it waits for one.
    pub(in crate::mesh) fn open(
        node: &Node,
        remote: u64,
        codec: Option<Arc<str>>,
        session: Weak<Session>,
        capacity: Option<u32>,
    ) -> Result<Arc<Self>> {
        let spoken = codec.clone();
        let (pid, session) = (OnceLock::new(), Mutex::new(session));
        let route = Arc::new(Self { remote, codec, pid, session });
        let signalled = Arc::downgrade(&route);
        let signal = move |signal| {
            if let Some(route) = signalled.upgrade() {
                route.signal(signal);
            }
        };
        let pid = node.host.open_proxy(capacity, spoken, Arc::new(signal))?;
        let _ = route.pid.set(pid);
        node.routes.insert(pid, Arc::clone(&route));
        // Whoever has looked is told of the next message.
        node.host.drain(pid, 1, &mut Vec::new());
        Ok(route)
    }

    /// The proxy's pid.
    pub(in crate::mesh) fn pid(&self) -> Option<Pid> {
        self.pid.get().copied()
    }

    /// The session, once there is one.
    pub(in crate::mesh) fn session(&self) -> Option<Arc<Session>> {
        self.session.lock().upgrade()
    }

    fn signal(&self, signal: PullSignal) {
        let (Some(pid), Some(session)) = (self.pid(), self.session()) else { return };
        match signal {
            PullSignal::Ready => session.post_ready(pid),
            PullSignal::Closing => session.post(Event::Stopping(pid)),
            PullSignal::Gone => session.post(Event::Gone(pid)),
        }
    }
}

impl Session {
    /// The proxy of a remote actor that speaks a codec, made if there is none; `credit` is what the peer has granted with it,
    /// `None` asks for it. On the I/O thread.
    pub(super) fn intern(
        self: &Arc<Self>,
        remote: u64,
        codec: Option<&Arc<str>>,
        credit: Option<u64>,
    ) -> Result<Pid> {
        {
            let tx = self.tx.lock();
            if let Some(reason) = tx.ended {
                return Err(self.gone(reason));
            }
            if let Some(pid) = tx.end_of(remote, codec) {
                drop(tx);
                if let Some(more) = credit {
                    self.credit(remote, more);
                }
                return Ok(pid);
            }
            if tx.proxies.len() >= self.options.max_refs {
                return Err(Error::new(
                    ErrorKind::AtCapacity,
                    format!("node {} has too many actors known here", self.peer),
                ));
            }
        }
        let capacity = self.options.proxy_capacity;
        let me = Arc::downgrade(self);
        let route = Route::open(&self.node, remote, codec.cloned(), me, capacity)?;
        self.adopt(&route, credit);
        route.pid().ok_or_else(|| self.gone(crate::message::ExitReason::Killed))
    }

    /// Takes a proxy in.
    pub(in crate::mesh) fn adopt(self: &Arc<Self>, route: &Arc<Route>, credit: Option<u64>) {
        let Some(pid) = route.pid() else { return };
        *route.session.lock() = Arc::downgrade(self);
        let mut tx = self.tx.lock();
        if let Some(reason) = tx.ended {
            drop(tx);
            self.node.forget_route(pid);
            self.node.host.end_proxy(pid, reason, None);
            return;
        }
        let remote = route.remote;
        let codec = route.codec.clone();
        tx.proxies.insert(pid, Proxy { remote, codec, starved: false, drain: false });
        let ends = tx.by_remote.entry(remote).or_default();
        ends.pids.push(pid);
        ends.credit = ends.credit.saturating_add(credit.unwrap_or(0));
        if credit.is_none() {
            tx.out.push(&Op::Watch { pid: remote });
        }
        // It may have got messages before it had a session.
        tx.ready.push_back(pid);
    }

    /// The peer takes `more` messages for that actor.
    pub(super) fn credit(&self, remote: u64, more: u64) {
        let mut tx = self.tx.lock();
        let tx = &mut *tx;
        let Some(ends) = tx.by_remote.get_mut(&remote) else { return };
        ends.credit = ends.credit.saturating_add(more);
        for pid in &ends.pids {
            if tx.proxies.get_mut(pid).is_some_and(|p| std::mem::take(&mut p.starved)) {
                tx.ready.push_back(*pid);
            }
        }
    }

    /// A proxy is no more; answers what it stood for.
    pub(super) fn forget_proxy(&self, pid: Pid) -> Option<u64> {
        self.node.forget_route(pid);
        let mut tx = self.tx.lock();
        let remote = tx.proxies.remove(&pid)?.remote;
        if let Some(ends) = tx.by_remote.get_mut(&remote) {
            ends.pids.retain(|p| *p != pid);
        }
        Some(remote)
    }

    /// All proxies of a remote actor that has ended, taken out.
    pub(super) fn take_ends(&self, remote: u64) -> Vec<Pid> {
        let mut tx = self.tx.lock();
        let ends = tx.by_remote.remove(&remote).unwrap_or_default().pids;
        for pid in &ends {
            tx.proxies.remove(pid);
        }
        drop(tx);
        for pid in &ends {
            self.node.forget_route(*pid);
        }
        ends
    }
}

impl Session {
    /// The proxy of a remote actor that speaks a codec, if there is one.
    pub(in crate::mesh) fn known_end(&self, remote: u64, codec: Option<&Arc<str>>) -> Option<Pid> {
        self.tx.lock().end_of(remote, codec)
    }
}

impl Tx {
    fn end_of(&self, remote: u64, codec: Option<&Arc<str>>) -> Option<Pid> {
        let speaks = |pid: &Pid| self.proxies.get(pid).is_some_and(|p| p.codec.as_ref() == codec);
        self.by_remote.get(&remote)?.pids.iter().copied().find(speaks)
    }
}
