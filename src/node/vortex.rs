//! The entries of speculation: lib/vortex.js runs the branches, here are their races. Numbers of races, of events and of
//! verdicts are the same there.

use super::entries::text;
use super::face::{Face, Inner, pid};
use super::raw::{Cx, Ret};
use crate::error::Result;
use crate::id::Pid;
use crate::runtime::vortex::{Branch, Event, Hedge, HedgeOptions, Policy, Race, Verdict};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The speculating actors of a lane, and the races that are under way.
#[derive(Default)]
pub(super) struct Races {
    hedges: HashMap<Pid, Arc<Hedge>>,
    open: HashMap<u64, Race>,
    last: u64,
}

const EVENTS: [Event; 7] = [
    Event::Slow,
    Event::Finished(Branch::Primary),
    Event::Finished(Branch::Ghost),
    Event::Failed(Branch::Primary),
    Event::Failed(Branch::Ghost),
    Event::GraceOver,
    Event::Gone,
];

fn number(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Wait => 0,
        Verdict::Start => 1,
        Verdict::Hold => 2,
        Verdict::Commit(Branch::Primary) => 3,
        Verdict::Commit(Branch::Ghost) => 4,
        Verdict::Crash => 5,
        Verdict::Drop => 6,
    }
}

fn span(cx: &Cx<'_>, i: usize) -> Option<Duration> {
    cx.f64(i).filter(|ms| *ms >= 0.0).map(|ms| Duration::from_secs_f64((ms / 1e3).min(1e13)))
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// `vortexEnter(pid, ghostAfterMs, graceMs, maxRate)`: the actor speculates; a negative `ghostAfterMs` is its own 95th
/// percentile.
pub(super) fn enter(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let defaults = HedgeOptions::default();
    let hedge = Hedge::new(HedgeOptions {
        ghost_after: span(cx, 1),
        grace: span(cx, 2).unwrap_or(defaults.grace),
        max_rate: cx.f64(3).unwrap_or(defaults.max_rate),
    })?;
    inner.races.hedges.insert(pid(cx, 0)?, hedge);
    Ok(Ret::Undefined)
}

/// `vortexForget(pid)`: the actor has ended.
pub(super) fn forget(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    inner.races.hedges.remove(&pid(cx, 0)?);
    Ok(Ret::Undefined)
}

/// `vortexBegin(pid)`: the primary of a message begins; answers the number of its race, 0 if the actor has ended.
pub(super) fn begin(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let pid = pid(cx, 0)?;
    let Inner { rt, races, .. } = &mut *inner;
    let Some(hedge) = races.hedges.get(&pid) else { return Ok(Ret::F64(0.0)) };
    races.last += 1;
    races.open.insert(races.last, rt.begin_race(pid, hedge));
    Ok(Ret::F64(races.last as f64))
}

fn race(cx: &Cx<'_>) -> u64 {
    cx.f64(0).unwrap_or(0.0) as u64
}

/// `vortexGhostAfter(race)`: in how many milliseconds to say that the primary is slow; negative: never.
pub(super) fn ghost_after(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let after = inner.races.open.get(&race(cx)).and_then(Race::ghost_after);
    Ok(Ret::F64(after.map_or(-1.0, millis)))
}

/// `vortexGrace(race)`: for how many milliseconds a ghost is held.
pub(super) fn grace(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    Ok(Ret::F64(inner.races.open.get(&race(cx)).map_or(0.0, |race| millis(race.grace()))))
}

/// `vortexStep(race, event)`: answers the verdict; after the last the race is no more.
pub(super) fn step(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let mut inner = face.inner()?;
    let number_of_race = race(cx);
    let event = EVENTS.get(cx.u32(1) as usize).copied().unwrap_or(Event::Gone);
    let open = &mut inner.races.open;
    let verdict = open.get_mut(&number_of_race).map_or(Verdict::Drop, |race| race.step(event));
    if matches!(verdict, Verdict::Commit(_) | Verdict::Crash | Verdict::Drop) {
        open.remove(&number_of_race);
    }
    Ok(Ret::I32(number(verdict)))
}

/// `vortexSetPolicy(name)`: answers whether there is such a policy.
pub(super) fn set_policy(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    let policy = Policy::parse(&text(cx, 0, "policy")?);
    policy.inspect(|policy| inner.rt.vortex().set_policy(*policy));
    Ok(Ret::Bool(policy.is_some()))
}

/// `vortexPolicy()`: the name of the policy in force.
pub(super) fn policy(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    Ok(cx.ret(cx.str(inner.rt.vortex().policy().as_str())))
}

/// `vortexCounts()`: primary wins, ghost wins, replays.
pub(super) fn counts(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    let vortex = inner.rt.vortex();
    let (primary, ghost) = vortex.resolutions();
    let counts = [primary, ghost, vortex.replays()];
    Ok(cx.ret(cx.array(counts.into_iter().map(|n| cx.num(n as f64)))))
}

/// `vortexReset()`: what is counted is 0.
pub(super) fn reset(face: &Face, _: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    inner.rt.vortex().reset();
    Ok(Ret::Undefined)
}
