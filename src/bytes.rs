//! The way home for the heap bytes of messages.
//!
//! A message is often allocated by one thread and freed by another. To most allocators that is the dear case: the freeing
//! thread takes the owner's locks, and the owner never finds warm memory. So the bytes of a message know the thread that
//! allocated them; another thread that drops them keeps them until it has a parcel full, puts that into the owner's
//! letterbox, and the owner frees one for each that it allocates: to the allocator both happen on one thread.
//!
//! Bounded: a parcel is at most [`PARCEL`] pieces or [`PARCEL_BYTES`], a letterbox holds [`PARCELS`] of them, and only pieces
//! up to [`LARGEST`] travel. What does not fit is freed where it is dropped. A thread without a number of its own
//! (`sync::thread_number`) gets nothing back.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Longest piece that travels, in bytes; the dearer touching the bytes is, the less the allocator matters.
pub const LARGEST: usize = 1024;
/// Most pieces of a parcel.
pub const PARCEL: usize = 64;
/// Most bytes of a parcel, apart from its last piece.
pub const PARCEL_BYTES: usize = 16 << 10;
/// Most parcels that wait for one thread.
pub const PARCELS: usize = 8;

/// Pieces on their way home.
#[derive(Debug, Default)]
pub struct Parcel {
    pieces: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Parcel {
    /// A parcel of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { pieces: Vec::new(), bytes: 0 }
    }

    /// Adds a piece; answers whether the parcel should go.
    #[inline]
    pub fn add(&mut self, piece: Box<[u8]>) -> bool {
        self.bytes += piece.len();
        self.pieces.push(piece);
        self.pieces.len() >= PARCEL || self.bytes >= PARCEL_BYTES
    }

    /// Pieces in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Box<[u8]>>,
    parcels: usize,
}

/// Where parcels wait for the one thread that empties it.
#[derive(Debug)]
pub struct Letterbox {
    waiting: Mutex<Waiting>,
    /// Something waits; only ever changed under the lock. Read without it, it may be late, and the next look finds it.
    full: AtomicBool,
}

impl Letterbox {
    #[cfg(not(iris_shuttle))]
    const fn new() -> Self {
        let waiting = Waiting { pieces: Vec::new(), parcels: 0 };
        Self { waiting: Mutex::new(waiting), full: AtomicBool::new(false) }
    }

    /// Takes the pieces of a parcel, which is empty afterwards, unless too many wait already: then they are freed.
    pub fn put(&self, parcel: &mut Parcel) {
        let mut waiting = self.waiting.lock();
        if waiting.parcels == PARCELS {
            drop(waiting);
            parcel.pieces.clear();
        } else {
            waiting.parcels += 1;
            if waiting.pieces.is_empty() {
                // An exchange: the empty list has room for the next parcel.
                std::mem::swap(&mut waiting.pieces, &mut parcel.pieces);
            } else {
                waiting.pieces.append(&mut parcel.pieces);
            }
            self.full.store(true, Ordering::Relaxed);
        }
        parcel.bytes = 0;
    }

    /// Whether something waits, as far as can be seen without the lock.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Exchanges everything that waits for `empty`, an empty list.
    pub fn collect(&self, empty: &mut Vec<Box<[u8]>>) {
        let mut waiting = self.waiting.lock();
        std::mem::swap(&mut waiting.pieces, empty);
        waiting.parcels = 0;
        self.full.store(false, Ordering::Relaxed);
    }
}

#[cfg(iris_shuttle)]
impl Default for Letterbox {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting::default()), full: AtomicBool::new(false) }
    }
}

#[cfg(not(iris_shuttle))]
mod post {
    use super::{Letterbox, Parcel};
    use crate::sync::{NUMBERED, thread_number};
    use std::cell::RefCell;

    static LETTERBOXES: [Letterbox; NUMBERED] = [const { Letterbox::new() }; NUMBERED];

    thread_local! {
        static SPARES: RefCell<Spares> = const { RefCell::new(Spares::new()) };
    }

    /// What a thread keeps of its own and of others.
    struct Spares {
        /// Came home, to be freed.
        mine: Vec<Box<[u8]>>,
        /// To go, by home.
        others: Vec<Parcel>,
    }

    impl Spares {
        const fn new() -> Self {
            Self { mine: Vec::new(), others: Vec::new() }
        }

        fn keep(&mut self, piece: Box<[u8]>, home: usize) {
            if self.others.len() <= home {
                self.others.resize_with(home + 1, Parcel::new);
            }
            if self.others[home].add(piece) {
                LETTERBOXES[home].put(&mut self.others[home]);
            }
        }
    }

    impl Drop for Spares {
        fn drop(&mut self) {
            let home = thread_number();
            if home < NUMBERED {
                self.mine.clear();
                LETTERBOXES[home].collect(&mut self.mine);
            }
        }
    }

    /// The number of this thread, for bytes that it has just allocated. Frees a piece that came home.
    #[inline]
    pub(crate) fn home() -> u8 {
        let home = thread_number();
        if home < NUMBERED {
            let _ = SPARES.try_with(|spares| {
                let mine = &mut spares.borrow_mut().mine;
                if mine.pop().is_none() && LETTERBOXES[home].is_full() {
                    LETTERBOXES[home].collect(mine);
                }
            });
        }
        home as u8
    }

    /// Takes bytes that were allocated by thread `home`.
    #[inline]
    pub(crate) fn give_back(piece: Box<[u8]>, home: u8) {
        let home = usize::from(home);
        if home < NUMBERED && home != thread_number() && piece.len() <= super::LARGEST {
            send_home(piece, home);
        }
    }

    fn send_home(piece: Box<[u8]>, home: usize) {
        let _ = SPARES.try_with(|spares| spares.borrow_mut().keep(piece, home));
    }
}

/// A model has its own letterboxes, and its threads are one thread of the system.
#[cfg(iris_shuttle)]
mod post {
    pub(crate) fn home() -> u8 {
        u8::MAX
    }
    pub(crate) fn give_back(piece: Box<[u8]>, _home: u8) {
        drop(piece);
    }
}

pub(crate) use post::{give_back, home};
