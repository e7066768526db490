//! Bytes-like objects as payloads, and all unsafe of this face.

#![allow(
    unsafe_code,
    reason = "reads the memory that a buffer exports; each block says why it may"
)]

use super::errors::wrong_type;
use crate::message::Payload;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Copies a C-contiguous bytes-like object.
///
/// # Errors
/// `InvalidType` if it exports no buffer, `BufferError` if the buffer is not C-contiguous.
#[inline]
pub(super) fn payload(obj: &Bound<'_, PyAny>) -> PyResult<Payload> {
    match obj.cast_exact::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().into()),
        Err(_) => exported(obj),
    }
}

fn exported(obj: &Bound<'_, PyAny>) -> PyResult<Payload> {
    let py = obj.py();
    let buffer = PyUntypedBuffer::get(obj).map_err(|e| {
        if e.is_instance_of::<PyBufferError>(py) {
            return e;
        }
        wrong_type(obj, "a message must be bytes-like")
    })?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err(
            "a message must be C-contiguous; copy it first (bytes(view), numpy.ascontiguousarray)",
        ));
    }
    let length = buffer.len_bytes();
    if length == 0 {
        return Ok(Payload::empty());
    }
    // SAFETY: `buffer` holds the export until the end of this function, so its `length` bytes at `buf_ptr` stay allocated,
    // and a C-contiguous export is one block that starts there; exporters hand out initialised memory. The bytes are only
    // copied, under the GIL, so Python code cannot write to them meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), length) };
    Ok(bytes.into())
}
