//! The I/O thread of a node: one, started when it is first needed.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, mark_lane_thread, start_thread};
use std::cell::Cell;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

std::thread_local! {
    static IO: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the I/O thread of some node.
#[must_use]
pub fn is_io_thread() -> bool {
    IO.with(Cell::get)
}

/// Calls `f` as the I/O thread would: nobody is answered on the spot.
pub fn as_io_thread<T>(f: impl FnOnce() -> T) -> T {
    let before = IO.replace(true);
    let answer = f();
    IO.set(before);
    answer
}

/// Starts a task on the I/O thread, from a task that runs there.
pub fn task(body: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tokio::task::spawn(body).abort_handle()
}

/// A thread that runs tasks.
#[derive(Default)]
pub struct Driver {
    handle: OnceLock<Handle>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Driver {
    /// Lets tasks run on this very thread, in the runtime that it has entered.
    #[cfg(test)]
    pub fn here(&self) {
        IO.with(|io| io.set(true));
        let _ = self.handle.set(Handle::current());
    }

    /// The thread's handle; starts the thread.
    ///
    /// # Errors
    /// `AtCapacity` if the system has no thread or no file descriptors.
    pub fn handle(&self) -> Result<&Handle> {
        let mut stop = self.stop.lock();
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|e| {
            Error::new(ErrorKind::AtCapacity, format!("the system has no I/O driver to give: {e}"))
        })?;
        let handle = runtime.handle().clone();
        let (tx, rx) = oneshot::channel();
        let started = start_thread("iris-mesh".into(), None, move || {
            mark_lane_thread();
            IO.with(|io| io.set(true));
            let _ = runtime.block_on(rx);
            // Tasks that wait are dropped, their sockets closed.
            runtime.shutdown_background();
        });
        if !started {
            return Err(Error::new(ErrorKind::AtCapacity, "the system has no thread for I/O"));
        }
        *stop = Some(tx);
        Ok(self.handle.get_or_init(|| handle))
    }

    /// The thread's handle, if it was started.
    #[must_use]
    pub fn started(&self) -> Option<&Handle> {
        self.handle.get()
    }

    /// Ends the thread and every task.
    pub fn stop(&self) {
        if let Some(stop) = self.stop.lock().take() {
            let _ = stop.send(());
        }
    }

    /// Runs a task on the thread.
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        self.handle()?.spawn(task);
        Ok(())
    }
}
