//! Virtual actors: the hooks that wake them and put them to sleep, run between messages by whoever serves their lane.

use super::args::{Count, Delay};
use super::behavior::{Behavior, Origin, Slot};
use super::buffer;
use super::codec;
use super::context::Context;
use super::engine::{self, Engine};
use super::errors::{OrRaise, fail, wrong_type};
use super::handler;
use super::home::attached;
use super::outcome::Awaited;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::telemetry;
use crate::config::{SpawnOptions, VirtualOptions};
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::runtime::HostLane;
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::Arc;

/// The hooks of a virtual actor; spawns in a row that name the same two share them.
pub(super) struct Hooks {
    on_activate: Option<Py<PyAny>>,
    on_deactivate: Option<Py<PyAny>>,
}

/// A hook whose turn it is.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) pid: Pid,
    pub(super) activate: bool,
}

/// What a hook needs, with the GIL at hand.
struct Call<'py> {
    hook: Option<Bound<'py, PyAny>>,
    ctx: Option<Bound<'py, Context>>,
    variables: Option<Bound<'py, PyAny>>,
}

fn same(a: Option<&Py<PyAny>>, b: Option<&Bound<'_, PyAny>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.is(b),
        _ => false,
    }
}

impl Shared {
    fn share_hooks(
        &self,
        on_activate: Option<&Bound<'_, PyAny>>,
        on_deactivate: Option<&Bound<'_, PyAny>>,
    ) -> Option<Arc<Hooks>> {
        if on_activate.is_none() && on_deactivate.is_none() {
            return None;
        }
        let last = self.last_hooks.lock().clone();
        if let Some(last) = last
            && same(last.on_activate.as_ref(), on_activate)
            && same(last.on_deactivate.as_ref(), on_deactivate)
        {
            return Some(last);
        }
        let keep = |hook: Option<&Bound<'_, PyAny>>| hook.map(|h| h.clone().unbind());
        let hooks =
            Arc::new(Hooks { on_activate: keep(on_activate), on_deactivate: keep(on_deactivate) });
        let old = self.last_hooks.lock().replace(Arc::clone(&hooks));
        drop(old);
        Some(hooks)
    }
}

impl Engine {
    /// Runs a hook. The caller has noted that it runs, so that it can be given up.
    pub(super) fn run_hook(
        self: &Arc<Self>,
        py: Python<'_>,
        shared: &Arc<Shared>,
        epoch: u64,
        due: Due,
    ) {
        if !self.lane().hook_is_due(due.pid) {
            return; // it was killed meanwhile
        }
        engine::set_current(due.pid);
        let Some(call) = self.prepare_hook(py, shared, due) else { return };
        let (Some(hook), Some(ctx)) = (&call.hook, &call.ctx) else {
            self.hook_over(py, shared, due, None, Ok(py.None().into_bound(py)));
            return;
        };
        let result = match &call.variables {
            None => buffer::call(hook, ctx.as_any(), None, None),
            Some(v) => v
                .getattr(intern!(py, "run"))
                .and_then(|run| buffer::call(&run, hook, Some(ctx.as_any()), None)),
        };
        if self.epoch() != epoch {
            return; // abandoned
        }
        match result {
            Ok(value) if handler::is_awaitable(&value) => {
                let home = self.with_slot(py, due.pid, |slot| slot.origin.as_ref()?.home.clone());
                let home = home.flatten();
                let awaited = Awaited {
                    engine: Arc::clone(self),
                    pid: due.pid,
                    coroutine: value.unbind(),
                    variables: call.variables.clone().map(Bound::unbind),
                    call: None,
                    ctx: Some(ctx.clone().unbind()),
                    hook: Some(due),
                    codec: None,
                };
                match home.map_or_else(|| shared.own_home(py), Ok) {
                    Ok(home) => home.take_over(py, awaited),
                    Err(e) => awaited.over(py, shared, Err(e)),
                }
            }
            other => self.hook_over(py, shared, due, Some(ctx), other),
        }
    }

    fn prepare_hook<'py>(
        &self,
        py: Python<'py>,
        shared: &Arc<Shared>,
        due: Due,
    ) -> Option<Call<'py>> {
        let (hooks, mut ctx, variables, codec) = self.with_slot(py, due.pid, |slot| {
            let ctx = slot.ctx.as_ref().map(|c| c.bind(py).clone());
            let origin = slot.origin.as_deref();
            let variables = origin.and_then(|o| o.variables.as_ref()).map(|v| v.bind(py).clone());
            let hooks = origin.and_then(|o| o.hooks.clone());
            (hooks, ctx, variables, origin.and_then(|o| o.codec.clone()))
        })?;
        let hook = hooks.and_then(|h| {
            let hook = if due.activate { h.on_activate.as_ref() } else { h.on_deactivate.as_ref() };
            hook.map(|f| f.bind(py).clone())
        });
        if hook.is_some() && ctx.is_none() {
            let new = Bound::new(py, Context::new(shared, due.pid, None, codec)).ok()?;
            self.with_slot(py, due.pid, |slot| slot.ctx = Some(new.clone().unbind()))?;
            ctx = Some(new);
        }
        Some(Call { hook, ctx, variables })
    }

    /// A hook is over.
    pub(super) fn hook_over(
        &self,
        py: Python<'_>,
        shared: &Shared,
        due: Due,
        ctx: Option<&Bound<'_, Context>>,
        result: PyResult<Bound<'_, PyAny>>,
    ) {
        let value = match result {
            Ok(value) => value,
            Err(e) => {
                let info = handler::describe(py, &e);
                attached(py, shared, || self.lane().crash_now(due.pid, info));
                return;
            }
        };
        if !self.lane().hook_is_due(due.pid) {
            return;
        }
        if due.activate {
            if let Some(ctx) = ctx.filter(|_| !value.is_none()) {
                ctx.get().put_state(Some(value.unbind()));
            }
        } else {
            let ctx = self.with_slot(py, due.pid, |slot| slot.ctx.take()).flatten();
            if let Some(ctx) = ctx {
                ctx.get().put_state(None);
            }
        }
        attached(py, shared, || self.lane().hook_done_elsewhere(due.pid));
    }
}

fn check_hook(hook: &Bound<'_, PyAny>) -> PyResult<()> {
    if !hook.is_callable() {
        return Err(wrong_type(hook, "a hook must be callable"));
    }
    if handler::inspect(hook)?.wants_ctx {
        return Err(fail(
            hook.py(),
            ErrorKind::InvalidArgument,
            format!("a hook must take (ctx); {hook} does not"),
        ));
    }
    Ok(())
}

#[pymethods]
impl PyRuntime {
    /// Spawns a virtual actor: dormant until its first message, and again when it has been idle.
    #[pyo3(signature = (handler, budget=Count(100), idle_timeout_ms=None, *, on_activate=None, on_deactivate=None, capacity=None, codec=None), text_signature = "($self, handler, budget=100, idle_timeout_ms=None, *, on_activate=None, on_deactivate=None, capacity=None, codec=None)")]
    #[allow(clippy::too_many_arguments, reason = "Python has keyword arguments")]
    fn spawn_virtual(
        slf: &Bound<'_, Self>,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        idle_timeout_ms: Option<Delay>,
        on_activate: Option<&Bound<'_, PyAny>>,
        on_deactivate: Option<&Bound<'_, PyAny>>,
        capacity: Option<Count>,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let py = slf.py();
        let shared = slf.get().open(py)?;
        let options = SpawnOptions {
            budget: budget.0,
            capacity: capacity.map(|n| n.0),
            ..SpawnOptions::default()
        };
        options.validate().or_raise(py)?;
        let traced = shared.tracing.then(|| telemetry::traced(handler, codec)).transpose()?;
        let (handler, codec) = traced.as_ref().map_or((handler, codec), |(h, c)| (h, Some(c)));
        let shape = Self::shape_of(slf, handler)?;
        for hook in [on_activate, on_deactivate].into_iter().flatten() {
            check_hook(hook)?;
        }
        let codec = shared.codec(codec)?;
        let hooks = shared.share_hooks(on_activate, on_deactivate);
        if hooks.is_some() {
            Self::keep_handle(slf)?;
        }
        let v = VirtualOptions {
            idle_timeout: idle_timeout_ms.map(|t| t.0),
            on_activate: on_activate.is_some(),
            on_deactivate: on_deactivate.is_some(),
        };
        let (engine, variables, home) = Self::place(slf, shape)?;
        let now =
            Behavior { handler: handler.clone().unbind(), wants_ctx: shape.wants_ctx, version: 1 };
        let noted = codec::noted(&codec);
        let slot = Slot::new(now, Origin { variables, home, hooks, codec, vortex: None });
        let spawn = |lane: &HostLane, key| lane.spawn_virtual(key, options, v);
        let pid = engine.enter(slot, false, spawn).or_raise(py)?;
        shared.note_codec(pid, noted);
        Ok(pid.to_bits())
    }
}
