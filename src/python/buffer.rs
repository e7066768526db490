//! Bytes-like objects as payloads, and all unsafe of this face.

#![allow(
    unsafe_code,
    reason = "reads the memory that a buffer exports; each block says why it may"
)]

use super::errors::wrong_type;
use crate::message::Payload;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
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

/// Calls a handler with `(message)` or `(message, ctx)`.
///
/// Before Python 3.14 a thread that still runs Python code when the interpreter is finalised is ended by `pthread_exit`,
/// which unwinds through the frame of whoever called the code; through Rust frames that aborts the process. Here it hangs
/// the thread instead, as Python 3.14 does by itself (and PyO3 does where it takes the GIL).
#[inline]
pub(super) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
    second: Option<&Bound<'py, PyAny>>,
    third: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    type Variadic = unsafe extern "C" fn(*mut ffi::PyObject, ...) -> *mut ffi::PyObject;
    type Unwinding = unsafe extern "C-unwind" fn(*mut ffi::PyObject, ...) -> *mut ffi::PyObject;
    let py = callable.py();
    // LLVM must not see which function it is: it knows that PyO3 declares this one as never unwinding.
    let plain: Variadic = std::hint::black_box(ffi::PyObject_CallFunctionObjArgs);
    // SAFETY: the two types differ only in whether unwinding out of the call is defined, and it is caught right here.
    let call = unsafe { std::mem::transmute::<Variadic, Unwinding>(plain) };
    let end = std::ptr::null_mut::<ffi::PyObject>();
    let second = second.map_or(end, Bound::as_ptr);
    let third = third.map_or(end, Bound::as_ptr);
    let guard = HangThread;
    // SAFETY: the thread is attached (`py`), the arguments are live objects up to the first null, and a null ends them;
    // the answer is a new reference, or null with an exception set.
    let answer = unsafe {
        let answer = call(callable.as_ptr(), first.as_ptr(), second, third, end);
        Bound::from_owned_ptr_or_err(py, answer)
    };
    std::mem::forget(guard);
    answer
}

/// Hangs the thread when it is dropped, which only unwinding does.
struct HangThread;

impl Drop for HangThread {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Whether this is the main interpreter.
pub(super) fn is_main_interpreter(_py: Python<'_>) -> bool {
    // SAFETY: the thread is attached (`_py`), so it has an interpreter; asking for its number has no other condition.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) == 0 }
}
