//! Who is known: sessions by node and by address, who was declared down, which incarnation this node is. Pure.

use super::session::Session;
use super::wire::greeting::{Hello, NodeRef, RefuseCode};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Nodes whose end is remembered. Who is forgotten and comes back is recognised by its session, which is not there.
const TOMBS: usize = 4096;

/// See the module.
pub(super) struct Peers {
    me: [u8; 16],
    incarnation: u64,
    sessions: HashMap<[u8; 16], Arc<Session>>,
    addresses: HashMap<String, Arc<Session>>,
    tombs: HashMap<[u8; 16], u64>,
    buried: VecDeque<[u8; 16]>,
}

/// What to answer to a HELLO.
pub(super) enum Answer {
    /// Go on with this session.
    Resume(Arc<Session>),
    /// Begin one.
    Begin {
        /// A session with an earlier incarnation of the peer: it is over.
        over: Option<Arc<Session>>,
    },
    /// Neither; the incarnation is the one that was declared down.
    Refuse(RefuseCode, u64),
}

/// What to do with a WELCOME.
pub(super) enum Verdict {
    /// Carry this session over the new connection.
    Carry(Arc<Session>),
    /// Begin a session.
    Begin {
        /// A session with an earlier incarnation of the peer: it is over.
        over: Option<Arc<Session>>,
    },
    /// There is a connection already: drop the new one.
    Drop(Arc<Session>),
    /// The peer was declared down: tell it, and connect again.
    Tell(u64),
    /// It is this node.
    Itself,
}

impl Peers {
    pub(super) fn new(me: [u8; 16]) -> Self {
        Self {
            me,
            incarnation: 1,
            sessions: HashMap::new(),
            addresses: HashMap::new(),
            tombs: HashMap::new(),
            buried: VecDeque::new(),
        }
    }

    /// This node as it is now.
    pub(super) fn me(&self) -> NodeRef {
        NodeRef { node: self.me, incarnation: self.incarnation }
    }

    /// Somebody has declared `incarnation` of this node down.
    pub(super) fn outlive(&mut self, incarnation: u64) {
        self.incarnation = self.incarnation.max(incarnation.saturating_add(1));
    }

    /// Whether that incarnation, or a later one, was declared down.
    pub(super) fn is_buried(&self, peer: NodeRef) -> bool {
        self.tombs.get(&peer.node).is_some_and(|dead| *dead >= peer.incarnation)
    }

    /// That incarnation is down for good.
    pub(super) fn bury(&mut self, peer: NodeRef) {
        if self.tombs.insert(peer.node, peer.incarnation).is_none() {
            self.buried.push_back(peer.node);
            if self.buried.len() > TOMBS
                && let Some(oldest) = self.buried.pop_front()
            {
                self.tombs.remove(&oldest);
            }
        }
    }

    /// As the one who accepted.
    pub(super) fn on_hello(&self, h: &Hello) -> Answer {
        if h.me.node == self.me {
            return Answer::Refuse(RefuseCode::Itself, 0);
        }
        if h.you.is_known() && h.you.node != self.me {
            return Answer::Refuse(RefuseCode::WrongNode, 0);
        }
        if self.is_buried(h.me) {
            return Answer::Refuse(RefuseCode::DeclaredDown, h.me.incarnation);
        }
        let known = self.sessions.get(&h.me.node).filter(|s| s.ended().is_none());
        match known {
            Some(s) if s.peer.incarnation > h.me.incarnation => {
                Answer::Refuse(RefuseCode::DeclaredDown, h.me.incarnation)
            }
            Some(s) if s.peer.incarnation == h.me.incarnation => {
                if h.you.is_known() && h.you.incarnation != s.mine {
                    Answer::Refuse(RefuseCode::UnknownSession, 0)
                } else {
                    Answer::Resume(Arc::clone(s))
                }
            }
            _ if h.you.is_known() || h.received != 0 => {
                Answer::Refuse(RefuseCode::UnknownSession, 0)
            }
            over => Answer::Begin { over: over.map(Arc::clone) },
        }
    }

    /// As the one who connected, as incarnation `mine` and without a session in mind.
    pub(super) fn on_welcome(&self, w: &Hello, mine: u64) -> Verdict {
        if w.me.node == self.me {
            return Verdict::Itself;
        }
        if self.is_buried(w.me) {
            return Verdict::Tell(w.me.incarnation);
        }
        let with_me = !w.you.is_known() || w.you.node == self.me;
        match self.sessions.get(&w.me.node).filter(|s| s.ended().is_none()) {
            Some(s) if s.peer.incarnation == w.me.incarnation => {
                if !with_me || w.you.is_known() && w.you.incarnation != s.mine {
                    return Verdict::Tell(w.me.incarnation);
                }
                match s.carried() {
                    // One link: that of the node with the smaller id, or the older one.
                    Some(false) if self.me < w.me.node => Verdict::Carry(Arc::clone(s)),
                    Some(_) => Verdict::Drop(Arc::clone(s)),
                    None => Verdict::Carry(Arc::clone(s)),
                }
            }
            Some(s) if s.peer.incarnation > w.me.incarnation => Verdict::Tell(w.me.incarnation),
            // The other goes on with a session that is over here, and not known as such any more.
            _ if w.you.is_known() && (w.you.incarnation != mine || w.received != 0) => {
                Verdict::Tell(w.me.incarnation)
            }
            over => Verdict::Begin { over: over.map(Arc::clone) },
        }
    }

    pub(super) fn session(&self, node: &[u8; 16]) -> Option<&Arc<Session>> {
        self.sessions.get(node)
    }

    pub(super) fn at(&self, address: &str) -> Option<Arc<Session>> {
        self.addresses.get(address).filter(|s| s.ended().is_none()).map(Arc::clone)
    }

    pub(super) fn add(&mut self, s: &Arc<Session>) {
        self.sessions.insert(s.peer.node, Arc::clone(s));
    }

    pub(super) fn add_address(&mut self, address: String, s: &Arc<Session>) {
        self.addresses.insert(address, Arc::clone(s));
    }

    /// A session is over.
    pub(super) fn remove(&mut self, s: &Arc<Session>) {
        if self.sessions.get(&s.peer.node).is_some_and(|known| Arc::ptr_eq(known, s)) {
            self.sessions.remove(&s.peer.node);
        }
        self.addresses.retain(|_, known| !Arc::ptr_eq(known, s));
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.sessions.values().map(Arc::clone).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}
