//! Spawns, ends and dead letters: lib/tracing.js tells them.

use super::entries::exit_items;
use super::face::{Face, number};
use super::raw::{Cx, Ret};
use crate::error::Result;
use crate::runtime::Event;

/// Events that `takeNews` answers at most at once: the time slice is looked at in between.
const NEWS: usize = 64;

/// `watchEvents(kinds)`: from now on these are told by an event; 0: none.
pub(super) fn watch_events(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.synced()?;
    inner.rt.check_open()?;
    let kinds = cx.f64(0).unwrap_or(0.0) as u8;
    // The new one first: nothing is missed in between.
    let watch = (kinds != 0).then(|| inner.lane.watch_events(kinds));
    inner.events = watch;
    Ok(Ret::Undefined)
}

/// `takeNews()`: arrays of `[0, pid, parent]` (spawned), `[1, pid, reason, message, stack]` (ended) and
/// `[2, pid, reason, data, sender, isCall]` (dead letter) and `[3, id, address, reason]` (a node is up, or down for a reason).
pub(super) fn take_news(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let news = inner.events.as_ref().map(|w| w.take(NEWS).0).unwrap_or_default();
    drop(inner);
    let items = news.into_iter().map(|event| match event {
        Event::Spawned { pid, parent } => {
            let parent = parent.map_or(cx.undefined(), |p| cx.num(number(p)));
            cx.array([cx.num(0.0), cx.num(number(pid)), parent].into_iter())
        }
        Event::Ended(info) => {
            let [pid, reason, message, stack] = exit_items(cx, &info);
            cx.array([cx.num(1.0), pid, reason, message, stack].into_iter())
        }
        Event::DeadLetter(dead) => cx.array(
            [
                cx.num(2.0),
                cx.num(number(dead.pid)),
                cx.str(dead.reason.as_str()),
                dead.payload.map_or(cx.undefined(), |p| cx.message(p)),
                dead.sender.map_or(cx.undefined(), |p| cx.num(number(p))),
                cx.num(f64::from(u8::from(dead.is_call))),
            ]
            .into_iter(),
        ),
        Event::Node(node) => {
            let reason = cx.opt_str(node.down.map(|why| why.as_str()));
            let address = cx.opt_str(node.address.as_deref());
            cx.array([cx.num(3.0), cx.str(&node.id), address, reason].into_iter())
        }
    });
    Ok(cx.ret(cx.array(items.collect::<Vec<_>>().into_iter())))
}
