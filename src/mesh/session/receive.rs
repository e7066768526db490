//! What the peer says, and what this node does about it.

use super::send::failed;
use super::{Ask, Event, Session};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::mesh::detector::Detector;
use crate::mesh::host::Seen;
use crate::mesh::stream::Inbound;
use crate::mesh::wire::Malformed;
use crate::mesh::wire::greeting::Permissions;
use crate::mesh::wire::op::{Op, Texts};
use crate::mesh::wire::record::Record;
use crate::message::{CrashInfo, ExitReason, Meta, Payload, SystemKind, SystemMessage};
use crate::sync::atomic::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// An actor of this node that the peer knows.
struct Watched {
    pid: Pid,
    token: u64,
    /// Messages that the peer may send yet.
    left: u64,
    /// It is in [`Rx::lagging`].
    listed: bool,
    /// Its mailbox is watched: room for more will be told.
    lags: bool,
}

/// What comes in.
pub(in crate::mesh) struct Rx {
    pub(super) inb: Inbound,
    pub(super) detector: Detector,
    /// What the peer may do here.
    pub(super) allowed: Permissions,
    watched: HashMap<u64, Watched>,
    /// What the peer's actors speak that it told of.
    speak: HashMap<u64, Arc<str>>,
    /// Actors whose credit ran low in this record.
    lagging: Vec<u64>,
    /// The peer has said goodbye.
    goodbye: bool,
}

impl Rx {
    pub(super) fn new(detector: Detector) -> Self {
        Self {
            inb: Inbound::default(),
            detector,
            allowed: Permissions::ALL,
            watched: HashMap::new(),
            speak: HashMap::new(),
            lagging: Vec::new(),
            goodbye: false,
        }
    }

    pub(super) fn forget(&mut self, pid: u64) {
        self.watched.remove(&pid);
    }

    pub(super) fn forget_all(&mut self) -> Vec<(Pid, u64)> {
        self.lagging.clear();
        self.speak.clear();
        self.watched.drain().map(|(_, w)| (w.pid, w.token)).collect()
    }
}

impl Session {
    /// Takes a record in.
    ///
    /// # Errors
    /// `Gap`: the connection is of no use any more. Anything else: nor is the peer.
    pub(in crate::mesh) fn receive(
        self: &Arc<Self>,
        carrier: u64,
        record: Record<'_>,
    ) -> Result<Option<u64>, Malformed> {
        let mut rx = self.rx.lock();
        let rx = &mut *rx;
        rx.detector.heard(self.node.now_ms());
        let mut question = None;
        let (ack, data) = match record {
            Record::Data { offset, ack, bytes } => (ack, Some((offset, bytes))),
            Record::Ack { ack } | Record::Pong { ack, .. } => (ack, None),
            Record::Ping { ack, stalled, stamp } => {
                self.stalled.store(stalled, Ordering::Relaxed);
                question = (stamp != 0).then_some(stamp);
                (ack, None)
            }
        };
        {
            let mut tx = self.tx.lock();
            if tx.carrier.is_none_or(|c| c.number != carrier) {
                return Ok(None);
            }
            let was = tx.out.kept();
            tx.out.ack(ack)?;
            let room = self.options.send_buffer;
            if was >= room && tx.out.kept() < room {
                self.wake.notify_one();
            }
        }
        if let Some((offset, bytes)) = data {
            let most = self.options.max_payload;
            let mut inb = std::mem::take(&mut rx.inb);
            let outcome = inb.accept(offset, bytes, most, |op, own| self.handle(rx, op, own));
            self.heard.store(inb.received(), Ordering::Release);
            self.node.note_heard(self);
            rx.inb = inb;
            outcome?;
            let mut lagging = std::mem::take(&mut rx.lagging);
            lagging.drain(..).for_each(|bits| self.grant(rx, bits));
            rx.lagging = lagging;
        }
        Ok(question)
    }

    /// An actor whose credit ran low has room again.
    pub(super) fn top_up(self: &Arc<Self>, bits: u64) {
        let mut rx = self.rx.lock();
        if let Some(w) = rx.watched.get_mut(&bits) {
            w.lags = false;
            self.grant(&mut rx, bits);
        }
    }

    /// Whether the peer has said goodbye.
    pub(in crate::mesh) fn was_bidden_farewell(&self) -> bool {
        self.rx.lock().goodbye
    }

    /// Whether the peer has been silent for too long.
    pub(in crate::mesh) fn is_silent(&self) -> bool {
        self.rx.lock().detector.is_down(self.node.now_ms())
    }

    /// How long nothing was heard, in milliseconds.
    pub(in crate::mesh) fn silence_ms(&self) -> u64 {
        self.rx.lock().detector.silence_ms(self.node.now_ms())
    }

    /// `own` is the payload of a long operation.
    fn handle(self: &Arc<Self>, rx: &mut Rx, op: Op<'_>, own: Option<Vec<u8>>) {
        let bytes = |payload: &[u8]| own.map_or_else(|| payload.into(), Payload::from);
        let host = &self.node.host;
        match op {
            Op::Send { to, from, payload } => {
                if let Some(pid) = self.spend(rx, to) {
                    let sender = self.sender(rx, from);
                    host.deliver(pid, bytes(payload), sender);
                }
            }
            Op::Call { to, from, id, timeout_ms, payload } => {
                self.call(rx, (to, from, id, timeout_ms), bytes(payload));
            }
            Op::Reply { id, payload } => {
                if self.tx.lock().asked.remove(&id)
                    && let Some(call) = CallId::from_bits(id)
                {
                    host.settle(call, Ok(bytes(payload)));
                }
            }
            Op::Fail { id, kind, texts } => {
                if self.tx.lock().asked.remove(&id)
                    && let Some(call) = CallId::from_bits(id)
                {
                    let stack = (!texts.stack.is_empty()).then(|| texts.stack.to_owned());
                    let error = Error::new(kind, texts.message.to_owned()).with_stack(stack);
                    host.settle(call, Err(error));
                }
            }
            Op::Cancel { id } => {
                let call = self.tx.lock().calls.remove(&id);
                if let Some(call) = call {
                    host.cancel(call);
                }
            }
            Op::Resolve { id, name } => {
                let found = if rx.allowed.resolve { host.whereis(name) } else { None };
                let told = found.and_then(|pid| Some((pid, self.watch(rx, pid)?)));
                let codec = told.and_then(|(pid, _)| host.codec_of(pid));
                let (pid, credit) = told.map_or((0, 0), |(pid, credit)| (pid.to_bits(), credit));
                let mut tx = self.tx.lock();
                if let Some(name) = codec.as_deref() {
                    tx.out.push(&Op::Codec { pid, name });
                }
                tx.out.push(&Op::Resolved { id, pid, credit });
            }
            Op::Resolved { id, pid, credit } => {
                if let Some(Ask::Resolve(_, sink)) = self.question(id) {
                    sink(if pid == 0 {
                        Ok(None)
                    } else {
                        self.intern(pid, rx.speak.get(&pid), Some(credit)).map(Some)
                    });
                }
            }
            Op::Watch { pid } => {
                let known = rx.allowed.any_pid || rx.watched.contains_key(&pid);
                let local = Pid::from_bits(pid).filter(|_| known);
                let credit = local.and_then(|pid| self.watch(rx, pid));
                let mut tx = self.tx.lock();
                match credit {
                    Some(more) => tx.out.push(&Op::Credit { pid, more }),
                    None => {
                        let texts = Texts::default();
                        tx.out.push(&Op::Exit { pid, reason: ExitReason::NoProc, texts });
                    }
                }
            }
            Op::Credit { pid, more } => self.credit(pid, more),
            Op::Exit { pid, reason, texts } => {
                let crash = (!texts.message.is_empty()).then(|| {
                    let stack = (!texts.stack.is_empty()).then(|| texts.stack.to_owned());
                    Arc::new(CrashInfo { message: texts.message.to_owned(), stack })
                });
                rx.speak.remove(&pid);
                for end in self.take_ends(pid) {
                    host.end_proxy(end, reason, crash.clone());
                }
            }
            Op::Stop { pid, mode } => {
                if let Some(pid) = self.may_end(rx, pid) {
                    host.stop(pid, mode);
                }
            }
            Op::Link { to, from, on } => {
                // Whose end ends an actor may stop it, too.
                if let Some(to) = self.may_end(rx, to)
                    && let Some(from) = self.sender(rx, from)
                {
                    host.link(to, from, on);
                }
            }
            Op::LinkFar { to, on, other } => {
                if let Some(to) = self.may_end(rx, to) {
                    self.node.link_with(to, other, on);
                }
            }
            Op::Trap { pid, on } => {
                if let Some(pid) = self.may_end(rx, pid) {
                    host.trap(pid, on);
                }
            }
            Op::Down { to, reference, reason, about, texts } => {
                if let Some(target) = self.spend(rx, to) {
                    let from = self.node.import_known(about);
                    let mut metadata = vec![("ref", Meta::Number(reference))];
                    for (name, text) in [("message", texts.message), ("stack", texts.stack)] {
                        if !text.is_empty() {
                            metadata.push((name, Meta::Text(text.to_owned())));
                        }
                    }
                    let kind = SystemKind::Down;
                    let reason = Some(reason);
                    if !host.tell(SystemMessage { kind, from, target, reason, metadata }) {
                        self.node.counts.unknown.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Op::Info { id, pid } => {
                let known = rx.allowed.any_pid || rx.watched.contains_key(&pid);
                let seen = Pid::from_bits(pid).filter(|_| known).and_then(|p| host.look(p));
                let alive = seen.is_some();
                let s = seen.unwrap_or(Seen { queue: 0, capacity: None, handled: 0 });
                let (queue, capacity) = (s.queue as u64, s.capacity.map_or(0, u64::from));
                let op = Op::InfoIs { id, alive, queue, capacity, handled: s.handled };
                self.tx.lock().out.push(&op);
            }
            Op::InfoIs { id, alive, queue, capacity, handled } => match self.question(id) {
                Some(Ask::Info(_, sink)) => {
                    let queue = usize::try_from(queue).unwrap_or(usize::MAX);
                    let capacity = u32::try_from(capacity).ok().filter(|c| *c != 0);
                    sink(Ok(alive.then_some(Seen { queue, capacity, handled })));
                }
                Some(Ask::Ping(sink)) => sink(Ok(())),
                Some(Ask::Resolve(..)) | None => {}
            },
            Op::Codec { pid, name } => {
                let known = rx.speak.get(&pid).is_some_and(|n| **n == *name);
                if !known && rx.speak.len() < self.options.max_refs {
                    rx.speak.insert(pid, name.into());
                }
            }
            Op::Goodbye => rx.goodbye = true,
            Op::Gossip { payload } if rx.allowed.resolve => {
                self.node.gossip(self.peer.node, payload);
            }
            Op::Gossip { .. } => {
                self.node.counts.forbidden.fetch_add(1, Ordering::Relaxed);
            }
            Op::Unknown { .. } => {
                self.node.counts.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Spends one message of the peer's credit for an actor; `None`: it has none, and the message is dropped.
    fn spend(&self, rx: &mut Rx, to: u64) -> Option<Pid> {
        let half = u64::from(self.options.window) / 2;
        let Some(w) = rx.watched.get_mut(&to) else {
            // It has ended, and the peer does not know it yet; or the peer tries its luck.
            self.node.counts.unknown.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let Some(left) = w.left.checked_sub(1) else {
            self.node.counts.over_credit.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        w.left = left;
        if left <= half && !w.lags && !std::mem::replace(&mut w.listed, true) {
            rx.lagging.push(to);
        }
        Some(w.pid)
    }

    fn call(
        self: &Arc<Self>,
        rx: &mut Rx,
        (to, from, id, timeout_ms): (u64, u64, u64, u64),
        payload: Payload,
    ) {
        let Some(pid) = self.spend(rx, to) else {
            let message = format!("pid {to}: no such actor on node {}", self.node.me_text());
            self.post(Event::Reply(id, failed(Error::new(ErrorKind::NoSuchActor, message))));
            return;
        };
        if self.tx.lock().calls.len() >= self.options.max_refs {
            let message = "too many calls of this peer are open";
            self.post(Event::Reply(id, failed(Error::new(ErrorKind::AtCapacity, message))));
            return;
        }
        let sender = self.sender(rx, from);
        let me = Arc::downgrade(self);
        let sink = Box::new(move |outcome| {
            if let Some(me) = me.upgrade() {
                me.post_reply(id, outcome);
            }
        });
        let timeout = Duration::from_millis(timeout_ms);
        match self.node.host.call(pid, payload, timeout, sender, sink) {
            Ok(call) => {
                self.tx.lock().calls.insert(id, call);
            }
            Err(e) => self.post(Event::Reply(id, failed(e))),
        }
    }

    /// The proxy of a remote sender.
    fn sender(self: &Arc<Self>, rx: &Rx, from: u64) -> Option<Pid> {
        if from == 0 {
            return None;
        }
        let codec = if rx.speak.is_empty() { None } else { rx.speak.get(&from) };
        self.intern(from, codec, None).ok()
    }

    fn question(&self, id: u64) -> Option<Ask> {
        self.tx.lock().questions.remove(&id)
    }

    fn may_end(&self, rx: &Rx, pid: u64) -> Option<Pid> {
        let known = rx.allowed.any_pid || rx.watched.contains_key(&pid);
        if !rx.allowed.stop || !known {
            self.node.counts.forbidden.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Pid::from_bits(pid)
    }

    /// The peer will hear of the actor's end and may send it as many messages as this answers; `None`: there is none.
    fn watch(self: &Arc<Self>, rx: &mut Rx, pid: Pid) -> Option<u64> {
        let bits = pid.to_bits();
        if rx.watched.contains_key(&bits) {
            // The peer has all the credit that there is already.
            return Some(0);
        }
        if rx.watched.len() >= self.options.max_refs {
            self.node.counts.forbidden.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let seen = self.node.host.look(pid)?;
        let left = room(u64::from(self.options.window), seen);
        let me = Arc::downgrade(self);
        let sink = Box::new(move |info| {
            if let Some(me) = me.upgrade() {
                me.post(Event::Exited(info));
            }
        });
        // Before the sink can be called: it takes the entry out.
        rx.watched.insert(bits, Watched { pid, token: 0, left, listed: false, lags: false });
        let token = self.node.host.watch(pid, sink);
        if let Some(w) = rx.watched.get_mut(&bits) {
            w.token = token;
        }
        if left == 0 {
            self.grant(rx, bits);
        }
        Some(left)
    }

    /// Gives the peer credit for an actor, once a quarter of what it takes is to be had; until then the actor's mailbox is
    /// watched.
    fn grant(self: &Arc<Self>, rx: &mut Rx, bits: u64) {
        let Some(w) = rx.watched.get_mut(&bits) else { return };
        w.listed = false;
        let window = u64::from(self.options.window);
        while !w.lags {
            let Some(seen) = self.node.host.look(w.pid) else { return };
            let most = seen.capacity.map_or(window, |c| window.min(u64::from(c)));
            if w.left > most / 2 {
                return;
            }
            let step = (most / 4).max(1);
            let more = room(window, seen).saturating_sub(w.left);
            if more >= step {
                w.left += more;
                self.tx.lock().out.push(&Op::Credit { pid: bits, more });
                continue;
            }
            let me = Arc::downgrade(self);
            let sink = Box::new(move || {
                if let Some(me) = me.upgrade() {
                    me.post(Event::Room(bits));
                }
            });
            // Not below zero: at most half of what it takes is left, and a quarter is the step.
            let below = most.saturating_sub(w.left + step) as usize;
            w.lags = self.node.host.when_room(w.pid, below, sink);
        }
    }
}

/// How many messages may be on their way to an actor.
fn room(window: u64, seen: Seen) -> u64 {
    let most = seen.capacity.map_or(window, |c| window.min(u64::from(c)));
    most.saturating_sub(seen.queue as u64)
}
