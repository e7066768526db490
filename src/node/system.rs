//! System messages and paths: lib/system.js makes objects of what these entries answer.

use super::entries::text;
use super::face::{Face, number, pid};
use super::raw::{Cx, Js, Ret};
use crate::error::Result;
use crate::id::Pid;
use crate::message::{Meta, SystemMessage};
use std::sync::Arc;

/// `[type, from, target, reason, name, value, ...]`.
pub(super) fn system_message<'a>(cx: &Cx<'a>, m: &SystemMessage) -> Js<'a> {
    let mut items = vec![
        cx.str(m.kind.as_str()),
        m.from.map_or_else(|| cx.undefined(), |pid| cx.num(number(pid))),
        cx.num(number(m.target)),
        cx.opt_str(m.reason.map(crate::message::ExitReason::as_str)),
    ];
    for (name, value) in &m.metadata {
        items.push(cx.str(name));
        items.push(match value {
            Meta::Text(text) => cx.str(text),
            Meta::Number(n) => cx.num(*n as f64),
        });
    }
    cx.array(items.into_iter())
}

/// `system(index)`: a message of the batch that is a system message.
pub(super) fn system(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let at = cx.u32(0) as usize;
    let message = inner.batch.envelopes.get(at).and_then(|e| e.payload.as_system().cloned());
    drop(inner);
    Ok(message.map_or(Ret::Null, |m| cx.ret(system_message(cx, &m))))
}

/// `registerPath(path, pid)`
pub(super) fn register_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    face.synced()?.rt.register_path(&path, pid(cx, 1)?)?;
    Ok(Ret::Undefined)
}

/// `unregisterPath(path)`
pub(super) fn unregister_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    Ok(Ret::Bool(face.synced()?.rt.unregister_path(&path)?))
}

/// `whereisPath(path)`: the pid or `null`.
pub(super) fn whereis_path(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let path = text(cx, 0, "path")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    Ok(inner.rt.whereis_path(&path)?.map_or(Ret::Null, |pid| Ret::F64(number(pid))))
}

/// `listChildren(prefix, direct)`: path and pid of each, flat.
pub(super) fn list_children(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let prefix = text(cx, 0, "prefix")?;
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let found = if cx.bool(1) {
        inner.rt.list_children_direct(&prefix)?
    } else {
        inner.rt.list_children(&prefix)?
    };
    drop(inner);
    Ok(cx.ret(pairs(cx, &found)))
}

/// Text and pid of each, flat.
pub(super) fn pairs<'a>(cx: &Cx<'a>, found: &[(Arc<str>, Pid)]) -> Js<'a> {
    let items: Vec<_> =
        found.iter().flat_map(|(path, pid)| [cx.str(path), cx.num(number(*pid))]).collect();
    cx.array(items.into_iter())
}
