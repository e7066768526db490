//! Whether a thread that has nothing to do looks for an answer from another node for a moment before it sleeps.
//!
//! An answer that finds everybody asleep is handed from thread to thread twice, 25 us and more each; a look at the socket costs
//! a microsecond. So a thread that has just heard of another node looks again for as long as answers have taken lately. A look
//! in vain is paid for by not looking the next times: 2, 4, ... 256, so it costs little where answers take long.

use super::core::Core;
use super::{HostLane, Runtime};
use std::sync::OnceLock;

/// Longest wait, and the first: the other side may be asleep, too. In nanoseconds.
const MOST: u64 = 100_000;
/// An answer that was found: the next one may take that much longer.
const SPARE: u64 = 20_000;
/// Most times not to wait after one in vain, as a power of two.
const MOST_SKIPS: u32 = 8;

/// With one core the other side cannot run meanwhile.
fn pays() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}

/// What a thread knows of its waits.
#[derive(Debug)]
pub struct Linger {
    count: u64,
    said: u64,
    wait_ns: u64,
    /// Waits in a row that were in vain.
    misses: u32,
    /// Times not to wait.
    skip: u32,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingered {
    /// Nothing was said to other nodes, or by them, since the last one.
    Idle,
    /// There is nothing to do.
    Vain,
    /// There is something to do.
    Found,
}

impl Default for Linger {
    fn default() -> Self {
        Self { count: 0, said: 0, wait_ns: MOST, misses: 0, skip: 0 }
    }
}

impl Linger {
    fn found(&mut self, took_ns: u64) {
        self.misses = 0;
        let next = took_ns.saturating_mul(2).saturating_add(SPARE);
        // It shrinks slowly: one quick answer does not make the next one late.
        self.wait_ns = next.max(self.wait_ns - self.wait_ns / 8).min(MOST);
    }

    fn in_vain(&mut self) {
        self.misses = (self.misses + 1).min(MOST_SKIPS);
        self.skip = 1 << self.misses;
        self.wait_ns = MOST;
    }
}

impl Core {
    /// Looks for news of other nodes until `done`, for a moment.
    fn linger(&self, linger: &mut Linger, mut done: impl FnMut() -> bool) -> Lingered {
        let talk = self.talk();
        if talk.count == linger.count || !pays() {
            return Lingered::Idle;
        }
        linger.count = talk.count;
        // Who has heard something and not said anything since has nothing to wait for; and nobody waits twice for one answer.
        if !talk.expects || talk.said == linger.said {
            return Lingered::Vain;
        }
        linger.said = talk.said;
        if linger.skip != 0 {
            linger.skip -= 1;
            return Lingered::Vain;
        }
        let Some(mut look) = self.news_there() else { return Lingered::Vain };
        let begun = self.clock.now_ns();
        loop {
            let goes_on = look();
            let took = self.clock.now_ns().saturating_sub(begun);
            if done() {
                linger.found(took);
                return Lingered::Found;
            }
            if !goes_on || took >= linger.wait_ns {
                linger.in_vain();
                return Lingered::Vain;
            }
        }
    }
}

impl HostLane {
    /// The lane has nothing to do and does not sleep: looks for news of other nodes for a moment, if that has paid lately. On
    /// the lane's own thread.
    pub fn linger(&self, linger: &mut Linger) -> Lingered {
        let given = self.lane.given();
        self.core.linger(linger, || self.lane.given() != given)
    }

    /// As [`linger`](Self::linger), and the lane sleeps: whether it is awake again.
    pub fn linger_asleep(&self, linger: &mut Linger) -> bool {
        self.core.linger(linger, || !self.lane.is_asleep()) == Lingered::Found
    }
}

impl Runtime {
    /// As [`HostLane::linger`], on a thread that waits for something else.
    pub fn linger(&self, linger: &mut Linger, done: impl FnMut() -> bool) -> Lingered {
        self.core.linger(linger, done)
    }
}
