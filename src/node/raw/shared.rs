//! Values that outlive a call: references, and memory that JS allocated and both sides use.
#![allow(unsafe_code, reason = "the Node-API is a C API; see the doc of `raw`")]

use super::check;
use crate::sync::Mutex;
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Status, sys};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// A strong reference to a JS value. It lives and dies on its environment's thread: what holds it is not `Send`.
pub(in crate::node) struct Reference(Cell<sys::napi_ref>, sys::napi_env);

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: the reference was made in this environment and is deleted once, on its thread: in a finalizer, a cleanup
        // hook or a running call, in all of which the environment is still there.
        unsafe { sys::napi_delete_reference(self.1, self.0.get()) };
    }
}

impl Reference {
    /// The reference itself, for the C API.
    pub(super) fn raw(&self) -> sys::napi_ref {
        self.0.get()
    }

    fn new(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let mut r = null_mut();
        // SAFETY: `value` is alive in the running call.
        check(unsafe { sys::napi_create_reference(env, value, 1, &mut r) })?;
        Ok(Self(Cell::new(r), env))
    }

    /// A reference to any JS value.
    pub(in crate::node) fn of<T: ToNapiValue>(env: &Env, value: T) -> napi::Result<Self> {
        // SAFETY: converts a value of the running call in its own environment.
        let v = unsafe { T::to_napi_value(env.raw(), value)? };
        Self::new(env.raw(), v)
    }
}

/// Memory that JS allocated, pinned by a reference and never transferred (lib/border.js marks it), used by both sides on
/// the one thread of the environment.
pub(in crate::node) struct Shared {
    data: *mut u8,
    len: usize,
    _keep: Reference,
}

impl Shared {
    /// The memory of a typed array; `None` if `value` is none.
    pub(in crate::node) fn of(env: &Env, value: Object<'_>) -> napi::Result<Self> {
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: converts a value of the running call; Node fails the query if it is no typed array.
        let raw = unsafe { Object::to_napi_value(env.raw(), value)? };
        // SAFETY: as above, out pointers are live locals.
        check(unsafe {
            sys::napi_get_typedarray_info(
                env.raw(),
                raw,
                &mut kind,
                &mut len,
                &mut data,
                null_mut(),
                null_mut(),
            )
        })?;
        let width = match kind {
            sys::TypedarrayType::uint8_array => 1,
            sys::TypedarrayType::int32_array | sys::TypedarrayType::uint32_array => 4,
            sys::TypedarrayType::float64_array => 8,
            _ => return Err(napi::Error::new(Status::InvalidArg, "not a shared array of iris")),
        };
        Ok(Self { data: data.cast(), len: len * width, _keep: Reference::new(env.raw(), raw)? })
    }

    /// Element `i` of an `Int32Array`; 0 outside.
    #[inline]
    pub(in crate::node) fn i32(&self, i: usize) -> i32 {
        if (i + 1) * 4 > self.len {
            return 0;
        }
        // SAFETY: inside by the check; a typed array's memory is aligned to its elements.
        unsafe { self.data.cast::<i32>().add(i).read() }
    }

    /// Sets element `i` of an `Int32Array`; outside: nothing.
    #[inline]
    pub(in crate::node) fn set_i32(&self, i: usize, x: i32) {
        if (i + 1) * 4 <= self.len {
            // SAFETY: as in `i32`.
            unsafe { self.data.cast::<i32>().add(i).write(x) }
        }
    }

    /// Bytes `from` to `to`, cut at the end of the memory.
    #[inline]
    pub(in crate::node) fn range(&self, from: usize, to: usize) -> &[u8] {
        let to = to.min(self.len);
        let from = from.min(to);
        // SAFETY: inside by the two lines above; `data` has `len` bytes for as long as the reference lives, and no JS runs
        // while the slice does.
        unsafe { std::slice::from_raw_parts(self.data.add(from), to - from) }
    }

    /// All bytes, to be written. `&mut`: one writer at a time, and no JS runs meanwhile.
    #[inline]
    pub(in crate::node) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `range`; lib/drain.js reads only what was written before.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }

    /// Element `i` of a `Float64Array`; 0 outside.
    #[inline]
    pub(in crate::node) fn f64(&self, i: usize) -> f64 {
        if (i + 1) * 8 > self.len {
            return 0.0;
        }
        // SAFETY: inside by the check, aligned to its elements.
        unsafe { self.data.cast::<f64>().add(i).read() }
    }

    /// Sets element `i` of a `Float64Array`; outside: nothing.
    #[inline]
    pub(in crate::node) fn set_f64(&self, i: usize, x: f64) {
        if (i + 1) * 8 <= self.len {
            // SAFETY: inside by the check, aligned to its elements.
            unsafe { self.data.cast::<f64>().add(i).write(x) }
        }
    }

    /// Sets six neighbouring elements of an `Int32Array`: one message's record.
    #[inline]
    pub(in crate::node) fn set_record(&self, i: usize, record: [i32; 6]) {
        if (i + 6) * 4 <= self.len {
            // SAFETY: inside by the check, aligned to its elements.
            unsafe { self.data.cast::<[i32; 6]>().byte_add(i * 4).write(record) }
        }
    }
}

/// Words of memory that JS shares (a `SharedArrayBuffer`'s) and that any thread may set.
pub(in crate::node) struct Flags {
    words: Mutex<Option<NonNull<AtomicI32>>>,
    len: usize,
}

// SAFETY: the words are shared memory, written atomically, and only while the lock says that they are still there.
unsafe impl Send for Flags {}
// SAFETY: as above.
unsafe impl Sync for Flags {}

impl Flags {
    /// Sets word `i` to 1, unless the memory has been given up.
    pub(in crate::node) fn raise(&self, i: usize) {
        let words = self.words.lock();
        if let Some(words) = *words
            && i < self.len
        {
            // SAFETY: inside by the check; `FlagMemory` keeps the memory until it has taken the pointer away, which waits
            // for the lock that is held here.
            unsafe { words.add(i).as_ref() }.store(1, Ordering::Relaxed);
        }
    }
}

/// Keeps the memory of [`Flags`] for as long as anybody may set them. Belongs to the environment's thread.
pub(in crate::node) struct FlagMemory {
    flags: Arc<Flags>,
    _memory: Shared,
}

impl FlagMemory {
    /// The flags in an `Int32Array` on a `SharedArrayBuffer`.
    pub(in crate::node) fn of(env: &Env, value: Object<'_>) -> napi::Result<Self> {
        let memory = Shared::of(env, value)?;
        let words = Mutex::new(NonNull::new(memory.data.cast::<AtomicI32>()));
        Ok(Self { flags: Arc::new(Flags { words, len: memory.len / 4 }), _memory: memory })
    }

    pub(in crate::node) fn flags(&self) -> Arc<Flags> {
        Arc::clone(&self.flags)
    }

    /// Nobody sets them from now on.
    pub(in crate::node) fn give_up(&self) {
        *self.flags.words.lock() = None;
    }
}

impl Drop for FlagMemory {
    fn drop(&mut self) {
        self.give_up();
    }
}
