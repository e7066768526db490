//! Quantum speculation: several ways to run one function, made on a thread of their own, measured on real calls (ADR 0038).
//!
//! The policy is `jit::race`; here are the kernels, the thread that compiles them, and the bound on their code. Results are
//! the same whichever way runs: a way is the same module compiled otherwise, or the host's own function.

use crate::jit::ir::Module;
use crate::jit::race::{HOT, Race, Standing};
use crate::jit::{Kernel, Options};
use crate::sync::{mpsc, start_thread};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of code that all ways together may hold.
const MOST_CODE: usize = 8 << 20;
/// Compilations that may wait.
const MOST_WAITING: usize = 64;

/// Where a way comes from.
#[derive(Debug)]
pub enum Source {
    /// The host's own function.
    Host,
    /// A kernel that is there.
    Given(Kernel),
    /// To be compiled once the function is hot.
    Make(Module, Options),
}

struct Slot {
    name: &'static str,
    source: Source,
    made: Option<Cached>,
}

/// A kernel whose code counts.
struct Cached {
    kernel: Kernel,
    bytes: usize,
}

static CODE: AtomicUsize = AtomicUsize::new(0);

impl Cached {
    fn new(kernel: Kernel) -> Option<Self> {
        let bytes = kernel.code_size();
        let cached = Self { kernel, bytes };
        // Dropped, it gives back what it did not get.
        (CODE.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_CODE).then_some(cached)
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        CODE.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Inner {
    race: Race,
    slots: Vec<Slot>,
}

/// The ways of one function for the types of its calls.
pub struct Speculation {
    inner: Arc<Mutex<Inner>>,
}

impl std::fmt::Debug for Speculation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Speculation({:?})", lock(&self.inner).race)
    }
}

/// What a call does.
#[derive(Debug)]
pub struct Turn {
    /// The number of the way.
    pub way: usize,
    /// Its name.
    pub name: &'static str,
    /// Its kernel; none: the host's function.
    pub kernel: Option<Kernel>,
    /// Whether to report what the call cost.
    pub measured: bool,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host's function is not tried where a kernel takes longer than this, in nanoseconds: it would hold a call for long.
const PATIENCE: u64 = 1_000_000;

impl Speculation {
    /// The first way must be a kernel that is there.
    #[must_use]
    pub fn new(ways: Vec<(&'static str, Source)>) -> Self {
        let race: Vec<(bool, Option<u64>)> = ways
            .iter()
            .map(|(_, source)| match source {
                Source::Host => (true, Some(PATIENCE)),
                Source::Given(_) => (true, None),
                Source::Make(..) => (false, None),
            })
            .collect();
        let slots =
            ways.into_iter().map(|(name, source)| Slot { name, source, made: None }).collect();
        Self { inner: Arc::new(Mutex::new(Inner { race: Race::new(&race), slots })) }
    }

    /// What the next call does. What is to be compiled for it goes to the background.
    #[must_use]
    pub fn turn(&self) -> Turn {
        let mut inner = lock(&self.inner);
        let (turn, wanted) = inner.race.turn();
        for way in wanted {
            let Source::Make(module, options) = &inner.slots[way].source else {
                inner.race.ready(way); // given once, given again
                continue;
            };
            let (module, options) = (module.clone(), *options);
            let home = Arc::downgrade(&self.inner);
            let queued = in_background(move || {
                let made = Kernel::compile(module, &options).ok().filter(Kernel::is_native);
                let made = made.and_then(Cached::new);
                if let Some(home) = home.upgrade() {
                    let mut inner = lock(&home);
                    match made {
                        Some(made) => {
                            inner.slots[way].made = Some(made);
                            inner.race.ready(way);
                        }
                        None => inner.race.failed(way),
                    }
                }
            });
            if !queued {
                inner.race.failed(way);
            }
        }
        let slot = &inner.slots[turn.way];
        let kernel = match &slot.source {
            Source::Host => None,
            Source::Given(kernel) => Some(kernel.clone()),
            Source::Make(..) => slot.made.as_ref().map(|m| m.kernel.clone()),
        };
        Turn { way: turn.way, name: slot.name, kernel, measured: turn.measured }
    }

    /// What a measured call cost; losers give their code back.
    pub fn report(&self, way: usize, cost: u64) {
        let mut inner = lock(&self.inner);
        let cost = COSTS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|costs| costs.get(inner.slots[way].name).copied())
            .unwrap_or(cost);
        let lost = inner.race.report(way, cost);
        for way in lost {
            inner.slots[way].made = None;
        }
    }

    /// How each way stands, with its name.
    #[must_use]
    pub fn standing(&self) -> Vec<(&'static str, Standing)> {
        let inner = lock(&self.inner);
        inner.slots.iter().map(|s| s.name).zip(inner.race.standing()).collect()
    }
}

/// Whether a function with so many calls is hot: what it needs from then on is compiled in the background.
#[must_use]
pub fn is_hot(calls: u64) -> bool {
    calls > HOT
}

/// Costs by the name of the way, instead of those that are measured: how tests decide races.
static COSTS: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// Sets the costs that count instead of measured ones; `None`: measured ones do.
pub fn set_costs(costs: Option<HashMap<String, u64>>) {
    *COSTS.lock().unwrap_or_else(PoisonError::into_inner) = costs;
}

// --- the thread that compiles --------------------------------------------------------------------

type Job = Box<dyn FnOnce() + Send>;

/// The thread's queue, and the process that it is in: a fork leaves it behind.
static QUEUE: Mutex<Option<(u32, mpsc::Sender<Job>)>> = Mutex::new(None);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Runs a job on the thread that compiles. `false`: too many wait, or there is no thread.
pub fn in_background(job: impl FnOnce() + Send + 'static) -> bool {
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if queue.as_ref().is_none_or(|(of, _)| *of != process) {
        let (sender, receiver) = mpsc::channel::<Job>();
        WAITING.store(0, Ordering::Relaxed);
        let run = move || {
            while let Ok(job) = receiver.recv() {
                crate::sync::contain(job);
                WAITING.fetch_sub(1, Ordering::Relaxed);
            }
        };
        if !start_thread("iris-compile".into(), None, run) {
            return false;
        }
        *queue = Some((process, sender));
    }
    if WAITING.load(Ordering::Relaxed) >= MOST_WAITING {
        return false;
    }
    WAITING.fetch_add(1, Ordering::Relaxed);
    queue.as_ref().is_some_and(|(_, sender)| sender.send(Box::new(job)).is_ok())
}

/// Waits until all that was given to the background so far is done.
pub fn settle() {
    let (done, wait) = mpsc::channel();
    if in_background(move || {
        let _ = done.send(());
    }) {
        let _ = wait.recv();
    }
}
