//! How many restarts within how long are too many. As in OTP: `max` within the window are fine, one more is not.

use std::collections::VecDeque;

/// The window of one supervisor.
#[derive(Clone, Debug)]
pub struct Intensity {
    /// Restarts that are fine.
    pub max: u32,
    /// How long one counts, in milliseconds.
    pub within_ms: u64,
    times: VecDeque<u64>,
}

impl Default for Intensity {
    /// 3 restarts in 5 seconds.
    fn default() -> Self {
        Self::new(3, 5_000)
    }
}

impl Intensity {
    /// `max` restarts within `within_ms` milliseconds.
    #[must_use]
    pub fn new(max: u32, within_ms: u64) -> Self {
        Self { max, within_ms, times: VecDeque::new() }
    }

    /// Counts a restart at `now`; `false`: it is one too many.
    pub fn add(&mut self, now: u64) -> bool {
        while self.times.front().is_some_and(|t| now.saturating_sub(*t) > self.within_ms) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.times.len() <= self.max as usize
    }

    /// Restarts that count now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.times.len()
    }

    /// Forgets all restarts: the supervisor itself begins anew.
    pub fn reset(&mut self) {
        self.times.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Intensity;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_too_much_exactly_when_the_window_holds_more_than_max(
            max in 0u32..5, within in 0u64..50, steps in prop::collection::vec(0u64..20, 0..60),
        ) {
            let mut intensity = Intensity::new(max, within);
            let (mut now, mut all) = (0, Vec::new());
            for step in steps {
                now += step;
                all.push(now);
                let inside = all.iter().filter(|t| now - **t <= within).count();
                prop_assert_eq!(intensity.add(now), inside <= max as usize);
            }
        }
    }
}
