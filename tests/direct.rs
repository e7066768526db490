//! Messages that the host hands over itself: when it may, and what the core makes of it.

mod support;

use iris::message::LaneEvent;
use iris::runtime::{InHand, Replied};
use iris::{CrashInfo, ErrorKind, ExitReason, Pid, Runtime, SpawnOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Host, frozen, pass, quiet, runtime};

/// Takes what is there; whether the host may go on itself.
fn take(host: &mut Host) -> bool {
    host.lane.take_direct(&mut host.batch, 16, |_| true)
}

fn settle(host: &mut Host) {
    let all = host.batch.envelopes.len();
    host.lane.settle(&mut host.batch, all, all);
}

/// Whether the host may go on itself when `pid` has got a message.
fn granted(rt: &Runtime, host: &mut Host, pid: Pid) -> bool {
    assert!(rt.send(pid, "x"));
    let granted = take(host);
    host.lane.end_direct();
    settle(host);
    granted
}

#[test]
fn a_host_may_hand_over_itself_while_it_holds_all_that_waits_and_nobody_else_interferes() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let pids = [host.spawn(), host.spawn()];
    assert!(!take(&mut host), "there is nothing");
    assert!(granted(&rt, &mut host, pids[0]));

    let small = SpawnOptions { budget: 1, ..SpawnOptions::default() };
    let slow = host.lane.spawn(9, small).expect("an actor");
    assert!(rt.send(slow, "1") && rt.send(slow, "2"));
    assert!(!take(&mut host), "a message waits for its actor's next turn");
    settle(&mut host);
    assert!(take(&mut host));
    host.lane.end_direct();
    settle(&mut host);

    let watch = rt.watch_pressure(|| {});
    assert!(!granted(&rt, &mut host, pids[0]), "somebody watches mailboxes");
    drop(watch);
    rt.set_load_shedding(true);
    assert!(!granted(&rt, &mut host, pids[0]), "load is shed");
    rt.set_load_shedding(false);
    let nudged = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&nudged);
    host.lane.on_nudge(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
    });
    let other = Host::open(&rt);
    assert!(nudged.load(Ordering::SeqCst) > 0, "it is told that it is not alone any more");
    assert!(!granted(&rt, &mut host, pids[0]), "another thread may end its actors");
    other.lane.close();
    assert!(granted(&rt, &mut host, pids[0]), "it is alone again");
    quiet(&rt);
}

#[test]
fn what_was_handed_over_is_in_the_books_and_what_is_in_hand_is_a_batch() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let [a, b] = [host.spawn(), host.spawn()];
    assert!(rt.send(a, "x") && take(&mut host));
    assert!(host.batch.runs[0].plain > 0);
    let hand = InHand { pid: a, sender: Some(b), call: None };
    assert_eq!(host.lane.handed_over(&mut host.batch, [b, a, b].into_iter(), 0, Some(hand)), None);
    let m = rt.metrics().books;
    assert_eq!((m.accepted, m.handled, m.in_flight, m.queued), (5, 4, 1, 0));
    rt.audit().expect("the books balance");
    let info = rt.actor_info(b).expect("alive");
    assert_eq!((info.handled, info.high_water, info.state), (2, 1, "idle"));
    assert_eq!(rt.actor_info(a).expect("alive").state, "running");
    assert_eq!(host.batch.envelopes[0].sender, Some(b));

    // It may throw like any other.
    host.lane.crash(&mut host.batch, 0, CrashInfo::default());
    settle(&mut host);
    assert!(!rt.is_alive(a));
    let m = rt.metrics().books;
    assert_eq!(m.dead[ExitReason::Crash as usize], 1);
    quiet(&rt);
}

#[test]
fn an_idle_actor_that_another_thread_stops_ends_with_the_next_look() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let [a, idle, drained] = [host.spawn(), host.spawn(), host.spawn()];
    assert!(rt.send(a, "x") && take(&mut host));
    let other = rt.clone();
    let stopped = std::thread::spawn(move || other.stop(idle) && other.stop_drain(drained));
    assert!(stopped.join().expect("no panic"));
    assert!(!rt.is_alive(idle) && rt.actor_info(idle).is_some());
    host.lane.end_direct();
    assert!(rt.actor_info(idle).is_none() && rt.actor_info(drained).is_none());
    settle(&mut host);
    quiet(&rt);
}

#[test]
fn a_call_in_hand_is_open_and_those_that_were_answered_are_counted() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let a = host.spawn();
    assert!(rt.send(a, "x") && take(&mut host));
    let due_ns = clock.now_ns() + 5_000_000;
    let hand = InHand { pid: a, sender: None, call: Some((7, due_ns)) };
    let call = host.lane.handed_over(&mut host.batch, [a, a].into_iter(), 2, Some(hand));
    let call = call.expect("it is open");
    let m = rt.metrics().books;
    assert_eq!((m.calls, m.accepted, m.handled, m.in_flight), (3, 4, 3, 1));
    assert_eq!(host.lane.key_of_call(call), Some(7));
    host.lane.suspend(&mut host.batch, 0);
    settle(&mut host);
    pass(&rt, &clock, 6);
    host.lane.take_events(&mut host.events);
    assert!(matches!(
        host.events[..],
        [LaneEvent::CallDone { key: 7, outcome: Err(ref e) }] if e.kind() == ErrorKind::Timeout
    ));
    assert_eq!(host.lane.reply(call, || "late".into()), Replied::Late);
    let _ = host.lane.resume(a);
    quiet(&rt);
}

#[test]
fn a_lane_may_hand_over_in_its_sleep_and_is_woken_for_what_it_owes() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let a = host.spawn();
    assert!(rt.send(a, "x") && take(&mut host));
    settle(&mut host);
    assert!(!take(&mut host));
    assert_eq!(host.lane.try_sleep_direct(), Some(true));
    let wakes = host.wakes.load(Ordering::SeqCst);
    let other = rt.clone();
    std::thread::spawn(move || assert!(other.stop(a))).join().expect("no panic");
    assert_eq!(host.wakes.load(Ordering::SeqCst), wakes + 1);
    assert!(rt.actor_info(a).is_some());
    assert_eq!(host.lane.handed_over(&mut host.batch, [a].into_iter(), 0, None), None);
    assert!(rt.actor_info(a).is_none());
    quiet(&rt);
}

#[test]
fn what_others_give_is_noticed_and_a_stop_waits_for_the_message_in_hand() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let nudged = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&nudged);
    host.lane.on_nudge(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
    });
    let [a, b] = [host.spawn(), host.spawn()];
    assert!(rt.send(a, "x") && take(&mut host));
    let other = rt.clone();
    std::thread::spawn(move || {
        assert!(other.send(b, "another's"));
        assert!(other.stop(a));
    })
    .join()
    .expect("no panic");
    assert!(nudged.load(Ordering::SeqCst) >= 2);
    assert!(rt.actor_info(a).is_some(), "its handler may be running");
    let mut events: Vec<LaneEvent> = Vec::new();
    host.lane.take_events(&mut events);
    assert!(events.is_empty());
    let hand = InHand { pid: a, sender: None, call: None };
    assert_eq!(host.lane.handed_over(&mut host.batch, [b].into_iter(), 0, Some(hand)), None);
    assert_eq!(rt.metrics().books.handled, 2);
    assert!(rt.actor_info(a).is_some(), "its handler is running");
    settle(&mut host);
    assert!(rt.actor_info(a).is_none());
    assert!(!take(&mut host), "its end is told first");
    assert_eq!(host.batch.envelopes.len(), 1);
    settle(&mut host);
    quiet(&rt);
}

#[test]
fn a_pull_actor_is_shown_what_stays_in_its_mailbox_until_it_has_been_given() {
    let rt = runtime(1);
    let host = Host::open(&rt);
    let (pid, _) = host.lane.spawn_pull_keyed(SpawnOptions::default(), 1).expect("an actor");
    let shown = |most: usize| {
        let mut seen = Vec::new();
        let answer = host.lane.look_ahead(pid, |e| {
            let fits = seen.len() < most;
            if fits {
                seen.push(e.payload[0]);
            }
            fits
        });
        assert_eq!(answer.0, seen.len());
        (seen, answer.1)
    };
    let heard = || {
        let mut events = Vec::new();
        host.lane.take_events(&mut events);
        events.len()
    };
    assert_eq!(shown(8), (vec![], false), "there is nothing, and nobody waits for it");
    for n in 0..5u8 {
        assert!(rt.send(pid, [n].as_slice()));
    }
    assert_eq!(heard(), 0, "it has not looked yet");
    assert_eq!(shown(3), (vec![0, 1, 2], false));
    assert_eq!(rt.mailbox_size(pid), Some(5));
    host.lane.looked_ahead(pid, 2);
    assert_eq!(rt.mailbox_size(pid), Some(3));
    assert_eq!(rt.metrics().books.handled, 2);
    assert_eq!(shown(8), (vec![2, 3, 4], true));
    assert!(rt.send(pid, [5].as_slice()));
    assert_eq!(heard(), 1, "all was shown: it is told of the next, once");
    assert!(rt.send(pid, [6].as_slice()));
    assert_eq!(heard(), 0);
    host.lane.looked_ahead(pid, 3);
    assert_eq!(shown(8), (vec![5, 6], true));

    let other = Host::open(&rt);
    assert_eq!(shown(8), (vec![], false), "another thread may end it");
    other.lane.close();
    rt.kill(pid);
    host.lane.looked_ahead(pid, 1);
    let books = rt.metrics().books;
    let killed = books.dead[ExitReason::Killed as usize];
    assert_eq!((books.handled, killed), (5, 2), "it ended before that was told");
}
