//! The books: counters that balance.
//!
//! ```text
//!  attempted = accepted + refused(reason)
//!  accepted  = handled + in_flight + queued + parked + expired + forwarded + dropped(reason) + dead(reason)
//!
//!  queued    = accepted - taken + returned - dead_in_queue - parked
//!  in_flight = taken - returned - handled - dead_in_flight
//! ```
//!
//! Every term but `queued` and `in_flight` is counted where it happens; those two are what is left, and
//! `Runtime::audit` compares them with the mailboxes themselves. Each of the first threads of the process has a shard of
//! its own, in cache lines of its own, and adds with a plain load and store; the others share one and add atomically.

use crate::message::ExitReason;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{NUMBERED, thread_number};

/// Why a send was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// No such actor: never was, or dead, or stopping.
    NoSuchActor,
    /// The pid is of another runtime.
    Foreign,
    /// The mailbox is full (`dropnew`).
    Full,
    /// The runtime is closed.
    Closed,
    /// The mailbox is full and the actor that its policy names has ended.
    TargetGone,
    /// The runtime sheds load.
    Shed,
    /// The message is larger than the wire to the actor's node takes.
    TooLarge,
}

impl Refusal {
    /// Every reason, in order.
    pub const ALL: [Self; 7] = [
        Self::NoSuchActor,
        Self::Foreign,
        Self::Full,
        Self::Closed,
        Self::TargetGone,
        Self::Shed,
        Self::TooLarge,
    ];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchActor => "no_such_actor",
            Self::Foreign => "foreign",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::TargetGone => "target_gone",
            Self::Shed => "shed",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a policy dropped a message that had been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// A newer message took its place (`dropold`).
    Displaced,
    /// It was to be moved (`spill`), and the other actor has ended.
    TargetGone,
    /// It was to be moved (`spill`), and the other actor's mailbox was full too.
    TargetFull,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; 3] = [Self::Displaced, Self::TargetGone, Self::TargetFull];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::TargetGone => "target_gone",
            Self::TargetFull => "target_full",
        }
    }
}

const EXITS: usize = ExitReason::ALL.len();
const REFUSALS: usize = Refusal::ALL.len();
const DROPS: usize = DropReason::ALL.len();
const ACCEPTED: usize = 0;
const TAKEN: usize = 1;
const HANDLED: usize = 2;
const RETURNED: usize = 3;
const LATE_REPLIES: usize = 4;
const EXPIRED_IN_QUEUE: usize = 5;
const SPAWNED: usize = 6;
const CALLS: usize = 7;
const CALL_TIMEOUTS: usize = 8;
const EXPIRED_IN_FLIGHT: usize = 9;
const REFUSED: usize = 10;
const FORWARDED: usize = REFUSED + REFUSALS;
const DROPPED: usize = FORWARDED + 1;
const DEAD_QUEUED: usize = DROPPED + DROPS;
const DEAD_FLIGHT: usize = DEAD_QUEUED + EXITS;
const EXITED: usize = DEAD_FLIGHT + EXITS;
const PARKED: usize = EXITED + EXITS;
const UNPARKED: usize = PARKED + 1;
const HANDOVER: usize = UNPARKED + 1;
const RESTARTS: usize = HANDOVER + 1;
const FAILED_STARTS: usize = RESTARTS + 1;
const GAVE_UP: usize = FAILED_STARTS + 1;
const COUNTERS: usize = GAVE_UP + 1;

#[repr(align(128))]
struct Shard([AtomicU64; COUNTERS]);

/// The counters of one runtime: a shard for each thread that counts, and one for those that came too late for their own.
pub struct Books(Box<[Shard]>);

impl Default for Books {
    fn default() -> Self {
        Self((0..=NUMBERED).map(|_| Shard(std::array::from_fn(|_| AtomicU64::new(0)))).collect())
    }
}

impl Books {
    #[inline]
    fn add(&self, counter: usize, n: u64) {
        let writer = thread_number();
        let counter = &self.0[writer].0[counter];
        if writer < NUMBERED {
            // Nobody else writes here, so no locked instruction is needed.
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        } else {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    fn sum(&self, counter: usize) -> u64 {
        self.0.iter().map(|s| s.0[counter].load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// A send that the mailbox took.
    #[inline]
    pub fn accepted(&self) {
        self.add(ACCEPTED, 1);
    }

    /// `n` sends that the mailbox took.
    #[inline]
    pub fn accepted_many(&self, n: u64) {
        self.add(ACCEPTED, n);
    }

    /// `n` sends that no mailbox took.
    pub fn refused(&self, why: Refusal, n: u64) {
        self.add(REFUSED + why as usize, n);
    }

    /// `n` messages went from a mailbox to a lane.
    #[inline]
    pub fn taken(&self, n: u64) {
        self.add(TAKEN, n);
    }

    /// `n` messages went back from a lane to the front of their mailbox.
    pub fn returned(&self, n: u64) {
        self.add(RETURNED, n);
    }

    /// `n` messages were handled.
    #[inline]
    pub fn handled(&self, n: u64) {
        self.add(HANDLED, n);
    }

    /// A queued message was moved to another actor, where it is counted anew.
    pub fn forwarded(&self) {
        self.add(FORWARDED, 1);
    }

    /// A queued message was dropped by its actor's policy.
    pub fn dropped(&self, why: DropReason) {
        self.add(DROPPED + why as usize, 1);
    }

    /// Messages in mailboxes, without the other terms.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.snapshot().queued
    }

    /// `n` queued messages died with their actor.
    pub fn dead_in_queue(&self, why: ExitReason, n: u64) {
        self.add(DEAD_QUEUED + why as usize, n);
    }

    /// `n` messages in a lane's hands died with their actor.
    pub fn dead_in_flight(&self, why: ExitReason, n: u64) {
        self.add(DEAD_FLIGHT + why as usize, n);
    }

    /// `n` calls whose deadline passed were dropped from a queue, not handed to a handler.
    pub fn expired_in_queue(&self, n: u64) {
        self.add(EXPIRED_IN_QUEUE, n);
    }

    /// `n` calls whose deadline passed were dropped by a lane before their handler began.
    pub fn expired_in_flight(&self, n: u64) {
        self.add(EXPIRED_IN_FLIGHT, n);
    }

    /// `n` queued messages wait for a replacement of their actor.
    pub fn parked(&self, n: u64) {
        self.add(PARKED, n);
    }

    /// `n` messages that waited for a replacement are queued again.
    pub fn unparked(&self, n: u64) {
        self.add(UNPARKED, n);
    }

    /// A queued message died because the replacement had no room for it.
    pub fn dead_in_handover(&self) {
        self.add(HANDOVER, 1);
    }

    /// A child was restarted.
    pub fn restarted(&self) {
        self.add(RESTARTS, 1);
    }

    /// A factory failed.
    pub fn start_failed(&self) {
        self.add(FAILED_STARTS, 1);
    }

    /// A supervisor restarted too often.
    pub fn gave_up(&self) {
        self.add(GAVE_UP, 1);
    }

    /// A reply to a call that was over.
    pub fn late_reply(&self) {
        self.add(LATE_REPLIES, 1);
    }

    /// A call was made.
    #[inline]
    pub fn call(&self) {
        self.add(CALLS, 1);
    }

    /// `n` calls were made.
    #[inline]
    pub fn calls(&self, n: u64) {
        self.add(CALLS, n);
    }

    /// A call's deadline passed.
    pub fn call_timeout(&self) {
        self.add(CALL_TIMEOUTS, 1);
    }

    /// An actor began.
    #[inline]
    pub fn spawned(&self) {
        self.add(SPAWNED, 1);
    }

    /// An actor ended.
    pub fn exited(&self, why: ExitReason) {
        self.add(EXITED + why as usize, 1);
    }

    /// All counters, summed. Exact whenever the runtime is quiet.
    #[must_use]
    pub fn snapshot(&self) -> BooksSnapshot {
        // Sinks are read before sources, so a running system never shows more handled than accepted.
        let exits = |base: usize| ExitReason::ALL.map(|r| self.sum(base + r as usize));
        let handled = self.sum(HANDLED);
        let (dead_queued, dead_flight) = (exits(DEAD_QUEUED), exits(DEAD_FLIGHT));
        let (expired_queue, expired_flight) =
            (self.sum(EXPIRED_IN_QUEUE), self.sum(EXPIRED_IN_FLIGHT));
        let returned = self.sum(RETURNED);
        let taken = self.sum(TAKEN);
        let refused = Refusal::ALL.map(|r| self.sum(REFUSED + r as usize));
        let accepted = self.sum(ACCEPTED);
        let forwarded = self.sum(FORWARDED);
        let dropped = DropReason::ALL.map(|d| self.sum(DROPPED + d as usize));
        let handover = self.sum(HANDOVER);
        let unparked = self.sum(UNPARKED);
        let parked = self.sum(PARKED).saturating_sub(unparked);
        let left_queue = handover
            + parked
            + dead_queued.iter().sum::<u64>()
            + expired_queue
            + forwarded
            + dropped.iter().sum::<u64>();
        let left_flight = dead_flight.iter().sum::<u64>() + expired_flight;
        BooksSnapshot {
            attempted: accepted + refused.iter().sum::<u64>(),
            accepted,
            refused,
            handled,
            queued: (accepted + returned).saturating_sub(taken + left_queue),
            in_flight: taken.saturating_sub(returned + handled + left_flight),
            expired: expired_queue + expired_flight,
            parked,
            handover,
            restarts: self.sum(RESTARTS),
            failed_starts: self.sum(FAILED_STARTS),
            gave_up: self.sum(GAVE_UP),
            forwarded,
            dropped,
            dead: std::array::from_fn(|i| dead_queued[i] + dead_flight[i]),
            late_replies: self.sum(LATE_REPLIES),
            calls: self.sum(CALLS),
            call_timeouts: self.sum(CALL_TIMEOUTS),
            spawned: self.sum(SPAWNED),
            exited: exits(EXITED),
        }
    }
}

/// The books at one moment, in messages since the runtime began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksSnapshot {
    /// Sends tried.
    pub attempted: u64,
    /// Sends that a mailbox took.
    pub accepted: u64,
    /// Sends that none took, by [`Refusal`].
    pub refused: [u64; REFUSALS],
    /// Messages whose handler returned.
    pub handled: u64,
    /// Messages in mailboxes.
    pub queued: u64,
    /// Messages in the hands of a lane.
    pub in_flight: u64,
    /// Messages that wait for a replacement of their actor.
    pub parked: u64,
    /// Messages for which a replacement had no room.
    pub handover: u64,
    /// Children restarted.
    pub restarts: u64,
    /// Factories that failed.
    pub failed_starts: u64,
    /// Supervisors that restarted too often.
    pub gave_up: u64,
    /// Calls dropped unhandled because their deadline had passed.
    pub expired: u64,
    /// Messages that a policy moved to another actor; there they are counted anew.
    pub forwarded: u64,
    /// Messages that a policy dropped, by [`DropReason`].
    pub dropped: [u64; DROPS],
    /// Messages that died with their actor, by [`ExitReason`].
    pub dead: [u64; EXITS],
    /// Replies to calls that were over.
    pub late_replies: u64,
    /// Calls made.
    pub calls: u64,
    /// Calls whose deadline passed.
    pub call_timeouts: u64,
    /// Actors begun.
    pub spawned: u64,
    /// Actors ended, by [`ExitReason`].
    pub exited: [u64; EXITS],
}

impl BooksSnapshot {
    /// Whether both sums of the contract hold.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.attempted == self.accepted + self.refused.iter().sum::<u64>()
            && self.accepted
                == self.handled
                    + self.in_flight
                    + self.queued
                    + self.parked
                    + self.expired
                    + self.forwarded
                    + self.dropped.iter().sum::<u64>()
                    + self.dead.iter().sum::<u64>()
                    + self.handover
    }
}
