//! A hierarchical timing wheel: pure, no clock, no lock.
//!
//! Varghese and Lauck's scheme 7, one tick a millisecond, with a long first level:
//!
//! ```text
//!             a slot is   the level spans
//!    near     1 ms        1.02 s
//!    far 0    64 ms       4.1 s
//!    far 1    4.1 s       4.4 min
//!    far 2    4.4 min     4.7 h
//!    far 3    4.7 h       12.4 d
//!    far 4    12.4 d      2.2 y      (farther deadlines wait here and are placed again)
//! ```
//!
//! The near level is a ring: what is due within it goes straight to its tick, and stays. The far levels count *blocks* of 64
//! ticks, and their clock is ahead: a block comes into the ring as soon as all of it fits there, almost a second before its
//! time. So whatever has a delay of less than that is moved by nobody, however many of them there are (docs/adr/0042).
//!
//! Insert and cancel are O(1): entries live in a slab and a slot is a doubly linked list of slab indices whose head's
//! `prev` is its tail. Timers of one tick fire in the order of their inserts: lists are appended to, and a slot is moved
//! down a level, in order, before anything can be inserted below it. Bitmaps find the next occupied slot without a walk.

const LEVELS: usize = 5;
const SLOTS: usize = 64;
const NIL: u32 = u32::MAX;
/// Blocks that the far levels span.
const SPAN: u64 = 1 << (6 * LEVELS);
/// Ticks of the near level.
const NEAR: usize = 1024;
const WORDS: usize = NEAR / 64;
/// Ticks of a block.
const BLOCK: u64 = 64;
/// Ticks that the clock of the far levels is ahead: a whole block fits behind them.
const LEAD: u64 = NEAR as u64 - BLOCK;

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
    place: Place,
    value: Option<T>,
}

/// A slot: of the near level, or of a far one.
#[derive(Clone, Copy)]
struct Place {
    /// 0: near.
    level: u8,
    slot: u16,
}

#[derive(Clone, Copy)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

struct Near {
    occupied: [u64; WORDS],
    heads: [u32; NEAR],
}

/// The wheel. Ticks are milliseconds of the runtime's clock.
pub struct Wheel<T> {
    elapsed: u64,
    /// The block that the far levels have come to.
    block: u64,
    near: Box<Near>,
    far: Box<[Level; LEVELS]>,
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self {
            elapsed: 0,
            block: block_at(0),
            near: Box::new(Near { occupied: [0; WORDS], heads: [NIL; NEAR] }),
            far: Box::new([Level { occupied: 0, heads: [NIL; SLOTS] }; LEVELS]),
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
                place: Place { level: 0, slot: 0 },
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
        let far = self.next_far().map(|(_, block)| tick_of(block));
        match (self.next_near(), far) {
            (Some(near), Some(far)) => Some(near.min(far)),
            (near, far) => near.or(far),
        }
    }

    /// Moves time to tick `now` and appends what became due to `fired`, earliest first.
    pub fn advance(&mut self, now: u64, fired: &mut Vec<T>) {
        loop {
            let near = self.next_near();
            match self.next_far().map(|(place, block)| (place, block, tick_of(block))) {
                Some((place, block, tick))
                    if tick <= now && near.is_none_or(|near| tick < near) =>
                {
                    (self.elapsed, self.block) = (tick, block);
                    self.move_down(place);
                }
                _ => match near.filter(|tick| *tick <= now) {
                    Some(tick) => {
                        self.elapsed = tick;
                        self.fire(tick, fired);
                    }
                    None => break,
                },
            }
        }
        self.elapsed = self.elapsed.max(now);
        self.block = block_at(self.elapsed);
    }

    fn fire(&mut self, tick: u64, fired: &mut Vec<T>) {
        let slot = tick as usize % NEAR;
        let mut index = self.empty(Place { level: 0, slot: slot as u16 });
        while index != NIL {
            let next = self.entries[index as usize].next;
            fired.extend(self.release(index));
            index = next;
        }
    }

    fn move_down(&mut self, place: Place) {
        let mut index = self.empty(place);
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    /// The tick of the next timer that is near.
    fn next_near(&self) -> Option<u64> {
        let first = (self.elapsed + 1) as usize % NEAR;
        let (word, bit) = (first / 64, first % 64);
        // The first word once more at the end, for what is in front of `bit` there.
        (0..=WORDS).find_map(|i| {
            let mut bits = self.near.occupied[(word + i) % WORDS];
            if i == 0 {
                bits &= u64::MAX << bit;
            }
            let slot = (word + i) * 64 + bits.trailing_zeros() as usize;
            (bits != 0).then(|| self.elapsed + 1 + (slot - first) as u64)
        })
    }

    /// The next far slot that is to be moved down, and the block at which it is.
    fn next_far(&self) -> Option<(Place, u64)> {
        let elapsed = self.block;
        self.far.iter().enumerate().find_map(|(level, l)| {
            if l.occupied == 0 {
                return None;
            }
            let slot_range = 1u64 << (6 * level);
            let level_range = slot_range * SLOTS as u64;
            let now_slot = ((elapsed / slot_range) % SLOTS as u64) as u32;
            // The slot of `now` itself comes last: what is in it (in the top level only) waits a whole turn.
            let after = l.occupied.rotate_right((now_slot + 1) % 64).trailing_zeros();
            let slot = (after + now_slot + 1) % 64;
            let start = elapsed - elapsed % level_range;
            let mut block = start + u64::from(slot) * slot_range;
            if block <= elapsed {
                block += level_range;
            }
            Some((Place { level: level as u8 + 1, slot: slot as u16 }, block))
        })
    }

    fn place_of(&self, when: u64) -> Place {
        let (now, block) = (self.block, when / BLOCK);
        if block <= now {
            return Place { level: 0, slot: (when % NEAR as u64) as u16 };
        }
        let level = level_for(now, block);
        // What is farther than the wheel spans waits in the top level and is placed again when its slot comes up.
        let slot = (block >> (6 * level)) % SLOTS as u64;
        Place { level: level as u8 + 1, slot: slot as u16 }
    }

    fn head(&mut self, place: Place) -> &mut u32 {
        let slot = usize::from(place.slot);
        match place.level {
            0 => &mut self.near.heads[slot],
            level => &mut self.far[usize::from(level) - 1].heads[slot],
        }
    }

    fn mark(&mut self, place: Place, occupied: bool) {
        let slot = usize::from(place.slot);
        let word = match place.level {
            0 => &mut self.near.occupied[slot / 64],
            level => &mut self.far[usize::from(level) - 1].occupied,
        };
        let bit = 1 << (slot % 64);
        if occupied { *word |= bit } else { *word &= !bit }
    }

    /// Takes all entries of a slot; answers the first.
    fn empty(&mut self, place: Place) -> u32 {
        self.mark(place, false);
        std::mem::replace(self.head(place), NIL)
    }

    fn link(&mut self, index: u32) {
        let place = self.place_of(self.entries[index as usize].when);
        let head = *self.head(place);
        let mut prev = index;
        if head == NIL {
            *self.head(place) = index;
            self.mark(place, true);
        } else {
            prev = std::mem::replace(&mut self.entries[head as usize].prev, index);
            self.entries[prev as usize].next = index;
        }
        let e = &mut self.entries[index as usize];
        (e.prev, e.next, e.place) = (prev, NIL, place);
    }

    fn unlink(&mut self, index: u32) {
        let e = &self.entries[index as usize];
        let (prev, next, place) = (e.prev, e.next, e.place);
        let head = *self.head(place);
        // Who comes before what follows, or, if nothing does, the tail that the head remembers.
        let follower = if next != NIL { next } else { head };
        if head == index {
            *self.head(place) = next;
            if next == NIL {
                self.mark(place, false);
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

/// The block that the far levels have come to at a tick: it ends no later than the ring does.
fn block_at(tick: u64) -> u64 {
    (tick + LEAD) / BLOCK
}

/// The tick at which the far levels come to a block.
fn tick_of(block: u64) -> u64 {
    (block * BLOCK).saturating_sub(LEAD)
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
        let delay = prop_oneof![0u64..200, 900u64..1_200, 0u64..100_000, 0u64..(1 << 37)];
        let step = prop_oneof![1u64..100, 1u64..2_000, 1u64..10_000, 1u64..(1 << 36)];
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

    #[test]
    fn what_is_due_within_a_second_is_never_moved() {
        // One that has waited longer is in the same tick, and comes first.
        let mut wheel = Wheel::default();
        wheel.insert(5_000, 0);
        wheel.advance(4_900, &mut Vec::new());
        for i in 1..=100_000u64 {
            wheel.insert(5_000, i);
        }
        assert!(wheel.far.iter().all(|level| level.occupied == 0));
        assert_eq!(wheel.next_tick(), Some(5_000));
        let mut fired = Vec::new();
        wheel.advance(5_000, &mut fired);
        assert!(fired.into_iter().eq(0..=100_000));
    }
}
