//! [`Error`] as an exception: the class is the kind's name in `iris.errors`.

use crate::error::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The exception for an error of the core.
pub(super) fn to_py(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|e| e)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class =
        py.import("iris.errors")?.getattr(PyString::new(py, &format!("{:?}", error.kind())))?;
    let value = class.call1((error.message(),))?;
    if let Some(stack) = error.stack() {
        value.call_method1("add_note", (stack,))?;
    }
    Ok(PyErr::from_value(value))
}

/// An exception of `kind`.
#[cold]
pub(super) fn fail(py: Python<'_>, kind: ErrorKind, message: impl Into<String>) -> PyErr {
    to_py(py, &Error::new(kind, message.into()))
}

/// `InvalidType`: what was wanted, and the class of what came instead.
#[cold]
pub(super) fn wrong_type(obj: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let class = obj.get_type();
    let class = class.name().map_or_else(|_| "?".into(), |n| n.to_string());
    fail(obj.py(), ErrorKind::InvalidType, format!("{wanted}, not {class}"))
}

/// The core's results as Python's.
pub(super) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| to_py(py, &e))
    }
}
