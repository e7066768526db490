//! Arguments as kinds and bits, results as Python objects.

use super::buffer::{Loan, lend};
use crate::runtime::offload::Frame;
use crate::runtime::offload::front::python::Kind;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyMemoryView, PyTuple};

/// A number: its kind and its bits.
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub(super) kind: Kind,
    pub(super) bits: u64,
}

/// Exactly a float, an int within i64, or a bool.
pub(super) fn number(obj: &Bound<'_, PyAny>) -> Option<Number> {
    if let Ok(float) = obj.cast_exact::<PyFloat>() {
        return Some(Number { kind: Kind::Float { numpy: false }, bits: float.value().to_bits() });
    }
    if let Ok(int) = obj.cast_exact::<PyInt>() {
        let value = int.extract::<i64>().ok()?;
        return Some(Number { kind: Kind::Int { natural: false }, bits: value.cast_unsigned() });
    }
    let bool = obj.cast_exact::<PyBool>().ok()?;
    Some(Number { kind: Kind::Bool, bits: bool.is_true().into() })
}

/// The bits of an object that must be of `kind`.
#[inline]
pub(super) fn bits(obj: &Bound<'_, PyAny>, kind: &Kind) -> Option<u64> {
    match kind {
        Kind::Float { numpy: false } => {
            obj.cast_exact::<PyFloat>().ok().map(|f| f.value().to_bits())
        }
        Kind::Int { .. } => {
            let int = obj.cast_exact::<PyInt>().ok()?;
            int.extract::<i64>().ok().map(i64::cast_unsigned)
        }
        Kind::Bool => obj.cast_exact::<PyBool>().ok().map(|b| b.is_true().into()),
        _ => None,
    }
}

/// Which class of container a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Array,
    MemoryView,
    Numpy,
}

/// An argument of a call.
pub(super) enum Argument {
    Number(Number),
    Buffer { container: Container, lent: Loan },
}

impl Argument {
    /// `None`: not for native code.
    pub(super) fn of(obj: &Bound<'_, PyAny>, _array: bool) -> PyResult<Option<Self>> {
        if let Some(number) = number(obj) {
            return Ok(Some(Self::Number(number)));
        }
        let Some(container) = container(obj)? else { return Ok(None) };
        Ok(lend(obj).map(|lent| Self::Buffer { container, lent }))
    }

    pub(super) fn is_buffer(&self) -> bool {
        matches!(self, Self::Buffer { .. })
    }

    /// The kind, buffers numbered; `None` for a buffer that is no plain row of elements.
    pub(super) fn kind(&self, buffers: &mut u32) -> Option<Kind> {
        match self {
            Self::Number(number) => Some(number.kind.clone()),
            Self::Buffer { container, lent } => {
                if lent.dimensions != 1 {
                    return None;
                }
                let number = *buffers;
                *buffers += 1;
                let numpy = *container == Container::Numpy;
                Some(Kind::Buffer { number, elem: lent.buffer.elem(), numpy })
            }
        }
    }
}

/// The container that `obj` is, if it is one of the three exactly.
pub(super) fn container(obj: &Bound<'_, PyAny>) -> PyResult<Option<Container>> {
    if obj.cast_exact::<PyMemoryView>().is_ok() {
        return Ok(Some(Container::MemoryView));
    }
    let class = obj.get_type();
    let name = class.name()?;
    let module = class.module()?;
    Ok(match (module.to_str()?, name.to_str()?) {
        ("array", "array") => Some(Container::Array),
        ("numpy", "ndarray") => Some(Container::Numpy),
        _ => None,
    })
}

/// What a call returned.
#[inline]
pub(super) fn result<'py>(
    py: Python<'py>,
    kind: &Kind,
    frame: &Frame,
) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        Kind::Float { numpy: false } => {
            Ok(PyFloat::new(py, f64::from_bits(frame.values[0])).into_any())
        }
        Kind::Int { .. } => frame.values[0].cast_signed().into_bound_py_any(py),
        Kind::Bool => Ok(PyBool::new(py, frame.values[0] != 0).to_owned().into_any()),
        _ => nested(py, kind, frame, &mut 0),
    }
}

fn nested<'py>(
    py: Python<'py>,
    kind: &Kind,
    frame: &Frame,
    at: &mut usize,
) -> PyResult<Bound<'py, PyAny>> {
    let mut take = || {
        *at += 1;
        frame.values[*at - 1]
    };
    match kind {
        Kind::Float { numpy: false } => Ok(PyFloat::new(py, f64::from_bits(take())).into_any()),
        Kind::Float { numpy: true } => {
            let class = py.import("numpy")?.getattr("float64")?;
            class.call1((f64::from_bits(take()),))
        }
        Kind::Int { .. } => take().cast_signed().into_bound_py_any(py),
        Kind::Bool => Ok(PyBool::new(py, take() != 0).to_owned().into_any()),
        Kind::Tuple(kinds) => {
            let items: Vec<_> =
                kinds.iter().map(|k| nested(py, k, frame, at)).collect::<PyResult<_>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Kind::List => {
            let list = &frame.lists[take() as usize];
            let items: Vec<_> = list
                .bits
                .iter()
                .zip(&list.tags)
                .map(|(bits, tag)| match tag {
                    1 => Ok(PyFloat::new(py, f64::from_bits(*bits)).into_any()),
                    2 => Ok(PyBool::new(py, *bits != 0).to_owned().into_any()),
                    _ => bits.cast_signed().into_bound_py_any(py),
                })
                .collect::<PyResult<_>>()?;
            Ok(PyList::new(py, items)?.into_any())
        }
        _ => Ok(py.None().into_bound(py)),
    }
}
