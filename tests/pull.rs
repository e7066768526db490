//! Actors that take their messages themselves, and actors that have a parent.
#![allow(clippy::unwrap_used, reason = "tests")]

use iris::{
    Clock, Config, CrashInfo, ErrorKind, ExitReason, Overflow, Payload, Peeked, Pid, PullSignal,
    Pulled, Runtime, SpawnOptions,
};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn runtime() -> Runtime {
    Runtime::with_clock(Config::default(), Clock::manual()).unwrap()
}

fn puller(rt: &Runtime, options: SpawnOptions) -> (Pid, Receiver<PullSignal>) {
    let (tx, rx) = mpsc::channel();
    let pid = rt
        .spawn_pull(options, move |s| {
            let _ = tx.send(s);
        })
        .unwrap();
    (pid, rx)
}

fn text(p: Pulled) -> Option<Vec<u8>> {
    match p {
        Pulled::Message(e) => Some(e.payload.to_vec()),
        _ => None,
    }
}

fn peeked(p: Peeked) -> Option<(Vec<u8>, u64)> {
    match p {
        Peeked::Message(m, next) => Some((m.to_vec(), next)),
        _ => None,
    }
}

fn joined(rt: &Runtime, pid: Pid) -> ExitReason {
    rt.join(pid, Some(Duration::ZERO)).unwrap().unwrap().reason
}

#[test]
fn messages_wait_until_they_are_taken_and_who_waits_is_told_once() {
    let rt = runtime();
    let (a, told) = puller(&rt, SpawnOptions::default());
    rt.send(a, b"1");
    assert!(told.try_recv().is_err(), "it has not looked");
    assert_eq!(rt.mailbox_size(a), Some(1));
    assert_eq!(text(rt.pull(a)), Some(b"1".to_vec()));
    assert!(matches!(rt.pull(a), Pulled::Empty));
    rt.send(a, b"2");
    rt.send(a, b"3");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [PullSignal::Ready]);
    assert_eq!(text(rt.pull(a)), Some(b"2".to_vec()));
    assert_eq!(text(rt.pull(a)), Some(b"3".to_vec()));
    rt.audit().unwrap();
    rt.finish_pull(a, Ok(()));
    assert_eq!(joined(&rt, a), ExitReason::Normal);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [PullSignal::Gone]);
    rt.audit().unwrap();
}

#[test]
fn a_scan_goes_on_where_it_was_and_refused_messages_keep_their_place() {
    let rt = runtime();
    let (a, told) = puller(&rt, SpawnOptions::default());
    for m in [b"a", b"b", b"c"] {
        rt.send(a, m);
    }
    let (m, next) = peeked(rt.peek(a, 0)).unwrap();
    assert_eq!((m.as_slice(), next), (b"a".as_slice(), 1));
    let (m, next) = peeked(rt.peek(a, next)).unwrap();
    assert_eq!(m, b"b");
    assert_eq!(&*rt.take_peeked(a, next).unwrap().payload, b"b");
    // What was behind it moved up by one place: the scan goes on at the place it took from.
    let (m, next) = peeked(rt.peek(a, next - 1)).unwrap();
    assert_eq!(m, b"c");
    assert!(matches!(rt.peek(a, next), Peeked::Empty));
    rt.send(a, b"d");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [PullSignal::Ready]);
    assert_eq!(peeked(rt.peek(a, next)).unwrap().0, b"d");
    assert_eq!(text(rt.pull(a)), Some(b"a".to_vec()));
    // The front moved: places did not.
    assert_eq!(peeked(rt.peek(a, next)).unwrap().0, b"d");
    assert_eq!(text(rt.pull(a)), Some(b"c".to_vec()));
    rt.audit().unwrap();
}

#[test]
fn a_displaced_message_does_not_move_the_places_of_the_others() {
    let rt = runtime();
    let (a, _told) = puller(&rt, SpawnOptions { capacity: Some(2), ..SpawnOptions::default() });
    rt.set_overflow_policy(a, Overflow::DropOld).unwrap();
    for m in [b"a", b"b"] {
        rt.send(a, m);
    }
    let (_, next) = peeked(rt.peek(a, 0)).unwrap();
    rt.send(a, b"c");
    assert_eq!(peeked(rt.peek(a, next)).unwrap().0, b"b");
    assert_eq!(peeked(rt.peek(a, 0)).unwrap().0, b"b");
    assert_eq!(rt.take_peeked(a, 1).map(|_| ()), None, "the first is gone");
    rt.audit().unwrap();
}

#[test]
fn stop_closes_the_mailbox_and_waits_for_the_function() {
    let rt = runtime();
    let (a, told) = puller(&rt, SpawnOptions::default());
    rt.send(a, b"x");
    assert!(rt.stop(a));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [PullSignal::Closing]);
    assert!(matches!(rt.pull(a), Pulled::Closed));
    assert!(!rt.send(a, b"y"));
    assert!(rt.join(a, Some(Duration::ZERO)).unwrap().is_none(), "its function has not returned");
    rt.finish_pull(a, Ok(()));
    assert_eq!(joined(&rt, a), ExitReason::Shutdown);
    rt.audit().unwrap();
}

#[test]
fn a_drain_closes_the_mailbox_after_the_last_message() {
    let rt = runtime();
    let (a, told) = puller(&rt, SpawnOptions::default());
    rt.send(a, b"x");
    assert!(rt.stop_drain(a));
    assert!(told.try_recv().is_err());
    assert_eq!(text(rt.pull(a)), Some(b"x".to_vec()));
    assert_eq!(told.try_recv(), Ok(PullSignal::Closing));
    assert!(matches!(rt.pull(a), Pulled::Closed));
    rt.finish_pull(a, Ok(()));
    let (b, told) = puller(&rt, SpawnOptions::default());
    assert!(rt.stop_drain(b));
    assert_eq!(told.try_recv(), Ok(PullSignal::Closing));
    rt.finish_pull(b, Err(CrashInfo::default()));
    assert_eq!(joined(&rt, b), ExitReason::Crash);
    rt.audit().unwrap();
}

#[test]
fn a_function_that_does_not_return_is_abandoned() {
    let clock = Clock::manual();
    let rt = Runtime::with_clock(Config::default(), clock.clone()).unwrap();
    let (a, told) = puller(&rt, SpawnOptions::default());
    rt.stop(a);
    clock.advance(MS * 5_000);
    rt.poll_timers();
    assert_eq!(joined(&rt, a), ExitReason::Timeout);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [PullSignal::Closing, PullSignal::Gone]);
    rt.finish_pull(a, Ok(())); // late: nothing
    rt.audit().unwrap();
}

#[test]
fn a_call_to_a_pull_actor_is_owed_until_it_is_answered_or_it_ends() {
    let rt = runtime();
    let (a, _told) = puller(&rt, SpawnOptions::default());
    let (tx, outcomes) = mpsc::channel();
    for i in 0..3u8 {
        let tx = tx.clone();
        let sink = move |o: iris::Result<Payload>| tx.send((i, o.map_err(|e| e.kind()))).unwrap();
        rt.call_with(a, Payload::from(vec![i]), MS * 100, None, sink).unwrap();
    }
    let Pulled::Message(first) = rt.pull(a) else { panic!("a message waits") };
    let Pulled::Message(_second) = rt.pull(a) else { panic!("a message waits") };
    assert!(rt.reply(first.call.unwrap(), b"r"));
    let (i, reply) = outcomes.try_recv().unwrap();
    assert_eq!((i, reply.unwrap().to_vec()), (0, b"r".to_vec()));
    rt.kill(a);
    let mut rest: Vec<_> = outcomes.try_iter().map(|(i, o)| (i, o.unwrap_err())).collect();
    rest.sort_unstable_by_key(|(i, _)| *i);
    assert_eq!(rest, [(1, ErrorKind::ActorExited), (2, ErrorKind::ActorExited)]);
    rt.audit().unwrap();
}

#[test]
fn children_end_before_their_parent_is_heard_of_and_deeper_ones_first() {
    let rt = runtime();
    let lane = rt.open_lane(|| {});
    let (tx, order) = mpsc::channel();
    let spawn = |parent| {
        let pid = lane.spawn(0, SpawnOptions { parent, ..SpawnOptions::default() }).unwrap();
        let tx = tx.clone();
        rt.on_exit(pid, move |info| tx.send((info.pid, info.reason)).unwrap());
        pid
    };
    let root = spawn(None);
    let (a, b) = (spawn(Some(root)), spawn(Some(root)));
    let leaf = spawn(Some(a));
    let gone_early = spawn(Some(root));
    rt.kill(gone_early);
    rt.stop(root);
    let heard: Vec<_> = order.try_iter().collect();
    let at = |pid| heard.iter().position(|(p, _)| *p == pid).unwrap();
    assert_eq!(heard.len(), 5);
    assert!(at(leaf) < at(a) && at(a) < at(root) && at(b) < at(root));
    assert_eq!(heard[at(leaf)].1, ExitReason::ParentExit);
    assert_eq!(heard[at(root)].1, ExitReason::Shutdown);
    assert_eq!(rt.metrics().actors, 0);
    rt.audit().unwrap();
}

#[test]
fn fault_row_6_a_child_spawned_under_a_dying_parent_never_survives_it() {
    let rt = Runtime::new(Config::default()).unwrap();
    let lane = rt.open_lane(|| {});
    for _ in 0..300 {
        let root = lane.spawn(0, SpawnOptions::default()).unwrap();
        let spawner = {
            let lane = lane.clone();
            std::thread::spawn(move || {
                let child = SpawnOptions { parent: Some(root), ..SpawnOptions::default() };
                while lane.spawn(0, child).is_ok() {}
            })
        };
        rt.kill(root);
        spawner.join().unwrap();
        assert_eq!(rt.metrics().actors, 0);
    }
    rt.audit().unwrap();
}

#[test]
fn a_chain_of_a_hundred_thousand_generations_ends_without_a_deep_stack() {
    let rt = runtime();
    let lane = rt.open_lane(|| {});
    let root = lane.spawn(0, SpawnOptions::default()).unwrap();
    let mut parent = Some(root);
    for _ in 0..100_000 {
        parent = lane.spawn(0, SpawnOptions { parent, ..SpawnOptions::default() }).ok();
    }
    rt.kill(root);
    assert_eq!(rt.metrics().actors, 0);
}

#[test]
fn a_dead_parent_spawns_nothing() {
    let rt = runtime();
    let lane = rt.open_lane(|| {});
    let root = lane.spawn(0, SpawnOptions::default()).unwrap();
    rt.kill(root);
    let child = lane.spawn(0, SpawnOptions { parent: Some(root), ..SpawnOptions::default() });
    assert_eq!(child.unwrap_err().kind(), ErrorKind::NoSuchActor);
    assert_eq!(rt.metrics().actors, 0);
    rt.audit().unwrap();
}

#[test]
fn calls_that_are_swept_out_let_no_message_be_passed_over_or_be_taken_for_another() {
    let clock = Clock::manual();
    let rt = Runtime::with_clock(Config::default(), clock.clone()).unwrap();
    let (a, _) = puller(&rt, SpawnOptions::default());
    for i in 0..4 {
        rt.call_with(a, Payload::from(vec![i]), MS, None, |_| {}).unwrap();
    }
    rt.send(a, b"kept");
    rt.send(a, b"last");
    let mut place = 0;
    for _ in 0..5 {
        place = peeked(rt.peek(a, place)).unwrap().1;
    }
    clock.advance(MS);
    rt.poll_timers();
    assert_eq!(rt.mailbox_size(a), Some(2));
    assert!(rt.take_peeked(a, place).is_none(), "what it had seen has another place now");
    let (seen, next) = peeked(rt.peek(a, place)).unwrap();
    assert_eq!(seen, b"kept", "it is seen again");
    let (seen, next) = peeked(rt.peek(a, next)).unwrap();
    assert_eq!(seen, b"last");
    assert_eq!(&*rt.take_peeked(a, next).unwrap().payload, b"last");
    assert_eq!(text(rt.pull(a)), Some(b"kept".to_vec()));
    rt.audit().unwrap();
}
