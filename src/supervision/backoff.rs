//! How long to wait before a restart: longer after each, and never quite the same for two.

use crate::error::{Error, ErrorKind, Result};

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Before the first restart, in milliseconds. Default 100.
    pub initial_ms: f64,
    /// The longest, in milliseconds. Default 30,000.
    pub max_ms: f64,
    /// How much longer each is than the one before. Default 2.
    pub factor: f64,
    /// How much of it may be left off, by chance: 0 to 1. Default 0.5.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 100.0, max_ms: 30_000.0, factor: 2.0, jitter: 0.5 }
    }
}

impl Backoff {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `InvalidArgument` names the number that is out of range.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, got: f64| {
            Err(Error::new(ErrorKind::InvalidArgument, format!("backoff {what}, got {got}")))
        };
        let day = 86_400_000.0;
        if !(0.0..=day).contains(&self.initial_ms) {
            return wrong("initialMs must be 0 to 86,400,000", self.initial_ms);
        }
        if !(self.initial_ms..=day).contains(&self.max_ms) {
            return wrong("maxMs must be initialMs to 86,400,000", self.max_ms);
        }
        if !(1.0..=100.0).contains(&self.factor) {
            return wrong("factor must be 1 to 100", self.factor);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return wrong("jitter must be 0 to 1", self.jitter);
        }
        Ok(())
    }

    /// The wait before the `nth` restart (from 1), in milliseconds; `chance` is a random number.
    #[must_use]
    pub fn delay_ms(&self, nth: u32, chance: u64) -> u64 {
        let exponent = i32::try_from(nth.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.initial_ms * self.factor.powi(exponent)).min(self.max_ms);
        let part = (chance >> 11) as f64 / (1u64 << 53) as f64;
        (full * (1.0 - self.jitter * part)) as u64
    }
}

/// The next random number of a sequence (splitmix64): spread is all that is asked of it.
#[must_use]
pub fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_is_between_its_bounds(nth in 1u32..2_000, random: u64) {
            let b = Backoff::default();
            let full = (100.0 * 2f64.powi(nth.min(20) as i32 - 1)).min(30_000.0);
            let got = b.delay_ms(nth, random) as f64;
            prop_assert!(got <= full && got >= (full * 0.5).floor(), "{got} of {full}");
            let exact = Backoff { jitter: 0.0, ..b };
            prop_assert_eq!(exact.delay_ms(nth, random), full as u64);
        }
    }
}
