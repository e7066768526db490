//! `release_gil=True`: an actor with a thread of its own, which its handler may block; beyond the limit, threads that a few
//! such actors share; or, in strict mode, an error.
//!
//! Each of these threads serves a lane of its own, as the interpreter lane's does (lane.rs). An actor's own thread ends when
//! its lane hears that the actor is gone; shared ones end with the runtime.

use super::args::{Count, Flag};
use super::engine::Engine;
use super::errors::fail;
use super::lane::{self, Parker};
use super::process;
use super::runtime::PyRuntime;
use super::shared::Shared;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::sync::Mutex;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Own threads at once, and shared ones, where nobody has said.
const LIMITS: (u32, u32) = (256, 8);
/// The most that can be asked for.
const MOST: (u32, u32) = (65_536, 1_024);

struct State {
    most_own: usize,
    most_shared: usize,
    strict: bool,
    /// Actors on their way to a thread of their own.
    coming: usize,
    own: HashMap<Pid, Arc<Engine>>,
    shared: Vec<Arc<Engine>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            most_own: LIMITS.0 as usize,
            most_shared: LIMITS.1 as usize,
            strict: false,
            coming: 0,
            own: HashMap::new(),
            shared: Vec::new(),
        }
    }
}

/// The threads of one runtime's `release_gil` actors.
#[derive(Default)]
pub(super) struct Released(Mutex<State>);

/// Where a `release_gil` actor is to live.
pub(super) enum Place {
    /// A thread of its own, to be started with [`Shared::start_own`].
    Own(Arc<Engine>),
    /// A thread that it shares.
    Pool(Arc<Engine>),
}

impl Released {
    /// Every lane that has a thread here.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        let s = self.0.lock();
        s.own.values().chain(&s.shared).cloned().collect()
    }

    /// The lanes where the handler of `pid` can run.
    pub(super) fn engines_of(&self, pid: Pid) -> Vec<Arc<Engine>> {
        let s = self.0.lock();
        s.own.get(&pid).map_or_else(|| s.shared.clone(), |own| vec![Arc::clone(own)])
    }

    /// The actor is gone; answers whether it had a thread of its own, which can end.
    pub(super) fn ended(&self, pid: Pid) -> Option<Arc<Engine>> {
        self.0.lock().own.remove(&pid)
    }
}

impl Shared {
    /// Finds a place for an actor that releases the GIL.
    ///
    /// # Errors
    /// `AtCapacity` in strict mode when the limit is reached, or if the system has no thread.
    pub(super) fn place_released(self: &Arc<Self>, py: Python<'_>) -> PyResult<Place> {
        let mut s = self.released.0.lock();
        // A dead actor's thread may not have heard of it yet: only those that have not ended count.
        let lives = |s: &State| s.own.keys().filter(|p| self.rt.actor_info(**p).is_some()).count();
        if s.own.len() + s.coming < s.most_own || lives(&s) + s.coming < s.most_own {
            s.coming += 1;
            drop(s);
            return Ok(Place::Own(self.new_engine(true)));
        }
        if s.strict {
            let most = s.most_own;
            drop(s);
            return Err(fail(
                py,
                ErrorKind::AtCapacity,
                format!(
                    "release_gil=True: {most} actors have threads of their own, the limit \
                     (set_release_gil_limits), and set_release_gil_strict(True) allows no others"
                ),
            ));
        }
        let least = s.shared.iter().min_by_key(|e| e.actors()).map(Arc::clone);
        if let Some(engine) = least
            && (s.shared.len() >= s.most_shared || engine.actors() == 0)
        {
            return Ok(Place::Pool(engine));
        }
        drop(s);
        let engine = self.new_engine(false);
        if process::is_exiting() || !lane::start(self, &engine, 0) {
            return Err(no_thread(py));
        }
        self.released.0.lock().shared.push(Arc::clone(&engine));
        Ok(Place::Pool(engine))
    }

    fn new_engine(&self, own: bool) -> Arc<Engine> {
        let parker = Arc::new(Parker::default());
        let sleeper = Arc::clone(&parker);
        Engine::new(self.rt.open_lane_of("release_gil", move || sleeper.wake()), Some(parker), own)
    }

    /// Starts the own thread of a new actor; without a pid the actor has not come to be.
    ///
    /// # Errors
    /// `AtCapacity` if the system has no thread; then the actor is killed.
    pub(super) fn start_own(
        self: &Arc<Self>,
        py: Python<'_>,
        engine: &Arc<Engine>,
        pid: Option<Pid>,
    ) -> PyResult<()> {
        {
            let mut s = self.released.0.lock();
            s.coming -= 1;
            let Some(pid) = pid else { return Ok(()) };
            s.own.insert(pid, Arc::clone(engine));
        }
        if !process::is_exiting() && lane::start(self, engine, 0) {
            return Ok(());
        }
        if let Some(pid) = pid {
            super::home::attached(py, self, || self.rt.kill(pid));
            drop(self.released.ended(pid));
            engine.clear(py);
        }
        Err(no_thread(py))
    }
}

fn no_thread(py: Python<'_>) -> PyErr {
    fail(py, ErrorKind::AtCapacity, "the system has no thread for a release_gil actor")
}

#[pymethods]
impl PyRuntime {
    /// How many `release_gil` actors have threads of their own, and how many threads the others share.
    fn set_release_gil_limits(
        &self,
        py: Python<'_>,
        max_threads: Count,
        pool_size: Count,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        let refuse = |what: String| Err(fail(py, ErrorKind::InvalidArgument, what));
        if max_threads.0 > MOST.0 {
            return refuse(format!("max_threads must be 0 to {}, got {}", MOST.0, max_threads.0));
        }
        if !(1..=MOST.1).contains(&pool_size.0) {
            return refuse(format!("pool_size must be 1 to {}, got {}", MOST.1, pool_size.0));
        }
        let mut s = shared.released.0.lock();
        (s.most_own, s.most_shared) = (max_threads.0 as usize, pool_size.0 as usize);
        Ok(())
    }

    /// Whether `release_gil=True` beyond the limit is an error instead of a shared thread.
    fn set_release_gil_strict(&self, py: Python<'_>, strict: Flag) -> PyResult<()> {
        self.open(py)?.released.0.lock().strict = strict.0;
        Ok(())
    }
}
