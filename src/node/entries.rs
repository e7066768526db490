//! The other entries: spawn, stop, names, crashes, events, reports. Each is convert, call, convert.

use super::face::{Face, TOLD_MAX, ctl, number, pid, pid_or_none};
use super::hot::{call_id, settled};
use super::raw::{Cx, Js, Ret};
use crate::config::SpawnOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::message::{CrashInfo, ExitInfo, LaneEvent, Payload, PullSignal, RuntimeNews};
use crate::runtime::{ActorInfo, Replied};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn text(cx: &Cx<'_>, i: usize, what: &str) -> Result<String> {
    cx.string(i)
        .ok_or_else(|| Error::new(ErrorKind::InvalidType, format!("{what} must be a string")))
}

fn millis(x: Option<f64>) -> Option<Duration> {
    x.filter(|ms| *ms >= 0.0).map(|ms| Duration::from_secs_f64((ms / 1e3).min(1e9)))
}

pub(super) fn crash_info(cx: &Cx<'_>, i: usize) -> CrashInfo {
    CrashInfo { message: cx.string(i).unwrap_or_default(), stack: cx.string(i + 1) }
}

/// What a spawn's first three arguments say: budget, capacity (0: the default), parent (0: none).
pub(super) fn options(cx: &Cx<'_>) -> Result<SpawnOptions> {
    let capacity = cx.u32(1);
    Ok(SpawnOptions {
        budget: cx.u32(0),
        capacity: (capacity != 0).then_some(capacity),
        parent: match cx.f64(2) {
            None | Some(0.0) => None,
            Some(_) => Some(pid(cx, 2)?),
        },
        system: false,
    })
}

/// `spawn(budget, capacity, parent, system)`: answers the pid, whose slot is the key of its handler; negative if the mailbox is bounded.
/// The numbers are checked in JS; 0 capacity is the default.
pub(super) fn spawn(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let (pid, bounded) =
        inner.lane.spawn_keyed_by_slot(SpawnOptions { system: cx.bool(3), ..options(cx)? })?;
    // The slot may have been that of an actor of this batch which another thread has just ended.
    face.note_control(&mut inner);
    Ok(Ret::F64(if bounded { -number(pid) } else { number(pid) }))
}

/// `suspend(index)`: the handler answered a promise.
pub(super) fn suspend(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let inner = &mut *inner;
    let index = cx.u32(0) as usize;
    inner.lane.suspend(&mut inner.batch, index);
    Ok(run_end(inner.batch.run_of(index).map(|at| inner.batch.runs[at].end), index))
}

fn run_end(end: Option<usize>, index: usize) -> Ret {
    Ret::I32(end.unwrap_or(index + 1) as i32)
}

/// `resume(pid)`: the promise was kept; answers whether the lane must be armed.
pub(super) fn resume(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    let arm = inner.lane.resume(pid(cx, 0)?);
    face.note_control(&mut inner);
    Ok(Ret::Bool(arm))
}

/// `crash(index, message, stack)`: the handler threw; answers the end of its run, negative if the actor was gone already.
/// `undefined`: the same message as the last time, and no stack.
///
/// If this was the last message of the batch and there is nothing to tell but ends and starts, they are in `told`, and their
/// number is `ctl[TOLD]`: a restart is asked for in the crossing that told of the crash.
pub(super) fn crash(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let inner = &mut *inner;
    let index = cx.u32(0) as usize;
    let run = inner.batch.run_of(index).map(|at| inner.batch.runs[at]);
    let there = run.is_some_and(|run| inner.rt.mailbox_size(run.pid).is_some());
    let info = match (cx.string(1), &inner.last_crash) {
        (None, Some(last)) => Arc::clone(last),
        (message, _) => {
            Arc::new(CrashInfo { message: message.unwrap_or_default(), stack: cx.string(2) })
        }
    };
    inner.last_crash = info.stack.is_none().then(|| Arc::clone(&info));
    inner.lane.crash(&mut inner.batch, index, info);
    face.note_control(inner);
    let end = run.map_or(index + 1, |run| run.end);
    let mut events = Vec::new();
    // If it was gone, JS reports what was thrown, to a hook that may spawn: no start is at hand then.
    if there
        && end == inner.batch.envelopes.len()
        && inner.lane.take_ends_and_starts(TOLD_MAX, &mut events)
    {
        face.tell(inner, &events);
        face.memory.ctl.set_i32(ctl::TOLD, events.len() as i32);
    }
    let end = end as i32;
    Ok(Ret::I32(if there { end } else { -end }))
}

/// `crashAwaited(pid, message, stack)`: the promise was broken; answers whether the actor was still there.
pub(super) fn crash_awaited(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    let pid = pid(cx, 0)?;
    let there = inner.rt.mailbox_size(pid).is_some();
    inner.lane.crash_awaited(pid, crash_info(cx, 1));
    face.note_control(&mut inner);
    Ok(Ret::Bool(there))
}

/// `crashNow(pid, message, stack)`: something that the actor had begun and did not wait for threw; answers whether the
/// actor was still there.
pub(super) fn crash_now(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.synced() else { return Ok(Ret::Bool(false)) };
    let there = inner.lane.crash_now(pid(cx, 0)?, crash_info(cx, 1));
    face.note_control(&mut inner);
    Ok(Ret::Bool(there))
}

/// `failCall(low, high, message, stack)`: a handler threw on a call; as `reply`.
pub(super) fn fail_call(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let replied = call_id(cx, 0).map_or(Replied::Late, |id| {
        inner.lane.fail_call(id, || {
            let info = crash_info(cx, 2);
            Error::new(ErrorKind::HandlerFailed, info.message).with_stack(info.stack)
        })
    });
    Ok(settled(&replied))
}

/// `cancelCall(low, high)`: the caller gave up; answers whether the call was open.
pub(super) fn cancel_call(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.synced() else { return Ok(Ret::Bool(false)) };
    Ok(Ret::Bool(call_id(cx, 0).is_some_and(|id| inner.lane.cancel_call(id))))
}

/// `cut(index)`: answers the end of the message's run if its actor is gone, else -1.
pub(super) fn cut(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let inner = &mut *inner;
    let end = inner.lane.cut_if_gone(&mut inner.batch, cx.u32(0) as usize);
    Ok(Ret::I32(end.map_or(-1, |e| e as i32)))
}

/// `big(index)`: a message that does not lie in the slab, as a `Buffer`.
pub(super) fn big(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let payload = inner
        .batch
        .envelopes
        .get_mut(cx.u32(0) as usize)
        .map_or(Payload::empty(), |e| std::mem::replace(&mut e.payload, Payload::empty()));
    drop(inner);
    Ok(cx.ret(cx.message(payload)))
}

pub(super) fn exit_items<'a>(cx: &Cx<'a>, info: &ExitInfo) -> [Js<'a>; 4] {
    let crash = info.crash.as_deref();
    [
        cx.num(number(info.pid)),
        cx.str(info.reason.as_str()),
        cx.opt_str(crash.map(|c| c.message.as_str())),
        cx.opt_str(crash.and_then(|c| c.stack.as_deref())),
    ]
}

/// `events()`: what the lane was told, as arrays: `[0, key, Buffer]` or `[1, key, code, message, stack]` for calls,
/// `[2, key, pid, reason, message, stack]` for joins, `[3, key, pid]` for actors to forget, `[4, 0, pid, reason, message,
/// stack]` for failures, the number `4 * key + signal` for pull actors: 0 look, 1 closing, 2 gone; `[6, key, pid, activate]` for the hooks
/// of virtual actors; `[8, 0]`: the runtime is closed, `[8, 1, on]`: whether load is shed; `[9, key, ticket, old]`: call
/// a factory, `[10, key]`: forget it, `[11, ...]`: what a supervisor did; `[12]`: there are events to take.
///
/// `events(true)`: if there is nothing but ends (3) and starts (9), which a storm of crashes makes, they are written to `told`,
/// four numbers each, and the answer is how many there are. The factory of the first start is [at hand](Face::tell) then.
pub(super) fn events(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut events = Vec::new();
    {
        let inner = face.inner()?;
        if cx.bool(0) && inner.lane.take_ends_and_starts(TOLD_MAX, &mut events) {
            face.tell(&inner, &events);
            return Ok(Ret::F64(events.len() as f64));
        }
        inner.lane.take_events(&mut events);
    }
    let items = events.into_iter().map(|e| match e {
        LaneEvent::CallDone { key, outcome: Ok(reply) } => {
            cx.array([cx.num(0.0), cx.num(key as f64), cx.message(reply)].into_iter())
        }
        LaneEvent::CallDone { key, outcome: Err(e) } => cx.array(
            [
                cx.num(1.0),
                cx.num(key as f64),
                cx.str(e.code()),
                cx.str(e.message()),
                cx.opt_str(e.stack()),
            ]
            .into_iter(),
        ),
        LaneEvent::Joined { key, info } => {
            let [pid, reason, message, stack] = exit_items(cx, &info);
            cx.array([cx.num(2.0), cx.num(key as f64), pid, reason, message, stack].into_iter())
        }
        LaneEvent::Gone { pid, key } => {
            cx.array([cx.num(3.0), cx.num(f64::from(key)), cx.num(number(pid))].into_iter())
        }
        LaneEvent::Failed(info) => {
            let [pid, reason, message, stack] = exit_items(cx, &info);
            cx.array([cx.num(4.0), cx.num(0.0), pid, reason, message, stack].into_iter())
        }
        LaneEvent::Events => cx.array([cx.num(12.0), cx.num(0.0)].into_iter()),
        LaneEvent::Pressure => cx.array([cx.num(7.0), cx.num(0.0)].into_iter()),
        LaneEvent::Hook { pid, key, activate } => {
            let items = [6.0, f64::from(key), number(pid), f64::from(u8::from(activate))];
            cx.array(items.map(|n| cx.num(n)).into_iter())
        }
        LaneEvent::Pull { key, signal } => {
            let signal = match signal {
                PullSignal::Ready => 0.0,
                PullSignal::Closing => 1.0,
                PullSignal::Gone => 2.0,
            };
            // The most frequent by far, so it costs no array.
            cx.num(key as f64 * 4.0 + signal)
        }
        LaneEvent::Start { key, ticket, old } => {
            let old = old.map_or_else(|| cx.undefined(), |pid| cx.num(number(pid)));
            let items = [cx.num(9.0), cx.num(key as f64), cx.num(ticket as f64), old];
            cx.array(items.into_iter())
        }
        LaneEvent::Forget { key } => cx.array([cx.num(10.0), cx.num(key as f64)].into_iter()),
        LaneEvent::Supervisor(news) => super::supervise::news_items(cx, &news),
        LaneEvent::Runtime(news) => {
            let (what, on) = match news {
                RuntimeNews::Closed => (0.0, 0.0),
                RuntimeNews::Shedding(on) => (1.0, f64::from(u8::from(on))),
            };
            cx.array([cx.num(8.0), cx.num(what), cx.num(on)].into_iter())
        }
    });
    Ok(cx.ret(cx.array(items)))
}

/// `stop(pid, drain, timeoutMs)`: 0 if it was not alive, 1 if it has ended, 2 if it will.
pub(super) fn stop(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    let stopped = match pid_or_none(cx, 0)? {
        Some(pid) if inner.rt.stop_within(pid, cx.bool(1), millis(cx.f64(2))) => {
            if inner.rt.mailbox_size(pid).is_some() { 2 } else { 1 }
        }
        _ => 0,
    };
    face.note_control(&mut inner);
    Ok(Ret::I32(stopped))
}

/// `kill(pid)`
pub(super) fn kill(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    let killed = pid_or_none(cx, 0)?.is_some_and(|pid| inner.rt.kill(pid));
    face.note_control(&mut inner);
    Ok(Ret::Bool(killed))
}

/// `join(pid, key)`
pub(super) fn join(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    inner.lane.join(pid(cx, 0)?, cx.f64(1).unwrap_or(0.0) as u64);
    Ok(Ret::Undefined)
}

/// `joinMember(pid, key)`: as `join`, of a member of a pool.
pub(super) fn join_member(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    inner.lane.join_member(&inner.rt, pid(cx, 0)?, cx.f64(1).unwrap_or(0.0) as u64);
    Ok(Ret::Undefined)
}

/// `beginReplacement()`: its number; what is spawned until `endReplacement` waits for what is handed over.
pub(super) fn begin_replacement(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(Ret::F64(inner.rt.begin_replacement() as f64))
}

/// `endReplacement(number, old, new)`; `new` 0: nobody takes the place.
pub(super) fn end_replacement(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let ticket = cx.f64(0).unwrap_or(0.0) as u64;
    Ok(Ret::Bool(inner.rt.end_replacement(ticket, pid(cx, 1)?, pid_or_none(cx, 2)?)))
}

/// `forgetJoin(pid, key)`: a waiter gave up; answers whether the join was still to come.
pub(super) fn forget_join(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    Ok(Ret::Bool(inner.lane.forget_join(pid(cx, 0)?, cx.f64(1).unwrap_or(0.0) as u64)))
}

/// `isAlive(pid)`
pub(super) fn is_alive(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(Ret::Bool(pid_or_none(cx, 0)?.is_some_and(|pid| inner.rt.is_alive(pid))))
}

/// `register(name, pid)`
pub(super) fn register(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    face.synced()?.rt.register(&name, pid(cx, 1)?)?;
    Ok(Ret::Undefined)
}

/// `unregister(name)`
pub(super) fn unregister(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    Ok(Ret::Bool(face.synced()?.rt.unregister(&name)?))
}

/// `whereis(name)`: the pid or `null`.
pub(super) fn whereis(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(inner.rt.whereis(&name).map_or(Ret::Null, |pid| Ret::F64(number(pid))))
}

/// `mailboxSize(pid)`: messages, or `null`.
pub(super) fn mailbox_size(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let size = pid_or_none(cx, 0)?.and_then(|pid| inner.rt.mailbox_size(pid));
    Ok(size.map_or(Ret::Null, |n| Ret::F64(n as f64)))
}

/// `setCodec(pid, name)`: what a new actor speaks.
pub(super) fn set_codec(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 1, "codec")?;
    Ok(Ret::Bool(face.inner()?.rt.set_codec(pid(cx, 0)?, name.into())))
}

/// `named(name)`: the pid of who gets what is sent to it, even if that has ended and its replacement is to come.
pub(super) fn named(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(inner.rt.named(&name).map_or(Ret::Null, |pid| Ret::F64(number(pid))))
}

/// `namedByPath(path)`: as `named`.
pub(super) fn named_by_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(inner.rt.named_by_path(&path)?.map_or(Ret::Null, |pid| Ret::F64(number(pid))))
}

/// `codecOf(pid)`: a name; `null`: bytes as they are; `undefined`: the actor has ended; `false`: there was none.
pub(super) fn codec_of(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(inner) = face.inner() else { return Ok(Ret::Bool(false)) };
    let Some(pid) = pid_or_none(cx, 0)? else { return Ok(Ret::Bool(false)) };
    Ok(match inner.rt.codec_of(pid) {
        Some(name) => cx.ret(cx.str(&name)),
        None if inner.rt.mailbox_size(pid).is_some() => Ret::Null,
        None if inner.rt.has_been(pid) => Ret::Undefined,
        None => Ret::Bool(false),
    })
}

/// `listActors()`: pids in the order of their spawns.
pub(super) fn list_actors(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let pids = inner.rt.list_actors();
    Ok(cx.ret(cx.array(pids.into_iter().map(|pid| cx.num(number(pid))))))
}

/// `actorInfo(pid)`: `[state, kind, budget, capacity, queue, highWater, handled, ageMs, names, paths]`,
/// or `null`.
pub(super) fn actor_info(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let Some(info) = pid_or_none(cx, 0)?.and_then(|pid| inner.rt.actor_info(pid)) else {
        return Ok(Ret::Null);
    };
    let ActorInfo {
        state,
        kind,
        budget,
        capacity,
        queue,
        high_water,
        handled,
        age_ms,
        names,
        paths,
        codec,
        lane,
        parent,
        children,
        restarts,
        health,
        ..
    } = info;
    let pid_or_undefined = |p: Option<Pid>| p.map_or(cx.undefined(), |p| cx.num(number(p)));
    let items = [
        cx.str(state),
        cx.str(kind),
        cx.num(f64::from(budget)),
        cx.num(capacity.map_or(0.0, f64::from)),
        cx.num(queue as f64),
        cx.num(f64::from(high_water)),
        cx.num(handled as f64),
        cx.num(age_ms as f64),
        cx.array(names.iter().map(|n| cx.str(n))),
        cx.array(paths.iter().map(|p| cx.str(p))),
        cx.opt_str(codec.as_deref()),
        lane.map_or(cx.undefined(), |(number, _)| cx.num(f64::from(number))),
        cx.opt_str(lane.map(|(_, host)| host)),
        pid_or_undefined(parent),
        cx.array(children.iter().map(|p| cx.num(number(*p)))),
        cx.num(restarts as f64),
        cx.str(health.as_str()),
    ];
    Ok(cx.ret(cx.array(items.into_iter())))
}

/// `metrics()`: group (or `undefined`), name and value of every number, flat.
pub(super) fn metrics(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let mut items = Vec::new();
    inner.rt.metrics().each(|group, name, n| {
        items.extend([cx.opt_str(group), cx.str(name), cx.num(n as f64)]);
    });
    Ok(cx.ret(cx.array(items.into_iter())))
}

/// `lanes()`: number, host, turns, milliseconds held in all and at the longest of every lane, flat.
pub(super) fn lanes(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    inner.count_hold();
    let lanes = inner.rt.metrics().lanes;
    let mut items = Vec::with_capacity(5 * lanes.len());
    for l in &lanes {
        let (h, ms) = (l.holds, |ns: u64| cx.num(ns as f64 / 1e6));
        let number = cx.num(f64::from(l.number));
        items.extend([number, cx.str(l.host), cx.num(h.turns as f64), ms(h.sum_ns)]);
        items.push(ms(h.longest_ns));
    }
    Ok(cx.ret(cx.array(items.into_iter())))
}

/// `prometheus()`: the text exposition of the metrics.
pub(super) fn prometheus(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    inner.count_hold();
    Ok(cx.ret(cx.str(&inner.rt.metrics().prometheus())))
}

/// `close(timeoutMs, key)`: stops everything; the call with `key` is answered when all have ended.
pub(super) fn close(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    let timeout = millis(cx.f64(0)).unwrap_or(Duration::from_secs(5));
    inner.lane.close_runtime(timeout, cx.f64(1).unwrap_or(0.0) as u64);
    face.note_control(&mut inner);
    Ok(Ret::Undefined)
}

/// `detach(timeoutMs, key)`: stops the actors of this thread alone; the call with `key` is answered when all have ended.
pub(super) fn detach(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    let timeout = millis(cx.f64(0)).unwrap_or(Duration::from_secs(5));
    inner.lane.detach(timeout, cx.f64(1).unwrap_or(0.0) as u64);
    face.note_control(&mut inner);
    Ok(Ret::Undefined)
}

/// `panic()`: what a bug of iris' own would do; a test sees that it is an error and not the end of the process.
pub(super) fn panic(_face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    std::panic::panic_any("on purpose")
}

/// `dispose()`: lets go of the core.
pub(super) fn dispose(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    face.dispose();
    Ok(Ret::Undefined)
}
