//! Arguments, strictly typed: a wrong type is `InvalidType` (a `TypeError`), a wrong value `InvalidArgument`.

use super::errors::{OrRaise, fail, wrong_type};
use crate::config::MAX_DELAY_MS;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::runtime::delay_from_ms;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use std::time::Duration;

/// An int, `None` when it does not fit; bools and floats are none.
fn int(obj: &Bound<'_, PyAny>, wanted: &str) -> PyResult<Option<i64>> {
    if !obj.is_exact_instance_of::<PyInt>()
        && (obj.is_instance_of::<PyBool>() || obj.is_instance_of::<PyFloat>())
    {
        return Err(wrong_type(obj, wanted));
    }
    match obj.extract::<i64>() {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.is_instance_of::<PyOverflowError>(obj.py()) => Ok(None),
        Err(_) => Err(wrong_type(obj, wanted)),
    }
}

/// A real number; bools and strings are none.
fn number(obj: &Bound<'_, PyAny>, wanted: &str) -> PyResult<f64> {
    if obj.is_instance_of::<PyBool>() || obj.is_instance_of::<PyString>() {
        return Err(wrong_type(obj, wanted));
    }
    match obj.extract::<f64>() {
        Ok(n) => Ok(n),
        Err(e) if e.is_instance_of::<PyOverflowError>(obj.py()) => Ok(f64::INFINITY),
        Err(_) => Err(wrong_type(obj, wanted)),
    }
}

/// A pid; `None`: an int that is no pid.
#[derive(Clone, Copy)]
pub(super) struct PidArg(pub(super) Option<Pid>);

impl PidArg {
    /// The pid, for calls that need one.
    ///
    /// # Errors
    /// `NoSuchActor` if it is none of a pid's numbers.
    pub(super) fn known(self, py: Python<'_>) -> PyResult<Pid> {
        self.0.ok_or_else(|| {
            fail(py, ErrorKind::NoSuchActor, "this number is not a pid; pids come from spawn")
        })
    }
}

impl<'py> FromPyObject<'_, 'py> for PidArg {
    type Error = PyErr;
    #[inline]
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a pid must be an int")?;
        Ok(Self(n.and_then(|n| u64::try_from(n).ok()).and_then(Pid::from_bits)))
    }
}

/// A time span in seconds: finite, not negative, at most 2^53 ms.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) Duration);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds = number(&obj, "a timeout must be a number of seconds")?;
        if !(0.0..=MAX_DELAY_MS / 1e3).contains(&seconds) {
            return Err(fail(
                obj.py(),
                ErrorKind::InvalidArgument,
                format!("a timeout must be 0 to 2^53 ms in seconds, got {seconds}"),
            ));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// A time slice in milliseconds: finite, above 0, at most 2^53.
#[derive(Clone, Copy)]
pub(super) struct Slice(pub(super) Duration);

impl<'py> FromPyObject<'_, 'py> for Slice {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let ms = number(&obj, "a time slice must be a number of milliseconds")?;
        if !(ms > 0.0 && ms <= MAX_DELAY_MS) {
            return Err(fail(
                obj.py(),
                ErrorKind::InvalidArgument,
                format!("time_slice_ms must be above 0 and at most 2^53, got {ms}"),
            ));
        }
        Ok(Self(Duration::from_secs_f64(ms / 1e3)))
    }
}

/// A delay in milliseconds: 0 to 2^53.
#[derive(Clone, Copy)]
pub(super) struct Delay(pub(super) Duration);

impl<'py> FromPyObject<'_, 'py> for Delay {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let ms = number(&obj, "a delay must be a number of milliseconds")?;
        delay_from_ms(ms).or_raise(obj.py()).map(Self)
    }
}

/// A timer's id; `None`: an int that is none.
#[derive(Clone, Copy)]
pub(super) struct Timer(pub(super) Option<u64>);

impl<'py> FromPyObject<'_, 'py> for Timer {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a timer id must be an int")?;
        Ok(Self(n.and_then(|n| u64::try_from(n).ok()).filter(|n| *n < 1 << 53)))
    }
}

/// Nanoseconds, as many as fit.
pub(super) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A buffer's id; 0: an int that is none.
#[derive(Clone, Copy)]
pub(super) struct BufferId(pub(super) u64);

impl<'py> FromPyObject<'_, 'py> for BufferId {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a buffer id must be an int")?;
        Ok(Self(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)))
    }
}

/// A size in bytes: 0 to 2^53.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) usize);

impl<'py> FromPyObject<'_, 'py> for Size {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a size must be an int")?;
        let n = n.filter(|n| (0..=1 << 53).contains(n)).and_then(|n| usize::try_from(n).ok());
        n.map(Self).ok_or_else(|| {
            fail(obj.py(), ErrorKind::InvalidArgument, "a size must be 0 to 2^53 bytes")
        })
    }
}

/// A number of messages, actors or threads; the core checks the range.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a count must be an int")?;
        n.and_then(|n| u32::try_from(n).ok()).map(Self).ok_or_else(|| {
            fail(obj.py(), ErrorKind::InvalidArgument, "a count must be 1 to 2^32 - 1")
        })
    }
}

/// A bound of load shedding: 1 to 2^53.
#[derive(Clone, Copy)]
pub(super) struct Capacity(pub(super) u64);

impl<'py> FromPyObject<'_, 'py> for Capacity {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let n = int(&obj, "a capacity must be an int or None")?;
        let n = n.and_then(|n| u64::try_from(n).ok()).filter(|n| (1..=1 << 53).contains(n));
        n.map(Self).ok_or_else(|| {
            fail(obj.py(), ErrorKind::InvalidArgument, "a capacity must be 1 to 2^53")
        })
    }
}

/// A name.
pub(super) struct Name(pub(super) String);

impl<'py> FromPyObject<'_, 'py> for Name {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let text = obj.cast::<PyString>().map_err(|_| wrong_type(&obj, "a name must be a str"))?;
        text.extract::<String>().map(Self).map_err(|_| {
            fail(obj.py(), ErrorKind::InvalidArgument, "a name must be encodable as UTF-8")
        })
    }
}

/// A yes or no.
#[derive(Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'py> FromPyObject<'_, 'py> for Flag {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        obj.cast::<PyBool>()
            .map(|b| Self(b.is_true()))
            .map_err(|_| wrong_type(&obj, "this argument must be a bool"))
    }
}

/// Where a name is known.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// On this node.
    Local,
    /// On every node of the cluster.
    #[cfg(feature = "mesh")]
    Cluster,
}

impl<'py> FromPyObject<'_, 'py> for Scope {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let word: String =
            obj.extract().map_err(|_| super::errors::wrong_type(&obj, "scope must be a str"))?;
        match word.as_str() {
            "local" => Ok(Self::Local),
            #[cfg(feature = "mesh")]
            "cluster" => Ok(Self::Cluster),
            other => {
                let message = format!("scope must be 'local' or 'cluster', got {other:?}");
                Err(super::errors::fail(
                    obj.py(),
                    crate::error::ErrorKind::InvalidArgument,
                    message,
                ))
            }
        }
    }
}
