//! A session: what two nodes have with each other, whatever connection carries it.
//!
//! ```text
//!   host threads --signals, replies, exits--> inbox --wake--> [ I/O thread ]
//!                                                               collect   inbox -> stream       send.rs
//!                                                               fill      proxies -> stream     send.rs
//!                                                               records   stream -> socket      send.rs, writer.rs
//!                                                               handle    socket -> host        reader.rs, receive.rs
//! ```
//!
//! While the I/O thread sleeps, a host thread that has something small to send goes the way to the socket itself
//! (writer.rs, docs/adr/0035), and one that waits for an answer may look at the socket itself (reader.rs, docs/adr/0048).
//!
//! Locks: `reader` and `rx` belong to whoever reads and may be held while the host is told of a message, so nothing that a
//! host may call waits for them; `tx` and `inbox` are held for a few instructions and never across a call of the host's.
//! `writer` is held across a write that does not block. A host thread only tries `reader` and `writer`. In this order:
//! `reader`, `rx` or `writer`, `tx`, `inbox`.

mod batch;
mod inbox;
mod reader;
mod receive;
mod refs;
mod send;
mod writer;

pub(super) use inbox::{Ask, Event};
pub(super) use reader::{Broken, Reader};
pub(super) use receive::Rx;
pub(super) use refs::Route;
pub(super) use writer::{Stuck, Writer};

use super::detector::Detector;
use super::node::Node;
use super::options::MeshOptions;
use super::stream::Outbound;
use super::transport::Address;
use super::wire::greeting::{Hello, NodeRef, Permissions};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::message::{CallOutcome, ExitInfo, ExitReason};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use inbox::Inbox;
use refs::{Ends, Proxy};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// What two nodes have with each other.
pub(crate) struct Session {
    /// The other.
    pub(super) peer: NodeRef,
    /// The incarnation of this node that it is with.
    pub(super) mine: u64,
    pub(super) node: Arc<Node>,
    pub(super) wake: Notify,
    /// The peer says that a lane of its is stuck.
    pub(super) stalled: AtomicBool,
    /// This node says goodbye: however the session ends now, it ended on purpose.
    leaving: AtomicBool,
    /// The node's when the session began.
    options: Arc<MeshOptions>,
    /// Bytes of the stream that were received, and how many of them the peer was told of.
    heard: AtomicU64,
    told: AtomicU64,
    /// When a host thread that reads last woke the I/O thread.
    looked_ms: AtomicU64,
    inbox: Inbox,
    tx: Mutex<Tx>,
    rx: Mutex<Rx>,
    /// Of the connection that carries it.
    reader: Mutex<Option<Reader>>,
    writer: Mutex<Option<Writer>>,
}

/// The connection that carries a session.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    number: u64,
    mine: bool,
}

/// What goes out.
struct Tx {
    out: Outbound,
    ended: Option<ExitReason>,
    carrier: Option<Carrier>,
    carriers: u64,
    /// Where to connect again; `None`: the other has to.
    address: Option<Address>,
    /// What this node may do at the peer's.
    grants: Permissions,
    /// Longest payload that the peer takes.
    max_payload: usize,
    proxies: HashMap<Pid, Proxy>,
    /// What there is of each remote actor.
    by_remote: HashMap<u64, Ends>,
    /// Proxies that may have messages and credit.
    ready: VecDeque<Pid>,
    /// Watched actors that have ended, to be told once what they had sent before is out.
    exits: Vec<ExitInfo>,
    /// Calls of this node that the peer owes an answer.
    asked: HashSet<u64>,
    /// Calls of the peer's that are open here, by its numbers.
    calls: HashMap<u64, CallId>,
    /// Senders of this node whose codecs the peer was told of; forgotten now and then, and told again.
    introduced: HashSet<u64>,
    questions: HashMap<u64, Ask>,
    next_question: u64,
}

impl Session {
    pub(super) fn new(node: &Arc<Node>, peer: NodeRef, mine: u64) -> Self {
        let options = node.options();
        let interval = options.heartbeat.as_millis() as u64;
        let detector = Detector::new(options.judge, interval, node.now_ms());
        Self {
            peer,
            mine,
            node: Arc::clone(node),
            wake: Notify::new(),
            stalled: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            inbox: Inbox::default(),
            tx: Mutex::new(Tx {
                out: Outbound::default(),
                ended: None,
                carrier: None,
                carriers: 0,
                address: None,
                grants: Permissions::ALL,
                max_payload: options.max_payload,
                proxies: HashMap::new(),
                by_remote: HashMap::new(),
                ready: VecDeque::new(),
                exits: Vec::new(),
                asked: HashSet::new(),
                calls: HashMap::new(),
                introduced: HashSet::new(),
                questions: HashMap::new(),
                next_question: 0,
            }),
            rx: Mutex::new(Rx::new(detector)),
            reader: Mutex::new(None),
            writer: Mutex::new(None),
            heard: AtomicU64::new(0),
            told: AtomicU64::new(0),
            looked_ms: AtomicU64::new(0),
            options,
        }
    }

    /// What to acknowledge.
    fn tell(&self) -> u64 {
        let heard = self.heard.load(Ordering::Acquire);
        self.told.store(heard, Ordering::Relaxed);
        heard
    }

    /// Bytes that were received and not acknowledged.
    pub(super) fn untold(&self) -> u64 {
        self.heard.load(Ordering::Relaxed).saturating_sub(self.told.load(Ordering::Relaxed))
    }

    /// How it ended, if it did.
    pub(super) fn ended(&self) -> Option<ExitReason> {
        self.tx.lock().ended
    }

    /// Whether a connection carries it now, and whether this node opened that.
    pub(super) fn carried(&self) -> Option<bool> {
        self.tx.lock().carrier.map(|c| c.mine)
    }

    /// Where this node can connect again.
    pub(super) fn address(&self) -> Option<Address> {
        self.tx.lock().address.clone()
    }

    /// What this node may do at the peer's.
    pub(super) fn grants(&self) -> Permissions {
        self.tx.lock().grants
    }

    /// Longest payload that the peer takes.
    pub(super) fn max_payload(&self) -> usize {
        self.tx.lock().max_payload
    }

    /// Bytes received.
    pub(super) fn received(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// A connection takes the session over; what carried it before notices. Answers the connection's number.
    pub(super) fn attach(
        &self,
        theirs: &Hello,
        allowed: Permissions,
        mine: bool,
        address: Option<&Address>,
        (mut reader, mut writer): (Reader, Writer),
    ) -> Option<u64> {
        {
            let mut rx = self.rx.lock();
            rx.allowed = allowed;
            rx.detector.reset(self.node.now_ms());
        }
        let mut tx = self.tx.lock();
        if tx.ended.is_some() || tx.out.resume(theirs.received).is_err() {
            return None;
        }
        tx.carriers += 1;
        let number = tx.carriers;
        tx.carrier = Some(Carrier { number, mine });
        tx.grants = theirs.grants;
        tx.max_payload = theirs.max_payload as usize;
        if let Some(address) = address {
            tx.address = Some(address.clone());
        }
        drop(tx);
        (reader.number, writer.number) = (number, number);
        *self.writer.lock() = Some(writer);
        *self.reader.lock() = Some(reader);
        if number == 1 {
            self.node.session_began(self);
        }
        self.wake.notify_waiters();
        self.wake.notify_one();
        Some(number)
    }

    /// Whether a later connection has carried the session.
    pub(super) fn was_carried_since(&self, number: u64) -> bool {
        self.tx.lock().carriers != number
    }

    /// Whether that connection carries the session.
    pub(super) fn is_carrier(&self, number: u64) -> bool {
        self.tx.lock().carrier.is_some_and(|c| c.number == number)
    }

    /// The connection is gone; `true` if it was the one that carried the session.
    pub(super) fn detach(&self, number: u64) -> bool {
        let mut tx = self.tx.lock();
        let was = tx.carrier.is_some_and(|c| c.number == number);
        let goes_on = was && tx.ended.is_none();
        if was {
            tx.carrier = None;
            drop(tx);
            self.let_go();
        }
        goes_on
    }

    /// Nothing more goes out.
    pub(super) fn silence(&self) {
        self.tx.lock().carrier = None;
        self.let_go();
    }

    /// No connection carries it any more.
    fn let_go(&self) {
        *self.writer.lock() = None;
        *self.reader.lock() = None;
    }

    /// Says goodbye.
    pub(super) fn part(&self) {
        self.leaving.store(true, Ordering::Release);
        self.post(Event::Goodbye);
    }

    /// Whether this node has said goodbye.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Something for the I/O thread to do.
    pub(super) fn post(&self, event: Event) {
        if self.inbox.post(event) {
            self.wake.notify_one();
        }
    }

    /// A proxy has messages.
    fn post_ready(self: &Arc<Self>, pid: Pid) {
        if self.inbox.ready(pid) {
            self.hurry();
        }
    }

    /// A call of the peer's came out.
    fn post_reply(self: &Arc<Self>, id: u64, outcome: CallOutcome) {
        if self.inbox.post(Event::Reply(id, outcome)) {
            self.hurry();
        }
    }

    /// Ends the session: its proxies end for `reason`, open questions fail, what the peer has not acknowledged is dead.
    /// On the I/O thread, with no lock held.
    pub(super) fn end(&self, reason: ExitReason) {
        let reason = if self.is_leaving() { ExitReason::Disconnected } else { reason };
        let (proxies, questions, calls, lost, began) = {
            let mut tx = self.tx.lock();
            if tx.ended.is_some() {
                return;
            }
            let began = tx.carriers != 0;
            tx.ended = Some(reason);
            tx.carrier = None;
            let lost = tx.out.unacknowledged();
            tx.out = Outbound::default();
            let ends: HashMap<u64, Pid> =
                tx.by_remote.iter().filter_map(|(r, e)| Some((*r, e.first()?))).collect();
            tx.by_remote.clear();
            tx.ready.clear();
            tx.exits.clear();
            tx.asked.clear();
            let lost: Vec<_> =
                lost.into_iter().map(|u| (ends.get(&u.to).copied(), u.payload)).collect();
            (
                std::mem::take(&mut tx.proxies),
                std::mem::take(&mut tx.questions),
                std::mem::take(&mut tx.calls),
                lost,
                began,
            )
        };
        self.flush_here();
        self.let_go();
        let watched = self.rx.lock().forget_all();
        let host = &self.node.host;
        for pid in proxies.keys() {
            self.node.forget_route(*pid);
        }
        self.node.counts.lost.fetch_add(lost.len() as u64, Ordering::Relaxed);
        for (to, payload) in lost {
            if let Some(to) = to {
                host.dead_letter(to, payload, reason);
            }
        }
        for pid in proxies.into_keys() {
            host.end_proxy(pid, reason, None);
        }
        for ask in questions.into_values() {
            ask.fail(self.gone(reason));
        }
        for call in calls.into_values() {
            host.cancel(call);
        }
        for (pid, token) in watched {
            host.unwatch(pid, token);
        }
        for event in self.inbox.take_all() {
            if let Event::Ask(ask) = event {
                ask.fail(self.gone(reason));
            }
        }
        if began {
            self.node.session_ended(self, reason);
        }
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// What a question that comes too late hears.
    pub(super) fn gone(&self, reason: ExitReason) -> Error {
        Error::new(
            ErrorKind::Disconnected,
            format!("the session with node {} has ended ({})", self.peer, reason.as_str()),
        )
    }
}
