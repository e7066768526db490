//! What happens to a message that finds its mailbox full, and how full a mailbox is.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;

/// The policy of a full mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is refused. The default.
    DropNew,
    /// The oldest queued message goes, the new one is taken.
    DropOld,
    /// The new message goes to another actor.
    Redirect(Pid),
    /// The oldest queued message goes to another actor, the new one is taken.
    Spill(Pid),
    /// Who can wait waits for room; who cannot is refused.
    Block,
}

impl Overflow {
    /// A policy by its word: `dropnew`, `dropold`, `redirect`, `spill` or `block`.
    ///
    /// # Errors
    /// `InvalidArgument` for another word, for `redirect` or `spill` without a target and for others with one.
    pub fn parse(word: &str, target: Option<Pid>) -> Result<Self> {
        let wrong = |m: String| Err(Error::new(ErrorKind::InvalidArgument, m));
        match (word, target) {
            ("dropnew", None) => Ok(Self::DropNew),
            ("dropold", None) => Ok(Self::DropOld),
            ("block", None) => Ok(Self::Block),
            ("redirect", Some(to)) => Ok(Self::Redirect(to)),
            ("spill", Some(to)) => Ok(Self::Spill(to)),
            ("redirect" | "spill", None) => wrong(format!("policy {word:?} needs a target pid")),
            ("dropnew" | "dropold" | "block", Some(_)) => {
                wrong(format!("policy {word:?} takes no target"))
            }
            _ => wrong(format!(
                "policy must be dropnew, dropold, redirect, spill or block, got {word:?}"
            )),
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropNew => "dropnew",
            Self::DropOld => "dropold",
            Self::Redirect(_) => "redirect",
            Self::Spill(_) => "spill",
            Self::Block => "block",
        }
    }

    /// The other actor, if the policy has one.
    #[must_use]
    pub const fn target(self) -> Option<Pid> {
        match self {
            Self::Redirect(to) | Self::Spill(to) => Some(to),
            _ => None,
        }
    }
}

/// How full a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    /// Below both marks.
    Normal,
    /// From half of the capacity on, or the lower watermark of unbounded mailboxes (1,000).
    High,
    /// From 90 % of the capacity on, or the upper watermark (10,000).
    Critical,
}

impl Pressure {
    /// The level of `len` messages in a mailbox of that capacity; `marks` are for unbounded ones.
    #[must_use]
    pub fn of(len: usize, capacity: Option<u32>, marks: (u32, u32)) -> Self {
        let (high, critical) = match capacity {
            Some(c) => (u64::from(c).div_ceil(2), (u64::from(c) * 9).div_ceil(10)),
            None => (u64::from(marks.0), u64::from(marks.1)),
        };
        match len as u64 {
            n if n >= critical => Self::Critical,
            n if n >= high => Self::High,
            _ => Self::Normal,
        }
    }

    /// The length at which the level above this one begins; `u32::MAX`: there is none.
    #[must_use]
    pub fn ends_at(self, capacity: Option<u32>, marks: (u32, u32)) -> u32 {
        let (high, critical) = match capacity {
            Some(c) => (c.div_ceil(2), (u64::from(c) * 9).div_ceil(10) as u32),
            None => marks,
        };
        match self {
            // A small mailbox has no length that is high and not critical.
            Self::Normal => high.min(critical),
            Self::High => critical,
            Self::Critical => u32::MAX,
        }
    }

    /// The word that both languages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_at_half_and_at_nine_tenths() {
        let level = |len, capacity| Pressure::of(len, Some(capacity), (0, 0));
        assert_eq!(level(4, 10), Pressure::Normal);
        assert_eq!(level(5, 10), Pressure::High);
        assert_eq!(level(8, 10), Pressure::High);
        assert_eq!(level(9, 10), Pressure::Critical);
        assert_eq!(level(0, 1), Pressure::Normal);
        assert_eq!(level(1, 1), Pressure::Critical);
        assert_eq!(Pressure::of(1_000, None, (1_000, 10_000)), Pressure::High);
    }

    #[test]
    fn words_and_targets_must_fit() {
        let to = Pid::from_bits(1 << 23);
        assert_eq!(Overflow::parse("spill", to).map(Overflow::target).ok(), Some(to));
        for (word, target) in [("spill", None), ("block", to), ("dropall", None), ("", None)] {
            assert!(Overflow::parse(word, target).is_err());
        }
    }
}
