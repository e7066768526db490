//! A scalar function called with arrays: one kernel call for all elements, on several threads for many.
//!
//! The answer is what applying the function to each element gives. Where native code leaves, Python does that element and
//! native code goes on behind it, in order: so the first exception is the one that wins.

use super::buffer::{Loan, lend};
use super::errors::fail;
use super::jit::{self, JitFunction, Plan};
use super::jit_run::{self, Signals, spell, ways};
use super::jit_values::{self, Argument, Container, Number};
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::runtime::offload::front::python::{Kind, specialise};
use crate::runtime::offload::ir::{Elem, Fit, Reason};
use crate::runtime::offload::map::{Input, Output, elementwise};
use crate::runtime::offload::{Budget, Buffer, Frame, Hook, Kernel, Limits, Options, Outcome};
use crate::runtime::speculation::{Source, Speculation};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Elements a thread must have to be worth starting.
const PER_THREAD: usize = 1 << 17;

/// The names of the ways that use threads.
const THREADS: &str = "lanes, threads";
const PLAIN_THREADS: &str = "one by one, threads";

/// What a map was compiled for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MapKey {
    kinds: Vec<Kind>,
    inputs: Vec<Input>,
    hidden: Vec<Kind>,
}

struct Compiled {
    kernel: Kernel,
    returns: Kind,
    elem: Elem,
}

/// A compiled map, or why there is none.
pub(super) struct MapVariant {
    pub(super) key: MapKey,
    compiled: Result<Compiled, String>,
    compile_ns: u64,
    calls: AtomicU64,
    exits: AtomicU64,
    /// While quantum speculation is on: of few elements and of many.
    speculations: [OnceLock<Speculation>; 2],
}

impl MapVariant {
    /// The ways to run it: with or without lanes, and for many elements on one thread or on all.
    fn speculation(&self, kernel: &Kernel, many: bool) -> &Speculation {
        self.speculations[usize::from(many)].get_or_init(|| {
            let plain = || {
                let options = Options { lanes: false, ..Options::default() };
                Source::Make(kernel.module().clone(), options)
            };
            let given = || Source::Given(kernel.clone());
            Speculation::new(if many {
                vec![
                    (THREADS, given()),
                    ("lanes, one thread", given()),
                    (PLAIN_THREADS, plain()),
                    ("one by one, one thread", plain()),
                ]
            } else {
                vec![("lanes", given()), ("one by one", plain())]
            })
        })
    }

    fn new(plan: &Plan, key: &MapKey) -> Self {
        let clock = Clock::real();
        let compiled = compile(plan, key);
        Self {
            key: key.clone(),
            compiled,
            compile_ns: clock.now_ns(),
            calls: AtomicU64::new(0),
            exits: AtomicU64::new(0),
            speculations: Default::default(),
        }
    }

    pub(super) fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        let kinds = self.key.kinds.iter().zip(&self.key.inputs).map(|(kind, input)| match input {
            Input::Scalar => spell(kind),
            Input::Buffer(elem) => format!("each of [{}]", format!("{elem:?}").to_lowercase()),
        });
        report.set_item("args", kinds.collect::<Vec<_>>())?;
        let (runs, reason, returns) = match &self.compiled {
            Ok(c) if c.kernel.is_native() => ("native", None, vec![spell(&c.returns)]),
            Ok(c) => {
                let why = c.kernel.backend_error().map(ToString::to_string);
                ("interpreted", why, vec![spell(&c.returns)])
            }
            Err(reason) => ("python", Some(reason.clone()), Vec::new()),
        };
        report.set_item("runs", runs)?;
        report.set_item("reason", reason)?;
        report.set_item("returns", returns)?;
        report.set_item("compile_ms", self.compile_ns as f64 / 1e6)?;
        report.set_item("calls", self.calls.load(Ordering::Relaxed))?;
        let exits = PyDict::new(py);
        let count = self.exits.load(Ordering::Relaxed);
        if count > 0 {
            exits.set_item("elements", count)?;
        }
        report.set_item("exits", exits)?;
        let ways = ways(py, self.speculations[0].get())?;
        for way in jit_run::ways(py, self.speculations[1].get())? {
            ways.append(way)?;
        }
        report.set_item("ways", ways)?;
        Ok(report)
    }
}

fn compile(plan: &Plan, key: &MapKey) -> Result<Compiled, String> {
    let made = specialise(&plan.program, &key.kinds, &key.hidden, &Limits::DEFAULT)
        .map_err(|e| e.to_string())?;
    let [returns] = &made.shapes[..] else {
        return Err("it returns several types: the elements are done one by one".into());
    };
    let elem = match returns {
        Kind::Float { numpy: false } => Elem::F64,
        Kind::Int { .. } => Elem::I64,
        Kind::Bool => Elem::Bool,
        other => return Err(format!("an array of {}", spell(other))),
    };
    let mut inputs = key.inputs.clone();
    inputs.extend(key.hidden.iter().map(|_| Input::Scalar));
    let output = Output { elem, shape: 0, fit: Fit::Leave };
    let module = elementwise(&made.module, &inputs, output).map_err(|e| e.to_string())?;
    let kernel = Kernel::compile(module, &Options::default()).map_err(|e| e.to_string())?;
    Ok(Compiled { kernel, returns: returns.clone(), elem })
}

/// Applies the function to each element.
pub(super) fn call<'py>(
    function: &JitFunction,
    py: Python<'py>,
    plan: &Arc<Plan>,
    bound: &[Bound<'py, PyAny>],
    arguments: &[Argument],
    hidden: &[Number],
) -> PyResult<Bound<'py, PyAny>> {
    let mut first: Option<(usize, Container, &Loan)> = None;
    let mut kinds = Vec::new();
    let mut inputs = Vec::new();
    let mut words = vec![0, 0];
    let mut lent = Vec::new();
    for (at, argument) in arguments.iter().enumerate() {
        match argument {
            Argument::Number(number) => {
                kinds.push(number.kind.clone());
                inputs.push(Input::Scalar);
                words.push(number.bits);
            }
            Argument::Buffer { container, lent: buffer } => {
                let (_, _, other) = *first.get_or_insert((at, *container, buffer));
                if other.buffer.len() != buffer.buffer.len() || other.shape() != buffer.shape() {
                    let message = format!(
                        "arrays of different shapes: {:?} and {:?}",
                        other.shape(),
                        buffer.shape()
                    );
                    return Err(fail(py, ErrorKind::InvalidArgument, message));
                }
                let elem = buffer.buffer.elem();
                kinds.push(match elem {
                    Elem::F64 | Elem::F32 => Kind::Float { numpy: false },
                    Elem::Bool => Kind::Bool,
                    _ => Kind::Int { natural: false },
                });
                inputs.push(Input::Buffer(elem));
                lent.push(buffer.buffer);
            }
        }
    }
    words.extend(hidden.iter().map(|n| n.bits));
    let Some((first_at, container, model)) = first else {
        return plan.fallback.bind(py).call1(PyTuple::new(py, bound)?);
    };
    let module = py.import("iris._offload")?;
    let by_elements = |py: Python<'py>| {
        let flags = PyList::new(py, arguments.iter().map(Argument::is_buffer))?;
        let args = PyTuple::new(py, bound)?;
        module.getattr("map_elements")?.call1((plan.fallback.bind(py), args, flags, first_at))
    };
    let key = MapKey { kinds, inputs, hidden: hidden.iter().map(|n| n.kind.clone()).collect() };
    let variant = py.detach(|| function.map_variant(&key, || MapVariant::new(plan, &key)));
    let Ok(compiled) = &variant.compiled else { return by_elements(py) };
    variant.calls.fetch_add(1, Ordering::Relaxed);

    let name = format!("{container:?}").to_lowercase();
    let code = match compiled.elem {
        Elem::F64 => "d",
        Elem::I64 => "q",
        _ => "?",
    };
    let count = model.buffer.len();
    let out = module.getattr("new_like")?.call1((&bound[first_at], name, code, count))?;
    let Some(target) = lend(&out) else { return by_elements(py) };
    if target.buffer.elem().size() != compiled.elem.size() || target.buffer.len() != count {
        return by_elements(py);
    }
    lent.push(target.retyped(compiled.elem));

    let stop = AtomicBool::new(false);
    let race = (jit::quantum() && count > 0).then(|| {
        let speculation = variant.speculation(&compiled.kernel, count >= 2 * PER_THREAD);
        (speculation, speculation.turn(), Clock::real())
    });
    let turn = race.as_ref().map(|(_, turn, _)| turn);
    let job = Job {
        plan,
        kernel: turn.and_then(|t| t.kernel.as_ref()).unwrap_or(&compiled.kernel),
        threads: turn.is_none_or(|t| t.name == THREADS || t.name == PLAIN_THREADS),
        words: &words,
        args: words.len() - hidden.len(),
        buffers: &lent,
        stop: &stop,
    };
    let mut chunks = job.run_all(py, count);
    for chunk in &mut chunks {
        loop {
            match std::mem::replace(&mut chunk.ended, Ended::Done) {
                Ended::Done => break,
                Ended::Stopped(Some(error)) => return Err(error),
                Ended::Stopped(None) => return by_elements(py),
                Ended::At(at) => {
                    variant.exits.fetch_add(1, Ordering::Relaxed);
                    let args = element_args(py, bound, arguments, at)?;
                    let value = plan.fallback.bind(py).call1(args)?;
                    let Some(bits) = jit_values::bits(&value, &compiled.returns) else {
                        return by_elements(py);
                    };
                    let index = i64::try_from(at).unwrap_or(i64::MAX);
                    let out = &lent[lent.len() - 1];
                    if !out.set(index, bits) {
                        return by_elements(py);
                    }
                    job.again(py, chunk, at + 1);
                }
            }
        }
    }
    if let Some((speculation, turn, clock)) = &race
        && turn.measured
    {
        // For 1,024 elements: calls are of different sizes.
        speculation.report(turn.way, clock.now_ns().saturating_mul(1_024) / count as u64);
    }
    drop(target);
    Ok(out)
}

/// The arguments of one element.
fn element_args<'py>(
    py: Python<'py>,
    bound: &[Bound<'py, PyAny>],
    arguments: &[Argument],
    at: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    use pyo3::IntoPyObjectExt;
    let index = i64::try_from(at).unwrap_or(i64::MAX);
    let items = bound.iter().zip(arguments).map(|(obj, argument)| match argument {
        Argument::Number(_) => Ok(obj.clone()),
        Argument::Buffer { lent, .. } => {
            let elem = lent.buffer.elem();
            match lent.buffer.get(index) {
                Some(bits) => match elem {
                    Elem::F64 | Elem::F32 => f64::from_bits(bits).into_bound_py_any(py),
                    Elem::Bool => (bits != 0).into_bound_py_any(py),
                    _ => bits.cast_signed().into_bound_py_any(py),
                },
                // The one kind of element that is no i64: a large u64.
                None => obj.call_method0("tolist")?.get_item(at),
            }
        }
    });
    PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)
}

/// How a chunk ended.
enum Ended {
    Done,
    /// Native code left at this element.
    At(usize),
    /// The hook said stop, with an exception or because a global changed.
    Stopped(Option<PyErr>),
}

struct Chunk {
    end: usize,
    ended: Ended,
}

struct Job<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    /// Whether many elements are split over threads.
    threads: bool,
    words: &'a [u64],
    args: usize,
    buffers: &'a [Buffer],
    stop: &'a AtomicBool,
}

impl Job<'_> {
    fn run_all(&self, py: Python<'_>, count: usize) -> Vec<Chunk> {
        // It reads files: not for a few elements, and not for each call.
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            || *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
        let split = self.threads && count >= 2 * PER_THREAD;
        let threads = if split { (count / PER_THREAD).min(cores()) } else { 1 };
        let size = count.div_ceil(threads).max(1);
        let mut chunks: Vec<Chunk> = (0..threads)
            .map(|i| Chunk { end: ((i + 1) * size).min(count), ended: Ended::Done })
            .collect();
        if count < 512 {
            chunks[0].ended = self.run(0, count, &mut ());
            return chunks;
        }
        py.detach(|| {
            std::thread::scope(|scope| {
                let (mine, others) = chunks.split_at_mut(1);
                let workers: Vec<_> = others
                    .iter_mut()
                    .enumerate()
                    .map(|(i, chunk)| {
                        scope.spawn(move || {
                            let start = (i + 1) * size;
                            chunk.ended = self.run(start, chunk.end, &mut Obedient(self.stop));
                        })
                    })
                    .collect();
                mine[0].ended = self.watched(0, mine[0].end);
                if let Ended::Stopped(_) = mine[0].ended {
                    self.stop.store(true, Ordering::Relaxed);
                }
                workers.into_iter().for_each(|w| drop(w.join()));
            });
        });
        chunks
    }

    fn again(&self, py: Python<'_>, chunk: &mut Chunk, from: usize) {
        let end = chunk.end;
        chunk.ended = if end - from < 512 {
            self.run(from, end, &mut ())
        } else {
            py.detach(|| self.watched(from, end))
        };
    }

    /// On the calling thread: looks for signals.
    fn watched(&self, start: usize, end: usize) -> Ended {
        let mut hook = Signals::new(self.plan, self.words, self.args);
        match self.run(start, end, &mut hook) {
            Ended::Stopped(_) => Ended::Stopped(hook.error),
            other => other,
        }
    }

    fn run(&self, start: usize, end: usize, hook: &mut dyn Hook) -> Ended {
        if start >= end {
            return Ended::Done;
        }
        let mut words = self.words.to_vec();
        words[0] = start as u64;
        words[1] = end as u64;
        // A poll comes every 4,096 elements.
        let budget = Budget { fuel: 16, ..Budget::default() };
        let mut frame = Frame::default();
        let kernel = self.kernel;
        match kernel.call(&words, self.buffers, budget, &mut frame, hook) {
            Ok(Outcome::Returned(_)) => Ended::Done,
            Ok(Outcome::Left(exit))
                if kernel.module().exits[exit.at()].reason == Reason::Interrupted =>
            {
                Ended::Stopped(None)
            }
            Ok(Outcome::Left(_)) => Ended::At(usize::try_from(frame.mark).unwrap_or(start)),
            Err(_) => Ended::Stopped(None),
        }
    }
}

/// Another thread of a map: stops when the first says so.
struct Obedient<'a>(&'a AtomicBool);

impl Hook for Obedient<'_> {
    fn poll(&mut self) -> Option<u64> {
        (!self.0.load(Ordering::Relaxed)).then_some(16)
    }
}
