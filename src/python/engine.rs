//! From batches to handlers: what the interpreter lane's thread and an event loop's lane have in common.
//!
//! The batch is shared state, looked at under a lock for each message: while a handler runs nobody holds the lock, so when
//! one never returns another thread can take over the rest of the batch. Each thread serves one *epoch*; the one that
//! takes over begins the next, and the old thread leaves when its handler returns after all.

use super::behavior::{Origin, Slot};
use super::buffer;
use super::codec::{self, MaybeCodec};
use super::context::Context;
use super::handler;
use super::home::{self, Home, attached};
use super::lane::Parker;
use super::outcome::{Awaited, fail_call, reply};
use super::shared::Shared;
use super::slots::{Slots, Versions};
use super::swap::Past;
use super::virtuals::Due;
use crate::config::SpawnOptions;
use crate::error::{ErrorKind, Result};
use crate::id::Pid;
use crate::message::{CrashInfo, Envelope, ExitReason, LaneEvent, Payload};
use crate::runtime::{Batch, HostLane};
use crate::sync::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The lane keeps the GIL at least this long while it has messages: twice CPython's switch interval. A thread that waits for the
/// GIL asks for it after one interval, and what asks is served: bytecode gives it up, and so does the end of a slice, until
/// another thread has it. A slice that ended before could be taken back before the waiting thread is awake, again and again.
const FORCED_NS: u64 = 10_000_000;
/// Messages a lane takes at once.
const BATCH: usize = 512;
/// Messages between two looks at the clock.
const LOOK: u32 = 16;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The actor whose handler runs on this thread, as a number; 0: none.
pub(super) fn current_actor() -> u64 {
    CURRENT.get()
}

/// From now on this thread runs only this actor.
pub(super) fn set_current(pid: Pid) {
    CURRENT.set(pid.to_bits());
}

#[derive(Default)]
struct Work {
    batch: Batch,
    /// First message of the batch that no handler has got.
    next: usize,
    /// The run it belongs to.
    run: usize,
    epoch: u64,
    control: u32,
    /// Whose handler runs, and on which message; [`HOOK`]: its hook.
    running: Option<(Pid, usize)>,
    /// Hooks that are due, oldest first.
    hooks: VecDeque<Due>,
}

/// The place of a message that is none.
const HOOK: usize = usize::MAX;

/// A message on its way into a handler.
struct Taken {
    pid: Pid,
    key: u32,
    index: usize,
    envelope: Envelope,
}

enum Fetch {
    Message(Taken),
    Hook(Due),
    Events(Vec<LaneEvent>),
    Empty,
    Replaced,
}

/// Why a drain paused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing to do; the lane sleeps.
    Idle,
    /// The time slice is over.
    Slice,
    /// Another thread serves this lane now.
    Replaced,
}

/// A lane and its handlers.
pub(super) struct Engine {
    lane: HostLane,
    /// How the lane's own thread sleeps; `None`: the lane belongs to an event loop.
    pub(super) parker: Option<Arc<Parker>>,
    /// Whether the thread is one actor's own, and ends with it.
    own: bool,
    slots: Mutex<Slots>,
    /// What the last actor had from its spawn.
    last: Mutex<Option<Arc<Origin>>>,
    /// Counts hot swaps: a handler that is at hand is looked up again.
    swaps: AtomicU64,
    work: Mutex<Work>,
    epoch: AtomicU64,
    /// Handlers that are being awaited on an event loop.
    pub(super) tasks: Mutex<HashMap<Pid, Py<PyAny>>>,
}

/// A handler with the GIL at hand.
struct Loaded<'py> {
    pid: Pid,
    swaps: u64,
    handler: Bound<'py, PyAny>,
    wants_ctx: bool,
    ctx: Option<Bound<'py, Context>>,
    variables: Option<Bound<'py, PyAny>>,
    /// `variables.run`.
    run: Option<Bound<'py, PyAny>>,
    home: Option<Arc<Home>>,
    codec: MaybeCodec,
}

impl Engine {
    pub(super) fn new(lane: HostLane, parker: Option<Arc<Parker>>, own: bool) -> Arc<Self> {
        Arc::new(Self {
            lane,
            parker,
            own,
            slots: Mutex::default(),
            last: Mutex::default(),
            swaps: AtomicU64::new(0),
            work: Mutex::default(),
            epoch: AtomicU64::new(0),
            tasks: Mutex::default(),
        })
    }

    pub(super) fn lane(&self) -> &HostLane {
        &self.lane
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether its thread is one actor's own.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// Actors that live here.
    pub(super) fn actors(&self) -> usize {
        self.slots.lock().len()
    }

    /// Spawns an actor on this lane.
    pub(super) fn spawn(&self, slot: Slot, options: SpawnOptions) -> Result<Pid> {
        let has_parent = options.parent.is_some();
        self.enter(slot, has_parent, |lane, key| lane.spawn(key, options))
    }

    /// Finds a key for a new actor's handler, and spawns it.
    pub(super) fn enter(
        &self,
        slot: Slot,
        has_parent: bool,
        spawn: impl FnOnce(&HostLane, u32) -> Result<Pid>,
    ) -> Result<Pid> {
        let mut slot = slot;
        let spare = slot.origin.as_mut().and_then(|origin| self.share(origin));
        drop(spare);
        let key = self.slots.lock().insert(slot);
        spawn(&self.lane, key).inspect_err(|e| {
            // A child whose parent is gone has lived: its key is freed when the lane hears of its end.
            if !(has_parent && e.kind() == ErrorKind::NoSuchActor) {
                drop(self.free(key));
            }
        })
    }

    /// Lets `origin` be that of the last spawn if it is like it; answers the one that is not needed any more.
    fn share(&self, origin: &mut Arc<Origin>) -> Option<Arc<Origin>> {
        if origin.variables.is_some() {
            return None; // each copy of a context is an object of its own
        }
        let mut last = self.last.lock();
        match &*last {
            Some(last) if last.is_like(origin) => Some(std::mem::replace(origin, Arc::clone(last))),
            _ => last.replace(Arc::clone(origin)),
        }
    }

    fn free(&self, key: u32) -> Option<(Slot, Option<Past>)> {
        self.slots.lock().remove(key)
    }

    /// Looks at, or changes, the handler of an actor of this lane, between two of its messages. With the GIL, which keeps
    /// the key from being freed meanwhile.
    pub(super) fn with_slot<R>(
        &self,
        py: Python<'_>,
        pid: Pid,
        change: impl FnOnce(&mut Slot) -> R,
    ) -> Option<R> {
        self.with_versions(py, pid, |slot, _| change(slot))
    }

    /// As [`with_slot`](Self::with_slot), with what hot swaps of the actor have replaced.
    pub(super) fn with_versions<R>(
        &self,
        _py: Python<'_>,
        pid: Pid,
        change: impl FnOnce(&mut Slot, Versions<'_>) -> R,
    ) -> Option<R> {
        let key = self.lane.key_of(pid)?;
        let mut slots = self.slots.lock();
        let (slot, past) = slots.with_versions(key)?;
        let result = change(slot, past);
        self.swaps.fetch_add(1, Ordering::Release);
        Some(result)
    }

    /// Lets go of every handler: the runtime is closed.
    pub(super) fn clear(&self, py: Python<'_>) {
        let slots = std::mem::take(&mut *self.slots.lock());
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let last = self.last.lock().take();
        drop(last);
        for task in tasks.into_values() {
            home::cancel(py, &task);
        }
        drop(slots);
    }

    /// The event loop of this lane is gone: so are its actors.
    pub(super) fn close_lane(&self) {
        self.lane.close();
    }

    /// Runs handlers until there is nothing to do, the time slice is over, or another thread has taken over.
    pub(super) fn drain(
        self: &Arc<Self>,
        py: Python<'_>,
        shared: &Arc<Shared>,
        epoch: u64,
    ) -> Pause {
        let begun = shared.clock.now_ns();
        let until = begun.saturating_add(shared.slice_ns.max(FORCED_NS));
        let mut loaded: Option<Loaded<'_>> = None;
        let mut handled = 0_u32;
        let pause = loop {
            match attached(py, shared, || self.fetch(epoch)) {
                Fetch::Replaced => break Pause::Replaced,
                Fetch::Empty => {
                    if self.lane.try_sleep() {
                        break Pause::Idle;
                    }
                }
                Fetch::Events(events) => self.hear(py, shared, events),
                Fetch::Hook(due) => {
                    loaded = None;
                    self.run_hook(py, shared, epoch, due);
                    handled = handled.wrapping_add(1);
                    if handled.is_multiple_of(LOOK) && shared.clock.now_ns() >= until {
                        break Pause::Slice;
                    }
                }
                Fetch::Message(taken) => {
                    let swaps = self.swaps.load(Ordering::Acquire);
                    if loaded.as_ref().is_none_or(|l| l.pid != taken.pid || l.swaps != swaps) {
                        CURRENT.set(taken.pid.to_bits());
                        loaded = self.load(py, shared, &taken, swaps);
                    }
                    match &loaded {
                        Some(actor) => self.handle(py, shared, epoch, actor, taken),
                        None => self.crash(py, shared, epoch, taken.index, no_handler()),
                    }
                    handled = handled.wrapping_add(1);
                    if handled.is_multiple_of(LOOK) && shared.clock.now_ns() >= until {
                        break Pause::Slice;
                    }
                }
            }
        };
        CURRENT.set(0);
        self.lane.held(shared.clock.now_ns().saturating_sub(begun));
        pause
    }

    /// The next message; whatever the lane must be told about the one before is told here.
    fn fetch(&self, epoch: u64) -> Fetch {
        let mut guard = self.work.lock();
        let w = &mut *guard;
        if w.epoch != epoch {
            return Fetch::Replaced;
        }
        w.running = None;
        loop {
            let taken = w.batch.envelopes.len();
            if w.next >= taken {
                if !w.batch.runs.is_empty() {
                    self.lane.settle(&mut w.batch, taken, taken);
                }
                (w.next, w.run) = (0, 0);
                if let Some(due) = w.hooks.pop_front() {
                    w.running = Some((due.pid, HOOK));
                    return Fetch::Hook(due);
                }
                let mut events = Vec::new();
                self.lane.take_events(&mut events);
                let before = events.len();
                events.retain(|e| match *e {
                    LaneEvent::Hook { pid, activate, .. } => {
                        w.hooks.push_back(Due { pid, activate });
                        false
                    }
                    _ => true,
                });
                if !events.is_empty() {
                    return Fetch::Events(events);
                }
                if before != 0 {
                    continue;
                }
                w.control = self.lane.control();
                self.lane.take(&mut w.batch, BATCH, |_| true);
                if w.batch.envelopes.is_empty() {
                    return Fetch::Empty;
                }
            }
            if w.control != self.lane.control() {
                w.control = self.lane.control();
                for at in w.run..w.batch.runs.len() {
                    let first = w.batch.runs[at].start.max(w.next);
                    self.lane.cut_if_gone(&mut w.batch, first);
                }
            }
            while w.batch.runs.get(w.run).is_some_and(|r| r.end <= w.next) {
                w.run += 1;
            }
            let Some(run) = w.batch.runs.get(w.run).copied() else {
                w.next = w.batch.envelopes.len();
                continue;
            };
            if w.next >= run.cut || run.detached {
                w.next = run.end;
                continue;
            }
            let index = w.next;
            w.next += 1;
            self.lane.settle(&mut w.batch, index, w.next);
            w.running = Some((run.pid, index));
            let e = &mut w.batch.envelopes[index];
            let payload = std::mem::replace(&mut e.payload, Payload::empty());
            let envelope = Envelope { payload, sender: e.sender, call: e.call };
            return Fetch::Message(Taken { pid: run.pid, key: run.key, index, envelope });
        }
    }

    fn load<'py>(
        &self,
        py: Python<'py>,
        shared: &Arc<Shared>,
        taken: &Taken,
        swaps: u64,
    ) -> Option<Loaded<'py>> {
        let mut loaded = {
            let slots = self.slots.lock();
            let slot = slots.get(taken.key)?;
            let origin = slot.origin.as_deref();
            Loaded {
                pid: taken.pid,
                swaps,
                handler: slot.now.handler.bind(py).clone(),
                wants_ctx: slot.now.wants_ctx,
                ctx: slot.ctx.as_ref().map(|c| c.bind(py).clone()),
                variables: origin.and_then(|o| o.variables.as_ref()).map(|v| v.bind(py).clone()),
                run: None,
                home: origin.and_then(|o| o.home.clone()),
                codec: origin.and_then(|o| o.codec.clone()),
            }
        };
        if let Some(variables) = &loaded.variables {
            loaded.run = Some(variables.getattr(intern!(py, "run")).ok()?);
        }
        if loaded.wants_ctx && loaded.ctx.is_none() {
            let ctx = Context::new(shared, taken.pid, None, loaded.codec.clone());
            let ctx = Bound::new(py, ctx).ok()?;
            loaded.ctx = Some(ctx.clone());
            if let Some(slot) = self.slots.lock().get_mut(taken.key) {
                slot.ctx = Some(ctx.unbind());
            }
        }
        Some(loaded)
    }

    fn handle(
        self: &Arc<Self>,
        py: Python<'_>,
        shared: &Arc<Shared>,
        epoch: u64,
        actor: &Loaded<'_>,
        taken: Taken,
    ) {
        let Taken { pid, index, envelope, .. } = taken;
        let message = codec::decode(py, actor.codec.as_deref(), envelope.payload);
        let ctx = match (actor.wants_ctx, envelope.call) {
            (false, _) => None,
            (true, None) => actor.ctx.clone(),
            (true, call) => {
                let main = actor.ctx.clone().map(Bound::unbind);
                let codec = actor.codec.clone();
                Bound::new(py, Context::for_call(shared, pid, call, main, codec)).ok()
            }
        };
        if let Some(ctx) = &ctx {
            ctx.get().set_sender(envelope.sender);
        }
        let result = message.and_then(|message| actor.invoke(&message, ctx.as_ref()));
        if self.epoch() != epoch {
            return; // abandoned: everything about this message has been settled
        }
        let unanswered = || match (&ctx, envelope.call) {
            (Some(ctx), Some(_)) => ctx.get().take_call(),
            (_, call) => call,
        };
        let error = match result {
            Ok(value) if value.is_none() && envelope.call.is_none() => return,
            Ok(value) if handler::is_awaitable(&value) => {
                let home = actor.home.clone();
                let awaited = Awaited {
                    engine: Arc::clone(self),
                    pid,
                    coroutine: value.unbind(),
                    variables: actor.variables.clone().map(Bound::unbind),
                    call: envelope.call,
                    ctx: ctx.map(Bound::unbind),
                    hook: None,
                    codec: actor.codec.clone(),
                };
                self.suspend(py, shared, epoch, index, home, awaited);
                return;
            }
            Ok(value) => match unanswered() {
                None => return,
                Some(call) => match reply(py, shared, call, &value, actor.codec.as_deref()) {
                    Ok(()) => return,
                    Err(e) => {
                        fail_call(py, shared, call, &e);
                        e
                    }
                },
            },
            Err(e) => {
                if let Some(call) = unanswered() {
                    fail_call(py, shared, call, &e);
                }
                e
            }
        };
        self.crash(py, shared, epoch, index, handler::describe(py, &error));
    }

    fn crash(&self, py: Python<'_>, shared: &Shared, epoch: u64, index: usize, info: CrashInfo) {
        attached(py, shared, || {
            let mut guard = self.work.lock();
            let w = &mut *guard;
            if w.epoch == epoch {
                self.lane.crash(&mut w.batch, index, info);
                w.running = None;
            }
        });
    }

    /// Lets an event loop await what the handler answered; the actor's turn stays open.
    fn suspend(
        &self,
        py: Python<'_>,
        shared: &Arc<Shared>,
        epoch: u64,
        index: usize,
        home: Option<Arc<Home>>,
        awaited: Awaited,
    ) {
        attached(py, shared, || {
            let mut guard = self.work.lock();
            let w = &mut *guard;
            if w.epoch == epoch {
                self.lane.suspend(&mut w.batch, index);
                w.running = None;
            }
        });
        match home.map_or_else(|| shared.own_home(py), Ok) {
            Ok(home) => home.take_over(py, awaited),
            Err(e) => awaited.over(py, shared, Err(e)),
        }
    }

    fn hear(&self, py: Python<'_>, shared: &Arc<Shared>, events: Vec<LaneEvent>) {
        for event in events {
            if let LaneEvent::Start { key, ticket, old } = event {
                shared.start(py, key, ticket, old);
            } else if let LaneEvent::Forget { key } = event {
                shared.forget_factory(key);
            } else if let LaneEvent::Gone { pid, key } = event {
                let slot = self.free(key);
                if let Some(ctx) = slot.as_ref().and_then(|s| s.0.ctx.as_ref()) {
                    ctx.get().put_state(None);
                }
                drop(slot);
                let task = self.tasks.lock().remove(&pid);
                if let Some(task) = task {
                    home::cancel(py, &task);
                }
                if self.own {
                    drop(shared.released.ended(pid));
                    self.parker.iter().for_each(|p| p.quit());
                }
            }
        }
    }

    /// The actor whose handler runs, and a number that changes with every message.
    pub(super) fn running(&self) -> Option<(Pid, usize, u64)> {
        let w = self.work.lock();
        w.running.map(|(pid, index)| (pid, index, w.epoch))
    }

    /// Gives up the handler of `pid` if it is the one that runs; answers the epoch of the thread that takes over.
    pub(super) fn give_up(&self, pid: Pid, why: ExitReason) -> Option<u64> {
        let mut guard = self.work.lock();
        let w = &mut *guard;
        let index = w.running.filter(|(p, _)| *p == pid).map(|(_, index)| index)?;
        w.running = None;
        w.epoch += 1;
        self.epoch.store(w.epoch, Ordering::Release);
        self.lane.abandon(&mut w.batch, index, why);
        Some(w.epoch)
    }
}

/// There is no memory for a handler's context.
fn no_handler() -> CrashInfo {
    CrashInfo { message: "the handler could not be called".into(), stack: None }
}

impl<'py> Loaded<'py> {
    #[inline]
    fn invoke(
        &self,
        message: &Bound<'py, PyAny>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ctx = ctx.map(Bound::as_any);
        match &self.run {
            None => buffer::call(&self.handler, message, ctx, None),
            Some(run) => buffer::call(run, &self.handler, Some(message), ctx),
        }
    }
}
