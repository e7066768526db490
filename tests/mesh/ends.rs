//! How remote actors, nodes and sessions end.

use super::proxy::Proxy;
use super::support::{echo, mute, until};
use super::*;
use iris::{ErrorKind, ExitReason};

fn reason(rt: &Runtime, pid: Pid) -> ExitReason {
    rt.join(pid, Some(LONG)).unwrap().expect("it ended").reason
}

#[test]
fn a_remote_end_is_the_proxys_end_with_its_reason() {
    let (a, b, at, pid, proxy) = pair(echo);
    let (tx, rx) = channel();
    let monitor = a.monitor_with(proxy, move |info| tx.send(info).unwrap()).unwrap();
    assert_ne!(monitor, 0);
    b.stop(pid);
    let down = rx.recv_timeout(LONG).unwrap();
    assert_eq!((down.pid, down.reason), (proxy, ExitReason::Shutdown));
    assert!(!a.is_alive(proxy) && !a.send(proxy, b"late"));
    let crashing = b
        .spawn(super::support::Fallible(|_: Message, _: &mut Context<'_>| {
            Err(super::support::thrown("ouch"))
        }))
        .unwrap();
    b.register("crashing", crashing).unwrap();
    let proxy = a.resolve_remote(&at, "crashing", LONG).unwrap().unwrap();
    let (tx, rx) = channel();
    a.on_failure(move |info| tx.send(info).unwrap());
    a.send(proxy, b"x");
    let info = a.join(proxy, Some(LONG)).unwrap().unwrap();
    assert_eq!(info.reason, ExitReason::Crash);
    assert!(info.crash.unwrap().message.contains("ouch"));
    assert!(rx.try_recv().is_err(), "a crash is reported where it happened");
}

#[test]
fn a_remote_actor_can_be_stopped_drained_and_killed() {
    let (a, b, at, pid, proxy) = pair(echo);
    assert!(a.stop(proxy));
    assert!(!a.is_alive(proxy), "from now on it takes nothing");
    assert!(!a.send(proxy, b"late"));
    assert_eq!(reason(&a, proxy), ExitReason::Shutdown);
    assert_eq!(reason(&b, pid), ExitReason::Shutdown);
    assert!(!a.stop(proxy));
    // Drained: all that was sent before is handled.
    let (pid, got) = collector(&b);
    b.register("drained", pid).unwrap();
    let proxy = a.resolve_remote(&at, "drained", LONG).unwrap().unwrap();
    for _ in 0..5000 {
        a.send(proxy, b"m");
    }
    assert!(a.stop_drain(proxy));
    assert_eq!(reason(&a, proxy), ExitReason::Shutdown);
    assert_eq!(got.try_iter().count(), 5000);
    // Killed.
    let stuck = mute(&b);
    b.register("stuck", stuck).unwrap();
    let proxy = a.resolve_remote(&at, "stuck", LONG).unwrap().unwrap();
    assert!(a.kill(proxy));
    assert_eq!(reason(&a, proxy), ExitReason::Killed);
    assert_eq!(reason(&b, stuck), ExitReason::Killed);
}

#[test]
fn links_hold_across_nodes_in_both_directions() {
    for there_first in [true, false] {
        let (a, b, _, pid, proxy) = pair(echo);
        let mine = echo(&a);
        a.link(mine, proxy).unwrap();
        // Behind the link on the same stream: it is there when this is answered.
        a.call_blocking(proxy, b"x", LONG).unwrap();
        if there_first {
            b.kill(pid);
            assert_eq!(reason(&a, mine), ExitReason::Killed);
        } else {
            a.kill(mine);
            assert_eq!(reason(&b, pid), ExitReason::Killed);
        }
        assert_eq!(reason(&a, proxy), ExitReason::Killed);
    }
}

#[test]
fn a_link_taken_away_is_gone_on_both_sides() {
    let (a, b, _, pid, proxy) = pair(echo);
    let mine = echo(&a);
    a.link(mine, proxy).unwrap();
    assert!(a.unlink(mine, proxy));
    a.call_blocking(proxy, b"x", LONG).unwrap();
    a.kill(mine);
    a.call_blocking(proxy, b"x", LONG).unwrap();
    assert!(b.is_alive(pid));
}

#[test]
fn fault_28_goodbye_is_disconnected() {
    let (a, b, at, _, proxy) = pair(mute);
    let call = a.call(proxy, b"x", LONG).unwrap();
    b.close(LONG).unwrap();
    assert_eq!(reason(&a, proxy), ExitReason::Disconnected);
    let e = futures_lite_block(call).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Disconnected | ErrorKind::ActorExited), "{e:?}");
    assert!(a.nodes().is_empty());
    assert!(!a.is_node_up(&at, LONG).unwrap());
}

#[test]
fn a_goodbye_to_one_node_ends_that_session_alone() {
    let (a, b, at, pid, proxy) = pair(echo);
    assert!(a.disconnect(&at).unwrap());
    assert_eq!(reason(&a, proxy), ExitReason::Disconnected);
    until("the other knows", || b.nodes().is_empty());
    assert!(b.is_alive(pid));
    // Both may meet again, as somebody else.
    let again = a.resolve_remote(&at, "it", LONG).unwrap().unwrap();
    assert_ne!(again, proxy);
    assert_eq!(&*a.call_blocking(again, b"x", LONG).unwrap(), b"x");
}

#[test]
fn fault_27_a_restart_on_the_same_address_is_another_node() {
    let (a, b, at, _, proxy) = pair(echo);
    let old = b.export_pid(b.whereis("it").unwrap()).unwrap();
    drop(b); // no goodbye: its sockets close
    let b = node();
    until("the address is free", || b.listen(&at, ListenOptions::default()).is_ok());
    b.register("it", echo(&b)).unwrap();
    // At the latest the next try to connect finds the other node.
    assert_eq!(reason(&a, proxy), ExitReason::NodeDown);
    let again = a.resolve_remote(&at, "it", LONG).unwrap().unwrap();
    assert_eq!(&*a.call_blocking(again, b"x", LONG).unwrap(), b"x");
    assert!(a.import_pid(&old).is_err(), "pids of the old one are void");
}

#[test]
fn fault_17_a_node_that_is_gone_is_down_within_the_bound() {
    let (a, b) = (node(), node());
    a.configure_mesh(MeshOptions { resume_window: Duration::from_millis(500), ..quick() }).unwrap();
    let at = listen(&b);
    b.register("it", mute(&b)).unwrap();
    let proxy = a.resolve_remote(&at, "it", LONG).unwrap().unwrap();
    let call = a.call(proxy, b"x", LONG).unwrap();
    drop(b);
    assert_eq!(reason(&a, proxy), ExitReason::NodeDown);
    let e = futures_lite_block(call).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Disconnected, "{e:?}");
}

#[test]
fn fault_18_and_20_silence_is_a_verdict_and_the_silent_one_comes_back_as_another() {
    for (to_server, to_client) in [(true, true), (true, false), (false, true)] {
        let brisk = MeshOptions {
            heartbeat: Duration::from_millis(50),
            judge: Judge::Fixed { timeout_ms: 1_500 },
            resume_window: Duration::from_millis(400),
            handshake_timeout: Duration::from_secs(2),
            ..quick()
        };
        let (a, b) = (node_with(brisk.clone()), node_with(brisk));
        let wire = Proxy::new(&listen(&b));
        let pid = echo(&b);
        b.register("it", pid).unwrap();
        let proxy = a.resolve_remote(&wire.address, "it", LONG).unwrap().unwrap();
        let old = a.export_pid(proxy).unwrap();
        let (tx, downs) = channel();
        a.monitor_with(proxy, move |info| tx.send(info.reason).unwrap()).unwrap();
        wire.hold(to_server, to_client);
        assert_eq!(reason(&a, proxy), ExitReason::NodeDown, "{to_server} {to_client}");
        until("both sides have a verdict", || a.nodes().is_empty() && b.nodes().is_empty());
        wire.hold(false, false);
        assert_eq!(downs.recv_timeout(LONG).unwrap(), ExitReason::NodeDown);
        assert!(a.import_pid(&old).is_err(), "what was known before is void");
        let again = a.resolve_remote(&wire.address, "it", LONG).unwrap().unwrap();
        assert_ne!(again, proxy);
        assert_eq!(&*a.call_blocking(again, b"x", LONG).unwrap(), b"x");
        assert!(b.is_alive(pid));
        assert!(downs.try_recv().is_err(), "one DOWN");
    }
}

#[test]
fn a_closed_runtime_leaves_nothing_behind() {
    let (a, b, at, _, proxy) = pair(echo);
    a.call_blocking(proxy, b"x", LONG).unwrap();
    a.send(proxy, b"on its way");
    a.close(LONG).unwrap();
    assert_eq!(a.resolve_remote(&at, "it", LONG).unwrap_err().kind(), ErrorKind::RuntimeClosed);
    until("the other knows", || b.nodes().is_empty());
    b.close(LONG).unwrap();
    assert!(std::net::TcpListener::bind(&at).is_ok(), "the port is free again");
}

/// Waits for a future without a runtime of its own.
fn futures_lite_block<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f)
}

#[test]
fn a_watched_remote_actor_is_a_child_of_the_global_supervisor() {
    let (a, b, at, pid, proxy) = pair(echo);
    let (tx, rx) = channel();
    a.on_supervisor(move |news| tx.send(format!("{news:?}")).unwrap());
    assert_eq!(a.monitor_remote(&at, pid).unwrap(), proxy);
    assert_eq!(a.child_pids(), [proxy]);
    b.kill(pid);
    assert_eq!(reason(&a, proxy), ExitReason::Killed);
    let news = rx.recv_timeout(LONG).unwrap();
    assert!(news.contains("Killed"), "{news}");
    assert!(a.child_pids().is_empty());
}
