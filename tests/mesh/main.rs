//! Nodes that talk over real sockets. Built only with the feature `mesh`.
#![cfg(feature = "mesh")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod basics;
mod cluster;
mod codecs;
mod cuts;
mod ends;
mod hostile;
mod memory;
mod proxy;
mod suite;
mod tls;

use iris::mesh::{Judge, ListenOptions, MeshOptions};
use iris::{Config, Context, Message, Pid, Runtime};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A node with quick verdicts on what is cut; a machine that stalls is no reason for one.
fn node() -> Runtime {
    node_with(quick())
}

fn quick() -> MeshOptions {
    MeshOptions {
        heartbeat: Duration::from_millis(100),
        judge: Judge::Fixed { timeout_ms: 20_000 },
        resume_window: Duration::from_secs(5),
        ..MeshOptions::default()
    }
}

fn node_with(options: MeshOptions) -> Runtime {
    let rt = Runtime::new(Config { workers: 1, ..Config::default() }).unwrap();
    rt.configure_mesh(options).unwrap();
    rt
}

fn listen(rt: &Runtime) -> String {
    rt.listen("127.0.0.1:0", ListenOptions::default()).unwrap()
}

/// An actor that hands its messages to the test.
fn collector(rt: &Runtime) -> (Pid, Receiver<Vec<u8>>) {
    let (tx, rx): (Sender<Vec<u8>>, _) = channel();
    let pid = rt
        .spawn(move |m: Message, _: &mut Context<'_>| {
            let _ = tx.send(m.payload.to_vec());
        })
        .unwrap();
    (pid, rx)
}

/// Two nodes: `b` listens; `a` has a proxy for an actor of `b` that it found by its name.
fn pair(spawn: impl FnOnce(&Runtime) -> Pid) -> (Runtime, Runtime, String, Pid, Pid) {
    let (a, b) = (node(), node());
    let at = listen(&b);
    let pid = spawn(&b);
    b.register("it", pid).unwrap();
    let proxy = a.resolve_remote(&at, "it", LONG).unwrap().unwrap();
    (a, b, at, pid, proxy)
}
