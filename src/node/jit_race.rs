//! Quantum speculation of kernels: lib/kernel.js asks which way a call goes, runs it, and says what it cost.

use super::jit::{JitKernel, JitPlan, described, make};
use crate::runtime::offload::{Kernel, Options};
use crate::runtime::speculation::{self, Source, Speculation, Turn};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;
use std::cell::RefCell;
use std::collections::HashMap;

/// What `turn` adds to the number of a way whose cost is asked for.
const MEASURED: u32 = 256;

/// The ways to run one compilation.
#[napi]
pub struct JitRace {
    speculation: Speculation,
    last: RefCell<Option<Turn>>,
}

/// How a way stands.
#[napi(object)]
pub struct JitStanding {
    /// Its name.
    pub name: String,
    /// Whether every call runs it.
    pub best: bool,
    /// One or two words.
    pub state: String,
    /// Races that it won.
    pub wins: f64,
    /// Calls that it ran.
    pub runs: f64,
    /// Nanoseconds of a call, or of 1,024 elements.
    pub median: Option<f64>,
}

#[napi]
impl JitRace {
    /// `call`: machine code or V8; `few`, `many`: maps, of `many` elements on one thread or on all; `fold`: a reduction.
    #[napi(constructor)]
    pub fn new(kernel: &JitKernel, kind: String) -> Self {
        let kernel = kernel.kernel();
        let given = || Source::Given(kernel.clone());
        let plain = || {
            Source::Make(kernel.module().clone(), Options { lanes: false, ..Options::default() })
        };
        let ways = match kind.as_str() {
            "few" => vec![("lanes", given()), ("one by one", plain())],
            "many" => vec![
                ("lanes, threads", given()),
                ("lanes, one thread", given()),
                ("one by one, threads", plain()),
                ("one by one, one thread", plain()),
            ],
            "fold" => vec![("threads", given()), ("one thread", given())],
            _ => vec![("kernel", given()), ("v8", Source::Host)],
        };
        Self { speculation: Speculation::new(ways), last: RefCell::new(None) }
    }

    /// The number of the way that the next call takes; 256 more if its cost is asked for.
    #[napi]
    pub fn turn(&self) -> u32 {
        let turn = self.speculation.turn();
        let answer = turn.way as u32 + if turn.measured { MEASURED } else { 0 };
        *self.last.borrow_mut() = Some(turn);
        answer
    }

    /// The kernel of the last turn.
    #[napi]
    pub fn kernel(&self) -> Option<JitKernel> {
        self.last.borrow().as_ref().and_then(|t| t.kernel.clone()).map(JitKernel::of)
    }

    /// What a call cost.
    #[napi]
    pub fn report(&self, way: u32, nanoseconds: f64) {
        self.speculation.report(way as usize, nanoseconds as u64);
    }

    /// How the ways stand.
    #[napi]
    pub fn standing(&self) -> Vec<JitStanding> {
        let standing = |(name, s): (&str, crate::runtime::offload::race::Standing)| JitStanding {
            name: name.into(),
            best: s.best,
            state: s.state.into(),
            wins: s.wins as f64,
            runs: s.runs as f64,
            median: s.median.map(|m| m as f64),
        };
        self.speculation.standing().into_iter().map(standing).collect()
    }
}

/// A compilation off the loop.
pub struct CompileWork {
    plan: JitPlan,
}

impl Task for CompileWork {
    type Output = Kernel;
    type JsValue = JitKernel;

    fn compute(&mut self) -> napi::Result<Kernel> {
        make(&self.plan).map_err(|e| described(&e))
    }

    fn resolve(&mut self, _env: Env, kernel: Kernel) -> napi::Result<JitKernel> {
        Ok(JitKernel::of(kernel))
    }
}

/// Compiles off the loop, as the constructor of `JitKernel` does on it.
#[napi(ts_return_type = "Promise<JitKernel>")]
pub fn jit_compile(plan: JitPlan) -> AsyncTask<CompileWork> {
    AsyncTask::new(CompileWork { plan })
}

/// Costs that count instead of measured ones, by the name of the way: for tests.
#[napi]
pub fn jit_costs(costs: Option<HashMap<String, f64>>) {
    let whole =
        |costs: HashMap<String, f64>| costs.into_iter().map(|(k, v)| (k, v as u64)).collect();
    speculation::set_costs(costs.map(whole));
}

/// Waits until what compiles in the background is done: for tests.
#[napi]
pub fn jit_settle() {
    speculation::settle();
}
