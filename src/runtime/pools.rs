//! Members of pools: who of them fails leaves what it had queued, its open calls, names and paths to the member that takes its
//! place. The hand-over is that of supervisors ([`parking`](super::parking)); when to replace whom, and by whom, is the host's.

use super::core::Core;
use super::supervise::{TICKET_BITS, Waiting};
use super::{HostLane, Runtime};
use crate::actor::cell::{ExitSink, Keeper};
use crate::id::Pid;
use crate::message::{ExitInfo, LaneEvent};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Pools {
    /// Members that have failed and are not replaced yet.
    failed: Mutex<HashSet<Pid>>,
    replacements: AtomicU64,
}

impl Core {
    /// A member has failed: what it left waits for whom the host spawns in its place.
    pub(super) fn await_pool(&self, pid: Pid) {
        self.supervision.pools.failed.lock().insert(pid);
    }

    /// Nobody takes the place of a member that has failed: what it left is dead.
    fn give_up_member(&self, old: Pid) {
        if self.supervision.pools.failed.lock().remove(&old) {
            self.bury_parked(old);
        }
    }

    pub(super) fn end_pools(&self) {
        let failed = std::mem::take(&mut *self.supervision.pools.failed.lock());
        failed.into_iter().for_each(|old| self.bury_parked(old));
    }

    fn end_replacement(&self, ticket: u64, old: Pid, new: Option<Pid>) -> bool {
        self.set_start_at_hand(0);
        let spawned = self.spawned_for(ticket).unwrap_or_default();
        let failed = self.supervision.pools.failed.lock().remove(&old);
        let taken = new.is_some_and(|new| {
            // One that was stopped while it failed has left nothing.
            let left = failed.then_some(old);
            self.hand_over(left, new, Keeper::POOL)
        });
        if failed && !taken {
            self.bury_parked(old);
        }
        for pid in spawned {
            if taken {
                self.resume_new(pid);
            } else {
                self.kill(pid);
            }
        }
        taken
    }
}

impl Runtime {
    /// Makes a new actor a member of a pool: `ended` is called, on any thread and with no lock held, when it has ended and no
    /// lane has anything of it in its hands. If it has failed, what it left waits for its
    /// [replacement](Self::begin_replacement).
    pub fn join_member(&self, pid: Pid, ended: impl FnOnce(ExitInfo) + Send + 'static) {
        self.core.change(pid, |c| c.extra().keeper.get_or_insert(Keeper::POOL).is_pool());
        let core = Arc::downgrade(&self.core);
        let sink = move |info: ExitInfo| {
            let Some(core) = core.upgrade() else { return };
            let pid = info.pid;
            core.after_turn(pid, Waiting::Then(Box::new(move || ended(info))));
        };
        self.core.join(pid, ExitSink::Func(Box::new(sink)));
    }

    /// What this thread spawns from now on handles nothing before the [end](Self::end_replacement) of this; answers its number.
    pub fn begin_replacement(&self) -> u64 {
        let n = self.core.supervision.pools.replacements.fetch_add(1, Ordering::Relaxed);
        // Another half of the numbers than the supervisors' tickets.
        let ticket = 1 << (TICKET_BITS - 1) | n;
        self.core.expect_spawns(ticket);
        self.core.set_start_at_hand(ticket);
        ticket
    }

    /// `new` takes the place of `old`, and what that left; `None`: nobody does, and it is dead. Answers whether somebody has.
    pub fn end_replacement(&self, ticket: u64, old: Pid, new: Option<Pid>) -> bool {
        self.core.end_replacement(ticket, old, new)
    }
}

impl HostLane {
    /// As [`Runtime::join_member`]: [`LaneEvent::Joined`] comes with `key`.
    pub fn join_member(&self, rt: &Runtime, pid: Pid, key: u64) {
        let lane = Arc::clone(self.lane());
        let core = Arc::downgrade(&self.core);
        rt.join_member(pid, move |info| {
            if lane.is_closed() {
                // Its thread has ended: nobody spawns another.
                if let Some(core) = core.upgrade() {
                    core.give_up_member(info.pid);
                }
            } else if lane.push_event(LaneEvent::Joined { key, info }) {
                lane.wake();
            }
        });
    }
}
