//! The slot table: pid to cell in two loads and a generation compare.
//!
//! Segments are allocated when first needed and live as long as the runtime, so a reference to a slot is always valid
//! memory; whether it is still *that* actor is what the generation tells, under the cell's lock.

use super::cell::Cell;
use crate::id::MAX_GENERATION;
#[cfg(not(iris_shuttle))]
use crate::id::MAX_SLOTS;
use crate::sync::Mutex;
use std::sync::OnceLock;

#[cfg(not(iris_shuttle))]
const SEGMENT: usize = 2048;
/// Small for the model checker, which makes a table for every schedule.
#[cfg(iris_shuttle)]
const SEGMENT: usize = 4;
#[cfg(iris_shuttle)]
const MAX_SLOTS: u32 = 16;

/// Cells that are allocated together.
type Segment = Box<[Mutex<Cell>]>;

#[derive(Default)]
struct Free {
    /// Slots that were used and are free, last freed first: a busy spawn/stop loop stays in cache.
    slots: Vec<u32>,
    /// First slot that was never used.
    fresh: u32,
}

/// All actors of a runtime.
pub struct Table {
    segments: Box<[OnceLock<Segment>]>,
    free: Mutex<Free>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            segments: (0..MAX_SLOTS as usize / SEGMENT).map(|_| OnceLock::new()).collect(),
            free: Mutex::new(Free::default()),
        }
    }
}

impl Table {
    /// The cell of a slot, if the slot was ever used.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&Mutex<Cell>> {
        let slot = slot as usize;
        self.segments.get(slot / SEGMENT)?.get()?.get(slot % SEGMENT)
    }

    /// A free slot; `None` when all are in use or retired.
    pub fn allocate(&self) -> Option<u32> {
        let mut free = self.free.lock();
        if let Some(slot) = free.slots.pop() {
            return Some(slot);
        }
        let slot = free.fresh;
        if slot == MAX_SLOTS {
            return None;
        }
        // Under the lock, so whoever sees the new `fresh` sees the segment too: `iter` must not miss an actor.
        self.segments[slot as usize / SEGMENT]
            .get_or_init(|| (0..SEGMENT).map(|_| Mutex::new(Cell::free())).collect());
        free.fresh += 1;
        Some(slot)
    }

    /// Gives a slot back; one whose generations are used up is retired instead.
    pub fn release(&self, slot: u32, generation: u32) {
        if generation < MAX_GENERATION {
            self.free.lock().slots.push(slot);
        }
    }

    /// Every slot that was ever used, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Mutex<Cell>)> {
        let fresh = self.free.lock().fresh;
        (0..fresh).filter_map(|slot| Some((slot, self.get(slot)?)))
    }
}
