//! Calls: one outcome each, whatever happens to the callee, the caller and the clock (contract, section 2).

mod support;

use iris::message::Envelope;
use iris::{CallId, Context, ErrorKind, Message, Payload, Replied, SpawnOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn kinds(outcomes: &[(u64, iris::message::CallOutcome)]) -> Vec<(u64, Option<ErrorKind>)> {
    outcomes.iter().map(|(k, o)| (*k, o.as_ref().err().map(iris::Error::kind))).collect()
}

/// Runs the host; each call is left unanswered. Answers the calls.
fn hold(host: &mut Host) -> Vec<CallId> {
    let mut held = Vec::new();
    host.run(|_, _, e: &Envelope| {
        held.extend(e.call);
        Step::Return
    });
    held
}

#[test]
fn a_call_is_answered_with_what_the_handler_replied() {
    let rt = runtime(1);
    let pid = echo(&rt);
    for bytes in [&b""[..], b"x", &[7; 22], &[7; 23], &[7; 100_000]] {
        assert_eq!(&*rt.call_blocking(pid, bytes, PATIENCE).expect("a reply"), bytes);
    }
    quiet(&rt);
    assert_eq!(rt.metrics().timers, 0, "no deadline is left behind");
}

#[test]
fn a_handler_that_returns_nothing_answers_an_empty_reply() {
    let rt = runtime(1);
    let pid = rt.spawn(|_: Message, _: &mut Context<'_>| {}).expect("an actor");
    assert!(rt.call_blocking(pid, "x", PATIENCE).expect("a reply").is_empty());
}

#[test]
fn a_future_resolves_with_the_reply() {
    let rt = runtime(1);
    let pid = echo(&rt);
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
    let calls: Vec<_> =
        (0..100u8).map(|i| rt.call(pid, vec![i], PATIENCE).expect("it is open")).collect();
    executor.block_on(async {
        for (i, call) in calls.into_iter().enumerate() {
            assert_eq!(&*call.await.expect("a reply"), &[i as u8]);
        }
    });
}

#[test]
fn a_call_that_no_mailbox_takes_fails_at_once() {
    let (rt, _) = frozen();
    let host = Host::open(&rt);
    let options = SpawnOptions { capacity: Some(1), ..SpawnOptions::default() };
    let full = host.lane.spawn(0, options).expect("an actor");
    let dead = host.spawn();
    assert!(rt.send(full, "x") && rt.kill(dead));
    let call = |pid, caller| host.lane.call(pid, "x".into(), SECOND, caller, 0).map(|_| ());
    let kind = |r: iris::Result<()>| r.expect_err("refused").kind();
    assert_eq!(kind(call(full, None)), ErrorKind::MailboxFull);
    assert_eq!(kind(call(dead, None)), ErrorKind::NoSuchActor);
    assert_eq!(kind(call(full, Some(full))), ErrorKind::SelfCall);
    let m = rt.metrics();
    assert_eq!((m.open_calls, m.timers, m.books.calls), (0, 0, 0));
    rt.audit().expect("the books balance");
}

#[test]
fn a_call_times_out_at_its_deadline_and_not_before() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    host.lane.call(pid, "x".into(), Duration::from_millis(10), None, 1).expect("open");
    clock.advance(Duration::from_nanos(9_999_999));
    rt.poll_timers();
    assert!(host.outcomes().is_empty());
    clock.advance(Duration::from_nanos(1));
    rt.poll_timers();
    assert_eq!(kinds(&host.outcomes()), [(1, Some(ErrorKind::Timeout))]);
    assert_eq!(rt.metrics().books.call_timeouts, 1);
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_handed_to_the_handler() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    assert!(rt.send(pid, "a") && rt.send(pid, "b"));
    host.lane.call(pid, "call".into(), Duration::from_millis(1), None, 1).expect("open");
    assert!(rt.send(pid, "c"));
    pass(&rt, &clock, 1);
    let got: Vec<_> = host.drain().into_iter().map(|(_, b)| b).collect();
    assert_eq!(got, [b"a", b"b", b"c"]);
    rt.audit().expect("the books balance");
    assert_eq!(rt.metrics().books.expired, 1);
}

#[test]
fn an_actor_whose_queue_was_swept_empty_does_not_hold_up_its_lane() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let (asked, told) = (host.spawn(), host.spawn());
    host.lane.call(asked, "call".into(), Duration::from_millis(1), None, 1).expect("open");
    assert!(rt.send(told, "x"));
    pass(&rt, &clock, 1);
    assert_eq!(rt.mailbox_size(asked), Some(0), "swept");
    assert_eq!(host.drain(), [(told, b"x".to_vec())]);
    assert!(rt.send(asked, "y"));
    assert_eq!(host.drain(), [(asked, b"y".to_vec())]);
    // A draining actor whose last message was swept has nothing left to do.
    host.lane.call(asked, "call".into(), Duration::from_millis(1), None, 2).expect("open");
    assert!(rt.stop_drain(asked));
    pass(&rt, &clock, 1);
    host.drain();
    assert!(!rt.is_alive(asked));
    rt.audit().expect("the books balance");
}

#[test]
fn a_call_is_answered_once() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    host.lane.call(pid, "x".into(), SECOND, None, 9).expect("open");
    let held = hold(&mut host);
    assert_eq!(host.lane.reply(held[0], || panic!("not needed here")), Replied::Here(9));
    assert_eq!(host.lane.reply(held[0], Payload::empty), Replied::Late);
    assert!(!rt.reply(held[0], "x"));
    assert!(host.outcomes().is_empty(), "the host settles its own");
    let m = rt.metrics();
    assert_eq!((m.books.late_replies, m.open_calls, m.timers), (2, 0, 0));
}

#[test]
fn a_reply_from_another_lane_comes_as_an_event_and_wakes() {
    let (rt, _) = frozen();
    let (mut asking, mut asked) = (Host::open(&rt), Host::open(&rt));
    let pid = asked.spawn();
    asking.lane.call(pid, "x".into(), SECOND, None, 9).expect("open");
    let held = hold(&mut asked);
    assert_eq!(asked.lane.reply(held[0], || "reply".into()), Replied::Delivered);
    assert_eq!(asking.wakes.load(Ordering::Relaxed), 1);
    let outcomes = asking.outcomes();
    assert_eq!(outcomes[0].1.as_deref().expect("a reply"), b"reply");
}

#[test]
fn a_call_that_was_given_up_is_forgotten() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    let (id, _) = host.lane.call(pid, "x".into(), SECOND, None, 1).expect("open");
    assert!(host.lane.cancel_call(id) && !host.lane.cancel_call(id));
    assert!(host.drain().is_empty());
    let (id, _) = host.lane.call(pid, "x".into(), SECOND, None, 2).expect("open");
    let held = hold(&mut host);
    assert!(host.lane.cancel_call(id));
    assert_eq!(host.lane.reply(held[0], Payload::empty), Replied::Late);
    pass(&rt, &clock, 5_000);
    assert!(host.outcomes().is_empty());
    assert_eq!(rt.metrics().timers, 0);
    rt.audit().expect("the books balance");
}

#[test]
fn a_call_fails_at_once_when_its_actor_ends_wherever_the_call_is() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let (queued, handed, batched, awaited) =
        (host.spawn(), host.spawn(), host.spawn(), host.spawn());
    let call = |h: &Host, pid, key| {
        h.lane.call(pid, "x".into(), SECOND, None, key).expect("open");
    };
    call(&host, handed, 1);
    hold(&mut host);
    call(&host, awaited, 2);
    host.run(|_, _, _| Step::Promise);
    call(&host, batched, 3);
    host.lane.take(&mut host.batch, 512, |_| true);
    call(&host, queued, 4);
    for pid in [queued, handed, batched, awaited] {
        assert!(rt.kill(pid));
    }
    let mut outcomes = kinds(&host.outcomes());
    outcomes.sort_unstable_by_key(|(k, _)| *k);
    assert_eq!(outcomes, [1, 2, 3, 4].map(|k| (k, Some(ErrorKind::ActorExited))));
    assert_eq!(host.lane.cut_if_gone(&mut host.batch, 0), Some(1));
    host.lane.settle(&mut host.batch, 1, 1);
    let m = rt.metrics();
    assert_eq!((m.open_calls, m.timers, m.books.in_flight), (0, 0, 0));
    rt.audit().expect("the books balance");
}

#[test]
fn calls_that_a_worker_holds_behind_a_stuck_handler_fail_at_once_when_the_actor_is_killed() {
    let rt = runtime(1);
    let (gate, gate_begins, open_gate) = gated(&rt);
    assert!(rt.send(gate, "x"));
    gate_begins.recv().expect("the only worker is busy");
    // All three are taken in one turn; the handler of the first never returns.
    let (pid, begins, go) = gated(&rt);
    let (tx, outcomes) = mpsc::channel();
    for _ in 0..3 {
        let tx = tx.clone();
        rt.call_with(pid, Payload::empty(), PATIENCE, None, move |o| {
            tx.send(o.expect_err("nobody answers").kind()).expect("the test listens");
        })
        .expect("it is open");
    }
    drop(open_gate);
    begins.recv().expect("the first has begun");
    rt.kill(pid);
    let told: Vec<_> = outcomes.try_iter().collect();
    assert_eq!(told, [ErrorKind::ActorExited; 3], "at once");
    drop(go);
    quiet(&rt);
    let b = rt.metrics().books;
    assert_eq!(b.handled + b.dead[iris::ExitReason::Killed as usize] + b.expired, 4);
}

#[test]
fn a_call_whose_deadline_passes_behind_a_slow_handler_is_not_handed_to_it() {
    let (rt, clock) = frozen();
    let (gate, gate_begins, open_gate) = gated(&rt);
    assert!(rt.send(gate, "x"));
    gate_begins.recv().expect("the only worker is busy");
    let (pid, begins, go) = gated(&rt);
    assert!(rt.send(pid, "slow"));
    rt.call_with(pid, Payload::empty(), SECOND, None, |_| {}).expect("it is open");
    drop(open_gate);
    begins.recv().expect("the first has begun; the call is in the same turn");
    pass(&rt, &clock, 1_000);
    drop(go);
    quiet(&rt);
    assert!(begins.try_recv().is_err(), "the call was not handed over");
    assert_eq!(rt.metrics().books.expired, 1);
}

#[test]
fn a_reply_may_be_given_later_by_anybody() {
    let rt = runtime(1);
    let (tx, deferred) = mpsc::channel();
    let pid = rt
        .spawn(move |_: Message, ctx: &mut Context<'_>| {
            tx.send(ctx.defer_reply().expect("a call")).expect("the test listens");
            assert!(!ctx.is_call());
        })
        .expect("an actor");
    let answer = {
        let rt = rt.clone();
        std::thread::spawn(move || rt.reply(deferred.recv().expect("a call"), "later"))
    };
    assert_eq!(&*rt.call_blocking(pid, "x", PATIENCE).expect("a reply"), b"later");
    assert!(answer.join().expect("it answered"));
}

#[test]
fn every_call_has_one_outcome_while_callees_die_deadlines_pass_and_callers_give_up() {
    let rt = runtime(2);
    let outcomes = Arc::new(AtomicUsize::new(0));
    let (mut made, mut refused, mut given_up) = (0, 0, 0);
    for round in 0..300u64 {
        let slow = rt
            .spawn(|_: Message, ctx: &mut Context<'_>| {
                if ctx.pid().to_bits().is_multiple_of(3) {
                    ctx.defer_reply();
                }
            })
            .expect("an actor");
        let mut open = Vec::new();
        for i in 0..40 {
            let count = Arc::clone(&outcomes);
            let timeout = Duration::from_micros(i * 50);
            match rt.call_with(slow, Payload::empty(), timeout, None, move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }) {
                Ok(id) => {
                    made += 1;
                    open.push(id);
                }
                Err(_) => refused += 1,
            }
            if i == 30 && round % 2 == 0 {
                rt.kill(slow);
            }
        }
        if round % 5 == 0 {
            given_up += open.iter().filter(|id| rt.cancel_call(**id)).count();
        }
        if round % 7 == 0 {
            rt.stop(slow);
        }
    }
    until("every call is over", || rt.metrics().open_calls == 0);
    until("every outcome is told", || outcomes.load(Ordering::Relaxed) + given_up >= made);
    assert_eq!(outcomes.load(Ordering::Relaxed) + given_up, made);
    assert!(refused > 0);
    quiet(&rt);
}

#[test]
fn a_call_that_expires_while_it_is_handed_over_is_not_left_in_its_actors_list() {
    let rt = runtime(2);
    let pid = mute(&rt);
    for i in 0..20_000u64 {
        let timeout = Duration::from_micros(i % 3 * 500);
        let id = rt.call_with(pid, Payload::empty(), timeout, None, |_| {}).expect("it is open");
        if i % 2 == 0 {
            rt.cancel_call(id);
        }
    }
    until("every call is over", || rt.metrics().open_calls == 0);
    quiet(&rt);
}
