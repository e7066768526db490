//! Turns of Rust actors, on the pool's worker threads.

use super::core::Core;
use super::turns::panic_info;
use super::watching::Watcher;
use crate::actor::behavior::{Actor, Crash, Message};
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::actor::context::{Context, Effects};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::{CrashInfo, Envelope, ExitReason, Payload};
use crate::scheduler::lane::Runnable;
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, contain};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most room that a worker keeps in its hands, in messages.
const HANDS: usize = 1024;
/// A worker that found fewer messages than this, and has nothing else to do, gives the senders time.
const GATHER_BELOW: usize = 64;
/// How much, in turns of a loop: one to three microseconds.
const GATHER: u32 = 200;

/// Lets messages gather. A worker is often faster than who sends; coming back at once, it would meet the sender at the
/// cell's lock for every single message, and each would wait for the other's cache lines.
fn gather() {
    (0..GATHER).for_each(|_| std::hint::spin_loop());
}

/// A worker, for as long as it lives.
struct Worker<'a> {
    core: &'a Core,
    number: usize,
    /// What it has taken of one mailbox and not begun; empty between turns. Queues are exchanged with mailboxes: the small
    /// with the small, so that an actor with one message at a time is not left with room for a thousand.
    hands: [VecDeque<Envelope>; 2],
}

/// An open turn of a Rust actor.
struct Turn {
    pid: Pid,
    actor: Box<dyn Actor>,
    /// Which of the worker's hands its messages are in.
    hand: usize,
    /// The pool's control word when the actor was last known to be well.
    looked: u32,
    /// The mailbox must know of every message that is begun.
    exact: bool,
    /// Messages handled since the turn was opened or went on.
    handled: usize,
    /// The mailbox had few messages when it was looked at last.
    ran_dry: bool,
    /// The turn goes on: more came while the first messages were handled, so who sends does not wait for this actor.
    streams: bool,
}

impl Core {
    /// A worker thread's life.
    pub(super) fn work(&self, number: usize) {
        let mut worker = Worker { core: self, number, hands: Default::default() };
        let mut tick = 0;
        while let Some(r) = self.pool.next(number, &mut tick) {
            worker.run(r);
            // What a flood has left behind.
            if worker.hands[1].capacity() > HANDS {
                worker.hands[1] = VecDeque::new();
            }
        }
    }
}

impl Core {
    /// Hands the calls among the taken messages to their actor, and drops those that are over.
    #[cold]
    fn take_calls(&self, c: &mut Cell, hands: &mut VecDeque<Envelope>) {
        let over = self.hand_calls(c, hands.make_contiguous());
        hands.truncate(hands.len() - over);
        if over != 0 {
            self.books.expired_in_flight(over as u64);
        }
    }

    /// Looks at the actor between two messages, and tells its mailbox that one of the `left` has begun.
    #[cold]
    fn may_go_on(&self, turn: &mut Turn, left: usize) -> bool {
        let Some(slot) = self.slot(turn.pid) else { return false };
        let mut c = slot.lock();
        if !c.is(turn.pid.generation()) || !c.accepts_or_drains() {
            return false;
        }
        turn.exact |= c.life == Life::Draining;
        c.mailbox.set_reserved(left.saturating_sub(1) as u32);
        true
    }
}

impl Worker<'_> {
    fn run(&mut self, r: Runnable) {
        let core = self.core;
        let Some(slot) = core.table.get(r.slot) else { return };
        let looked = core.pool_control.load(Ordering::Acquire);
        let mut c = slot.lock();
        if !c.is(r.generation) || c.sched != Sched::Queued {
            return;
        }
        let Body::Native(actor) = std::mem::replace(&mut c.body, Body::Empty) else { return };
        c.sched = Sched::Running;
        let pid = core.pid_of(r.slot, r.generation);
        let mut turn = Turn {
            pid,
            actor,
            hand: 0,
            looked,
            exact: false,
            handled: 0,
            ran_dry: false,
            streams: false,
        };
        loop {
            self.take(c, &mut turn);
            if let Err((why, info)) = self.handle(&mut turn) {
                core.crash_turn(
                    pid,
                    turn.handled,
                    self.hands[turn.hand].drain(..),
                    why,
                    info.into(),
                );
                contain(|| drop(turn.actor));
                return;
            }
            if turn.handled != 0 {
                core.books.handled(turn.handled as u64);
            }
            if turn.streams && turn.ran_dry && core.pool.is_alone(self.number) {
                gather();
            }
            turn.looked = core.pool_control.load(Ordering::Acquire);
            c = slot.lock();
            if !self.hands[turn.hand].is_empty() || !c.is(r.generation) || !c.accepts_or_drains() {
                return self.leave(c, turn);
            }
            c.handled += turn.handled as u64;
            turn.handled = 0;
            turn.streams = true;
            c.mailbox.set_reserved(0);
            core.note_pressure(&mut c, pid);
            if c.life == Life::Alive && !c.has_waiters() {
                if c.mailbox.is_empty() {
                    c.body = Body::Native(turn.actor);
                    c.sched = Sched::Idle;
                    c.mailbox.rest();
                    drop(c);
                    core.ring_pressure();
                    return;
                }
                // If nobody else of this worker is runnable, the actor is at the end of the queue as it is.
                if core.pool.is_alone(self.number) {
                    continue;
                }
            }
            c.body = Body::Native(turn.actor);
            let wake = core.close_turn(c, pid, None);
            core.ring_pressure();
            core.wake(wake);
            return;
        }
    }

    /// Takes in hand what a turn may handle.
    #[inline]
    fn take(&mut self, mut c: MutexGuard<'_, Cell>, turn: &mut Turn) {
        let budget = c.budget as usize;
        let calls = c.mailbox.may_hold_calls();
        turn.hand = usize::from(!c.mailbox.is_small());
        let hands = &mut self.hands[turn.hand];
        c.mailbox.exchange(budget, hands);
        let taken = hands.len();
        turn.ran_dry = taken < budget.min(GATHER_BELOW);
        if calls {
            self.core.take_calls(&mut c, hands);
        }
        c.mailbox.set_reserved(hands.len().saturating_sub(1) as u32);
        turn.exact = c.mailbox.capacity().is_some() || c.life == Life::Draining;
        drop(c);
        self.core.books.taken(taken as u64);
        self.core.ring_pressure();
    }

    /// Handles what is in hand. What is there afterwards is not to be handled.
    #[inline]
    fn handle(&mut self, turn: &mut Turn) -> std::result::Result<(), Failure> {
        let core = self.core;
        let hands = &mut self.hands[turn.hand];
        while !hands.is_empty() {
            let now = core.pool_control.load(Ordering::Relaxed);
            // A bounded mailbox counts what is not begun; a draining actor shows that it gets on.
            if now != turn.looked || (turn.exact && turn.handled != 0) {
                turn.looked = now;
                if !core.may_go_on(turn, hands.len()) {
                    break;
                }
            }
            let Some(e) = hands.pop_front() else { break };
            if e.call.is_some_and(|id| !core.calls.is_open(id)) {
                core.books.expired_in_flight(1);
                continue;
            }
            let mut ctx = Context { effects: core, pid: turn.pid, call: e.call };
            let message = Message { payload: e.payload, sender: e.sender };
            let actor = &mut turn.actor;
            match catch_unwind(AssertUnwindSafe(|| actor.handle(message, &mut ctx))) {
                Ok(Ok(())) => turn.handled += 1,
                Ok(Err(Crash(info))) => return Err(failed(core, &ctx, ExitReason::Crash, info)),
                Err(panic) => {
                    return Err(failed(core, &ctx, ExitReason::Panic, panic_info(&*panic)));
                }
            }
            if let Some(id) = ctx.call {
                core.reply(id, Payload::empty());
            }
        }
        Ok(())
    }

    /// Ends the turn of an actor that was stopped or has ended, or whose hands are not empty.
    #[cold]
    fn leave(&mut self, mut c: MutexGuard<'_, Cell>, turn: Turn) {
        let mut left = Some(turn.actor);
        if c.is(turn.pid.generation()) {
            c.body = left.take().map_or(Body::Empty, Body::Native);
            c.handled += turn.handled as u64;
        }
        drop(c);
        let wake = self.core.end_turn(turn.pid, 0, self.hands[turn.hand].drain(..), None);
        self.core.wake(wake);
        contain(|| drop(left));
    }
}

/// Why an actor ends, and what it threw.
type Failure = (ExitReason, CrashInfo);

/// The handler failed: so does the call that it owed an answer.
#[cold]
fn failed(core: &Core, ctx: &Context<'_>, why: ExitReason, info: CrashInfo) -> Failure {
    if let Some(id) = ctx.call {
        let message = format!("the handler of pid {} failed: {}", ctx.pid, info.message);
        let error = Error::new(ErrorKind::HandlerFailed, message);
        core.fail_call(id, error.with_stack(info.stack.clone()));
    }
    (why, info)
}

impl Effects for Core {
    fn send(&self, to: Pid, payload: Payload, sender: Pid) -> bool {
        Core::send(self, to, payload, Some(sender), None).is_accepted()
    }
    fn reply(&self, call: CallId, payload: Payload) -> bool {
        Core::reply(self, call, payload)
    }
    fn stop(&self, pid: Pid) -> bool {
        Core::stop(self, pid, false, None)
    }
    fn monitor(&self, target: Pid, watcher: Pid) -> Result<u64> {
        Core::monitor(self, target, Watcher::Actor(watcher))
    }
    fn link(&self, a: Pid, b: Pid) -> Result<()> {
        Core::link(self, a, b)
    }
}
