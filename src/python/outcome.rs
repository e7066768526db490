//! What becomes of a message: its reply, its error, or an awaitable that an event loop is to await.

use super::codec::{self, Codec, MaybeCodec};
use super::context::Context;
use super::engine::Engine;
use super::home::attached;
use super::shared::Shared;
use super::virtuals::Due;
use super::{buffer, errors, handler};
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Pid};
use crate::message::Payload;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// An awaitable that a handler answered.
pub(super) struct Awaited {
    pub(super) engine: Arc<Engine>,
    pub(super) pid: Pid,
    pub(super) coroutine: Py<PyAny>,
    pub(super) variables: Option<Py<PyAny>>,
    pub(super) call: Option<CallId>,
    pub(super) ctx: Option<Py<Context>>,
    /// It is no handler but this hook.
    pub(super) hook: Option<Due>,
    pub(super) codec: MaybeCodec,
}

impl Awaited {
    /// Somebody cancelled the task that awaited the handler: whoever did has killed the actor.
    pub(super) fn cancelled(&self, py: Python<'_>, shared: &Arc<Shared>) {
        attached(py, shared, || shared.rt.kill(self.pid));
    }

    /// The awaited handler is over.
    pub(super) fn over(
        self,
        py: Python<'_>,
        shared: &Arc<Shared>,
        result: PyResult<Bound<'_, PyAny>>,
    ) {
        if let Some(due) = self.hook {
            let ctx = self.ctx.as_ref().map(|c| c.bind(py));
            self.engine.hook_over(py, shared, due, ctx, result);
            return;
        }
        let call = match (&self.ctx, self.call) {
            (Some(ctx), Some(_)) => ctx.get().take_call(),
            (_, call) => call,
        };
        let lane = self.engine.lane();
        let result = result.and_then(|value| {
            call.map_or(Ok(()), |c| reply(py, shared, c, &value, self.codec.as_deref()))
        });
        match result {
            Ok(()) => attached(py, shared, || lane.resume_elsewhere(self.pid)),
            Err(e) => {
                if let Some(call) = call {
                    fail_call(py, shared, call, &e);
                }
                let info = handler::describe(py, &e);
                attached(py, shared, || lane.crash_awaited(self.pid, info));
            }
        }
    }
}

/// Answers a call with what a handler returned.
pub(super) fn reply(
    py: Python<'_>,
    shared: &Arc<Shared>,
    call: CallId,
    value: &Bound<'_, PyAny>,
    codec: Option<&Codec>,
) -> PyResult<()> {
    let payload = payload(py, value, codec)?;
    attached(py, shared, || shared.rt.reply(call, payload));
    Ok(())
}

/// What a handler returned, as a reply.
#[inline]
pub(super) fn payload(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    codec: Option<&Codec>,
) -> PyResult<Payload> {
    if codec.is_some() {
        codec::encode(codec, value)
    } else if value.is_none() {
        Ok(Payload::empty())
    } else if let Ok(text) = value.extract::<Cow<'_, str>>() {
        Ok(text.as_bytes().into())
    } else {
        buffer::payload(value).map_err(|e| {
            if !e.is_instance_of::<PyTypeError>(py) {
                return e;
            }
            errors::wrong_type(value, "a handler must answer a call with bytes-like, str or None")
        })
    }
}

/// Ends a call with what its handler threw; the caller finds the exception itself as the cause.
pub(super) fn fail_call(py: Python<'_>, shared: &Arc<Shared>, call: CallId, error: &PyErr) {
    let info = handler::describe(py, error);
    shared.causes.lock().insert(call.to_bits(), handler::value_of(py, error).unbind());
    let told = Error::new(ErrorKind::HandlerFailed, info.message).with_stack(info.stack);
    if !attached(py, shared, || shared.rt.fail_call(call, told)) {
        drop(shared.take_cause(call));
    }
}
