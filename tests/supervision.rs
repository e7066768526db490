//! Supervisors and the hand-over: docs/supervision.md.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use iris::message::SupervisorEvent;
use iris::runtime::{Backoff, ChildOptions, Restart, StartRequest, Strategy, SupervisorOptions};
use iris::{Actor, Context, Crash, ErrorKind, ExitReason, Message, Pid, Runtime, SpawnOptions};
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::{Fallible, PATIENCE, joined, pass, quiet, runtime, thrown, until};

/// What the children of a test did, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Keeps what it gets; `boom` makes it crash, `stop` stops it.
fn worker(name: &str, log: &Log) -> impl Actor {
    let (name, log) = (name.to_owned(), log.clone());
    Fallible(move |m: Message, ctx: &mut Context<'_>| {
        let text = String::from_utf8_lossy(&m.payload).into_owned();
        if text == "boom" {
            return Err(thrown("boom"));
        }
        if text == "stop" {
            ctx.stop();
            return Ok(());
        }
        if ctx.is_call() {
            ctx.reply(text.as_bytes()).expect("the call is open");
        }
        log.note(format!("{name}:{text}"));
        Ok(())
    })
}

/// A factory of workers, that runs on the thread that asks.
fn factory(
    rt: &Runtime,
    name: &str,
    log: &Log,
) -> impl Fn(StartRequest) -> bool + Send + Sync + 'static {
    // A clone would keep the runtime alive: the tests close it themselves.
    let (rt, name, log) = (rt.clone(), name.to_owned(), log.clone());
    move |r: StartRequest| {
        rt.set_start_at_hand(r.ticket);
        let outcome = rt.spawn(worker(&name, &log)).map_err(|e| e.to_string());
        rt.set_start_at_hand(0);
        log.note(format!("start {name}"));
        rt.start_over(r.ticket, outcome);
        true
    }
}

fn child(restart: Restart, strategy: Strategy) -> ChildOptions {
    ChildOptions { restart, strategy: Some(strategy), ..ChildOptions::default() }
}

/// A supervised worker.
fn supervised(rt: &Runtime, path: &str, name: &str, log: &Log, options: ChildOptions) -> Pid {
    let pid = rt.spawn(worker(name, log)).unwrap();
    rt.register(name, pid).unwrap();
    let make = factory(rt, name, log);
    rt.path_supervise_with_factory(path, pid, make, options, SupervisorOptions::default()).unwrap();
    pid
}

/// The holder of a name that is not `old`.
fn replaced(rt: &Runtime, name: &str, old: Pid) -> Pid {
    until("the child is replaced", || rt.whereis(name).is_some_and(|pid| pid != old));
    rt.whereis(name).unwrap()
}

fn many(max: u32) -> SupervisorOptions {
    SupervisorOptions { max_restarts: Some(max), ..SupervisorOptions::default() }
}

#[test]
fn fault_rows_1_and_12_a_crash_loses_one_message_and_the_replacement_has_the_rest_and_the_name() {
    let rt = runtime(2);
    let log = Log::default();
    let pid = supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
    rt.register_path("/svc/w", pid).unwrap();
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    rt.on_failure(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(rt.send(pid, b"boom"));
    let mut accepted = 0;
    for i in 0..300 {
        accepted += usize::from(rt.send_named("w", format!("{i}").as_bytes().to_vec()));
    }
    let new = replaced(&rt, "w", pid);
    quiet(&rt);
    assert_eq!(accepted, 300, "names are kept");
    assert_eq!(rt.whereis_path("/svc/w").unwrap(), Some(new));
    let mut expected: Vec<_> = (0..300).map(|i| format!("w:{i}")).collect();
    expected.push("start w".into());
    let (mut got, mut sorted) = (log.take(), expected.clone());
    assert_eq!(
        got.iter().filter(|l| l.starts_with("w:")).cloned().collect::<Vec<_>>(),
        expected[..300]
    );
    got.sort();
    sorted.sort();
    assert_eq!(got, sorted);
    let m = rt.metrics();
    assert_eq!(m.books.dead[ExitReason::Crash as usize], 1);
    assert_eq!((m.books.parked, m.books.restarts, m.books.refused.iter().sum::<u64>()), (0, 1, 0));
    assert_eq!(failed.load(Ordering::Relaxed), 0, "it was restarted: nobody's failure");
    assert_eq!(rt.path_supervisor_children("/svc").unwrap(), [new]);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Crash);
    rt.close(PATIENCE).unwrap();
}

#[test]
fn open_calls_wait_for_the_replacement() {
    let rt = runtime(2);
    let log = Log::default();
    let (pid, begun, go) = {
        let (begun_tx, begun) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let first = Fallible(move |_: Message, _: &mut Context<'_>| {
            begun_tx.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
            Err(thrown("boom"))
        });
        (rt.spawn(first).unwrap(), begun, go)
    };
    rt.register("w", pid).unwrap();
    let make = factory(&rt, "w", &log);
    let options = child(Restart::Transient, Strategy::One);
    rt.path_supervise_with_factory("/svc", pid, make, options, SupervisorOptions::default())
        .unwrap();
    let crashed = rt.call(pid, b"first", PATIENCE).unwrap();
    begun.recv().unwrap();
    let parked: Vec<_> =
        (0..10).map(|i| rt.call(pid, format!("{i}").into_bytes(), PATIENCE).unwrap()).collect();
    go.send(()).unwrap();
    let wait = tokio::runtime::Builder::new_current_thread().build().unwrap();
    wait.block_on(async {
        assert_eq!(crashed.await.unwrap_err().kind(), ErrorKind::HandlerFailed);
        for (i, reply) in parked.into_iter().enumerate() {
            assert_eq!(&*reply.await.unwrap(), format!("{i}").as_bytes());
        }
    });
    quiet(&rt);
    assert_eq!(rt.metrics().open_calls, 0);
    rt.close(PATIENCE).unwrap();
}

#[test]
fn which_ends_are_followed_by_a_restart() {
    for (restart, end, again) in [
        (Restart::Permanent, "boom", true),
        (Restart::Permanent, "stop", true),
        (Restart::Permanent, "kill", true),
        (Restart::Transient, "boom", true),
        (Restart::Transient, "stop", false),
        (Restart::Transient, "kill", true),
        (Restart::Temporary, "boom", false),
        (Restart::Temporary, "kill", false),
    ] {
        let rt = runtime(1);
        let log = Log::default();
        let pid = supervised(&rt, "/svc", "w", &log, child(restart, Strategy::One));
        if end == "kill" {
            rt.kill(pid);
        } else {
            rt.send(pid, end.as_bytes());
        }
        joined(&rt, pid);
        if again {
            let new = replaced(&rt, "w", pid);
            assert_eq!(rt.path_supervisor_children("/svc").unwrap(), [new], "{restart:?} {end}");
        } else {
            until("nobody is left", || rt.path_supervisor_children("/svc").unwrap().is_empty());
            assert_eq!(rt.whereis("w"), None, "{restart:?} {end}");
        }
        quiet(&rt);
        rt.close(PATIENCE).unwrap();
    }
}

#[test]
fn fault_row_5_restartall_stops_in_reverse_and_starts_in_order_and_loses_nothing() {
    for (strategy, stops, starts) in [
        (Strategy::One, vec!["b"], vec!["b"]),
        (Strategy::Rest, vec!["b", "c"], vec!["b", "c"]),
        (Strategy::All, vec!["b", "c", "a"], vec!["a", "b", "c"]),
    ] {
        let rt = runtime(2);
        let log = Log::default();
        let names = ["a", "b", "c"];
        let pids =
            names.map(|n| supervised(&rt, "/svc", n, &log, child(Restart::Permanent, strategy)));
        let ends = Log::default();
        for (name, pid) in names.into_iter().zip(pids) {
            let ends = ends.clone();
            rt.monitor_with(pid, move |_| ends.note(name)).unwrap();
        }
        let senders: Vec<_> = names
            .iter()
            .map(|name| {
                let (rt, name) = (rt.clone(), *name);
                std::thread::spawn(move || {
                    for i in 0..500 {
                        assert!(rt.send_named(name, format!("{i}").into_bytes()));
                    }
                })
            })
            .collect();
        rt.send(pids[1], b"boom");
        senders.into_iter().for_each(|s| s.join().unwrap());
        replaced(&rt, "b", pids[1]);
        until("all have started", || rt.metrics().books.restarts == starts.len() as u64);
        quiet(&rt);
        assert_eq!(ends.take(), stops, "{strategy:?}");
        let all = log.take();
        let started: Vec<_> = all.iter().filter_map(|l| l.strip_prefix("start ")).collect();
        assert_eq!(started, starts, "{strategy:?}");
        for name in names {
            let got: Vec<_> =
                all.iter().filter_map(|l| l.strip_prefix(&format!("{name}:"))).collect();
            let expected: Vec<_> = (0..500).map(|i| i.to_string()).collect();
            assert_eq!(got, expected, "{strategy:?} {name}");
        }
        assert_eq!(rt.path_supervisor_children("/svc").unwrap().len(), 3);
        rt.close(PATIENCE).unwrap();
    }
}

#[test]
fn fault_row_4_a_crash_loop_ends_the_supervisor_and_escalates_once() {
    let rt = runtime(1);
    let log = Log::default();
    let failures = Log::default();
    let note = failures.clone();
    rt.on_failure(move |info| note.note(info.crash.unwrap().message.clone()));
    let events = Log::default();
    let told = events.clone();
    rt.on_supervisor(move |news| {
        if news.event == SupervisorEvent::GaveUp {
            told.note(news.path.to_string());
        }
    });
    rt.create_path_supervisor("/top", SupervisorOptions::default()).unwrap();
    rt.create_path_supervisor("/top/sub", many(2)).unwrap();
    let other = supervised(&rt, "/top", "other", &log, child(Restart::Permanent, Strategy::One));
    let sibling =
        supervised(&rt, "/top/sub", "sibling", &log, child(Restart::Permanent, Strategy::One));
    let mut pid = supervised(&rt, "/top/sub", "w", &log, child(Restart::Permanent, Strategy::One));
    for _ in 0..2 {
        rt.send(pid, b"boom");
        pid = replaced(&rt, "w", pid);
    }
    log.take();
    rt.send(pid, b"boom");
    let lost = u64::from(rt.send(pid, b"lost"));
    // The supervisor above starts both anew.
    until("both are back", || rt.path_supervisor_children("/top/sub").unwrap().len() == 2);
    quiet(&rt);
    assert_eq!(events.take(), ["/top/sub"]);
    assert_eq!(log.take(), ["start sibling", "start w"]);
    assert_eq!(joined(&rt, sibling).reason, ExitReason::Shutdown);
    assert!(rt.is_alive(other));
    assert_eq!(failures.take(), ["supervisor /top/sub gave up: too many restarts: boom"]);
    let m = rt.metrics().books;
    assert_eq!((m.gave_up, m.parked), (1, 0));
    assert_eq!(m.dead[ExitReason::Crash as usize], 3 + lost, "what was parked is dead");
    rt.close(PATIENCE).unwrap();
}

#[test]
fn a_supervisor_with_none_above_is_gone_for_good() {
    let rt = runtime(1);
    let log = Log::default();
    rt.create_path_supervisor("/svc", many(0)).unwrap();
    let a = supervised(&rt, "/svc", "a", &log, child(Restart::Permanent, Strategy::One));
    let b = supervised(&rt, "/svc", "b", &log, child(Restart::Permanent, Strategy::One));
    rt.send(a, b"boom");
    assert_eq!(joined(&rt, b).reason, ExitReason::Shutdown);
    until("it has given up", || rt.metrics().books.gave_up == 1);
    quiet(&rt);
    assert_eq!(rt.metrics().actors, 0);
    assert_eq!((rt.whereis("a"), rt.metrics().names), (None, 0));
    assert!(rt.create_path_supervisor("/svc", many(1)).unwrap(), "it is new again");
    rt.close(PATIENCE).unwrap();
}

#[test]
fn fault_row_3_a_factory_that_fails_counts_as_a_failed_restart() {
    let rt = runtime(1);
    let log = Log::default();
    let pid = rt.spawn(worker("w", &log)).unwrap();
    rt.register("w", pid).unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let (handle, count, make) = (rt.clone(), Arc::clone(&tries), factory(&rt, "w", &log));
    let failing = move |r: StartRequest| match count.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("the factory panics"),
        1 => {
            handle.start_over(r.ticket, Err("no luck".into()));
            true
        }
        2 => {
            let dead = handle.spawn(|_: Message, _: &mut Context<'_>| {}).unwrap();
            handle.kill(dead);
            handle.start_over(r.ticket, Ok(dead));
            true
        }
        _ => make(r),
    };
    let sup = many(4);
    let options = child(Restart::Permanent, Strategy::One);
    rt.path_supervise_with_factory("/svc", pid, failing, options, sup).unwrap();
    rt.send(pid, b"boom");
    assert!(rt.send_named("w", b"kept"));
    replaced(&rt, "w", pid);
    quiet(&rt);
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    assert_eq!(log.take(), ["start w", "w:kept"]);
    let m = rt.metrics().books;
    assert_eq!((m.failed_starts, m.restarts), (3, 1));
    rt.close(PATIENCE).unwrap();
}

#[test]
fn what_a_factory_did_not_spawn_gets_the_parked_as_ordinary_sends() {
    let rt = runtime(1);
    let log = Log::default();
    let options = SpawnOptions { capacity: Some(2), ..SpawnOptions::default() };
    let spare = rt.spawn_pull(options, |_| {}).unwrap();
    let pid = rt.spawn(worker("w", &log)).unwrap();
    rt.register("w", pid).unwrap();
    let handle = rt.clone();
    let give = move |r: StartRequest| {
        handle.start_over(r.ticket, Ok(spare));
        true
    };
    let options = child(Restart::Permanent, Strategy::One);
    rt.path_supervise_with_factory("/svc", pid, give, options, SupervisorOptions::default())
        .unwrap();
    let blocker = rt.clone();
    rt.send(pid, b"boom");
    for i in 0..5 {
        blocker.send_named("w", vec![i]);
    }
    replaced(&rt, "w", pid);
    until("all are somewhere", || rt.metrics().books.parked == 0 && rt.metrics().ending == 0);
    rt.audit().unwrap();
    let m = rt.metrics().books;
    assert_eq!(m.queued, 2);
    assert_eq!(m.refused.iter().sum::<u64>() + m.handover, 3);
    rt.kill(spare);
    rt.close(PATIENCE).unwrap();
}

#[test]
fn terminate_child_stops_without_a_restart_and_removal_lets_children_live() {
    let rt = runtime(1);
    let log = Log::default();
    let a = supervised(&rt, "/svc", "a", &log, child(Restart::Permanent, Strategy::All));
    let b = supervised(&rt, "/svc", "b", &log, child(Restart::Permanent, Strategy::All));
    assert!(!rt.terminate_child("/other", a).unwrap());
    assert!(rt.terminate_child("/svc", a).unwrap());
    assert!(!rt.terminate_child("/svc", a).unwrap());
    assert_eq!(joined(&rt, a).reason, ExitReason::Shutdown);
    assert_eq!(rt.path_supervisor_children("/svc").unwrap(), [b]);
    assert!(rt.remove_path_supervisor("/svc").unwrap());
    assert!(!rt.remove_path_supervisor("/svc").unwrap());
    assert!(rt.is_alive(b));
    rt.send(b, b"boom");
    joined(&rt, b);
    assert_eq!(rt.path_supervisor_children("/svc").unwrap(), []);
    quiet(&rt);
    assert_eq!(rt.metrics().books.restarts, 0);
    rt.close(PATIENCE).unwrap();
}

#[test]
fn terminate_child_ends_one_that_waits_for_its_restart() {
    let (rt, clock) = support::frozen();
    let log = Log::default();
    let backoff = Backoff { initial_ms: 100.0, jitter: 0.0, ..Backoff::default() };
    let sup = SupervisorOptions { backoff: Some(backoff), ..many(10) };
    rt.create_path_supervisor("/svc", sup).unwrap();
    let pid = supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
    rt.kill(pid);
    until("the wait has begun", || rt.metrics().timers > 0);
    assert!(rt.send_named("w", b"parked"));
    assert!(!rt.terminate_child("/other", pid).unwrap());
    assert!(rt.terminate_child("/svc", pid).unwrap());
    assert!(!rt.terminate_child("/svc", pid).unwrap());
    assert!(!rt.send_named("w", b"nobody's"));
    pass(&rt, &clock, 1_000);
    quiet(&rt);
    let m = rt.metrics();
    assert_eq!((m.actors, m.names, m.books.restarts, m.books.parked), (0, 0, 0, 0));
    assert_eq!(m.books.dead[ExitReason::Killed as usize], 1);
    rt.audit().unwrap();
}

#[test]
fn terminate_child_during_its_start_discards_what_the_factory_answers() {
    let rt = runtime(1);
    let log = Log::default();
    let pid = rt.spawn(worker("w", &log)).unwrap();
    let (asked, start) = mpsc::channel();
    let make = move |r: StartRequest| asked.send(r.ticket).is_ok();
    let options = child(Restart::Permanent, Strategy::One);
    rt.path_supervise_with_factory("/svc", pid, make, options, SupervisorOptions::default())
        .unwrap();
    rt.kill(pid);
    let ticket = start.recv_timeout(PATIENCE).unwrap();
    assert!(rt.terminate_child("/svc", pid).unwrap());
    rt.set_start_at_hand(ticket);
    let late = rt.spawn(worker("w", &log)).unwrap();
    rt.set_start_at_hand(0);
    rt.start_over(ticket, Ok(late));
    assert_eq!(joined(&rt, late).reason, ExitReason::Killed);
    assert_eq!(rt.path_supervisor_children("/svc").unwrap(), []);
    quiet(&rt);
}

#[test]
fn fault_row_14_a_timer_of_one_that_is_replaced_does_not_reach_the_replacement() {
    let (rt, clock) = support::frozen();
    let log = Log::default();
    let mut pid = supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
    for end in ["kill", "stop", "boom"] {
        rt.send_after(pid, Duration::from_millis(10), b"late").unwrap();
        rt.send_interval(pid, Duration::from_millis(10), b"tick").unwrap();
        match end {
            "kill" => assert!(rt.kill(pid)),
            "stop" => assert!(rt.stop(pid)),
            _ => assert!(rt.send(pid, b"boom")),
        }
        pid = replaced(&rt, "w", pid);
        assert_eq!(rt.metrics().delays, 0);
    }
    pass(&rt, &clock, 1_000);
    assert!(rt.send(pid, b"mine"));
    quiet(&rt);
    let handled: Vec<_> = log.take().into_iter().filter(|e| e.starts_with("w:")).collect();
    assert_eq!(handled, ["w:mine"]);
    rt.audit().unwrap();
}

#[test]
fn watched_children_are_reported_and_never_restarted() {
    let rt = runtime(1);
    let log = Log::default();
    let events = Log::default();
    let told = events.clone();
    rt.on_supervisor(move |n| {
        told.note(format!("{} {} {}", n.event.as_str(), n.path, n.reason.as_str()))
    });
    let a = rt.spawn(worker("a", &log)).unwrap();
    let b = rt.spawn(worker("b", &log)).unwrap();
    rt.register_path("/svc/a", a).unwrap();
    rt.register_path("/svc/b/deep", b).unwrap();
    assert_eq!(rt.watch_path("/svc").unwrap(), 1);
    assert_eq!(rt.watch_path("/svc").unwrap(), 1, "again is fine");
    assert_eq!(rt.child_pids(), [a]);
    rt.path_supervisor_watch("/watch", b).unwrap();
    assert_eq!(rt.path_supervisor_children("/watch").unwrap(), [b]);
    rt.kill(a);
    rt.send(b, b"boom");
    joined(&rt, b);
    until("both are reported", || events.len() == 2);
    assert_eq!(events.take()[1], "ended /watch crash");
    assert!(
        rt.child_pids().is_empty() && rt.path_supervisor_children("/watch").unwrap().is_empty()
    );
    let dead = rt.path_supervisor_watch("/watch", b).unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::NoSuchActor);
    quiet(&rt);
}

#[test]
fn backoff_waits_longer_each_time_and_what_is_sent_meanwhile_is_kept() {
    let (rt, clock) = support::frozen();
    let log = Log::default();
    let backoff = Backoff { initial_ms: 100.0, jitter: 0.0, ..Backoff::default() };
    let sup = SupervisorOptions { backoff: Some(backoff), ..many(10) };
    rt.create_path_supervisor("/svc", sup).unwrap();
    let mut pid = supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
    for wait in [100, 200, 400] {
        rt.send(pid, b"boom");
        joined(&rt, pid);
        until("the wait has begun", || rt.metrics().timers > 0);
        assert!(rt.send_named("w", b"kept"));
        assert_eq!(rt.whereis("w"), None);
        assert_eq!(rt.metrics().books.parked, 1);
        pass(&rt, &clock, wait - 1);
        assert_eq!(rt.whereis("w"), None, "not before {wait} ms");
        pass(&rt, &clock, 2);
        pid = replaced(&rt, "w", pid);
        quiet(&rt);
        assert_eq!(log.take(), ["start w", "w:kept"]);
    }
    drop(rt);
}

#[test]
fn names_of_the_parked_are_kept_from_others_and_open_to_the_replacement() {
    let (rt, clock) = support::frozen();
    let log = Log::default();
    let backoff = Backoff { initial_ms: 50.0, jitter: 0.0, ..Backoff::default() };
    let sup = SupervisorOptions { backoff: Some(backoff), ..SupervisorOptions::default() };
    rt.create_path_supervisor("/svc", sup).unwrap();
    let pid = rt.spawn(worker("w", &log)).unwrap();
    rt.register("w", pid).unwrap();
    rt.register_path("/svc/w", pid).unwrap();
    let handle = rt.clone();
    let (l, make) = (log.clone(), move |r: StartRequest| {
        handle.set_start_at_hand(r.ticket);
        let new = handle.spawn(worker("w", &Log::default())).unwrap();
        handle.register("w", new).expect("the factory may");
        handle.register_path("/svc/w", new).expect("the factory may");
        handle.set_start_at_hand(0);
        handle.start_over(r.ticket, Ok(new));
        true
    });
    let options = child(Restart::Permanent, Strategy::One);
    rt.path_supervise_with_factory("/svc", pid, make, options, SupervisorOptions::default())
        .unwrap();
    rt.kill(pid);
    let thief = rt.spawn(worker("thief", &l)).unwrap();
    assert_eq!(rt.register("w", thief).unwrap_err().kind(), ErrorKind::NameTaken);
    assert_eq!(rt.register_path("/svc/w", thief).unwrap_err().kind(), ErrorKind::NameTaken);
    assert_eq!(rt.whereis("w"), None);
    assert!(rt.send_path("/svc/w", b"kept").unwrap());
    pass(&rt, &clock, 60);
    let new = replaced(&rt, "w", pid);
    assert_eq!(rt.whereis_path("/svc/w").unwrap(), Some(new));
    quiet(&rt);
    drop(rt);
}

#[test]
fn closing_buries_what_is_parked() {
    let rt = runtime(1);
    let log = Log::default();
    let sup =
        SupervisorOptions { backoff: Some(Backoff::default()), ..SupervisorOptions::default() };
    rt.create_path_supervisor("/svc", sup).unwrap();
    let pid = supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
    rt.kill(pid);
    assert!(rt.send_named("w", b"lost"));
    assert_eq!(rt.metrics().books.parked, 1);
    rt.close(Duration::from_secs(5)).unwrap();
    let m = rt.metrics();
    assert_eq!((m.books.parked, m.names, m.actors), (0, 0, 0));
    rt.audit().unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    Boom,
    Kill,
    Stop,
    Call,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// However it ends, in whatever state: only the messages that crash are lost, and the books balance.
    #[test]
    fn the_books_balance_over_any_history_of_restarts(
        steps in prop::collection::vec(
            prop::sample::select(vec![
                Step::Send, Step::Send, Step::Send, Step::Boom, Step::Kill, Step::Stop, Step::Call,
            ]),
            1..60,
        ),
        capacity in prop::option::of(1u32..8),
    ) {
        let rt = Runtime::new(iris::Config {
            workers: 2,
            default_capacity: capacity,
            ..iris::Config::default()
        })
        .unwrap();
        rt.create_path_supervisor("/svc", many(u32::MAX)).unwrap();
        let log = Log::default();
        supervised(&rt, "/svc", "w", &log, child(Restart::Permanent, Strategy::One));
        let (mut fine, mut bad, mut calls) = (0, 0, Vec::new());
        for step in steps {
            match step {
                Step::Send => fine += u64::from(rt.send_named("w", b"x")),
                Step::Boom => bad += u64::from(rt.send_named("w", b"boom")),
                Step::Kill => drop(rt.whereis("w").map(|pid| rt.kill(pid))),
                Step::Stop => drop(rt.whereis("w").map(|pid| rt.stop(pid))),
                Step::Call => {
                    if let Some(pid) = rt.whereis("w")
                        && let Ok(call) = rt.call(pid, b"x", PATIENCE)
                    {
                        fine += 1;
                        calls.push(call);
                    }
                }
            }
        }
        until("nothing is parked", || rt.metrics().books.parked == 0);
        quiet(&rt);
        let m = rt.metrics().books;
        prop_assert_eq!(m.handled, fine, "{:?}", m);
        prop_assert_eq!(m.dead.iter().sum::<u64>(), bad);
        prop_assert_eq!(log.take().iter().filter(|l| *l == "w:x").count() as u64, fine);
        let wait = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for call in calls {
            prop_assert!(wait.block_on(call).is_ok());
        }
        prop_assert_eq!(rt.metrics().open_calls, 0);
        rt.close(PATIENCE).unwrap();
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let rt = runtime(1);
    let log = Log::default();
    let pid = supervised(&rt, "/svc", "w", &log, child(Restart::Transient, Strategy::One));
    let again = factory(&rt, "w", &log);
    let options = child(Restart::Permanent, Strategy::All);
    let refused = rt.path_supervise_with_factory("/other", pid, again, options, many(0));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(rt.create_path_supervisor("/other", SupervisorOptions::default()).unwrap());
    rt.stop(pid);
    until("it is not restarted", || rt.path_supervisor_children("/svc").unwrap().is_empty());
    quiet(&rt);
    assert_eq!(rt.metrics().books.restarts, 0);
    rt.close(PATIENCE).unwrap();
}

#[test]
fn a_fallible_actor_is_an_actor() {
    fn actor(_: impl Actor) {}
    actor(Fallible(|_: Message, _: &mut Context<'_>| -> Result<(), Crash> { Ok(()) }));
}
