//! Is the peer dead? Pure: it is told when something was heard and asked what it thinks now.

use std::collections::VecDeque;
use std::time::Duration;

/// How silence is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judge {
    /// Down after so long a silence, in milliseconds.
    Fixed {
        /// The longest silence.
        timeout_ms: u64,
    },
    /// Phi-accrual (Hayashibara et al.): down when the silence is too long for what was usual on this link. `phi` 8 means
    /// that a living peer is wronged once in 10^8 silences; never sooner than `least_ms`.
    Phi {
        /// The threshold.
        phi: f64,
        /// The shortest silence that may be judged, in milliseconds.
        least_ms: u64,
    },
}

impl Judge {
    /// This judge with what a host says: `phi` makes it accrual, `silence_ms` alone fixed.
    #[must_use]
    pub fn changed(self, silence_ms: Option<u64>, phi: Option<f64>, heartbeat: Duration) -> Self {
        let twice = 2 * heartbeat.as_millis() as u64;
        match (silence_ms, phi) {
            (silence, Some(phi)) => Self::Phi { phi, least_ms: silence.unwrap_or(twice) },
            (Some(timeout_ms), None) => Self::Fixed { timeout_ms },
            (None, None) => self,
        }
    }
}

/// Gaps that are remembered.
const WINDOW: usize = 100;
/// The least spread of gaps that is assumed, in milliseconds: timers and schedulers are never better.
const LEAST_SPREAD_MS: f64 = 50.0;

/// What is known of one peer's signs of life.
#[derive(Debug)]
pub struct Detector {
    judge: Judge,
    last_ms: u64,
    gaps: VecDeque<u64>,
    /// What is expected before anything was heard, in milliseconds.
    interval_ms: u64,
}

impl Detector {
    /// A peer that was heard at `now_ms` and promises a sign of life every `interval_ms`.
    #[must_use]
    pub fn new(judge: Judge, interval_ms: u64, now_ms: u64) -> Self {
        Self { judge, last_ms: now_ms, gaps: VecDeque::new(), interval_ms }
    }

    /// Something was heard.
    pub fn heard(&mut self, now_ms: u64) {
        let gap = now_ms.saturating_sub(self.last_ms);
        self.last_ms = self.last_ms.max(now_ms);
        // Traffic between heartbeats says nothing about their rhythm.
        if gap * 2 < self.interval_ms {
            return;
        }
        if self.gaps.len() == WINDOW {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// A new connection: the silence before it is no gap.
    pub fn reset(&mut self, now_ms: u64) {
        self.last_ms = now_ms;
    }

    /// How long nothing was heard, in milliseconds.
    #[must_use]
    pub fn silence_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_ms)
    }

    /// Whether the peer is down.
    #[must_use]
    pub fn is_down(&self, now_ms: u64) -> bool {
        let silence = self.silence_ms(now_ms);
        match self.judge {
            Judge::Fixed { timeout_ms } => silence >= timeout_ms,
            Judge::Phi { phi, least_ms } => silence >= least_ms && self.phi(silence) >= phi,
        }
    }

    /// How suspicious a silence is: -log10 of the chance that a living peer is silent so long.
    fn phi(&self, silence_ms: u64) -> f64 {
        let n = self.gaps.len().max(1) as f64;
        let mean = if self.gaps.is_empty() {
            self.interval_ms as f64
        } else {
            self.gaps.iter().sum::<u64>() as f64 / n
        };
        let spread = self.gaps.iter().map(|g| (*g as f64 - mean).powi(2)).sum::<f64>() / n;
        let spread = spread.sqrt().max(mean / 4.0).max(LEAST_SPREAD_MS);
        // The tail of the normal distribution by its logistic approximation.
        let y = (silence_ms as f64 - mean) / spread;
        let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
        if y > 0.0 { -(e / (1.0 + e)).log10() } else { -(1.0 - 1.0 / (1.0 + e)).log10() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_judge_counts_the_silence() {
        let mut d = Detector::new(Judge::Fixed { timeout_ms: 10_000 }, 1000, 0);
        assert!(!d.is_down(9_999));
        assert!(d.is_down(10_000));
        d.heard(10_500);
        assert!(!d.is_down(20_499));
        assert!(d.is_down(20_500));
    }

    #[test]
    fn phi_learns_the_rhythm() {
        let judge = Judge::Phi { phi: 8.0, least_ms: 0 };
        let (mut steady, mut shaky) =
            (Detector::new(judge, 1000, 0), Detector::new(judge, 1000, 0));
        let (mut a, mut b) = (0, 0);
        for i in 0..100 {
            a += 1000;
            b += if i % 2 == 0 { 600 } else { 3000 };
            steady.heard(a);
            shaky.heard(b);
        }
        let first =
            |d: &Detector, from: u64| (0..60_000).find(|t| d.is_down(from + t)).expect("a verdict");
        let (steady, shaky) = (first(&steady, a), first(&shaky, b));
        assert!(steady > 1500 && steady < 4_000, "{steady}");
        assert!(shaky > 2 * steady, "{shaky} against {steady}");
    }

    #[test]
    fn phi_never_judges_below_the_least() {
        let d = Detector::new(Judge::Phi { phi: 8.0, least_ms: 8_000 }, 100, 0);
        assert!(!d.is_down(7_999));
        assert!(d.is_down(8_000));
    }

    #[test]
    fn a_clock_that_goes_back_harms_nobody() {
        let mut d = Detector::new(Judge::Fixed { timeout_ms: 10 }, 1, 100);
        d.heard(50);
        assert!(!d.is_down(60));
    }
}
