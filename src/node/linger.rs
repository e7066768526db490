//! Whether a lane that has nothing to do waits a moment for another thread before it sleeps.
//!
//! Waking a sleeping event loop costs the sender a system call and the receiver 25 us and more; a look at a counter costs
//! nanoseconds. So a lane whose last burst came from another thread spins, for as long as that has paid lately: a wait that
//! was worth it may be twice as long the next time, one that was not is halved, and where waits are in vain the lane sleeps at
//! once and tries again only every so many bursts. The event loop is never held longer than by `MOST`.

use crate::runtime::HostLane;
use std::sync::OnceLock;

/// Longest wait, in nanoseconds, and the first: the other thread may have to be woken before it can answer.
const MOST: u64 = 50_000;
/// Shorter ones are not worth it.
const LEAST: u64 = 8_000;
/// A try after some bursts without one.
const AGAIN: u64 = 30_000;
/// Most bursts between two tries, as a power of two.
const MOST_SKIPS: u32 = 8;
/// Looks at the counter between two looks at the clock.
const LOOKS: u32 = 32;

/// With one core the other thread cannot run meanwhile.
fn pays() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}

pub(super) struct Linger {
    seen: u32,
    wait_ns: u64,
    /// Waits in a row that were in vain.
    misses: u32,
    /// Bursts to sleep after at once.
    skip: u32,
}

impl Default for Linger {
    fn default() -> Self {
        Self { seen: 0, wait_ns: MOST, misses: 0, skip: 0 }
    }
}

impl Linger {
    /// That many of what was counted came from the lane itself.
    pub(super) fn discount(&mut self, own: u32) {
        self.seen = self.seen.wrapping_add(own);
    }

    /// The lane has nothing to do; answers whether it has by now.
    pub(super) fn wait(&mut self, lane: &HostLane) -> bool {
        let given = lane.given();
        if given == self.seen || !pays() {
            return false;
        }
        self.seen = given;
        if self.skip != 0 {
            self.skip -= 1;
            return false;
        }
        let until = lane.now_ns() + self.wait_ns;
        loop {
            for _ in 0..LOOKS {
                if lane.given() != given {
                    self.misses = 0;
                    self.wait_ns = (self.wait_ns * 2).min(MOST);
                    return true;
                }
                std::hint::spin_loop();
            }
            if lane.now_ns() >= until {
                break;
            }
        }
        self.wait_ns /= 2;
        if self.wait_ns < LEAST {
            self.wait_ns = AGAIN;
            self.misses = (self.misses + 1).min(MOST_SKIPS);
            self.skip = 1 << self.misses;
        }
        false
    }
}
