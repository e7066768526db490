//! The only source of "now".
//!
//! A [`Clock`] counts nanoseconds since it was made, monotonically, so no change of the wall clock can reach a timer
//! (fault row 15). Tests use [`Clock::manual`], which moves only when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A monotonic clock: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real(Instant),
    Manual(Arc<AtomicU64>),
    /// Of the tokio runtime that this thread is in, which may be paused.
    #[cfg(all(test, feature = "mesh"))]
    Tokio(tokio::time::Instant),
}

impl Clock {
    /// The machine's monotonic clock, starting at zero now.
    #[allow(
        clippy::disallowed_methods,
        reason = "this module is the one place that reads the time"
    )]
    #[must_use]
    pub fn real() -> Self {
        Self(Source::Real(Instant::now()))
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// The clock of the tokio runtime that this thread is in.
    #[cfg(all(test, feature = "mesh"))]
    pub(crate) fn tokio() -> Self {
        Self(Source::Tokio(tokio::time::Instant::now()))
    }

    /// Nanoseconds since this clock was made.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match &self.0 {
            Source::Real(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Source::Manual(t) => t.load(Ordering::Acquire),
            #[cfg(all(test, feature = "mesh"))]
            Source::Tokio(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Whole milliseconds since this clock was made, rounded down.
    #[inline]
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ns() / 1_000_000
    }

    /// Moves a manual clock forward; a real clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(t) = &self.0 {
            t.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::AcqRel);
        }
    }

    /// Whether this clock moves only by [`advance`](Self::advance).
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }
}

/// The machine's wall clock, in milliseconds since 1970: to compare with other machines', never to wait by.
#[allow(clippy::disallowed_methods, reason = "this module is the one place that reads the time")]
#[must_use]
pub fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |t| t.as_millis() as u64)
}
