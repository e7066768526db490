//! An actor's queue: unbounded or bounded, first in first out.
//!
//! A mailbox lives inside its actor's cell and under its lock, so it needs no atomics of its own; an empty one owns no
//! heap memory. What a lane has taken but not yet begun still counts against the capacity (`reserved`), so a bound of 1
//! means one message waiting, whatever the batch size.

pub mod overflow;

use crate::id::CallId;
use crate::message::Envelope;
use std::collections::VecDeque;

/// Queues longer than this give their memory back when they run empty, in messages.
const KEEP: usize = 4;

/// The bit of [`Mailbox::expired`] that says that there may be calls in the queue. A million actors wait on the size of this
/// struct: a field of its own would cost each of them 8 bytes.
const CALLS: u32 = 1 << 31;

const _: () = assert!(size_of::<Mailbox>() == 72);

/// A queue of envelopes.
#[derive(Debug, Default)]
pub struct Mailbox {
    queue: VecDeque<Envelope>,
    capacity: u32,
    reserved: u32,
    high_water: u32,
    /// [`CALLS`]; the other bits count the calls in the queue that are over.
    expired: u32,
    /// System messages in the queue, for which the bound does not hold.
    exempt: u32,
    /// The length from which on somebody is to be told.
    alarm: u32,
    /// Messages that [`pop_oldest`](Self::pop_oldest) took.
    popped: u64,
    /// Messages that were ever pushed.
    pushed: u64,
}

impl Mailbox {
    /// A mailbox that holds at most `capacity` messages; 0 is unbounded.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { capacity, alarm: u32::MAX, ..Self::default() }
    }

    /// User messages that wait, those included that a lane holds but has not begun.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len() + self.reserved as usize - self.exempt as usize
    }

    /// The number of the message that was pushed last; the first is 1.
    #[must_use]
    pub fn last_pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether the message with that number, or one that was pushed before it, may still wait.
    #[must_use]
    pub fn may_hold(&self, number: u64) -> bool {
        let waiting = self.queue.len() as u64 + u64::from(self.reserved);
        self.pushed - waiting.min(self.pushed) < number
    }

    /// Whether none waits in the queue itself.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Messages in the queue itself.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The bound, or `None`.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        (self.capacity != 0).then_some(self.capacity)
    }

    /// The longest this mailbox has been.
    #[must_use]
    pub fn high_water(&self) -> u32 {
        self.high_water
    }

    /// Whether one more message fits.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.capacity == 0 || self.len() < self.capacity as usize
    }

    /// Appends a message; the caller has asked [`has_room`](Self::has_room).
    #[inline]
    pub fn push(&mut self, envelope: Envelope) {
        if self.queue.capacity() == 0 {
            // Most actors have one message at a time; the usual first step is four.
            self.queue.reserve_exact(1);
        }
        self.expired |= u32::from(envelope.call.is_some()) * CALLS;
        self.queue.push_back(envelope);
        self.pushed += 1;
        let len = self.len() as u32;
        if len > self.high_water {
            self.high_water = len;
        }
    }

    /// A message has passed by: its actor was idle and got it at once.
    #[inline]
    pub fn passed(&mut self) {
        self.pushed += 1;
        if self.high_water == 0 {
            self.high_water = 1;
        }
    }

    /// Appends a message for which the bound does not hold.
    pub fn push_exempt(&mut self, envelope: Envelope) {
        self.exempt += 1;
        self.push(envelope);
    }

    /// Counts exempt messages that have left the queue.
    #[inline]
    fn left<'a>(exempt: &mut u32, gone: impl IntoIterator<Item = &'a Envelope>) {
        if *exempt != 0 {
            let gone = gone.into_iter().filter(|e| e.payload.as_system().is_some()).count();
            *exempt = exempt.saturating_sub(gone as u32);
        }
    }

    /// Whether any number of messages may be pushed with nothing else to do: no bound, and nobody to tell.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.capacity == 0 && self.alarm == u32::MAX
    }

    /// Whether its length has come to the [alarm](Self::set_alarm).
    #[inline]
    #[must_use]
    pub fn is_alarmed(&self) -> bool {
        self.len() >= self.alarm as usize
    }

    /// Sets the length from which on it is alarmed; `u32::MAX`: never.
    pub fn set_alarm(&mut self, len: u32) {
        self.alarm = len;
    }

    /// Takes the oldest queued message out.
    pub fn pop_oldest(&mut self) -> Option<Envelope> {
        let e = self.queue.pop_front()?;
        self.popped += 1;
        Self::left(&mut self.exempt, [&e]);
        Some(e)
    }

    /// Takes the oldest queued message of a user's out.
    pub fn pop_oldest_user(&mut self) -> Option<Envelope> {
        if self.exempt == 0 {
            return self.pop_oldest();
        }
        let at = self.queue.iter().position(|e| e.payload.as_system().is_none())?;
        // What is behind it keeps its place, what is before it moves up.
        self.popped += 1;
        self.queue.remove(at)
    }

    /// The message at `place`, or the first after it, and where that is. Places count what was ever at the front of this
    /// mailbox. A place may grow, so that a message is seen twice; but for [`remove`](Self::remove) none becomes less, so that none
    /// is passed over.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<(&Envelope, u64)> {
        let place = place.max(self.popped);
        let index = usize::try_from(place - self.popped).ok()?;
        Some((self.queue.get(index)?, place))
    }

    /// Takes the message at `place` out; those behind it move up by one place.
    pub fn remove(&mut self, place: u64) -> Option<Envelope> {
        let index = usize::try_from(place.checked_sub(self.popped)?).ok()?;
        let e = self.queue.remove(index)?;
        Self::left(&mut self.exempt, [&e]);
        Some(e)
    }

    /// Moves up to `max` messages to `out`, as long as `fits` agrees with each; they stay reserved.
    #[inline]
    pub fn take(
        &mut self,
        max: usize,
        out: &mut Vec<Envelope>,
        mut fits: impl FnMut(&Envelope) -> bool,
    ) -> usize {
        let most = max.min(self.queue.len());
        let before = out.len();
        out.reserve(most);
        let mut n = 0;
        while n < most
            && self.queue.front().is_some_and(&mut fits)
            && let Some(e) = self.queue.pop_front()
        {
            out.push(e);
            n += 1;
        }
        Self::left(&mut self.exempt, &out[before..]);
        self.reserved = n as u32;
        n
    }

    /// Whether the queue has the room of an actor that has a message or two at a time, or none.
    #[inline]
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.queue.capacity() <= KEEP
    }

    /// Whether there may be calls in the queue.
    #[inline]
    #[must_use]
    pub fn may_hold_calls(&self) -> bool {
        self.expired & CALLS != 0
    }

    /// Moves up to `max` messages to `hands`, an empty queue of the same [kind](Self::is_small). If that is all of them, the
    /// queues are exchanged: what is done under the cell's lock is then the same however many they are, so who sends
    /// meanwhile hardly meets it. The caller says how many stay [reserved](Self::set_reserved).
    #[inline]
    pub fn exchange(&mut self, max: usize, hands: &mut VecDeque<Envelope>) {
        let n = self.queue.len();
        if n > max {
            hands.extend(self.queue.drain(..max));
            Self::left(&mut self.exempt, hands.iter());
            return;
        }
        (self.expired, self.exempt) = (self.expired & !CALLS, 0);
        std::mem::swap(&mut self.queue, hands);
    }

    /// Messages that a lane holds but has not begun.
    #[must_use]
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Says how many of the taken messages have not been begun.
    #[inline]
    pub fn set_reserved(&mut self, n: u32) {
        self.reserved = n;
    }

    /// Puts messages back in front, in their order.
    pub fn put_back(&mut self, rest: impl DoubleEndedIterator<Item = Envelope>) {
        for e in rest.rev() {
            self.expired |= u32::from(e.call.is_some()) * CALLS;
            self.exempt += u32::from(e.payload.as_system().is_some());
            self.queue.push_front(e);
        }
    }

    /// Gives the queue's memory back if it is empty and large.
    #[inline]
    pub fn rest(&mut self) {
        if self.queue.capacity() > KEEP {
            self.queue = VecDeque::new();
        }
    }

    /// Counts a queued call that is over; answers whether a sweep pays (half of the queue is over).
    pub fn note_expired(&mut self) -> bool {
        self.expired += 1;
        (self.expired & !CALLS) as usize * 2 > self.queue.len()
    }

    /// The queued messages, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Envelope> {
        self.queue.iter()
    }

    /// Removes the messages that `over` names; answers how many.
    pub fn sweep(&mut self, mut over: impl FnMut(&Envelope) -> bool) -> usize {
        let before = self.queue.len();
        self.queue.retain(|e| !over(e));
        self.expired &= CALLS;
        // All that stay get new places: an old one names none of them.
        self.popped += before as u64;
        if self.queue.is_empty() {
            self.rest();
        }
        before - self.queue.len()
    }

    /// The calls in the queue itself.
    pub fn calls(&self) -> impl Iterator<Item = CallId> + '_ {
        self.queue.iter().filter_map(|e| e.call)
    }

    /// Takes everything.
    #[must_use]
    pub fn drain_all(&mut self) -> VecDeque<Envelope> {
        self.reserved = 0;
        self.exempt = 0;
        std::mem::take(&mut self.queue)
    }
}
