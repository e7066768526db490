//! The mesh's end of the core: what [`crate::mesh`] asks of it, and what callers ask of the mesh.
//!
//! A proxy is a pull actor whose consumer is its session. What differs from other actors is marked by `Cell::remote`: a stop
//! and a kill are asked of the other node, a link is made on both.

use super::core::Core;
use super::labels::Label;
use super::{Runtime, check_may_block};
use crate::actor::cell::Life;
use crate::actor::request::CallSink;
use crate::clock::Clock;
use crate::config::SpawnOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::mesh::node::Node;
use crate::mesh::wire::op::StopMode;
pub use crate::mesh::{
    ClusterOptions, Judge, ListenOptions, MeshMetrics, MeshOptions, NodeInfo, Permissions, Secret,
    Seen, Tls, TlsFiles,
};
use crate::mesh::{Drained, Engine, Host, Polled, Talk};
use crate::message::{
    CallOutcome, CrashInfo, Envelope, ExitInfo, ExitReason, Payload, PullSignal, SystemKind,
    SystemMessage,
};
use crate::path::Path;
use crate::scheduler::stats::Refusal;
use crate::supervision::tree::{ChildOptions, SupervisorOptions};
use crate::sync::mpsc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The mesh of a runtime, once something needs it.
#[derive(Default)]
pub(super) struct Slot(OnceLock<Arc<dyn Engine>>, crate::sync::Mutex<()>);

/// How long a close waits for peers to take what proxies hold.
const FAREWELL: Duration = Duration::from_secs(1);

impl Core {
    fn mesh(&self) -> Result<Arc<dyn Engine>> {
        self.check_open()?;
        if let Some(engine) = self.mesh.0.get() {
            return Ok(Arc::clone(engine));
        }
        let clock: Clock = self.clock.clone();
        self.make_mesh(|host| {
            let node: Arc<dyn Engine> = Node::new(host, clock, MeshOptions::default())?;
            Ok(node)
        })
        .map(|(engine, _)| engine)
    }

    /// Makes the mesh unless there is one; answers it, and whether it was made.
    fn make_mesh(
        &self,
        make: impl FnOnce(Arc<dyn Host>) -> Result<Arc<dyn Engine>>,
    ) -> Result<(Arc<dyn Engine>, bool)> {
        let _one = self.mesh.1.lock();
        if let Some(engine) = self.mesh.0.get() {
            return Ok((Arc::clone(engine), false));
        }
        let engine = make(Arc::new(MeshHost(self.me.clone())))?;
        Ok((Arc::clone(self.mesh.0.get_or_init(|| engine)), true))
    }

    /// Whether there are other nodes, or may soon be.
    pub(super) fn has_peers(&self) -> bool {
        self.has_mesh().is_some()
    }

    fn has_mesh(&self) -> Option<&Arc<dyn Engine>> {
        self.mesh.0.get()
    }

    /// What was said between this node and others lately.
    pub(super) fn talk(&self) -> Talk {
        self.has_mesh().map(|engine| engine.talk()).unwrap_or_default()
    }

    /// How to take in what has come from the node that was heard last; that answers whether it is of use to look again soon.
    pub(super) fn news_there(&self) -> Option<impl FnMut() -> bool + use<>> {
        let mut news = self.has_mesh()?.news()?;
        Some(move || news.look() != Polled::Never)
    }

    /// A call is over, and its caller did not wait for the end: nor shall whoever answers it elsewhere.
    pub(super) fn cancel_there(&self, callee: Pid, call: CallId) {
        if let Some(engine) = self.has_mesh()
            && self.is_remote(callee)
        {
            engine.cancelled(callee, call);
        }
    }

    /// Another node's actor has had the name for longer.
    fn lose_name(&self, name: &str, pid: Pid, winner: &str) {
        if self.names.get(name) == Some(pid) {
            let _ = self.unregister_label(Label::Name(name));
        }
        let heard = self.change(pid, |c| {
            let traps = c.hears && c.extra.as_ref().is_some_and(|x| x.traps);
            if !traps || c.life != Life::Alive {
                return None;
            }
            let info = ExitInfo { pid, reason: ExitReason::NameConflict, crash: None };
            Some(self.push_system(c, SystemMessage::of_exit(SystemKind::Exit, &info, pid, None)))
        });
        match heard {
            Some(Some(wake)) => {
                self.wake(wake);
            }
            Some(None) => {
                let message = format!("node {winner} has had the name {name:?} for longer");
                let crash = Arc::new(CrashInfo { message, stack: None });
                self.exit(pid, ExitReason::NameConflict, Some(crash));
            }
            None => {}
        }
    }

    /// Whether a live actor lives on another node.
    pub(crate) fn is_remote(&self, pid: Pid) -> bool {
        self.has_mesh().is_some() && self.change(pid, |c| c.remote).unwrap_or(false)
    }

    /// Whether a payload of that length can go to an actor: what lives on another node takes only so much.
    #[cold]
    pub(super) fn fits(&self, pid: Pid, length: usize) -> bool {
        self.has_mesh().is_none_or(|node| length <= node.max_payload(pid))
    }

    /// Before a stop or a kill: `false` if the actor lives on another node that does not allow it.
    pub(super) fn may_end(&self, pid: Pid, drain: bool, kill: bool) -> bool {
        let Some(node) = self.has_mesh() else { return true };
        if !self.is_remote(pid) {
            return true;
        }
        let mode = match (kill, drain) {
            (true, _) => StopMode::Kill,
            (false, true) => StopMode::Drain,
            (false, false) => StopMode::Stop,
        };
        node.before_stop(pid, mode)
    }

    /// Makes or takes away the other half of a link with a remote actor; of one between two remote actors, all of it. What is
    /// listed here of that only says that there is one.
    pub(super) fn link_there(&self, a: Pid, b: Pid, on: bool) -> Result<()> {
        let Some(node) = self.has_mesh() else { return Ok(()) };
        let (proxy, other) = match (self.is_remote(a), self.is_remote(b)) {
            (false, false) => return Ok(()),
            (true, _) => (a, b),
            (false, true) => (b, a),
        };
        if Arc::clone(node).link(proxy, other, on) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotPermitted,
            format!("the node of pid {proxy} lets nobody end its actors, so none can be linked"),
        ))
    }

    /// Whether a remote actor traps exits is said on its node, too.
    pub(super) fn trap_there(&self, pid: Pid, traps: bool) -> Result<()> {
        match self.has_mesh() {
            Some(node) if self.is_remote(pid) && !node.trap(pid, traps) => Err(Error::new(
                ErrorKind::NotPermitted,
                format!("the node of pid {pid} lets nobody say how its actors end"),
            )),
            _ => Ok(()),
        }
    }

    /// Says goodbye to all peers, then goes on with `then`.
    pub(super) fn close_mesh(&self, timeout: Duration, then: Box<dyn FnOnce() + Send>) {
        match self.has_mesh() {
            Some(node) => Arc::clone(node).close(timeout.min(FAREWELL), then),
            None => then(),
        }
    }

    /// Ends the mesh at once.
    pub(super) fn abort_mesh(&self) {
        if let Some(node) = self.has_mesh() {
            node.abort();
        }
    }
}

/// The core, as the mesh sees it; it does not keep the core alive.
struct MeshHost(Weak<Core>);

impl MeshHost {
    fn core(&self) -> Option<Arc<Core>> {
        self.0.upgrade()
    }
}

impl Host for MeshHost {
    fn open_proxy(
        &self,
        capacity: Option<u32>,
        codec: Option<Arc<str>>,
        signal: Arc<dyn Fn(PullSignal) + Send + Sync>,
    ) -> Result<Pid> {
        let core = self.core().ok_or_else(|| {
            Error::new(ErrorKind::RuntimeClosed, "this runtime is closed; make a new one")
        })?;
        let pid = core.spawn_pull(None, SpawnOptions { capacity, ..Default::default() }, signal)?;
        core.change(pid, |c| {
            c.remote = true;
            if codec.is_some() {
                core.note_codec(c, codec);
            }
        });
        Ok(pid)
    }

    fn end_proxy(&self, pid: Pid, reason: ExitReason, crash: Option<Arc<CrashInfo>>) {
        let Some(core) = self.core() else { return };
        let kind = match reason {
            ExitReason::NodeDown | ExitReason::Disconnected => ErrorKind::Disconnected,
            ExitReason::NoProc => ErrorKind::NoSuchActor,
            _ => ErrorKind::ActorExited,
        };
        if kind != ErrorKind::ActorExited {
            let calls = core.change(pid, |c| {
                let mut calls: Vec<CallId> = c.mailbox.iter().filter_map(|e| e.call).collect();
                calls.extend(c.extra.iter().flat_map(|x| x.open_calls.iter().copied()));
                calls
            });
            for call in calls.unwrap_or_default() {
                let message = match kind {
                    ErrorKind::NoSuchActor => format!("pid {pid}: its node knows no such actor"),
                    _ => format!("pid {pid}: its node is gone ({})", reason.as_str()),
                };
                core.fail_call(call, Error::new(kind, message));
            }
        }
        core.exit_told(pid, reason, crash);
    }

    fn drain(&self, pid: Pid, max: usize, out: &mut Vec<Envelope>) -> Drained {
        let Some(core) = self.core() else { return Drained::Closed };
        core.pull_many(pid, max, out)
    }

    fn deliver(&self, to: Pid, payload: Payload, sender: Option<Pid>) -> bool {
        self.core().is_some_and(|core| {
            let sent = if core.is_local_only(to) {
                core.refuse(Refusal::Foreign)
            } else {
                core.send(to, payload, sender, None)
            };
            sent.is_accepted()
        })
    }

    fn tell(&self, message: SystemMessage) -> bool {
        self.core().is_some_and(|core| core.tell_and(message, |_| {}))
    }

    fn trap(&self, pid: Pid, traps: bool) {
        if let Some(core) = self.core() {
            let _ = core.set_trap_exit(pid, traps);
        }
    }

    fn call(
        &self,
        to: Pid,
        payload: Payload,
        timeout: Duration,
        sender: Option<Pid>,
        sink: Box<dyn FnOnce(CallOutcome) + Send>,
    ) -> Result<CallId> {
        let core = self.core().ok_or_else(|| {
            Error::new(ErrorKind::ActorExited, "the runtime of that actor is closed")
        })?;
        if core.is_local_only(to) {
            return Err(Error::new(
                ErrorKind::NotPermitted,
                format!("pid {to} takes messages of its own process only, because of its codec"),
            ));
        }
        core.call(to, payload, timeout, sender, CallSink::Func(sink), None).map(|(id, _)| id)
    }

    fn cancel(&self, call: CallId) {
        if let Some(core) = self.core() {
            core.cancel_call(call);
        }
    }

    fn settle(&self, call: CallId, outcome: CallOutcome) -> bool {
        let Some(core) = self.core() else { return false };
        match outcome {
            Ok(payload) => core.reply(call, payload),
            Err(e) => core.fail_call(call, e),
        }
    }

    fn time_left(&self, call: CallId) -> Option<Duration> {
        let core = self.core()?;
        let due_ms = core.timers.due_ms(core.calls.timer(call)?)?;
        Some(Duration::from_millis(due_ms.saturating_sub(core.clock.now_ms())))
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        self.core()?.labelled(Label::Name(name))
    }

    fn codec_of(&self, pid: Pid) -> Option<Arc<str>> {
        self.core()?.codec_abroad(pid)
    }

    fn look(&self, pid: Pid) -> Option<Seen> {
        let core = self.core()?;
        core.change(pid, |c| {
            (c.life == Life::Alive).then(|| Seen {
                queue: c.mailbox.len(),
                capacity: c.mailbox.capacity(),
                handled: c.handled,
            })
        })?
    }

    fn when_room(&self, pid: Pid, most: usize, sink: Box<dyn FnOnce() + Send>) -> bool {
        self.core().is_some_and(|core| core.when_room(pid, most, sink))
    }

    fn watch(&self, pid: Pid, sink: Box<dyn FnOnce(ExitInfo) + Send>) -> u64 {
        match self.core() {
            Some(core) => core.join(pid, crate::actor::cell::ExitSink::Func(sink)),
            None => 0,
        }
    }

    fn unwatch(&self, pid: Pid, token: u64) {
        if let Some(core) = self.core() {
            core.forget_join(pid, |t, _| t == token);
        }
    }

    fn stop(&self, pid: Pid, mode: StopMode) {
        let Some(core) = self.core() else { return };
        match mode {
            StopMode::Stop => core.stop(pid, false, None),
            StopMode::Drain => core.stop(pid, true, None),
            StopMode::Kill => core.kill(pid),
        };
    }

    fn link(&self, local: Pid, proxy: Pid, on: bool) {
        if let Some(core) = self.core() {
            if on {
                let _ = core.link_here(local, proxy);
            } else {
                core.unlink_here(local, proxy);
            }
        }
    }

    fn dead_letter(&self, to: Pid, payload: Payload, reason: ExitReason) {
        if let Some(core) = self.core() {
            core.note_dead(to, reason, &Envelope { payload, sender: None, call: None });
        }
    }

    fn is_kept(&self, name: &str) -> bool {
        self.core()
            .is_some_and(|core| core.names.get(name).is_some_and(|pid| core.is_reserved(pid)))
    }

    fn lose_name(&self, name: &str, pid: Pid, winner: &str) {
        if let Some(core) = self.core() {
            core.lose_name(name, pid, winner);
        }
    }

    fn node_up(&self, node: NodeInfo) {
        if let Some(core) = self.core() {
            core.note_node(&node, None);
        }
    }

    fn node_down(&self, node: NodeInfo, reason: ExitReason) {
        if let Some(core) = self.core() {
            core.note_node(&node, Some(reason));
        }
    }

    fn stalled(&self) -> Duration {
        let Some(core) = self.core() else { return Duration::ZERO };
        let now = core.clock.now_ms();
        Duration::from_millis(core.lanes.lock().longest_stuck_ms(now))
    }
}

/// What an asynchronous call of the mesh answers to.
type Answer<T> = Box<dyn FnOnce(Result<T>) + Send>;

impl Runtime {
    /// Changes how this node behaves towards its peers, for connections that begin from now on.
    ///
    /// # Errors
    /// `InvalidArgument` names the knob that is out of range; `RuntimeClosed`.
    pub fn configure_mesh(&self, options: MeshOptions) -> Result<()> {
        self.core.mesh()?.configure(options)
    }

    /// How this node behaves towards its peers.
    ///
    /// # Errors
    /// `RuntimeClosed`.
    pub fn mesh_options(&self) -> Result<MeshOptions> {
        Ok(self.core.mesh()?.options())
    }

    /// Listens for other nodes; answers the bound address (port 0 takes a free one).
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address, and for one beyond this machine without a secret; `Io` with the system's
    /// words; `WouldDeadlock` on a thread that runs a lane.
    pub fn listen(&self, address: &str, options: ListenOptions) -> Result<String> {
        wait("listen", |sink| self.listen_with(address, options, sink))
    }

    /// As [`listen`](Self::listen); the answer goes to `sink`, on the I/O thread or at once.
    pub fn listen_with(
        &self,
        address: &str,
        options: ListenOptions,
        sink: impl FnOnce(Result<String>) + Send + 'static,
    ) {
        match self.core.mesh() {
            Ok(node) => node.listen(address, options, Box::new(sink)),
            Err(e) => sink(Err(e)),
        }
    }

    /// Stops listening at an address; connections that are open stay. Answers whether it listened there.
    ///
    /// # Errors
    /// `RuntimeClosed`.
    pub fn unlisten(&self, address: &str) -> Result<bool> {
        Ok(self.core.mesh()?.unlisten(address))
    }

    /// Asks the node at an address who has a name; answers a proxy, or `None` if nobody has it.
    ///
    /// # Errors
    /// `InvalidArgument`, `Unreachable`, `AuthFailed`, `NotPermitted`, `Timeout`, `Disconnected`; `WouldDeadlock` on a thread
    /// that runs a lane.
    pub fn resolve_remote(
        &self,
        address: &str,
        name: &str,
        timeout: Duration,
    ) -> Result<Option<Pid>> {
        wait("resolve_remote", |sink| self.resolve_remote_with(address, name, timeout, sink))
    }

    /// As [`resolve_remote`](Self::resolve_remote); the answer goes to `sink`, on the I/O thread or at once.
    pub fn resolve_remote_with(
        &self,
        address: &str,
        name: &str,
        timeout: Duration,
        sink: impl FnOnce(Result<Option<Pid>>) + Send + 'static,
    ) {
        match self.core.mesh() {
            Ok(node) => node.resolve(address, name, timeout, Box::new(sink)),
            Err(e) => sink(Err(e)),
        }
    }

    /// Whether a node answers at an address within `timeout`.
    ///
    /// # Errors
    /// `InvalidArgument`; `WouldDeadlock` on a thread that runs a lane.
    pub fn is_node_up(&self, address: &str, timeout: Duration) -> Result<bool> {
        wait("is_node_up", |sink| self.is_node_up_with(address, timeout, sink))
    }

    /// As [`is_node_up`](Self::is_node_up); the answer goes to `sink`.
    pub fn is_node_up_with(
        &self,
        address: &str,
        timeout: Duration,
        sink: impl FnOnce(Result<bool>) + Send + 'static,
    ) {
        match self.core.mesh() {
            Ok(node) => node.probe(address, timeout, Box::new(sink)),
            Err(e) => sink(Err(e)),
        }
    }

    /// The proxy of the actor that has the pid `remote` on the node at an address. It takes messages at once; if the node
    /// cannot be reached it ends with `node_down`, and if there is no such actor with `noproc`.
    ///
    /// # Errors
    /// `InvalidArgument`, `RuntimeClosed`, `AtCapacity`.
    pub fn remote_pid(&self, address: &str, remote: Pid) -> Result<Pid> {
        self.core.mesh()?.proxy(address, remote)
    }

    /// Sends to the actor that has the pid `remote` on the node at an address; whether its proxy took the message.
    ///
    /// # Errors
    /// As [`remote_pid`](Self::remote_pid).
    pub fn send_remote(
        &self,
        address: &str,
        remote: Pid,
        payload: impl Into<Payload>,
    ) -> Result<bool> {
        let proxy = self.remote_pid(address, remote)?;
        Ok(self.send(proxy, payload))
    }

    /// Puts the [proxy](Self::remote_pid) of a remote actor under the global supervisor: its end is reported as a child's.
    /// Answers the proxy.
    ///
    /// # Errors
    /// As [`remote_pid`](Self::remote_pid).
    pub fn monitor_remote(&self, address: &str, remote: Pid) -> Result<Pid> {
        let proxy = self.remote_pid(address, remote)?;
        let (child, supervisor) = (ChildOptions::default(), SupervisorOptions::default());
        // It may have ended already; then there is nothing to watch, and whoever monitors it hears `noproc`.
        let _ = self.core.supervise(&Path::nowhere(), proxy, None, child, supervisor);
        Ok(proxy)
    }

    /// Says goodbye to the node at an address: proxies of its actors end with `disconnected`. Answers whether there was a
    /// session.
    ///
    /// # Errors
    /// `InvalidArgument`, `RuntimeClosed`.
    pub fn disconnect(&self, address: &str) -> Result<bool> {
        self.core.mesh()?.disconnect(address)
    }

    /// A pid as bytes that any node of the mesh can [turn back](Self::import_pid).
    ///
    /// # Errors
    /// `NoSuchActor`, `RuntimeClosed`.
    pub fn export_pid(&self, pid: Pid) -> Result<Vec<u8>> {
        let node = self.core.mesh()?;
        if !self.is_alive(pid) {
            return Err(self.core.no_such_actor(pid));
        }
        node.export(pid)
    }

    /// The pid that such bytes mean: the actor itself where it lives, a proxy elsewhere.
    ///
    /// # Errors
    /// `InvalidArgument` for other bytes; `NoSuchActor` if its node was declared down since; `Unreachable` if the node is not
    /// connected and does not listen.
    pub fn import_pid(&self, bytes: &[u8]) -> Result<Pid> {
        self.core.mesh()?.import(bytes)
    }

    /// Whether an actor lives on another node.
    #[must_use]
    pub fn is_remote(&self, pid: Pid) -> bool {
        self.core.is_remote(pid)
    }

    /// Asks the node of a remote actor about it now; `None`: it has ended, or is no remote actor.
    pub fn look_remote_with(
        &self,
        pid: Pid,
        timeout: Duration,
        sink: impl FnOnce(Result<Option<Seen>>) + Send + 'static,
    ) {
        match self.core.mesh() {
            Ok(node) => node.look(pid, timeout, Box::new(sink)),
            Err(e) => sink(Err(e)),
        }
    }

    /// The nodes that this one has a session with.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.core.has_mesh().map(|n| n.nodes()).unwrap_or_default()
    }

    /// The addresses that this node listens at.
    #[must_use]
    pub fn listening(&self) -> Vec<String> {
        self.core.has_mesh().map(|n| n.listening()).unwrap_or_default()
    }

    /// The numbers of the mesh.
    #[must_use]
    pub fn mesh_metrics(&self) -> MeshMetrics {
        self.core.has_mesh().map(|n| n.metrics()).unwrap_or_default()
    }

    /// Lets `make` make what connects this runtime to others, in place of the embedded mesh; before anything else of the mesh
    /// is used.
    ///
    /// # Errors
    /// `InvalidArgument` if this runtime has a mesh already; what `make` fails with; `RuntimeClosed`.
    pub fn use_engine(
        &self,
        make: impl FnOnce(Arc<dyn Host>) -> Result<Arc<dyn Engine>>,
    ) -> Result<()> {
        self.core.check_open()?;
        match self.core.make_mesh(make)? {
            (_, true) => Ok(()),
            (_, false) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "this runtime has a mesh already; choose the engine before it is first used",
            )),
        }
    }

    /// Makes this node a member of the cluster that the nodes at `seeds` are in; without seeds it is the first. It then
    /// connects to every member, and knows the names that are registered [in the cluster](Self::register_cluster).
    ///
    /// # Errors
    /// `InvalidArgument`; `Unreachable`, `AuthFailed` or `Timeout` if no seed took it in; `WouldDeadlock` on a thread that runs
    /// a lane.
    pub fn join_cluster(&self, seeds: &[&str], options: ClusterOptions) -> Result<()> {
        let seeds = seeds.iter().map(|s| (*s).to_owned()).collect();
        wait("join_cluster", |sink| self.join_cluster_with(seeds, options, sink))
    }

    /// As [`join_cluster`](Self::join_cluster); the outcome goes to `sink`, on the I/O thread or at once.
    pub fn join_cluster_with(
        &self,
        seeds: Vec<String>,
        options: ClusterOptions,
        sink: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        match self.core.mesh() {
            Ok(engine) => engine.join_cluster(seeds, options, Box::new(sink)),
            Err(e) => sink(Err(e)),
        }
    }

    /// Gives a name to a live actor of this node, here and in the whole cluster. Of two that took it at the same time, or on
    /// two sides of a partition, the older registration stays; the other actor ends with `name_conflict`, unless it traps exits.
    ///
    /// # Errors
    /// As [`register`](Self::register); `NameTaken` if another node has it; `NotLocal` for an actor of another node.
    pub fn register_cluster(&self, name: &str, pid: Pid) -> Result<()> {
        let engine = self.core.mesh()?;
        if self.core.is_remote(pid) {
            return Err(Error::new(
                ErrorKind::NotLocal,
                format!("pid {pid} lives on another node; register it there"),
            ));
        }
        let had = self.core.labelled(Label::Name(name)) == Some(pid);
        self.core.register_label(Label::Name(name), pid)?;
        engine.claim(name, pid).inspect_err(|_| {
            if !had {
                let _ = self.core.unregister_label(Label::Name(name));
            }
        })
    }

    /// Whether messages are on their way to nodes that are connected.
    #[must_use]
    pub fn is_mesh_sending(&self) -> bool {
        self.core.has_mesh().is_some_and(|n| n.is_sending())
    }
}

fn wait<T: Send + 'static>(what: &str, begin: impl FnOnce(Answer<T>)) -> Result<T> {
    check_may_block(what)?;
    let (tx, rx) = mpsc::channel();
    begin(Box::new(move |answer| {
        let _ = tx.send(answer);
    }));
    rx.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::RuntimeClosed, "the runtime is gone")))
}

impl Core {
    /// Who has a name in the cluster.
    pub(super) fn whereis_there(&self, name: &str) -> Option<Pid> {
        Arc::clone(self.has_mesh()?).whereis(name)
    }

    /// Takes a name away in the cluster; whether this node had it.
    pub(super) fn disclaim(&self, name: &str) -> bool {
        self.has_mesh().is_some_and(|engine| engine.disclaim(name))
    }
}

/// The asynchronous calls of a host's thread: their outcome comes as [`CallDone`](crate::message::LaneEvent::CallDone) with a
/// key of the host's.
impl super::HostLane {
    fn later<T>(&self, key: u64, bytes: impl FnOnce(T) -> Payload + Send + 'static) -> Answer<T> {
        let sink = CallSink::Lane(Arc::clone(self.lane()), key);
        Box::new(move |answer| sink.deliver(answer.map(bytes)))
    }

    /// [`Runtime::listen`]; the address comes as text.
    pub fn listen(&self, address: &str, options: ListenOptions, key: u64) {
        let answer = self.later(key, |bound: String| bound.into());
        match self.core.mesh() {
            Ok(node) => node.listen(address, options, answer),
            Err(e) => answer(Err(e)),
        }
    }

    /// [`Runtime::resolve_remote`]; the pid comes as eight bytes, low end first, none as no bytes.
    pub fn resolve_remote(&self, address: &str, name: &str, timeout: Duration, key: u64) {
        let answer = self.later(key, |pid: Option<Pid>| match pid {
            Some(pid) => (&pid.to_bits().to_le_bytes()).into(),
            None => Payload::empty(),
        });
        match self.core.mesh() {
            Ok(node) => node.resolve(address, name, timeout, answer),
            Err(e) => answer(Err(e)),
        }
    }

    /// [`Runtime::is_node_up`]; yes comes as one byte, no as none.
    pub fn is_node_up(&self, address: &str, timeout: Duration, key: u64) {
        let answer = self.later(key, |up| if up { Payload::from(b"1") } else { Payload::empty() });
        match self.core.mesh() {
            Ok(node) => node.probe(address, timeout, answer),
            Err(e) => answer(Err(e)),
        }
    }

    /// [`Runtime::join_cluster`]; nothing comes.
    pub fn join_cluster(&self, seeds: Vec<String>, options: ClusterOptions, key: u64) {
        let answer = self.later(key, |()| Payload::empty());
        match self.core.mesh() {
            Ok(engine) => engine.join_cluster(seeds, options, answer),
            Err(e) => answer(Err(e)),
        }
    }

    /// [`Runtime::look_remote_with`]; queue, capacity (0: none) and handled come as three times eight bytes, a dead actor as
    /// no bytes.
    pub fn look_remote(&self, pid: Pid, timeout: Duration, key: u64) {
        let answer = self.later(key, |seen: Option<Seen>| match seen {
            Some(s) => {
                let numbers = [s.queue as u64, s.capacity.map_or(0, u64::from), s.handled];
                numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>().into()
            }
            None => Payload::empty(),
        });
        match self.core.mesh() {
            Ok(node) => node.look(pid, timeout, answer),
            Err(e) => answer(Err(e)),
        }
    }
}
