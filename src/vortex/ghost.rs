//! The race of one message: the arbiter, the bounds of its actor, and the telemetry of the runtime.

use super::policy::{Arbiter, Branch, Event, Policy, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What a runtime knows of its speculating actors.
#[derive(Debug, Default)]
pub struct Vortex {
    prefers_primary: AtomicBool,
    primary_wins: AtomicU64,
    ghost_wins: AtomicU64,
    replays: AtomicU64,
}

impl Vortex {
    /// The policy of races that begin from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.prefers_primary.store(policy == Policy::PreferPrimary, Ordering::Relaxed);
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match self.prefers_primary.load(Ordering::Relaxed) {
            true => Policy::PreferPrimary,
            false => Policy::FirstSafePointWins,
        }
    }

    /// Messages that had a ghost, by who committed: the primary, the ghost.
    #[must_use]
    pub fn resolutions(&self) -> (u64, u64) {
        (self.primary_wins.load(Ordering::Relaxed), self.ghost_wins.load(Ordering::Relaxed))
    }

    /// Ghosts that were begun because the primary had failed.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.replays.load(Ordering::Relaxed)
    }

    /// Sets what is counted to 0.
    pub fn reset(&self) {
        for count in [&self.primary_wins, &self.ghost_wins, &self.replays] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// How an actor speculates.
#[derive(Clone, Copy, Debug)]
pub struct HedgeOptions {
    /// When a ghost is begun beside a primary that is not done; `None`: when it takes longer than 95 % of the last 128
    /// messages took, which is never before there were 20.
    pub ghost_after: Option<Duration>,
    /// How long a ghost that is done waits for a primary that is preferred. Default 1 s.
    pub grace: Duration,
    /// At most this part of the messages gets a ghost while the primary runs, over time: 0 to 1. Default 1.
    pub max_rate: f64,
}

impl Default for HedgeOptions {
    fn default() -> Self {
        Self { ghost_after: None, grace: Duration::from_secs(1), max_rate: 1.0 }
    }
}

/// Durations that are remembered, and how many there must be.
const WINDOW: usize = 128;
const ENOUGH: usize = 20;
/// Ghosts that may be begun in a row after many messages without one.
const BURST: f64 = 10.0;

#[derive(Debug, Default)]
struct Seen {
    /// Nanoseconds of the last messages; a ring once it is full.
    took: Vec<u64>,
    next: usize,
    /// Ghosts that may be begun now.
    credit: f64,
}

/// What one actor's races have in common.
#[derive(Debug)]
pub struct Hedge {
    options: HedgeOptions,
    seen: Mutex<Seen>,
}

impl Hedge {
    /// An actor speculates.
    ///
    /// # Errors
    /// `InvalidArgument`: `max_rate` is not 0 to 1.
    pub fn new(options: HedgeOptions) -> Result<Arc<Self>> {
        // Written so that NaN fails.
        if !(0.0..=1.0).contains(&options.max_rate) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("max_rate must be 0 to 1, got {}", options.max_rate),
            ));
        }
        let seen = Seen {
            took: Vec::new(),
            next: 0,
            credit: if options.max_rate > 0.0 { 1.0 } else { 0.0 },
        };
        Ok(Arc::new(Self { options, seen: Mutex::new(seen) }))
    }

    /// An actor that has no ghost beside a primary that runs.
    #[must_use]
    pub(super) fn replays_only() -> Arc<Self> {
        let options = HedgeOptions { max_rate: 0.0, ..HedgeOptions::default() };
        Arc::new(Self { options, seen: Mutex::default() })
    }

    /// How long a ghost that is done waits for the primary.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.options.grace
    }

    /// When a ghost is to be begun; `None`: only if the primary fails.
    #[must_use]
    pub fn ghost_after(&self) -> Option<Duration> {
        if self.options.ghost_after.is_some() || self.options.max_rate == 0.0 {
            return self.options.ghost_after.filter(|_| self.options.max_rate != 0.0);
        }
        let mut took = self.seen.lock().took.clone();
        if took.len() < ENOUGH {
            return None;
        }
        let at = took.len() * 95 / 100;
        let (_, p95, _) = took.select_nth_unstable(at);
        Some(Duration::from_nanos(*p95))
    }

    fn begin(&self) {
        let mut seen = self.seen.lock();
        seen.credit = (seen.credit + self.options.max_rate).min(BURST);
    }

    fn spend(&self) -> bool {
        let mut seen = self.seen.lock();
        let may = seen.credit >= 1.0;
        if may {
            seen.credit -= 1.0;
        }
        may
    }

    fn took(&self, ns: u64) {
        let mut seen = self.seen.lock();
        if seen.took.len() < WINDOW {
            seen.took.push(ns);
        } else {
            let at = seen.next;
            seen.took[at] = ns;
            seen.next = (at + 1) % WINDOW;
        }
    }
}

/// One message and its branches.
#[derive(Debug)]
pub struct Race {
    arbiter: Arbiter,
    hedge: Arc<Hedge>,
    vortex: Arc<Vortex>,
    begun_ns: u64,
}

impl Race {
    /// The primary begins, at `now_ns` of any clock, under the policy that is in force now.
    #[must_use]
    pub fn new(vortex: &Arc<Vortex>, hedge: &Arc<Hedge>, now_ns: u64) -> Self {
        hedge.begin();
        Self {
            arbiter: Arbiter::new(vortex.policy()),
            hedge: Arc::clone(hedge),
            vortex: Arc::clone(vortex),
            begun_ns: now_ns,
        }
    }

    /// The bounds of its actor.
    #[must_use]
    pub fn hedge(&self) -> &Hedge {
        &self.hedge
    }

    /// Takes note of an event. A ghost beside a running primary is begun only if the rate allows it.
    pub fn step(&mut self, event: Event, now_ns: u64) -> Verdict {
        if event == Event::Slow && self.arbiter.may_start() && !self.hedge.spend() {
            return Verdict::Wait;
        }
        let verdict = self.arbiter.step(event);
        match verdict {
            Verdict::Start if event == Event::Failed(Branch::Primary) => {
                self.vortex.replays.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Commit(branch) => {
                self.hedge.took(now_ns.saturating_sub(self.begun_ns));
                if self.arbiter.is_contested() {
                    let wins = match branch {
                        Branch::Primary => &self.vortex.primary_wins,
                        Branch::Ghost => &self.vortex.ghost_wins,
                    };
                    wins.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedge(options: HedgeOptions) -> Arc<Hedge> {
        Hedge::new(options).expect("valid options")
    }

    #[test]
    fn a_ghost_of_itself_begins_after_the_95th_percentile() {
        let (vortex, hedge) = (Arc::default(), hedge(HedgeOptions::default()));
        for ms in 1..=100_u64 {
            assert_eq!(hedge.ghost_after().is_some(), ms > ENOUGH as u64, "{ms}");
            let mut race = Race::new(&vortex, &hedge, 5);
            let now = 5 + ms * 1_000_000;
            let verdict = race.step(Event::Finished(Branch::Primary), now);
            assert_eq!(verdict, Verdict::Commit(Branch::Primary));
        }
        assert_eq!(hedge.ghost_after(), Some(Duration::from_millis(96)));
        assert_eq!(vortex.resolutions(), (0, 0), "no race was contested");
    }

    #[test]
    fn a_rate_bounds_ghosts_but_no_replays() {
        let after = Some(Duration::ZERO);
        let options = HedgeOptions { ghost_after: after, max_rate: 0.25, ..Default::default() };
        let (vortex, some) = (Arc::default(), hedge(options));
        let mut begun = 0;
        for _ in 0..100 {
            let mut race = Race::new(&vortex, &some, 0);
            if race.step(Event::Slow, 1) == Verdict::Start {
                begun += 1;
                race.step(Event::Finished(Branch::Ghost), 2);
            }
        }
        assert_eq!(begun, 26, "a quarter, and the one that the first message has in credit");
        assert_eq!(vortex.resolutions(), (0, 26));
        let none = hedge(HedgeOptions { ghost_after: after, max_rate: 0.0, ..Default::default() });
        assert_eq!(none.ghost_after(), None);
        let mut race = Race::new(&vortex, &none, 0);
        assert_eq!(race.step(Event::Slow, 1), Verdict::Wait);
        assert_eq!(race.step(Event::Failed(Branch::Primary), 1), Verdict::Start);
        assert_eq!(vortex.replays(), 1);
        vortex.reset();
        assert_eq!((vortex.resolutions(), vortex.replays()), ((0, 0), 0));
    }

    #[test]
    fn a_rate_is_zero_to_one() {
        for max_rate in [-0.1, 1.1, f64::NAN] {
            let options = HedgeOptions { max_rate, ..HedgeOptions::default() };
            assert_eq!(
                Hedge::new(options).err().map(|e| e.kind()),
                Some(ErrorKind::InvalidArgument)
            );
        }
    }
}
