//! The entries on the raw C API: what the napi-rs macros cost per call (100 to 200 ns) is more than a whole message may.
//!
//! This file and lent.rs hold all `unsafe` of the Node face. It gives the rest of the face three safe things:
//! - [`bind`]: JS functions that call an [`Entry`] with a [`Face`], free the face with the last of them, never unwind
//!   into V8, and throw iris errors with their `code`;
//! - [`Cx`]: the arguments of one call, and makers of JS values;
//! - [`Shared`]: memory that JS allocated and both sides use, so that a batch crosses the border without a handle a
//!   message; [`Flags`] are words of it that other threads set.
#![allow(unsafe_code, reason = "the Node-API is a C API; see the module doc")]

use super::face::Face;
use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;
use napi::bindgen_prelude::{FromNapiValue, Object, ToNapiValue};
use napi::{Env, Status, sys};
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Most arguments that an entry takes.
const MAX_ARGS: usize = 6;

/// A native function of the face.
pub(super) type Entry = fn(&Face, &Cx<'_>) -> Result<Ret, Error>;

/// A JS value, valid until its call returns.
#[derive(Clone, Copy)]
pub(super) struct Js<'a>(sys::napi_value, PhantomData<&'a ()>);

/// What an entry answers.
pub(super) enum Ret {
    Undefined,
    Null,
    I32(i32),
    F64(f64),
    Bool(bool),
}

/// One call from JS: its arguments, and makers of values.
pub(super) struct Cx<'a> {
    pub(super) env: sys::napi_env,
    pub(super) args: [sys::napi_value; MAX_ARGS],
    /// Set by an entry that answers a made value instead of a [`Ret`].
    made: Cell<sys::napi_value>,
    _call: PhantomData<&'a ()>,
}

struct Binding {
    face: Rc<Face>,
    entry: Entry,
    argc: usize,
}

/// Makes an object of native functions over `face`.
pub(super) fn bind(
    env: &Env,
    face: &Rc<Face>,
    entries: &[(&CStr, usize, Entry)],
) -> napi::Result<Object<'static>> {
    let raw = env.raw();
    let mut object = null_mut();
    // SAFETY: `raw` is the environment of the running call; every out pointer is a live local.
    check(unsafe { sys::napi_create_object(raw, &mut object) })?;
    for (name, argc, entry) in entries {
        let data = Box::into_raw(Box::new(Binding {
            face: Rc::clone(face),
            entry: *entry,
            argc: (*argc).min(MAX_ARGS),
        }));
        let mut f = null_mut();
        // SAFETY: `name` is NUL-terminated; `data` stays valid until the finalizer of the very function it is given to.
        unsafe {
            let made = sys::napi_create_function(
                raw,
                name.as_ptr(),
                name.to_bytes().len() as isize,
                Some(trampoline),
                data.cast(),
                &mut f,
            );
            if let Err(e) = check(made) {
                drop(Box::from_raw(data));
                return Err(e);
            }
            check(sys::napi_add_finalizer(
                raw,
                f,
                data.cast(),
                Some(free_binding),
                null_mut(),
                null_mut(),
            ))?;
            check(sys::napi_set_named_property(raw, object, name.as_ptr(), f))?;
        }
    }
    // SAFETY: `object` was made above in this environment and is alive in the running call's handle scope.
    unsafe { Object::from_napi_value(raw, object) }
}

fn check(status: sys::napi_status) -> napi::Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        s => Err(napi::Error::new(s, "a Node-API call failed while iris was set up")),
    }
}

unsafe extern "C" fn free_binding(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `data` came from `Box::into_raw` in `bind`, and a finalizer runs once.
    let binding = unsafe { Box::from_raw(data.cast::<Binding>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(binding)));
}

unsafe extern "C" fn trampoline(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // Filled in place: copying the array right after Node wrote it would stall on the stores.
    let mut cx =
        Cx { env, args: [null_mut(); MAX_ARGS], made: Cell::new(null_mut()), _call: PhantomData };
    let mut data = null_mut();
    // SAFETY: Node gives a valid `env` and `info`; null out pointers ask for nothing.
    unsafe {
        sys::napi_get_cb_info(env, info, null_mut(), null_mut(), null_mut(), &mut data);
    }
    // SAFETY: `data` is the binding of this very function; its finalizer has not run, since the function is being called.
    let binding = unsafe { &*data.cast::<Binding>() };
    if binding.argc != 0 {
        let mut argc = binding.argc;
        // SAFETY: as above; Node fills exactly `argc` arguments, those that are missing with undefined.
        unsafe {
            sys::napi_get_cb_info(
                env,
                info,
                &mut argc,
                cx.args.as_mut_ptr(),
                null_mut(),
                null_mut(),
            );
        }
    }
    match catch_unwind(AssertUnwindSafe(|| (binding.entry)(&binding.face, &cx))) {
        Ok(Ok(ret)) => {
            binding.face.note_armed();
            cx.answer(&ret)
        }
        Ok(Err(e)) => cx.throw(&binding.face, &e),
        Err(panic) => {
            let info = crate::runtime::panic_info(&*panic);
            let e = Error::new(ErrorKind::Internal, format!("iris panicked: {}", info.message));
            cx.throw(&binding.face, &e)
        }
    }
}

impl<'a> Cx<'a> {
    #[inline]
    fn answer(&self, ret: &Ret) -> sys::napi_value {
        let mut v = null_mut();
        // SAFETY: `env` is the running call's; `v` is a live local.
        unsafe {
            match ret {
                Ret::Undefined => return self.made.get(),
                Ret::Null => sys::napi_get_null(self.env, &mut v),
                Ret::I32(n) => sys::napi_create_int32(self.env, *n, &mut v),
                Ret::F64(n) => sys::napi_create_double(self.env, *n, &mut v),
                Ret::Bool(b) => sys::napi_get_boolean(self.env, *b, &mut v),
            };
        }
        v
    }

    #[cold]
    fn throw(&self, face: &Face, e: &Error) -> sys::napi_value {
        let (code, message) = (self.str(e.code()), self.str(e.message()));
        // SAFETY: `env` is the running call's, the reference is deleted only with the face, out pointers are live locals.
        unsafe {
            let (mut maker, mut undefined, mut error) = (null_mut(), null_mut(), null_mut());
            sys::napi_get_undefined(self.env, &mut undefined);
            sys::napi_get_reference_value(self.env, face.make_error.0.get(), &mut maker);
            let args = [code.0, message.0];
            let made =
                sys::napi_call_function(self.env, undefined, maker, 2, args.as_ptr(), &mut error);
            if made == sys::Status::napi_ok {
                sys::napi_throw(self.env, error);
            }
        }
        null_mut()
    }

    /// Argument `i` as a number; `None` if it is none.
    #[inline]
    pub(super) fn f64(&self, i: usize) -> Option<f64> {
        let mut x = 0.0;
        // SAFETY: `args[i]` is a value of the running call.
        let s = unsafe { sys::napi_get_value_double(self.env, self.args[i], &mut x) };
        (s == sys::Status::napi_ok).then_some(x)
    }

    /// Argument `i` as a 32-bit number; 0 if it is none.
    #[inline]
    pub(super) fn u32(&self, i: usize) -> u32 {
        let mut x = 0;
        // SAFETY: `args[i]` is a value of the running call.
        unsafe { sys::napi_get_value_uint32(self.env, self.args[i], &mut x) };
        x
    }

    /// Argument `i` as a boolean; `false` if it is none.
    pub(super) fn bool(&self, i: usize) -> bool {
        let mut x = false;
        // SAFETY: `args[i]` is a value of the running call.
        unsafe { sys::napi_get_value_bool(self.env, self.args[i], &mut x) };
        x
    }

    pub(super) fn bytes_raw(&self, i: usize) -> Option<(*mut u8, usize)> {
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: `args[i]` is a value of the running call; Node fails the call if it is no typed array.
        let s = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.args[i],
                &mut kind,
                &mut len,
                &mut data,
                null_mut(),
                null_mut(),
            )
        };
        (s == sys::Status::napi_ok && kind == sys::TypedarrayType::uint8_array)
            .then_some((data.cast(), if data.is_null() { 0 } else { len }))
    }

    /// The bytes of argument `i`, copied by `f`; `None` if it is no `Uint8Array`. `f` cannot run JS.
    #[inline]
    pub(super) fn with_bytes<R>(&self, i: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (data, len) = self.bytes_raw(i)?;
        if len == 0 {
            return Some(f(&[]));
        }
        // SAFETY: Node says that `len` bytes are there; no JS runs until `f` returns, so nobody detaches them. Another
        // thread may write them if the array is shared memory: lib/bytes.js copies such arrays before they come here.
        Some(f(unsafe { std::slice::from_raw_parts(data, len) }))
    }

    /// Argument `i` as memory that both sides use from now on; `None` if it is no typed array.
    pub(super) fn shared(&self, i: usize) -> Option<Shared> {
        // SAFETY: the environment of the running call, and one of its values.
        let (env, value) = unsafe {
            (Env::from_raw(self.env), Object::from_napi_value(self.env, self.args[i]).ok()?)
        };
        Shared::of(&env, value).ok()
    }

    /// Argument `i` as text; `None` if it is none.
    pub(super) fn string(&self, i: usize) -> Option<String> {
        let mut len = 0;
        // SAFETY: a null buffer asks for the length; then the buffer has room for it and the NUL.
        unsafe {
            if sys::napi_get_value_string_utf8(self.env, self.args[i], null_mut(), 0, &mut len)
                != sys::Status::napi_ok
            {
                return None;
            }
            let mut buf = vec![0u8; len + 1];
            sys::napi_get_value_string_utf8(
                self.env,
                self.args[i],
                buf.as_mut_ptr().cast(),
                buf.len(),
                &mut len,
            );
            buf.truncate(len);
            Some(String::from_utf8_lossy(&buf).into_owned())
        }
    }

    /// A JS number.
    pub(super) fn num(&self, x: f64) -> Js<'a> {
        let mut v = null_mut();
        // SAFETY: `env` is the running call's.
        unsafe { sys::napi_create_double(self.env, x, &mut v) };
        Js(v, PhantomData)
    }

    /// A JS string.
    pub(super) fn str(&self, s: &str) -> Js<'a> {
        let mut v = null_mut();
        // SAFETY: pointer and length are of a live `str`.
        unsafe {
            sys::napi_create_string_utf8(self.env, s.as_ptr().cast(), s.len() as isize, &mut v)
        };
        Js(v, PhantomData)
    }

    /// `undefined`.
    pub(super) fn undefined(&self) -> Js<'a> {
        let mut v = null_mut();
        // SAFETY: `env` is the running call's.
        unsafe { sys::napi_get_undefined(self.env, &mut v) };
        Js(v, PhantomData)
    }

    /// A JS string, or `undefined`.
    pub(super) fn opt_str(&self, s: Option<&str>) -> Js<'a> {
        s.map_or_else(|| self.undefined(), |s| self.str(s))
    }

    /// A JS array.
    pub(super) fn array(&self, items: impl ExactSizeIterator<Item = Js<'a>>) -> Js<'a> {
        let mut v = null_mut();
        // SAFETY: `env` is the running call's; `v` is the array just made.
        unsafe {
            sys::napi_create_array_with_length(self.env, items.len(), &mut v);
            for (i, item) in items.enumerate() {
                sys::napi_set_element(self.env, v, i as u32, item.0);
            }
        }
        Js(v, PhantomData)
    }

    /// A `Buffer` that owns `bytes`: lent without a copy from 64 KiB on where the host allows it, else copied.
    pub(super) fn buffer(&self, bytes: Vec<u8>) -> Js<'a> {
        const LEND: usize = 64 * 1024;
        let (mut v, mut copy) = (null_mut(), null_mut());
        // SAFETY: an external buffer owns `raw` until its finalizer, which alone frees it; if Node refuses (Electron), it is
        // freed here. A copied buffer is V8's own.
        unsafe {
            if bytes.len() >= LEND {
                let len = bytes.len();
                let raw = Box::into_raw(Box::new(bytes));
                let s = sys::napi_create_external_buffer(
                    self.env,
                    len,
                    (*raw).as_mut_ptr().cast(),
                    Some(free_bytes),
                    raw.cast(),
                    &mut v,
                );
                if s == sys::Status::napi_ok {
                    return Js(v, PhantomData);
                }
                let bytes = Box::from_raw(raw);
                sys::napi_create_buffer_copy(
                    self.env,
                    len,
                    bytes.as_ptr().cast(),
                    &mut copy,
                    &mut v,
                );
            } else {
                let data = if bytes.is_empty() { null() } else { bytes.as_ptr() };
                sys::napi_create_buffer_copy(self.env, bytes.len(), data.cast(), &mut copy, &mut v);
            }
        }
        Js(v, PhantomData)
    }

    /// A value that was made in the running call.
    pub(super) fn made(&self, v: sys::napi_value) -> Js<'a> {
        Js(v, PhantomData)
    }

    /// Answers a made value.
    pub(super) fn ret(&self, v: Js<'a>) -> Ret {
        self.made.set(v.0);
        Ret::Undefined
    }
}

unsafe extern "C" fn free_bytes(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: `hint` came from `Box::into_raw` in `Cx::buffer`, and a finalizer runs once.
    drop(unsafe { Box::from_raw(hint.cast::<Vec<u8>>()) });
}

/// A strong reference to a JS value. It lives and dies on its environment's thread: what holds it is not `Send`.
pub(super) struct Reference(Cell<sys::napi_ref>, sys::napi_env);

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: the reference was made in this environment and is deleted once, on its thread: in a finalizer, a cleanup
        // hook or a running call, in all of which the environment is still there.
        unsafe { sys::napi_delete_reference(self.1, self.0.get()) };
    }
}

impl Reference {
    fn new(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let mut r = null_mut();
        // SAFETY: `value` is alive in the running call.
        check(unsafe { sys::napi_create_reference(env, value, 1, &mut r) })?;
        Ok(Self(Cell::new(r), env))
    }

    /// A reference to any JS value.
    pub(super) fn of<T: ToNapiValue>(env: &Env, value: T) -> napi::Result<Self> {
        // SAFETY: converts a value of the running call in its own environment.
        let v = unsafe { T::to_napi_value(env.raw(), value)? };
        Self::new(env.raw(), v)
    }
}

/// Memory that JS allocated, pinned by a reference and never transferred (lib/border.js marks it), used by both sides on
/// the one thread of the environment.
pub(super) struct Shared {
    data: *mut u8,
    len: usize,
    _keep: Reference,
}

impl Shared {
    /// The memory of a typed array; `None` if `value` is none.
    pub(super) fn of(env: &Env, value: Object<'_>) -> napi::Result<Self> {
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
    pub(super) fn i32(&self, i: usize) -> i32 {
        if (i + 1) * 4 > self.len {
            return 0;
        }
        // SAFETY: inside by the check; a typed array's memory is aligned to its elements.
        unsafe { self.data.cast::<i32>().add(i).read() }
    }

    /// Sets element `i` of an `Int32Array`; outside: nothing.
    #[inline]
    pub(super) fn set_i32(&self, i: usize, x: i32) {
        if (i + 1) * 4 <= self.len {
            // SAFETY: as in `i32`.
            unsafe { self.data.cast::<i32>().add(i).write(x) }
        }
    }

    /// Bytes `from` to `to`, cut at the end of the memory.
    #[inline]
    pub(super) fn range(&self, from: usize, to: usize) -> &[u8] {
        let to = to.min(self.len);
        let from = from.min(to);
        // SAFETY: inside by the two lines above; `data` has `len` bytes for as long as the reference lives, and no JS runs
        // while the slice does.
        unsafe { std::slice::from_raw_parts(self.data.add(from), to - from) }
    }

    /// All bytes, to be written. `&mut`: one writer at a time, and no JS runs meanwhile.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `range`; lib/drain.js reads only what was written before.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }

    /// Element `i` of a `Float64Array`; 0 outside.
    #[inline]
    pub(super) fn f64(&self, i: usize) -> f64 {
        if (i + 1) * 8 > self.len {
            return 0.0;
        }
        // SAFETY: inside by the check, aligned to its elements.
        unsafe { self.data.cast::<f64>().add(i).read() }
    }

    /// Sets element `i` of a `Float64Array`; outside: nothing.
    #[inline]
    pub(super) fn set_f64(&self, i: usize, x: f64) {
        if (i + 1) * 8 <= self.len {
            // SAFETY: inside by the check, aligned to its elements.
            unsafe { self.data.cast::<f64>().add(i).write(x) }
        }
    }

    /// Sets six neighbouring elements of an `Int32Array`: one message's record.
    #[inline]
    pub(super) fn set_record(&self, i: usize, record: [i32; 6]) {
        if (i + 6) * 4 <= self.len {
            // SAFETY: inside by the check, aligned to its elements.
            unsafe { self.data.cast::<[i32; 6]>().byte_add(i * 4).write(record) }
        }
    }
}

/// Words of memory that JS shares (a `SharedArrayBuffer`'s) and that any thread may set.
pub(super) struct Flags {
    words: Mutex<Option<NonNull<AtomicI32>>>,
    len: usize,
}

// SAFETY: the words are shared memory, written atomically, and only while the lock says that they are still there.
unsafe impl Send for Flags {}
// SAFETY: as above.
unsafe impl Sync for Flags {}

impl Flags {
    /// Sets word `i` to 1, unless the memory has been given up.
    pub(super) fn raise(&self, i: usize) {
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
pub(super) struct FlagMemory {
    flags: Arc<Flags>,
    _memory: Shared,
}

impl FlagMemory {
    /// The flags in an `Int32Array` on a `SharedArrayBuffer`.
    pub(super) fn of(env: &Env, value: Object<'_>) -> napi::Result<Self> {
        let memory = Shared::of(env, value)?;
        let words = Mutex::new(NonNull::new(memory.data.cast::<AtomicI32>()));
        Ok(Self { flags: Arc::new(Flags { words, len: memory.len / 4 }), _memory: memory })
    }

    pub(super) fn flags(&self) -> Arc<Flags> {
        Arc::clone(&self.flags)
    }

    /// Nobody sets them from now on.
    pub(super) fn give_up(&self) {
        *self.flags.words.lock() = None;
    }
}

impl Drop for FlagMemory {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Calls [`Face::environment_closes`] when the environment (main thread or Worker) ends, unless the face is gone by then.
pub(super) fn watch_environment(env: &Env, face: &Rc<Face>) {
    let data = Rc::into_raw(Rc::clone(face)).cast_mut();
    face.watch.set(data.cast());
    // SAFETY: the hook owns one count of `face` until it runs, or until `unwatch_environment` takes it back.
    unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(environment_ends), data.cast()) };
    face.env.set(env.raw());
}

/// Takes the hook back: the face needs no more cleaning.
pub(super) fn unwatch_environment(face: &Face) {
    let data = face.watch.replace(null_mut());
    if !data.is_null() {
        // SAFETY: the hook was added with these very arguments, has not run (`watch` was set), and this is the
        // environment's thread. The count that the hook owned is given back.
        unsafe {
            sys::napi_remove_env_cleanup_hook(face.env.get(), Some(environment_ends), data);
            Rc::decrement_strong_count(data.cast::<Face>());
        }
    }
}

unsafe extern "C" fn environment_ends(data: *mut c_void) {
    // SAFETY: the hook owns one count, made in `watch_environment`.
    let face = unsafe { Rc::from_raw(data.cast::<Face>()) };
    face.watch.set(null_mut());
    let _ = catch_unwind(AssertUnwindSafe(|| face.environment_closes()));
}

/// What the hooks above keep in a face.
pub(super) type EnvSlot = Cell<sys::napi_env>;
/// What the hooks above keep in a face.
pub(super) type WatchSlot = Cell<*mut c_void>;

/// Typed arrays as a kernel takes them, for as long as `with` runs: no JS can detach or write them meanwhile, for it runs on
/// the environment's thread. (Shared memory may be written by other threads, as between any two threads of JS.)
#[cfg(feature = "jit")]
pub(super) fn with_arrays<R>(
    env: &Env,
    arrays: &[Object<'_>],
    with: impl FnOnce(&[crate::runtime::offload::Buffer]) -> R,
) -> Option<R> {
    let buffers: Option<Vec<_>> = arrays.iter().map(|array| array_memory(env, array)).collect();
    buffers.map(|buffers| with(&buffers))
}

/// Typed arrays that a call off the loop uses. lib/kernel.js gives only such as no JS of the user's reaches while it runs, or
/// shared memory; the references keep the memory, and the environment waits for its runs before it goes (`jit_work.rs`).
#[cfg(feature = "jit")]
pub(super) struct Lease {
    pub(super) buffers: Vec<crate::runtime::offload::Buffer>,
    _keep: Vec<Reference>,
}

// SAFETY: `_keep` is not touched by other threads, and dropped on the environment's with the work that owns the lease.
#[cfg(feature = "jit")]
unsafe impl Send for Lease {}

#[cfg(feature = "jit")]
impl Lease {
    pub(super) fn of(env: &Env, arrays: Vec<Object<'_>>) -> Option<Self> {
        let buffers = arrays.iter().map(|array| array_memory(env, array)).collect::<Option<_>>()?;
        let keep = arrays.into_iter().map(|array| Reference::of(env, array).ok()).collect();
        Option::map(keep, |keep| Self { buffers, _keep: keep })
    }
}

#[cfg(feature = "jit")]
fn array_memory(env: &Env, array: &Object<'_>) -> Option<crate::runtime::offload::Buffer> {
    use crate::runtime::offload::ir::Elem;
    use napi::JsValue;
    let (mut kind, mut len, mut data) = (0, 0, null_mut());
    // SAFETY: a value of the running call; Node fails the query if it is no typed array. Out pointers are live locals.
    let status = unsafe {
        sys::napi_get_typedarray_info(
            env.raw(),
            array.raw(),
            &mut kind,
            &mut len,
            &mut data,
            null_mut(),
            null_mut(),
        )
    };
    let elem = match kind {
        _ if status != sys::Status::napi_ok => return None,
        sys::TypedarrayType::float64_array => Elem::F64,
        sys::TypedarrayType::float32_array => Elem::F32,
        sys::TypedarrayType::int32_array => Elem::I32,
        sys::TypedarrayType::uint32_array => Elem::U32,
        sys::TypedarrayType::int16_array => Elem::I16,
        sys::TypedarrayType::uint16_array => Elem::U16,
        sys::TypedarrayType::int8_array => Elem::I8,
        sys::TypedarrayType::uint8_array | sys::TypedarrayType::uint8_clamped_array => Elem::U8,
        _ => return None,
    };
    let (data, len) = if data.is_null() {
        (NonNull::<u64>::dangling().as_ptr().cast(), 0)
    } else {
        (data.cast(), len)
    };
    // SAFETY: Node says that `len` elements are there; who asks sees to it that they stay (`with_arrays`, `Lease`).
    Some(unsafe { crate::runtime::offload::Buffer::new(data, len, elem, true) })
}
