//! Life and death: spawn, stop, kill, drain, abandon, join, close (contract, sections 4 and 5).

mod support;

use iris::message::LaneEvent;
use iris::{Config, Context, ErrorKind, ExitReason, Message, Runtime, SpawnOptions};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stopped_actor_takes_no_more_and_ends_with_shutdown() {
    let rt = runtime(1);
    let pid = echo(&rt);
    assert!(rt.is_alive(pid));
    assert!(rt.stop(pid));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    assert!(!rt.is_alive(pid) && !rt.send(pid, "late") && !rt.stop(pid) && !rt.kill(pid));
    quiet(&rt);
}

#[test]
fn a_stop_lets_the_running_handler_finish_and_buries_the_queue() {
    let rt = runtime(1);
    let (pid, begins, go) = gated(&rt);
    for _ in 0..10 {
        assert!(rt.send(pid, "x"));
    }
    begins.recv().expect("the first has begun");
    assert!(rt.stop(pid));
    assert!(!rt.is_alive(pid));
    assert!(!rt.stop(pid), "it is stopping already");
    assert!(rt.join(pid, Some(Duration::ZERO)).expect("may wait").is_none(), "it is running yet");
    go.send(()).expect("the handler waits");
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    quiet(&rt);
    let b = rt.metrics().books;
    assert_eq!((b.handled, b.dead[ExitReason::Shutdown as usize]), (1, 9));
    assert!(begins.try_recv().is_err(), "no second message was begun");
}

#[test]
fn a_drain_handles_what_is_queued_and_nothing_more() {
    let rt = runtime(1);
    let (pid, begins, go) = gated(&rt);
    for _ in 0..250 {
        assert!(rt.send(pid, "x"));
    }
    begins.recv().expect("the first has begun");
    assert!(rt.stop_drain(pid));
    assert!(rt.is_alive(pid), "it is handling what it has");
    assert!(!rt.send(pid, "late"));
    assert!(rt.stop_drain(pid), "draining is being alive");
    drop(go);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    quiet(&rt);
    assert_eq!(rt.metrics().books.handled, 250);
}

#[test]
fn a_stop_overtakes_a_drain() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    for _ in 0..3 {
        assert!(rt.send(pid, "x"));
    }
    assert!(rt.stop_drain(pid));
    assert!(rt.stop(pid));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    assert!(host.drain().is_empty());
    rt.audit().expect("the books balance");
}

#[test]
fn a_kill_waits_for_nothing() {
    let rt = runtime(1);
    let (pid, begins, go) = gated(&rt);
    assert!(rt.send(pid, "x") && rt.send(pid, "y"));
    begins.recv().expect("it has begun");
    assert!(rt.kill(pid));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Killed);
    drop(go);
    quiet(&rt);
    let b = rt.metrics().books;
    assert_eq!(b.handled + b.dead[ExitReason::Killed as usize], 2);
}

#[test]
fn a_kill_of_a_stopping_actor_ends_it_at_once_though_it_was_not_alive() {
    let rt = runtime(1);
    let (pid, begins, _go) = gated(&rt);
    assert!(rt.send(pid, "x"));
    begins.recv().expect("it has begun");
    assert!(rt.stop(pid));
    assert!(!rt.kill(pid));
    assert_eq!(joined(&rt, pid).reason, ExitReason::Killed);
}

#[test]
fn fault_row_8_a_handler_that_never_returns_is_abandoned_after_the_stop_timeout_and_reported() {
    let (rt, clock) = frozen();
    let (tx, failures) = mpsc::channel();
    rt.on_failure(move |info| tx.send(info).expect("the test listens"));
    let (pid, begins, go) = gated(&rt);
    assert!(rt.send(pid, "x"));
    begins.recv().expect("it has begun");
    assert!(rt.stop(pid));
    pass(&rt, &clock, 4_999);
    assert!(rt.join(pid, Some(Duration::ZERO)).expect("may wait").is_none());
    pass(&rt, &clock, 1);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Timeout);
    assert_eq!(failures.try_recv().expect("it is reported").pid, pid);
    assert!(rt.metrics().books.balances());
    drop(go);
    quiet(&rt);
}

#[test]
fn a_draining_actor_that_gets_on_is_not_abandoned_and_a_stuck_one_is() {
    let (rt, clock) = frozen();
    let (pid, begins, go) = gated(&rt);
    for _ in 0..4 {
        assert!(rt.send(pid, "x"));
    }
    begins.recv().expect("the first has begun");
    assert!(rt.stop_drain(pid));
    for _ in 0..2 {
        go.send(()).expect("the handler waits");
        begins.recv().expect("the next has begun");
        pass(&rt, &clock, 5_000);
        assert!(rt.is_alive(pid), "it has handled one since");
    }
    pass(&rt, &clock, 5_000);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Timeout);
    drop(go);
    quiet(&rt);
}

#[test]
fn a_finished_stop_leaves_no_timer_behind() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    for _ in 0..1_000 {
        let pid = host.spawn();
        assert!(rt.send(pid, "x"));
        host.run(|_, pid, _| {
            assert!(rt.stop(pid));
            Step::Return
        });
        assert!(!rt.is_alive(pid));
    }
    assert_eq!(rt.metrics().timers, 0);
    rt.audit().expect("the books balance");
}

#[test]
fn an_actor_stops_itself_when_its_handler_returns() {
    let rt = runtime(1);
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let pid = rt
        .spawn(move |_: Message, ctx: &mut Context<'_>| {
            assert!(ctx.stop());
            count.fetch_add(1, Ordering::Relaxed);
        })
        .expect("an actor");
    assert!(rt.send(pid, "x"));
    rt.send(pid, "y");
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    quiet(&rt);
}

#[test]
fn every_join_hears_how_it_ended_and_so_does_one_that_comes_late() {
    let rt = runtime(1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let pid = echo(&rt);
    for _ in 0..3 {
        let sink = Arc::clone(&heard);
        rt.on_exit(pid, move |info| sink.lock().expect("a list").push(info.reason));
    }
    rt.kill(pid);
    assert_eq!(*heard.lock().expect("a list"), [ExitReason::Killed; 3]);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Killed);
}

#[test]
fn a_late_join_knows_the_reason_even_when_the_slot_is_in_use_again() {
    let rt = runtime(1);
    let first = echo(&rt);
    rt.kill(first);
    for _ in 0..20 {
        rt.stop(echo(&rt));
    }
    assert_eq!(joined(&rt, first).reason, ExitReason::Killed);
}

#[test]
fn a_host_takes_a_join_back() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let pid = host.spawn();
    host.lane.join(pid, 7);
    assert!(host.lane.forget_join(pid, 7));
    assert!(!host.lane.forget_join(pid, 7));
    rt.kill(pid);
    host.drain();
    assert!(!host.events.iter().any(|e| matches!(e, LaneEvent::Joined { .. })));
}

#[test]
fn a_host_hears_of_joins_and_may_reuse_the_key_of_a_handler_that_is_gone() {
    let rt = runtime(1);
    let mut host = Host::open(&rt);
    let pid = host.lane.spawn(5, SpawnOptions::default()).expect("an actor");
    host.lane.join(pid, 11);
    rt.kill(pid);
    host.lane.join(pid, 12);
    host.drain();
    let mut seen: Vec<String> = host.events.iter().map(|e| format!("{e:?}")).collect();
    seen.sort_unstable();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(
        host.events.iter().any(|e| matches!(e, LaneEvent::Gone { pid: p, key: 5 } if *p == pid))
    );
    for k in [11, 12] {
        assert!(host.events.iter().any(|e| matches!(e, LaneEvent::Joined { key, info }
            if *key == k && info.reason == ExitReason::Killed)));
    }
}

#[test]
fn bad_options_spawn_nothing() {
    let rt = runtime(1);
    for options in [
        SpawnOptions { budget: 0, ..SpawnOptions::default() },
        SpawnOptions { budget: u32::MAX, ..SpawnOptions::default() },
        SpawnOptions { capacity: Some(0), ..SpawnOptions::default() },
        SpawnOptions { capacity: Some(u32::MAX), ..SpawnOptions::default() },
    ] {
        let e = rt.spawn_with(|_: Message, _: &mut Context<'_>| {}, options).expect_err("refused");
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(rt.metrics().actors, 0);
    for workers in [0, 5_000] {
        let e = Runtime::new(Config { workers, ..Config::default() }).expect_err("refused");
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn a_pid_of_another_runtime_hits_no_stranger() {
    let (a, b) = (runtime(1), runtime(1));
    let (mine, other) = (echo(&a), echo(&b));
    assert_ne!(mine, other);
    assert!(!b.send(mine, "x") && !b.is_alive(mine) && !b.stop(mine) && !b.kill(mine));
    let e = b.call_blocking(mine, "x", SECOND).expect_err("foreign");
    assert_eq!(e.kind(), ErrorKind::NoSuchActor);
    assert_eq!(joined(&b, mine).reason, ExitReason::NoProc);
    assert!(a.is_alive(mine));
}

#[test]
fn a_slot_whose_generations_are_used_up_retires() {
    let rt = runtime(1);
    let host = Host::open(&rt);
    let first = host.spawn();
    rt.kill(first);
    let mut pids = 1u32;
    let (mut last, mut events) = (first, Vec::new());
    let fresh = loop {
        let pid = host.spawn();
        rt.kill(pid);
        host.lane.take_events(&mut events);
        events.clear();
        if pid.to_bits() & (u64::from(iris::id::MAX_SLOTS) - 1)
            != first.to_bits() & (u64::from(iris::id::MAX_SLOTS) - 1)
        {
            break pid;
        }
        assert!(pid > last, "a pid came twice");
        last = pid;
        pids += 1;
    };
    assert_eq!(pids, iris::id::MAX_GENERATION);
    assert_ne!(fresh, first);
    rt.audit().expect("the books balance");
}

#[test]
fn close_stops_all_in_reverse_order_and_then_every_call_is_runtime_closed() {
    let rt = runtime(2);
    let order = Arc::new(Mutex::new(Vec::new()));
    let pids: Vec<_> = (0..50).map(|_| echo(&rt)).collect();
    for pid in &pids {
        let order = Arc::clone(&order);
        rt.on_exit(*pid, move |info| order.lock().expect("a list").push(info.pid));
    }
    rt.close(SECOND).expect("may wait");
    let mut expected = pids.clone();
    expected.reverse();
    assert_eq!(*order.lock().expect("a list"), expected);
    let closed = |e: iris::Error| assert_eq!(e.kind(), ErrorKind::RuntimeClosed);
    closed(rt.spawn(|_: Message, _: &mut Context<'_>| {}).expect_err("closed"));
    closed(rt.register("a", pids[0]).expect_err("closed"));
    closed(rt.unregister("a").expect_err("closed"));
    closed(rt.call_blocking(pids[0], "x", SECOND).expect_err("closed"));
    assert!(!rt.send(pids[0], "x"));
    rt.close(SECOND).expect("a second close has nothing to do");
    rt.audit().expect("the books balance");
}

#[test]
fn close_abandons_and_reports_what_does_not_end_in_time() {
    let rt = runtime(1);
    let (tx, failures) = mpsc::channel();
    rt.on_failure(move |info| tx.send(info).expect("the test listens"));
    let (pid, begins, go) = gated(&rt);
    assert!(rt.send(pid, "x"));
    begins.recv().expect("it has begun");
    rt.close(Duration::from_millis(5)).expect("may wait");
    let info = failures.recv_timeout(PATIENCE).expect("it is reported");
    assert_eq!((info.pid, info.reason), (pid, ExitReason::Timeout));
    drop(go);
}

#[test]
fn a_close_while_others_spawn_leaves_nobody_alive() {
    for _ in 0..50 {
        let rt = runtime(2);
        let spawned = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    while rt.spawn(|_: Message, _: &mut Context<'_>| {}).is_ok() {
                        spawned.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("both spawn", || spawned.load(Ordering::Relaxed) > 50);
            rt.close(SECOND).expect("may wait");
            assert_eq!(rt.metrics().actors, 0);
        });
        assert!(rt.list_actors().is_empty());
        rt.audit().expect("the books balance");
    }
}

#[test]
fn the_last_handle_may_go_on_a_worker_thread() {
    let rt = runtime(1);
    let (tx, rx) = mpsc::channel::<Runtime>();
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    let pid = rt
        .spawn(move |_: Message, _: &mut Context<'_>| {
            drop(rx.recv().expect("the last handle"));
            flag.store(true, Ordering::Release);
        })
        .expect("an actor");
    assert!(rt.send(pid, "x"));
    tx.send(rt).expect("the handler waits");
    until("the handler has dropped the runtime", || gone.load(Ordering::Acquire));
}

#[test]
fn the_last_handle_may_go_on_the_timer_thread() {
    let rt = runtime(1);
    let pid = mute(&rt);
    let (tx, rx) = mpsc::channel();
    let keep = rt.clone();
    let call = rt.call(pid, "x", Duration::from_millis(2)).expect("it is open");
    std::thread::spawn(move || {
        let waiter = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
        let outcome = waiter.block_on(call);
        drop(keep);
        tx.send(outcome.expect_err("nobody answers").kind()).expect("the test listens");
    });
    drop(rt);
    let kind = rx.recv_timeout(PATIENCE).expect("an outcome");
    assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::ActorExited), "{kind:?}");
}

#[test]
fn fault_row_36_a_lane_that_closes_takes_its_actors_and_its_batch_with_it() {
    let (rt, _) = frozen();
    let (mut dying, mut other) = (Host::open(&rt), Host::open(&rt));
    let (gone, stays) = (dying.spawn(), other.spawn());
    for _ in 0..5 {
        assert!(rt.send(gone, "x") && rt.send(stays, "y"));
    }
    dying.lane.take(&mut dying.batch, 3, |_| true);
    assert_eq!(dying.batch.envelopes.len(), 3);
    dying.lane.close();
    dying.lane.discard(&mut dying.batch, 1);
    assert_eq!(joined(&rt, gone).reason, ExitReason::Disconnected);
    let e = dying.lane.spawn(0, SpawnOptions::default()).expect_err("the lane is closed");
    assert_eq!(e.kind(), ErrorKind::RuntimeClosed);
    assert_eq!(other.drain().len(), 5);
    rt.audit().expect("the books balance");
    let b = rt.metrics().books;
    assert_eq!((b.handled, b.dead[ExitReason::Disconnected as usize], b.in_flight), (6, 4, 0));
}

#[test]
fn a_mailbox_of_one_holds_one_waiting_message_while_another_is_handled() {
    let rt = runtime(1);
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let options = SpawnOptions { capacity: Some(1), ..SpawnOptions::default() };
    let handler = move |_: Message, _: &mut Context<'_>| {
        let _ = begun.send(());
        let _ = gate.recv();
    };
    let pid = rt.spawn_with(handler, options).expect("an actor");
    assert!(rt.send(pid, "1"));
    begins.recv().expect("it has begun");
    assert_eq!(rt.mailbox_size(pid), Some(0));
    assert!(rt.send(pid, "2"), "the one that is handled does not wait");
    assert!(!rt.send(pid, "3"));
    assert_eq!(rt.mailbox_size(pid), Some(1));
    drop(go);
    until("both are handled", || rt.metrics().books.handled == 2);
    quiet(&rt);
}

#[test]
fn an_awaited_handler_gets_one_message_at_a_time_and_may_end_in_every_way() {
    let (rt, clock) = frozen();
    let mut host = Host::open(&rt);
    let (kept, stopped, killed, broken, stuck) =
        (host.spawn(), host.spawn(), host.spawn(), host.spawn(), host.spawn());
    let all = [kept, stopped, killed, broken, stuck];
    for pid in all {
        assert!(rt.send(pid, "1") && rt.send(pid, "2") && rt.send(pid, "3"));
    }
    let mut begun = 0;
    host.run(|_, _, _| {
        begun += 1;
        Step::Promise
    });
    assert_eq!(begun, 5, "one of each");
    assert_eq!(rt.metrics().books.in_flight, 5);
    rt.stop(stopped);
    rt.kill(killed);
    host.lane.crash_awaited(broken, thrown("later").0);
    rt.stop(stuck);
    assert!(!host.lane.resume(killed), "it is gone");
    host.lane.resume(stopped);
    assert_eq!(host.drain().len(), 0, "kept is awaited yet");
    assert!(host.lane.resume(kept), "the lane slept: it must be armed");
    assert!(!host.lane.resume(kept), "once");
    host.run(|_, _, _| Step::Return);
    pass(&rt, &clock, 5_000);
    assert_eq!(joined(&rt, stopped).reason, ExitReason::Shutdown);
    assert_eq!(joined(&rt, killed).reason, ExitReason::Killed);
    assert_eq!(joined(&rt, broken).reason, ExitReason::Crash);
    assert_eq!(joined(&rt, stuck).reason, ExitReason::Timeout);
    rt.audit().expect("the books balance");
    let b = rt.metrics().books;
    assert_eq!((b.accepted, b.handled, b.in_flight, b.queued), (15, 4, 0, 0));
    assert_eq!(b.dead, {
        let mut dead = b.dead;
        dead.fill(0);
        dead[ExitReason::Shutdown as usize] = 4; // two of stopped, two of stuck
        dead[ExitReason::Killed as usize] = 3;
        dead[ExitReason::Crash as usize] = 3;
        dead[ExitReason::Timeout as usize] = 1;
        dead
    });
}

#[test]
fn what_a_batch_holds_of_a_killed_actor_is_not_handled() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let (first, second, third) = (host.spawn(), host.spawn(), host.spawn());
    for pid in [first, second, third] {
        assert!(rt.send(pid, "1") && rt.send(pid, "2"));
    }
    let mut seen = Vec::new();
    host.run(|_, pid, _| {
        if seen.is_empty() {
            rt.kill(third);
            rt.stop(first);
        }
        seen.push(pid);
        Step::Return
    });
    assert_eq!(seen, [first, second, second]);
    assert_eq!(joined(&rt, first).reason, ExitReason::Shutdown);
    rt.audit().expect("the books balance");
    assert_eq!(rt.metrics().books.handled, 3);
}

#[test]
fn a_lane_is_woken_once_a_burst() {
    let (rt, _) = frozen();
    let mut host = Host::open(&rt);
    let pids = [host.spawn(), host.spawn()];
    for burst in 1..=5 {
        for pid in pids {
            for _ in 0..100 {
                assert!(rt.send(pid, "x"));
            }
        }
        assert_eq!(host.wakes.load(Ordering::Relaxed), burst);
        assert_eq!(host.drain().len(), 200);
    }
    // Its own sends are told to arm it instead.
    let sent = host.lane.send(pids[0], "x".into(), None);
    assert_eq!(sent, iris::Sent::Accepted { arm: true });
    assert_eq!(host.lane.send(pids[1], "x".into(), None), iris::Sent::Accepted { arm: false });
    assert_eq!((host.wakes.load(Ordering::Relaxed), host.drain().len()), (5, 2));
}
