//! Clusters: membership, names, events; what partitions do to them.

use super::proxy::Proxy;
use super::support;
use super::{LONG, collector, listen, node_with, quick};
use iris::clock::wall_ms;
use iris::mesh::{ClusterOptions, Judge, MeshOptions};
use iris::runtime::NODES;
use iris::{
    ChildSpec, Clock, Context, ErrorKind, Event, ExitReason, Message, NodeEvent, Pid, Runtime,
    SpawnOptions, SupervisorOptions,
};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn fast() -> ClusterOptions {
    ClusterOptions { gossip: Duration::from_millis(50), timeout: LONG, ..ClusterOptions::default() }
}

/// A node whose cuts are soon verdicts; the silence of a busy machine is none.
fn node() -> Runtime {
    node_with(MeshOptions {
        judge: Judge::Fixed { timeout_ms: 10_000 },
        resume_window: Duration::from_millis(300),
        ..quick()
    })
}

/// As the one of all tests, with time for what each look costs.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    support::until(what, || {
        is() || {
            std::thread::park_timeout(Duration::from_millis(5));
            false
        }
    });
}

/// What is registered from now on is younger than what was before.
fn tick() {
    let then = wall_ms();
    until("the clock has gone on", || wall_ms() > then);
}

fn member(seeds: &[&str]) -> (Runtime, String) {
    let rt = node();
    let at = listen(&rt);
    rt.join_cluster(seeds, fast()).unwrap();
    (rt, at)
}

fn idle(rt: &Runtime) -> Pid {
    rt.spawn(|_: Message, _: &mut Context<'_>| {}).unwrap()
}

fn end_of(rt: &Runtime, pid: Pid) -> Receiver<ExitReason> {
    let (tx, rx) = channel();
    rt.on_exit(pid, move |info| {
        let _ = tx.send(info.reason);
    });
    rx
}

#[test]
fn nodes_find_each_other_through_one_seed() {
    let (a, at) = member(&[]);
    let others: Vec<_> = (0..4).map(|_| member(&[&at]).0).collect();
    for rt in others.iter().chain([&a]) {
        until("everybody is connected with everybody", || {
            let nodes = rt.nodes();
            nodes.len() == 4 && nodes.iter().all(|n| n.connected && n.address.is_some())
        });
    }
}

#[test]
fn a_name_is_found_on_every_node_and_goes_with_its_actor() {
    let (a, at) = member(&[]);
    let (b, _) = member(&[&at]);
    let (c, _) = member(&[&at]);
    let (pid, got) = collector(&a);
    a.register_cluster("it", pid).unwrap();
    assert_eq!(a.whereis("it"), Some(pid), "at home it is the actor itself");
    for rt in [&b, &c] {
        until("the name is known", || rt.whereis("it").is_some());
        let proxy = rt.whereis("it").unwrap();
        assert_eq!(rt.whereis("it"), Some(proxy), "the same proxy");
        assert!(rt.is_remote(proxy));
        assert!(rt.send(proxy, b"hello"));
        assert_eq!(got.recv_timeout(LONG).unwrap(), b"hello");
        let taken = rt.register_cluster("it", idle(rt)).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::NameTaken);
        assert_eq!(rt.register_cluster("mine", proxy).unwrap_err().kind(), ErrorKind::NotLocal);
    }
    a.stop(pid);
    for rt in [&b, &c] {
        until("the name is free", || rt.whereis("it").is_none());
    }
    let next = idle(&b);
    until("it can be taken again", || b.register_cluster("it", next).is_ok());
    until("and is found", || a.whereis("it").is_some());
    assert!(b.unregister("it").unwrap());
    until("taken away", || a.whereis("it").is_none() && c.whereis("it").is_none());
    assert!(b.is_alive(next));
}

#[test]
fn names_given_before_the_join_are_known_after_it() {
    let (a, at) = member(&[]);
    let b = node();
    listen(&b);
    let pid = idle(&b);
    b.register_cluster("early", pid).unwrap();
    assert_eq!(b.whereis("early"), Some(pid));
    b.join_cluster(&[&at], fast()).unwrap();
    until("the name is known", || a.whereis("early").is_some());
}

#[test]
fn a_local_name_stays_local() {
    let (a, at) = member(&[]);
    let (b, _) = member(&[&at]);
    a.register("local", idle(&a)).unwrap();
    a.register_cluster("wide", idle(&a)).unwrap();
    until("the wide one is known", || b.whereis("wide").is_some());
    assert_eq!(b.whereis("local"), None);
}

#[test]
fn who_closes_leaves_and_its_names_are_free_at_once() {
    let (a, at) = member(&[]);
    let (b, _) = member(&[&at]);
    b.register_cluster("it", idle(&b)).unwrap();
    until("the name is known", || a.whereis("it").is_some());
    let (tx, events) = channel();
    let watch = a.watch_events(NODES, move || {
        let _ = tx.send(());
    });
    b.close(LONG).unwrap();
    events.recv_timeout(LONG).unwrap();
    let (news, _) = watch.take(16);
    let down: Vec<_> = news
        .iter()
        .filter_map(|e| match e {
            Event::Node(NodeEvent { down, .. }) => *down,
            _ => None,
        })
        .collect();
    assert_eq!(down, [ExitReason::Disconnected]);
    until("the name is free", || a.register_cluster("it", idle(&a)).is_ok());
}

#[test]
fn nodes_that_come_and_go_are_events() {
    let (a, at) = member(&[]);
    let (tx, rung) = channel();
    let watch = a.watch_events(NODES, move || {
        let _ = tx.send(());
    });
    let (b, b_at) = member(&[&at]);
    let mut seen = Vec::new();
    let mut next = || loop {
        if seen.is_empty() {
            rung.recv_timeout(LONG).unwrap();
            seen.extend(watch.take(16).0);
            seen.reverse();
        }
        if let Some(Event::Node(e)) = seen.pop() {
            return e;
        }
    };
    let up = next();
    assert_eq!(up.down, None);
    until("its address is known", || a.nodes().iter().any(|n| n.address.as_ref() == Some(&b_at)));
    assert_eq!(a.nodes()[0].id, up.id);
    // Without a goodbye.
    drop(b);
    let down = next();
    assert_eq!((down.id, down.down), (up.id, Some(ExitReason::NodeDown)));
}

#[test]
fn a_join_without_anybody_fails_and_can_be_tried_again() {
    let a = node();
    let at = listen(&a);
    let nobody = ClusterOptions { timeout: Duration::from_millis(300), ..fast() };
    let lost = listen(&node());
    assert!(matches!(
        a.join_cluster(&[&lost], nobody.clone()).unwrap_err().kind(),
        ErrorKind::Unreachable | ErrorKind::Timeout
    ));
    // There is a node, but it is in no cluster.
    let b = node();
    let b_at = listen(&b);
    assert_eq!(a.join_cluster(&[&b_at], nobody).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(a.join_cluster(&["what"], fast()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    b.join_cluster(&[], fast()).unwrap();
    // Its own address among the seeds is no seed.
    a.join_cluster(&[&at, &b_at], fast()).unwrap();
    let other = ClusterOptions { name: "other".into(), ..fast() };
    assert_eq!(a.join_cluster(&[], other).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn clusters_of_different_names_do_not_mix() {
    let (a, at) = member(&[]);
    a.register_cluster("it", idle(&a)).unwrap();
    let b = node();
    listen(&b);
    let other =
        ClusterOptions { name: "other".into(), timeout: Duration::from_millis(500), ..fast() };
    assert_eq!(b.join_cluster(&[&at], other).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(b.whereis("it"), None);
}

#[test]
fn a_restarted_actor_keeps_its_cluster_name() {
    let (a, at) = member(&[]);
    let (b, _) = member(&[&at]);
    let child = ChildSpec::new("it", |rt: &Runtime| {
        rt.spawn(|m: Message, ctx: &mut Context<'_>| {
            assert_ne!(&*m.payload, b"crash", "on purpose");
            let _ = ctx.reply(m.payload);
        })
    });
    a.supervise("/s", vec![child], SupervisorOptions::default()).unwrap();
    let first = a.whereis_path("/s/it").unwrap().unwrap();
    a.register_cluster("it", first).unwrap();
    until("the name is known", || b.whereis("it").is_some());
    let old = b.whereis("it").unwrap();
    b.send(old, b"crash");
    until("the replacement answers under the name", || {
        let new = b.whereis("it").filter(|pid| *pid != old);
        new.is_some_and(|pid| b.call_blocking(pid, b"x", LONG).is_ok_and(|r| &*r == b"x"))
    });
}

/// A node that others reach through a proxy of the test's.
fn behind(seeds: &[&str]) -> (Runtime, Proxy) {
    let rt = node();
    let wire = Proxy::new(&listen(&rt));
    let o = ClusterOptions { advertise: Some(wire.address.clone()), ..fast() };
    rt.join_cluster(seeds, o).unwrap();
    (rt, wire)
}

fn part(wires: &[&Proxy], yes: bool) {
    for w in wires {
        w.refuse(yes);
        if yes {
            w.cut();
        }
    }
}

#[test]
fn fault_21_a_partial_partition_leaves_the_registry_consistent() {
    // `a` and `b` reach each other through proxies only; both reach `c`, whoever it is that calls.
    let (c, c_at) = member(&[]);
    let (a, to_a) = behind(&[&c_at]);
    let (b, to_b) = behind(&[&c_at]);
    until("all are connected", || [&a, &b, &c].iter().all(|rt| rt.nodes().len() == 2));
    a.register_cluster("a's", idle(&a)).unwrap();
    until("the name is known", || b.whereis("a's").is_some() && c.whereis("a's").is_some());
    let lost = end_of(&b, b.whereis("a's").unwrap());
    part(&[&to_a, &to_b], true);
    assert_eq!(lost.recv_timeout(LONG).unwrap(), ExitReason::NodeDown, "the link is cut");
    until("and for nobody else", || {
        (a.nodes().len(), b.nodes().len(), c.nodes().len()) == (1, 1, 2)
    });
    // What can be reached is found; what cannot is still not free, because somebody else sees its node.
    assert!(c.whereis("a's").is_some());
    let (other, clock) = (idle(&b), Clock::real());
    until("that lasts, for longer than hearsay is believed", || {
        let taken = b.register_cluster("a's", other).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::NameTaken);
        assert_eq!(b.whereis("a's"), None);
        clock.now_ms() > 1_500
    });
    // A name that is new meanwhile comes round through the one in the middle; who takes it before it has loses it again.
    let news = idle(&b);
    b.register_cluster("b's", news).unwrap();
    until("the one in the middle knows", || c.whereis("b's").is_some());
    tick();
    until("it came round", || {
        a.register_cluster("b's", idle(&a)).is_err_and(|e| e.kind() == ErrorKind::NameTaken)
            && a.whereis("b's").is_none()
    });
    part(&[&to_a, &to_b], false);
    until("all are connected again", || [&a, &b, &c].iter().all(|rt| rt.nodes().len() == 2));
    until("both are found", || {
        b.whereis("a's").is_some() && a.whereis("b's").is_some_and(|pid| a.is_remote(pid))
    });
    assert!(b.is_alive(news));
}

#[test]
fn fault_22_a_partition_heals_with_one_owner_and_a_name_conflict_for_the_other() {
    for traps in [false, true] {
        let (a, to_a) = behind(&[]);
        let (b, to_b) = behind(&[&to_a.address]);
        until("they are connected", || a.nodes().len() == 1 && b.nodes().len() == 1);
        part(&[&to_a, &to_b], true);
        until("they are parted", || a.nodes().is_empty() && b.nodes().is_empty());
        let older = idle(&a);
        a.register_cluster("it", older).unwrap();
        let (tx, told) = channel();
        let younger = b
            .spawn_with(
                move |m: Message, _: &mut Context<'_>| {
                    if let Some(s) = m.payload.as_system() {
                        let _ = tx.send(s.reason);
                    }
                },
                SpawnOptions { system: true, ..SpawnOptions::default() },
            )
            .unwrap();
        b.set_trap_exit(younger, traps).unwrap();
        tick();
        b.register_cluster("it", younger).unwrap();
        assert_eq!((a.whereis("it"), b.whereis("it")), (Some(older), Some(younger)));
        let end = end_of(&b, younger);
        part(&[&to_a, &to_b], false);
        until("one owner", || b.whereis("it").is_some_and(|pid| b.is_remote(pid)));
        assert_eq!(a.whereis("it"), Some(older));
        assert!(a.is_alive(older));
        if traps {
            assert_eq!(told.recv_timeout(LONG).unwrap(), Some(ExitReason::NameConflict));
            assert!(b.is_alive(younger), "it was told and goes on without the name");
        } else {
            assert_eq!(end.recv_timeout(LONG).unwrap(), ExitReason::NameConflict);
        }
    }
}
