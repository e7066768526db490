//! `Runtime(tracing=True)`: `iris.telemetry` puts the sender's OpenTelemetry context around handlers.

use super::codec::Codec;
use pyo3::prelude::*;

/// A handler that runs in the context of who sends, and the codec that carries it.
pub(super) type Traced<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Whether OpenTelemetry is there.
///
/// # Errors
/// `InvalidArgument` if it is not.
pub(super) fn check(py: Python<'_>) -> PyResult<()> {
    py.import("iris.telemetry")?.call_method0("check_installed").map(drop)
}

/// What is spawned instead of a handler with a codec.
///
/// # Errors
/// As `iris.telemetry.spawn`.
pub(super) fn traced<'py>(
    handler: &Bound<'py, PyAny>,
    codec: Option<&Bound<'py, PyAny>>,
) -> PyResult<Traced<'py>> {
    handler.py().import("iris.telemetry")?.call_method1("traced", (handler, codec))?.extract()
}

/// A new handler of an actor with this codec.
///
/// # Errors
/// As `iris.telemetry.spawn`.
pub(super) fn swapped<'py>(
    handler: &Bound<'py, PyAny>,
    codec: Option<&Codec>,
) -> PyResult<Bound<'py, PyAny>> {
    if !codec.is_some_and(Codec::is_traced) {
        return Ok(handler.clone());
    }
    handler.py().import("iris.telemetry")?.call_method1("wrap", (handler,))
}
