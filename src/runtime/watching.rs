//! Monitors and links.
//!
//! A monitor is one entry of a table, under its reference; whoever takes the entry out (the target's end, a demonitor, the
//! watcher's end) has it, so a DOWN is sent exactly once. The target and the watcher each list their references, to find the
//! entries when they end. The entry is made first and the lists later, and whoever ends takes the entry first and cleans the
//! lists later: so of two that race, one sees what the other did.
//!
//! A link is both pids' being in each other's list, and a signal counts only if its sender is still in the receiver's.

use super::core::{Core, Wake};
use crate::actor::cell::{Cell, ExitSink, Life};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::{Envelope, ExitInfo, ExitReason, Payload, SystemKind, SystemMessage};
use crate::scheduler::lane::Lane;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;

/// Names a monitor: a number below 2^53, never 0, never given twice.
pub type MonitorRef = u64;

/// Who hears of the end.
pub(super) enum Watcher {
    /// An actor, in its mailbox.
    Actor(Pid),
    /// A host lane or a closure.
    Sink(ExitSink),
}

struct Monitor {
    target: Pid,
    watcher: Watcher,
}

/// Parts of the table, so that threads seldom meet.
const SHARDS: u64 = if cfg!(iris_shuttle) { 2 } else { 32 };

/// All monitors of a runtime.
pub(super) struct Monitors {
    shards: Box<[Mutex<HashMap<MonitorRef, Monitor>>]>,
    next: AtomicU64,
}

impl Default for Monitors {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), next: AtomicU64::new(1) }
    }
}

impl Monitors {
    fn shard(&self, reference: MonitorRef) -> &Mutex<HashMap<MonitorRef, Monitor>> {
        &self.shards[(reference % SHARDS) as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().len()).sum()
    }

    /// Whether `pid` is the target of the monitor.
    pub(super) fn watches(&self, reference: MonitorRef, pid: Pid) -> bool {
        self.shard(reference).lock().get(&reference).is_some_and(|m| m.target == pid)
    }

    fn take(&self, reference: MonitorRef) -> Option<Monitor> {
        self.shard(reference).lock().remove(&reference)
    }
}

impl Core {
    pub(super) fn monitor(&self, target: Pid, watcher: Watcher) -> Result<MonitorRef> {
        self.check_open()?;
        let reference = self.monitors.next.fetch_add(1, Ordering::Relaxed);
        let actor = match &watcher {
            Watcher::Actor(pid) => Some(*pid),
            Watcher::Sink(_) => None,
        };
        self.monitors.shard(reference).lock().insert(reference, Monitor { target, watcher });
        if let Some(pid) = actor
            && let Err(e) = self.list_at_watcher(pid, reference)
        {
            drop(self.monitors.take(reference));
            return Err(e);
        }
        if !self.change(target, |c| c.extra().monitored_by.insert(reference)).unwrap_or(false) {
            self.down(
                reference,
                &ExitInfo { pid: target, reason: ExitReason::NoProc, crash: None },
            );
        } else if !self.monitors.watches(reference, target) {
            // The watcher has ended meanwhile.
            self.change(target, |c| c.extra().monitored_by.remove(&reference));
        }
        Ok(reference)
    }

    fn list_at_watcher(&self, pid: Pid, reference: MonitorRef) -> Result<()> {
        let slot = self.slot(pid).ok_or_else(|| self.no_such_actor(pid))?;
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            drop(c);
            return Err(self.no_such_actor(pid));
        }
        if !c.hears {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "pid {pid} does not take system messages: spawn it with the option system, \
                     or monitor with a callback"
                ),
            ));
        }
        c.extra().monitors.insert(reference);
        Ok(())
    }

    /// Changes a cell, unless its actor has ended.
    pub(super) fn change<R>(&self, pid: Pid, f: impl FnOnce(&mut Cell) -> R) -> Option<R> {
        let mut c = self.slot(pid)?.lock();
        c.is(pid.generation()).then(|| f(&mut c))
    }

    /// Takes a monitor back; answers whether its DOWN was still to come.
    pub(super) fn demonitor(&self, reference: MonitorRef) -> bool {
        let Some(m) = self.monitors.take(reference) else { return false };
        self.change(m.target, |c| c.extra().monitored_by.remove(&reference));
        if let Watcher::Actor(pid) = m.watcher {
            self.change(pid, |c| c.extra().monitors.remove(&reference));
        }
        true
    }

    /// Sends the DOWN of a monitor, unless somebody has taken it.
    fn down(&self, reference: MonitorRef, info: &ExitInfo) {
        let Some(m) = self.monitors.take(reference) else { return };
        match m.watcher {
            Watcher::Sink(sink) => sink.deliver(info.clone()),
            Watcher::Actor(pid) => {
                self.tell_and(
                    SystemMessage::of_exit(SystemKind::Down, info, pid, Some(reference)),
                    |c| {
                        if let Some(x) = &mut c.extra {
                            x.monitors.remove(&reference);
                        }
                    },
                );
            }
        }
    }

    /// An actor has ended: tells those that monitor it, and forgets what it monitors.
    pub(super) fn end_monitors(
        &self,
        info: &ExitInfo,
        by: impl IntoIterator<Item = MonitorRef>,
        its: impl IntoIterator<Item = MonitorRef>,
    ) {
        for reference in by {
            self.down(reference, info);
        }
        for reference in its {
            if let Some(m) = self.monitors.take(reference) {
                self.change(m.target, |c| c.extra().monitored_by.remove(&reference));
            }
        }
    }

    pub(super) fn link(&self, a: Pid, b: Pid) -> Result<()> {
        self.check_open()?;
        if a == b {
            return if self.is_alive(a) { Ok(()) } else { Err(self.no_such_actor(a)) };
        }
        self.link_there(a, b, true)?;
        self.link_here(a, b)
    }

    /// The link as far as it is on this node.
    pub(super) fn link_here(&self, a: Pid, b: Pid) -> Result<()> {
        let listed = |at: Pid, other: Pid| self.change(at, |c| c.extra().links.insert(other));
        match (listed(a, b).is_some(), listed(b, a).is_some()) {
            // One of them may have ended before the other was in its list.
            (true, true) => {
                for (at, other) in [(a, b), (b, a)] {
                    if self.change(other, |_| ()).is_none() {
                        self.signal_all([(at, self.remembered(other))]);
                    }
                }
            }
            (true, false) => self.signal_all([(a, noproc(b))]),
            (false, true) => self.signal_all([(b, noproc(a))]),
            (false, false) => return Err(self.no_such_actor(b)),
        }
        Ok(())
    }

    pub(super) fn unlink(&self, a: Pid, b: Pid) -> bool {
        let gone = self.unlink_here(a, b);
        if gone {
            let _ = self.link_there(a, b, false);
        }
        gone
    }

    /// As far as the link is on this node.
    pub(super) fn unlink_here(&self, a: Pid, b: Pid) -> bool {
        let forget = |at: Pid, other: Pid| {
            let gone =
                self.change(at, |c| c.extra.as_mut().is_some_and(|x| x.links.remove(&other)));
            gone.unwrap_or(false)
        };
        // Both lists, whatever the first says.
        forget(a, b) | forget(b, a)
    }

    pub(super) fn set_trap_exit(&self, pid: Pid, traps: bool) -> Result<bool> {
        self.check_open()?;
        self.trap_there(pid, traps)?;
        let slot = self.slot(pid).ok_or_else(|| self.no_such_actor(pid))?;
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            drop(c);
            return Err(self.no_such_actor(pid));
        }
        Ok(std::mem::replace(&mut c.extra().traps, traps))
    }

    /// The end of a linked actor reaches `to`; answers its cell if it must end too.
    pub(super) fn signal(&self, to: Pid, info: &ExitInfo) -> Option<MutexGuard<'_, Cell>> {
        let mut c = self.slot(to)?.lock();
        if !c.is(to.generation()) {
            return None;
        }
        let x = c.extra.as_mut()?;
        if !x.links.remove(&info.pid) {
            return None;
        }
        if c.remote {
            // The link is on its node too, and does there what it does.
            return None;
        }
        let x = c.extra.as_mut()?;
        if !x.traps {
            return (info.reason != ExitReason::Normal).then_some(c);
        }
        if c.life == Life::Alive && c.hears {
            let wake =
                self.push_system(&mut c, SystemMessage::of_exit(SystemKind::Exit, info, to, None));
            drop(c);
            self.wake(wake);
        }
        None
    }

    /// Puts a system message into a cell that hears it.
    pub(super) fn push_system(&self, c: &mut Cell, message: SystemMessage) -> Wake {
        let pid = message.target;
        let payload = Payload::system(message);
        c.mailbox.push_exempt(Envelope { payload, sender: None, call: None });
        self.books.accepted();
        if c.pulls {
            self.tell_puller(c)
        } else if c.may_schedule() {
            self.schedule(c, pid, None)
        } else {
            Wake::None
        }
    }
}

fn noproc(pid: Pid) -> ExitInfo {
    ExitInfo { pid, reason: ExitReason::NoProc, crash: None }
}

impl super::Runtime {
    /// Tells `watcher`, in its mailbox, when `target` ends: one [`SystemKind::Down`] with this reference, at once with
    /// `noproc` if it has ended.
    ///
    /// # Errors
    /// `NoSuchActor` for a watcher that has ended, `InvalidArgument` for one that does not take
    /// [system messages](crate::SpawnOptions::system), `RuntimeClosed`.
    pub fn monitor(&self, target: Pid, watcher: Pid) -> Result<MonitorRef> {
        self.core.monitor(target, Watcher::Actor(watcher))
    }

    /// Calls `sink` when `target` ends, or at once with `noproc` if it has. It runs on the thread that ends the actor, with
    /// no lock held, and must not block.
    ///
    /// # Errors
    /// `RuntimeClosed`.
    pub fn monitor_with(
        &self,
        target: Pid,
        sink: impl FnOnce(ExitInfo) + Send + 'static,
    ) -> Result<MonitorRef> {
        self.core.monitor(target, Watcher::Sink(ExitSink::Func(Box::new(sink))))
    }

    /// Takes a monitor back; answers whether its DOWN was still to come.
    pub fn demonitor(&self, reference: MonitorRef) -> bool {
        self.core.demonitor(reference)
    }

    /// Links two actors: when one ends for any reason but `normal` the other ends for the same, unless it
    /// [traps exits](Self::set_trap_exit). A link to an actor that has ended is its end with `noproc`.
    ///
    /// # Errors
    /// `NoSuchActor` if both have ended, `RuntimeClosed`.
    pub fn link(&self, a: Pid, b: Pid) -> Result<()> {
        self.core.link(a, b)
    }

    /// Takes a link away; answers whether there was one.
    pub fn unlink(&self, a: Pid, b: Pid) -> bool {
        self.core.unlink(a, b)
    }

    /// Whether the end of a linked actor comes as an [`SystemKind::Exit`] message instead of ending this one; answers what
    /// was set before. [`kill`](Self::kill) cannot be trapped; the `killed` of a linked actor can.
    ///
    /// # Errors
    /// `NoSuchActor`, `RuntimeClosed`.
    pub fn set_trap_exit(&self, pid: Pid, traps: bool) -> Result<bool> {
        self.core.set_trap_exit(pid, traps)
    }
}

impl super::HostLane {
    /// As [`Runtime::monitor_with`](super::Runtime::monitor_with); the end comes as
    /// [`LaneEvent::Joined`](crate::message::LaneEvent::Joined) with `key`.
    ///
    /// # Errors
    /// As there.
    pub fn monitor(&self, target: Pid, key: u64) -> Result<MonitorRef> {
        let lane: Arc<Lane> = Arc::clone(self.lane());
        self.core.monitor(target, Watcher::Sink(ExitSink::Lane(lane, key)))
    }
}
