//! Spawning push actors: what a spawn says, and where the actor is to live.

use super::behavior::{Behavior, Origin, Slot};
use super::codec::{self, MaybeCodec};
use super::engine::Engine;
use super::errors::OrRaise;
use super::handler::{self, Shape};
use super::home::{self, Home, attached};
use super::release::Place;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::telemetry;
use crate::config::SpawnOptions;
use crate::id::Pid;
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::Arc;

/// contextvars and an event loop, where there are any.
pub(super) type Surroundings = (Option<Py<PyAny>>, Option<Arc<Home>>);

/// Where a spawn takes place: its contextvars, and the event loop that awaits what such a handler answers.
pub(super) fn surroundings(runtime: &Bound<'_, PyRuntime>, shape: Shape) -> PyResult<Surroundings> {
    let py = runtime.py();
    let shared = runtime.get().open(py)?;
    let variables = handler::spawner_context(py)?.map(Bound::unbind);
    let home = match (home::running_loop(py)?, shape.is_async) {
        (Some(event_loop), _) => Some(shared.home_of(py, &event_loop)?),
        (None, true) => Some(shared.own_home(py)?),
        (None, false) => None,
    };
    Ok((variables, home))
}

/// All that a spawn says.
pub(super) struct Plan {
    handler: Py<PyAny>,
    shape: Shape,
    /// contextvars to run in; `None`: the thread's.
    variables: Option<Py<PyAny>>,
    /// The event loop of the spawning thread or, for an `async def` handler, whichever awaits it.
    home: Option<Arc<Home>>,
    options: SpawnOptions,
    release_gil: bool,
    codec: MaybeCodec,
    vortex: Option<Arc<Py<PyAny>>>,
}

/// What the option `vortex` of a spawn means.
///
/// # Errors
/// `InvalidType`, `InvalidArgument`.
fn speculation<'py>(option: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(option) = option else { return Ok(None) };
    #[cfg(feature = "vortex")]
    let made = option.py().import("iris._vortex")?.call_method1("option", (option,))?;
    #[cfg(not(feature = "vortex"))]
    let made = match option.is_truthy()? {
        true => {
            return Err(super::errors::fail(
                option.py(),
                crate::error::ErrorKind::InvalidArgument,
                "vortex must be left out: this build of iris has no speculation",
            ));
        }
        false => option.py().None().into_bound(option.py()),
    };
    Ok((!made.is_none()).then_some(made))
}

impl Plan {
    /// Checks what a spawn says.
    ///
    /// # Errors
    /// As `Runtime.spawn`.
    pub(super) fn new(
        runtime: &Bound<'_, PyRuntime>,
        handler: &Bound<'_, PyAny>,
        options: SpawnOptions,
        release_gil: bool,
        codec: Option<&Bound<'_, PyAny>>,
        vortex: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = runtime.py();
        let shared = runtime.get().open(py)?;
        options.validate().or_raise(py)?;
        let vortex = speculation(vortex)?;
        let raced = vortex.as_ref().map(|v| v.call_method1("wrap", (handler,))).transpose()?;
        let handler = raced.as_ref().unwrap_or(handler);
        let traced = shared.tracing.then(|| telemetry::traced(handler, codec)).transpose()?;
        let (handler, codec) = traced.as_ref().map_or((handler, codec), |(h, c)| (h, Some(c)));
        let shape = PyRuntime::shape_of(runtime, handler)?;
        let codec = shared.codec(codec)?;
        let (variables, home) = surroundings(runtime, shape)?;
        let handler = handler.clone().unbind();
        let vortex = vortex.map(|v| Arc::new(v.unbind()));
        Ok(Self { handler, shape, variables, home, options, release_gil, codec, vortex })
    }

    /// Another actor of the same kind: no two may be in one context at a time.
    pub(super) fn again(&self, py: Python<'_>) -> PyResult<Self> {
        let copy = |v: &Py<PyAny>| v.call_method0(py, intern!(py, "copy"));
        Ok(Self {
            handler: self.handler.clone_ref(py),
            shape: self.shape,
            variables: self.variables.as_ref().map(copy).transpose()?,
            home: self.home.clone(),
            options: self.options,
            release_gil: self.release_gil,
            codec: self.codec.clone(),
            vortex: self.vortex.clone(),
        })
    }

    pub(super) fn codec(&self) -> MaybeCodec {
        self.codec.clone()
    }

    /// Spawns.
    ///
    /// # Errors
    /// `NoSuchActor` (the parent), `AtCapacity`, `RuntimeClosed`.
    pub(super) fn spawn(self, py: Python<'_>, shared: &Arc<Shared>) -> PyResult<Pid> {
        let loop_engine = match &self.home {
            Some(home) if self.shape.is_async => Some(Arc::clone(home.engine(shared))),
            _ => None,
        };
        if let Some(engine) = loop_engine {
            return self.spawn_on(py, shared, &engine);
        }
        if !self.release_gil {
            let engine = shared.lane(py)?;
            return self.spawn_on(py, shared, &engine);
        }
        match shared.place_released(py)? {
            Place::Pool(engine) => self.spawn_on(py, shared, &engine),
            Place::Own(engine) => {
                let pid = self.spawn_on(py, shared, &engine);
                shared.start_own(py, &engine, pid.as_ref().ok().copied())?;
                pid
            }
        }
    }

    fn spawn_on(self, py: Python<'_>, shared: &Arc<Shared>, engine: &Engine) -> PyResult<Pid> {
        let now = Behavior { handler: self.handler, wants_ctx: self.shape.wants_ctx, version: 1 };
        let noted = codec::noted(&self.codec);
        let slot = Slot::new(
            now,
            Origin {
                variables: self.variables,
                home: self.home,
                hooks: None,
                codec: self.codec,
                vortex: self.vortex,
            },
        );
        let pid = attached(py, shared, || engine.spawn(slot, self.options)).or_raise(py)?;
        shared.note_codec(pid, noted);
        Ok(pid)
    }
}
