//! Monitors and links: docs/semantics.md, section 15.

mod support;

use iris::{
    Context, CrashInfo, ErrorKind, ExitReason, Message, Meta, Pid, Pulled, Runtime, SpawnOptions,
    SystemKind, SystemMessage,
};
use std::sync::mpsc;
use support::{Fallible, PATIENCE, joined, quiet, rss, runtime, thrown, until};

fn puller(rt: &Runtime) -> Pid {
    rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor")
}

fn idle(rt: &Runtime) -> Pid {
    rt.spawn(|_: Message, _: &mut Context<'_>| {}).expect("an actor")
}

fn crasher(rt: &Runtime) -> Pid {
    rt.spawn(Fallible(|_: Message, _: &mut Context<'_>| Err(thrown("boom")))).expect("an actor")
}

/// What waits in a pull actor's mailbox: system messages as such, others as their text.
fn received(rt: &Runtime, pid: Pid) -> Vec<Result<SystemMessage, String>> {
    let mut all = Vec::new();
    while let Pulled::Message(e) = rt.pull(pid) {
        all.push(
            e.payload
                .as_system()
                .cloned()
                .ok_or_else(|| String::from_utf8_lossy(&e.payload).into_owned()),
        );
    }
    all
}

fn kinds(rt: &Runtime, pid: Pid) -> Vec<(SystemKind, Option<Pid>, Option<ExitReason>)> {
    received(rt, pid).into_iter().flatten().map(|m| (m.kind, m.from, m.reason)).collect()
}

#[test]
fn each_reference_gets_exactly_one_down() {
    let rt = runtime(1);
    let (target, watcher) = (idle(&rt), puller(&rt));
    let refs: Vec<_> = (0..3).map(|_| rt.monitor(target, watcher).unwrap()).collect();
    assert!(rt.demonitor(refs[1]));
    assert!(!rt.demonitor(refs[1]));
    rt.stop(target);
    joined(&rt, target);
    let downs = received(&rt, watcher);
    let told: Vec<_> = downs.iter().map(|m| m.as_ref().unwrap().metadata[0].clone()).collect();
    assert_eq!(told, [("ref", Meta::Number(refs[0])), ("ref", Meta::Number(refs[2]))]);
    let first = downs[0].as_ref().unwrap();
    assert_eq!((first.kind, first.from), (SystemKind::Down, Some(target)));
    assert_eq!((first.target, first.reason), (watcher, Some(ExitReason::Shutdown)));
    assert!(!rt.demonitor(refs[0]), "it has come");
    assert_eq!(rt.metrics().monitors, 0);
    quiet(&rt);
}

#[test]
fn the_dead_are_noproc_at_once() {
    let rt = runtime(1);
    let (target, watcher) = (idle(&rt), puller(&rt));
    rt.kill(target);
    rt.monitor(target, watcher).unwrap();
    assert_eq!(kinds(&rt, watcher), [(SystemKind::Down, Some(target), Some(ExitReason::NoProc))]);
    let (tx, rx) = mpsc::channel();
    rt.monitor_with(target, move |info| tx.send(info).unwrap()).unwrap();
    assert_eq!(rx.recv().unwrap().reason, ExitReason::NoProc);
    assert_eq!(rt.monitor(watcher, target).unwrap_err().kind(), ErrorKind::NoSuchActor);
    let deaf = rt.monitor(watcher, idle(&rt)).unwrap_err();
    assert_eq!(deaf.kind(), ErrorKind::InvalidArgument);
    assert_eq!(rt.metrics().monitors, 0);
    quiet(&rt);
}

#[test]
fn down_comes_after_the_last_message_and_after_the_names_are_free() {
    let rt = runtime(2);
    let watcher = puller(&rt);
    let target = rt
        .spawn(Fallible(move |_: Message, ctx: &mut Context<'_>| {
            assert!(ctx.send(watcher, b"last words"));
            Err(thrown("boom"))
        }))
        .unwrap();
    rt.register("name", target).unwrap();
    rt.register_path("/a/path", target).unwrap();
    rt.monitor(target, watcher).unwrap();
    let (tx, rx) = mpsc::channel();
    let handle = rt.clone();
    rt.monitor_with(target, move |_| {
        let _ = tx.send((handle.whereis("name"), handle.whereis_path("/a/path").unwrap()));
    })
    .unwrap();
    rt.send(target, b"go");
    assert_eq!(rx.recv_timeout(PATIENCE).unwrap(), (None, None));
    let all = received(&rt, watcher);
    assert_eq!(all[0], Err("last words".into()));
    let down = all[1].as_ref().unwrap();
    assert_eq!(down.reason, Some(ExitReason::Crash));
    assert!(down.metadata.contains(&("message", Meta::Text("boom".into()))));
}

#[test]
fn children_are_down_before_their_parent() {
    let rt = runtime(1);
    let watcher = puller(&rt);
    let mut chain = vec![idle(&rt)];
    for _ in 0..3 {
        let options = SpawnOptions { parent: chain.last().copied(), ..Default::default() };
        let child = |_: Message, _: &mut Context<'_>| {};
        chain.push(rt.spawn_with(child, options).unwrap());
    }
    for pid in &chain {
        rt.monitor(*pid, watcher).unwrap();
    }
    rt.kill(chain[0]);
    let order: Vec<_> = kinds(&rt, watcher).into_iter().map(|(_, from, _)| from.unwrap()).collect();
    chain.reverse();
    assert_eq!(order, chain);
    quiet(&rt);
}

#[test]
fn a_link_takes_the_other_down_for_any_reason_but_normal() {
    let rt = runtime(1);
    let failures = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&failures);
    rt.on_failure(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let chain: Vec<_> = std::iter::once(crasher(&rt)).chain((0..5).map(|_| idle(&rt))).collect();
    for pair in chain.windows(2) {
        rt.link(pair[0], pair[1]).unwrap();
        rt.link(pair[1], pair[0]).expect("a link is one link");
    }
    rt.send(chain[0], b"go");
    for pid in &chain {
        let info = joined(&rt, *pid);
        assert_eq!(
            (info.reason, info.crash.unwrap().message.as_str()),
            (ExitReason::Crash, "boom")
        );
    }
    quiet(&rt);
    assert_eq!(failures.load(std::sync::atomic::Ordering::Relaxed), 1, "one of them failed");

    let (finishes, other) = (puller(&rt), idle(&rt));
    rt.link(finishes, other).unwrap();
    rt.finish_pull(finishes, Ok(()));
    assert!(rt.is_alive(other), "normal takes nobody down");
    let (a, b) = (idle(&rt), idle(&rt));
    rt.link(a, b).unwrap();
    assert!(rt.unlink(b, a));
    assert!(!rt.unlink(a, b));
    rt.kill(a);
    assert!(rt.is_alive(b));
    let c = idle(&rt);
    rt.link(b, c).unwrap();
    rt.kill(b);
    assert_eq!(joined(&rt, c).reason, ExitReason::Killed);
    quiet(&rt);
}

#[test]
fn who_traps_exits_gets_a_message_instead_and_kill_cannot_be_trapped() {
    let rt = runtime(1);
    let trapper = puller(&rt);
    assert!(!rt.set_trap_exit(trapper, true).unwrap());
    let reasons = [ExitReason::Normal, ExitReason::Killed, ExitReason::Crash, ExitReason::Shutdown];
    for why in reasons {
        let other = puller(&rt);
        rt.link(trapper, other).unwrap();
        match why {
            ExitReason::Normal => rt.finish_pull(other, Ok(())),
            ExitReason::Crash => rt.finish_pull(other, Err(CrashInfo::default())),
            ExitReason::Killed => assert!(rt.kill(other)),
            _ => {
                assert!(rt.stop(other));
                rt.finish_pull(other, Ok(()));
            }
        }
        assert_eq!(kinds(&rt, trapper), [(SystemKind::Exit, Some(other), Some(why))]);
    }
    let dead = idle(&rt);
    rt.kill(dead);
    rt.link(trapper, dead).unwrap();
    assert_eq!(kinds(&rt, trapper), [(SystemKind::Exit, Some(dead), Some(ExitReason::NoProc))]);
    assert!(rt.set_trap_exit(trapper, false).unwrap());
    rt.link(dead, trapper).unwrap();
    assert_eq!(joined(&rt, trapper).reason, ExitReason::NoProc);
    assert_eq!(rt.link(dead, trapper).unwrap_err().kind(), ErrorKind::NoSuchActor);
    assert_eq!(rt.set_trap_exit(dead, true).unwrap_err().kind(), ErrorKind::NoSuchActor);

    let stubborn = puller(&rt);
    rt.set_trap_exit(stubborn, true).unwrap();
    assert!(rt.kill(stubborn));
    quiet(&rt);
}

#[test]
fn a_chain_of_links_as_long_as_there_are_actors_needs_no_stack() {
    let rt = runtime(1);
    let chain: Vec<_> = (0..20_000).map(|_| idle(&rt)).collect();
    for pair in chain.windows(2) {
        rt.link(pair[0], pair[1]).unwrap();
    }
    rt.kill(chain[0]);
    assert_eq!(rt.metrics().actors, 0);
    quiet(&rt);
}

#[test]
fn fault_row_44_monitor_and_link_cycles_leave_memory_flat() {
    let rt = runtime(1);
    let (target, watcher) = (idle(&rt), puller(&rt));
    let cycles = |n: usize| {
        for _ in 0..n {
            let kept = rt.monitor(target, watcher).unwrap();
            assert!(rt.demonitor(kept));
            rt.link(target, watcher).unwrap();
            assert!(rt.unlink(target, watcher));
            let short = idle(&rt);
            rt.monitor(short, watcher).unwrap();
            rt.kill(short);
            assert_eq!(received(&rt, watcher).len(), 1);
        }
    };
    cycles(2_000);
    let before = rss();
    cycles(if cfg!(debug_assertions) { 50_000 } else { 1_000_000 });
    assert!(rss() < before + (4 << 20), "from {before} to {}", rss());
    assert_eq!(rt.metrics().monitors, 0);
    quiet(&rt);
}

#[test]
fn monitors_race_with_ends_and_each_is_told_once() {
    let rt = runtime(2);
    let watcher = puller(&rt);
    let mut expected = 0;
    for _ in 0..200 {
        let target = idle(&rt);
        let handle = rt.clone();
        let killer = std::thread::spawn(move || handle.kill(target));
        for _ in 0..20 {
            rt.monitor(target, watcher).unwrap();
            expected += 1;
        }
        killer.join().unwrap();
    }
    let mut got = 0;
    until("every DOWN has come", || {
        got += received(&rt, watcher).len();
        got == expected
    });
    assert_eq!(rt.metrics().monitors, 0);
    quiet(&rt);
}
