//! The words of supervision.

use crate::error::{Error, ErrorKind, Result};
use crate::message::ExitReason;

/// Which ends of a child are followed by a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// All of them, a stop too.
    #[default]
    Permanent,
    /// Those that are errors: not `normal` and not `shutdown`.
    Transient,
    /// None.
    Temporary,
}

impl Restart {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Permanent, Self::Transient, Self::Temporary];

    /// Whether an end for this reason is followed by a restart.
    #[must_use]
    pub const fn applies_to(self, why: ExitReason) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => !matches!(why, ExitReason::Normal | ExitReason::Shutdown),
            Self::Temporary => false,
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }

    /// A type by its word.
    ///
    /// # Errors
    /// `InvalidArgument` for another word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("restart must be permanent, transient or temporary, got {word:?}"),
            )
        })
    }
}

/// Who is restarted with a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Nobody else (OTP: `one_for_one`).
    #[default]
    One,
    /// All its siblings (`one_for_all`).
    All,
    /// The siblings that were started after it (`rest_for_one`).
    Rest,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 3] = [Self::One, Self::All, Self::Rest];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "restartone",
            Self::All => "restartall",
            Self::Rest => "restforone",
        }
    }

    /// A strategy by its word.
    ///
    /// # Errors
    /// `InvalidArgument` for another word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("strategy must be restartone, restartall or restforone, got {word:?}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_and_normal_ends_are_no_errors() {
        let applies = |r: Restart| -> Vec<&str> {
            ExitReason::ALL
                .into_iter()
                .filter(|w| r.applies_to(*w))
                .map(ExitReason::as_str)
                .collect()
        };
        let all: Vec<_> = ExitReason::ALL.map(ExitReason::as_str).into();
        assert_eq!(applies(Restart::Permanent), all);
        assert_eq!(applies(Restart::Transient).len(), all.len() - 2);
        assert_eq!(applies(Restart::Temporary), Vec::<&str>::new());
        for word in ["", "Permanent", "one_for_one"] {
            assert!(Restart::parse(word).is_err() && Strategy::parse(word).is_err());
        }
    }
}
