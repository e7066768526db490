//! Names, sends, calls, senders, exported pids.

use super::support::{echo, until};
use super::*;
use iris::ErrorKind;
use iris::mesh::Permissions;
use std::sync::{Arc, Mutex};

#[test]
fn a_message_reaches_an_actor_of_another_node() {
    let (tx, rx) = channel();
    let (a, _b, _, pid, proxy) = pair(|b| {
        b.spawn(move |m: Message, _: &mut Context<'_>| tx.send(m.payload.to_vec()).unwrap())
            .unwrap()
    });
    assert_ne!(pid, proxy);
    assert!(a.is_remote(proxy) && a.is_alive(proxy));
    assert_eq!(a.actor_info(proxy).unwrap().kind, "remote");
    assert!(a.send(proxy, b"hello"));
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"hello");
    assert!(a.send(proxy, b""), "a message of no bytes is a message");
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"");
    let large = vec![7; 3 << 20];
    assert!(a.send(proxy, large.clone()));
    assert_eq!(rx.recv_timeout(LONG).unwrap(), large);
}

#[test]
fn an_actor_that_is_kept_local_hears_nothing_from_other_nodes() {
    let (tx, rx) = channel();
    let (a, b, _, pid, proxy) = pair(|b| {
        let pid = b
            .spawn(move |m: Message, _: &mut Context<'_>| tx.send(m.payload.to_vec()).unwrap())
            .unwrap();
        assert!(b.keep_local(pid));
        pid
    });
    assert!(a.send(proxy, b"from afar"));
    let e = a.call_blocking(proxy, b"from afar", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotPermitted, "{e}");
    assert!(b.send(pid, b"from here"));
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"from here");
    super::support::quiet(&b);
    assert_eq!(b.metrics().books.handled, 1);
}

#[test]
fn names_are_looked_up_where_they_are() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    assert_eq!(a.resolve_remote(&at, "nobody", LONG).unwrap(), None);
    b.register("echo", echo(&b)).unwrap();
    let one = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    let two = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    assert_eq!(one, two, "proxies are interned");
    assert_eq!(a.nodes().len(), 1);
    assert!(a.is_node_up(&at, LONG).unwrap());
}

#[test]
fn a_call_is_answered_or_fails_as_it_would_here() {
    let (a, b, at, _, proxy) = pair(echo);
    assert_eq!(&*a.call_blocking(proxy, b"ping", LONG).unwrap(), b"ping");
    // A handler that fails.
    let failing = b
        .spawn(super::support::Fallible(|_: Message, _: &mut Context<'_>| {
            Err(super::support::thrown("no way"))
        }))
        .unwrap();
    b.register("failing", failing).unwrap();
    let failing = a.resolve_remote(&at, "failing", LONG).unwrap().unwrap();
    let e = a.call_blocking(failing, b"x", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::HandlerFailed, "{e}");
    assert!(e.message().contains("no way"), "{e}");
    // A deadline.
    let (silent, kept) = collector(&b);
    let held = b
        .spawn(|_: Message, ctx: &mut Context<'_>| {
            let _ = ctx.defer_reply();
        })
        .unwrap();
    b.register("silent", held).unwrap();
    let held = a.resolve_remote(&at, "silent", LONG).unwrap().unwrap();
    let e = a.call_blocking(held, b"x", Duration::from_millis(50)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Timeout);
    drop((silent, kept));
    // Nothing stays open on either side.
    until("both call tables are empty", || {
        a.metrics().open_calls == 0 && b.metrics().open_calls == 0
    });
}

#[test]
fn a_sender_can_be_answered() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let server = b
        .spawn(|m: Message, ctx: &mut Context<'_>| {
            let sender = m.sender.expect("a sender");
            assert!(ctx.send(sender, [b"re: ", &*m.payload].concat()));
        })
        .unwrap();
    b.register("server", server).unwrap();
    let proxy = a.resolve_remote(&at, "server", LONG).unwrap().unwrap();
    let (tx, rx) = channel();
    let client = a
        .spawn(move |m: Message, ctx: &mut Context<'_>| match &*m.payload {
            b"go" => assert!(ctx.send(proxy, b"question")),
            answer => tx.send((answer.to_vec(), m.sender)).unwrap(),
        })
        .unwrap();
    a.send(client, b"go");
    let (answer, sender) = rx.recv_timeout(LONG).unwrap();
    assert_eq!(answer, b"re: question");
    assert_eq!(sender, Some(proxy), "the answer comes from the proxy that was asked");
}

#[test]
fn order_is_kept_and_nothing_is_lost_in_bulk() {
    const N: u64 = 200_000;
    let seen = Arc::new(Mutex::new((0_u64, true)));
    let at_b = Arc::clone(&seen);
    let (a, _b, _, _, proxy) = pair(move |b| {
        b.spawn(move |m: Message, _: &mut Context<'_>| {
            let mut s = at_b.lock().unwrap();
            let n = u64::from_le_bytes(m.payload[..8].try_into().unwrap());
            s.1 &= n == s.0;
            s.0 += 1;
        })
        .unwrap()
    });
    for n in 0..N {
        assert!(a.send(proxy, &n.to_le_bytes()));
    }
    until("all have come", || seen.lock().unwrap().0 == N);
    assert!(seen.lock().unwrap().1, "in order");
    super::support::quiet(&a);
}

#[test]
fn a_pid_by_number_works_before_the_node_is_reached() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let (pid, got) = collector(&b);
    assert!(a.send_remote(&at, pid, b"one").unwrap());
    assert!(a.send_remote(&at, pid, b"two").unwrap());
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"one");
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"two");
    // A pid that is nobody's: the proxy ends.
    let ghost = Pid::from_bits(pid.to_bits() + (1 << 23)).unwrap();
    let proxy = a.remote_pid(&at, ghost).unwrap();
    assert_eq!(a.join(proxy, Some(LONG)).unwrap().unwrap().reason.as_str(), "noproc");
}

#[test]
fn exported_pids_mean_the_same_actor_everywhere() {
    let (a, b, c) = (node(), node(), node());
    let (at_a, at_b) = (listen(&a), listen(&b));
    let (pid, got) = collector(&a);
    let bytes = a.export_pid(pid).unwrap();
    assert_eq!(a.import_pid(&bytes).unwrap(), pid, "where it lives it is itself");
    // `b` has never met `a`: the address travels with the pid.
    let at_bs = b.import_pid(&bytes).unwrap();
    assert!(b.send(at_bs, b"from b"));
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"from b");
    // `b` gives it on, and `a` gets itself back.
    let again = b.export_pid(at_bs).unwrap();
    assert_eq!(a.import_pid(&again).unwrap(), pid);
    let at_cs = c.import_pid(&again).unwrap();
    assert!(c.send(at_cs, b"from c"));
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"from c");
    for bad in [&b""[..], b"x", &bytes[..20], &[bytes.as_slice(), b"!"].concat()] {
        assert_eq!(a.import_pid(bad).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    drop((at_a, at_b));
}

#[test]
fn errors_say_what_is_wrong() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let kind = |r: iris::Result<String>| r.unwrap_err().kind();
    let default = ListenOptions::default;
    assert_eq!(kind(a.listen(&at, default())), ErrorKind::Io);
    assert_eq!(kind(a.listen("nonsense", default())), ErrorKind::InvalidArgument);
    assert_eq!(kind(a.listen("0.0.0.0:0", default())), ErrorKind::InvalidArgument);
    assert!(a.listen("0.0.0.0:0", ListenOptions { insecure: true, ..default() }).is_ok());
    let closed = {
        let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        l.local_addr().unwrap().to_string()
    };
    let e = a.resolve_remote(&closed, "x", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{e}");
    assert!(e.message().contains(&closed), "{e}");
    assert!(!a.is_node_up(&closed, LONG).unwrap());
    let e = a.resolve_remote(&listen(&a), "x", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{e}");
    assert!(b.unlisten(&at).unwrap());
    assert!(!b.unlisten(&at).unwrap());
}

#[test]
fn unix_sockets_and_ipv6_carry_too() {
    let (a, b) = (node(), node());
    let path = std::env::temp_dir().join(format!("iris-mesh-{}.sock", std::process::id()));
    let unix = format!("unix:{}", path.display());
    b.register("echo", echo(&b)).unwrap();
    let default = ListenOptions::default;
    let mut addresses = vec![b.listen(&unix, default()).unwrap()];
    assert_eq!(addresses[0], unix);
    addresses.extend(b.listen("[::1]:0", default()));
    for at in &addresses {
        let proxy = a.resolve_remote(at, "echo", LONG).unwrap().unwrap();
        assert_eq!(&*a.call_blocking(proxy, b"hi", LONG).unwrap(), b"hi", "{at}");
    }
    assert_eq!(a.nodes().len(), 1, "two addresses, one node");
    assert!(b.unlisten(&unix).unwrap());
    until("the file is gone", || !path.exists());
}

#[test]
fn peers_do_what_they_may() {
    let (a, b) = (node(), node());
    let only_names = Permissions { any_pid: false, resolve: true, stop: false };
    let options = ListenOptions { permissions: Some(only_names), ..ListenOptions::default() };
    let at = b.listen("127.0.0.1:0", options).unwrap();
    let hidden = echo(&b);
    let public = echo(&b);
    b.register("public", public).unwrap();
    let proxy = a.resolve_remote(&at, "public", LONG).unwrap().unwrap();
    assert_eq!(&*a.call_blocking(proxy, b"hi", LONG).unwrap(), b"hi");
    // A pid that it was not told of does not exist for it.
    let stranger = a.remote_pid(&at, hidden).unwrap();
    assert_eq!(a.join(stranger, Some(LONG)).unwrap().unwrap().reason.as_str(), "noproc");
    assert!(!a.stop(proxy), "stopping is not allowed");
    assert!(!a.kill(proxy));
    assert!(b.is_alive(public) && a.is_alive(proxy));
    assert_eq!(a.link(proxy, echo(&a)).unwrap_err().kind(), ErrorKind::NotPermitted);
}

#[test]
fn a_message_over_the_cap_is_a_typed_error() {
    let small = MeshOptions { max_payload: 4096, ..quick() };
    let (a, b) = (node(), node_with(small));
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let proxy = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    assert_eq!(a.call_blocking(proxy, vec![1; 4096], LONG).unwrap().len(), 4096);
    let e = a.call_blocking(proxy, vec![1; 4097], LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::TooLarge, "{e}");
    assert_eq!(a.call_blocking(proxy, b"still here", LONG).unwrap().len(), 10);
}
