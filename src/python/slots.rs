//! The handlers of a lane's actors, by their keys.

use super::behavior::Slot;
use super::swap::Past;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

const _: () = assert!(size_of::<Option<Slot>>() == 32);

/// What hot swaps of an actor have replaced, if there were any.
pub(super) type Versions<'a> = Entry<'a, u32, Past>;

#[derive(Default)]
pub(super) struct Slots {
    table: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// What hot swaps have replaced, by the keys of the actors: few are ever swapped.
    past: HashMap<u32, Past>,
}

impl Slots {
    /// Actors that there are.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    pub(super) fn get(&self, key: u32) -> Option<&Slot> {
        self.table.get(key as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut Slot> {
        self.table.get_mut(key as usize)?.as_mut()
    }

    /// An actor's handler, and what hot swaps of it have replaced.
    pub(super) fn with_versions(&mut self, key: u32) -> Option<(&mut Slot, Versions<'_>)> {
        let slot = self.table.get_mut(key as usize)?.as_mut()?;
        Some((slot, self.past.entry(key)))
    }

    /// Answers the key.
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        if let Some(key) = self.free.pop() {
            self.table[key as usize] = Some(slot);
            return key;
        }
        self.table.push(Some(slot));
        (self.table.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<(Slot, Option<Past>)> {
        let slot = self.table.get_mut(key as usize)?.take()?;
        self.free.push(key);
        let past = self.past.remove(&key);
        Some((slot, past))
    }
}
