//! The Python face (PyO3): module `iris._iris`, which python/iris wraps as `iris.Runtime`.
//!
//! ```text
//!  mod.rs      the module                       shared.rs   one runtime: what all of the below hold on to
//!  runtime.rs  class Runtime                    engine.rs   batches -> handlers, for a thread or an event loop
//!  context.rs  class Context (ctx)              outcome.rs  what becomes of a message
//!  info.rs     ExitInfo, ActorInfo, metrics     handler.rs  what a handler is, what it threw
//!  args.rs     arguments, strictly typed        lane.rs     the interpreter lane's thread, and its replacement
//!  futures.rs  what is awaited: calls, joins    home.rs     an asyncio loop: futures, tasks, a lane of its own
//!  buffer.rs   all unsafe: buffers, calls       courier.rs  attaches for threads that must not wait for the GIL
//!  errors.rs   error kind -> class              waits.rs    blocking waits: GIL released, Ctrl-C works
//!  mailbox.rs  pull actors                      children.rs children
//!  overflow.rs full mailboxes, load shedding    swap.rs     hot swap and rollback
//!  process.rs  fork and interpreter exit        timers.rs   messages that are sent later
//!  spawn.rs    what a spawn says                release.rs  threads of release_gil actors
//!  pool.rs     children that share the work     codec.rs    messages that are no bytes
//!  buffers.rs  buffers that wait to be sent      virtuals.rs virtual actors
//!  behavior.rs an actor: its handler, its spawn  slots.rs    where the lanes keep them
//!  observed.rs actors that keep what they get   cluster.rs  joining a cluster, nodes that come and go
//! ```
//!
//! **Locks.** No Rust lock is held while Python is called or the GIL is taken; what is under a lock here is moved in and
//! out, never dropped there if dropping can run Python.

mod args;
mod behavior;
mod buffer;
mod buffers;
mod children;
#[cfg(feature = "mesh")]
mod cluster;
mod codec;
mod context;
mod courier;
mod engine;
mod errors;
mod futures;
mod handler;
mod home;
mod info;
#[cfg(feature = "jit")]
mod jit;
#[cfg(feature = "jit")]
mod jit_entry;
#[cfg(feature = "jit")]
mod jit_map;
#[cfg(feature = "jit")]
mod jit_run;
#[cfg(feature = "jit")]
mod jit_values;
mod lane;
mod mailbox;
#[cfg(feature = "mesh")]
mod mesh;
mod observed;
mod outcome;
mod overflow;
mod pool;
mod process;
mod release;
mod runtime;
mod shared;
mod slots;
mod spawn;
mod supervise;
mod swap;
mod system;
mod telemetry;
mod timers;
mod tracing;
mod virtuals;
#[cfg(feature = "vortex")]
mod vortex;
mod waits;
mod watching;

use crate::error::ErrorKind;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native half of the package `iris`.
#[pymodule(gil_used = true)]
#[pyo3(name = "_iris")]
fn iris_module(m: &Bound<'_, PyModule>) -> PyResult<()> {
    if !buffer::is_main_interpreter(m.py()) {
        return Err(PyImportError::new_err("iris._iris does not support subinterpreters"));
    }
    m.add_class::<runtime::PyRuntime>()?;
    m.add_class::<context::Context>()?;
    m.add_class::<mailbox::Mailbox>()?;
    m.add_class::<mailbox::CallMessage>()?;
    m.add_class::<pool::PoolCore>()?;
    m.add_class::<info::PyExitInfo>()?;
    m.add_class::<info::PyActorInfo>()?;
    m.add_class::<system::PySystemMessage>()?;
    m.add_class::<supervise::PySupervisionEvent>()?;
    m.add_class::<tracing::PyDeadLetter>()?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let codes: Vec<_> = ErrorKind::ALL.iter().map(|k| (format!("{k:?}"), k.code())).collect();
    m.add("ERROR_CODES", codes)?;
    m.add_function(wrap_pyfunction!(process::at_exit, m)?)?;
    m.add_function(wrap_pyfunction!(process::after_fork_in_child, m)?)?;
    #[cfg(feature = "jit")]
    jit::register(m)?;
    #[cfg(feature = "vortex")]
    {
        m.add_class::<vortex::Hedge>()?;
        m.add_class::<vortex::Race>()?;
        m.add_class::<vortex::BranchContext>()?;
    }
    Ok(())
}
