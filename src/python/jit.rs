//! `JitFunction`: an offloaded Python function. It runs native code where a specialisation fits the arguments, and the
//! Python function itself in every other case.
//!
//! ```text
//!  call -> kinds of the arguments -> a variant (compiled once) -> native
//!             |                         |                          \ left: Python runs the call from its start
//!             | keywords, odd types     | does not compile: Python, with the reason in explain()
//!             v
//!          Python
//! ```
//!
//! Names are resolved by `python/iris/_offload.py` (a [`Plan`]); each call checks that they still mean the same.

use super::errors::fail;
use super::jit_entry;
use super::jit_map;
use super::jit_run::{Run, Variant};
use super::jit_values::{self, Argument};
use crate::error::ErrorKind;
use crate::runtime::offload::front::python::{
    Builtin, Entry, Kind, Math, Program, Specialised, specialise,
};
use crate::runtime::offload::{Kernel, Limits, Options};
use crate::runtime::speculation;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{Borrowed, PyTraverseError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Specialisations of one function; further shapes of arguments run in Python.
const MAX_VARIANTS: usize = 16;

static LOGGING: AtomicBool = AtomicBool::new(false);
static INTERPRET: AtomicBool = AtomicBool::new(false);
static QUANTUM: AtomicBool = AtomicBool::new(false);

/// Whether quantum speculation is on.
#[inline]
pub(super) fn quantum() -> bool {
    QUANTUM.load(Ordering::Relaxed)
}

/// Something that a name meant when the plan was made.
struct Guard {
    /// The namespaces in which it is looked up, the first that has it counts: `globals`, then `builtins`; or a cell.
    places: Vec<Py<PyAny>>,
    name: Py<PyString>,
    expected: Py<PyAny>,
    /// The one place is a function, the name `__code__`.
    code: bool,
}

impl Guard {
    fn new(
        py: Python<'_>,
        places: Vec<Py<PyAny>>,
        name: Py<PyString>,
        expected: Py<PyAny>,
    ) -> PyResult<Self> {
        let function = py.import("types")?.getattr("FunctionType")?;
        let code = name.bind(py) == "__code__"
            && places.len() == 1
            && places[0].bind(py).get_type().is(&function);
        Ok(Self { places, name, expected, code })
    }

    /// Whether the name means what it meant. Every call asks.
    #[inline]
    fn holds(&self, py: Python<'_>) -> PyResult<bool> {
        if self.code {
            return Ok(jit_entry::has_code(self.places[0].bind(py), &self.expected));
        }
        let expected = self.expected.as_ptr().cast_const().cast();
        for place in &self.places {
            let place = place.bind(py);
            let found = match place.cast_exact::<PyDict>() {
                Ok(dict) => jit_entry::in_dict(dict, &self.name)?,
                Err(_) => place.getattr(&self.name).ok().map(|o| o.as_ptr().cast_const().cast()),
            };
            if let Some(found) = found {
                return Ok(found == expected);
            }
        }
        Ok(false)
    }
}

fn lookup<'py>(
    py: Python<'py>,
    places: &[Py<PyAny>],
    name: &Py<PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for place in places {
        let place = place.bind(py);
        let found = match place.cast_exact::<PyDict>() {
            Ok(dict) => dict.get_item(name)?,
            Err(_) => place.getattr(name).ok(),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What the names of a function mean, and its code.
pub(super) struct Plan {
    pub(super) program: Arc<Program>,
    guards: Vec<Guard>,
    /// Where the numbers among the globals are found.
    hidden: Vec<(Vec<Py<PyAny>>, Py<PyString>)>,
    /// What runs in Python: the function, or where it calls itself a copy that calls the copy.
    pub(super) fallback: Py<PyAny>,
    /// Why nothing compiles.
    pub(super) reason: Option<String>,
}

impl Plan {
    /// Whether all names mean what they meant.
    #[inline]
    pub(super) fn holds(&self, py: Python<'_>) -> PyResult<bool> {
        for guard in &self.guards {
            if !guard.holds(py)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The numeric globals; `None` if one is no number any more.
    pub(super) fn hidden<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        self.hidden.iter().map(|(places, name)| lookup(py, places, name)).collect()
    }

    pub(super) fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }
}

#[derive(Default)]
struct State {
    plan: Option<Arc<Plan>>,
    variants: Vec<Arc<Variant>>,
    maps: Vec<Arc<jit_map::MapVariant>>,
    /// Specialisations that compile in the background.
    coming: Vec<Coming>,
    rebuilt: u32,
    /// Calls that came to the slow path while quantum speculation was on.
    heat: u64,
}

type Compiled = Result<(Specialised, Kernel), String>;

struct Coming {
    args: Vec<Kind>,
    hidden: Vec<Kind>,
    made: Arc<Mutex<Option<(Compiled, u64)>>>,
}

fn compile(program: &Program, args: &[Kind], hidden: &[Kind]) -> (Compiled, u64) {
    let clock = crate::clock::Clock::real();
    let compiled = specialise(program, args, hidden, &Limits::DEFAULT)
        .and_then(|s| {
            let interpret = INTERPRET.load(Ordering::Relaxed);
            let options = Options { interpret, ..Options::default() };
            Kernel::compile(s.module.clone(), &options).map(|kernel| (s, kernel))
        })
        .map_err(|e| e.to_string());
    (compiled, clock.now_ns())
}

/// A function that `iris.offload(strategy='jit')` made.
#[pyclass(module = "iris._iris", name = "JitFunction", frozen, dict, weakref, subclass)]
pub(super) struct JitFunction {
    func: Py<PyAny>,
    resolve: Py<PyAny>,
    params: Vec<Py<PyString>>,
    state: Mutex<State>,
    hot: Mutex<Option<Arc<Variant>>>,
    /// Calls that ran in Python without a try at native code, by why.
    python_calls: Mutex<Vec<(&'static str, u64)>>,
}

impl JitFunction {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hot(&self) -> MutexGuard<'_, Option<Arc<Variant>>> {
        self.hot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn python_calls(&self) -> MutexGuard<'_, Vec<(&'static str, u64)>> {
        self.python_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn python<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        why: &'static str,
    ) -> PyResult<Bound<'py, PyAny>> {
        {
            let mut calls = self.python_calls();
            match calls.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => calls.push((why, 1)),
            }
        }
        self.func.bind(args.py()).call(args, kwargs)
    }

    /// The plan, made anew if a name has changed its meaning. `None` if names change all the time.
    fn plan(&self, slf: &Bound<'_, Self>) -> PyResult<Option<Arc<Plan>>> {
        let py = slf.py();
        let plan = self.state().plan.clone();
        if let Some(plan) = plan
            && plan.holds(py)?
        {
            return Ok(Some(plan));
        }
        {
            let mut state = self.state();
            state.variants.clear();
            state.maps.clear();
            state.coming.clear();
            state.rebuilt += 1;
            if state.rebuilt > 64 {
                return Ok(None);
            }
        }
        *self.hot() = None;
        let resolved = self.resolve.bind(py).call1((self.func.bind(py),))?;
        let plan = Arc::new(read_plan(&resolved, &self.func)?);
        if LOGGING.load(Ordering::Relaxed)
            && let Some(reason) = &plan.reason
        {
            log(py, &format!("{}: python: {reason}", self.name(py)))?;
        }
        self.state().plan = Some(Arc::clone(&plan));
        Ok(Some(plan))
    }

    fn name(&self, py: Python<'_>) -> String {
        self.func.bind(py).getattr("__name__").map_or_else(|_| "?".into(), |n| n.to_string())
    }

    /// The variant for these kinds, compiled now if it is new.
    fn variant(
        &self,
        py: Python<'_>,
        plan: &Arc<Plan>,
        args: &[Kind],
        hidden: &[Kind],
    ) -> PyResult<Option<Arc<Variant>>> {
        let found = |state: &State| {
            state.variants.iter().find(|v| v.args == args && v.hidden == hidden).cloned()
        };
        {
            let state = self.state();
            if let Some(variant) = found(&state) {
                return Ok(Some(variant));
            }
            if state.variants.len() >= MAX_VARIANTS {
                return Ok(None);
            }
        }
        let (compiled, took) = match self.awaited(plan, args, hidden) {
            Some(Some(made)) => made,
            Some(None) => return Ok(None),
            None => py.detach(|| compile(&plan.program, args, hidden)),
        };
        let variant = Arc::new(Variant::new(Arc::clone(plan), args, hidden, compiled, took));
        if LOGGING.load(Ordering::Relaxed) {
            log(py, &format!("{}{}", self.name(py), variant.describe()))?;
        }
        let mut state = self.state();
        if found(&state).is_none() {
            state.variants.push(Arc::clone(&variant));
        }
        Ok(Some(variant))
    }

    /// The common call: scalars of the kinds that the last call had. `None`: it is no such call, and nothing has happened.
    #[inline]
    pub(super) fn quick<'a, 'py: 'a>(
        &self,
        py: Python<'py>,
        count: usize,
        arg: impl Fn(usize) -> Borrowed<'a, 'py, PyAny>,
    ) -> Option<Bound<'py, PyAny>> {
        if count != self.params.len() {
            return None;
        }
        let variant = self.hot().clone()?;
        (Run { variant: &variant, py }).quick(arg)
    }

    /// A hot function is not compiled on the thread that calls it, while quantum speculation is on. `None`: it may be;
    /// `Some(None)`: it is being compiled elsewhere.
    fn awaited(
        &self,
        plan: &Arc<Plan>,
        args: &[Kind],
        hidden: &[Kind],
    ) -> Option<Option<(Compiled, u64)>> {
        if !quantum() {
            return None;
        }
        let mut state = self.state();
        state.heat += 1;
        let found = state.coming.iter().position(|c| c.args == args && c.hidden == hidden);
        if let Some(at) = found {
            let made = state.coming[at].made.lock().unwrap_or_else(PoisonError::into_inner).take();
            if made.is_some() {
                state.coming.swap_remove(at);
            }
            return Some(made);
        }
        let calls: u64 = state.heat + state.variants.iter().map(|v| v.calls()).sum::<u64>();
        if !speculation::is_hot(calls) || state.coming.len() >= MAX_VARIANTS {
            return None;
        }
        let made = Arc::new(Mutex::new(None));
        let (slot, program) = (Arc::clone(&made), Arc::clone(&plan.program));
        let (kinds, numbers) = (args.to_vec(), hidden.to_vec());
        let queued = speculation::in_background(move || {
            let compiled = compile(&program, &kinds, &numbers);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(compiled);
        });
        if queued {
            state.coming.push(Coming { args: args.to_vec(), hidden: hidden.to_vec(), made });
        }
        Some(None)
    }

    #[cold]
    fn slow<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let python = |why| this.python(args, kwargs, why);
        let Some(mut bound) = this.bind(args, kwargs)? else {
            return python("arguments that do not fit its parameters");
        };
        let Some(plan) = this.plan(slf)? else { return python("its globals change too often") };
        if plan.reason.is_some() {
            return python("it does not compile");
        }
        let Some(hidden) = plan.hidden(py)? else {
            return python("a global that is gone");
        };
        let Some(numbers) = hidden.iter().map(jit_values::number).collect::<Option<Vec<_>>>()
        else {
            return python("a global that is no number of 64 bits");
        };
        let mut arguments = Vec::with_capacity(bound.len());
        for (arg, usage) in bound.iter_mut().zip(&plan.program.functions[0].usage) {
            let mut argument = Argument::of(arg, usage.array)?;
            if argument.is_none() && !usage.array {
                // A map only reads: a copy will do for an array with gaps, or in the other byte order.
                let copy = py.import("iris._offload")?.getattr("compact")?.call1((&*arg,))?;
                argument = Argument::of(&copy, false)?;
                *arg = copy;
            }
            match argument {
                Some(argument) => arguments.push(argument),
                None => {
                    return python("arguments that are no numbers of 64 bits or arrays of them");
                }
            }
        }
        let usage = &plan.program.functions[0].usage;
        let mapped = arguments.iter().zip(usage).any(|(a, u)| a.is_buffer() && !u.array);
        if mapped {
            if arguments.iter().zip(usage).any(|(_, u)| u.array) {
                return python("an array both to index and to map over");
            }
            return jit_map::call(this, py, &plan, &bound, &arguments, &numbers);
        }
        let mut kinds = Vec::with_capacity(arguments.len());
        let mut buffers = 0;
        for argument in &arguments {
            match argument.kind(&mut buffers) {
                Some(kind) => kinds.push(kind),
                None => return python("an array of several dimensions"),
            }
        }
        if kinds.iter().any(|k| matches!(k, Kind::Buffer { numpy: true, .. })) {
            let ignores = py.import("iris._offload")?.getattr("ignores_underflow")?;
            if !ignores.call0()?.is_truthy()? {
                return python("numpy is to report underflow");
            }
        }
        let hidden: Vec<Kind> = numbers.iter().map(|n| n.kind.clone()).collect();
        let Some(variant) = this.variant(py, &plan, &kinds, &hidden)? else {
            return python(if quantum() {
                "a specialisation that compiles in the background, or more than are kept"
            } else {
                "more specialisations than are kept"
            });
        };
        if variant.compiled.is_err() {
            return python("a specialisation that does not compile");
        }
        if variant.is_off() {
            return python("it left native code too often");
        }
        if buffers == 0 {
            *this.hot() = Some(Arc::clone(&variant));
        }
        let tuple = PyTuple::new(py, &bound)?;
        Run { variant: &variant, py }.with_buffers(&tuple, &arguments, &numbers)
    }

    /// The arguments in order; `None` where the call does not fit, which Python then says.
    fn bind<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let py = args.py();
        let mut bound: Vec<Bound<'py, PyAny>> = args.iter().collect();
        let mut used = 0;
        let positional: usize = match kwargs {
            Some(_) => match self.func.bind(py).getattr("__code__") {
                Ok(code) => code.getattr("co_posonlyargcount")?.extract()?,
                Err(_) => 0,
            },
            None => 0,
        };
        if bound.len() > self.params.len() {
            return Ok(None);
        }
        if bound.len() < self.params.len() {
            let defaults = self.func.bind(py).getattr("__defaults__")?;
            let defaults = defaults.cast::<PyTuple>().ok();
            let count = defaults.map_or(0, |d| d.len());
            for at in bound.len()..self.params.len() {
                let given = match kwargs {
                    Some(kwargs) if at >= positional => kwargs.get_item(&self.params[at])?,
                    _ => None,
                };
                if let Some(value) = given {
                    used += 1;
                    bound.push(value);
                } else if at + count >= self.params.len()
                    && let Some(defaults) = defaults
                {
                    bound.push(defaults.get_item(at + count - self.params.len())?);
                } else {
                    return Ok(None);
                }
            }
        }
        let all_used = kwargs.is_none_or(|k| k.len() == used);
        Ok(all_used.then_some(bound))
    }

    /// The variant of a map, compiled now if it is new.
    pub(super) fn map_variant(
        &self,
        key: &jit_map::MapKey,
        make: impl FnOnce() -> jit_map::MapVariant,
    ) -> Arc<jit_map::MapVariant> {
        if let Some(found) = self.state().maps.iter().find(|m| m.key == *key) {
            return Arc::clone(found);
        }
        let made = Arc::new(make());
        let mut state = self.state();
        if state.maps.len() < MAX_VARIANTS {
            state.maps.push(Arc::clone(&made));
        }
        made
    }
}

#[pymethods]
impl JitFunction {
    #[new]
    fn new(func: Py<PyAny>, resolve: Py<PyAny>, params: Vec<Py<PyString>>) -> Self {
        Self {
            func,
            resolve,
            params,
            state: Mutex::default(),
            hot: Mutex::default(),
            python_calls: Mutex::default(),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        if kwargs.is_none() && args.len() == this.params.len() {
            let hot = this.hot().clone();
            if let Some(variant) = hot
                && let Some(answer) = (Run { variant: &variant, py: slf.py() }).scalar(args)?
            {
                return Ok(answer);
            }
        }
        Self::slow(slf, args, kwargs)
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // As what it was made from: a function becomes a method, a built-in or an object that is called does not.
        let py = slf.py();
        let func = slf.get().func.bind(py);
        let Some(instance) = instance.filter(|i| !i.is_none()) else {
            return Ok(slf.as_any().clone());
        };
        if !func.get_type().hasattr("__get__")? {
            return Ok(slf.as_any().clone());
        }
        let class = py.import("types")?.getattr("MethodType")?;
        let bound = func.call_method1("__get__", (instance, instance.get_type()))?;
        if bound.is(func) {
            return Ok(slf.as_any().clone());
        }
        if bound.get_type().is(&class) && bound.getattr("__func__")?.is(func) {
            return class.call1((slf, instance));
        }
        Ok(bound)
    }

    /// The function's code and defaults: what makes `inspect` see that it is a coroutine function, or its signature.
    #[getter]
    fn __code__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr("__code__")
    }

    #[setter(__code__)]
    fn set_code(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.func.bind(py).setattr("__code__", value)
    }

    #[getter]
    fn __defaults__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr("__defaults__")
    }

    #[setter(__defaults__)]
    fn set_defaults(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.func.bind(py).setattr("__defaults__", value)
    }

    #[getter]
    fn __kwdefaults__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr("__kwdefaults__")
    }

    #[setter(__kwdefaults__)]
    fn set_kwdefaults(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.func.bind(py).setattr("__kwdefaults__", value)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().func.bind(slf.py()).getattr("__qualname__")
    }

    /// Not in the dict: PyO3 does not show that to the collector, and a function that calls itself would never go.
    #[getter]
    fn __wrapped__(&self, py: Python<'_>) -> Py<PyAny> {
        self.func.clone_ref(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let func = slf.get().func.bind(slf.py());
        match func.getattr("__qualname__") {
            Ok(name) => Ok(format!("<offloaded function {name}>")),
            Err(_) => Ok(format!("<offloaded {}>", func.repr()?)),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.func)?;
        visit.call(&self.resolve)?;
        // A plan is this function's alone, but for calls that run: they hold the function, so that it is reachable.
        if let Ok(state) = self.state.try_lock()
            && let Some(plan) = &state.plan
        {
            visit.call(&plan.fallback)?;
            let guarded = plan.guards.iter().flat_map(|g| g.places.iter().chain([&g.expected]));
            let hidden = plan.hidden.iter().flat_map(|(places, _)| places);
            for object in guarded.chain(hidden) {
                visit.call(object)?;
            }
        }
        Ok(())
    }

    /// The plan of a recursive function expects the function itself: nobody else can break that cycle.
    fn __clear__(&self) {
        let state = std::mem::take(&mut *self.state());
        let hot = self.hot().take();
        drop((state, hot));
    }

    /// What became of the function, as text: whether it runs natively and why not, one line a specialisation.
    fn explain<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("iris._offload")?.getattr("explain")?.call1((slf,))
    }

    /// What became of the function: a dict that `explain()` prints.
    fn _report<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let this = slf.get();
        let plan = this.plan(slf)?;
        let report = PyDict::new(py);
        let reason = match &plan {
            Some(plan) => plan.reason.clone(),
            None => Some("its globals change too often".to_owned()),
        };
        report.set_item("reason", reason)?;
        let python_calls = PyDict::new(py);
        let counted = this.python_calls().clone();
        for (why, count) in counted {
            python_calls.set_item(why, count)?;
        }
        report.set_item("python_calls", python_calls)?;
        let variants = PyList::empty(py);
        let (all, maps) = {
            let state = this.state();
            (state.variants.clone(), state.maps.clone())
        };
        for variant in all {
            variants.append(variant.report(py)?)?;
        }
        for map in maps {
            variants.append(map.report(py)?)?;
        }
        report.set_item("variants", variants)?;
        Ok(report)
    }
}

/// A name's kind and what belongs to it: `("builtin", "abs")`.
type Named = (String, String);
/// A tree, its names, the defaults of its last parameters.
type Function = (String, HashMap<String, Named>, Vec<Named>);
/// Where a name is looked up, and the name.
type Place = (Vec<Py<PyAny>>, Py<PyString>);
/// Functions, guards, numeric globals, what runs in Python, whether `sum` compensates, why nothing compiles.
type Resolved = (
    Vec<Function>,
    Vec<(Vec<Py<PyAny>>, Py<PyString>, Py<PyAny>)>,
    Vec<Place>,
    Py<PyAny>,
    bool,
    Option<String>,
);

/// Reads what `_offload.resolve` answers: a reason, or `(functions, guards, hidden, fallback, compensated)`.
fn read_plan(resolved: &Bound<'_, PyAny>, func: &Py<PyAny>) -> PyResult<Plan> {
    let py = resolved.py();
    let mut plan = Plan {
        program: Arc::default(),
        guards: Vec::new(),
        hidden: Vec::new(),
        fallback: func.clone_ref(py),
        reason: None,
    };
    let (functions, guards, hidden, fallback, compensated, reason): Resolved =
        resolved.extract()?;
    plan.guards = guards
        .into_iter()
        .map(|(places, name, expected)| Guard::new(py, places, name, expected))
        .collect::<PyResult<_>>()?;
    plan.hidden = hidden;
    plan.fallback = fallback;
    plan.reason = reason;
    let mut program = Program { compensated_sum: compensated, ..Program::default() };
    if plan.reason.is_some() {
        return Ok(plan);
    }
    for (tree, names, defaults) in functions {
        let names = names
            .into_iter()
            .filter_map(|(name, (kind, payload))| Some((name, entry(&kind, &payload)?)))
            .collect();
        let defaults = defaults.iter().map(|(kind, payload)| entry(kind, payload)).collect();
        if let Err(error) = program.add(&tree, &names, defaults, &Limits::DEFAULT) {
            plan.reason = Some(error.to_string());
            break;
        }
    }
    plan.program = Arc::new(program);
    Ok(plan)
}

fn entry(kind: &str, payload: &str) -> Option<Entry> {
    match kind {
        "number" => payload.parse().ok().map(Entry::Number),
        "function" => payload.parse().ok().map(Entry::Function),
        "builtin" => Builtin::named(payload).map(Entry::Builtin),
        "module" => Some(Entry::MathModule),
        "math" => Math::named(payload).map(Entry::Math),
        "none" => Some(Entry::None),
        _ => None,
    }
}

fn log(py: Python<'_>, line: &str) -> PyResult<()> {
    py.import("iris._offload")?.getattr("log")?.call1((line,)).map(drop)
}

/// Whether compilations are logged.
#[pyfunction]
#[pyo3(signature = (on))]
pub(super) fn jit_logging(on: Option<bool>) -> bool {
    match on {
        Some(on) => LOGGING.swap(on, Ordering::Relaxed),
        None => LOGGING.load(Ordering::Relaxed),
    }
}

/// Whether new kernels are interpreted instead of compiled: for tests.
#[pyfunction]
pub(super) fn jit_interpret(on: bool) -> bool {
    INTERPRET.swap(on, Ordering::Relaxed)
}

/// Whether quantum speculation is on.
#[pyfunction]
#[pyo3(signature = (on))]
pub(super) fn jit_quantum(on: Option<bool>) -> bool {
    match on {
        Some(on) => QUANTUM.swap(on, Ordering::Relaxed),
        None => QUANTUM.load(Ordering::Relaxed),
    }
}

/// Costs that count instead of measured ones, by the name of the way: for tests.
#[pyfunction]
#[pyo3(signature = (costs))]
pub(super) fn jit_costs(costs: Option<HashMap<String, u64>>) {
    speculation::set_costs(costs);
}

/// Waits until what compiles in the background is done: for tests.
#[pyfunction]
pub(super) fn jit_settle(py: Python<'_>) {
    py.detach(speculation::settle);
}

/// The bits of libm's answer, for the comparison with the interpreter's `math`.
#[pyfunction]
pub(super) fn jit_libm(py: Python<'_>, name: &str, x: f64, y: f64) -> PyResult<f64> {
    use crate::runtime::offload::ir::Import;
    let import = Import::ALL.iter().find(|i| i.name() == name);
    let unknown = || fail(py, ErrorKind::InvalidArgument, format!("no function `{name}` of libm"));
    import.map(|i| i.call(x, y)).ok_or_else(unknown)
}

/// Adds the classes and functions of offload to the module.
pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("JitFunction", jit_entry::class(m.py())?)?;
    m.add_function(wrap_pyfunction!(jit_logging, m)?)?;
    m.add_function(wrap_pyfunction!(jit_interpret, m)?)?;
    m.add_function(wrap_pyfunction!(jit_quantum, m)?)?;
    m.add_function(wrap_pyfunction!(jit_costs, m)?)?;
    m.add_function(wrap_pyfunction!(jit_settle, m)?)?;
    m.add_function(wrap_pyfunction!(jit_libm, m)?)?;
    Ok(())
}
