//! What the mesh needs of the runtime that it belongs to. The runtime implements it (`src/runtime/mesh.rs`).

use super::node::NodeInfo;
use super::wire::op::StopMode;
use crate::error::{Error, Result};
use crate::id::{CallId, Pid};
use crate::message::{
    CallOutcome, CrashInfo, Envelope, ExitInfo, ExitReason, Payload, PullSignal, SystemMessage,
};
use std::sync::Arc;
use std::time::Duration;

/// What a pull of many messages came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// There may be more.
    More,
    /// There are none; the proxy's signal comes with the next.
    Empty,
    /// There will be none: the proxy is being stopped or has ended.
    Closed,
}

/// What can be seen of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Messages that wait.
    pub queue: usize,
    /// Mailbox bound.
    pub capacity: Option<u32>,
    /// Messages handled.
    pub handled: u64,
}

/// The runtime, as the mesh sees it. No method blocks; sinks are called from any thread with no lock held.
pub trait Host: Send + Sync + 'static {
    /// Makes the local end of a remote actor, whose messages are encoded with that codec; `None`: they are bytes.
    ///
    /// # Errors
    /// As a spawn.
    fn open_proxy(
        &self,
        capacity: Option<u32>,
        codec: Option<Arc<str>>,
        signal: Arc<dyn Fn(PullSignal) + Send + Sync>,
    ) -> Result<Pid>;
    /// Ends it.
    fn end_proxy(&self, pid: Pid, reason: ExitReason, crash: Option<Arc<CrashInfo>>);
    /// Takes up to `max` messages out of a proxy's mailbox; those of the runtime itself (a `DOWN` for a remote watcher) are
    /// among them.
    fn drain(&self, pid: Pid, max: usize, out: &mut Vec<Envelope>) -> Drained;
    /// Delivers a message that came over the wire; whether the mailbox took it.
    fn deliver(&self, to: Pid, payload: Payload, sender: Option<Pid>) -> bool;
    /// Delivers a system message that came over the wire; whether its target hears those.
    fn tell(&self, message: SystemMessage) -> bool;
    /// Says whether an actor traps exits.
    fn trap(&self, pid: Pid, traps: bool);
    /// Makes a call in a peer's name.
    ///
    /// # Errors
    /// As a call; then the sink is not called.
    fn call(
        &self,
        to: Pid,
        payload: Payload,
        timeout: Duration,
        sender: Option<Pid>,
        sink: Box<dyn FnOnce(CallOutcome) + Send>,
    ) -> Result<CallId>;
    /// Gives a call up.
    fn cancel(&self, call: CallId);
    /// Settles a call that a local actor made to a proxy; whether it was still open.
    fn settle(&self, call: CallId, outcome: CallOutcome) -> bool;
    /// What is left until a call's deadline; `None`: it is over.
    fn time_left(&self, call: CallId) -> Option<Duration>;
    /// Who has a name.
    fn whereis(&self, name: &str) -> Option<Pid>;
    /// What other nodes are told that an actor's messages are encoded with; `None`: bytes.
    fn codec_of(&self, pid: Pid) -> Option<Arc<str>>;
    /// What can be seen of a live actor.
    fn look(&self, pid: Pid) -> Option<Seen>;
    /// Calls `sink` once the actor's mailbox holds no more than `most` messages; `false`, and no call, if that is so now or the
    /// actor has ended.
    fn when_room(&self, pid: Pid, most: usize, sink: Box<dyn FnOnce() + Send>) -> bool;
    /// Calls `sink` when the actor has ended (at once if it has); answers what takes that back.
    fn watch(&self, pid: Pid, sink: Box<dyn FnOnce(ExitInfo) + Send>) -> u64;
    /// Takes a watch back.
    fn unwatch(&self, pid: Pid, token: u64);
    /// Ends an actor for a peer.
    fn stop(&self, pid: Pid, mode: StopMode);
    /// Links an actor with the proxy of a remote one, or takes the link away.
    fn link(&self, local: Pid, proxy: Pid, on: bool);
    /// A message is lost for good with its connection.
    fn dead_letter(&self, to: Pid, payload: Payload, reason: ExitReason);
    /// Whether a name is kept for the replacement of an actor that has ended.
    fn is_kept(&self, name: &str) -> bool;
    /// Another node's actor has had this name for longer: the actor here loses it, and ends with `name_conflict` unless it
    /// traps exits.
    fn lose_name(&self, name: &str, pid: Pid, winner: &str);
    /// There is a session with a node.
    fn node_up(&self, node: NodeInfo);
    /// There is none any more.
    fn node_down(&self, node: NodeInfo, reason: ExitReason);
    /// How long the slowest lane has had work without touching it: a blocked event loop, a held GIL.
    fn stalled(&self) -> Duration;
}

/// Who hears an answer.
pub type Sink<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;
