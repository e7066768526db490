//! One list of checks for a local pid, a proxy of the embedded mesh and a proxy of another engine: they behave the same.

use super::memory::{Switch, engine};
use super::support::{echo, until};
use super::*;
use iris::message::{Meta, SystemKind, SystemMessage};
use iris::runtime::NODES;
use iris::{ErrorKind, Event, ExitReason, NodeEvent, Payload, Pressure, SpawnOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Local,
    Embedded,
    Memory,
}

/// Who calls, where the actors live, and how the one reaches the others.
struct World {
    way: Way,
    here: Runtime,
    there: Runtime,
    address: String,
}

impl World {
    fn new(way: Way) -> Self {
        // Small proxies, so that what is full is soon seen.
        let options = MeshOptions { proxy_capacity: Some(CAPACITY), window: 1 << 10, ..quick() };
        let plain = || Runtime::new(Config { workers: 1, ..Config::default() }).unwrap();
        let (here, there) = match way {
            Way::Local => {
                let rt = plain();
                (rt.clone(), rt)
            }
            Way::Embedded => (node_with(options), node()),
            Way::Memory => {
                let (switch, a, b) = (Arc::new(Switch::default()), plain(), plain());
                for rt in [&a, &b] {
                    rt.use_engine(|host| engine(&switch, host)).unwrap();
                }
                a.configure_mesh(options).unwrap();
                assert!(a.use_engine(|host| engine(&switch, host)).is_err(), "it has one");
                (a, b)
            }
        };
        let address = if way == Way::Local { String::new() } else { listen(&there) };
        Self { way, here, there, address }
    }

    /// The pid by which the caller knows an actor.
    fn known(&self, pid: Pid) -> Pid {
        if self.way == Way::Local {
            return pid;
        }
        let name = format!("a{}", pid.to_bits());
        self.there.register(&name, pid).unwrap();
        let proxy = self.here.resolve_remote(&self.address, &name, LONG).unwrap().unwrap();
        assert!(self.here.is_remote(proxy));
        assert_eq!(self.here.remote_pid(&self.address, pid).unwrap(), proxy, "interned");
        let bytes = self.there.export_pid(pid).unwrap();
        assert_eq!(self.here.import_pid(&bytes).unwrap(), proxy);
        assert_eq!(self.there.import_pid(&bytes).unwrap(), pid);
        proxy
    }

    fn end(&self, pid: Pid) -> ExitReason {
        self.here.join(pid, Some(LONG)).unwrap().unwrap().reason
    }
}

const CAPACITY: u32 = 64;

type Check = fn(&World);

const CHECKS: &[(&str, Check)] = &[
    ("sends arrive in order", sends_in_order),
    ("calls are answered, fail and time out", calls),
    ("a monitor tells the reason once", monitors),
    ("links hold in both directions", links),
    ("a stop, a drain and a kill end the actor", stops),
    ("a DOWN comes to a watcher wherever it is", watchers),
    ("an actor that traps exits hears of linked ones", traps),
    ("two actors of other nodes are linked", far_links),
    ("what can be seen of it", looks),
    ("a full mailbox refuses and loses nothing", overflow),
    ("cluster names", names),
];

#[test]
fn local_pids_and_proxies_of_every_engine_behave_the_same() {
    let mut failed = Vec::new();
    for way in [Way::Local, Way::Embedded, Way::Memory] {
        for (what, check) in CHECKS {
            let world = World::new(way);
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&world)));
            if checked.is_err() {
                failed.push((way, *what));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// A node that closes says goodbye, and both hear of each other.
#[test]
fn every_engine_tells_of_nodes_that_come_and_go() {
    for way in [Way::Embedded, Way::Memory] {
        let w = World::new(way);
        let (tx, told) = channel();
        let mut watches = Vec::new();
        for (who, rt) in [("here", &w.here), ("there", &w.there)] {
            let tx = tx.clone();
            watches.push(rt.watch_events(NODES, move || tx.send(who).unwrap()));
        }
        let to = w.known(echo(&w.there));
        let mut both = [told.recv_timeout(LONG).unwrap(), told.recv_timeout(LONG).unwrap()];
        both.sort_unstable();
        assert_eq!(both, ["here", "there"], "{way:?}");
        assert_eq!((w.here.nodes().len(), w.there.nodes().len()), (1, 1), "{way:?}");
        assert!(w.here.nodes()[0].connected);
        for watch in &watches {
            let (news, _) = watch.take(16);
            assert!(matches!(&news[..], [Event::Node(NodeEvent { down: None, .. })]), "{news:?}");
        }
        w.there.close(LONG).unwrap();
        assert_eq!(w.end(to), ExitReason::Disconnected, "{way:?}");
        let mut downs = Vec::new();
        until("the goodbye is told", || {
            downs.extend(watches[0].take(16).0);
            !downs.is_empty()
        });
        assert!(
            matches!(
                &downs[..],
                [Event::Node(NodeEvent { down: Some(ExitReason::Disconnected), .. })]
            ),
            "{way:?}: {downs:?}"
        );
        assert!(w.here.nodes().is_empty(), "{way:?}");
    }
}

fn sends_in_order(w: &World) {
    let (pid, got) = collector(&w.there);
    let to = w.known(pid);
    for n in 0_u32..2_000 {
        until("there is room", || w.here.send(to, &n.to_le_bytes()));
    }
    for n in 0_u32..2_000 {
        assert_eq!(got.recv_timeout(LONG).unwrap(), n.to_le_bytes());
    }
}

/// Answers all but `hold`, of which it never does, and fails at `crash`.
fn moody(rt: &Runtime) -> (Pid, Arc<Mutex<Vec<Vec<u8>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let pid = rt
        .spawn(move |m: Message, ctx: &mut Context<'_>| {
            all.lock().unwrap().push(m.payload.to_vec());
            match &*m.payload {
                b"crash" => panic!("on purpose"),
                b"hold" => {
                    ctx.defer_reply();
                }
                _ if ctx.is_call() => {
                    let _ = ctx.reply(m.payload);
                }
                _ => {}
            }
        })
        .unwrap();
    (pid, seen)
}

fn calls(w: &World) {
    let (pid, _) = moody(&w.there);
    let to = w.known(pid);
    assert_eq!(&*w.here.call_blocking(to, b"x", LONG).unwrap(), b"x");
    let soon = Duration::from_millis(30);
    let late = w.here.call_blocking(to, b"hold", soon).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    let failed = w.here.call_blocking(to, b"crash", LONG).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::HandlerFailed);
    assert!(failed.message().contains("on purpose"), "{failed:?}");
    assert_eq!(w.end(to), ExitReason::Panic);
    let gone = w.here.call_blocking(to, b"x", LONG).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NoSuchActor);
    assert!(!w.here.send(to, b"x"));
    until("no call is left", || {
        w.here.metrics().open_calls == 0 && w.there.metrics().open_calls == 0
    });
}

fn monitors(w: &World) {
    let to = w.known(echo(&w.there));
    let (tx, downs) = channel();
    let sink = tx.clone();
    w.here.monitor_with(to, move |info| sink.send(info.reason).unwrap()).unwrap();
    let back = w.here.monitor_with(to, move |info| tx.send(info.reason).unwrap()).unwrap();
    assert!(w.here.demonitor(back));
    assert!(w.here.stop(to));
    assert_eq!(downs.recv_timeout(LONG).unwrap(), ExitReason::Shutdown);
    let (tx, late) = channel();
    w.here.monitor_with(to, move |info| tx.send(info.reason).unwrap()).unwrap();
    assert_eq!(late.recv_timeout(LONG).unwrap(), ExitReason::NoProc);
    assert!(downs.try_recv().is_err(), "once");
}

fn links(w: &World) {
    for there_first in [true, false] {
        let pid = echo(&w.there);
        let (to, mine) = (w.known(pid), echo(&w.here));
        w.here.link(mine, to).unwrap();
        w.here.call_blocking(to, b"x", LONG).unwrap();
        if there_first {
            w.there.kill(pid)
        } else {
            w.here.kill(mine)
        };
        assert_eq!(w.end(to), ExitReason::Killed);
        assert_eq!(w.end(mine), ExitReason::Killed);
    }
}

/// An actor that hands on the system messages it gets.
fn hearer(rt: &Runtime) -> (Pid, Receiver<SystemMessage>) {
    let (tx, rx) = channel();
    let hears = SpawnOptions { system: true, ..SpawnOptions::default() };
    let handler = move |m: Message, ctx: &mut Context<'_>| {
        if let Some(system) = m.payload.as_system() {
            let _ = tx.send(system.clone());
        } else {
            let _ = ctx.reply(m.payload);
        }
    };
    (rt.spawn_with(handler, hears).unwrap(), rx)
}

fn watchers(w: &World) {
    let (watcher, heard) = hearer(&w.there);
    let to = w.known(watcher);
    // One that lives here, one that lives where the watcher does.
    let (mine, theirs) = (echo(&w.here), echo(&w.there));
    let known = w.known(theirs);
    for target in [mine, known] {
        let reference = w.here.monitor(target, to).unwrap();
        let back = w.here.monitor(target, to).unwrap();
        assert!(w.here.demonitor(back));
        w.here.send(target, b"x");
        w.here.stop(target);
        let m = heard.recv_timeout(LONG).unwrap();
        let what = (m.kind, m.target, m.reason);
        assert_eq!(what, (SystemKind::Down, watcher, Some(ExitReason::Shutdown)));
        assert_eq!(m.metadata[0], ("ref", Meta::Number(reference)));
        assert!(m.from.is_some());
        if target == known {
            assert_eq!(m.from, Some(theirs), "where it lives it is itself");
        }
    }
    // One that has ended already.
    w.here.monitor(mine, to).unwrap();
    assert_eq!(heard.recv_timeout(LONG).unwrap().reason, Some(ExitReason::NoProc));
    // A watcher that does not hear is none, and does no harm.
    if w.way != Way::Local {
        let deaf = w.known(echo(&w.there));
        let mine = echo(&w.here);
        w.here.monitor(mine, deaf).unwrap();
        w.here.stop(mine);
        assert_eq!(&*w.here.call_blocking(deaf, b"x", LONG).unwrap(), b"x");
    }
    assert!(heard.try_recv().is_err(), "each once");
}

fn traps(w: &World) {
    let (pid, heard) = hearer(&w.there);
    let (to, mine) = (w.known(pid), echo(&w.here));
    assert!(!w.here.set_trap_exit(to, true).unwrap());
    assert!(w.here.set_trap_exit(to, true).unwrap());
    w.here.link(to, mine).unwrap();
    // Behind the link on the same way: it is there when this is answered.
    w.here.call_blocking(to, b"x", LONG).unwrap();
    w.here.kill(mine);
    let m = heard.recv_timeout(LONG).unwrap();
    assert_eq!((m.kind, m.reason), (SystemKind::Exit, Some(ExitReason::Killed)));
    assert!(w.here.is_alive(to) && w.there.is_alive(pid));
}

fn far_links(w: &World) {
    for unlinked in [false, true] {
        let (a, b) = (echo(&w.there), echo(&w.there));
        let (one, other) = (w.known(a), w.known(b));
        w.here.link(one, other).unwrap();
        if unlinked {
            assert!(w.here.unlink(one, other));
            assert!(!w.here.unlink(one, other));
        }
        w.here.call_blocking(one, b"x", LONG).unwrap();
        w.here.kill(one);
        assert_eq!(w.end(one), ExitReason::Killed);
        if unlinked {
            assert_eq!(&*w.here.call_blocking(other, b"x", LONG).unwrap(), b"x");
        } else {
            assert_eq!(w.end(other), ExitReason::Killed);
            assert_eq!(w.there.join(b, Some(LONG)).unwrap().unwrap().reason, ExitReason::Killed);
        }
    }
}

fn stops(w: &World) {
    let to = w.known(echo(&w.there));
    assert!(w.here.is_alive(to));
    assert!(w.here.stop(to));
    assert_eq!(w.end(to), ExitReason::Shutdown);
    assert!(!w.here.is_alive(to));
    assert!(!w.here.stop(to));
    let to = w.known(echo(&w.there));
    assert!(w.here.kill(to));
    assert_eq!(w.end(to), ExitReason::Killed);
    let (pid, got) = collector(&w.there);
    let to = w.known(pid);
    for n in 0_u8..10 {
        assert!(w.here.send(to, &[n]));
    }
    assert!(w.here.stop_drain(to));
    assert_eq!(w.end(to), ExitReason::Shutdown);
    assert_eq!(got.try_iter().collect::<Vec<_>>(), (0_u8..10).map(|n| vec![n]).collect::<Vec<_>>());
}

fn looks(w: &World) {
    let to = w.known(echo(&w.there));
    assert_eq!(w.here.mailbox_size(to), Some(0));
    let info = w.here.actor_info(to).unwrap();
    assert_eq!(info.pid, to);
    assert_eq!(info.kind == "remote", w.way != Way::Local);
    assert_eq!(w.here.mailbox_backpressure(to), Some(Pressure::Normal));
    w.here.stop(to);
    w.end(to);
    assert_eq!(w.here.mailbox_size(to), None);
    assert!(w.here.actor_info(to).is_none());
    assert_eq!(w.here.mailbox_backpressure(to), None);
}

fn overflow(w: &World) {
    let open = Arc::new(AtomicBool::new(false));
    let (gate, (tx, got), (begun, begins)) = (Arc::clone(&open), channel(), channel());
    let pid = w
        .there
        .spawn_with(
            move |m: Message, _: &mut Context<'_>| {
                let _ = begun.send(());
                while !gate.load(Ordering::SeqCst) {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                let _ = tx.send(m.payload.to_vec());
            },
            SpawnOptions { capacity: Some(CAPACITY), ..SpawnOptions::default() },
        )
        .unwrap();
    let to = w.known(pid);
    let mut sent = 1_u32;
    assert!(w.here.send(to, &0_u32.to_le_bytes()));
    begins.recv_timeout(LONG).unwrap();
    // Full is what stays full: a proxy is drained as long as there is room behind it.
    until("it refuses", || {
        while w.here.send(to, &sent.to_le_bytes()) {
            sent += 1;
        }
        w.here.mailbox_size(to) == Some(CAPACITY as usize)
            && (w.way == Way::Local || w.there.mailbox_size(pid) >= Some(CAPACITY as usize - 1))
    });
    assert!(sent <= 3 * CAPACITY, "bounded: {sent}");
    assert_eq!(w.here.mailbox_backpressure(to), Some(Pressure::Critical));
    let full = w.here.call_blocking(to, Payload::from(b"x"), LONG).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::MailboxFull);
    open.store(true, Ordering::SeqCst);
    for n in 0..sent {
        assert_eq!(got.recv_timeout(LONG).unwrap(), n.to_le_bytes(), "in order, none lost");
    }
    until("it is empty", || w.here.mailbox_backpressure(to) == Some(Pressure::Normal));
    assert!(w.here.send(to, b"again"));
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"again");
}

fn names(w: &World) {
    let fast = iris::mesh::ClusterOptions {
        gossip: Duration::from_millis(50),
        timeout: LONG,
        ..Default::default()
    };
    w.there.join_cluster(&[], fast.clone()).unwrap();
    if w.way != Way::Local {
        w.here.join_cluster(&[&w.address], fast).unwrap();
    }
    let pid = echo(&w.there);
    w.there.register_cluster("it", pid).unwrap();
    until("it is known", || w.here.whereis("it").is_some());
    let to = w.here.whereis("it").unwrap();
    assert_eq!(&*w.here.call_blocking(to, b"x", LONG).unwrap(), b"x");
    let taken = w.here.register_cluster("it", echo(&w.here)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::NameTaken);
    w.there.stop(pid);
    until("it is free", || w.here.whereis("it").is_none());
    let next = echo(&w.here);
    until("and can be taken", || w.here.register_cluster("it", next).is_ok());
}
