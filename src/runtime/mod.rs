//! The one facade that Rust programs and both hosts use.

mod activation;
mod attach;
mod buffers;
mod calls;
mod codec;
mod core;
mod delays;
mod direct;
mod embed;
mod events;
mod exits;
mod exposition;
mod host;
mod info;
mod labels;
mod leases;
mod linger;
#[cfg(feature = "mesh")]
pub mod mesh;
#[cfg(not(feature = "mesh"))]
#[path = "mesh_off.rs"]
mod mesh;
mod native;
mod overflow;
mod parking;
mod paths;
mod pools;
mod posting;
mod pressure;
mod pull;
mod shutdown;
mod supervise;
mod supervised;
mod supervisors;
mod system;
mod turns;
#[cfg(feature = "vortex")]
pub mod vortex;
mod watching;

pub use self::core::Sent;
pub use crate::actor::health::Health;
#[cfg(feature = "jit")]
pub use crate::jit as offload;
#[cfg(feature = "jit")]
pub mod speculation;
pub use crate::message::PullSignal;
pub use crate::supervision::tree::{ChildSnapshot, Snapshot};
pub use buffers::KeptBuffer;
pub use calls::Replied;
pub use delays::{TimerId, delay_from_ms};
pub use direct::InHand;
pub use events::{
    DEAD_LETTERS, DeadLetter, EXITS, Event, EventKinds, EventWatch, NODES, NodeEvent, SPAWNS,
};
pub use host::HostLane;
pub use info::{ActorInfo, LaneMetrics, Metrics};
pub use linger::{Linger, Lingered};
pub use pressure::PressureWatch;
pub use pull::{Peeked, Pulled};
pub use supervise::{Factory, StartRequest};
pub use supervised::ChildSpec;
#[cfg(feature = "node")]
pub(crate) use turns::panic_info;
pub use turns::{Batch, Run};
pub use watching::MonitorRef;

pub use crate::mailbox::overflow::{Overflow, Pressure};
pub use crate::scheduler::lane::Nudge;
pub use crate::scheduler::stats::{BooksSnapshot, DropReason, Refusal};
pub use crate::scheduler::{is_lane_thread, mark_lane_thread};
pub use crate::supervision::backoff::Backoff;
pub use crate::supervision::policy::{Restart, Strategy};
pub use crate::supervision::tree::{ChildOptions, SupervisorOptions};

use self::core::Core;
use self::labels::Label;
use crate::actor::behavior::Actor;
use crate::actor::cell::ExitSink;
use crate::actor::request::CallSink;
use crate::clock::Clock;
use crate::config::{Config, SpawnOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::{ExitInfo, Payload};
use crate::sync::mpsc;
use std::sync::Arc;
use std::time::Duration;

/// A runtime: scheduler, mailboxes, names, calls, timers. Several may live in one process and share nothing.
///
/// Clones are handles of the same runtime; when the last one goes, what still runs is killed.
///
/// # Examples
/// ```
/// use iris::{Context, Message, Runtime};
///
/// let rt = Runtime::new(iris::Config::default())?;
/// let echo = rt.spawn(|m: Message, ctx: &mut Context<'_>| {
///     if ctx.is_call() {
///         let _ = ctx.reply(m.payload);
///     }
/// })?;
/// let reply = rt.call_blocking(echo, b"hello", std::time::Duration::from_secs(5))?;
/// assert_eq!(&*reply, b"hello");
/// rt.close(std::time::Duration::from_secs(1))?;
/// # Ok::<(), iris::Error>(())
/// ```
#[derive(Clone)]
pub struct Runtime {
    pub(crate) core: Arc<Core>,
    _last: Arc<Last>,
}

struct Last(Arc<Core>);

impl Drop for Last {
    fn drop(&mut self) {
        attach::withdraw(self.0.id);
        self.0.close_now();
    }
}

impl Runtime {
    /// Makes a runtime.
    ///
    /// # Errors
    /// `InvalidArgument` for a knob out of range; `AtCapacity` when 512 runtimes are open in this process.
    pub fn new(config: Config) -> Result<Self> {
        Self::with_clock(config, Clock::real())
    }

    /// Makes a runtime on a clock of the caller's, for tests.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(config: Config, clock: Clock) -> Result<Self> {
        let core = Core::new(config, clock)?;
        let last = Arc::new(Last(Arc::clone(&core)));
        attach::publish(core.id, &last);
        Ok(Self { core, _last: last })
    }

    /// Spawns a Rust actor with default options.
    ///
    /// # Errors
    /// `RuntimeClosed`, `AtCapacity`.
    pub fn spawn(&self, actor: impl Actor) -> Result<Pid> {
        self.spawn_with(actor, SpawnOptions::default())
    }

    /// Spawns a Rust actor.
    ///
    /// # Errors
    /// `InvalidArgument`, `RuntimeClosed`, `AtCapacity`.
    pub fn spawn_with(&self, actor: impl Actor, options: SpawnOptions) -> Result<Pid> {
        self.core.spawn_native(Box::new(actor), options)
    }

    /// Sends; `false`: the mailbox did not take it (unknown or dead pid, full, closed). Never blocks.
    pub fn send(&self, pid: Pid, payload: impl Into<Payload>) -> bool {
        self.core.send(pid, payload.into(), None, None).is_accepted()
    }

    /// Asks, and answers a future of the reply.
    ///
    /// # Errors
    /// At once: `NoSuchActor`, `MailboxFull`, `RuntimeClosed`. From the future: `Timeout`, `ActorExited`, `HandlerFailed`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the call open until its deadline; the reply is then dropped.
    pub fn call(
        &self,
        pid: Pid,
        payload: impl Into<Payload>,
        timeout: Duration,
    ) -> Result<impl Future<Output = Result<Payload>> + Send + 'static> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let sink = CallSink::Func(Box::new(move |outcome| {
            let _ = tx.send(outcome);
        }));
        self.core.call(pid, payload.into(), timeout, None, sink, None)?;
        Ok(async move {
            rx.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::RuntimeClosed, "the runtime is gone"))
            })
        })
    }

    /// Asks, and blocks this thread until the outcome.
    ///
    /// # Errors
    /// As [`call`](Self::call), and `WouldDeadlock` on a thread that runs a lane.
    pub fn call_blocking(
        &self,
        pid: Pid,
        payload: impl Into<Payload>,
        timeout: Duration,
    ) -> Result<Payload> {
        check_may_block("call_blocking")?;
        let (tx, rx) = mpsc::channel();
        let sink = CallSink::Func(Box::new(move |outcome| {
            let _ = tx.send(outcome);
        }));
        self.core.call(pid, payload.into(), timeout, None, sink, None)?;
        rx.recv()
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::RuntimeClosed, "the runtime is gone")))
    }

    /// Answers a call that a handler [deferred](crate::Context::defer_reply); `false`: it was over.
    pub fn reply(&self, call: CallId, payload: impl Into<Payload>) -> bool {
        self.core.reply(call, payload.into())
    }

    /// Stops an actor: see the contract, section 4. Answers whether it was alive.
    pub fn stop(&self, pid: Pid) -> bool {
        self.core.stop(pid, false, None)
    }

    /// Handles what is queued, then stops. Answers whether it was alive.
    pub fn stop_drain(&self, pid: Pid) -> bool {
        self.core.stop(pid, true, None)
    }

    /// As [`stop`](Self::stop) or, with `drain`, [`stop_drain`](Self::stop_drain); a handler that is not done after
    /// `timeout` (default: the runtime's) is abandoned.
    pub fn stop_within(&self, pid: Pid, drain: bool, timeout: Option<Duration>) -> bool {
        self.core.stop(pid, drain, timeout)
    }

    /// `Ok` while the runtime is open.
    ///
    /// # Errors
    /// `RuntimeClosed`.
    pub fn check_open(&self) -> Result<()> {
        self.core.check_open()
    }

    /// Ends an actor at once. Answers whether it was alive.
    pub fn kill(&self, pid: Pid) -> bool {
        self.core.kill(pid)
    }

    /// Blocks until the actor has ended; `None`: the timeout came first.
    ///
    /// # Errors
    /// `WouldDeadlock` on a thread that runs a lane.
    pub fn join(&self, pid: Pid, timeout: Option<Duration>) -> Result<Option<ExitInfo>> {
        check_may_block("join")?;
        let (tx, rx) = mpsc::channel();
        let token = self.core.join(
            pid,
            ExitSink::Func(Box::new(move |info| {
                let _ = tx.send(info);
            })),
        );
        Ok(match timeout {
            None => rx.recv().ok(),
            Some(t) => rx.recv_timeout(t).ok().or_else(|| {
                self.core.forget_join(pid, |t, _| t == token);
                rx.try_recv().ok()
            }),
        })
    }

    /// Calls `sink` when the actor has ended, or at once if it has. It runs on the thread that ends the actor and must
    /// not block.
    pub fn on_exit(&self, pid: Pid, sink: impl FnOnce(ExitInfo) + Send + 'static) {
        self.core.join(pid, ExitSink::Func(Box::new(sink)));
    }

    /// Whether the actor has not ended and is not about to.
    #[must_use]
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.core.is_alive(pid)
    }

    /// Gives a name to a live actor; the same pair again is fine.
    ///
    /// # Errors
    /// `InvalidArgument`, `NameTaken`, `NoSuchActor`, `RuntimeClosed`.
    pub fn register(&self, name: &str, pid: Pid) -> Result<()> {
        self.core.register_label(Label::Name(name), pid)
    }

    /// Takes a name away; answers whether it was held.
    ///
    /// # Errors
    /// `RuntimeClosed`.
    pub fn unregister(&self, name: &str) -> Result<bool> {
        let had = self.core.disclaim(name);
        Ok(self.core.unregister_label(Label::Name(name))? || had)
    }

    /// The live actor that holds a name: here, or else in the cluster.
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        self.core.labelled(Label::Name(name)).or_else(|| self.core.whereis_there(name))
    }

    /// Messages that wait for an actor; `None`: it has ended.
    #[must_use]
    pub fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.core.mailbox_size(pid)
    }

    /// What is known of a live actor.
    #[must_use]
    pub fn actor_info(&self, pid: Pid) -> Option<ActorInfo> {
        self.core.actor_info(pid)
    }

    /// Live actors in the order of their spawns. O(actors).
    #[must_use]
    pub fn list_actors(&self) -> Vec<Pid> {
        self.core.pids(|_| true)
    }

    /// The books and the sizes of things. O(1).
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// Says in what condition an actor is; [`ActorInfo::health`] tells it. The core draws no conclusion from it.
    ///
    /// # Errors
    /// `NoSuchActor`, `RuntimeClosed`.
    pub fn set_actor_health(&self, pid: Pid, health: Health) -> Result<()> {
        self.core.set_health(pid, health)
    }

    /// Compares the books with the mailboxes themselves. O(actors); meaningful only while the runtime is quiet.
    ///
    /// # Errors
    /// A sentence that says what does not balance.
    pub fn audit(&self) -> std::result::Result<(), String> {
        self.core.audit()
    }

    /// Sets who hears of actors that fail (crash, panic, abandoned) and that nobody supervises.
    pub fn on_failure(&self, hook: impl Fn(ExitInfo) + Send + Sync + 'static) {
        *self.core.failure_hook.lock() = Some(Arc::new(hook));
    }

    /// Fires the timers that a manual clock has made due.
    pub fn poll_timers(&self) {
        self.core.timers.poll();
    }

    /// Stops every actor, the last spawned first, and blocks until all have ended; what runs on after `timeout` is
    /// abandoned. Then every call is `RuntimeClosed`.
    ///
    /// # Errors
    /// `WouldDeadlock` on a thread that runs a lane.
    pub fn close(&self, timeout: Duration) -> Result<()> {
        check_may_block("close")?;
        let (tx, rx) = mpsc::channel();
        self.core.close(
            timeout,
            Box::new(move || {
                let _ = tx.send(());
            }),
        );
        let _ = rx.recv();
        Ok(())
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({} actors)", self.core.metrics().actors)
    }
}

/// `WouldDeadlock` on a thread that runs a lane, timers or I/O.
pub(crate) fn check_may_block(what: &str) -> Result<()> {
    if is_lane_thread() {
        return Err(Error::new(
            ErrorKind::WouldDeadlock,
            format!(
                "{what} waits, and this thread runs actors or timers; use the asynchronous form"
            ),
        ));
    }
    Ok(())
}
