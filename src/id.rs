//! Addresses: [`Pid`] and [`CallId`].
//!
//! ```text
//!  bit 52        44 43                  23 22                   0
//!     | tag (9)   | generation (21)      | slot (23)            |
//! ```
//!
//! A pid fits the 53 bits that a JS `number` holds exactly. The tag names the runtime, so a pid of another runtime is
//! refused instead of hitting a stranger. Generations start at 1 and only grow; a slot whose generations are used up is
//! retired, so no pid is ever given twice and none is 0.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

/// Bits of a pid that name its slot.
pub const SLOT_BITS: u32 = 23;
/// Bits of a pid that name the use of its slot.
pub const GENERATION_BITS: u32 = 21;
/// Bits of a pid that name its runtime.
pub const TAG_BITS: u32 = 9;
/// Most actors a runtime holds at once (8,388,608).
pub const MAX_SLOTS: u32 = 1 << SLOT_BITS;
/// Last generation of a slot.
pub const MAX_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

/// An actor's address: unique for the life of its runtime, never 0, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(NonZeroU64);

impl Pid {
    pub(crate) fn new(tag: u16, generation: u32, slot: u32) -> Self {
        debug_assert!((1..=MAX_GENERATION).contains(&generation));
        debug_assert!(slot < MAX_SLOTS && tag < 1 << TAG_BITS);
        let bits = u64::from(tag) << (SLOT_BITS + GENERATION_BITS)
            | u64::from(generation) << SLOT_BITS
            | u64::from(slot);
        // A generation is at least 1, so the fallback is never taken.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// The pid as the number that hosts see (1 to 2^53 - 1).
    #[inline]
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// A pid from a host's number; `None` for 0 and for what does not fit 53 bits.
    #[inline]
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        if bits >> (SLOT_BITS + GENERATION_BITS + TAG_BITS) != 0 {
            return None;
        }
        NonZeroU64::new(bits).map(Self)
    }

    #[inline]
    pub(crate) fn slot(self) -> u32 {
        (self.0.get() & u64::from(MAX_SLOTS - 1)) as u32
    }

    #[inline]
    pub(crate) fn generation(self) -> u32 {
        ((self.0.get() >> SLOT_BITS) & u64::from(MAX_GENERATION)) as u32
    }

    #[inline]
    pub(crate) fn tag(self) -> u16 {
        (self.0.get() >> (SLOT_BITS + GENERATION_BITS)) as u16
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({}.{}.{})", self.tag(), self.slot(), self.generation())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One open request: slot in the call table (low 32 bits) and its use (high 32 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(NonZeroU64);

impl CallId {
    pub(crate) fn new(generation: u32, index: u32) -> Self {
        let bits = u64::from(generation.max(1)) << 32 | u64::from(index);
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
    pub(crate) fn index(self) -> u32 {
        self.0.get() as u32
    }
    pub(crate) fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }
    /// The id as a number, for hosts that must carry it.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0.get()
    }
    /// The id from [`to_bits`](Self::to_bits).
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

/// A map whose keys are pids, or other numbers that the runtime itself has given out: nobody chooses them so that they collide.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Hashes one number: a multiplication, and its upper half folded into the lower.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }

    fn write_u64(&mut self, n: u64) {
        let h = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = h ^ h >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pid_keeps_its_parts_and_fits_a_js_number(
            tag in 0u16..(1 << TAG_BITS), generation in 1u32..=MAX_GENERATION, slot in 0u32..MAX_SLOTS,
        ) {
            let pid = Pid::new(tag, generation, slot);
            prop_assert_eq!((pid.tag(), pid.generation(), pid.slot()), (tag, generation, slot));
            prop_assert!(pid.to_bits() < 1 << 53);
            #[allow(clippy::cast_precision_loss, reason = "that it is exact is what is tested")]
            let through_js = pid.to_bits() as f64 as u64;
            prop_assert_eq!(Pid::from_bits(through_js), Some(pid));
        }
    }

    #[test]
    fn zero_and_wide_numbers_are_no_pids() {
        assert_eq!(Pid::from_bits(0), None);
        assert_eq!(Pid::from_bits(1 << 53), None);
        assert_eq!(Pid::from_bits(u64::MAX), None);
    }
}
