//! The entries on the raw C API: what the napi-rs macros cost per call (100 to 200 ns) is more than a whole message may.
//!
//! This folder and lent.rs hold all `unsafe` of the Node face. It gives the rest of the face three safe things:
//! - [`bind`]: JS functions that call an [`Entry`] with a [`Face`], free the face with the last of them, never unwind
//!   into V8, and throw iris errors with their `code`;
//! - [`Cx`]: the arguments of one call, and makers of JS values;
//! - [`Shared`]: memory that JS allocated and both sides use, so that a batch crosses the border without a handle a
//!   message; [`shared::Flags`] are words of it that other threads set.
//!
//! Beside them: the end of an environment (environment.rs), and typed arrays lent to kernels (arrays.rs).
#![allow(unsafe_code, reason = "the Node-API is a C API; see the module doc")]

#[cfg(feature = "jit")]
mod arrays;
mod environment;
mod shared;

#[cfg(feature = "jit")]
pub(super) use arrays::{Lease, with_arrays};
pub(super) use environment::{EnvSlot, WatchSlot, unwatch_environment, watch_environment};
pub(super) use shared::{FlagMemory, Reference, Shared};

use super::face::Face;
use crate::error::{Error, ErrorKind};
use napi::bindgen_prelude::{FromNapiValue, Object};
use napi::{Env, Status, sys};
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::rc::Rc;

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
            sys::napi_get_reference_value(self.env, face.make_error.raw(), &mut maker);
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
