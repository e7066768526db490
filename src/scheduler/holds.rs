//! How long a lane keeps its host's thread in one go, and how many turns it opens: a histogram of a fixed shape.
//!
//! Only the lane's own thread counts, so a plain load and store do; whoever reads may be a moment behind. The atomics are
//! the standard library's in models too: nothing waits for what they say.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, in nanoseconds; one more bucket takes what is longer.
pub const HOLD_BOUNDS_NS: [u64; 12] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
];

const BUCKETS: usize = HOLD_BOUNDS_NS.len() + 1;

/// Turns and holds of one lane.
#[derive(Debug, Default)]
pub struct Holds {
    turns: AtomicU64,
    sum_ns: AtomicU64,
    longest_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Turns and holds of one lane at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldsSnapshot {
    /// Turns opened.
    pub turns: u64,
    /// Time held, in nanoseconds.
    pub sum_ns: u64,
    /// The longest hold, in nanoseconds.
    pub longest_ns: u64,
    /// Holds by length, see [`HOLD_BOUNDS_NS`]; each is counted once.
    pub buckets: [u64; BUCKETS],
}

impl HoldsSnapshot {
    /// Number of holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Holds {
    /// `n` turns were opened.
    #[inline]
    pub fn turns(&self, n: u64) {
        bump(&self.turns, n);
    }

    /// The lane kept its thread for `ns` nanoseconds.
    pub fn held(&self, ns: u64) {
        bump(&self.sum_ns, ns);
        bump(&self.buckets[HOLD_BOUNDS_NS.partition_point(|bound| *bound < ns)], 1);
        if ns > self.longest_ns.load(Ordering::Relaxed) {
            self.longest_ns.store(ns, Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> HoldsSnapshot {
        HoldsSnapshot {
            turns: self.turns.load(Ordering::Relaxed),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
            longest_ns: self.longest_ns.load(Ordering::Relaxed),
            buckets: std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed)),
        }
    }
}

fn bump(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_counted_in_the_first_bucket_that_it_fits() {
        let holds = Holds::default();
        for ns in [0, 100_000, 100_001, 5_000_000, 2_000_000_000] {
            holds.held(ns);
        }
        let s = holds.snapshot();
        assert_eq!((s.buckets[0], s.buckets[1], s.buckets[5], s.buckets[12]), (2, 1, 1, 1));
        assert_eq!((s.count(), s.longest_ns), (5, 2_000_000_000));
        assert_eq!(s.sum_ns, 2_005_200_001);
    }
}
