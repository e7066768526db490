//! The Node face: `createLane`, which lib/runtime.js wraps as `NodeRuntime`.
//!
//! ```text
//!  mod.rs      the one napi-rs entry: options, memory, wake function -> an object of native functions
//!  raw/        the raw C API and all unsafe of this face
//!  face.rs     what the functions share: runtime, lane, batch, memory
//!  hot.rs      send, take, poll, call, reply
//!  linger.rs   whether a lane waits a moment before it sleeps
//!  timers.rs   delayed messages
//!  overflow.rs full mailboxes, pressure, load shedding
//!  mailbox.rs  pull actors
//!  system.rs   system messages, paths
//!  supervise.rs supervisors
//!  watching.rs monitors, links
//!  virtuals.rs virtual actors; vortex.rs: speculating ones
//!  buffers.rs  buffers that are sent without a copy; lent.rs: their memory
//!  jit.rs      offloaded functions; jit_race.rs: which way they run; jit_work.rs: maps and reductions off the loop
//!  entries.rs  the rest
//! ```

#![allow(unreachable_pub, reason = "the napi-rs macros register what is pub here")]
#![cfg_attr(test, allow(dead_code, reason = "under test the napi-rs macros register nothing"))]

mod buffers;
mod entries;
mod face;
mod hot;
#[cfg(feature = "jit")]
mod jit;
#[cfg(feature = "jit")]
mod jit_race;
#[cfg(feature = "jit")]
mod jit_work;
mod lent;
mod linger;
mod mailbox;
#[cfg(feature = "mesh")]
mod mesh;
mod overflow;
mod raw;
mod supervise;
mod system;
mod timers;
mod tracing;
mod virtuals;
#[cfg(feature = "vortex")]
mod vortex;
mod watching;

use crate::config::Config;
use crate::error::Result;
use crate::runtime::Runtime;
use face::{Face, Memory};
use napi::bindgen_prelude::{Function, JsObjectValue, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode::NonBlocking;
use napi::{Env, Status};
use napi_derive::napi;
use raw::{Entry, FlagMemory, Reference, Shared};
use std::ffi::CStr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// The id of a runtime of this process that the lane joins; the other options are that runtime's.
    pub attach: Option<u32>,
}

/// The version of the native half.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A number for each lane of this process: the home of the buffers that its thread allocates.
static NEXT_HOME: AtomicU64 = AtomicU64::new(1);

/// Name, number of arguments, function.
const ENTRIES: &[(&CStr, usize, Entry)] = &[
    (c"send", 3, hot::send),
    (c"flush", 0, hot::flush),
    (c"linger", 0, hot::linger),
    (c"lease", 1, hot::lease),
    (c"sendPacked", 3, hot::send_packed),
    (c"take", 0, hot::take),
    (c"slab", 1, hot::slab),
    (c"poll", 0, hot::poll),
    (c"beginSlice", 0, hot::begin_slice),
    (c"endSlice", 1, hot::end_slice),
    (c"call", 5, hot::call),
    (c"reply", 3, hot::reply),
    (c"spawn", 4, entries::spawn),
    (c"suspend", 1, entries::suspend),
    (c"resume", 1, entries::resume),
    (c"crash", 3, entries::crash),
    (c"crashAwaited", 3, entries::crash_awaited),
    (c"crashNow", 3, entries::crash_now),
    (c"failCall", 4, entries::fail_call),
    (c"cancelCall", 2, entries::cancel_call),
    (c"cut", 1, entries::cut),
    (c"big", 1, entries::big),
    (c"events", 1, entries::events),
    (c"stop", 3, entries::stop),
    (c"kill", 1, entries::kill),
    (c"join", 2, entries::join),
    (c"joinMember", 2, entries::join_member),
    (c"beginReplacement", 0, entries::begin_replacement),
    (c"endReplacement", 3, entries::end_replacement),
    (c"forgetJoin", 2, entries::forget_join),
    (c"isAlive", 1, entries::is_alive),
    (c"register", 2, entries::register),
    (c"unregister", 1, entries::unregister),
    (c"whereis", 1, entries::whereis),
    (c"named", 1, entries::named),
    (c"namedByPath", 1, entries::named_by_path),
    (c"system", 1, system::system),
    (c"createPathSupervisor", 6, supervise::create),
    (c"removePathSupervisor", 1, supervise::remove),
    (c"superviseWatch", 2, supervise::watch),
    (c"superviseFactory", 6, supervise::factory),
    (c"supervisorChildren", 1, supervise::children),
    (c"terminateChild", 2, supervise::terminate),
    (c"watchPath", 1, supervise::watch_path),
    (c"childPids", 0, supervise::child_pids),
    (c"startAtHand", 1, supervise::start_at_hand),
    (c"startOver", 3, supervise::start_over),
    (c"supervisorNews", 0, supervise::news),
    (c"supervisionTree", 0, supervise::tree),
    (c"setActorHealth", 2, supervise::set_health),
    (c"sendNamed", 2, supervise::send_named),
    (c"sendPath", 2, supervise::send_path),
    (c"monitor", 3, watching::monitor),
    (c"demonitor", 1, watching::demonitor),
    (c"link", 2, watching::link),
    (c"unlink", 2, watching::unlink),
    (c"setTrapExit", 2, watching::set_trap_exit),
    (c"registerPath", 2, system::register_path),
    (c"unregisterPath", 1, system::unregister_path),
    (c"whereisPath", 1, system::whereis_path),
    (c"listChildren", 2, system::list_children),
    (c"mailboxSize", 1, entries::mailbox_size),
    (c"setCodec", 2, entries::set_codec),
    (c"codecOf", 1, entries::codec_of),
    (c"listActors", 0, entries::list_actors),
    (c"actorInfo", 1, entries::actor_info),
    (c"metrics", 0, entries::metrics),
    (c"lanes", 0, entries::lanes),
    (c"prometheus", 0, entries::prometheus),
    (c"sendAfter", 3, timers::send_after),
    (c"sendInterval", 3, timers::send_interval),
    (c"cancelTimer", 1, timers::cancel_timer),
    (c"hasDelays", 0, timers::has_delays),
    (c"setOverflowPolicy", 3, overflow::set_overflow_policy),
    (c"sendAsync", 3, overflow::send_async),
    (c"forgetSend", 2, overflow::forget_send),
    (c"mailboxBackpressure", 1, overflow::mailbox_backpressure),
    (c"setWatermarks", 2, overflow::set_watermarks),
    (c"setSystemCapacity", 1, overflow::set_system_capacity),
    (c"setMessageCapacity", 1, overflow::set_message_capacity),
    (c"setLoadShedding", 1, overflow::set_load_shedding),
    (c"isLoadSheddingActive", 0, overflow::is_load_shedding_active),
    (c"watchEvents", 1, tracing::watch_events),
    (c"takeNews", 0, tracing::take_news),
    (c"watchPressure", 1, overflow::watch_pressure),
    (c"pressures", 0, overflow::pressures),
    (c"spawnPull", 4, mailbox::spawn_pull),
    (c"pull", 2, mailbox::pull),
    (c"pullSlab", 1, mailbox::pull_slab),
    (c"peek", 2, mailbox::peek),
    (c"takePeeked", 2, mailbox::take_peeked),
    (c"finishPull", 4, mailbox::finish_pull),
    (c"spawnVirtual", 5, virtuals::spawn_virtual),
    (c"hookDone", 1, virtuals::hook_done),
    (c"hookIsDue", 1, virtuals::hook_is_due),
    #[cfg(feature = "vortex")]
    (c"vortexEnter", 4, vortex::enter),
    #[cfg(feature = "vortex")]
    (c"vortexForget", 1, vortex::forget),
    #[cfg(feature = "vortex")]
    (c"vortexBegin", 1, vortex::begin),
    #[cfg(feature = "vortex")]
    (c"vortexGhostAfter", 1, vortex::ghost_after),
    #[cfg(feature = "vortex")]
    (c"vortexGrace", 1, vortex::grace),
    #[cfg(feature = "vortex")]
    (c"vortexStep", 2, vortex::step),
    #[cfg(feature = "vortex")]
    (c"vortexSetPolicy", 1, vortex::set_policy),
    #[cfg(feature = "vortex")]
    (c"vortexPolicy", 0, vortex::policy),
    #[cfg(feature = "vortex")]
    (c"vortexCounts", 0, vortex::counts),
    #[cfg(feature = "vortex")]
    (c"vortexReset", 0, vortex::reset),
    (c"allocateBuffer", 2, buffers::allocate_buffer),
    (c"sendBuffer", 4, buffers::send_buffer),
    (c"freeBuffer", 1, buffers::free_buffer),
    (c"addressOf", 1, buffers::address_of),
    #[cfg(feature = "mesh")]
    (c"configureMesh", 3, mesh::configure_mesh),
    #[cfg(feature = "mesh")]
    (c"listen", 6, mesh::listen),
    #[cfg(feature = "mesh")]
    (c"unlisten", 1, mesh::unlisten),
    #[cfg(feature = "mesh")]
    (c"resolveRemote", 4, mesh::resolve_remote),
    #[cfg(feature = "mesh")]
    (c"isNodeUp", 3, mesh::is_node_up),
    #[cfg(feature = "mesh")]
    (c"remotePid", 3, mesh::remote_pid),
    #[cfg(feature = "mesh")]
    (c"disconnect", 1, mesh::disconnect),
    #[cfg(feature = "mesh")]
    (c"exportPid", 1, mesh::export_pid),
    #[cfg(feature = "mesh")]
    (c"importPid", 1, mesh::import_pid),
    #[cfg(feature = "mesh")]
    (c"isRemote", 1, mesh::is_remote),
    #[cfg(feature = "mesh")]
    (c"lookRemote", 3, mesh::look_remote),
    #[cfg(feature = "mesh")]
    (c"nodes", 0, mesh::nodes),
    #[cfg(feature = "mesh")]
    (c"joinCluster", 6, mesh::join_cluster),
    #[cfg(feature = "mesh")]
    (c"registerCluster", 2, mesh::register_cluster),
    #[cfg(feature = "mesh")]
    (c"listening", 0, mesh::listening),
    #[cfg(feature = "mesh")]
    (c"isMeshSending", 0, mesh::is_mesh_sending),
    #[cfg(feature = "mesh")]
    (c"meshMetrics", 0, mesh::mesh_metrics),
    (c"close", 2, entries::close),
    (c"detach", 2, entries::detach),
    (c"dispose", 0, entries::dispose),
    (c"panic", 0, entries::panic),
];

/// Makes a runtime with a lane for the calling environment, and answers its native functions.
///
/// `wake` is called on this loop when another thread gave the sleeping lane something to do; it does not keep the loop
/// alive.
#[napi]
pub fn create_lane(
    env: Env,
    options: LaneOptions,
    memory: Object<'_>,
    wake: Function<'_, (), ()>,
    make_error: Function<'_, (), ()>,
) -> napi::Result<Object<'static>> {
    let rt = open(&options)
        .map_err(|e| napi::Error::new(Status::GenericFailure, format!("{}: {e}", e.code())))?;
    let wake = wake
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .max_queue_size::<1>()
        .callee_handled::<false>()
        .build()?;
    let armed = Arc::new(AtomicBool::new(false));
    let (here, arm) = (std::thread::current().id(), Arc::clone(&armed));
    let lane = rt.open_lane_of("node", move || {
        if std::thread::current().id() == here {
            // JS looks when the entry that it is in returns.
            arm.store(true, Ordering::Relaxed);
        } else {
            // A full queue means that a wake is on its way; a closing environment needs none.
            let _ = wake.call((), NonBlocking);
        }
    });
    // The owner hears of every failure, who has joined of those of its own actors.
    if options.attach.is_some() {
        lane.take_own_failures();
    } else {
        lane.take_failures();
    }
    lane.take_news();
    lane.watch_delays();
    let part = |name: &str| Shared::of(&env, memory.get_named_property::<Object<'_>>(name)?);
    let memory = Memory {
        ctl: part("ctl")?,
        records: part("records")?,
        senders: part("senders")?,
        stage: part("stage")?,
        out_pids: part("outPids")?,
        out_lengths: part("outLengths")?,
        out_calls: part("outCalls")?,
        call_keys: part("callKeys")?,
        shown: part("shown")?,
        answered: part("answered")?,
        clock: part("clock")?,
        told: part("told")?,
        nudged: FlagMemory::of(&env, memory.get_named_property::<Object<'_>>("nudged")?)?,
    };
    let flags = memory.nudged.flags();
    lane.on_nudge(move |what| flags.raise(what as usize));
    let (id, bounded) = (rt.id(), rt.default_capacity().is_some());
    let home = NEXT_HOME.fetch_add(1, Ordering::Relaxed);
    let make_error = Reference::of(&env, make_error)?;
    let face = Rc::new(Face::new(rt, lane, home, memory, make_error, armed));
    raw::watch_environment(&env, &face);
    let mut lane = raw::bind(&env, &face, ENTRIES)?;
    lane.set("id", f64::from(id))?;
    lane.set("bounded", bounded)?;
    Ok(lane)
}

/// A new runtime, or one that is open already.
fn open(options: &LaneOptions) -> Result<Runtime> {
    if let Some(id) = options.attach {
        face::join_thread(id)?;
        return Runtime::attach(id).inspect_err(|_| face::leave_thread(id));
    }
    let defaults = Config::default();
    let rt = Runtime::new(Config {
        workers: options.workers.map_or(defaults.workers, |n| n as usize),
        stop_timeout: options
            .stop_timeout_ms
            .map_or(defaults.stop_timeout, |ms| Duration::from_secs_f64(ms / 1e3)),
        default_capacity: options.default_capacity,
        ..defaults
    })?;
    face::join_thread(rt.id())?;
    Ok(rt)
}
