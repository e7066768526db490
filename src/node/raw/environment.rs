//! The end of an environment: what a face must do before its main thread or Worker goes.
#![allow(unsafe_code, reason = "the Node-API is a C API; see the doc of `raw`")]

use crate::node::face::Face;
use napi::{Env, sys};
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

/// Calls [`Face::environment_closes`] when the environment (main thread or Worker) ends, unless the face is gone by then.
pub(in crate::node) fn watch_environment(env: &Env, face: &Rc<Face>) {
    let data = Rc::into_raw(Rc::clone(face)).cast_mut();
    face.watch.set(data.cast());
    // SAFETY: the hook owns one count of `face` until it runs, or until `unwatch_environment` takes it back.
    unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(environment_ends), data.cast()) };
    face.env.set(env.raw());
}

/// Takes the hook back: the face needs no more cleaning.
pub(in crate::node) fn unwatch_environment(face: &Face) {
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
pub(in crate::node) type EnvSlot = Cell<sys::napi_env>;
/// What the hooks above keep in a face.
pub(in crate::node) type WatchSlot = Cell<*mut c_void>;
