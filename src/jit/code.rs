//! Executable memory: written, then made executable, never both; freed when dropped.

#![allow(unsafe_code, reason = "turns bytes that codegen made into a function, and calls it")]

use super::codegen::Machine;
use super::error::{JitError, Result};
use super::kernel::Native;
use memmap2::{Mmap, MmapMut};
use wasmtime_internal_jit_icache_coherence as icache;

/// The code of a kernel. The pages go with it.
#[derive(Debug)]
pub(super) struct Code {
    pages: Mmap,
    entry: usize,
    /// Addresses of the functions that the code calls, 0 where nobody calls it.
    functions: Box<[usize]>,
    /// Address of the poll, 0 where nothing polls.
    poll: usize,
    /// Address of the loop in wide vectors, 0 where there is none.
    wide: usize,
    lanes: u8,
    size: usize,
}

impl Code {
    /// Maps the bytes.
    ///
    /// # Errors
    /// `Backend` if the operating system gives no memory, or no executable memory.
    pub(super) fn map(machine: &Machine) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| JitError::backend(format!("{what}: {e}"));
        #[cfg(test)]
        if tests::DENIED.get() {
            return Err(failed(
                "no executable memory",
                std::io::ErrorKind::PermissionDenied.into(),
            ));
        }
        let mut writable = MmapMut::map_anon(machine.bytes.len().max(1))
            .map_err(|e| failed("no memory for code", e))?;
        writable[..machine.bytes.len()].copy_from_slice(&machine.bytes);
        let pages = writable.make_exec().map_err(|e| failed("no executable memory", e))?;
        // SAFETY: the range is the mapping that was just written, and nothing runs in it yet.
        unsafe { icache::clear_cache(pages.as_ptr().cast(), pages.len()) }
            .and_then(|()| icache::pipeline_flush_mt())
            .map_err(|e| failed("the instruction cache cannot be flushed", e))?;
        let base = pages.as_ptr() as usize;
        let functions = machine.functions.iter().map(|f| f.map_or(0, |at| base + at)).collect();
        let [poll, wide] = [machine.poll, machine.wide].map(|at| at.map_or(0, |at| base + at));
        Ok(Self {
            pages,
            entry: machine.entry,
            functions,
            poll,
            wide,
            lanes: machine.lanes,
            size: machine.bytes.len(),
        })
    }

    /// Bytes of code.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The table that the code looks its own functions up in.
    pub(super) fn functions(&self) -> *const usize {
        self.functions.as_ptr()
    }

    /// What the code calls when its fuel is gone.
    pub(super) fn poll(&self) -> usize {
        self.poll
    }

    /// What the code calls for a map's loop in wide vectors.
    pub(super) fn wide(&self) -> usize {
        self.wide
    }

    /// How many elements of a map it computes at once.
    pub(super) fn lanes(&self) -> u8 {
        self.lanes
    }

    /// Runs the entry.
    ///
    /// # Safety
    /// `native` must be filled in for the module that the code was made from: see `Kernel::call`.
    #[inline]
    pub(super) unsafe fn enter(&self, native: &mut Native) -> i64 {
        type Entry = unsafe extern "C" fn(*mut Native) -> i64;
        // SAFETY: `entry` is where codegen put a function of this signature in these pages, which are executable and
        // stay mapped as long as `self`.
        let entry =
            unsafe { std::mem::transmute::<*const u8, Entry>(self.pages.as_ptr().add(self.entry)) };
        // SAFETY: the caller's promise.
        unsafe { entry(native) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    thread_local! {
        /// Whether this thread gets no executable memory: what a hardened kernel does.
        pub(in crate::jit) static DENIED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
}
