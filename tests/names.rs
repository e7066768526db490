//! Names (contract, section 6).

mod support;

use iris::{ErrorKind, ExitReason};
use std::sync::atomic::{AtomicBool, Ordering};
use support::*;

#[test]
fn a_name_finds_its_actor_until_it_is_taken_away() {
    let rt = runtime(1);
    let pid = echo(&rt);
    rt.register("a", pid).expect("it is free");
    rt.register("a", pid).expect("the same pair again is fine");
    rt.register("b", pid).expect("an actor may have many");
    assert_eq!((rt.whereis("a"), rt.whereis("b"), rt.whereis("c")), (Some(pid), Some(pid), None));
    assert!(rt.unregister("a").expect("open") && !rt.unregister("a").expect("open"));
    assert_eq!(rt.whereis("a"), None);
    assert_eq!(rt.actor_info(pid).expect("alive").names, ["b"]);
    assert_eq!(rt.metrics().names, 1);
}

#[test]
fn a_name_of_a_live_actor_cannot_be_taken_and_a_dead_pid_cannot_have_one() {
    let rt = runtime(1);
    let (a, b, dead) = (echo(&rt), echo(&rt), echo(&rt));
    rt.kill(dead);
    rt.register("a", a).expect("it is free");
    let kind = |name, pid| rt.register(name, pid).expect_err("refused").kind();
    assert_eq!(kind("a", b), ErrorKind::NameTaken);
    assert_eq!(kind("a", dead), ErrorKind::NameTaken);
    assert_eq!(kind("dead", dead), ErrorKind::NoSuchActor);
    assert_eq!(kind("", a), ErrorKind::InvalidArgument);
    assert_eq!(kind(&"x".repeat(1025), a), ErrorKind::InvalidArgument);
    rt.register(&"x".repeat(1024), a).expect("1024 bytes are allowed");
    assert_eq!((rt.whereis("a"), rt.whereis("dead")), (Some(a), None));
    rt.audit().expect("the books balance");
}

#[test]
fn names_go_with_their_actor_before_anybody_hears_of_its_end() {
    let rt = runtime(1);
    let (tx, seen) = std::sync::mpsc::channel();
    let (a, b) = (echo(&rt), echo(&rt));
    rt.register("a", a).expect("it is free");
    let inner = rt.clone();
    rt.on_exit(a, move |info| {
        tx.send((info.reason, inner.whereis("a"), inner.register("a", b).is_ok())).expect("heard");
    });
    rt.kill(a);
    assert_eq!(seen.recv().expect("it ended"), (ExitReason::Killed, None, true));
    assert_eq!((rt.whereis("a"), rt.metrics().names), (Some(b), 1));
}

#[test]
fn the_name_of_an_actor_that_is_stopping_is_free() {
    let rt = runtime(1);
    let (pid, begins, go) = gated(&rt);
    let next = echo(&rt);
    rt.register("a", pid).expect("it is free");
    assert!(rt.send(pid, "x"));
    begins.recv().expect("it has begun");
    rt.stop(pid);
    assert_eq!(rt.whereis("a"), None);
    rt.register("a", next).expect("the holder is as good as gone");
    drop(go);
    joined(&rt, pid);
    assert_eq!(rt.whereis("a"), Some(next), "its end takes no name that is another's by now");
    rt.audit().expect("the books balance");
}

#[test]
fn no_name_leaks_while_actors_die_under_their_registration() {
    let rt = runtime(1);
    let over = AtomicBool::new(false);
    std::thread::scope(|s| {
        for t in 0..3 {
            let (rt, over) = (&rt, &over);
            s.spawn(move || {
                let mut i = t;
                while !over.load(Ordering::Relaxed) {
                    i += 3;
                    for pid in rt.list_actors() {
                        let _ = rt.register(["a", "b", "c", "d"][i % 4], pid);
                    }
                    if i % 5 == 0 {
                        rt.unregister(["a", "b", "c", "d"][i % 4]).expect("the runtime is open");
                    }
                }
            });
        }
        for i in 0..3_000 {
            let pid = echo(&rt);
            if i % 2 == 0 {
                rt.stop(pid);
            } else {
                rt.kill(pid);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    rt.audit().expect("the books balance");
    assert_eq!((rt.metrics().actors, rt.metrics().names), (0, 0));
}

#[test]
fn one_of_many_gets_a_name_that_all_want() {
    let rt = runtime(1);
    let pids: Vec<_> = (0..4).map(|_| echo(&rt)).collect();
    for _ in 0..500 {
        let won: usize = std::thread::scope(|s| {
            let tries: Vec<_> =
                pids.iter().map(|pid| s.spawn(|| rt.register("the one", *pid).is_ok())).collect();
            tries.into_iter().map(|t| usize::from(t.join().expect("it tried"))).sum()
        });
        assert_eq!(won, 1);
        assert!(rt.unregister("the one").expect("the runtime is open"));
    }
    rt.audit().expect("the books balance");
}
