//! Full mailboxes, pressure, load shedding.

use super::core::{Core, Sent, Wake};
use crate::actor::cell::{Cell, Life, Waiter};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::mailbox::overflow::{Overflow, Pressure};
use crate::message::{Envelope, Payload, RuntimeNews};
use crate::scheduler::lane::Lane;
use crate::scheduler::stats::{DropReason, Refusal};
use crate::sync::MutexGuard;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

/// Longest way of a redirected message, in actors. Cycles are refused when they are set; this bounds what two policies that
/// are set at the same moment could still make.
const MAX_HOPS: u32 = 32;

/// The knobs of a runtime that shed load.
pub(super) struct Shedding {
    on: AtomicBool,
    actors: AtomicU64,
    messages: AtomicU64,
    marks: [AtomicU32; 2],
}

impl Default for Shedding {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            actors: AtomicU64::new(u64::MAX),
            messages: AtomicU64::new(u64::MAX),
            marks: [AtomicU32::new(1_000), AtomicU32::new(10_000)],
        }
    }
}

impl Core {
    /// A message for a full mailbox: what its policy says. `envelope` is called at most once.
    #[cold]
    pub(super) fn overflow(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        here: Option<&Arc<Lane>>,
        envelope: &mut dyn FnMut(Pid) -> Envelope,
        hops: u32,
    ) -> Result<bool, Refusal> {
        let policy = c.extra.as_ref().map_or(Overflow::DropNew, |x| x.overflow);
        match policy {
            Overflow::DropNew | Overflow::Block => Err(Refusal::Full),
            Overflow::Redirect(to) => {
                drop(c);
                if hops >= MAX_HOPS {
                    return Err(Refusal::Full);
                }
                self.try_deliver_over(to, here, envelope, hops + 1).map_err(|why| match why {
                    Refusal::NoSuchActor | Refusal::Foreign => Refusal::TargetGone,
                    other => other,
                })
            }
            Overflow::DropOld | Overflow::Spill(_) => {
                // What the lane has in its hands is not taken back: then the queue is empty, and the new one is next.
                let old = c.mailbox.pop_oldest_user();
                c.mailbox.push(envelope(pid));
                self.books.accepted();
                self.note_pressure(&mut c, pid);
                drop(c);
                self.ring_pressure();
                let Some(old) = old else { return Ok(false) };
                let Overflow::Spill(to) = policy else {
                    self.lose(old, DropReason::Displaced, pid);
                    return Ok(false);
                };
                let call = old.call;
                let mut old = Some(old);
                let spilled = self.try_deliver_over(
                    to,
                    here,
                    &mut |to| {
                        if let Some(id) = call {
                            self.calls.retarget(id, to);
                        }
                        old.take().unwrap_or(Envelope {
                            payload: Payload::empty(),
                            sender: None,
                            call: None,
                        })
                    },
                    hops + 1,
                );
                match (spilled, old) {
                    (Ok(arm), _) => {
                        self.books.forwarded();
                        Ok(arm)
                    }
                    (Err(why), Some(old)) => {
                        let full = matches!(why, Refusal::Full | Refusal::Shed);
                        let why =
                            if full { DropReason::TargetFull } else { DropReason::TargetGone };
                        self.lose(old, why, to);
                        Ok(false)
                    }
                    (Err(_), None) => Ok(false),
                }
            }
        }
    }

    /// A message that had been accepted is dropped.
    fn lose(&self, old: Envelope, why: DropReason, pid: Pid) {
        self.books.dropped(why);
        if let Some(id) = old.call {
            self.fail_call(
                id,
                Error::new(
                    ErrorKind::MailboxFull,
                    format!("the mailbox of pid {pid} was full and the call was dropped from it"),
                ),
            );
        }
    }

    pub(super) fn set_overflow(&self, pid: Pid, policy: Overflow) -> Result<()> {
        self.check_open()?;
        // Follow the targets' policies: the way must not come back.
        let mut next = policy.target();
        let mut seen = 0;
        while let Some(to) = next {
            if to == pid || seen == MAX_HOPS {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("policy {:?} to pid {to} would make a cycle", policy.as_str()),
                ));
            }
            seen += 1;
            next = self.overflow_of(to).and_then(Overflow::target);
        }
        if let Some(to) = policy.target()
            && !self.is_alive(to)
        {
            return Err(self.no_such_actor(to));
        }
        let slot = self.slot(pid).ok_or_else(|| self.no_such_actor(pid))?;
        let mut c = slot.lock();
        if !c.takes(pid.generation()) {
            drop(c);
            return Err(self.no_such_actor(pid));
        }
        if c.mailbox.capacity().is_none() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("the mailbox of pid {pid} is unbounded and never full; spawn it bounded"),
            ));
        }
        c.extra().overflow = policy;
        Ok(())
    }

    fn overflow_of(&self, pid: Pid) -> Option<Overflow> {
        let c = self.slot(pid)?.lock();
        if !c.is(pid.generation()) {
            return None;
        }
        Some(c.extra.as_ref().map_or(Overflow::DropNew, |x| x.overflow))
    }

    /// Whether who finds the mailbox full waits for room.
    #[cold]
    pub(super) fn blocks(&self, pid: Pid) -> bool {
        self.overflow_of(pid) == Some(Overflow::Block)
    }

    /// Sends, and waits for room where the policy is `block`: `done(true)` once the mailbox took it, `done(false)` if it
    /// never will. Answers a token to [give up](Self::forget_wait) with, if it waits, and whether the lane must be armed.
    pub(super) fn send_wait(
        &self,
        pid: Pid,
        payload: Payload,
        sender: Option<Pid>,
        here: Option<&Arc<Lane>>,
        done: Box<dyn FnOnce(bool) + Send>,
    ) -> (Option<u64>, bool) {
        if let Some(slot) = self.slot(pid) {
            let mut c = slot.lock();
            let full = c.takes(pid.generation()) && !c.mailbox.has_room();
            if full && c.extra.as_ref().is_some_and(|x| x.overflow == Overflow::Block) {
                let token = self.sequence.fetch_add(1, Ordering::Relaxed);
                c.extra().waiters.push_back(Waiter { token, payload, sender, done });
                return (Some(token), false);
            }
        }
        let sent = self.send(pid, payload, sender, here);
        done(sent.is_accepted());
        (None, sent == Sent::Accepted { arm: true })
    }

    /// Takes a waiting send back; answers whether it was still waiting.
    pub(super) fn forget_wait(&self, pid: Pid, token: u64) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return false;
        }
        let Some(x) = &mut c.extra else { return false };
        let before = x.waiters.len();
        x.waiters.retain(|w| w.token != token);
        x.waiters.len() != before
    }

    /// Lets in who waits, as far as there is room and the actor takes messages; the caller tells them once the lock is gone.
    #[cold]
    pub(super) fn admit(&self, c: &mut Cell) -> Vec<Box<dyn FnOnce(bool) + Send>> {
        let mut told = Vec::new();
        while c.life == Life::Alive
            && c.mailbox.has_room()
            && let Some(w) = c.extra.as_mut().and_then(|x| x.waiters.pop_front())
        {
            c.mailbox.push(Envelope { payload: w.payload, sender: w.sender, call: None });
            self.books.accepted();
            told.push(w.done);
        }
        let waiting = c.mailbox.len();
        if let Some(x) = c.extra.as_mut().filter(|x| !x.vacancies.is_empty()) {
            for (_, sink) in x.vacancies.extract_if(.., |(most, _)| waiting <= *most) {
                told.push(Box::new(move |_| sink()));
            }
        }
        told
    }

    /// Calls `sink` once the mailbox holds no more than `most` messages; `false`, and no call, if that is so now or the actor
    /// has ended.
    #[cfg(feature = "mesh")]
    pub(super) fn when_room(&self, pid: Pid, most: usize, sink: Box<dyn FnOnce() + Send>) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let mut c = slot.lock();
        if !c.takes(pid.generation()) || c.mailbox.len() <= most {
            return false;
        }
        c.extra().vacancies.push((most, sink));
        true
    }

    /// After messages of `pid` have begun: lets in who waits. For callers that hold no lock.
    pub(super) fn admit_to(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if !c.takes(pid.generation()) || !c.has_waiters() {
            return;
        }
        let told = self.admit(&mut c);
        self.note_pressure(&mut c, pid);
        let wake = if c.may_schedule() { self.schedule(&mut c, pid, None) } else { Wake::None };
        drop(c);
        self.wake(wake);
        self.ring_pressure();
        for done in told {
            done(true);
        }
    }

    /// Nobody will let these in any more.
    pub(super) fn turn_away(&self, waiters: impl IntoIterator<Item = Waiter>) {
        for w in waiters {
            self.books.refused(Refusal::NoSuchActor, 1);
            (w.done)(false);
        }
    }

    /// Whether `send` is refused because too many messages wait.
    #[inline]
    pub(super) fn sheds_messages(&self) -> bool {
        self.shedding.on.load(Ordering::Relaxed) && self.too_many_messages()
    }

    /// Whether messages may be refused because there are too many.
    pub(super) fn may_shed(&self) -> bool {
        self.shedding.on.load(Ordering::Relaxed)
    }

    #[cold]
    fn too_many_messages(&self) -> bool {
        let most = self.shedding.messages.load(Ordering::Relaxed);
        most != u64::MAX && self.books.queued() >= most
    }

    /// Whether `spawn` is refused because too many actors live.
    pub(super) fn sheds_actors(&self) -> bool {
        self.shedding.on.load(Ordering::Relaxed)
            && self.live.load(Ordering::Acquire) as u64
                >= self.shedding.actors.load(Ordering::Relaxed)
    }

    pub(super) fn pressure(&self, pid: Pid) -> Option<Pressure> {
        let c = self.slot(pid)?.lock();
        c.is(pid.generation())
            .then(|| Pressure::of(c.mailbox.len(), c.mailbox.capacity(), self.marks()))
    }

    /// The watermarks of unbounded mailboxes.
    pub(super) fn marks(&self) -> (u32, u32) {
        let [high, critical] = self.shedding.marks.each_ref().map(|m| m.load(Ordering::Relaxed));
        (high, critical)
    }
}

impl super::Runtime {
    /// Says what happens to messages that find the mailbox full. See [`Overflow`].
    ///
    /// # Errors
    /// `NoSuchActor` for the actor or its target, `InvalidArgument` for a cycle, `RuntimeClosed`.
    pub fn set_overflow_policy(&self, pid: Pid, policy: Overflow) -> Result<()> {
        self.core.set_overflow(pid, policy)
    }

    /// How full the actor's mailbox is; `None`: it has ended.
    #[must_use]
    pub fn mailbox_backpressure(&self, pid: Pid) -> Option<Pressure> {
        self.core.pressure(pid)
    }

    /// From how many messages on an unbounded mailbox is `HIGH` and `CRITICAL`. Default 1,000 and 10,000.
    ///
    /// # Errors
    /// `InvalidArgument` unless `0 < high <= critical`.
    pub fn set_watermarks(&self, high: u32, critical: u32) -> Result<()> {
        if high == 0 || high > critical {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("watermarks must be 0 < high <= critical, got {high} and {critical}"),
            ));
        }
        self.core.shedding.marks[0].store(high, Ordering::Relaxed);
        self.core.shedding.marks[1].store(critical, Ordering::Relaxed);
        if self.core.watches_pressure() {
            self.core.note_all_levels();
        }
        Ok(())
    }

    /// Most live actors while load is shed; more is `AtCapacity`. `None`: as many as there is room for.
    pub fn set_system_capacity(&self, actors: Option<u64>) {
        self.core.shedding.actors.store(actors.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Most queued messages of the whole runtime while load is shed; `send` is `false` beyond. `None`: no bound.
    pub fn set_message_capacity(&self, messages: Option<u64>) {
        self.core.shedding.messages.store(messages.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Turns load shedding on or off. Default off.
    pub fn set_load_shedding(&self, on: bool) {
        self.core.shedding.on.store(on, Ordering::Relaxed);
        self.core.tell_lanes(RuntimeNews::Shedding(on));
    }

    /// Whether load is being shed right now: it is on, and one of the capacities is reached.
    #[must_use]
    pub fn is_load_shedding_active(&self) -> bool {
        self.core.sheds_actors() || self.core.sheds_messages()
    }

    /// Sends, and waits for room where the policy is `block`. Answers whether the mailbox took the message.
    ///
    /// # Errors
    /// `WouldDeadlock` on a thread that runs a lane and would have to wait.
    pub fn send_blocking(&self, pid: Pid, payload: impl Into<Payload>) -> Result<bool> {
        super::check_may_block("send_blocking")?;
        let (tx, rx) = crate::sync::mpsc::channel();
        let done = Box::new(move |took| {
            let _ = tx.send(took);
        });
        self.core.send_wait(pid, payload.into(), None, None, done);
        Ok(rx.recv().unwrap_or(false))
    }

    /// [`send_blocking`](Self::send_blocking) for hosts: `done` is called exactly once with whether the mailbox took the
    /// message, unless the wait is [taken back](Self::forget_send) with the token that is answered while it waits.
    pub fn send_with(
        &self,
        pid: Pid,
        payload: Payload,
        sender: Option<Pid>,
        done: impl FnOnce(bool) + Send + 'static,
    ) -> Option<u64> {
        self.core.send_wait(pid, payload, sender, None, Box::new(done)).0
    }

    /// Takes a waiting [`send_with`](Self::send_with) back; answers whether it was still waiting.
    pub fn forget_send(&self, pid: Pid, token: u64) -> bool {
        self.core.forget_wait(pid, token)
    }
}
