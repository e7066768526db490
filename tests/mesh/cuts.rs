//! Sessions that survive their connections.

use super::proxy::Proxy;
use super::support::{echo, until};
use super::*;
use iris::runtime::Linger;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// `a` reaches `b` through a proxy; what `b`'s actor gets is checked to be 0, 1, 2, ...
struct Cutting {
    a: Runtime,
    b: Runtime,
    wire: Proxy,
    to: Pid,
    got: Arc<AtomicU64>,
    wrong: Arc<AtomicBool>,
}

fn cutting() -> Cutting {
    let (a, b) = (node(), node());
    let wire = Proxy::new(&listen(&b));
    let (got, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (g, w) = (Arc::clone(&got), Arc::clone(&wrong));
    let pid = b
        .spawn(move |m: Message, _: &mut Context<'_>| {
            let n = u64::from_le_bytes(m.payload[..8].try_into().unwrap());
            if n != g.fetch_add(1, Ordering::SeqCst) {
                w.store(true, Ordering::SeqCst);
            }
        })
        .unwrap();
    b.register("count", pid).unwrap();
    b.register("echo", echo(&b)).unwrap();
    let to = a.resolve_remote(&wire.address, "count", LONG).unwrap().unwrap();
    Cutting { a, b, wire, to, got, wrong }
}

#[test]
fn fault_19_a_hundred_cuts_in_a_million_messages_lose_nothing() {
    cut_while_sending(1_000_000, 100);
}

#[test]
#[ignore = "a minute and more: make soak"]
fn soak_a_thousand_cuts_in_ten_million_messages_lose_nothing() {
    cut_while_sending(10_000_000, 1_000);
}

fn cut_while_sending(messages: u64, cuts: u64) {
    let c = cutting();
    let (a, to) = (c.a.clone(), c.to);
    let sender = std::thread::spawn(move || {
        for n in 0..messages {
            let mut payload = [0; 64];
            payload[..8].copy_from_slice(&n.to_le_bytes());
            assert!(a.send(to, &payload));
            // No more memory than that, however many there are.
            while n % 1024 == 0 && a.mailbox_size(to) > Some(200_000) {
                std::thread::yield_now();
            }
        }
    });
    for i in 1..=cuts {
        until("the next part has come", || {
            c.got.load(Ordering::SeqCst) >= i * messages / (cuts + 1)
        });
        c.wire.cut();
    }
    until("all have come", || c.got.load(Ordering::SeqCst) >= messages);
    sender.join().unwrap();
    assert_eq!(c.got.load(Ordering::SeqCst), messages);
    assert!(!c.wrong.load(Ordering::SeqCst), "in order, none twice");
    assert!(c.wire.accepted() as u64 > cuts / 2, "{} connections", c.wire.accepted());
    assert!(c.a.is_alive(c.to));
    super::support::quiet(&c.a);
    super::support::quiet(&c.b);
}

/// Who waits for an answer reads the socket itself meanwhile (docs/adr/0048), in turns with the I/O thread; what else comes in
/// keeps its order, over cuts too.
#[test]
fn threads_that_wait_read_in_turns_and_lose_nothing() {
    const CALLS: u64 = 3_000;
    const NUMBERS: u64 = 60_000;
    let c = cutting();
    let (got, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (g, w) = (Arc::clone(&got), Arc::clone(&wrong));
    let here =
        c.a.spawn(move |m: Message, _: &mut Context<'_>| {
            let n = u64::from_le_bytes(m.payload[..8].try_into().unwrap());
            w.fetch_or(n != g.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        })
        .unwrap();
    let (b, back) = (c.b.clone(), c.b.import_pid(&c.a.export_pid(here).unwrap()).unwrap());
    let sender = std::thread::spawn(move || {
        for n in 0..NUMBERS {
            assert!(b.send(back, &n.to_le_bytes()));
            while n % 64 == 0 && b.mailbox_size(back) > Some(10_000) {
                std::thread::yield_now();
            }
        }
    });
    let to = c.a.resolve_remote(&c.wire.address, "echo", LONG).unwrap().unwrap();
    let callers: Vec<_> = (0..2_u64)
        .map(|caller| {
            let a = c.a.clone();
            std::thread::spawn(move || {
                let mut linger = Linger::default();
                for n in 0..CALLS {
                    let question = [caller, n].map(u64::to_le_bytes).concat();
                    let (tx, rx) = channel();
                    let done = Arc::new(AtomicBool::new(false));
                    let d = Arc::clone(&done);
                    let sink = move |outcome| {
                        let _ = tx.send(outcome);
                        d.store(true, Ordering::SeqCst);
                    };
                    a.call_with(to, (&question[..]).into(), LONG, None, sink).unwrap();
                    a.linger(&mut linger, || done.load(Ordering::SeqCst));
                    let answer = rx.recv_timeout(LONG).expect("an outcome").expect("an answer");
                    assert_eq!(*answer, question[..]);
                    assert!(rx.try_recv().is_err(), "once");
                }
            })
        })
        .collect();
    for i in 1..=10 {
        until("the next part has come", || got.load(Ordering::SeqCst) >= i * NUMBERS / 11);
        c.wire.cut();
    }
    for thread in callers {
        thread.join().unwrap();
    }
    sender.join().unwrap();
    until("all have come", || got.load(Ordering::SeqCst) >= NUMBERS);
    assert_eq!(got.load(Ordering::SeqCst), NUMBERS);
    assert!(!wrong.load(Ordering::SeqCst), "in order, none twice");
    super::support::quiet(&c.a);
    super::support::quiet(&c.b);
}

/// Long messages are written from where they are and gathered in memory of their own; a cut may come anywhere in them.
#[test]
fn long_messages_survive_cuts_whole() {
    let c = cutting();
    let (got, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (g, w) = (Arc::clone(&got), Arc::clone(&wrong));
    let body = |n: u64| vec![n as u8; 1 + (n as usize * 7_919) % 200_000];
    let pid =
        c.b.spawn(move |m: Message, _: &mut Context<'_>| {
            let n = g.load(Ordering::SeqCst);
            w.fetch_or(*m.payload != *body(n), Ordering::SeqCst);
            g.store(n + 1, Ordering::SeqCst);
        })
        .unwrap();
    c.b.register("long", pid).unwrap();
    let to = c.a.resolve_remote(&c.wire.address, "long", LONG).unwrap().unwrap();
    for n in 0..400 {
        assert!(c.a.send(to, body(n)));
        if n % 40 == 20 {
            until("some have come", || got.load(Ordering::SeqCst) > n - 20);
            c.wire.cut();
        }
    }
    until("all have come", || got.load(Ordering::SeqCst) == 400);
    assert!(!wrong.load(Ordering::SeqCst), "in order, each whole");
}

/// Room for one message is told when it is there, not looked for now and then.
#[test]
fn an_actor_that_holds_one_message_is_served_over_cuts() {
    let c = cutting();
    let (got, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (g, w) = (Arc::clone(&got), Arc::clone(&wrong));
    let narrow = iris::SpawnOptions { capacity: Some(1), ..Default::default() };
    let pid =
        c.b.spawn_with(
            move |m: Message, _: &mut Context<'_>| {
                let n = g.fetch_add(1, Ordering::SeqCst);
                w.fetch_or(m.payload[..] != n.to_le_bytes(), Ordering::SeqCst);
            },
            narrow,
        )
        .unwrap();
    c.b.register("narrow", pid).unwrap();
    let to = c.a.resolve_remote(&c.wire.address, "narrow", LONG).unwrap().unwrap();
    for n in 0..5_000_u64 {
        assert!(c.a.send(to, &n.to_le_bytes()));
    }
    for i in 1..=5 {
        until("a part has come", || got.load(Ordering::SeqCst) >= i * 800);
        c.wire.cut();
    }
    until("all have come", || got.load(Ordering::SeqCst) == 5_000);
    assert!(!wrong.load(Ordering::SeqCst), "in order");
    assert_eq!(c.b.metrics().books.refused.iter().sum::<u64>(), 0, "none found it full");
}

/// A bounded actor of `b`, and what it was given; it handles nothing until the gate is open.
fn gated(b: &Runtime, capacity: u32) -> (Pid, Arc<AtomicBool>, Receiver<Vec<u8>>) {
    let (tx, got) = channel();
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let bounded = iris::SpawnOptions { capacity: Some(capacity), ..Default::default() };
    let handler = move |m: Message, ctx: &mut Context<'_>| {
        while !gate.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let _ = tx.send(m.payload.to_vec());
        if ctx.is_call() {
            let _ = ctx.reply(m.payload);
        }
    };
    (b.spawn_with(handler, bounded).unwrap(), open, got)
}

/// Whoever finds an actor again, or by another address, has no more room there than before.
#[test]
fn an_actor_that_is_found_again_and_again_loses_nothing() {
    let (a, b) = (node(), node());
    let (one, other) = (listen(&b), listen(&b));
    let (pid, open, got) = gated(&b, 8);
    b.register("it", pid).unwrap();
    let to = a.resolve_remote(&one, "it", LONG).unwrap().unwrap();
    let second = a.remote_pid(&other, pid).unwrap();
    for n in 0..200_u32 {
        assert_eq!(a.resolve_remote(&one, "it", LONG).unwrap(), Some(to));
        assert!(a.send(if n % 2 == 0 { to } else { second }, &n.to_le_bytes()));
    }
    open.store(true, Ordering::SeqCst);
    let mut all: Vec<_> = (0..200).map(|_| got.recv_timeout(LONG).unwrap()).collect();
    all.sort_by_key(|n| u32::from_le_bytes(n[..].try_into().unwrap()));
    assert_eq!(all, (0..200_u32).map(|n| n.to_le_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(b.mesh_metrics().over_credit, 0);
    assert_eq!(b.metrics().books.refused.iter().sum::<u64>(), 0, "none found it full");
}

/// What is given up before it left uses no room up.
#[test]
fn calls_given_up_in_the_proxy_leave_its_room_to_others() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let (pid, open, got) = gated(&b, 1);
    b.register("it", pid).unwrap();
    let to = a.resolve_remote(&at, "it", LONG).unwrap().unwrap();
    for _ in 0..20 {
        let e = a.call_blocking(to, b"late", Duration::from_millis(5)).unwrap_err();
        assert_eq!(e.kind(), iris::ErrorKind::Timeout);
    }
    open.store(true, Ordering::SeqCst);
    for n in 0..20_u8 {
        assert_eq!(*a.call_blocking(to, &[n], LONG).unwrap(), [n]);
    }
    assert!(got.try_iter().filter(|m| m == b"late").count() <= 2, "nobody waits for those");
}

#[test]
fn calls_go_on_over_cuts() {
    let c = cutting();
    let to = c.a.resolve_remote(&c.wire.address, "echo", LONG).unwrap().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..2_u8)
        .map(|i| {
            let (a, stop) = (c.a.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut n = 0_u32;
                while !stop.load(Ordering::SeqCst) {
                    let body = [&[i][..], &n.to_le_bytes()].concat();
                    assert_eq!(*a.call_blocking(to, body.clone(), LONG).unwrap(), *body);
                    n += 1;
                }
                n
            })
        })
        .collect();
    for i in 1..=20 {
        // One that carries: to cut each connection in its greeting is to be a partition, which lasts longer than the window.
        until("there is a connection", || {
            c.wire.accepted() >= i && c.a.nodes().iter().all(|n| n.connected)
        });
        c.wire.cut();
    }
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().unwrap();
    }
}

#[test]
fn a_partition_within_the_window_is_survived() {
    let c = cutting();
    for n in 0_u64..10 {
        c.a.send(c.to, &n.to_le_bytes());
    }
    until("ten have come", || c.got.load(Ordering::SeqCst) == 10);
    c.wire.refuse(true);
    c.wire.cut();
    for n in 10_u64..1000 {
        assert!(c.a.send(c.to, &n.to_le_bytes()), "the proxy takes it meanwhile");
    }
    until("the cut was noticed", || c.a.nodes().iter().all(|n| !n.connected));
    assert!(c.a.is_alive(c.to));
    c.wire.refuse(false);
    until("the rest has come", || c.got.load(Ordering::SeqCst) == 1000);
    assert!(!c.wrong.load(Ordering::SeqCst));
    assert_eq!(c.a.mesh_metrics().lost, 0);
}

/// Loss is TCP's to mend: it shows as delay, and as cuts when there is too much of it.
#[test]
fn fault_25_a_slow_and_lossy_wire_is_slower_and_correct() {
    let c = cutting();
    c.wire.delay(200);
    for n in 0_u64..2000 {
        assert!(c.a.send(c.to, &n.to_le_bytes()));
        if n % 500 == 250 {
            c.wire.cut();
        }
    }
    let echo = c.a.resolve_remote(&c.wire.address, "echo", LONG).unwrap().unwrap();
    assert_eq!(&*c.a.call_blocking(echo, b"x", LONG).unwrap(), b"x");
    until("all have come", || c.got.load(Ordering::SeqCst) == 2000);
    assert!(!c.wrong.load(Ordering::SeqCst), "in order, none twice");
}

#[test]
fn fault_26_simultaneous_connects_leave_one_link() {
    for _ in 0..20 {
        let (a, b) = (node(), node());
        let (at_a, at_b) = (listen(&a), listen(&b));
        a.register("echo", echo(&a)).unwrap();
        b.register("echo", echo(&b)).unwrap();
        let both: Vec<_> = [(a.clone(), at_b), (b.clone(), at_a)]
            .map(|(rt, at)| {
                std::thread::spawn(move || {
                    let proxy = rt.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
                    for _ in 0..50 {
                        assert_eq!(&*rt.call_blocking(proxy, b"x", LONG).unwrap(), b"x");
                    }
                })
            })
            .into_iter()
            .collect();
        for thread in both {
            thread.join().unwrap();
        }
        assert_eq!((a.nodes().len(), b.nodes().len()), (1, 1));
        assert_eq!(a.mesh_metrics().lost + b.mesh_metrics().lost, 0);
    }
}

#[test]
fn fault_24_a_full_actor_stops_its_own_messages_and_nobody_elses() {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let (at_gate, seen) = (Arc::clone(&gate), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&seen);
    let rt = Runtime::new(Config { workers: 2, ..Config::default() }).unwrap();
    rt.configure_mesh(quick()).unwrap();
    let at2 = listen(&rt);
    let stuck = rt
        .spawn_with(
            move |_: Message, _: &mut Context<'_>| {
                drop(at_gate.lock().unwrap());
                counted.fetch_add(1, Ordering::SeqCst);
            },
            iris::SpawnOptions { capacity: Some(10), ..Default::default() },
        )
        .unwrap();
    rt.register("stuck", stuck).unwrap();
    rt.register("echo", echo(&rt)).unwrap();
    a.configure_mesh(MeshOptions { proxy_capacity: Some(1000), ..quick() }).unwrap();
    let stuck = a.resolve_remote(&at2, "stuck", LONG).unwrap().unwrap();
    let free = a.resolve_remote(&at2, "echo", LONG).unwrap().unwrap();
    let mut taken = 0_u64;
    // What the remote mailbox does not take waits here, and this mailbox is bounded.
    until("the proxy is full", || {
        let took = a.send(stuck, b"m");
        taken += u64::from(took);
        !took
    });
    assert!(taken <= 1000 + 12, "{taken}");
    assert_eq!(a.mailbox_size(stuck), Some(1000));
    assert_eq!(a.call_blocking(free, b"x", LONG).unwrap().len(), 1, "the session goes on");
    assert_eq!(rt.metrics().books.refused.iter().sum::<u64>(), 0, "nothing was dropped there");
    drop(held);
    until("all that was taken is handled", || seen.load(Ordering::SeqCst) == taken);
    drop((b, at));
}
