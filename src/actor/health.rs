//! What an actor, or whoever looks after it, says of its condition.

use crate::error::{Error, ErrorKind, Result};

/// Condition of an actor. The core only keeps it: who watches decides what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// All is well; what an actor begins with.
    #[default]
    Healthy,
    /// It works, but not as it should.
    Degraded,
    /// It does not do its work.
    Unhealthy,
}

impl Health {
    /// Every condition.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The word that both languages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The condition that a word means.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|h| h.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                ErrorKind::InvalidArgument,
                format!("health must be one of {known}; got {word:?}"),
            )
        })
    }
}
