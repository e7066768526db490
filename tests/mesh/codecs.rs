//! What a remote actor speaks travels with whatever makes it known.

use super::support::{echo, until};
use super::*;
use iris::mesh::ClusterOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn spoken(rt: &Runtime, pid: Pid) -> Option<String> {
    rt.codec_of(pid).map(|name| name.to_string())
}

fn speaker(rt: &Runtime, codec: &str) -> Pid {
    let pid = echo(rt);
    assert!(rt.set_codec(pid, codec.into()));
    pid
}

#[test]
fn a_name_that_is_resolved_tells_the_codec() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let pid = speaker(&b, "json");
    b.register("typed", pid).unwrap();
    b.register("plain", echo(&b)).unwrap();
    b.register("traced", speaker(&b, "traced+json")).unwrap();
    b.register("traced bytes", speaker(&b, "traced+raw")).unwrap();
    let find = |name| a.resolve_remote(&at, name, LONG).unwrap().unwrap();
    let typed = find("typed");
    assert_eq!(spoken(&a, typed).as_deref(), Some("json"));
    assert_eq!(find("typed"), typed, "interned");
    assert_eq!(spoken(&a, find("plain")), None);
    assert_eq!(spoken(&a, find("traced")).as_deref(), Some("json"), "contexts stay at home");
    assert_eq!(spoken(&a, find("traced bytes")), None);
    // Who has a number and no word of the codec has bytes; both ends are the one actor, and both have credit.
    let plain = a.remote_pid(&at, pid).unwrap();
    assert_eq!(spoken(&a, plain), None);
    assert_eq!(a.remote_pid(&at, pid).unwrap(), plain, "interned");
    for end in [plain, typed, plain, typed] {
        assert_eq!(&*a.call_blocking(end, b"hi", LONG).unwrap(), b"hi");
    }
    assert!(a.stop(typed));
    assert_eq!(a.join(plain, Some(LONG)).unwrap().unwrap().reason.as_str(), "shutdown");
}

#[test]
fn an_exported_pid_bears_the_codec_over_any_number_of_nodes() {
    let (a, b, c) = (node(), node(), node());
    let (_at_a, _at_b) = (listen(&a), listen(&b));
    let pid = speaker(&a, "json");
    let bytes = a.export_pid(pid).unwrap();
    assert_eq!(a.import_pid(&bytes).unwrap(), pid);
    // Before `b` has ever met `a`, and after.
    let early = b.import_pid(&bytes).unwrap();
    assert_eq!(spoken(&b, early).as_deref(), Some("json"));
    assert_eq!(&*b.call_blocking(early, b"hi", LONG).unwrap(), b"hi");
    assert_eq!(b.import_pid(&bytes).unwrap(), early, "interned");
    let again = b.export_pid(early).unwrap();
    assert_eq!(again, bytes);
    let far = c.import_pid(&again).unwrap();
    assert_eq!(spoken(&c, far).as_deref(), Some("json"));
    assert_eq!(&*c.call_blocking(far, b"hi", LONG).unwrap(), b"hi");
    // The bytes of an actor without a codec are what they were.
    assert_eq!(a.export_pid(echo(&a)).unwrap()[0], 1);
    for cut in 1..bytes.len() {
        let e = b.import_pid(&bytes[..cut]).unwrap_err();
        assert_eq!(e.kind(), iris::ErrorKind::InvalidArgument, "cut at {cut}");
    }
}

#[test]
fn a_sender_is_introduced_with_its_codec() {
    let (tx, rx) = channel();
    let (a, b, _, _, proxy) = pair(|b| {
        b.spawn(move |m: Message, _: &mut Context<'_>| {
            tx.send(m.sender.expect("a sender")).unwrap();
        })
        .unwrap()
    });
    let from = |codec: Option<&str>| {
        let client = a
            .spawn(move |_: Message, ctx: &mut Context<'_>| assert!(ctx.send(proxy, b"hello")))
            .unwrap();
        if let Some(codec) = codec {
            a.set_codec(client, codec.into());
        }
        client
    };
    let (typed, plain) = (from(Some("json")), from(None));
    for client in [typed, plain, typed] {
        a.send(client, b"go");
    }
    let mut seen: Vec<(Pid, Option<Arc<str>>)> =
        (0..3).map(|_| rx.recv_timeout(LONG).unwrap()).map(|pid| (pid, b.codec_of(pid))).collect();
    seen.sort_by_key(|(pid, codec)| (codec.is_none(), *pid));
    assert_eq!(seen[0].1.as_deref(), Some("json"));
    assert_eq!(seen[0], seen[1], "one proxy for one actor");
    assert_eq!(seen[2].1, None);
    // What is answered was let in: its end is watched.
    b.call_blocking(seen[0].0, b"go", LONG).unwrap();
    assert!(a.kill(typed));
    assert_eq!(b.join(seen[0].0, Some(LONG)).unwrap().unwrap().reason.as_str(), "killed");
}

#[test]
fn a_cluster_name_bears_the_codec_of_its_actor() {
    let (a, b) = (node(), node());
    let (at_a, _at_b) = (listen(&a), listen(&b));
    let options =
        || ClusterOptions { gossip: Duration::from_millis(50), ..ClusterOptions::default() };
    a.join_cluster(&[], options()).unwrap();
    b.join_cluster(&[&at_a], options()).unwrap();
    a.register_cluster("typed", speaker(&a, "json")).unwrap();
    a.register_cluster("plain", echo(&a)).unwrap();
    until("the names are known", || b.whereis("typed").is_some() && b.whereis("plain").is_some());
    assert_eq!(spoken(&b, b.whereis("typed").unwrap()).as_deref(), Some("json"));
    assert_eq!(spoken(&b, b.whereis("plain").unwrap()), None);
}

/// Credit is given once, however many ways there are to an actor and however often it is asked for.
#[test]
fn nothing_is_lost_by_asking_for_a_name_again() {
    const SENT: u32 = 400;
    let (a, b) = (node(), node_with(MeshOptions { window: 64, ..quick() }));
    let at = listen(&b);
    let (open, got) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (gate, sink) = (Arc::clone(&open), Arc::clone(&got));
    let pid = b
        .spawn(move |m: Message, _: &mut Context<'_>| {
            until("the gate opens", || gate.load(Ordering::Acquire));
            sink.lock().unwrap().push(u32::from_le_bytes((*m.payload).try_into().unwrap()));
        })
        .unwrap();
    b.set_codec(pid, "json".into());
    b.register("slow", pid).unwrap();
    let find = || a.resolve_remote(&at, "slow", LONG).unwrap().unwrap();
    let ends = [find(), a.remote_pid(&at, pid).unwrap(), find(), find()];
    assert!(a.is_node_up(&at, LONG).unwrap());
    for n in 0..SENT {
        assert!(a.send(ends[n as usize % ends.len()], &n.to_le_bytes()));
    }
    until("as much is there as may be", || b.mailbox_size(pid).is_some_and(|n| n >= 60));
    // What was sent until now has come, and whatever was too much would have been dropped.
    assert!(a.is_node_up(&at, LONG).unwrap());
    open.store(true, Ordering::Release);
    until("all have come", || got.lock().unwrap().len() == SENT as usize);
    assert_eq!(b.mesh_metrics().over_credit, 0);
    let got = got.lock().unwrap();
    let in_order =
        |typed: bool| got.iter().filter(|n| (*n % 4 != 1) == typed).collect::<Vec<_>>().is_sorted();
    assert!(in_order(true) && in_order(false), "each end keeps its order: {got:?}");
}
