//! A compiled function: checked arguments in, an outcome out. Owns its code; clones share it.
//!
//! All that a call needs is passed in: nothing here is global, kernels are called from many threads at once.

#![allow(
    unsafe_code,
    reason = "reads and writes the buffers that the host lends, calls generated code"
)]

use super::check::{Limits, check};
use super::error::{JitError, Result};
use super::interp;
use super::ir::{Elem, ExitId, Module};
use std::fmt;
use std::sync::Arc;

/// The host's hook: runs now and then inside of a long call.
pub trait Hook {
    /// Called when the fuel is used up. `Some(fuel)` goes on with that many back-edges until the next call, `None`
    /// stops the call (it leaves with `Reason::Interrupted`).
    fn poll(&mut self) -> Option<u64>;
}

/// Never stops.
impl Hook for () {
    fn poll(&mut self) -> Option<u64> {
        Some(u64::MAX >> 1)
    }
}

/// Memory that the host lends for one call.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    ptr: *mut u8,
    len: usize,
    elem: Elem,
    writable: bool,
}

// SAFETY: `Buffer::new` demands memory that stays allocated and may be used from any thread for as long as the buffer is;
// what concurrent writers do to single elements is the host's to allow (as Python's own threads may).
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` elements at `ptr`.
    ///
    /// # Safety
    /// While the buffer or a copy of it is used, `ptr` must point to `len` initialised elements, one after the other,
    /// writable if `writable` says so; any alignment will do. `Bool` elements are bytes, 0 is false.
    #[must_use]
    pub unsafe fn new(ptr: *mut u8, len: usize, elem: Elem, writable: bool) -> Self {
        Self { ptr, len, elem, writable }
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element type.
    #[must_use]
    pub fn elem(&self) -> Elem {
        self.elem
    }

    /// The address of the first element.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// The bits of an element as a register holds them; `None` out of range and for a u64 that is no i64.
    #[must_use]
    pub fn get(&self, index: i64) -> Option<u64> {
        let at = usize::try_from(index).ok().filter(|i| *i < self.len)?;
        // SAFETY: `at < len`, and `new` was promised `len` elements there, at any alignment.
        let bits = unsafe {
            match self.elem {
                Elem::F64 | Elem::I64 => self.ptr.cast::<u64>().add(at).read_unaligned(),
                Elem::U64 => {
                    let value = self.ptr.cast::<u64>().add(at).read_unaligned();
                    i64::try_from(value).ok()?.cast_unsigned()
                }
                Elem::F32 => f64::from(self.ptr.cast::<f32>().add(at).read_unaligned()).to_bits(),
                Elem::I32 => sign(self.ptr.cast::<i32>().add(at).read_unaligned().into()),
                Elem::I16 => sign(self.ptr.cast::<i16>().add(at).read_unaligned().into()),
                Elem::I8 => sign(self.ptr.cast::<i8>().add(at).read().into()),
                Elem::U32 => self.ptr.cast::<u32>().add(at).read_unaligned().into(),
                Elem::U16 => self.ptr.cast::<u16>().add(at).read_unaligned().into(),
                Elem::U8 => self.ptr.add(at).read().into(),
                Elem::Bool => (self.ptr.add(at).read() != 0).into(),
            }
        };
        Some(bits)
    }

    /// Writes a register's bits, integers modulo 2^n. `false` out of range or where the buffer is read-only.
    #[must_use]
    pub fn set(&self, index: i64, bits: u64) -> bool {
        let Some(at) = usize::try_from(index).ok().filter(|i| *i < self.len && self.writable)
        else {
            return false;
        };
        // SAFETY: `at < len`, and `new` was promised `len` writable elements there, at any alignment.
        unsafe {
            match self.elem.size() {
                8 => self.ptr.cast::<u64>().add(at).write_unaligned(bits),
                4 if self.elem == Elem::F32 => {
                    self.ptr.cast::<f32>().add(at).write_unaligned(f64::from_bits(bits) as f32);
                }
                4 => self.ptr.cast::<u32>().add(at).write_unaligned(bits as u32),
                2 => self.ptr.cast::<u16>().add(at).write_unaligned(bits as u16),
                _ => self.ptr.add(at).write(bits as u8),
            }
        }
        true
    }
}

fn sign(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A list of a call: elements and their tags.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The bits of each element.
    pub bits: Vec<u64>,
    /// The front end's tag of each element.
    pub tags: Vec<u8>,
}

/// What a call leaves behind; reuse one for many calls.
#[derive(Debug, Default)]
pub struct Frame {
    /// After `Returned`: the values of the shape. After `Left`: the state of the exit.
    pub values: Vec<u64>,
    /// The lists of the call; a register of type `List` is an index.
    pub lists: Vec<List>,
    /// What the last `Mark` noted.
    pub mark: i64,
}

/// How a call ended. The values are in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned values under this shape.
    Returned(u32),
    /// It left.
    Left(ExitId),
}

/// How a kernel is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Never generate code: the interpreter runs it (tests; and how a failing backend ends).
    pub interpret: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::DEFAULT, interpret: false }
    }
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Back-edges before the first poll. Default 65,536.
    pub fuel: u64,
    /// Nested calls before it leaves with `Recursion`. Default 900, at most [`Budget::MAX_DEPTH`].
    pub depth: u32,
}

impl Budget {
    /// The deepest recursion that fits on any thread's stack.
    pub const MAX_DEPTH: u32 = 4_000;
}

impl Default for Budget {
    fn default() -> Self {
        Self { fuel: 65_536, depth: 900 }
    }
}

/// A compiled function. Cheap to clone; the code goes with the last clone.
#[derive(Clone)]
pub struct Kernel {
    inner: Arc<Inner>,
}

struct Inner {
    module: Module,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_native() { "native" } else { "interpreted" };
        write!(f, "Kernel({}, {how})", self.inner.module.entry().name)
    }
}

impl Kernel {
    /// Checks a module and compiles it; where the backend fails, the kernel is interpreted and `backend_error` says why.
    ///
    /// # Errors
    /// What [`check`] finds.
    pub fn compile(module: Module, options: &Options) -> Result<Self> {
        check(&module, &options.limits)?;
        Ok(Self { inner: Arc::new(Inner { module }) })
    }

    /// Whether calls run generated code.
    #[must_use]
    pub fn is_native(&self) -> bool {
        false
    }

    /// Why it is interpreted although it should not be.
    #[must_use]
    pub fn backend_error(&self) -> Option<&JitError> {
        None
    }

    /// The bytes of generated code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        0
    }

    /// What it was compiled from.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.inner.module
    }

    /// Calls it: `args` are the bits of the entry's parameters, `buffers` the module's buffers in order.
    ///
    /// # Errors
    /// `Invalid` if the number of arguments, or number, element types or writability of buffers do not fit the module.
    #[inline]
    pub fn call(
        &self,
        args: &[u64],
        buffers: &[Buffer],
        budget: Budget,
        frame: &mut Frame,
        hook: &mut dyn Hook,
    ) -> Result<Outcome> {
        let module = &self.inner.module;
        if args.len() != module.entry().params as usize {
            return Err(JitError::invalid("the number of arguments does not fit the kernel"));
        }
        let fits = buffers.len() == module.buffers.len()
            && buffers
                .iter()
                .zip(&module.buffers)
                .all(|(b, p)| b.elem == p.elem && (b.writable || !p.writable));
        if !fits {
            return Err(JitError::invalid("the buffers do not fit the kernel"));
        }
        let depth = budget.depth.min(Budget::MAX_DEPTH);
        Ok(interp::run(module, args, buffers, Budget { depth, ..budget }, frame, hook))
    }

    /// The same call by the interpreter, whatever the kernel is: the specification, for tests.
    ///
    /// # Errors
    /// As [`Kernel::call`].
    pub fn interpret(
        &self,
        args: &[u64],
        buffers: &[Buffer],
        budget: Budget,
        frame: &mut Frame,
        hook: &mut dyn Hook,
    ) -> Result<Outcome> {
        self.call(args, buffers, budget, frame, hook)
    }
}
