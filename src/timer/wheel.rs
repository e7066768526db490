//! A hierarchical timing wheel: pure, no clock, no lock.
//!
//! Varghese and Lauck's scheme 7: six levels of 64 slots, one tick a millisecond.
//!
//! ```text
//!  level   a slot is        the level spans
//!    0     1 ms             64 ms
//!    1     64 ms            4.1 s
//!    2     4.1 s            4.4 min
//!    3     4.4 min          4.7 h
//!    4     4.7 h            12.4 d
//!    5     12.4 d           2.2 y      (farther deadlines wait here and are placed again)
//! ```
//!
//! Insert and cancel are O(1): entries live in a slab and a slot is a doubly linked list of slab indices whose head's
//! `prev` is its tail. Timers of one tick fire in the order of their inserts: lists are appended to, and a slot is moved
//! down a level, in order, before anything can be inserted below it. A bitmap a level finds the next occupied slot without
//! a walk.

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NIL: u32 = u32::MAX;
const SPAN: u64 = 1 << (6 * LEVELS);

/// A timer's handle: slab index and its use, so a stale handle hits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

impl TimerKey {
    /// The key of no timer.
    pub const NEVER: Self = Self { index: NIL, generation: 0 };

    /// The key as one number.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

struct Entry<T> {
    when: u64,
    prev: u32,
    next: u32,
    generation: u32,
    level: u8,
    slot: u8,
    value: Option<T>,
}

#[derive(Clone, Copy)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

/// The wheel. Ticks are milliseconds of the runtime's clock.
pub struct Wheel<T> {
    elapsed: u64,
    levels: Box<[Level; LEVELS]>,
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self {
            elapsed: 0,
            levels: Box::new([Level { occupied: 0, heads: [NIL; SLOTS] }; LEVELS]),
            entries: Vec::new(),
            free: NIL,
            len: 0,
        }
    }
}

fn level_for(elapsed: u64, when: u64) -> usize {
    let differing = ((elapsed ^ when) | (SLOTS as u64 - 1)).min(SPAN - 1);
    ((63 - differing.leading_zeros()) / 6) as usize
}

impl<T> Wheel<T> {
    /// Timers that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a timer that is due at tick `when`; what is due already fires at the next tick.
    pub fn insert(&mut self, when: u64, value: T) -> TimerKey {
        let when = when.max(self.elapsed + 1);
        let index = if self.free == NIL {
            self.entries.push(Entry {
                when,
                prev: NIL,
                next: NIL,
                generation: 0,
                level: 0,
                slot: 0,
                value: Some(value),
            });
            (self.entries.len() - 1) as u32
        } else {
            let index = self.free;
            let e = &mut self.entries[index as usize];
            self.free = e.next;
            e.when = when;
            e.value = Some(value);
            index
        };
        self.len += 1;
        self.link(index);
        TimerKey { index, generation: self.entries[index as usize].generation }
    }

    /// Removes a timer; answers its value if it was still to fire.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let e = self.entries.get(key.index as usize)?;
        if e.generation != key.generation || e.value.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.release(key.index)
    }

    /// The tick at which a timer is due; `None`: it has fired or was cancelled.
    #[must_use]
    pub fn due(&self, key: TimerKey) -> Option<u64> {
        let e = self.entries.get(key.index as usize)?;
        (e.generation == key.generation && e.value.is_some()).then_some(e.when)
    }

    /// The first tick at which [`advance`](Self::advance) has work: never later than the earliest deadline.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, tick)| tick)
    }

    /// Moves time to tick `now` and appends what became due to `fired`, earliest first.
    pub fn advance(&mut self, now: u64, fired: &mut Vec<T>) {
        while let Some((level, slot, tick)) = self.next_slot() {
            if tick > now {
                break;
            }
            self.elapsed = tick;
            let mut index = std::mem::replace(&mut self.levels[level].heads[slot], NIL);
            self.levels[level].occupied &= !(1 << slot);
            while index != NIL {
                let e = &self.entries[index as usize];
                let next = e.next;
                if e.when <= tick {
                    if let Some(v) = self.release(index) {
                        fired.push(v);
                    }
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        self.levels.iter().enumerate().find_map(|(level, l)| {
            if l.occupied == 0 {
                return None;
            }
            let slot_range = 1u64 << (6 * level);
            let level_range = slot_range * SLOTS as u64;
            let now_slot = ((self.elapsed / slot_range) % SLOTS as u64) as u32;
            // The slot of `now` itself comes last: what is in it (in the top level only) waits a whole turn.
            let after = l.occupied.rotate_right((now_slot + 1) % 64).trailing_zeros();
            let slot = (after + now_slot + 1) % 64;
            let start = self.elapsed - self.elapsed % level_range;
            let mut tick = start + u64::from(slot) * slot_range;
            if tick <= self.elapsed {
                tick += level_range;
            }
            Some((level, slot as usize, tick))
        })
    }

    fn link(&mut self, index: u32) {
        let when = self.entries[index as usize].when;
        let level = level_for(self.elapsed, when);
        // What is farther than the wheel spans waits in the top level and is placed again when its slot comes up.
        let slot = ((when >> (6 * level)) % SLOTS as u64) as usize;
        let l = &mut self.levels[level];
        let head = l.heads[slot];
        let mut prev = index;
        if head == NIL {
            l.heads[slot] = index;
            l.occupied |= 1 << slot;
        } else {
            prev = std::mem::replace(&mut self.entries[head as usize].prev, index);
            self.entries[prev as usize].next = index;
        }
        let e = &mut self.entries[index as usize];
        (e.prev, e.next, e.level, e.slot) = (prev, NIL, level as u8, slot as u8);
    }

    fn unlink(&mut self, index: u32) {
        let e = &self.entries[index as usize];
        let (prev, next, level, slot) = (e.prev, e.next, usize::from(e.level), usize::from(e.slot));
        let l = &mut self.levels[level];
        let head = l.heads[slot];
        // Who comes before what follows, or, if nothing does, the tail that the head remembers.
        let follower = if next != NIL { next } else { head };
        if head == index {
            l.heads[slot] = next;
            if next == NIL {
                l.occupied &= !(1 << slot);
            }
        } else {
            self.entries[prev as usize].next = next;
        }
        self.entries[follower as usize].prev = prev;
    }

    fn release(&mut self, index: u32) -> Option<T> {
        let free = std::mem::replace(&mut self.free, index);
        let e = &mut self.entries[index as usize];
        e.generation = e.generation.wrapping_add(1);
        e.next = free;
        self.len -= 1;
        e.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let delay = prop_oneof![0u64..200, 0u64..100_000, 0u64..(1 << 37)];
        let step = prop_oneof![1u64..100, 1u64..10_000, 1u64..(1 << 36)];
        prop_oneof![
            4 => delay.prop_map(Op::Insert),
            1 => (0usize..64).prop_map(Op::Cancel),
            3 => step.prop_map(Op::Advance),
        ]
    }

    proptest! {
        /// Against a sorted map: the same timers fire at the same advance, never early, none twice, none lost.
        #[test]
        fn fires_exactly_what_a_sorted_map_would(ops in prop::collection::vec(op(), 1..200)) {
            let mut wheel = Wheel::default();
            let mut model: BTreeMap<u64, (u64, TimerKey)> = BTreeMap::new();
            let (mut now, mut next_id) = (0u64, 0u64);
            for o in ops {
                match o {
                    Op::Insert(delay) => {
                        let when = (now + delay).max(now + 1);
                        let key = wheel.insert(now + delay, next_id);
                        model.insert(next_id, (when, key));
                        next_id += 1;
                    }
                    Op::Cancel(n) => {
                        let pick = model.iter().nth(n % model.len().max(1)).map(|(i, (_, k))| (*i, *k));
                        if let Some((id, key)) = pick {
                            prop_assert_eq!(wheel.cancel(key), Some(id));
                            prop_assert_eq!(wheel.cancel(key), None);
                            model.remove(&id);
                        }
                    }
                    Op::Advance(by) => {
                        now += by;
                        let earliest = model.values().map(|(w, _)| *w).min();
                        prop_assert!(wheel.next_tick() <= earliest || earliest.is_none());
                        let mut fired = Vec::new();
                        wheel.advance(now, &mut fired);
                        let mut due: Vec<u64> =
                            model.iter().filter(|(_, (w, _))| *w <= now).map(|(i, _)| *i).collect();
                        for w in fired.windows(2) {
                            let key = |id| (model[id].0, *id);
                            prop_assert!(key(&w[0]) < key(&w[1]), "fired out of order");
                        }
                        model.retain(|_, (w, _)| *w > now);
                        fired.sort_unstable();
                        due.sort_unstable();
                        prop_assert_eq!(fired, due);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }

    #[test]
    fn a_million_insert_cancel_cycles_keep_the_slab_small() {
        let mut wheel = Wheel::default();
        for i in 0..1_000_000u64 {
            let key = wheel.insert(i + 5_000, i);
            assert_eq!(wheel.cancel(key), Some(i));
        }
        assert_eq!((wheel.entries.len(), wheel.next_tick()), (1, None));
    }
}
