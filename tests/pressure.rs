//! Who watches hears of every change of a mailbox's level, of no other thing, and whatever the message came by.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use iris::Pressure::{Critical, High, Normal};
use iris::{Overflow, Payload, Pid, Pressure, PressureWatch, Runtime, SpawnOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::*;

fn watch(rt: &Runtime) -> (PressureWatch, Arc<AtomicUsize>) {
    let rings = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&rings);
    let watch = rt.watch_pressure(move || {
        bell.fetch_add(1, Ordering::Relaxed);
    });
    (watch, rings)
}

fn bounded(host: &Host, capacity: u32) -> Pid {
    let options = SpawnOptions { capacity: Some(capacity), ..SpawnOptions::default() };
    host.lane.spawn(0, options).unwrap()
}

fn levels(w: &PressureWatch) -> Vec<Pressure> {
    w.take().into_iter().map(|(_, level)| level).collect()
}

#[test]
fn each_change_is_told_once_in_order_and_the_bell_rings_until_it_is_heard() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let (w, rings) = watch(&rt);
    let a = bounded(&host, 10);
    for _ in 0..12 {
        rt.send(a, "x");
    }
    assert_eq!(rings.load(Ordering::Relaxed), 1, "it was not heard yet");
    assert_eq!(w.take(), [(a, High), (a, Critical)]);
    host.drain();
    assert_eq!(rings.load(Ordering::Relaxed), 2);
    assert_eq!(w.take(), [(a, Normal)]);
    (0..4).for_each(|_| assert!(rt.send(a, "x")));
    host.drain();
    assert!(w.take().is_empty());
    assert_eq!(rings.load(Ordering::Relaxed), 2);
}

#[test]
fn an_actor_that_takes_one_message_a_turn_comes_down_step_by_step() {
    let (rt, _) = frozen();
    let host = Host::open(&rt);
    let (w, _) = watch(&rt);
    let pull = rt.spawn_pull(SpawnOptions { capacity: Some(10), ..Default::default() }, |_| {});
    let pull = pull.unwrap();
    (0..10).for_each(|_| assert!(rt.send(pull, "x")));
    (0..10).for_each(|_| drop(rt.pull(pull)));
    assert_eq!(levels(&w), [High, Critical, High, Normal]);
    drop(host);
}

#[test]
fn unbounded_mailboxes_have_watermarks_that_can_be_moved() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let (w, _) = watch(&rt);
    let a = host.spawn();
    rt.set_watermarks(3, 5).unwrap();
    (0..4).for_each(|_| assert!(rt.send(a, "x")));
    assert_eq!(levels(&w), [High]);
    rt.set_watermarks(2, 4).unwrap();
    assert_eq!(levels(&w), [Critical]);
    rt.set_watermarks(100, 200).unwrap();
    assert_eq!(levels(&w), [Normal]);
    host.drain();
    assert!(w.take().is_empty());
}

#[test]
fn every_way_that_a_message_can_come_is_watched() {
    type Way = fn(&Runtime, &iris::Clock, Pid);
    let ways: [(&str, Way); 5] = [
        ("send", |rt, _, pid| assert!(rt.send(pid, "x"))),
        ("call", |rt, _, pid| {
            rt.call_with(pid, Payload::empty(), Duration::from_secs(1), None, |_| {}).unwrap();
        }),
        ("timer", |rt, clock, pid| {
            rt.send_after(pid, Duration::from_millis(1), "x").unwrap();
            pass(rt, clock, 1);
        }),
        ("interval", |rt, clock, pid| {
            let timer = rt.send_interval(pid, Duration::from_millis(1), "x").unwrap();
            pass(rt, clock, 1);
            rt.cancel_timer(timer);
        }),
        ("send_with", |rt, _, pid| {
            rt.send_with(pid, Payload::empty(), None, |took| assert!(took));
        }),
    ];
    for (name, way) in ways {
        let (rt, clock) = frozen();
        let mut host = Host::open(&rt);
        let (w, _) = watch(&rt);
        let a = bounded(&host, 4);
        (0..4).for_each(|_| way(&rt, &clock, a));
        assert_eq!(levels(&w), [High, Critical], "{name}");
        host.drain();
        assert_eq!(levels(&w), [Normal], "{name}");
    }
}

#[test]
fn what_a_policy_moves_is_watched_at_both_ends() {
    for policy in [Overflow::Redirect as fn(Pid) -> Overflow, Overflow::Spill] {
        let (rt, _) = frozen();
        let host = Host::open(&rt);
        let (w, _) = watch(&rt);
        let (a, b) = (bounded(&host, 2), bounded(&host, 2));
        rt.set_overflow_policy(a, policy(b)).unwrap();
        (0..4).for_each(|_| assert!(rt.send(a, "x")));
        assert_eq!(w.take(), [(a, High), (a, Critical), (b, High), (b, Critical)]);
    }
}

#[test]
fn who_waits_for_room_keeps_the_level_up() {
    let (rt, _) = frozen();
    let (w, _) = watch(&rt);
    let options = SpawnOptions { capacity: Some(2), ..Default::default() };
    let a = rt.spawn_pull(options, |_| {}).unwrap();
    rt.set_overflow_policy(a, Overflow::Block).unwrap();
    (0..2).for_each(|_| assert!(rt.send(a, "x")));
    rt.send_with(a, Payload::empty(), None, |took| assert!(took));
    assert_eq!(levels(&w), [High, Critical]);
    drop(rt.pull(a));
    assert!(w.take().is_empty(), "the next has taken the place");
    (0..2).for_each(|_| drop(rt.pull(a)));
    assert_eq!(levels(&w), [High, Normal]);
}

#[test]
fn calls_whose_deadline_has_passed_bring_the_level_down() {
    let (rt, clock) = frozen();
    let host = Host::open(&rt);
    let (w, _) = watch(&rt);
    let a = bounded(&host, 4);
    for _ in 0..4 {
        rt.call_with(a, Payload::empty(), Duration::from_millis(1), None, |_| {}).unwrap();
    }
    assert_eq!(levels(&w), [High, Critical]);
    pass(&rt, &clock, 1);
    assert_eq!(levels(&w), [Normal]);
}

#[test]
fn a_mailbox_that_is_full_when_the_watch_begins_is_told_and_none_after_it_ends() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let a = bounded(&host, 2);
    (0..2).for_each(|_| assert!(rt.send(a, "x")));
    let (first, _) = watch(&rt);
    let (second, rings) = watch(&rt);
    assert_eq!(first.take(), [(a, Critical)]);
    drop(first);
    assert!(second.take().is_empty(), "nothing has changed since");
    host.drain();
    assert_eq!(second.take(), [(a, Normal)]);
    drop(second);
    let before = rings.load(Ordering::Relaxed);
    (0..2).for_each(|_| assert!(rt.send(a, "x")));
    host.drain();
    assert_eq!(rings.load(Ordering::Relaxed), before);
    quiet(&rt);
}

#[test]
fn a_bell_may_use_the_runtime_and_threads_may_flood() {
    let rt = runtime(2);
    let inside = rt.clone();
    let sink = rt
        .spawn_with(
            |_: iris::Message, _: &mut iris::Context<'_>| {},
            SpawnOptions { capacity: Some(16), ..Default::default() },
        )
        .unwrap();
    let w = rt.watch_pressure(move || {
        let _ = inside.mailbox_size(sink);
    });
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                (0..20_000).for_each(|_| {
                    rt.send(sink, "x");
                })
            });
        }
        let mut last = Normal;
        for _ in 0..200 {
            for (_, level) in w.take() {
                assert_ne!(level, last, "only changes are told");
                last = level;
            }
            std::thread::yield_now();
        }
    });
    quiet(&rt);
    rt.stop(sink);
}

#[test]
fn a_watcher_that_never_listens_costs_a_bounded_amount() {
    let (rt, _) = frozen();
    let (w, _) = watch(&rt);
    let options = SpawnOptions { capacity: Some(1), ..Default::default() };
    let a = rt.spawn_pull(options, |_| {}).unwrap();
    for _ in 0..50_000 {
        assert!(rt.send(a, "x"));
        drop(rt.pull(a));
    }
    let told = w.take();
    assert_eq!((told.len(), told.last()), (65_536, Some(&(a, Normal))));
}
