//! A compiled function: checked arguments in, an outcome out. Owns its code; clones share it.
//!
//! All that a call needs is passed in: nothing here is global, kernels are called from many threads at once.

#![allow(
    unsafe_code,
    reason = "reads and writes the buffers that the host lends, calls generated code"
)]

use super::check::{Limits, check};
use super::code::Code;
use super::codegen;
use super::error::{JitError, Result};
use super::interp::{self, MAX_LIST_ELEMENTS};
use super::ir::{BufParam, Elem, ExitId, Module};
use super::num;
use std::ffi::c_void;
use std::fmt;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
#[repr(C)]
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

    /// A copy of all elements' bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut copy = vec![0; self.len * self.elem.size()];
        // SAFETY: `new` was promised `len` elements at `ptr`; the copy is memory of its own. (No reference to the elements is
        // made: others may write to them.)
        unsafe { std::ptr::copy_nonoverlapping(self.ptr, copy.as_mut_ptr(), copy.len()) };
        copy
    }

    /// Puts a copy back; nothing where the buffer is read-only or of another length.
    pub fn restore(&self, copy: &[u8]) {
        if self.writable && copy.len() == self.len * self.elem.size() {
            // SAFETY: as in `save`, and the elements are writable.
            unsafe { std::ptr::copy_nonoverlapping(copy.as_ptr(), self.ptr, copy.len()) };
        }
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
    /// Whether loops of maps may do several elements at once.
    pub lanes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::DEFAULT, interpret: false, lanes: true }
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
    code: std::result::Result<Code, Option<JitError>>,
    /// The most values that a return or an exit leaves in the frame.
    values: usize,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_native() { "native" } else { "interpreted" };
        write!(f, "Kernel({}, {how})", self.inner.module.entry().name)
    }
}

/// A bug of the code generator must not cost the host its answer: what panics is interpreted.
fn native(module: &Module, lanes: bool) -> Result<Code> {
    let make = || codegen::generate(module, lanes).and_then(|machine| Code::map(&machine));
    catch_unwind(AssertUnwindSafe(make))
        .unwrap_or_else(|_| Err(JitError::backend("the code generator panicked")))
}

impl Kernel {
    /// Checks a module and compiles it; where the backend fails, the kernel is interpreted and `backend_error` says why.
    ///
    /// # Errors
    /// What [`check`] finds.
    pub fn compile(module: Module, options: &Options) -> Result<Self> {
        check(&module, &options.limits)?;
        let code = if options.interpret {
            Err(None)
        } else {
            // A machine that has no vectors for a loop may have code for it all the same.
            native(&module, options.lanes).or_else(|_| native(&module, false)).map_err(Some)
        };
        let shapes = module.funcs.iter().flat_map(|f| &f.shapes).map(|s| s.len());
        let exits = module.exits.iter().map(|e| e.state.len());
        let values = shapes.chain(exits).max().unwrap_or(0);
        Ok(Self { inner: Arc::new(Inner { module, code, values }) })
    }

    /// Whether calls run generated code.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.inner.code.is_ok()
    }

    /// Why it is interpreted although nobody asked for it.
    #[must_use]
    pub fn backend_error(&self) -> Option<&JitError> {
        self.inner.code.as_ref().err()?.as_ref()
    }

    /// How many elements of a map it computes at once.
    #[must_use]
    pub fn lanes(&self) -> u8 {
        self.inner.code.as_ref().map_or(1, Code::lanes)
    }

    /// The bytes of generated code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        self.inner.code.as_ref().map_or(0, Code::size)
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
        self.fits(args, buffers)?;
        match &self.inner.code {
            Ok(code) => Ok(self.enter(code, args, buffers, budget, frame, hook)),
            Err(_) => Ok(interp::run(&self.inner.module, args, buffers, budget, frame, hook)),
        }
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
        self.fits(args, buffers)?;
        Ok(interp::run(&self.inner.module, args, buffers, budget, frame, hook))
    }

    #[inline]
    fn fits(&self, args: &[u64], buffers: &[Buffer]) -> Result<()> {
        let module = &self.inner.module;
        if args.len() != module.entry().params as usize {
            return Err(JitError::invalid("the number of arguments does not fit the kernel"));
        }
        let fit = |b: &Buffer, p: &BufParam| b.elem == p.elem && (b.writable || !p.writable);
        if buffers.len() != module.buffers.len()
            || !buffers.iter().zip(&module.buffers).all(|(b, p)| fit(b, p))
        {
            return Err(JitError::invalid("the buffers do not fit the kernel"));
        }
        Ok(())
    }

    #[inline]
    fn enter(
        &self,
        code: &Code,
        args: &[u64],
        buffers: &[Buffer],
        budget: Budget,
        frame: &mut Frame,
        hook: &mut dyn Hook,
    ) -> Outcome {
        frame.lists.clear();
        frame.values.resize(self.inner.values, 0);
        let mut host = Host { lists: &mut frame.lists, elements: 0, hook };
        let mut native = Native {
            fuel: i64::try_from(budget.fuel).unwrap_or(i64::MAX),
            depth: i64::from(budget.depth.min(Budget::MAX_DEPTH)),
            mark: 0,
            values: frame.values.as_mut_ptr(),
            args: args.as_ptr(),
            buffers: buffers.as_ptr(),
            functions: code.functions(),
            poll: code.poll(),
            wide: code.wide(),
            scratch: 0,
            host: (&raw mut host).cast(),
        };
        // SAFETY: `args` has as many values as the entry has parameters and `buffers` are the module's (`fits`); `values` has
        // room for every shape and state of the module; `functions` is the code's own table; `host` lives until the call is
        // over and nothing else touches it or the frame meanwhile.
        let status = unsafe { code.enter(&mut native) };
        frame.mark = native.mark;
        let module = &self.inner.module;
        if let Ok(shape) = u32::try_from(status) {
            frame.values.truncate(module.entry().shapes[shape as usize].len());
            Outcome::Returned(shape)
        } else {
            let exit = ExitId(u32::try_from(-1 - status).unwrap_or(u32::MAX));
            frame.values.truncate(module.exits[exit.at()].state.len());
            Outcome::Left(exit)
        }
    }
}

/// What generated code gets: the call's memory. The offsets are `NativeLayout`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Native {
    fuel: i64,
    depth: i64,
    mark: i64,
    values: *mut u64,
    args: *const u64,
    buffers: *const Buffer,
    functions: *const usize,
    poll: usize,
    wide: usize,
    scratch: u64,
    host: *mut c_void,
}

/// Offsets in bytes.
pub(super) struct NativeLayout;

impl NativeLayout {
    pub(super) const FUEL: i32 = offset_of!(Native, fuel) as i32;
    pub(super) const DEPTH: i32 = offset_of!(Native, depth) as i32;
    pub(super) const MARK: i32 = offset_of!(Native, mark) as i32;
    pub(super) const VALUES: i32 = offset_of!(Native, values) as i32;
    pub(super) const ARGS: i32 = offset_of!(Native, args) as i32;
    pub(super) const BUFFERS: i32 = offset_of!(Native, buffers) as i32;
    pub(super) const FUNCTIONS: i32 = offset_of!(Native, functions) as i32;
    pub(super) const POLL: i32 = offset_of!(Native, poll) as i32;
    pub(super) const WIDE: i32 = offset_of!(Native, wide) as i32;
    pub(super) const SCRATCH: i32 = offset_of!(Native, scratch) as i32;
    /// The pointer stands at 0, the length at 8.
    pub(super) const BUFFER_SIZE: usize = size_of::<Buffer>();
}

const _: () = assert!(offset_of!(Buffer, ptr) == 0 && offset_of!(Buffer, len) == 8);
// Addresses are 64 bits in generated code.
const _: () = assert!(size_of::<usize>() == 8, "the feature `jit` needs a 64-bit machine");

struct Host<'a> {
    lists: &'a mut Vec<List>,
    elements: usize,
    hook: &'a mut dyn Hook,
}

/// What generated code calls for the longer operations.
#[derive(Clone, Copy, Debug)]
pub(super) enum Helper {
    RemF64,
    ModF64,
    FloorDivF64,
    PowF64,
    ToInt32,
    PowI64,
    RangeLen,
    Poll,
    ListNew,
    ListPush,
    ListLen,
    ListGet,
    ListSet,
}

impl Helper {
    /// The bits of a NaN that `PowF64` answers for "leave"; should a program own this NaN, its call leaves as well.
    pub(super) const NONE: u64 = 0x7ffc_1815_0ff1_0ad0;

    pub(super) fn address(self) -> usize {
        type Binary = extern "C" fn(f64, f64) -> f64;
        type At1 = unsafe extern "C" fn(*mut Native) -> u64;
        type At2 = unsafe extern "C" fn(*mut Native, u64) -> u64;
        type At3 = unsafe extern "C" fn(*mut Native, u64, u64) -> u64;
        type At4 = unsafe extern "C" fn(*mut Native, u64, u64, u64) -> u64;
        type At5 = unsafe extern "C" fn(*mut Native, u64, u64, u64, u64) -> u64;
        match self {
            Self::RemF64 => rem_f64 as Binary as usize,
            Self::ModF64 => mod_f64 as Binary as usize,
            Self::FloorDivF64 => floordiv_f64 as Binary as usize,
            Self::PowF64 => pow_f64 as Binary as usize,
            Self::ToInt32 => to_int32 as extern "C" fn(f64) -> i32 as usize,
            Self::PowI64 => pow_i64 as At3 as usize,
            Self::RangeLen => range_len as At4 as usize,
            Self::Poll => poll as At1 as usize,
            Self::ListNew => list_new as At1 as usize,
            Self::ListPush => list_push as At4 as usize,
            Self::ListLen => list_len as At2 as usize,
            Self::ListGet => list_get as At4 as usize,
            Self::ListSet => list_set as At5 as usize,
        }
    }
}

extern "C" fn rem_f64(a: f64, b: f64) -> f64 {
    a % b
}

extern "C" fn mod_f64(a: f64, b: f64) -> f64 {
    num::py_mod_f64(a, b).unwrap_or(f64::NAN)
}

extern "C" fn floordiv_f64(a: f64, b: f64) -> f64 {
    num::py_floordiv_f64(a, b).unwrap_or(f64::NAN)
}

extern "C" fn pow_f64(a: f64, b: f64) -> f64 {
    num::py_pow_f64(a, b).unwrap_or(f64::from_bits(Helper::NONE))
}

extern "C" fn to_int32(x: f64) -> i32 {
    num::js_to_int32(x)
}

/// Leaves a result in `scratch`; answers whether there is one.
///
/// # Safety
/// `native` is the call's.
unsafe fn answer(native: *mut Native, value: Option<u64>) -> u64 {
    if let Some(value) = value {
        // SAFETY: the caller's promise; generated code holds no reference into it.
        unsafe { (*native).scratch = value };
    }
    u64::from(value.is_some())
}

/// The host's part of a call.
///
/// # Safety
/// `native` is the call's, and the caller lets go of the reference before it returns to the code.
unsafe fn host<'a>(native: *mut Native) -> &'a mut Host<'a> {
    // SAFETY: `enter` put a `Host` there that outlives the call; helpers do not nest, so this is the only reference.
    unsafe { &mut *(*native).host.cast::<Host<'a>>() }
}

unsafe extern "C" fn pow_i64(native: *mut Native, a: u64, b: u64) -> u64 {
    let power = num::py_pow_i64(a.cast_signed(), b.cast_signed());
    // SAFETY: only generated code calls this, with its own call.
    unsafe { answer(native, power.map(i64::cast_unsigned)) }
}

unsafe extern "C" fn range_len(native: *mut Native, a: u64, b: u64, c: u64) -> u64 {
    let len = num::py_range_len(a.cast_signed(), b.cast_signed(), c.cast_signed());
    // SAFETY: only generated code calls this, with its own call.
    unsafe { answer(native, len.map(i64::cast_unsigned)) }
}

unsafe extern "C" fn poll(native: *mut Native) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    let host = unsafe { host(native) };
    // A panic must not cross generated code; one that starts in the host's hook stops the call.
    let fuel = catch_unwind(AssertUnwindSafe(|| host.hook.poll())).unwrap_or(None);
    let left = fuel.map_or(-1, |fuel| i64::try_from(fuel).unwrap_or(i64::MAX));
    // SAFETY: as above.
    unsafe { (*native).fuel = left };
    u64::from(left >= 0)
}

unsafe extern "C" fn list_new(native: *mut Native) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    let host = unsafe { host(native) };
    host.elements += 1;
    let number = (host.elements <= MAX_LIST_ELEMENTS).then(|| {
        host.lists.push(List::default());
        host.lists.len() as u64 - 1
    });
    // SAFETY: as above.
    unsafe { answer(native, number) }
}

unsafe extern "C" fn list_push(native: *mut Native, list: u64, bits: u64, tag: u64) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    let host = unsafe { host(native) };
    host.elements += 1;
    let ok = host.elements <= MAX_LIST_ELEMENTS;
    if ok {
        host.lists[list as usize].bits.push(bits);
        host.lists[list as usize].tags.push(tag as u8);
    }
    u64::from(ok)
}

unsafe extern "C" fn list_len(native: *mut Native, list: u64) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    unsafe { host(native) }.lists[list as usize].bits.len() as u64
}

unsafe extern "C" fn list_get(native: *mut Native, list: u64, index: u64, tag: u64) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    let list = &unsafe { host(native) }.lists[list as usize];
    let at = usize::try_from(index.cast_signed()).unwrap_or(usize::MAX);
    let value = list.bits.get(at).filter(|_| u64::from(list.tags[at]) == tag).copied();
    // SAFETY: as above.
    unsafe { answer(native, value) }
}

unsafe extern "C" fn list_set(
    native: *mut Native,
    list: u64,
    index: u64,
    bits: u64,
    tag: u64,
) -> u64 {
    // SAFETY: only generated code calls this, with its own call.
    let list = &mut unsafe { host(native) }.lists[list as usize];
    let at = usize::try_from(index.cast_signed()).unwrap_or(usize::MAX);
    let ok = at < list.bits.len();
    if ok {
        list.bits[at] = bits;
        list.tags[at] = tag as u8;
    }
    u64::from(ok)
}
