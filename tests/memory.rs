//! What must leave memory, threads and tables flat. One at a time: they measure the process.

mod support;

use iris::{Context, Message, SpawnOptions};
use std::sync::Mutex;
use std::time::Duration;
use support::*;

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[track_caller]
fn flat(before: usize, allowed: usize) {
    let now = rss();
    assert!(now < before + allowed, "{} KiB more", (now - before) / 1024);
}

#[test]
fn a_join_that_gave_up_leaves_nothing_behind() {
    let _alone = alone();
    let rt = runtime(1);
    let pid = echo(&rt);
    let before = rss();
    for _ in 0..300_000 {
        assert!(rt.join(pid, Some(Duration::ZERO)).expect("may wait").is_none());
    }
    flat(before, 16 << 20);
}

#[test]
fn two_thousand_runtimes_come_and_go_without_a_trace() {
    let _alone = alone();
    let cycle = || {
        let rt = runtime(2);
        let pid = echo(&rt);
        let reply = rt.call_blocking(pid, "x", PATIENCE).expect("a reply");
        assert_eq!(&*reply, b"x");
    };
    (0..200).for_each(|_| cycle());
    until("the threads have ended", || threads() < 30);
    let before = rss();
    (0..2_000).for_each(|_| cycle());
    until("the threads have ended", || threads() < 30);
    flat(before, 24 << 20);
}

#[test]
fn fault_row_44_300_000_spawn_stop_cycles_leave_memory_flat() {
    let _alone = alone();
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let mut cycles = |n: usize| {
        for i in 0..n {
            let pid = host.spawn();
            rt.register("name", pid).expect("it is free");
            assert!(rt.send(pid, [7u8; 64].as_slice()));
            if i % 2 == 0 {
                assert_eq!(host.drain().len(), 1);
            }
            assert!(if i % 3 == 0 { rt.kill(pid) } else { rt.stop(pid) });
            if i % 64 == 0 {
                host.drain();
                host.events.clear();
            }
        }
    };
    cycles(20_000);
    let before = rss();
    cycles(300_000);
    flat(before, 8 << 20);
    let m = rt.metrics();
    assert_eq!((m.actors, m.names, m.timers, m.open_calls), (0, 0, 0, 0));
    rt.audit().expect("the books balance");
}

#[test]
fn fault_row_44_a_million_call_timeouts_at_a_stuck_actor_leave_nothing_behind() {
    let _alone = alone();
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let stuck = host.spawn();
    let mut calls = |n: u64| {
        for i in 0..n {
            let timeout = Duration::from_millis(1 + i % 7);
            host.lane.call(stuck, [7u8; 64].as_slice().into(), timeout, None, i).expect("open");
            if i % 1_000 == 999 {
                pass(&rt, &clock, 8);
                assert_eq!(host.outcomes().len(), 1_000);
            }
        }
    };
    calls(20_000);
    let before = rss();
    calls(1_000_000);
    flat(before, 8 << 20);
    let m = rt.metrics();
    assert_eq!((m.timers, m.open_calls, m.books.call_timeouts), (0, 0, 1_020_000));
    assert!(rt.mailbox_size(stuck).is_some_and(|n| n < 2), "swept");
    assert!(host.drain().is_empty(), "a call that is over is not handed to the handler");
    rt.audit().expect("the books balance");
}

#[test]
fn fault_row_44_a_million_call_timeouts_of_handed_calls_leave_nothing_behind() {
    let _alone = alone();
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let silent = host.spawn();
    let mut calls = |n: u64| {
        for i in 0..n {
            host.lane
                .call(silent, "x".into(), Duration::from_millis(1), None, i)
                .expect("it is open");
            if i % 1_000 == 999 {
                assert_eq!(host.drain().len(), 1_000);
                pass(&rt, &clock, 2);
                assert_eq!(host.outcomes().len(), 1_000);
            }
        }
    };
    calls(20_000);
    let before = rss();
    calls(1_000_000);
    flat(before, 8 << 20);
    let m = rt.metrics();
    assert_eq!((m.timers, m.open_calls, m.books.handled), (0, 0, 1_020_000));
    rt.audit().expect("the books balance");
}

#[test]
fn millions_of_messages_leave_memory_flat() {
    let _alone = alone();
    let rt = runtime(1);
    let pid = rt
        .spawn_with(|_: Message, _: &mut Context<'_>| {}, SpawnOptions::default())
        .expect("an actor");
    let send = |n: usize| {
        for i in 0..n {
            assert!(rt.send(pid, [7u8; 64].as_slice()));
            if i % 10_000 == 0 {
                until("the actor has caught up", || rt.metrics().books.queued == 0);
            }
        }
        quiet(&rt);
    };
    send(500_000);
    let before = rss();
    send(if cfg!(debug_assertions) { 2_000_000 } else { 10_000_000 });
    flat(before, 16 << 20);
}
