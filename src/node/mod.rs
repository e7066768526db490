//! The Node face: `createLane`, which lib/runtime.js wraps as `NodeRuntime`.
//!
//! ```text
//!  mod.rs      the one napi-rs entry: options, memory, wake function -> an object of native functions
//!  raw.rs      the raw C API and all unsafe of this face
//!  face.rs     what the functions share: runtime, lane, batch, memory
//!  hot.rs      send, take, poll, call, reply
//!  entries.rs  the rest
//! ```

mod entries;
mod face;
mod hot;
mod raw;

use crate::config::Config;
use crate::runtime::Runtime;
use face::{Face, Memory};
use napi::bindgen_prelude::{Function, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode::NonBlocking;
use napi::{Env, Status};
use napi_derive::napi;
use raw::{Entry, Reference, Shared};
use std::ffi::CStr;
use std::rc::Rc;
use std::time::Duration;

/// How a runtime is set up; lib/options.js has checked types and ranges.
#[napi(object)]
pub struct LaneOptions {
    /// Worker threads for Rust actors. Default: one a core.
    pub workers: Option<u32>,
    /// How long `stop` waits for a running handler, in milliseconds. Default 5,000.
    pub stop_timeout_ms: Option<f64>,
    /// Capacity of mailboxes that do not say, in messages. Default: unbounded.
    pub default_capacity: Option<u32>,
}

/// The version of the native half.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const ENTRIES: &[(&CStr, Entry)] = &[
    (c"send", hot::send),
    (c"sendBytes", hot::send_bytes),
    (c"sendPacked", hot::send_packed),
    (c"take", hot::take),
    (c"poll", hot::poll),
    (c"call", hot::call),
    (c"reply", hot::reply),
    (c"spawn", entries::spawn),
    (c"suspend", entries::suspend),
    (c"resume", entries::resume),
    (c"crash", entries::crash),
    (c"crashAwaited", entries::crash_awaited),
    (c"crashNow", entries::crash_now),
    (c"failCall", entries::fail_call),
    (c"cancelCall", entries::cancel_call),
    (c"cut", entries::cut),
    (c"big", entries::big),
    (c"events", entries::events),
    (c"stop", entries::stop),
    (c"kill", entries::kill),
    (c"join", entries::join),
    (c"isAlive", entries::is_alive),
    (c"register", entries::register),
    (c"unregister", entries::unregister),
    (c"whereis", entries::whereis),
    (c"mailboxSize", entries::mailbox_size),
    (c"listActors", entries::list_actors),
    (c"actorInfo", entries::actor_info),
    (c"metrics", entries::metrics),
    (c"close", entries::close),
    (c"dispose", entries::dispose),
];

/// Makes a runtime with a lane for the calling environment, and answers its native functions.
///
/// `wake` is called on this loop when another thread gave the sleeping lane something to do; it does not keep the loop
/// alive.
#[napi]
#[allow(clippy::too_many_arguments, reason = "five arrays and three things, called from one place")]
pub fn create_lane(
    env: Env,
    options: LaneOptions,
    wake: Function<'_, (), ()>,
    make_error: Function<'_, (), ()>,
    ctl: Object<'_>,
    records: Object<'_>,
    senders: Object<'_>,
    stage: Object<'_>,
    clock: Object<'_>,
) -> napi::Result<Object<'static>> {
    let defaults = Config::default();
    let config = Config {
        workers: options.workers.map_or(defaults.workers, |n| n as usize),
        stop_timeout: options
            .stop_timeout_ms
            .map_or(defaults.stop_timeout, |ms| Duration::from_secs_f64(ms / 1e3)),
        default_capacity: options.default_capacity,
        ..defaults
    };
    let rt = Runtime::new(config)
        .map_err(|e| napi::Error::new(Status::GenericFailure, format!("{}: {e}", e.code())))?;
    let wake = wake
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .max_queue_size::<1>()
        .callee_handled::<false>()
        .build()?;
    // A full queue means that a wake is on its way; a closing environment needs none.
    let lane = rt.open_lane(move || {
        let _ = wake.call((), NonBlocking);
    });
    lane.take_failures();
    let memory = Memory {
        ctl: Shared::of(&env, ctl)?,
        records: Shared::of(&env, records)?,
        senders: Shared::of(&env, senders)?,
        stage: Shared::of(&env, stage)?,
        clock: Shared::of(&env, clock)?,
    };
    let face = Rc::new(Face::new(rt, lane, memory, Reference::of(&env, make_error)?));
    raw::watch_environment(&env, &face);
    raw::bind(&env, &face, ENTRIES)
}
