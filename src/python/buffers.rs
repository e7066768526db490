//! Buffers: memory that is filled and then sent without a copy. The core keeps those that wait (`runtime::buffers`).

use super::args::{BufferId, PidArg, Size};
use super::buffer::{GcPause, Storage, Waiting};
use super::engine;
use super::errors::{OrRaise, fail};
use super::home::{self, attached};
use super::runtime::PyRuntime;
use super::shared::Shared;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::ForeignBytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use std::any::Any;

/// Any thread of the interpreter may send any buffer.
const HOME: u64 = 0;

/// The actor whose code runs here, as a number; 0: none.
fn owner(py: Python<'_>) -> PyResult<u64> {
    let here = engine::current_actor();
    if here != 0 || home::running_loop(py)?.is_none() {
        return Ok(here);
    }
    py.import("iris._aio")?.call_method0("current_actor")?.extract()
}

/// What is kept of a buffer while it is being sent.
struct Nothing;

impl ForeignBytes for Nothing {
    fn bytes(&self) -> &[u8] {
        &[]
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl Shared {
    /// Sends a buffer. If no mailbox takes it nothing has changed; only a send that has waited for room leaves a released view.
    fn send_buffer(
        &self,
        py: Python<'_>,
        to: PidArg,
        id: BufferId,
        may_wait: bool,
    ) -> PyResult<bool> {
        let mut kept = self.rt.take_buffer(id.0, HOME).or_raise(py)?;
        let bytes = std::mem::replace(&mut kept.bytes, Box::new(Nothing)).into_any();
        let Ok(waiting) = bytes.downcast::<Waiting>() else {
            return Err(fail(py, ErrorKind::Internal, "a buffer is none of Python's"));
        };
        let storage = waiting.storage.clone_ref(py);
        let length = storage.get().length(py);
        // Its first use waits for the interpreter, which must not happen under a lock.
        let release = intern!(py, "release");
        let paused = GcPause::new(py);
        let mut noise = None;
        let hand_over = || storage.get().hand_over(py, &waiting.view, release, &mut noise);
        let sent = attached(py, self, || self.rt.send_made(to.0, length, hand_over));
        drop(paused);
        let sent = match sent {
            Some(took) => Ok(took),
            None if may_wait && self.may_wait(py)? => {
                let data = storage.get().hand_over(py, &waiting.view, release, &mut noise);
                self.wait_for_room(py, to, data, None)
            }
            None => Ok(self.rt.refuse_full()),
        };
        if !sent.as_ref().is_ok_and(|took| *took) {
            storage.get().take_back();
            kept.bytes = waiting;
            self.rt.give_back_buffer(id.0, kept);
        }
        sent
    }
}

#[pymethods]
impl PyRuntime {
    /// Memory for a message: its id, and a view to write to.
    fn allocate_buffer<'py>(
        &self,
        py: Python<'py>,
        size: Size,
    ) -> PyResult<(u64, Bound<'py, PyMemoryView>)> {
        let shared = self.open(py)?;
        let owner = Pid::from_bits(owner(py)?);
        let storage = Bound::new(py, Storage::new(py, size.0)?)?;
        let view = PyMemoryView::from(storage.as_any())?;
        let waiting = Waiting { storage: storage.unbind(), view: view.clone().into_any().unbind() };
        let id = shared.rt.keep_buffer(owner, HOME, Box::new(waiting)).or_raise(py)?;
        Ok((id, view))
    }

    /// Sends a buffer without a copy. Its id works once: again only if no mailbox took it.
    fn send_buffer(&self, py: Python<'_>, pid: PidArg, buffer_id: BufferId) -> PyResult<bool> {
        let shared = self.open(py)?;
        shared.send_buffer(py, pid, buffer_id, true)
    }

    /// `send_buffer` that never waits, and tells how full the mailbox is now.
    fn send_user_with_backpressure(
        &self,
        py: Python<'_>,
        pid: PidArg,
        buffer_id: BufferId,
    ) -> PyResult<(bool, &'static str)> {
        let shared = self.open(py)?;
        let took = shared.send_buffer(py, pid, buffer_id, false)?;
        Ok((took, shared.pressure_of(pid)))
    }

    /// Frees a buffer that will not be sent; answers whether there was one.
    fn free_buffer(&self, py: Python<'_>, buffer_id: BufferId) -> PyResult<bool> {
        Ok(self.open(py)?.rt.free_buffer(buffer_id.0))
    }
}
