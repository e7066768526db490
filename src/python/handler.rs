//! What a handler is: callable with `(msg)` or `(msg, ctx)`, synchronous or not; and what it threw.

use super::errors::fail;
use crate::error::ErrorKind;
use crate::message::CrashInfo;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyInt, PyString, PyTuple, PyType};

const CO_VARARGS: u32 = 0x04;
const CO_GENERATOR: u32 = 0x20;
const CO_COROUTINE: u32 = 0x80;
const CO_ASYNC_GENERATOR: u32 = 0x200;

/// How a handler wants to be called.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) wants_ctx: bool,
    pub(super) is_async: bool,
}

/// Looks at a handler.
///
/// # Errors
/// `InvalidType` if it is not callable, or a generator function; `InvalidArgument` if it takes neither `(msg)` nor
/// `(msg, ctx)`.
pub(super) fn inspect(handler: &Bound<'_, PyAny>) -> PyResult<Shape> {
    let py = handler.py();
    if !handler.get_type().is(function_type(py)?) {
        let shape = py.import("iris._support")?.call_method1("inspect_handler", (handler,))?;
        let (wants_ctx, is_async) = shape.extract()?;
        return Ok(Shape { wants_ctx, is_async });
    }
    let code = handler.getattr(intern!(py, "__code__"))?;
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    let takes: usize = code.getattr(intern!(py, "co_argcount"))?.extract()?;
    let defaults = handler.getattr(intern!(py, "__defaults__"))?;
    let optional = defaults.cast::<PyTuple>().map_or(0, |d| d.len());
    let required = takes.saturating_sub(optional);
    let named: usize = code.getattr(intern!(py, "co_kwonlyargcount"))?.extract()?;
    if required > 2
        || (takes == 0 && flags & CO_VARARGS == 0)
        || (named != 0 && !named_defaults(handler, named)?)
    {
        return Err(fail(
            py,
            ErrorKind::InvalidArgument,
            format!("a handler must take (msg) or (msg, ctx); {handler} does not"),
        ));
    }
    if flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) != 0 {
        return Err(fail(
            py,
            ErrorKind::InvalidType,
            format!("{handler} is a generator function: calling it would run nothing"),
        ));
    }
    Ok(Shape { wants_ctx: required == 2, is_async: flags & CO_COROUTINE != 0 })
}

fn named_defaults(handler: &Bound<'_, PyAny>, named: usize) -> PyResult<bool> {
    let defaults = handler.getattr(intern!(handler.py(), "__kwdefaults__"))?;
    Ok(!defaults.is_none() && defaults.len()? == named)
}

fn function_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "types", "FunctionType")
}

/// The context of the calling thread, if it has a variable.
pub(super) fn spawner_context<'py>(py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let context = COPY.import(py, "contextvars", "copy_context")?.call0()?;
    Ok((context.len()? != 0).then_some(context))
}

/// Whether a handler's answer is to be awaited.
#[inline]
pub(super) fn is_awaitable(value: &Bound<'_, PyAny>) -> bool {
    if value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyString>()
    {
        return false;
    }
    value.get_type().hasattr(intern!(value.py(), "__await__")).unwrap_or(false)
}

/// The exception itself, with its traceback on it.
pub(super) fn value_of<'py>(py: Python<'py>, error: &PyErr) -> Bound<'py, PyAny> {
    let value = error.value(py).clone().into_any();
    if let Some(traceback) = error.traceback(py) {
        // Only what is no exception at all refuses it.
        let _ = value.setattr(intern!(py, "__traceback__"), traceback);
    }
    value
}

/// An exception in words: `Class: message`, and its traceback.
pub(super) fn describe(py: Python<'_>, error: &PyErr) -> CrashInfo {
    let told = py
        .import("iris._support")
        .and_then(|m| m.call_method1("describe", (value_of(py, error),)))
        .and_then(|pair| pair.extract::<(String, String)>());
    match told {
        Ok((message, stack)) => CrashInfo { message, stack: Some(stack) },
        Err(_) => {
            let class = error.get_type(py).name().map_or_else(|_| "?".into(), |n| n.to_string());
            CrashInfo { message: class, stack: None }
        }
    }
}
