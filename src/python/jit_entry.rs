//! How Python enters an offloaded function: by vectorcall, without a tuple and without PyO3's bookkeeping (ADR 0036).
//!
//! PyO3 makes classes whose calls get a tuple and a dict. The class here is a subclass of that one with a pointer more in each
//! object, where the interpreter finds the function below. It answers the common call, scalars of the kinds that the last
//! call had; everything else goes the way that PyO3 made.

#![allow(unsafe_code, reason = "speaks CPython's vectorcall protocol, which PyO3 has no words for")]

use super::jit::JitFunction;
use pyo3::Borrowed;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use std::ffi::{c_int, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

/// The class's ways of PyO3's making, and where its objects have the pointer.
struct Base {
    new: ffi::newfunc,
    call: ffi::ternaryfunc,
    offset: usize,
}

static BASE: OnceLock<Base> = OnceLock::new();

/// `Py_TPFLAGS_HAVE_VECTORCALL`: in the limited API since 3.12, in the interpreter since 3.9.
const HAVE_VECTORCALL: c_ulong = 1 << 11;

/// The class of offloaded functions: [`JitFunction`] with a vectorcall.
pub(super) fn class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let base = py.get_type::<JitFunction>();
    let size: usize = base.getattr("__basicsize__")?.extract()?;
    let offset = size.next_multiple_of(size_of::<usize>());
    let total = c_int::try_from(offset + size_of::<usize>())
        .map_err(|_| PyRuntimeError::new_err("an offloaded function is too large an object"))?;
    // SAFETY: `base` is a heap type, of which slots may be asked for; PyO3 fills both in for a class with `#[new]` and
    // `__call__` (checked for null), and they have the types of their slots.
    let slots = unsafe {
        let slot = |id| ffi::PyType_GetSlot(base.as_type_ptr(), id);
        let (new, call) = (slot(ffi::Py_tp_new), slot(ffi::Py_tp_call));
        if new.is_null() || call.is_null() {
            return Err(PyRuntimeError::new_err("the class of offloaded functions has no call"));
        }
        Base {
            new: std::mem::transmute::<*mut c_void, ffi::newfunc>(new),
            call: std::mem::transmute::<*mut c_void, ffi::ternaryfunc>(call),
            offset,
        }
    };
    let call = slots.call as *mut c_void;
    let known = BASE.get_or_init(|| slots);

    let mut members = [
        ffi::PyMemberDef {
            name: c"__vectorcalloffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: known.offset as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        },
        ffi::PyMemberDef::default(),
    ];
    let slot = |slot, pfunc| ffi::PyType_Slot { slot, pfunc };
    let doc =
        c"A function that `iris.offload` made; it answers like the function that it was made from.";
    let mut table = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_call, call),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"iris._iris.JitFunction".as_ptr(),
        basicsize: total,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | HAVE_VECTORCALL) as _,
        slots: table.as_mut_ptr(),
    };
    // SAFETY: the spec and its tables are complete and end in zeros; the interpreter copies what it keeps of them (members
    // and doc; the name is static). The objects are larger than the base's by the pointer that the member names.
    let class = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&mut spec, base.as_ptr()))?
    };
    Ok(class.cast_into::<PyType>()?)
}

/// Makes an object as PyO3 does, and fills its pointer in.
///
/// # Safety
/// Called by the interpreter alone.
unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some(base) = BASE.get() else { return ptr::null_mut() };
    // SAFETY: the arguments are the interpreter's own.
    let made = unsafe { (base.new)(class, args, kwargs) };
    if !made.is_null() {
        let entry: ffi::vectorcallfunc = call;
        // SAFETY: `class` is the class above (it is final), whose objects have room for the pointer at the offset.
        unsafe { made.byte_add(base.offset).cast::<ffi::vectorcallfunc>().write(entry) };
    }
    made
}

/// A call.
///
/// # Safety
/// Called by the interpreter alone: `args` are `nargsf` live objects, then as many as `names` has.
unsafe extern "C" fn call(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    const OFFSET: usize = 1 << (usize::BITS - 1);
    let count = nargsf & !OFFSET;
    if names.is_null() {
        // SAFETY: the interpreter calls with the thread attached, an object of the class, and `count` live arguments.
        let answer = catch_unwind(AssertUnwindSafe(|| unsafe {
            let py = Python::assume_attached();
            let object = Borrowed::from_ptr(py, callable);
            let function = object.cast_unchecked::<JitFunction>();
            let arg = |i: usize| Borrowed::from_ptr(py, *args.add(i));
            function.get().quick(py, count, arg).map(Bound::into_ptr)
        }));
        if let Ok(Some(answer)) = answer {
            return answer;
        }
    }
    // SAFETY: as above; `names` is null or a tuple of strings.
    unsafe { slow(callable, args, count, names) }
}

/// The same call with a tuple and a dict.
///
/// # Safety
/// As [`call`].
unsafe fn slow(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some(base) = BASE.get() else { return ptr::null_mut() };
    // SAFETY: the thread is attached and the objects live, says the caller; each new object is checked, and given back
    // exactly once; a null answer has its exception set by the function that gave it.
    unsafe {
        let tuple = ffi::PyTuple_New(count as ffi::Py_ssize_t);
        if tuple.is_null() {
            return ptr::null_mut();
        }
        for i in 0..count {
            let item = *args.add(i);
            ffi::Py_INCREF(item);
            if ffi::PyTuple_SetItem(tuple, i as ffi::Py_ssize_t, item) != 0 {
                ffi::Py_DECREF(tuple);
                return ptr::null_mut();
            }
        }
        let mut dict = ptr::null_mut();
        if !names.is_null() {
            dict = ffi::PyDict_New();
            let mut ok = !dict.is_null();
            let mut i = 0;
            while ok && i < ffi::PyTuple_Size(names) {
                let name = ffi::PyTuple_GetItem(names, i);
                ok = ffi::PyDict_SetItem(dict, name, *args.add(count + i as usize)) == 0;
                i += 1;
            }
            if !ok {
                ffi::Py_XDECREF(dict);
                ffi::Py_DECREF(tuple);
                return ptr::null_mut();
            }
        }
        let answer = (base.call)(callable, tuple, dict);
        ffi::Py_XDECREF(dict);
        ffi::Py_DECREF(tuple);
        answer
    }
}

#[cfg(not(windows))]
unsafe extern "C" {
    /// Borrowed. Documented and exported by every CPython, though not part of the limited API.
    fn PyFunction_GetCode(function: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// Whether `place`, a function of Python's, still has this code.
#[cfg(not(windows))]
pub(super) fn has_code(place: &Bound<'_, PyAny>, expected: &Py<PyAny>) -> bool {
    // SAFETY: `place` is a live function (who calls this looked at its type); the answer is only compared.
    unsafe { PyFunction_GetCode(place.as_ptr()) == expected.as_ptr() }
}

/// Whether `place`, a function of Python's, still has this code. (The import library of the limited API lacks the function.)
#[cfg(windows)]
pub(super) fn has_code(place: &Bound<'_, PyAny>, expected: &Py<PyAny>) -> bool {
    place.getattr(pyo3::intern!(place.py(), "__code__")).is_ok_and(|code| code.is(expected))
}

/// What a dict has under a name, only to be compared: `None` if nothing.
pub(super) fn in_dict(
    dict: &Bound<'_, PyDict>,
    name: &Py<PyString>,
) -> PyResult<Option<*const c_void>> {
    // SAFETY: both are live; the answer is borrowed, and no more than its address leaves.
    let found = unsafe { ffi::PyDict_GetItemWithError(dict.as_ptr(), name.as_ptr()) };
    if !found.is_null() {
        return Ok(Some(found.cast_const().cast()));
    }
    match PyErr::take(dict.py()) {
        Some(error) => Err(error),
        None => Ok(None),
    }
}
