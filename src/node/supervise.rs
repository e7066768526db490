//! Supervisors: lib/supervisors.js keeps the factories and calls them.

use super::entries::text;
use super::face::{Face, number, pid};
use super::hot::answer;
use super::raw::{Cx, Js, Ret};
use crate::error::Result;
use crate::id::Pid;
use crate::message::{Payload, SupervisorNews};
use crate::runtime::{Backoff, ChildOptions, Health, Restart, Strategy, SupervisorOptions};

/// `createPathSupervisor(path, strategy, maxRestarts, withinMs, restart, backoff)`: all but the path may be `undefined`;
/// `backoff` is four doubles as bytes. Answers whether it is new.
pub(super) fn create(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let part = |b: &[u8], i: usize| {
        b.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()).map_or(0.0, f64::from_le_bytes)
    };
    let options = SupervisorOptions {
        strategy: cx.string(1).map(|s| Strategy::parse(&s)).transpose()?,
        max_restarts: cx.f64(2).map(|n| n as u32),
        within_ms: cx.f64(3).map(|ms| ms as u64),
        restart: cx.string(4).map(|s| Restart::parse(&s)).transpose()?,
        backoff: cx.with_bytes(5, |b| Backoff {
            initial_ms: part(b, 0),
            max_ms: part(b, 1),
            factor: part(b, 2),
            jitter: part(b, 3),
        }),
    };
    Ok(Ret::Bool(face.synced()?.rt.create_path_supervisor(&path, options)?))
}

/// `removePathSupervisor(path)`
pub(super) fn remove(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    Ok(Ret::Bool(face.synced()?.rt.remove_path_supervisor(&path)?))
}

/// `superviseWatch(path, pid)`
pub(super) fn watch(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    face.synced()?.rt.path_supervisor_watch(&path, pid(cx, 1)?)?;
    Ok(Ret::Undefined)
}

/// `superviseFactory(path, pid, key, strategy, restart, id)`: the last three may be `undefined`.
pub(super) fn factory(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let inner = face.synced()?;
    let make = inner.lane.factory(cx.f64(2).unwrap_or(0.0) as u64);
    let child = ChildOptions {
        id: cx.string(5).map(Into::into),
        restart: cx.string(4).map(|s| Restart::parse(&s)).transpose()?.unwrap_or_default(),
        strategy: cx.string(3).map(|s| Strategy::parse(&s)).transpose()?,
    };
    let none = SupervisorOptions::default();
    inner.rt.path_supervise_with_factory(&path, pid(cx, 1)?, make, child, none)?;
    Ok(Ret::Undefined)
}

fn pids<'a>(cx: &Cx<'a>, pids: Vec<Pid>) -> Js<'a> {
    cx.array(pids.into_iter().map(|pid| cx.num(number(pid))))
}

/// `supervisorChildren(path)`
pub(super) fn children(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(cx.ret(pids(cx, inner.rt.path_supervisor_children(&path)?)))
}

/// `terminateChild(path, pid)`
pub(super) fn terminate(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let mut inner = face.synced()?;
    let was = inner.rt.terminate_child(&path, pid(cx, 1)?)?;
    face.note_control(&mut inner);
    Ok(Ret::Bool(was))
}

/// `watchPath(prefix)`
pub(super) fn watch_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let prefix = text(cx, 0, "prefix")?;
    Ok(Ret::F64(face.synced()?.rt.watch_path(&prefix)? as f64))
}

/// `childPids()`
pub(super) fn child_pids(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(cx.ret(pids(cx, inner.rt.child_pids())))
}

/// `startAtHand(ticket)`: what is spawned from now on is the outcome of this start; 0: of none.
pub(super) fn start_at_hand(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    if let Ok(inner) = face.inner() {
        inner.rt.set_start_at_hand(cx.f64(0).unwrap_or(0.0) as u64);
    }
    Ok(Ret::Undefined)
}

/// `startOver(ticket, pid, message)`: what the factory answered, or why there is no replacement.
pub(super) fn start_over(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let Ok(mut inner) = face.synced() else { return Ok(Ret::Undefined) };
    inner.rt.set_start_at_hand(0);
    let outcome = match cx.string(2) {
        Some(message) => Err(message),
        None => pid(cx, 1).map_err(|e| e.message().to_owned()),
    };
    inner.rt.start_over(cx.f64(0).unwrap_or(0.0) as u64, outcome);
    face.note_control(&mut inner);
    Ok(Ret::Undefined)
}

/// `supervisorNews()`: from now on what supervisors do comes as events.
pub(super) fn news(face: &Face, _cx: &Cx<'_>) -> Result<Ret> {
    face.inner()?.lane.take_supervisor_news();
    Ok(Ret::Undefined)
}

/// `[11, 0, event, path, id, old, new, reason, message, stack, restarts]`
pub(super) fn news_items<'a>(cx: &Cx<'a>, n: &SupervisorNews) -> Js<'a> {
    let or_undefined = |pid: Option<Pid>| pid.map_or_else(|| cx.undefined(), |p| cx.num(number(p)));
    let crash = n.crash.as_deref();
    let items = [
        cx.num(11.0),
        cx.num(0.0),
        cx.str(n.event.as_str()),
        cx.str(&n.path.to_string()),
        cx.opt_str(n.id.as_deref()),
        or_undefined(n.old),
        or_undefined(n.new),
        cx.str(n.reason.as_str()),
        cx.opt_str(crash.map(|c| c.message.as_str())),
        cx.opt_str(crash.and_then(|c| c.stack.as_deref())),
        cx.num(n.restarts as f64),
    ];
    cx.array(items.into_iter())
}

/// `sendNamed(name, bytes)`: as `send`.
pub(super) fn send_named(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    let inner = face.synced()?;
    let payload = cx.with_bytes(1, |b| Payload::from(b)).unwrap_or(Payload::empty());
    Ok(answer(inner.lane.send_named(&name, payload)))
}

/// `sendPath(path, bytes)`: as `send`.
pub(super) fn send_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let inner = face.synced()?;
    let payload = cx.with_bytes(1, |b| Payload::from(b)).unwrap_or(Payload::empty());
    Ok(answer(inner.lane.send_path(&path, payload)?))
}

/// `supervisionTree()`: for each supervisor its path, strategy, restarts, window, and its children as arrays of id, pid,
/// restart type, restarts, and whether there is a factory.
pub(super) fn tree(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let tree = inner.rt.supervision_tree();
    let sups = tree.iter().map(|sup| {
        let children = sup.children.iter().map(|c| {
            let pid = c.pid.map_or(cx.undefined(), |p| cx.num(number(p)));
            let replaced = cx.num(f64::from(u8::from(c.has_factory)));
            let id = cx.opt_str(c.id.as_deref());
            let restart = cx.str(c.restart.as_str());
            cx.array([id, pid, restart, cx.num(c.restarts as f64), replaced].into_iter())
        });
        let children: Vec<_> = children.collect();
        let items = [
            cx.str(&sup.path.to_string()),
            cx.str(sup.strategy.as_str()),
            cx.num(f64::from(sup.max_restarts)),
            cx.num(sup.within_ms as f64),
            cx.array(children.into_iter()),
        ];
        cx.array(items.into_iter())
    });
    let sups: Vec<_> = sups.collect();
    Ok(cx.ret(cx.array(sups.into_iter())))
}

/// `setActorHealth(pid, health)`
pub(super) fn set_health(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let health = Health::parse(&text(cx, 1, "health")?)?;
    face.synced()?.rt.set_actor_health(pid(cx, 0)?, health)?;
    Ok(Ret::Undefined)
}
