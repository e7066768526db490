//! Maps and reductions off the loop, on threads of their own.
//!
//! Not on libuv's pool: when a Worker is terminated, Node waits for that pool before it runs any hook that could stop the
//! work. Here the hook of the environment stops its runs, waits for the moment that they take to notice, and then lets go of
//! the arrays. Runs that have not begun never do.

use super::raw::Lease;
use crate::runtime::offload::{Budget, Buffer, Frame, Hook, Kernel, Outcome};
use crate::sync::{mpsc, start_thread};
use napi::bindgen_prelude::{Either, Object, ToNapiValue};
use napi::{Env, JsDeferred, JsValue};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Back-edges between two looks at the signal: a map has one for 4,096 elements.
const FUEL: u64 = 256;
/// Elements that a thread takes at once, and that it must have to be worth starting.
const GRAIN: usize = 1 << 16;
/// Runs at once in this process; more wait their turn. As many as libuv's pool has threads.
const RUNS: usize = 4;

/// A run of an environment.
struct Run {
    number: u64,
    stop: Arc<AtomicBool>,
    /// Who sets it first decides: the run that begins, or the environment that ends before.
    claimed: Arc<AtomicBool>,
    /// Closed when the run is over with the arrays.
    over: mpsc::Receiver<()>,
    _lease: Lease,
}

type Runs = Arc<Mutex<Vec<Run>>>;
type Body = Box<dyn FnOnce() + Send>;
type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;

thread_local! {
    /// The runs of this environment, which has this thread to itself.
    static OWN: RefCell<Option<Runs>> = const { RefCell::new(None) };
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);
static QUEUE: Mutex<(VecDeque<Body>, usize)> = Mutex::new((VecDeque::new(), 0));

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runs(env: &Env) -> napi::Result<Runs> {
    OWN.with_borrow_mut(|slot| {
        if let Some(runs) = slot {
            return Ok(Arc::clone(runs));
        }
        let runs = Runs::default();
        env.add_env_cleanup_hook(Arc::clone(&runs), |runs| {
            let ending = std::mem::take(&mut *lock(&runs));
            ending.iter().for_each(|run| run.stop.store(true, Ordering::Relaxed));
            for run in ending {
                if run.claimed.swap(true, Ordering::AcqRel) {
                    // Fails when the run has dropped its end.
                    let _ = run.over.recv();
                }
            }
            OWN.with_borrow_mut(|slot| *slot = None);
        })?;
        *slot = Some(Arc::clone(&runs));
        Ok(runs)
    })
}

/// Runs `work` off the loop. The arrays of `lease` stay until it is over.
pub(super) fn start<T: ToNapiValue + Send + 'static>(
    env: &Env,
    lease: Lease,
    stop: Arc<AtomicBool>,
    work: impl FnOnce() -> napi::Result<T> + Send + 'static,
) -> napi::Result<Object<'static>> {
    let own = runs(env)?;
    let (deferred, promise): (JsDeferred<T, Resolver<T>>, _) = env.create_deferred()?;
    let promise = Object::from_raw(env.raw(), promise.raw());
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let claimed = Arc::new(AtomicBool::new(false));
    let (ending, over) = mpsc::channel::<()>();
    let run = Run { number, stop, claimed: Arc::clone(&claimed), over, _lease: lease };
    lock(&own).push(run);
    let failed = deferred.clone();
    let registry = Arc::clone(&own);
    let body = move || {
        if claimed.swap(true, Ordering::AcqRel) {
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(napi::Error::from_reason("offload failed: a bug in iris")));
        drop(ending);
        deferred.resolve(Box::new(move |_| {
            // On the environment's thread, as the arrays demand.
            lock(&registry).retain(|run| run.number != number);
            result
        }));
    };
    if !submit(Box::new(body)) {
        lock(&own).retain(|run| run.number != number);
        failed.reject(napi::Error::from_reason("offload failed: no thread could be started"));
    }
    Ok(promise)
}

/// Runs it on one of a few threads, which end when there is nothing to do.
fn submit(body: Body) -> bool {
    let mut queue = lock(&QUEUE);
    queue.0.push_back(body);
    if queue.1 < RUNS {
        if start_thread("iris-offload".into(), None, serve) {
            queue.1 += 1;
        } else if queue.1 == 0 {
            queue.0.pop_back();
            return false;
        }
    }
    true
}

fn serve() {
    loop {
        let body = {
            let mut queue = lock(&QUEUE);
            let Some(body) = queue.0.pop_front() else {
                queue.1 -= 1;
                return;
            };
            body
        };
        body();
    }
}

pub(super) struct Job {
    pub(super) kernel: Kernel,
    pub(super) buffers: Vec<Buffer>,
    pub(super) threads: u32,
    pub(super) stop: Arc<AtomicBool>,
}

struct Stop(Arc<AtomicBool>);

impl Hook for Stop {
    fn poll(&mut self) -> Option<u64> {
        (!self.0.load(Ordering::Relaxed)).then_some(FUEL)
    }
}

impl Job {
    /// Calls `piece(number of the grain)` for every grain, on this thread and on others; comes back when all have ended.
    fn spread(&self, grains: usize, piece: impl Fn(usize) + Send + Sync + 'static) {
        let next = Arc::new(AtomicUsize::new(0));
        let piece = Arc::new(piece);
        let work = move || {
            loop {
                let grain = next.fetch_add(1, Ordering::Relaxed);
                if grain >= grains {
                    return;
                }
                piece(grain);
            }
        };
        let (ended, all_ended) = mpsc::channel::<()>();
        for _ in 1..(self.threads as usize).min(grains) {
            let (work, ended) = (work.clone(), ended.clone());
            let body = move || {
                // Dropped behind the work, even if it panics.
                let _ended = ended;
                work();
            };
            if !start_thread("iris-offload".into(), None, body) {
                break;
            }
        }
        drop(ended);
        work();
        // Fails when the last of them has dropped its end.
        let _ = all_ended.recv();
    }
}

/// A map off the loop.
pub(super) struct MapWork {
    pub(super) job: Job,
    pub(super) scalars: Vec<u64>,
}

impl MapWork {
    /// Whether it came to its end.
    pub(super) fn run(&self) -> napi::Result<bool> {
        let job = &self.job;
        let count = job.buffers.last().map_or(0, Buffer::len);
        let (kernel, buffers) = (job.kernel.clone(), job.buffers.clone());
        let (stop, scalars) = (Arc::clone(&job.stop), self.scalars.clone());
        let broken = Arc::new(AtomicBool::new(false));
        let bad = Arc::clone(&broken);
        job.spread(count.div_ceil(GRAIN), move |grain| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let (from, to) = (grain * GRAIN, ((grain + 1) * GRAIN).min(count));
            let mut args = vec![from as u64, to as u64];
            args.extend(&scalars);
            let budget = Budget { fuel: FUEL, ..Budget::default() };
            let mut hook = Stop(Arc::clone(&stop));
            let run = kernel.call(&args, &buffers, budget, &mut Frame::default(), &mut hook);
            if !matches!(run, Ok(Outcome::Returned(_))) && !stop.load(Ordering::Relaxed) {
                bad.store(true, Ordering::Relaxed);
            }
        });
        if broken.load(Ordering::Relaxed) {
            return Err(napi::Error::from_reason("left"));
        }
        Ok(!job.stop.load(Ordering::Relaxed))
    }
}

/// A reduction off the loop.
pub(super) struct ReduceWork {
    pub(super) job: Job,
    pub(super) start: usize,
    pub(super) initial: f64,
    pub(super) combine: Option<Kernel>,
}

/// `None`: stopped, or it left.
fn folded(
    kernel: &Kernel,
    buffers: &[Buffer],
    range: std::ops::Range<usize>,
    acc: f64,
    stop: &Arc<AtomicBool>,
) -> Option<f64> {
    let args = [range.start as u64, range.end as u64, acc.to_bits()];
    let budget = Budget { fuel: FUEL * 4_096, ..Budget::default() };
    let (mut frame, mut hook) = (Frame::default(), Stop(Arc::clone(stop)));
    match kernel.call(&args, buffers, budget, &mut frame, &mut hook) {
        Ok(Outcome::Returned(_)) => frame.values.first().map(|bits| f64::from_bits(*bits)),
        _ => None,
    }
}

impl ReduceWork {
    /// `undefined`: it was stopped.
    pub(super) fn run(&self) -> napi::Result<Either<f64, ()>> {
        let job = &self.job;
        let count = job.buffers.first().map_or(0, Buffer::len);
        let left_to_do = count.saturating_sub(self.start);
        let result = match &self.combine {
            Some(combine) if left_to_do > 2 * GRAIN && job.threads > 1 => {
                self.parallel(combine, count)
            }
            _ => {
                let range = self.start.min(count)..count;
                folded(&job.kernel, &job.buffers, range, self.initial, &job.stop)
            }
        };
        if result.is_none() && !job.stop.load(Ordering::Relaxed) {
            return Err(napi::Error::from_reason("left"));
        }
        Ok(result.map_or(Either::B(()), Either::A))
    }
}

impl ReduceWork {
    /// Every grain is folded from its own first element, the results one after the other.
    fn parallel(&self, combine: &Kernel, count: usize) -> Option<f64> {
        let job = &self.job;
        let (start, grains) = (self.start, (count - self.start).div_ceil(GRAIN));
        let parts = Arc::new(Mutex::new(vec![None; grains]));
        let (kernel, buffers) = (job.kernel.clone(), job.buffers.clone());
        let (stop, filled) = (Arc::clone(&job.stop), Arc::clone(&parts));
        job.spread(grains, move |grain| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let from = start + grain * GRAIN;
            let to = (from + GRAIN).min(count);
            let first = buffers[0].get(from as i64).map(|bits| match buffers[0].elem().range() {
                Some(_) => bits.cast_signed() as f64,
                None => f64::from_bits(bits),
            });
            let part =
                first.and_then(|first| folded(&kernel, &buffers, from + 1..to, first, &stop));
            filled.lock().unwrap_or_else(PoisonError::into_inner)[grain] = part;
        });
        let parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().try_fold(self.initial, |acc, part| {
            let args = [acc.to_bits(), (*part)?.to_bits()];
            let mut frame = Frame::default();
            match combine.call(&args, &[], Budget::default(), &mut frame, &mut ()) {
                Ok(Outcome::Returned(_)) => frame.values.first().map(|bits| f64::from_bits(*bits)),
                _ => None,
            }
        })
    }
}
