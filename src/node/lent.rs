//! Memory that JS writes to and the core sends without a copy: buffers of `allocateBuffer`.
//!
//! The core allocates, V8 has a view. Sending detaches the view's ArrayBuffer, under the lock of the mailbox that takes the
//! message and only if it does; from then on no JS can reach the memory, and the one that receives it gets a view of its own.
//! Where a host forbids such views (Electron) an allocated buffer is V8's own, and sending it copies.
#![allow(unsafe_code, reason = "memory that two languages share; see the module doc")]

use super::raw::{Cx, Js};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{ForeignBytes, Payload};
use napi::sys;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

/// Aligned for every element type of JS.
const ALIGN: usize = 16;

/// A zeroed block. Whoever holds it may not read it while a view of V8's is attached.
pub(super) struct Block {
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is plain memory; `Lent::bytes` is the only access, and its owner alone has it then.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// # Errors
    /// `AtCapacity` if there is no such memory.
    pub(super) fn new(size: usize) -> Result<Arc<Self>> {
        let none = || {
            Error::new(
                ErrorKind::AtCapacity,
                format!("there is no memory for a buffer of {size} bytes"),
            )
        };
        let layout = Layout::from_size_align(size.max(1), ALIGN).map_err(|_| none())?;
        // SAFETY: the layout is not empty.
        let data = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        Ok(Arc::new(Self { data, layout }))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this very layout, freed once.
        unsafe { dealloc(self.data.as_ptr(), self.layout) }
    }
}

/// A block on its way: no view of V8's is attached any more.
pub(super) struct Lent {
    block: Arc<Block>,
    len: usize,
}

impl Lent {
    pub(super) fn new(block: Arc<Block>, len: usize) -> Self {
        Self { block, len }
    }
}

impl ForeignBytes for Lent {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the block has `len` initialised bytes and lives as long as `self`. Nobody writes: the bytes are asked for
        // only after the sender's view was detached (`entries` of buffers.rs) and before the receiver gets one.
        unsafe { std::slice::from_raw_parts(self.block.data.as_ptr(), self.len) }
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

unsafe extern "C" fn free_block(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: `hint` came from `Arc::into_raw` in `view`, and a finalizer runs once.
    drop(unsafe { Arc::from_raw(hint.cast::<Block>()) });
}

impl<'a> Cx<'a> {
    /// A `Buffer` on the block itself; `None` where the host forbids it.
    pub(super) fn view(&self, block: &Arc<Block>, len: usize) -> Option<Js<'a>> {
        let mut v = null_mut();
        let hint = Arc::into_raw(Arc::clone(block)).cast_mut();
        // SAFETY: the view owns one count of the block until its finalizer; if Node refuses, it is given back here.
        unsafe {
            let s = sys::napi_create_external_buffer(
                self.env,
                len,
                block.data.as_ptr().cast(),
                Some(free_block),
                hint.cast(),
                &mut v,
            );
            if s != sys::Status::napi_ok {
                drop(Arc::from_raw(hint));
                return None;
            }
        }
        Some(self.made(v))
    }

    /// The bytes of a message as a `Buffer` of the receiver's own; lent memory is handed over.
    pub(super) fn message(&self, payload: Payload) -> Js<'a> {
        let payload = match payload.into_foreign() {
            Err(payload) => payload,
            Ok(any) => match any.downcast::<Lent>() {
                Ok(lent) => {
                    return self
                        .view(&lent.block, lent.len)
                        .unwrap_or_else(|| self.buffer(lent.bytes().to_vec()));
                }
                Err(_) => Payload::empty(),
            },
        };
        self.buffer(payload.into_vec())
    }

    /// Whether argument `i` is a `Uint8Array` on the whole of this block.
    pub(super) fn is_view_of(&self, i: usize, lent: &dyn ForeignBytes, len: usize) -> bool {
        // Compares addresses; the bytes are not read.
        self.bytes_raw(i)
            .is_some_and(|(data, n)| n == len && data.cast_const() == lent.bytes().as_ptr())
    }

    /// Takes the memory away from the `ArrayBuffer` of argument `i`; `false`: Node would not.
    pub(super) fn detach(&self, i: usize) -> bool {
        let mut buffer = null_mut();
        // SAFETY: `args[i]` is a value of the running call; out pointers are live locals or null. Detaching runs no JS.
        unsafe {
            let s = sys::napi_get_typedarray_info(
                self.env,
                self.args[i],
                null_mut(),
                null_mut(),
                null_mut(),
                &mut buffer,
                null_mut(),
            );
            s == sys::Status::napi_ok
                && sys::napi_detach_arraybuffer(self.env, buffer) == sys::Status::napi_ok
        }
    }
}
