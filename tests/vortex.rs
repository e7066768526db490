//! Speculation of Rust actors, and races as hosts run them. Row 41 of the fault catalogue; the arbitration itself is tested in
//! src/vortex/policy.rs.

mod support;

use iris::runtime::vortex::{Branch, Effect, Event, Hedge, HedgeOptions, Policy, Transaction};
use iris::vortex::Verdict;
use iris::{Context, ErrorKind, ExitReason, Message, Payload, Pid, Runtime, SpawnOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::*;

/// An actor that keeps what it gets, and where that comes out.
fn sink(rt: &Runtime) -> (Pid, mpsc::Receiver<String>) {
    let (tx, rx) = mpsc::channel();
    let pid = rt.spawn(move |m: Message, _: &mut Context<'_>| {
        let text = String::from_utf8_lossy(&m.payload).into_owned();
        tx.send(text).expect("the test listens");
    });
    (pid.expect("an actor"), rx)
}

#[test]
fn fault_row_41_a_crash_between_effect_and_commit_leaves_the_effect_once() {
    let rt = runtime(1);
    let (to, heard) = sink(&rt);
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |m: Message, ctx: &mut Context<'_>| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        assert!(ctx.send(to, format!("effect of run {run}")));
        ctx.reply(m.payload)?;
        // In the very place: staged, not committed.
        if run == 0 { Err(thrown("between effect and commit")) } else { Ok(()) }
    };
    let pid = rt.spawn(rt.speculating(handler)).expect("an actor");
    assert_eq!(&*rt.call_blocking(pid, "paid", PATIENCE).expect("the ghost answers"), b"paid");
    rt.send(to, "end");
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("effect of run 1"));
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("end"));
    quiet(&rt);
    assert!(rt.is_alive(pid));
    assert_eq!((rt.vortex().resolutions(), rt.vortex().replays()), ((0, 1), 1));
    // One message was handled once, by whichever branches: the call, the effect and the end.
    assert_eq!(rt.metrics().books.handled, 3);
}

#[test]
fn fault_row_41_both_branches_finish_and_one_commits() {
    let rt = runtime(1);
    for (policy, first, winner) in [
        (Policy::FirstSafePointWins, Branch::Ghost, Branch::Ghost),
        (Policy::FirstSafePointWins, Branch::Primary, Branch::Primary),
        (Policy::PreferPrimary, Branch::Ghost, Branch::Primary),
        (Policy::PreferPrimary, Branch::Primary, Branch::Primary),
    ] {
        let (to, heard) = sink(&rt);
        rt.vortex().set_policy(policy);
        let options = HedgeOptions { ghost_after: Some(Duration::ZERO), ..Default::default() };
        let hedge = Hedge::new(options).expect("valid options");
        let mut race = rt.begin_race(to, &hedge);
        assert_eq!(race.step(Event::Slow), Verdict::Start);
        let mut staged = [Transaction::default(), Transaction::default()];
        for branch in [Branch::Primary, Branch::Ghost] {
            let text = Payload::from(format!("{branch:?}").as_bytes());
            staged[branch as usize].stage(Effect::Send(to, text));
        }
        let second = if first == Branch::Ghost { Branch::Primary } else { Branch::Ghost };
        for branch in [first, second] {
            if let Verdict::Commit(of) = race.step(Event::Finished(branch)) {
                for effect in std::mem::take(&mut staged[of as usize]).into_effects() {
                    let Effect::Send(to, payload) = effect else { panic!("only sends") };
                    assert!(rt.send(to, payload));
                }
            }
        }
        rt.send(to, "end");
        let told: Vec<_> =
            (0..2).map(|_| heard.recv_timeout(PATIENCE).expect("it is told")).collect();
        assert_eq!(told, [format!("{winner:?}"), "end".to_owned()], "{policy:?}, {first:?} first");
    }
    assert_eq!(rt.vortex().resolutions(), (3, 1));
    quiet(&rt);
}

#[test]
fn both_crash_and_the_actor_crashes_with_the_primarys_error() {
    let rt = runtime(1);
    let (to, heard) = sink(&rt);
    let mut run = 0;
    let handler = move |_: Message, ctx: &mut Context<'_>| {
        ctx.send(to, "never");
        run += 1;
        if run == 2 { panic!("the ghost") } else { Err(thrown("the primary")) }
    };
    let pid = rt.spawn(rt.speculating(handler)).expect("an actor");
    let e = rt.call_blocking(pid, "x", PATIENCE).expect_err("nobody answers");
    assert_eq!(e.kind(), ErrorKind::HandlerFailed);
    let info = joined(&rt, pid);
    assert_eq!(info.reason, ExitReason::Crash);
    assert_eq!(info.crash.expect("what was thrown").message, "the primary");
    rt.send(to, "end");
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("end"));
    assert_eq!((rt.vortex().resolutions(), rt.vortex().replays()), ((0, 0), 1));
    quiet(&rt);
}

#[test]
fn what_answers_before_the_safe_point_is_refused_and_the_rest_is_staged_in_order() {
    let rt = runtime(1);
    let (to, heard) = sink(&rt);
    let seen = rt.clone();
    let handler = move |_: Message, ctx: &mut Context<'_>| {
        ctx.send(to, "one");
        ctx.send(to, "two");
        assert!(ctx.stop());
        // None of it has happened.
        assert!(seen.is_alive(ctx.pid()));
        assert_eq!(ctx.monitor(to).expect_err("a reference").kind(), ErrorKind::NotStaged);
        assert_eq!(ctx.link(to).expect_err("it may fail").kind(), ErrorKind::NotStaged);
        Ok(())
    };
    let options = SpawnOptions { system: true, ..SpawnOptions::default() };
    let pid = rt.spawn_with(rt.speculating(handler), options).expect("an actor");
    rt.send(pid, "go");
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    for told in ["one", "two"] {
        assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok(told));
    }
    quiet(&rt);
}

#[test]
fn a_killed_actor_commits_nothing() {
    let rt = runtime(2);
    let (to, heard) = sink(&rt);
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let handler = move |_: Message, ctx: &mut Context<'_>| {
        ctx.send(to, "never");
        begun.send(()).expect("the test listens");
        gate.recv().expect("the test says when");
        Ok(())
    };
    let pid = rt.spawn(rt.speculating(handler)).expect("an actor");
    rt.send(pid, "x");
    begins.recv_timeout(PATIENCE).expect("it begins");
    rt.kill(pid);
    go.send(()).expect("it waits");
    quiet(&rt);
    rt.send(to, "end");
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("end"));
    quiet(&rt);
}

#[test]
fn a_stopping_actor_finishes_and_commits_what_it_handles() {
    let rt = runtime(2);
    let (to, heard) = sink(&rt);
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let handler = move |_: Message, ctx: &mut Context<'_>| {
        ctx.send(to, "the last");
        begun.send(()).expect("the test listens");
        gate.recv().expect("the test says when");
        Ok(())
    };
    let pid = rt.spawn(rt.speculating(handler)).expect("an actor");
    rt.send(pid, "x");
    begins.recv_timeout(PATIENCE).expect("it begins");
    rt.stop(pid);
    go.send(()).expect("it waits");
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("the last"));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    quiet(&rt);
}

#[test]
fn no_ghost_is_begun_for_an_actor_under_pressure() {
    let rt = runtime(1);
    let (gate, begins, go) = gated(&rt);
    rt.send(gate, "x");
    begins.recv_timeout(PATIENCE).expect("it begins");
    let options = HedgeOptions { ghost_after: Some(Duration::ZERO), ..Default::default() };
    let hedge = Hedge::new(options).expect("valid options");
    rt.set_watermarks(1, 2).expect("valid marks");
    rt.send(gate, "y");
    rt.send(gate, "z");
    let mut race = rt.begin_race(gate, &hedge);
    assert_eq!(race.step(Event::Slow), Verdict::Wait);
    rt.set_watermarks(1, 3).expect("valid marks");
    assert_eq!(race.step(Event::Slow), Verdict::Start);
    rt.kill(gate);
    assert_eq!(race.step(Event::Finished(Branch::Ghost)), Verdict::Drop);
    drop(go);
    quiet(&rt);
}
