//! A network that a test owns, all on one thread and by a seed: bytes take their time and come in pieces, connections are
//! refused, cut at any byte, noticed late, held back one way, and tried twice. Time is tokio's, paused: nothing waits.

use crate::sync::{Mutex, MutexGuard};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

std::thread_local! {
    static NET: RefCell<Option<Arc<Net>>> = const { RefCell::new(None) };
}

/// Bytes that a connection holds in one direction.
const ROOM: usize = 24 << 10;

/// Numbers by a seed (`SplitMix64`).
pub(in crate::mesh) struct Dice(pub(in crate::mesh) u64);

impl Dice {
    pub(in crate::mesh) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `n - 1`.
    pub(in crate::mesh) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// One time in `n`.
    pub(in crate::mesh) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

struct State {
    dice: Dice,
    listeners: HashMap<String, Arc<Door>>,
    /// Every direction of every connection, with the name that it goes to.
    ways: Vec<(String, Arc<Way>)>,
    held: Option<String>,
    refuse: bool,
    delay_ms: usize,
    tried_twice: usize,
}

/// The network of this thread.
pub(in crate::mesh) struct Net(Mutex<State>);

impl Net {
    /// A new one, for two nodes that listen at `sim:a` and `sim:b`.
    pub(in crate::mesh) fn install(seed: u64) -> Arc<Self> {
        let net = Arc::new(Self(Mutex::new(State {
            dice: Dice(seed),
            listeners: HashMap::new(),
            ways: Vec::new(),
            held: None,
            refuse: false,
            delay_ms: 5,
            tried_twice: 0,
        })));
        NET.with(|n| *n.borrow_mut() = Some(Arc::clone(&net)));
        net
    }

    fn get() -> io::Result<Arc<Self>> {
        NET.with(|n| n.borrow().clone()).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Longest time that a piece is on its way.
    pub(in crate::mesh) fn delay(&self, ms: usize) {
        self.state().delay_ms = ms;
    }

    /// Whether new connections are refused.
    pub(in crate::mesh) fn refuse(&self, yes: bool) {
        self.state().refuse = yes;
    }

    /// Holds back what goes to a node; `None`: nothing.
    pub(in crate::mesh) fn hold(&self, to: Option<&str>) {
        let mut s = self.state();
        s.held = to.map(str::to_owned);
        s.ways.iter().for_each(|(_, way)| way.sent.notify_one());
    }

    /// Cuts every connection: of what is on its way some arrives, and each side notices in its own time.
    pub(in crate::mesh) fn cut(&self) {
        let mut s = self.state();
        for (_, way) in std::mem::take(&mut s.ways) {
            let mut w = way.state.lock();
            if !w.void {
                w.void = true;
                let left = w.out.len();
                w.out.truncate(s.dice.below(left + 1));
            }
            drop(w);
            way.sent.notify_one();
            way.writable.notify_one();
        }
    }

    /// How many connections were tried twice.
    pub(in crate::mesh) fn tried_twice(&self) -> usize {
        self.state().tried_twice
    }

    fn pause(&self) -> Duration {
        let mut s = self.state();
        let ms = s.delay_ms;
        Duration::from_millis(s.dice.below(ms + 1) as u64)
    }
}

#[derive(Default)]
struct WayState {
    /// Written, on its way.
    out: VecDeque<u8>,
    /// Arrived.
    got: VecDeque<u8>,
    /// What is written from now on goes nowhere, and what is on its way is the last.
    void: bool,
    /// The reader sees the end behind what has arrived.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    /// A second connection that is told the same, for so many bytes.
    twin: Option<(Arc<Way>, usize)>,
}

/// One direction of a connection.
#[derive(Default)]
struct Way {
    state: Mutex<WayState>,
    sent: Notify,
    readable: Notify,
    writable: Notify,
}

impl Way {
    /// Brings the bytes over.
    async fn carry(self: Arc<Self>, net: Arc<Net>, to: String) {
        loop {
            let waits = {
                let w = self.state.lock();
                if w.deaf {
                    return;
                }
                let held = !w.void && net.state().held.as_ref() == Some(&to);
                held || (w.out.is_empty() && !w.void) || w.got.len() >= ROOM
            };
            if waits {
                self.sent.notified().await;
                continue;
            }
            sleep(net.pause()).await;
            let mut w = self.state.lock();
            let (all, room) = (w.out.len(), ROOM.saturating_sub(w.got.len()));
            let n = {
                let mut s = net.state();
                if s.dice.one_in(4) { s.dice.below(all + 1) } else { all }
            };
            let n = n.min(room.max(1)).min(all);
            let piece = w.out.make_contiguous()[..n].to_vec();
            w.out.drain(..n);
            w.got.extend(&piece);
            let last = w.void && w.out.is_empty();
            w.ended |= last;
            drop(w);
            self.readable.notify_one();
            self.writable.notify_one();
            if last {
                return;
            }
        }
    }

    fn end(&self) {
        self.state.lock().void = true;
        self.sent.notify_one();
    }
}

/// One end of a connection.
pub struct Pipe {
    out: Arc<Way>,
    inc: Arc<Way>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.out.end();
        self.inc.state.lock().deaf = true;
        self.inc.sent.notify_one();
        self.inc.writable.notify_one();
    }
}

impl Pipe {
    pub(super) async fn connect(to: &str) -> io::Result<Self> {
        let net = Net::get()?;
        sleep(net.pause()).await;
        let (door, twice) = {
            let mut s = net.state();
            let refused = s.refuse || s.dice.one_in(8);
            let door = s.listeners.get(to).filter(|_| !refused).map(Arc::clone);
            (door.ok_or(io::ErrorKind::ConnectionRefused)?, s.dice.one_in(4))
        };
        let from = if to == "a" { "b" } else { "a" };
        let way = |to: &str| {
            let way = Arc::new(Way::default());
            net.state().ways.push((to.to_owned(), Arc::clone(&way)));
            super::driver::task(Arc::clone(&way).carry(Arc::clone(&net), to.to_owned()));
            way
        };
        let (there, back) = (way(to), way(from));
        if twice {
            // The same bytes once more, up to some point, and nobody who hears the answers.
            let (ghost, lost) = (way(to), way(from));
            lost.state.lock().void = true;
            let most = 20 + net.state().dice.below(400);
            there.state.lock().twin = Some((Arc::clone(&ghost), most));
            net.state().tried_twice += 1;
            door.enter(Self { out: lost, inc: Arc::clone(&ghost) });
            let late = Duration::from_millis(200 + net.state().dice.below(2_000) as u64);
            super::driver::task(async move {
                sleep(late).await;
                ghost.end();
            });
        }
        door.enter(Self { out: Arc::clone(&back), inc: Arc::clone(&there) });
        Ok(Self { out: there, inc: back })
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        loop {
            {
                let w = self.inc.state.lock();
                if !w.got.is_empty() || w.ended {
                    return Ok(());
                }
            }
            self.inc.readable.notified().await;
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        loop {
            {
                let w = self.out.state.lock();
                if w.void || w.deaf || w.out.len() + w.got.len() < ROOM {
                    return Ok(());
                }
            }
            self.out.writable.notified().await;
        }
    }

    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut w = self.inc.state.lock();
        if w.got.is_empty() {
            return if w.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let n = into.len().min(w.got.len());
        into[..n].copy_from_slice(&w.got.make_contiguous()[..n]);
        w.got.drain(..n);
        drop(w);
        self.inc.sent.notify_one();
        self.inc.writable.notify_one();
        Ok(n)
    }

    pub(super) fn try_write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut w = self.out.state.lock();
        let all: usize = from.iter().map(|s| s.len()).sum();
        if w.deaf {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if w.void {
            return Ok(all);
        }
        let n = all.min(ROOM.saturating_sub(w.out.len() + w.got.len()));
        if n == 0 && all != 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut bytes = Vec::with_capacity(all);
        from.iter().for_each(|s| bytes.extend_from_slice(s));
        bytes.truncate(n);
        if let Some((twin, most)) = &mut w.twin {
            let told = (*most).min(n);
            *most -= told;
            twin.state.lock().out.extend(&bytes[..told]);
            twin.sent.notify_one();
        }
        w.out.extend(&bytes);
        drop(w);
        self.out.sent.notify_one();
        Ok(n)
    }
}

/// Where connections come in.
#[derive(Default)]
pub struct Door {
    waiting: Mutex<VecDeque<Pipe>>,
    knock: Notify,
}

impl Door {
    pub(super) fn open(name: &str) -> io::Result<Arc<Self>> {
        let door = Arc::new(Self::default());
        Net::get()?.state().listeners.insert(name.to_owned(), Arc::clone(&door));
        Ok(door)
    }

    fn enter(&self, pipe: Pipe) {
        self.waiting.lock().push_back(pipe);
        self.knock.notify_one();
    }

    pub(super) async fn accept(&self) -> Pipe {
        loop {
            if let Some(pipe) = self.waiting.lock().pop_front() {
                return pipe;
            }
            self.knock.notified().await;
        }
    }
}
