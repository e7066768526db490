//! How virtual actors wake and go to sleep: see [`crate::actor::activation`].
//!
//! Both happen in turns of the actor's lane. A million actors whose idle time ends at once wait in its run queue, not in its
//! events, so a lane takes as many hooks as it takes messages, and no more.

use super::core::{Core, Wake};
use crate::actor::activation::{NEVER, Phase, Virtual};
use crate::actor::cell::{Body, Cell, Life, Sched};
use crate::config::{SpawnOptions, VirtualOptions};
use crate::error::Result;
use crate::id::Pid;
use crate::message::{ExitReason, LaneEvent};
use crate::scheduler::lane::Lane;
use crate::timer::wheel::TimerKey;
use std::sync::Arc;
use std::time::Duration;

impl Core {
    pub(super) fn spawn_virtual(
        &self,
        lane: &Arc<Lane>,
        key: u32,
        o: SpawnOptions,
        v: VirtualOptions,
    ) -> Result<Pid> {
        let idle_ms = |t: Duration| {
            u32::try_from(t.as_nanos().div_ceil(1_000_000)).map_or(NEVER, |ms| ms.min(NEVER))
        };
        let body = Body::Virtual(Virtual {
            phase: Phase::Dormant,
            on_activate: v.on_activate,
            on_deactivate: v.on_deactivate,
            key,
            idle_ms: v.idle_timeout.map_or(NEVER, idle_ms),
            rested_ms: 0,
            timer: TimerKey::NEVER,
        });
        self.spawn_cell(Some(Arc::clone(lane)), body, o)
    }

    /// A virtual actor has come to its turn: the key of its handler, if it is to handle messages; otherwise its hook is due.
    #[inline(never)]
    pub(super) fn open_virtual(&self, c: &mut Cell, lane: &Arc<Lane>, pid: Pid) -> Option<u32> {
        // What waits in one that is stopping is for its replacement.
        let waiting = !c.mailbox.is_empty() && !matches!(c.life, Life::Stopping(_));
        let Body::Virtual(v) = &mut c.body else { return None };
        let activate = match v.phase {
            Phase::Active => return Some(v.key),
            Phase::Dormant if v.on_activate => true,
            // A message has come before the hook: it goes on as if it had never been idle.
            Phase::Deactivating if !waiting => false,
            Phase::Dormant | Phase::Deactivating => {
                v.phase = Phase::Active;
                return Some(v.key);
            }
            Phase::Activating => return None,
        };
        if activate {
            v.phase = Phase::Activating;
        }
        let key = v.key;
        c.sched = Sched::Running;
        // No wake: this is the lane's own thread.
        let _ = lane.push_event(LaneEvent::Hook { pid, key, activate });
        None
    }

    /// The actor has nothing to do: if it is virtual, its idle time begins.
    #[inline]
    pub(super) fn note_rest(&self, c: &mut Cell, pid: Pid) {
        if let Body::Virtual(v) = &mut c.body {
            self.begin_idle(v, pid);
        }
    }

    #[inline(never)]
    fn begin_idle(&self, v: &mut Virtual, pid: Pid) {
        if v.phase != Phase::Active || v.idle_ms == NEVER {
            return;
        }
        v.rested_ms = self.clock.now_ns().div_ceil(1_000_000) as u32;
        if v.timer == TimerKey::NEVER {
            v.timer = self.insert_idle(v.idle_ms, pid);
        }
    }

    fn insert_idle(&self, ms: u32, pid: Pid) -> TimerKey {
        self.timers.insert(Duration::from_millis(u64::from(ms)), super::core::TimerTask::Idle(pid))
    }

    /// The idle timer of `pid` has fired. Messages that came since have not moved it, so it may be too early.
    pub(super) fn idle_is_over(&self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        let mut c = slot.lock();
        if !c.is(pid.generation()) {
            return;
        }
        let resting = c.sched == Sched::Idle && c.life == Life::Alive;
        let Body::Virtual(v) = &mut c.body else { return };
        v.timer = TimerKey::NEVER;
        if !resting || v.phase != Phase::Active {
            return; // the next rest sets it again
        }
        let left = v.idle_ms.saturating_sub(v.idle_for(self.clock.now_ms()));
        if left != 0 {
            v.timer = self.insert_idle(left, pid);
            return;
        }
        v.phase = Phase::Deactivating;
        let wake = self.schedule(&mut c, pid, None);
        drop(c);
        self.wake(wake);
    }

    /// An actor that is to end, and has no message to handle, is deactivated first.
    pub(super) fn retire(
        &self,
        c: &mut Cell,
        pid: Pid,
        why: ExitReason,
        here: Option<&Arc<Lane>>,
    ) -> Wake {
        c.life = Life::Stopping(why);
        if let Body::Virtual(v) = &mut c.body {
            v.phase = Phase::Deactivating;
        }
        // One that waits for its turn has a place in the run queue already.
        if c.sched == Sched::Queued { Wake::None } else { self.schedule(c, pid, here) }
    }

    /// Whether a hook of `pid` is under way.
    pub(crate) fn hook_is_due(&self, pid: Pid) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        let c = slot.lock();
        c.is(pid.generation())
            && c.sched == Sched::Running
            && matches!(&c.body, Body::Virtual(v)
                if matches!(v.phase, Phase::Activating | Phase::Deactivating))
    }

    /// The hook of `pid` is over; answers whether the caller's lane must be armed.
    pub(crate) fn hook_done(&self, pid: Pid, here: Option<&Arc<Lane>>) -> bool {
        let Some(slot) = self.slot(pid) else { return false };
        {
            let mut c = slot.lock();
            let running = c.is(pid.generation()) && c.sched == Sched::Running;
            let Body::Virtual(v) = &mut c.body else { return false };
            v.phase = match v.phase {
                Phase::Activating if running => Phase::Active,
                Phase::Deactivating if running => Phase::Dormant,
                _ => return false,
            };
        }
        let wake = self.end_turn(pid, 0, std::iter::empty(), here);
        self.wake(wake)
    }
}
