//! Typed arrays lent to kernels.
#![allow(unsafe_code, reason = "the Node-API is a C API; see the doc of `raw`")]

use super::shared::Reference;
use crate::runtime::offload::Buffer;
use crate::runtime::offload::ir::Elem;
use napi::bindgen_prelude::Object;
use napi::{Env, JsValue, sys};
use std::ptr::{NonNull, null_mut};

/// Typed arrays as a kernel takes them, for as long as `with` runs: no JS can detach or write them meanwhile, for it runs on
/// the environment's thread. (Shared memory may be written by other threads, as between any two threads of JS.)
pub(in crate::node) fn with_arrays<R>(
    env: &Env,
    arrays: &[Object<'_>],
    with: impl FnOnce(&[Buffer]) -> R,
) -> Option<R> {
    let buffers: Option<Vec<_>> = arrays.iter().map(|array| array_memory(env, array)).collect();
    buffers.map(|buffers| with(&buffers))
}

/// Typed arrays that a call off the loop uses. lib/kernel.js gives only such as no JS of the user's reaches while it runs, or
/// shared memory; the references keep the memory, and the environment waits for its runs before it goes (`jit_work.rs`).
pub(in crate::node) struct Lease {
    pub(in crate::node) buffers: Vec<Buffer>,
    _keep: Vec<Reference>,
}

// SAFETY: `_keep` is not touched by other threads, and dropped on the environment's with the work that owns the lease.
unsafe impl Send for Lease {}

impl Lease {
    pub(in crate::node) fn of(env: &Env, arrays: Vec<Object<'_>>) -> Option<Self> {
        let buffers = arrays.iter().map(|array| array_memory(env, array)).collect::<Option<_>>()?;
        let keep = arrays.into_iter().map(|array| Reference::of(env, array).ok()).collect();
        Option::map(keep, |keep| Self { buffers, _keep: keep })
    }
}

fn array_memory(env: &Env, array: &Object<'_>) -> Option<Buffer> {
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
    Some(unsafe { Buffer::new(data, len, elem, true) })
}
