//! Bytes-like objects as payloads, memory that becomes a message without a copy, and all unsafe of this face.
//!
//! The memory of [`Storage`] is that of a future `bytes` object. Until it is sent nobody else has that object, and the memory
//! may be written to through views. [`Storage::hand_over`] shares the object only when no view is left, and from then on
//! the storage exports nothing: so nobody ever sees the `bytes` change.

#![allow(
    unsafe_code,
    reason = "reads the memory that a buffer exports; each block says why it may"
)]

use super::errors::wrong_type;
use crate::message::{ForeignBytes, Payload};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::any::Any;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// A payload as `bytes`: the object itself where one was lent, else a copy.
#[inline]
pub(super) fn bytes(py: Python<'_>, payload: Payload) -> Bound<'_, PyBytes> {
    match payload.into_foreign() {
        Err(own) => PyBytes::new(py, &own),
        Ok(foreign) => match foreign.downcast::<Lent>() {
            Ok(lent) => lent.object.into_bound(py),
            Err(_) => PyBytes::new(py, &[]), // this face lends nothing else
        },
    }
}

/// A `bytes` object on its way: it goes to the handler as it is.
struct Lent {
    object: Py<PyBytes>,
    /// Where its bytes are: asking for that would need the GIL.
    address: usize,
    length: usize,
}

impl ForeignBytes for Lent {
    fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: `address` and `length` are those of the `bytes` object that `self.object` keeps alive as long as the borrow
        // of `self` lasts; such an object never moves, and since it was handed over nobody writes to it.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.length) }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// From this size on, in bytes, `bytes(size)` makes the memory of a [`Storage`].
const LARGE: usize = 4096;

/// How large a block the allocator is shown, in bytes; glibc learns from blocks up to 32 MiB.
const SHOWN: usize = 16 << 20;

/// Has glibc keep the memory of messages that are freed, for the next ones. It learns from the blocks that a program frees: what
/// is smaller than the largest so far comes from its heap, and the heap is not given back to the system until twice as much of
/// it is free. So one large block, whose pages are never touched, is freed first. Other allocators do not mind.
fn keep_freed_memory(py: Python<'_>) -> PyResult<()> {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        drop(py.get_type::<PyBytes>().call1((SHOWN,))?);
    }
    Ok(())
}

/// Memory to be filled and sent; see the module doc.
#[pyclass(name = "Buffer", module = "iris", frozen)]
pub(super) struct Storage {
    object: Py<PyBytes>,
    /// The memory is another's too.
    sent: AtomicBool,
    /// Views that are alive.
    views: AtomicUsize,
}

impl Storage {
    /// Zeroed memory.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(super) fn new(py: Python<'_>, size: usize) -> PyResult<Self> {
        // A large one has its zeros from the system, which touches no page. Short ones may be objects that the interpreter
        // keeps and shares; `new_with` makes a new one, if it has any bytes.
        let object = if size < LARGE {
            PyBytes::new_with(py, size, |_| Ok(()))?
        } else {
            keep_freed_memory(py)?;
            py.get_type::<PyBytes>().call1((size,))?.cast_into::<PyBytes>()?
        };
        let object = object.unbind();
        Ok(Self { object, sent: AtomicBool::new(false), views: AtomicUsize::new(0) })
    }

    /// Releases `view` and makes a message of the memory: a copy while other views are alive, else the memory itself, which
    /// then exports nothing any more, unless it is [taken back](Self::take_back). It runs no Python code while there is a
    /// [`GcPause`], so it may be called under a lock; what is to be dropped without one goes to `noise`.
    pub(super) fn hand_over(
        &self,
        py: Python<'_>,
        view: &Py<PyAny>,
        release: &Bound<'_, PyString>,
        noise: &mut Option<PyErr>,
    ) -> Payload {
        // It fails while somebody else has the view (numpy, ctypes).
        *noise = view.call_method0(py, release).err();
        // The GIL is held from here to the end: no view comes or goes.
        let alone = self.views.load(Ordering::Acquire) == 0;
        let bytes = self.object.bind(py).as_bytes();
        if !alone {
            return bytes.into();
        }
        self.sent.store(true, Ordering::Release);
        let object = self.object.clone_ref(py);
        let (address, length) = (bytes.as_ptr() as usize, bytes.len());
        Payload::foreign(Box::new(Lent { object, address, length }))
    }

    pub(super) fn length(&self, py: Python<'_>) -> usize {
        self.object.bind(py).as_bytes().len()
    }

    /// No mailbox took the message, and it is gone: the memory is nobody else's.
    pub(super) fn take_back(&self) {
        self.sent.store(false, Ordering::Release);
    }
}

/// A storage that waits to be sent, for the core to keep.
pub(super) struct Waiting {
    pub(super) storage: Py<Storage>,
    pub(super) view: Py<PyAny>,
}

impl ForeignBytes for Waiting {
    /// Not to be read before it is sent.
    fn bytes(&self) -> &[u8] {
        &[]
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

#[pymethods]
impl Storage {
    /// A view that writes.
    ///
    /// # Safety
    /// Called by the interpreter alone, with a place for the view.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let py = slf.py();
        if slf.get().sent.load(Ordering::Acquire) {
            return Err(PyBufferError::new_err("this buffer was sent: it is the receiver's now"));
        }
        let bytes = slf.get().object.bind(py).as_bytes();
        let (at, length) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: `view` is a place for a view, says the interpreter; the memory is `length` bytes at `at` in a `bytes` object
        // that `slf`, which the filled view keeps alive, does not give away while a view is alive. Nobody else has that object,
        // so writing to it changes no value that anybody has seen, and its hash has not been asked for.
        if unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), at, length, 0, flags) } != 0 {
            return Err(PyErr::fetch(py));
        }
        slf.get().views.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// A view ends.
    ///
    /// # Safety
    /// Called by the interpreter alone, once for each view.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.views.fetch_sub(1, Ordering::AcqRel);
    }
}

/// While it lives no garbage is collected: before Python 3.12 any allocation of a container may collect, which runs
/// finalizers, and they may be anybody's Python code.
pub(super) struct GcPause<'py> {
    was_enabled: bool,
    _py: Python<'py>,
}

impl<'py> GcPause<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        // SAFETY: the thread is attached (`py`), which is all that it asks for.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled, _py: py }
    }
}

impl Drop for GcPause<'_> {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: as in `new`; `_py` says that the thread is attached still.
            unsafe { ffi::PyGC_Enable() };
        }
    }
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

#[cfg(feature = "jit")]
pub(super) use lending::{Loan, lend};

#[cfg(feature = "jit")]
mod lending {
    use crate::runtime::offload::Buffer;
    use crate::runtime::offload::ir::Elem;
    use pyo3::buffer::{ElementType, PyUntypedBuffer};
    use pyo3::prelude::*;

    /// A buffer that an object lends for as long as this lives: it cannot be resized meanwhile.
    pub(in crate::python) struct Loan {
        _export: PyUntypedBuffer,
        pub(in crate::python) buffer: Buffer,
        pub(in crate::python) dimensions: usize,
        bytes: usize,
        writable: bool,
    }

    /// Lends a contiguous buffer of elements that offload knows, in the machine's byte order.
    pub(in crate::python) fn lend(obj: &Bound<'_, PyAny>) -> Option<Loan> {
        let export = PyUntypedBuffer::get(obj).ok()?;
        // PyO3 reads `>d` and `c` as numbers of ours: the one is in the other byte order, the other gives `bytes`.
        let own = matches!(export.format().to_bytes(), [kind] | [b'@', kind] if *kind != b'c');
        if !own || !export.is_c_contiguous() {
            return None;
        }
        let elem = match (ElementType::from_format(export.format()), export.item_size()) {
            (ElementType::Float { bytes: 8 }, 8) => Elem::F64,
            (ElementType::Float { bytes: 4 }, 4) => Elem::F32,
            (ElementType::SignedInteger { bytes: 8 }, 8) => Elem::I64,
            (ElementType::SignedInteger { bytes: 4 }, 4) => Elem::I32,
            (ElementType::SignedInteger { bytes: 2 }, 2) => Elem::I16,
            (ElementType::SignedInteger { bytes: 1 }, 1) => Elem::I8,
            (ElementType::UnsignedInteger { bytes: 8 }, 8) => Elem::U64,
            (ElementType::UnsignedInteger { bytes: 4 }, 4) => Elem::U32,
            (ElementType::UnsignedInteger { bytes: 2 }, 2) => Elem::U16,
            (ElementType::UnsignedInteger { bytes: 1 }, 1) => Elem::U8,
            (ElementType::Bool, 1) => Elem::Bool,
            _ => return None,
        };
        let bytes = export.len_bytes();
        let writable = !export.readonly();
        let ptr = export.buf_ptr().cast::<u8>();
        // SAFETY: the export is held by the same struct, so its elements stay allocated where they are; a C-contiguous export
        // is one row of them, and `writable` is what the exporter says. Who uses `buffer` holds the struct.
        let buffer = unsafe { Buffer::new(ptr, bytes / elem.size(), elem, writable) };
        let dimensions = export.dimensions();
        Some(Loan { _export: export, buffer, dimensions, bytes, writable })
    }

    impl Loan {
        /// The extent in each dimension.
        pub(in crate::python) fn shape(&self) -> &[usize] {
            self._export.shape()
        }

        /// The same memory with elements of another type of the same size.
        pub(in crate::python) fn retyped(&self, elem: Elem) -> Buffer {
            if elem.size() != self.buffer.elem().size() {
                return self.buffer;
            }
            // SAFETY: as in `lend`: the same bytes, as many elements of the same size.
            unsafe { Buffer::new(self.buffer.as_ptr(), self.buffer.len(), elem, self.writable) }
        }

        pub(in crate::python) fn writable(&self) -> bool {
            self.writable
        }

        /// A copy of all bytes.
        pub(in crate::python) fn save(&self) -> Vec<u8> {
            let mut copy = vec![0; self.bytes];
            if self.bytes > 0 {
                // SAFETY: `bytes` bytes are lent at this address (see `lend`), and the copy is memory of its own.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        self.buffer.as_ptr(),
                        copy.as_mut_ptr(),
                        self.bytes,
                    );
                }
            }
            copy
        }

        /// Puts a copy back.
        pub(in crate::python) fn restore(&self, copy: &[u8]) {
            if self.writable && copy.len() == self.bytes && self.bytes > 0 {
                // SAFETY: as in `save`, and the exporter lets us write.
                unsafe {
                    std::ptr::copy_nonoverlapping(copy.as_ptr(), self.buffer.as_ptr(), self.bytes);
                }
            }
        }
    }
}
