//! The rows of the fault catalogue that concern Rust actors and the core; each test names its row. Row 44, the long one,
//! is in `memory.rs`.

mod support;

use iris::message::{Envelope, LaneEvent};
use iris::{
    Context, Error, ErrorKind, ExitReason, Message, Payload, Replied, SpawnOptions, Swappable,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn fault_row_1_an_error_of_a_handler_ends_its_actor_with_crash_and_nothing_else() {
    let rt = runtime(1);
    let (tx, failures) = mpsc::channel();
    rt.on_failure(move |info| tx.send(info).expect("the test listens"));
    let neighbour = echo(&rt);
    let pid = rt
        .spawn(Fallible(|m: Message, _: &mut Context<'_>| match &*m.payload {
            b"bad" => Err(thrown("bad input")),
            _ => Ok(()),
        }))
        .expect("an actor");
    let (gate, begins, go) = gated(&rt);
    assert!(rt.send(gate, "x"));
    begins.recv().expect("the only worker is busy");
    for m in ["good", "bad", "never handled"] {
        assert!(rt.send(pid, m));
    }
    drop(go);
    let info = joined(&rt, pid);
    assert_eq!(info.reason, ExitReason::Crash);
    assert_eq!(info.crash.expect("what was thrown").message, "bad input");
    assert_eq!(failures.recv_timeout(PATIENCE).expect("an error never vanishes").pid, pid);
    assert_eq!(&*rt.call_blocking(neighbour, "on", PATIENCE).expect("it goes on"), b"on");
    quiet(&rt);
    let b = rt.metrics().books;
    assert_eq!((b.handled, b.dead[ExitReason::Crash as usize]), (3, 2));
}

#[test]
fn fault_row_1_an_error_in_a_call_rejects_the_call_with_it() {
    let rt = runtime(1);
    let pid = rt
        .spawn(Fallible(|_: Message, _: &mut Context<'_>| Err(thrown("no such row"))))
        .expect("an actor");
    let e = rt.call_blocking(pid, "x", PATIENCE).expect_err("it fails");
    assert_eq!(e.kind(), ErrorKind::HandlerFailed);
    assert!(e.message().contains("no such row"), "{e}");
    assert_eq!(e.stack(), Some("at line 1"));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Crash);
    quiet(&rt);
}

#[test]
fn fault_row_1_a_hosts_handler_that_throws_at_once_or_later_ends_its_actor() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    host.lane.take_failures();
    let (now, later) = (host.spawn(), host.spawn());
    for pid in [now, later] {
        assert!(rt.send(pid, "1") && rt.send(pid, "2"));
    }
    host.run(|_, pid, _| if pid == now { Step::Throw } else { Step::Promise });
    host.lane.crash_awaited(later, thrown("later").0);
    host.lane.crash_awaited(later, thrown("twice").0);
    host.drain();
    let failed: Vec<_> = host
        .events
        .iter()
        .filter_map(|e| match e {
            LaneEvent::Failed(info) => Some((info.pid, info.reason)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [(now, ExitReason::Crash), (later, ExitReason::Crash)]);
    rt.audit().expect("the books balance");
    assert_eq!(rt.metrics().books.dead[ExitReason::Crash as usize], 4);
}

#[test]
fn fault_row_2_a_panic_of_a_handler_ends_its_actor_with_panic() {
    let rt = runtime(1);
    let pid = rt.spawn(|_: Message, _: &mut Context<'_>| panic!("on purpose")).expect("an actor");
    let e = rt.call_blocking(pid, "x", PATIENCE).expect_err("it fails");
    assert_eq!(e.kind(), ErrorKind::HandlerFailed);
    let info = joined(&rt, pid);
    assert_eq!(info.reason, ExitReason::Panic);
    assert_eq!(info.crash.expect("what it said").message, "on purpose");
    quiet(&rt);
}

/// Panics when it is dropped.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("a Drop, on purpose");
    }
}

#[test]
fn fault_row_2_a_panic_of_a_callback_stops_no_thread_of_the_core() {
    let rt = runtime(1);
    rt.on_failure(|_| panic!("a hook, on purpose"));
    for _ in 0..3 {
        // The only worker runs a sink, a hook and a Drop that panic.
        let spiteful = Spiteful;
        let pid = rt
            .spawn(Fallible(move |_: Message, _: &mut Context<'_>| {
                let _held = &spiteful;
                Err(thrown("x"))
            }))
            .expect("an actor");
        rt.on_exit(pid, |_| panic!("a sink, on purpose"));
        assert!(rt.send(pid, "x"));
        assert_eq!(joined(&rt, pid).reason, ExitReason::Crash);
        // The timer thread gives an outcome to a sink that panics.
        let mute = mute(&rt);
        let call = rt.call_with(mute, Payload::empty(), Duration::ZERO, None, |_| {
            panic!("an outcome, on purpose")
        });
        call.expect("it is open");
        let e = rt.call_blocking(mute, "x", Duration::from_millis(2)).expect_err("nobody answers");
        assert_eq!(e.kind(), ErrorKind::Timeout);
        let fine = echo(&rt);
        assert_eq!(&*rt.call_blocking(fine, "x", PATIENCE).expect("the worker lives"), b"x");
    }
    quiet(&rt);
}

#[test]
fn fault_row_2_a_panic_of_a_lanes_waker_does_not_reach_the_sender() {
    let (rt, _) = frozen();
    let lane = rt.open_lane(|| panic!("a waker, on purpose"));
    let pid = lane.spawn(0, SpawnOptions::default()).expect("an actor");
    assert!(rt.send(pid, "x"));
}

#[test]
fn fault_row_9_a_reply_after_the_deadline_is_dropped_and_counted() {
    let (rt, clock) = frozen();
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let pid = rt
        .spawn(move |_: Message, ctx: &mut Context<'_>| {
            begun.send(()).expect("the test listens");
            gate.recv().expect("the test says when");
            let late = ctx.reply("late").expect_err("too late");
            assert_eq!(late.kind(), ErrorKind::StaleReply);
        })
        .expect("an actor");
    let (tx, outcome) = mpsc::channel();
    rt.call_with(pid, Payload::empty(), SECOND, None, move |o| tx.send(o).expect("heard"))
        .expect("it is open");
    begins.recv().expect("it has begun");
    pass(&rt, &clock, 1_000);
    let e = outcome.recv_timeout(PATIENCE).expect("an outcome").expect_err("no reply");
    assert_eq!(e.kind(), ErrorKind::Timeout);
    go.send(()).expect("it waits");
    quiet(&rt);
    assert!(outcome.try_recv().is_err(), "one outcome");
    let m = rt.metrics();
    assert_eq!((m.books.late_replies, m.books.handled, m.open_calls), (1, 1, 0));
    assert!(rt.is_alive(pid));
}

#[test]
fn fault_row_10_a_caller_that_dies_in_mid_call_gets_no_reply_and_leaves_nothing() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let (caller, callee) = (host.spawn(), host.spawn());
    host.lane.call(callee, "x".into(), SECOND, Some(caller), 1).expect("it is open");
    let mut held = Vec::new();
    host.run(|_, _, e: &Envelope| {
        held.extend(e.call);
        Step::Return
    });
    rt.kill(caller);
    assert_eq!(host.lane.reply(held[0], Payload::empty), Replied::Late);
    let outcomes = host.outcomes();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].1.as_ref().expect_err("no reply").kind(), ErrorKind::ActorExited);
    let m = rt.metrics();
    assert_eq!((m.books.late_replies, m.open_calls, m.timers), (1, 0, 0));
    rt.audit().expect("the books balance");
}

#[test]
fn fault_row_11_a_call_cycle_ends_at_its_deadline_and_both_live_on() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let (a, b) = (host.spawn(), host.spawn());
    // Each handler calls the other and awaits the answer.
    host.lane.call(a, "start".into(), 5 * SECOND, None, 0).expect("it is open");
    let mut key = 0;
    let mut held = Vec::new();
    host.run(|lane, pid, e| {
        key += 1;
        held.extend(e.call.map(|id| (pid, id)));
        let other = if pid == a { b } else { a };
        lane.call(other, "and you?".into(), key * SECOND, Some(pid), key.into()).expect("open");
        Step::Promise
    });
    assert_eq!((key, rt.mailbox_size(a)), (2, Some(1)), "a waits for b, b for a");
    pass(&rt, &clock, 1_000);
    let outcomes = host.outcomes();
    assert_eq!((outcomes.len(), outcomes[0].0), (1, 1), "the first deadline");
    assert_eq!(outcomes[0].1.as_ref().expect_err("a cycle").kind(), ErrorKind::Timeout);
    // a gives its caller an error and goes on: now it can answer b, whose own call is open yet.
    host.lane.fail_call(held[0].1, || Error::new(ErrorKind::Timeout, "b did not answer"));
    host.lane.resume(a);
    host.run(|lane, pid, e| {
        assert_eq!(pid, a);
        let replied = lane.reply(e.call.expect("the call of b"), Payload::empty);
        assert_eq!(replied, Replied::Here(2));
        Step::Return
    });
    host.lane.resume(b);
    assert!(rt.is_alive(a) && rt.is_alive(b));
    let e = host.lane.call(a, "x".into(), SECOND, Some(a), 9).expect_err("at once");
    assert_eq!(e.kind(), ErrorKind::SelfCall);
    host.drain();
    rt.audit().expect("the books balance");
    assert_eq!(rt.metrics().books.in_flight, 0);
}

#[test]
fn fault_row_12_an_actor_that_stops_with_a_full_mailbox_dead_letters_all_of_it() {
    let rt = runtime(1);
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let options = SpawnOptions { capacity: Some(1_000), ..SpawnOptions::default() };
    let handler = move |_: Message, _: &mut Context<'_>| {
        let _ = begun.send(());
        let _ = gate.recv();
    };
    let pid = rt.spawn_with(handler, options).expect("an actor");
    assert!(rt.send(pid, "running"));
    begins.recv().expect("it has begun");
    let outcomes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&outcomes);
    rt.call_with(pid, Payload::empty(), SECOND, None, move |o| {
        assert_eq!(o.expect_err("it never begins").kind(), ErrorKind::ActorExited);
        count.fetch_add(1, Ordering::Relaxed);
    })
    .expect("it is open");
    for _ in 1..1_000 {
        assert!(rt.send(pid, "x"));
    }
    assert!(!rt.send(pid, "one too many"));
    rt.stop(pid);
    assert_eq!(outcomes.load(Ordering::Relaxed), 1, "at once, not at the deadline");
    drop(go);
    joined(&rt, pid);
    quiet(&rt);
    let b = rt.metrics().books;
    assert_eq!(b.dead[ExitReason::Shutdown as usize], 1_000);
    assert_eq!((b.handled, b.refused.iter().sum::<u64>()), (1, 1));
}

#[test]
fn fault_row_37_what_blocks_is_would_deadlock_in_a_handler_and_on_the_timer_thread() {
    let rt = runtime(1);
    let target = echo(&rt);
    let check = move |rt: &iris::Runtime| {
        let would_deadlock = |e: Error| assert_eq!(e.kind(), ErrorKind::WouldDeadlock);
        would_deadlock(rt.call_blocking(target, "x", SECOND).expect_err("refused"));
        would_deadlock(rt.join(target, None).expect_err("refused"));
        would_deadlock(rt.close(SECOND).expect_err("refused"));
    };
    let (tx, done) = mpsc::channel();
    let (inner, told) = (rt.clone(), tx.clone());
    let pid = rt
        .spawn(move |_: Message, _: &mut Context<'_>| {
            check(&inner);
            told.send("worker").expect("the test listens");
        })
        .expect("an actor");
    assert!(rt.send(pid, "x"));
    assert_eq!(done.recv_timeout(PATIENCE), Ok("worker"));
    let mute = mute(&rt);
    let inner = rt.clone();
    rt.call_with(mute, Payload::empty(), Duration::ZERO, None, move |_| {
        check(&inner);
        tx.send("timer").expect("the test listens");
    })
    .expect("it is open");
    assert_eq!(done.recv_timeout(PATIENCE), Ok("timer"));
    assert!(rt.is_alive(target));
}

#[test]
fn fault_row_15_nothing_that_waits_asks_the_wall_clock() {
    // A jump of it cannot be made from here; the tests of the faces make one. What never looks at it cannot be moved by it.
    fn look(folder: &std::path::Path, words: &[&str], found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let at = entry.expect("an entry").path();
            if at.is_dir() {
                look(&at, words, found);
            } else if std::fs::read_to_string(&at)
                .is_ok_and(|text| words.iter().any(|w| text.contains(w)))
            {
                let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
                found.push(
                    at.strip_prefix(src)
                        .expect("below src")
                        .display()
                        .to_string()
                        .replace('\\', "/"),
                );
            }
        }
    }
    let mut found = Vec::new();
    look(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &["SystemTime", "wall_ms"],
        &mut found,
    );
    found.sort();
    // Which of two claims of a cluster's name is older, and nothing else.
    assert_eq!(found, ["clock.rs", "mesh/cluster/mod.rs"]);
}

/// A handler that tells its version and what it got.
fn version(n: u64, to: &mpsc::Sender<(u64, u64)>) -> impl FnMut(Message, &mut Context<'_>) + use<> {
    let to = to.clone();
    move |m: Message, _: &mut Context<'_>| {
        let i = u64::from_le_bytes(m.payload[..8].try_into().expect("8 bytes"));
        let _ = to.send((n, i));
    }
}

#[test]
fn fault_row_13_each_message_sees_exactly_one_version_under_load() {
    const EACH: u64 = 5_000;
    let rt = runtime(2);
    let (tx, seen) = mpsc::channel();
    let (actor, swap) = Swappable::new(version(1, &tx));
    let pid = rt.spawn(actor).expect("an actor");
    let senders: Vec<_> = (0..2)
        .map(|s| {
            let rt = rt.clone();
            std::thread::spawn(move || {
                for i in 0..EACH {
                    assert!(rt.send(pid, (s * EACH + i).to_le_bytes().to_vec()));
                }
            })
        })
        .collect();
    for n in 2..=50 {
        assert_eq!(swap.hot_swap(version(n, &tx)).ok(), Some(n));
    }
    for sender in senders {
        sender.join().expect("a sender");
    }
    let all: Vec<_> = (0..2 * EACH)
        .map(|_| seen.recv_timeout(PATIENCE).expect("every message is handled"))
        .collect();
    let mut messages: Vec<_> = all.iter().map(|(_, i)| *i).collect();
    messages.sort_unstable();
    assert!(messages.iter().copied().eq(0..2 * EACH), "each once");
    assert!(all.is_sorted_by_key(|(version, _)| *version), "no older version after a newer one");
    quiet(&rt);
    assert!(seen.try_recv().is_err());
    // What is sent after a swap has returned sees it.
    assert!(rt.send(pid, 0u64.to_le_bytes().to_vec()));
    assert_eq!(seen.recv_timeout(PATIENCE), Ok((50, 0)));
}

#[test]
fn fault_row_13_a_rollback_goes_back_and_one_that_cannot_changes_nothing() {
    let rt = runtime(1);
    let (tx, seen) = mpsc::channel();
    let (actor, swap) = Swappable::new(version(1, &tx));
    let pid = rt.spawn(actor).expect("an actor");
    let in_force = |n: u64| {
        assert_eq!(swap.version(), n);
        assert!(rt.send(pid, 7u64.to_le_bytes().to_vec()));
        assert_eq!(seen.recv_timeout(PATIENCE), Ok((n, 7)));
    };
    let refused = |steps| {
        let error = swap.rollback(steps).expect_err("so many are not kept");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    };
    refused(1);
    for n in 2..=20 {
        assert_eq!(swap.hot_swap(version(n, &tx)).ok(), Some(n));
    }
    refused(17);
    refused(0);
    in_force(20);
    assert_eq!(swap.rollback(2).ok(), Some(18));
    in_force(18);
    // No number names two handlers.
    assert_eq!(swap.hot_swap(version(21, &tx)).ok(), Some(21));
    in_force(21);
    assert_eq!(swap.rollback(15).ok(), Some(4));
    in_force(4);
    refused(1);
    in_force(4);
    // A handler that fails ends its actor, whichever version it is.
    let fails = Fallible(|_: Message, _: &mut Context<'_>| Err(thrown("the new one")));
    assert_eq!(swap.hot_swap(fails).ok(), Some(22));
    assert!(rt.send(pid, "x"));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Crash);
    // The actor's value is dropped soon after its end is told.
    let error = loop {
        match swap.hot_swap(version(0, &tx)) {
            Ok(_) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSuchActor);
}
