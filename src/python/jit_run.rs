//! One specialisation, and a call of it.

use super::buffer::Loan;
use super::jit::{self, Plan};
use super::jit_values::{self, Argument, Number};
use crate::clock::Clock;
use crate::runtime::offload::front::python::{Kind, Specialised};
use crate::runtime::offload::ir::Reason;
use crate::runtime::offload::{Budget, Buffer, Frame, Hook, Kernel, Outcome};
use crate::runtime::speculation::{Source, Speculation};
use pyo3::Borrowed;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Back-edges that a call may take with the GIL held: some tens of microseconds.
const SHORT: u64 = 20_000;
/// Back-edges between two looks at the clock, GIL released.
const STRIDE: u64 = 1 << 16;
/// How long a call goes without asking Python for signals.
const SIGNALS_NS: u64 = 20_000_000;
/// Arguments on the stack.
const FEW: usize = 16;

const REASONS: [Reason; 11] = [
    Reason::Overflow,
    Reason::ZeroDivision,
    Reason::Domain,
    Reason::Index,
    Reason::Type,
    Reason::Unbound,
    Reason::Range,
    Reason::Recursion,
    Reason::Interrupted,
    Reason::Raise,
    Reason::Memory,
];

/// A specialisation: what was compiled for arguments of some kinds, or why nothing was.
pub(super) struct Variant {
    pub(super) plan: Arc<Plan>,
    pub(super) args: Vec<Kind>,
    pub(super) hidden: Vec<Kind>,
    pub(super) compiled: Result<(Specialised, Kernel), String>,
    compile_ns: u64,
    calls: AtomicU64,
    exits: [AtomicU64; 11],
    /// It ran long once: it starts with the GIL released.
    long: AtomicBool,
    /// It leaves more often than not: Python is faster.
    off: AtomicBool,
    /// While quantum speculation is on.
    speculation: OnceLock<Speculation>,
}

impl Variant {
    pub(super) fn new(
        plan: Arc<Plan>,
        args: &[Kind],
        hidden: &[Kind],
        compiled: Result<(Specialised, Kernel), String>,
        compile_ns: u64,
    ) -> Self {
        Self {
            plan,
            args: args.to_vec(),
            hidden: hidden.to_vec(),
            compiled,
            compile_ns,
            calls: AtomicU64::new(0),
            exits: Default::default(),
            long: AtomicBool::new(false),
            off: AtomicBool::new(false),
            speculation: OnceLock::new(),
        }
    }

    /// The ways to run it.
    fn speculation(&self, kernel: &Kernel) -> &Speculation {
        self.speculation.get_or_init(|| {
            Speculation::new(vec![
                ("native", Source::Given(kernel.clone())),
                ("python", Source::Host),
            ])
        })
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    fn note_exit(&self, reason: Reason) {
        let at = REASONS.iter().position(|r| *r == reason).unwrap_or(0);
        self.exits[at].fetch_add(1, Ordering::Relaxed);
        let exits: u64 = self.exits.iter().map(|e| e.load(Ordering::Relaxed)).sum();
        if exits >= 256 && exits * 2 > self.calls.load(Ordering::Relaxed) {
            self.off.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn describe(&self) -> String {
        let kinds: Vec<String> = self.args.iter().map(spell).collect();
        let what = match &self.compiled {
            Ok((_, kernel)) if kernel.is_native() => format!(
                "native, {} bytes in {:.1} ms",
                kernel.code_size(),
                self.compile_ns as f64 / 1e6
            ),
            Ok((_, kernel)) => match kernel.backend_error() {
                Some(error) => format!("interpreted: {error}"),
                None => "interpreted".into(),
            },
            Err(reason) => format!("python: {reason}"),
        };
        format!("({}): {what}", kinds.join(", "))
    }

    pub(super) fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        let kinds: Vec<String> = self.args.iter().map(spell).collect();
        report.set_item("args", kinds)?;
        let (runs, reason) = match &self.compiled {
            _ if self.is_off() => ("python", Some("it left native code too often".to_owned())),
            Ok((_, kernel)) if kernel.is_native() => ("native", None),
            Ok((_, kernel)) => ("interpreted", kernel.backend_error().map(|e| e.to_string())),
            Err(reason) => ("python", Some(reason.clone())),
        };
        report.set_item("runs", runs)?;
        report.set_item("reason", reason)?;
        if let Ok((specialised, _)) = &self.compiled {
            let shapes: Vec<String> = specialised.shapes.iter().map(spell).collect();
            report.set_item("returns", shapes)?;
        }
        report.set_item("compile_ms", self.compile_ns as f64 / 1e6)?;
        report.set_item("calls", self.calls.load(Ordering::Relaxed))?;
        let exits = PyDict::new(py);
        for (reason, count) in REASONS.iter().zip(&self.exits) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                exits.set_item(reason.name(), count)?;
            }
        }
        report.set_item("exits", exits)?;
        report.set_item("ways", ways(py, self.speculation.get())?)?;
        Ok(report)
    }
}

/// How the ways of a speculation stand: name, whether it is the best, state, wins, runs, nanoseconds.
pub(super) fn ways<'py>(
    py: Python<'py>,
    speculation: Option<&Speculation>,
) -> PyResult<Bound<'py, PyList>> {
    let standing = speculation.map(Speculation::standing).unwrap_or_default();
    let rows = standing.iter().map(|(name, s)| (*name, s.best, s.state, s.wins, s.runs, s.median));
    PyList::new(py, rows.collect::<Vec<_>>())
}

/// A kind as `explain()` writes it.
pub(super) fn spell(kind: &Kind) -> String {
    match kind {
        Kind::Int { .. } => "int".into(),
        Kind::Float { numpy: false } => "float".into(),
        Kind::Float { numpy: true } => "numpy.float64".into(),
        Kind::Bool => "bool".into(),
        Kind::None => "None".into(),
        Kind::List => "list".into(),
        Kind::Tuple(kinds) => {
            format!("({})", kinds.iter().map(spell).collect::<Vec<_>>().join(", "))
        }
        Kind::Buffer { elem, numpy, .. } => {
            let class = if *numpy { "numpy" } else { "array" };
            format!("{class}[{}]", format!("{elem:?}").to_lowercase())
        }
        other => format!("{other:?}"),
    }
}

thread_local! {
    /// A frame for the next call of this thread, so that a call allocates nothing.
    static FRAME: Cell<Option<Box<Frame>>> = const { Cell::new(None) };
}

/// A call of a variant.
pub(super) struct Run<'v, 'py> {
    pub(super) variant: &'v Variant,
    pub(super) py: Python<'py>,
}

impl<'py> Run<'_, 'py> {
    /// The fast path: all arguments are scalars of the variant's kinds. `None`: they are not, or a name has changed.
    #[inline]
    pub(super) fn scalar(&self, args: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let variant = self.variant;
        let count = variant.args.len() + variant.hidden.len();
        if count > FEW || variant.is_off() || !variant.plan.holds(self.py)? {
            return Ok(None);
        }
        let mut words = [0; FEW];
        for (at, kind) in variant.args.iter().enumerate() {
            let arg = args.get_borrowed_item(at)?;
            match jit_values::bits(&arg, kind) {
                Some(bits) => words[at] = bits,
                None => return Ok(None),
            }
        }
        if variant.plan.hides() {
            let Some(hidden) = variant.plan.hidden(self.py)? else { return Ok(None) };
            for (i, (value, kind)) in hidden.iter().zip(&variant.hidden).enumerate() {
                match jit_values::bits(value, kind) {
                    Some(bits) => words[variant.args.len() + i] = bits,
                    None => return Ok(None),
                }
            }
        }
        self.run(args, &words[..count], &[], &[]).map(Some)
    }

    /// The fast path from vectorcall: nothing of Python's runs but look-ups of names, and no exception is left behind.
    #[inline]
    pub(super) fn quick<'a>(
        &self,
        arg: impl Fn(usize) -> Borrowed<'a, 'py, PyAny>,
    ) -> Option<Bound<'py, PyAny>>
    where
        'py: 'a,
    {
        let variant = self.variant;
        let Ok((specialised, kernel)) = &variant.compiled else { return None };
        let count = variant.args.len();
        if variant.plan.hides()
            || count > FEW
            || specialised.recursive
            || variant.long.load(Ordering::Relaxed)
            || jit::quantum()
            || variant.is_off()
            || !matches!(variant.plan.holds(self.py), Ok(true))
        {
            return None;
        }
        let mut words = [0; FEW];
        for (at, kind) in variant.args.iter().enumerate() {
            words[at] = jit_values::bits(&arg(at), kind)?;
        }
        let budget = Budget { fuel: SHORT, ..Budget::default() };
        let mut frame = FRAME.take().unwrap_or_default();
        let outcome = kernel.call(&words[..count], &[], budget, &mut frame, &mut Impatient);
        let answer = match outcome {
            Ok(Outcome::Returned(shape)) => {
                variant.calls.fetch_add(1, Ordering::Relaxed);
                jit_values::result(self.py, &specialised.shapes[shape as usize], &frame).ok()
            }
            _ => None,
        };
        frame.lists.clear();
        FRAME.set(Some(frame));
        answer
    }

    /// Any call: numbers and buffers.
    pub(super) fn with_buffers(
        &self,
        args: &Bound<'py, PyTuple>,
        arguments: &[Argument],
        hidden: &[Number],
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut words = Vec::new();
        let mut lent = Vec::new();
        for argument in arguments {
            match argument {
                Argument::Number(number) => words.push(number.bits),
                Argument::Buffer { lent: buffer, .. } => lent.push(buffer),
            }
        }
        words.extend(hidden.iter().map(|n| n.bits));
        let buffers: Vec<Buffer> = lent.iter().map(|l| l.buffer).collect();
        self.run(args, &words, &buffers, &lent)
    }

    fn run(
        &self,
        args: &Bound<'py, PyTuple>,
        words: &[u64],
        buffers: &[Buffer],
        lent: &[&Loan],
    ) -> PyResult<Bound<'py, PyAny>> {
        let variant = self.variant;
        let Ok((specialised, kernel)) = &variant.compiled else {
            return variant.plan.fallback.bind(self.py).call1(args);
        };
        let written = || lent.iter().zip(&specialised.writes).filter(|(_, w)| **w).map(|(l, _)| *l);
        if written().any(|l| !l.writable()) {
            return variant.plan.fallback.bind(self.py).call1(args);
        }
        variant.calls.fetch_add(1, Ordering::Relaxed);
        let race = (jit::quantum() && !specialised.recursive)
            .then(|| variant.speculation(kernel))
            .map(|speculation| (speculation, speculation.turn(), Clock::real()));
        if let Some((speculation, turn, clock)) = &race
            && turn.kernel.is_none()
        {
            let answer = variant.plan.fallback.bind(self.py).call1(args);
            if turn.measured {
                speculation.report(turn.way, clock.now_ns());
            }
            return answer;
        }
        let mut frame = FRAME.take().unwrap_or_default();
        let mut budget = Budget { fuel: SHORT, ..Budget::default() };
        if specialised.recursive {
            budget.depth = recursion_left(self.py)?;
        }
        // What a call that leaves has written is taken back before Python does it all again.
        let saved: Vec<Vec<u8>> = written().map(Loan::save).collect();
        let mut stopped = None;
        // Short calls keep the GIL: what they wrote and take back is seen by no other thread of Python's.
        let patient = variant.long.load(Ordering::Relaxed);
        let mut outcome = if patient {
            None
        } else {
            match kernel.call(words, buffers, budget, &mut frame, &mut Impatient) {
                Ok(Outcome::Left(exit))
                    if kernel.module().exits[exit.at()].reason == Reason::Interrupted =>
                {
                    variant.long.store(true, Ordering::Relaxed);
                    written().zip(&saved).for_each(|(l, bytes)| l.restore(bytes));
                    None
                }
                other => Some(other),
            }
        };
        if outcome.is_none() {
            let mut hook = Signals::new(&variant.plan, words, words.len() - variant.hidden.len());
            outcome =
                Some(self.py.detach(|| kernel.call(words, buffers, budget, &mut frame, &mut hook)));
            stopped = hook.error;
        }
        if let Some(error) = stopped {
            return Err(error);
        }
        let answer = match outcome {
            Some(Ok(Outcome::Returned(shape))) => {
                jit_values::result(self.py, &specialised.shapes[shape as usize], &frame)
            }
            other => {
                let reason = match other {
                    Some(Ok(Outcome::Left(exit))) => kernel.module().exits[exit.at()].reason,
                    _ => Reason::Type,
                };
                variant.note_exit(reason);
                written().zip(&saved).for_each(|(l, bytes)| l.restore(bytes));
                variant.plan.fallback.bind(self.py).call1(args)
            }
        };
        if let Some((speculation, turn, clock)) = &race
            && turn.measured
        {
            speculation.report(turn.way, clock.now_ns());
        }
        frame.lists.clear();
        FRAME.set(Some(frame));
        answer
    }
}

/// Stops at the first poll: the call is long, and goes on without the GIL.
struct Impatient;

impl Hook for Impatient {
    fn poll(&mut self) -> Option<u64> {
        None
    }
}

/// Looks for signals (Ctrl-C) now and then, and whether another thread changed a global that the call was given.
pub(super) struct Signals<'a> {
    plan: &'a Plan,
    words: &'a [u64],
    args: usize,
    clock: Clock,
    asked: u64,
    pub(super) error: Option<PyErr>,
}

impl<'a> Signals<'a> {
    pub(super) fn new(plan: &'a Plan, words: &'a [u64], args: usize) -> Self {
        Self { plan, words, args, clock: Clock::real(), asked: 0, error: None }
    }

    fn look(&mut self) -> bool {
        Python::attach(|py| {
            if let Err(error) = py.check_signals() {
                self.error = Some(error);
                return false;
            }
            let same = || -> PyResult<bool> {
                let Some(hidden) = self.plan.hidden(py)? else { return Ok(false) };
                let mut now = hidden.iter().map(jit_values::number);
                let before = &self.words[self.args..];
                let same =
                    before.iter().all(|b| now.next().flatten().is_some_and(|n| n.bits == *b));
                Ok(same && self.plan.holds(py)?)
            };
            same().unwrap_or(false)
        })
    }
}

impl Hook for Signals<'_> {
    fn poll(&mut self) -> Option<u64> {
        let now = self.clock.now_ns();
        if now - self.asked >= SIGNALS_NS {
            self.asked = now;
            if !self.look() {
                return None;
            }
        }
        Some(STRIDE)
    }
}

/// How deep native code may recurse before Python would have raised.
fn recursion_left(py: Python<'_>) -> PyResult<u32> {
    let sys = py.import("sys")?;
    let limit: u32 = sys.getattr("getrecursionlimit")?.call0()?.extract()?;
    let mut depth = 0;
    let mut frame = sys.getattr("_getframe")?.call0().ok();
    while let Some(now) = frame {
        depth += 1;
        frame = now.getattr("f_back").ok().filter(|f| !f.is_none());
    }
    Ok(limit.saturating_sub(depth + 2))
}
