//! The hand-over: how what an actor had queued, and its names, come to its replacement.
//!
//! ```text
//!   old:  Alive --end--> Parked (queue, names, paths; named sends still reach it) --hand-over--> Free
//!   new:          spawned suspended, handles nothing ---- parked messages in front ----> resumed
//! ```
//!
//! No two cells are locked at once. The names move first, so that nobody finds the old one any more; then its queue is taken
//! and its cell freed in one step, so that whoever had found it looks again; then the queue is put in front of what the new
//! one has got meanwhile. So for each sender the order holds, and nothing is lost or doubled.

use super::core::{Core, Sent, Wake};
use super::labels::Label;
use crate::actor::activation::Phase;
use crate::actor::cell::{Body, Cell, Extra, Keeper, Life, Sched};
use crate::id::{CallId, Pid};
use crate::mailbox::Mailbox;
use crate::message::{Envelope, ExitReason, Payload};
use crate::scheduler::lane::Lane;
use crate::scheduler::stats::Refusal;
use crate::sync::MutexGuard;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

impl Core {
    /// Sends to whoever is registered; while a replacement is to come, what is sent waits for it.
    ///
    /// # Errors
    /// Who, and the message: the mailbox is full and its policy is `block`.
    pub(super) fn send_labelled(
        &self,
        label: Label<'_>,
        payload: Payload,
        sender: Option<Pid>,
        here: Option<&Arc<Lane>>,
    ) -> Result<Sent, (Pid, Payload)> {
        let mut payload = Some(payload);
        let mut envelope = || {
            let payload = payload.take().unwrap_or_else(Payload::empty);
            Envelope { payload, sender, call: None }
        };
        loop {
            let Some(pid) = self.holder(label) else {
                return Ok(self.refuse(Refusal::NoSuchActor));
            };
            match self.try_deliver(pid, here, |_| envelope()) {
                Ok(arm) => return Ok(Sent::Accepted { arm }),
                Err(Refusal::Full) if self.blocks(pid) => return Err((pid, envelope().payload)),
                Err(Refusal::NoSuchActor) => {}
                Err(why) => return Ok(self.refuse(why)),
            }
            match self.keep(pid, &mut envelope) {
                Some(true) => return Ok(Sent::Accepted { arm: false }),
                Some(false) => return Ok(self.refuse(Refusal::Full)),
                // The name has moved on, or its holder has ended for good.
                None if self.holder(label) == Some(pid) => {
                    return Ok(self.refuse(Refusal::NoSuchActor));
                }
                None => {}
            }
        }
    }

    /// Queues a message for the replacement of `pid`, which has ended or is about to. `Some(false)`: there is no room;
    /// `None`: no replacement will come.
    pub(super) fn keep(&self, pid: Pid, envelope: &mut dyn FnMut() -> Envelope) -> Option<bool> {
        let mut c = self.slot(pid)?.lock();
        let parked = match c.life {
            _ if c.generation != pid.generation() => return None,
            Life::Parked => true,
            Life::Stopping(why) if c.parks(why) => false,
            Life::Draining if c.parks(ExitReason::Shutdown) => false,
            _ => return None,
        };
        if !c.mailbox.has_room() {
            return Some(false);
        }
        c.mailbox.push(envelope());
        self.books.accepted();
        if parked {
            self.books.parked(1);
        }
        Some(true)
    }

    /// An actor ends and a replacement is to come: what it had queued stays in its cell. Answers the calls that fail, or
    /// may still do so.
    pub(super) fn park(&self, c: &mut Cell, extra: &mut Extra) {
        // A hook has taken no messages: there is nothing that a lane could give back after it.
        let in_hook = matches!(&c.body, Body::Virtual(v)
            if matches!(v.phase, Phase::Activating | Phase::Deactivating));
        let open_turn = c.sched == Sched::Running && !c.awaiting && !in_hook;
        c.life = Life::Parked;
        if !open_turn {
            c.sched = Sched::Idle;
            c.mailbox.set_reserved(0);
        }
        self.books.parked(c.mailbox.queued() as u64);
        if !extra.open_calls.is_empty() {
            // Those that a lane had in its hands, and gave back.
            let queued: HashSet<CallId> = c.mailbox.calls().collect();
            extra.open_calls.retain(|id| !queued.contains(id));
        }
        let kept = Extra {
            names: std::mem::take(&mut extra.names),
            paths: std::mem::take(&mut extra.paths),
            // Which of them a handler has begun is known when the turn is over.
            open_calls: if open_turn {
                std::mem::take(&mut extra.open_calls)
            } else {
                VecDeque::new()
            },
            codec: extra.codec.take(),
            local_only: extra.local_only,
            ..Extra::default()
        };
        c.extra = Some(Box::new(kept));
    }

    /// What a turn has not begun goes back to the front of the queue.
    pub(super) fn give_back(
        &self,
        c: &mut Cell,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
    ) {
        c.mailbox.set_reserved(0);
        if rest.len() == 0 {
            return;
        }
        self.books.returned(rest.len() as u64);
        if c.life == Life::Parked {
            self.books.parked(rest.len() as u64);
        }
        let rest: Vec<_> = rest.collect();
        if let Some(x) = &mut c.extra
            && !x.open_calls.is_empty()
        {
            let back: Vec<CallId> = rest.iter().filter_map(|e| e.call).collect();
            x.open_calls.retain(|id| !back.contains(id));
        }
        c.mailbox.put_back(rest.into_iter());
    }

    /// What a turn has not begun of an actor that ends for the reason `why`: for its replacement, or dead.
    pub(super) fn leave_rest(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        why: ExitReason,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
    ) {
        if c.parks(why) && !self.is_closed() {
            self.give_back(&mut c, rest);
        } else {
            drop(c);
            self.bury_in_flight(pid, why, rest);
        }
    }

    /// The turn of an actor that has ended meanwhile is over: what it has not begun is for the replacement, or dead.
    pub(super) fn end_dead_turn(
        &self,
        mut c: MutexGuard<'_, Cell>,
        pid: Pid,
        rest: impl DoubleEndedIterator<Item = Envelope> + ExactSizeIterator,
    ) {
        if !c.is_parked(pid.generation()) {
            drop(c);
            if rest.len() != 0 {
                self.bury_in_flight(pid, self.reason_of(pid), rest);
            }
            return;
        }
        self.give_back(&mut c, rest);
        c.sched = Sched::Idle;
        let begun = c.extra.as_mut().map(|x| std::mem::take(&mut x.open_calls)).unwrap_or_default();
        drop(c);
        for id in begun {
            self.fail_call_exited(id, pid, self.reason_of(pid));
        }
        self.turn_is_over(pid);
    }

    /// Whether the lane still has a turn of this parked actor in its hands.
    pub(super) fn has_open_turn(&self, pid: Pid) -> bool {
        self.slot(pid).is_some_and(|s| {
            let c = s.lock();
            c.is_parked(pid.generation()) && c.sched == Sched::Running
        })
    }

    /// Takes what is parked, and frees the cell.
    fn unpark(&self, pid: Pid) -> Option<(VecDeque<Envelope>, Extra)> {
        let mut c = self.slot(pid)?.lock();
        if !c.is_parked(pid.generation()) {
            return None;
        }
        let queue = c.mailbox.drain_all();
        let extra = c.extra.take().map(|x| *x).unwrap_or_default();
        c.mailbox = Mailbox::new(0);
        c.life = Life::Free;
        c.sched = Sched::Idle;
        self.books.unparked(queue.len() as u64);
        drop(c);
        self.table.release(pid.slot(), pid.generation());
        Some((queue, extra))
    }

    /// No replacement comes: what is parked is dead, the names are free.
    pub(super) fn bury_parked(&self, pid: Pid) {
        let Some((queue, extra)) = self.unpark(pid) else { return };
        for name in &extra.names {
            self.names.release(name, pid);
        }
        for path in &extra.paths {
            self.paths.release(path, pid);
        }
        let why = self.reason_of(pid);
        for id in extra.open_calls {
            self.fail_call_exited(id, pid, why);
        }
        self.bury_queue(pid, why, queue);
    }

    /// Gives what `old` left to `new`, and lets that begin; `false`: it has ended.
    pub(super) fn hand_over(&self, old: Option<Pid>, new: Pid, keeper: Keeper) -> bool {
        let suspended = self.change(new, |c| {
            c.extra().keeper = Some(keeper);
            c.is_suspended()
        });
        let Some(suspended) = suspended else { return false };
        if let Some(old) = old {
            self.move_labels(old, new);
            if let Some((queue, extra)) = self.unpark(old) {
                for id in extra.open_calls {
                    self.fail_call_exited(id, old, self.reason_of(old));
                }
                if suspended {
                    self.put_in_front(new, queue);
                } else {
                    self.send_anew(new, queue);
                }
            }
        }
        self.resume_new(new);
        true
    }

    fn move_labels(&self, old: Pid, new: Pid) {
        let Some(slot) = self.slot(old) else { return };
        let (names, paths) = {
            let mut c = slot.lock();
            if !c.is_parked(old.generation()) {
                return;
            }
            let x = c.extra();
            (std::mem::take(&mut x.names), std::mem::take(&mut x.paths))
        };
        let Some(slot) = self.slot(new) else { return };
        let mut c = slot.lock();
        // One that has ended already may be parked itself: then they are for the next.
        let holds = c.is(new.generation()) || c.is_parked(new.generation());
        for name in names {
            if holds && self.names.transfer(&name, old, new) {
                c.extra().names.push(name);
            } else {
                self.names.release(&name, old);
            }
        }
        for path in paths {
            if holds && self.paths.transfer(&path, old, new) {
                c.extra().paths.push(path);
            } else {
                self.paths.release(&path, old);
            }
        }
    }

    fn put_in_front(&self, new: Pid, queue: VecDeque<Envelope>) {
        let Some(slot) = self.slot(new) else { return };
        let mut c = slot.lock();
        let parked = c.is_parked(new.generation());
        if !parked && !c.is(new.generation()) {
            drop(c);
            self.bury_queue(new, self.reason_of(new), queue);
            return;
        }
        if parked {
            self.books.parked(queue.len() as u64);
        }
        for id in queue.iter().filter_map(|e| e.call) {
            self.calls.rehome(id, new);
        }
        c.mailbox.put_back(queue.into_iter());
    }

    /// As ordinary sends: to an actor that lived before.
    fn send_anew(&self, new: Pid, queue: VecDeque<Envelope>) {
        for e in queue {
            let call = e.call;
            let mut e = Some(e);
            let sent = self.try_deliver(new, None, |to| {
                if let Some(id) = call {
                    self.calls.rehome(id, to);
                }
                e.take().unwrap_or(Envelope { payload: Payload::empty(), sender: None, call: None })
            });
            if sent.is_ok() {
                self.books.forwarded();
            } else {
                self.books.dead_in_handover();
                if let Some(id) = call {
                    self.fail_call_exited(id, new, ExitReason::Crash);
                }
            }
        }
    }

    /// An actor that waited for the end of the start that made it goes on.
    pub(super) fn resume_new(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        let suspended =
            c.is(pid.generation()) && c.extra.as_mut().is_some_and(|x| x.start.take().is_some());
        if !suspended {
            return;
        }
        c.sched = Sched::Idle;
        let empty = c.mailbox.is_empty();
        let wake = if c.pulls && !empty {
            c.waits = true;
            self.tell_puller(&mut c)
        } else if c.may_schedule() {
            self.schedule(&mut c, pid, None)
        } else {
            Wake::None
        };
        if empty && c.life == Life::Draining {
            drop(c);
            self.exit(pid, ExitReason::Shutdown, None);
            return;
        }
        drop(c);
        self.wake(wake);
    }
}
