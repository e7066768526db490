//! Offload: kernels made from JavaScript functions. lib/kernel-source.js parses, lib/kernel.js decides what runs where.

use super::jit_work::{Job, MapWork, ReduceWork, start};
use super::raw::{Lease, with_arrays};
use crate::runtime::offload::front::javascript::{Arg, Array, Node, Result_, compile, parse};
use crate::runtime::offload::ir::{Elem, Fit, Module, Reason};
use crate::runtime::offload::map::{Input, Output, elementwise};
use crate::runtime::offload::{
    Budget, Frame, JitError, JitErrorKind, Kernel, Limits, Options, Outcome, fold,
};
use napi::bindgen_prelude::{Either3, Object};
use napi::{Env, Status};
use napi_derive::napi;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

static LOGGING: AtomicBool = AtomicBool::new(false);
static QUANTUM: AtomicBool = AtomicBool::new(false);

/// Sets or asks whether compilations are logged, in this process.
#[napi]
pub fn jit_logging(on: Option<bool>) -> bool {
    set(&LOGGING, on)
}

/// Sets or asks whether hot kernels keep several variants, in this process.
#[napi]
pub fn jit_quantum(on: Option<bool>) -> bool {
    set(&QUANTUM, on)
}

fn set(flag: &AtomicBool, on: Option<bool>) -> bool {
    if let Some(on) = on {
        flag.store(on, Ordering::Relaxed);
    }
    flag.load(Ordering::Relaxed)
}

/// What a compilation is to make.
#[napi(object)]
pub struct JitPlan {
    /// The function, as lib/kernel-source.js writes it.
    pub tree: String,
    /// A code for each argument: 0 number, 1 boolean, from 2 on a typed array (`array`).
    pub args: Vec<u32>,
    /// `call`, `map` (arrays are mapped over) or `reduce` (`args[0]` is the array).
    pub mode: String,
    /// The array that a map fills.
    pub output: u32,
    /// Whether functions are allowed that engines round differently.
    pub approximate: bool,
    /// Whether the interpreter is to run it (tests).
    pub interpret: bool,
}

/// A compiled function.
#[napi]
pub struct JitKernel {
    kernel: Kernel,
}

impl JitKernel {
    pub(super) fn of(kernel: Kernel) -> Self {
        Self { kernel }
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.kernel
    }
}

#[napi]
impl JitKernel {
    /// Compiles; an error's message is `kind line column message`.
    #[napi(constructor)]
    pub fn new(plan: JitPlan) -> napi::Result<Self> {
        Ok(Self { kernel: make(&plan).map_err(|e| described(&e))? })
    }

    /// Whether machine code runs; else the interpreter.
    #[napi(getter)]
    pub fn native(&self) -> bool {
        self.kernel.is_native()
    }

    /// Why the interpreter runs it although nobody asked for that.
    #[napi(getter)]
    pub fn backend_error(&self) -> Option<String> {
        self.kernel.backend_error().map(ToString::to_string)
    }

    /// Bytes of machine code.
    #[napi(getter)]
    pub fn code_size(&self) -> f64 {
        self.kernel.code_size() as f64
    }

    /// What it answers: 1 a number, 2 a boolean, 4 undefined, added up.
    #[napi(getter)]
    pub fn returns(&self) -> u32 {
        let shapes = &self.kernel.module().entry().shapes;
        shapes.iter().fold(0, |all, shape| all | shape_code(shape))
    }

    /// Calls it in place: the numbers and booleans of the call, then its typed arrays. An error `left` says that nothing has
    /// happened, and that V8 must do the call.
    #[napi(ts_return_type = "number | boolean | undefined")]
    pub fn call(
        &self,
        env: Env,
        scalars: Vec<f64>,
        arrays: Vec<Object<'_>>,
    ) -> napi::Result<Either3<f64, bool, ()>> {
        let params = &self.kernel.module().entry().regs;
        let bits: Vec<u64> = scalars.iter().zip(params).map(|(x, ty)| bits_of(*x, *ty)).collect();
        let module = self.kernel.module();
        let leaves = module.exits.iter().any(|e| e.reason == Reason::Type);
        with_arrays(&env, &arrays, |buffers| {
            // What a call that leaves has written is taken back: V8 does it all again.
            let written =
                || buffers.iter().zip(&module.buffers).filter(|(_, p)| p.writable && leaves);
            let saved: Vec<Vec<u8>> = written().map(|(b, _)| b.save()).collect();
            FRAME.with_borrow_mut(|frame| {
                let budget = Budget { fuel: u64::MAX >> 1, ..Budget::default() };
                let outcome = self
                    .kernel
                    .call(&bits, buffers, budget, frame, &mut ())
                    .map_err(|e| failed(&e))?;
                let Outcome::Returned(shape) = outcome else {
                    written().zip(&saved).for_each(|((b, _), copy)| b.restore(copy));
                    return Err(napi::Error::from_reason("left"));
                };
                let shape = &self.kernel.module().entry().shapes[shape as usize];
                let value = frame.values.first().copied().unwrap_or(0);
                Ok(match shape_code(shape) {
                    1 => Either3::A(f64::from_bits(value)),
                    2 => Either3::B(value != 0),
                    _ => Either3::C(()),
                })
            })
        })
        .unwrap_or_else(|| Err(napi::Error::from_reason("a typed array was expected")))
    }

    /// Runs a map (inputs, then the output; `scalars` as in the call) off the loop; `threads` at most. Answers whether it came
    /// to its end.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn map(
        &self,
        env: Env,
        scalars: Vec<f64>,
        arrays: Vec<Object<'_>>,
        threads: u32,
        stop: &JitStop,
    ) -> napi::Result<Object<'static>> {
        let params = self.kernel.module().entry().regs.get(2..).unwrap_or_default();
        let scalars = scalars.iter().zip(params).map(|(x, ty)| bits_of(*x, *ty)).collect();
        let lease = lease(&env, arrays)?;
        let job = self.job(&lease, threads, stop);
        start(&env, lease, Arc::clone(&stop.flag), move || MapWork { job, scalars }.run())
    }

    /// Runs a reduction off the loop, from element `from` on. With `combine`, a kernel of two numbers that is associative
    /// for these elements, several threads take part. Answers `undefined` if it was stopped.
    #[napi(ts_return_type = "Promise<number | undefined>")]
    #[allow(
        clippy::too_many_arguments,
        reason = "one call from lib/kernel.js, no object made for it"
    )]
    pub fn reduce(
        &self,
        env: Env,
        array: Object<'_>,
        from: f64,
        initial: f64,
        threads: u32,
        combine: Option<&JitKernel>,
        stop: &JitStop,
    ) -> napi::Result<Object<'static>> {
        let lease = lease(&env, vec![array])?;
        let work = ReduceWork {
            job: self.job(&lease, threads, stop),
            start: from as usize,
            initial,
            combine: combine.map(|k| k.kernel.clone()),
        };
        start(&env, lease, Arc::clone(&stop.flag), move || work.run())
    }
}

impl JitKernel {
    fn job(&self, lease: &Lease, threads: u32, stop: &JitStop) -> Job {
        let (kernel, buffers) = (self.kernel.clone(), lease.buffers.clone());
        Job { kernel, buffers, threads, stop: Arc::clone(&stop.flag) }
    }
}

/// Stops a run off the loop.
#[napi]
pub struct JitStop {
    flag: Arc<AtomicBool>,
}

#[napi]
impl JitStop {
    /// Not raised.
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript's constructor")]
    pub fn new() -> Self {
        Self { flag: Arc::new(AtomicBool::new(false)) }
    }

    /// The run leaves at its next poll.
    #[napi]
    pub fn raise(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }
}

thread_local! {
    static FRAME: RefCell<Frame> = RefCell::new(Frame::default());
}

fn lease(env: &Env, arrays: Vec<Object<'_>>) -> napi::Result<Lease> {
    Lease::of(env, arrays).ok_or_else(|| napi::Error::from_reason("a typed array was expected"))
}

/// As lib/kernel.js reads it.
pub(super) fn described(e: &JitError) -> napi::Error {
    let kind = match e.kind {
        JitErrorKind::Invalid | JitErrorKind::Backend => "internal",
        JitErrorKind::Limit => "limit",
        JitErrorKind::Syntax | JitErrorKind::Unsupported => "unsupported",
    };
    let text = format!("{kind} {} {} {}", e.pos.line, e.pos.column, e.message);
    napi::Error::new(Status::GenericFailure, text)
}

fn failed(e: &JitError) -> napi::Error {
    napi::Error::from_reason(format!("offload failed: {e}"))
}

fn shape_code(shape: &[crate::runtime::offload::ir::Ty]) -> u32 {
    match shape.first() {
        Some(crate::runtime::offload::ir::Ty::F64) => 1,
        Some(_) => 2,
        None => 4,
    }
}

fn bits_of(x: f64, ty: crate::runtime::offload::ir::Ty) -> u64 {
    if ty == crate::runtime::offload::ir::Ty::Bool { u64::from(x != 0.0) } else { x.to_bits() }
}

// --- compiling -----------------------------------------------------------------------------------

fn array(code: u32) -> Option<Array> {
    let plain = |elem| Some(Array { elem, clamped: false });
    match code {
        2 => plain(Elem::F64),
        3 => plain(Elem::F32),
        4 => plain(Elem::I32),
        5 => plain(Elem::U32),
        6 => plain(Elem::I16),
        7 => plain(Elem::U16),
        8 => plain(Elem::I8),
        9 => plain(Elem::U8),
        10 => Some(Array { elem: Elem::U8, clamped: true }),
        _ => None,
    }
}

fn arg(code: u32) -> Arg {
    match array(code) {
        Some(array) => Arg::Array(array),
        None if code == 1 => Arg::Bool,
        None => Arg::Number,
    }
}

pub(super) fn make(plan: &JitPlan) -> Result<Kernel, JitError> {
    let limits = Limits::DEFAULT;
    if plan.tree.len() > 16 * limits.source {
        return Err(JitError::limit(Default::default(), "the source is too long"));
    }
    let tree = parse(&plan.tree, 4 * limits.nesting)?;
    let module = match plan.mode.as_str() {
        "map" => map_module(&tree, plan, &limits)?,
        "reduce" => {
            let count = tree.fields.first().map_or(2, |params| match params {
                crate::runtime::offload::front::javascript::Item::List(params) => params.len(),
                _ => 2,
            });
            let args = vec![Arg::Number; count.clamp(2, 3)];
            let module = compile(&tree, &args, Result_::Value, plan.approximate, &limits)?;
            if module.entry().shapes.iter().any(|s| shape_code(s) != 1) {
                return Err(JitError::unsupported(
                    tree.pos,
                    "a reduction's function must answer a number on every path",
                ));
            }
            let elem = plan.args.first().and_then(|code| array(*code));
            fold::left(&module, elem.map_or(Elem::F64, |array| array.elem))?
        }
        _ => {
            let args: Vec<Arg> = plan.args.iter().map(|code| arg(*code)).collect();
            compile(&tree, &args, Result_::Value, plan.approximate, &limits)?
        }
    };
    Kernel::compile(module, &Options { limits, interpret: plan.interpret, ..Options::default() })
}

fn map_module(tree: &Node, plan: &JitPlan, limits: &Limits) -> Result<Module, JitError> {
    let output =
        array(plan.output).ok_or_else(|| JitError::invalid("a map needs an array to fill"))?;
    let args: Vec<Arg> =
        plan.args.iter().map(|code| if *code == 1 { Arg::Bool } else { Arg::Number }).collect();
    let module = compile(tree, &args, Result_::Element(output), plan.approximate, limits)?;
    let inputs: Vec<Input> = plan
        .args
        .iter()
        .map(|code| array(*code).map_or(Input::Scalar, |array| Input::Buffer(array.elem)))
        .collect();
    elementwise(&module, &inputs, Output { elem: output.elem, shape: 0, fit: Fit::Wrap })
}
