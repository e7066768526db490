//! From the proxies and the inbox to the stream, from the stream to records.

use super::writer::{Workspace, Writer};
use super::{Ask, Event, Session};
use crate::error::{Error, ErrorKind};
use crate::id::Pid;
use crate::mesh::host::Drained;
use crate::mesh::secure::Sealer;
use crate::mesh::stream::Piece;
use crate::mesh::wire::Malformed;
use crate::mesh::wire::op::{Op, StopMode, Texts};
use crate::mesh::wire::record::{self, DATA_HEAD};
use crate::message::{CallOutcome, Envelope, ExitInfo, Meta, Payload, SystemKind, SystemMessage};
use crate::sync::atomic::Ordering;
use std::sync::Arc;

/// Bytes that are prepared for one write at most.
const WRITE_BATCH: usize = 256 << 10;
/// A part of a payload that is shorter is copied all the same, in bytes.
const SHARE: usize = 1 << 10;
/// Senders that are remembered as told of.
const INTRODUCED: usize = 4096;
/// Messages of one proxy before the next one's turn.
const PROXY_BUDGET: usize = 256;

impl Session {
    /// Prepares what is to be written next, if there is anything.
    ///
    /// # Errors
    /// The channel is used up.
    pub(super) fn pump(self: &Arc<Self>, w: &mut Writer) -> Result<(), Malformed> {
        while w.batch.len() < WRITE_BATCH {
            self.fill(&mut w.space);
            let before = w.batch.len();
            self.records(w)?;
            if w.batch.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Whether nothing is to be done until the next wake.
    pub(in crate::mesh) fn sleep(&self) -> bool {
        let idle = {
            let tx = self.tx.lock();
            tx.out.unsent() == 0 && (tx.ready.is_empty() || self.is_choked(&tx))
        };
        self.inbox.sleep() && idle
    }

    /// Too much waits for the peer's acknowledgement.
    fn is_choked(&self, tx: &super::Tx) -> bool {
        tx.out.kept() >= self.options.send_buffer
    }

    /// Bytes of the stream that wait for an acknowledgement or to be sent.
    pub(in crate::mesh) fn kept(&self) -> usize {
        self.tx.lock().out.kept()
    }

    /// Whether proxies have something that is not in the stream yet.
    pub(in crate::mesh) fn has_ready(&self) -> bool {
        !self.inbox.sleep() || !self.tx.lock().ready.is_empty()
    }

    /// Bytes of the stream that were not handed to a connection.
    pub(super) fn unsent(&self) -> usize {
        self.tx.lock().out.unsent()
    }

    /// Takes the inbox in. On the I/O thread.
    pub(super) fn collect(self: &Arc<Self>, space: &mut Workspace) {
        self.inbox.take(&mut space.ready, &mut space.events);
        self.admit_taken(space);
    }

    /// Does what was taken from the inbox.
    pub(super) fn admit_taken(self: &Arc<Self>, space: &mut Workspace) {
        if !space.ready.is_empty() {
            self.tx.lock().ready.extend(space.ready.drain(..));
        }
        for event in space.events.drain(..) {
            self.perform(event);
        }
    }

    fn perform(self: &Arc<Self>, event: Event) {
        match event {
            Event::Reply(id, outcome) => self.reply(id, outcome),
            Event::Exited(info) => {
                self.rx.lock().forget(info.pid.to_bits());
                self.tx.lock().exits.push(info);
            }
            Event::Draining(pid) => {
                if let Some(p) = self.tx.lock().proxies.get_mut(&pid) {
                    p.drain = true;
                }
            }
            Event::Stopping(pid) => self.stop_remote(pid, None),
            Event::Kill(pid) => self.stop_remote(pid, Some(StopMode::Kill)),
            Event::Link { proxy, local, on } => {
                let from = self.sender_bits(Some(local));
                let mut tx = self.tx.lock();
                if let Some(to) = tx.proxies.get(&proxy).map(|p| p.remote).filter(|_| from != 0) {
                    tx.out.push(&Op::Link { to, from, on });
                }
            }
            Event::LinkFar { proxy, other, on } => {
                let mut tx = self.tx.lock();
                if let Some(to) = tx.proxies.get(&proxy).map(|p| p.remote) {
                    tx.out.push(&Op::LinkFar { to, on, other: &other });
                }
            }
            Event::Trap(proxy, on) => {
                let mut tx = self.tx.lock();
                if let Some(pid) = tx.proxies.get(&proxy).map(|p| p.remote) {
                    tx.out.push(&Op::Trap { pid, on });
                }
            }
            Event::Gone(pid) => {
                self.forget_proxy(pid);
            }
            Event::Room(pid) => self.top_up(pid),
            Event::Ask(ask) => self.ask(ask),
            Event::Cancel(id) => {
                let mut tx = self.tx.lock();
                // Otherwise it is answered, or has not left: then its message is dropped on its way out.
                if tx.asked.remove(&id) {
                    tx.out.push(&Op::Cancel { id });
                }
            }
            Event::Gossip(bytes) => {
                self.tx.lock().out.push_with(&Op::Gossip { payload: b"" }, bytes.into());
            }
            Event::Goodbye => self.tx.lock().out.push(&Op::Goodbye),
        }
    }

    fn stop_remote(self: &Arc<Self>, pid: Pid, mode: Option<StopMode>) {
        let mut tx = self.tx.lock();
        if tx.grants.stop && !self.node.is_closed() {
            let Some(p) = tx.proxies.get(&pid) else { return };
            let (remote, drain) = (p.remote, p.drain);
            let mode = mode.unwrap_or(if drain { StopMode::Drain } else { StopMode::Stop });
            tx.out.push(&Op::Stop { pid: remote, mode });
            return;
        }
        drop(tx);
        self.forget_proxy(pid);
        self.node.host.end_proxy(pid, crate::message::ExitReason::Shutdown, None);
    }

    fn ask(&self, ask: Ask) {
        let mut tx = self.tx.lock();
        if let Some(reason) = tx.ended {
            drop(tx);
            return ask.fail(self.gone(reason));
        }
        tx.next_question += 1;
        let id = tx.next_question;
        match &ask {
            Ask::Resolve(name, _) => tx.out.push(&Op::Resolve { id, name }),
            Ask::Info(pid, _) => tx.out.push(&Op::Info { id, pid: *pid }),
            // Through the stream, behind what was sent before: the answer says that all of it has arrived.
            Ask::Ping(_) => tx.out.push(&Op::Info { id, pid: 0 }),
        }
        tx.questions.insert(id, ask);
    }

    fn reply(&self, id: u64, outcome: CallOutcome) {
        let mut tx = self.tx.lock();
        tx.calls.remove(&id);
        let most = tx.max_payload;
        match outcome {
            Ok(payload) if payload.len() <= most => {
                tx.out.push_with(&Op::Reply { id, payload: b"" }, payload);
            }
            Ok(payload) => {
                let message =
                    format!("the reply has {} bytes, the caller takes {most}", payload.len());
                let texts = Texts { message: &message, stack: "" };
                tx.out.push(&Op::Fail { id, kind: ErrorKind::TooLarge, texts });
            }
            Err(e) => {
                let texts = Texts { message: e.message(), stack: e.stack().unwrap_or_default() };
                // The caller's runtime is not the one that closes.
                let closing = e.kind() == ErrorKind::RuntimeClosed;
                let kind = if closing { ErrorKind::Disconnected } else { e.kind() };
                tx.out.push(&Op::Fail { id, kind, texts });
            }
        }
    }

    /// The bits under which the peer knows a sender: those of a local actor; a remote one has none that it could use.
    fn sender_bits(&self, sender: Option<Pid>) -> u64 {
        sender.filter(|s| !self.node.routes.contains_key(s)).map_or(0, Pid::to_bits)
    }

    /// Moves messages from proxies to the stream: a turn of [`PROXY_BUDGET`] each, as far as credits go.
    fn fill(self: &Arc<Self>, space: &mut Workspace) {
        loop {
            let (pid, remote, max) = {
                let mut tx = self.tx.lock();
                if self.is_choked(&tx) || tx.out.unsent() >= WRITE_BATCH {
                    break;
                }
                let tx = &mut *tx;
                let Some(pid) = tx.ready.pop_front() else { break };
                let Some(p) = tx.proxies.get_mut(&pid) else { continue };
                let credit = tx.by_remote.get(&p.remote).map_or(0, |ends| ends.credit);
                if credit == 0 {
                    p.starved = true;
                    continue;
                }
                (pid, p.remote, credit.min(PROXY_BUDGET as u64) as usize)
            };
            let state = self.node.host.drain(pid, max, &mut space.envelopes);
            let sent = match space.envelopes.len() {
                0 => 0,
                _ => self.encode(remote, &mut space.envelopes),
            };
            let mut tx = self.tx.lock();
            // The peer counts what comes: what was given up or is too large costs nothing.
            if let Some(ends) = tx.by_remote.get_mut(&remote) {
                ends.credit = ends.credit.saturating_sub(sent);
            }
            if state == Drained::More && tx.proxies.contains_key(&pid) {
                tx.ready.push_back(pid);
            }
        }
        // What has ended had sent before: its messages are in the stream now, except those that wait for credit.
        let mut tx = self.tx.lock();
        if !tx.exits.is_empty() && tx.ready.is_empty() {
            let exits = std::mem::take(&mut tx.exits);
            exits.iter().for_each(|info| put_exit(&mut tx, info));
        }
    }

    /// Puts messages into the stream; answers how many.
    fn encode(&self, to: u64, envelopes: &mut Vec<Envelope>) -> u64 {
        let mut sent = 0;
        let mut too_large = Vec::new();
        // Before the lock, which whoever exports a pid takes.
        let ended = envelopes.iter().filter_map(|e| e.payload.as_system()?.from);
        let mut ended =
            ended.map(|pid| self.node.export_ended(pid)).collect::<Vec<_>>().into_iter();
        self.introduce(envelopes);
        let mut tx = self.tx.lock();
        let most = tx.max_payload;
        for e in envelopes.drain(..) {
            if let Some(system) = e.payload.as_system() {
                let about = system.from.and_then(|_| ended.next()).unwrap_or_default();
                sent += u64::from(put_system(&mut tx, to, system, &about));
                continue;
            }
            if e.payload.len() > most {
                too_large.push((e, most));
                continue;
            }
            let from = if e.sender.is_some() { self.sender_bits(e.sender) } else { 0 };
            match e.call {
                None => tx.out.push_with(&Op::Send { to, from, payload: b"" }, e.payload),
                Some(call) => {
                    // The core's timers are asked under this lock; they call nothing.
                    let Some(left) = self.node.host.time_left(call) else { continue };
                    let timeout_ms = left.as_nanos().div_ceil(1_000_000) as u64;
                    let id = call.to_bits();
                    tx.asked.insert(id);
                    let head = Op::Call { to, from, id, timeout_ms, payload: b"" };
                    tx.out.push_with(&head, e.payload);
                }
            }
            sent += 1;
        }
        drop(tx);
        for (e, most) in too_large {
            self.refuse_large(e, most);
        }
        sent
    }

    /// Tells the peer what those speak whose messages come next, unless that is bytes or was told.
    fn introduce(&self, envelopes: &[Envelope]) {
        let mut last = None;
        for sender in envelopes.iter().filter_map(|e| e.sender) {
            if last.replace(sender) == Some(sender) {
                continue;
            }
            let codec = self.node.host.codec_of(sender);
            if let Some(codec) = codec.filter(|_| !self.node.routes.contains_key(&sender)) {
                let (mut tx, pid) = (self.tx.lock(), sender.to_bits());
                if tx.introduced.len() >= INTRODUCED {
                    tx.introduced.clear();
                }
                if tx.introduced.insert(pid) {
                    tx.out.push(&Op::Codec { pid, name: &codec });
                }
            }
        }
    }

    fn refuse_large(&self, e: Envelope, most: usize) {
        self.node.counts.too_large.fetch_add(1, Ordering::Relaxed);
        if let Some(call) = e.call {
            let message =
                format!("the message has {} bytes, the peer takes {most}", e.payload.len());
            self.node.host.settle(call, Err(Error::new(ErrorKind::TooLarge, message)));
        }
    }

    /// Turns what the stream holds into records, up to about [`WRITE_BATCH`].
    fn records(&self, w: &mut Writer) -> Result<(), Malformed> {
        let most = w.most();
        let mut tx = self.tx.lock();
        if tx.out.unsent() == 0 || tx.carrier.is_none_or(|c| c.number != w.number) {
            return Ok(());
        }
        // Only what goes out tells anything.
        let ack = self.tell();
        while w.batch.len() < WRITE_BATCH && tx.out.unsent() != 0 {
            let n = tx.out.unsent().min(most);
            let head = record::data_head(tx.out.cursor(), ack);
            if let Sealer::Plain = w.sealer {
                w.batch.copy(&((DATA_HEAD + n) as u32).to_le_bytes());
                w.batch.copy(&head);
                tx.out.next(most, |piece| match piece {
                    Piece::Large(payload, part) if part.len() >= SHARE => {
                        w.batch.share(payload, part);
                    }
                    piece => w.batch.copy(piece.bytes()),
                });
            } else {
                let record = &mut w.space.record;
                record.clear();
                record.extend_from_slice(&head);
                tx.out.next(most, |piece| record.extend_from_slice(piece.bytes()));
                w.batch.with(|out| w.sealer.seal(record, out))?;
            }
            tx.out.sent(n);
        }
        Ok(())
    }
}

fn put_exit(tx: &mut super::Tx, info: &ExitInfo) {
    let (message, stack) = match info.crash.as_deref() {
        Some(c) => (c.message.as_str(), c.stack.as_deref().unwrap_or_default()),
        None => ("", ""),
    };
    let texts = Texts { message, stack };
    tx.out.push(&Op::Exit { pid: info.pid.to_bits(), reason: info.reason, texts });
}

/// What the runtime tells a remote actor: the end of one that it was made the watcher of. Whether it was that.
fn put_system(tx: &mut super::Tx, to: u64, m: &SystemMessage, about: &[u8]) -> bool {
    let (Some(reason), SystemKind::Down) = (m.reason, m.kind) else { return false };
    let mut op = (0, Texts::default());
    for (name, value) in &m.metadata {
        match (*name, value) {
            ("ref", Meta::Number(n)) => op.0 = *n,
            ("message", Meta::Text(text)) => op.1.message = text,
            ("stack", Meta::Text(text)) => op.1.stack = text,
            _ => {}
        }
    }
    let (reference, texts) = op;
    tx.out.push(&Op::Down { to, reference, reason, about, texts });
    true
}

/// What a call that a peer could not make comes to.
pub(super) fn failed(error: Error) -> CallOutcome {
    Err::<Payload, Error>(error)
}
