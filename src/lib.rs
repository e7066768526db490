//! **iris**: actors for Node.js and Python on one Rust core.
//!
//! This crate is the core; with the feature `node` it is also the addon behind `NodeRuntime`, with `python` the module
//! behind `iris.Runtime`. Rust programs use [`Runtime`] directly.
//!
//! What every call means is written in `docs/semantics.md`; how it works in `docs/architecture.md`.

pub mod actor;
pub mod bytes;
pub mod clock;
pub mod config;
pub mod error;
pub mod id;
#[cfg(feature = "jit")]
pub mod jit;
pub mod mailbox;
#[cfg(feature = "mesh")]
pub mod mesh;
pub mod message;
pub mod path;
pub mod registry;
pub mod runtime;
pub mod scheduler;
pub mod supervision;
mod sync;
pub mod timer;
#[cfg(feature = "vortex")]
pub mod vortex;

#[cfg(feature = "node")]
mod node;
#[cfg(feature = "python")]
mod python;

pub use actor::behavior::{Actor, Crash, Message};
pub use actor::context::Context;
pub use actor::swap::{Swap, Swappable};
pub use clock::Clock;
pub use config::{Config, SpawnOptions, VirtualOptions};
pub use error::{Error, ErrorKind, Result};
pub use id::{CallId, Pid};
pub use message::{
    CrashInfo, ExitInfo, ExitReason, ForeignBytes, Meta, Payload, SystemKind, SystemMessage,
};
pub use runtime::{
    ActorInfo, Backoff, Batch, BooksSnapshot, ChildOptions, ChildSpec, DropReason, Event,
    EventWatch, HostLane, KeptBuffer, LaneMetrics, Metrics, MonitorRef, NodeEvent, Overflow,
    Peeked, Pressure, PressureWatch, PullSignal, Pulled, Refusal, Replied, Restart, Run, Runtime,
    Sent, StartRequest, Strategy, SupervisorOptions, TimerId,
};

#[cfg(any(feature = "node", feature = "python"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
