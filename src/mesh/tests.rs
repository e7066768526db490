//! Two nodes over a network that a seed tortures (transport/sim.rs), on one thread and in virtual time: sessions, links, peers
//! and the greeting are the real ones, only sockets and actors are not. `IRIS_SEEDS=10000` runs that many, `IRIS_SEED=7` one.

use super::host::{Drained, Host, Seen, Sink};
use super::node::{Node, NodeInfo};
use super::options::{ListenOptions, MeshOptions};
use super::transport::sim::{Dice, Net};
use super::wire::op::StopMode;
use super::{Judge, Secret};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::{
    CallOutcome, CrashInfo, Envelope, ExitInfo, ExitReason, Payload, PullSignal, SystemMessage,
};
use crate::sync::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The actor of each node.
const IT: u64 = 1 << 23;
/// Messages that it holds.
const CAPACITY: usize = 16;

type Signal = Arc<dyn Fn(PullSignal) + Send + Sync>;
type Room = Box<dyn FnOnce() + Send>;
type Answer = Box<dyn FnOnce(CallOutcome) + Send>;

struct ProxyEnd {
    queue: VecDeque<Envelope>,
    signal: Signal,
    waits: bool,
}

/// A call that was made here, and how it came out.
#[derive(Default)]
struct Asked {
    outcomes: Vec<Option<ErrorKind>>,
}

#[derive(Default)]
struct World {
    made: u64,
    proxies: HashMap<Pid, ProxyEnd>,
    ended: Vec<(Pid, ExitReason)>,
    /// What the actor has, what it has handled, and whether it was ever asked to take more than it has room for.
    queue: VecDeque<u64>,
    got: Vec<u64>,
    overrun: bool,
    rooms: Vec<(usize, Room)>,
    asked: HashMap<CallId, Asked>,
    /// Calls of the other's that wait for an answer.
    open: Vec<(CallId, Payload, Answer)>,
    ups: usize,
    downs: usize,
}

/// A runtime with one actor, as far as the mesh needs it.
#[derive(Default)]
struct Stub(Mutex<World>);

fn number(payload: &[u8]) -> u64 {
    let n = u64::from_le_bytes(payload[..8].try_into().expect("eight bytes"));
    assert!(payload[8..] == vec![n as u8; payload.len() - 8], "message {n} is whole");
    n
}

fn message(n: u64, length: usize) -> Payload {
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(8 + length, n as u8);
    bytes.into()
}

impl Stub {
    fn push(&self, proxy: Pid, payload: Payload, call: Option<CallId>) -> bool {
        let signal = {
            let mut w = self.0.lock();
            let Some(p) = w.proxies.get_mut(&proxy) else { return false };
            p.queue.push_back(Envelope { payload, sender: None, call });
            std::mem::take(&mut p.waits).then(|| Arc::clone(&p.signal))
        };
        if let Some(signal) = signal {
            signal(PullSignal::Ready);
        }
        true
    }

    fn ask(&self, proxy: Pid, payload: Payload) {
        let id = {
            let mut w = self.0.lock();
            w.made += 1;
            let id = CallId::from_bits(w.made << 24 | 1).expect("a call");
            w.asked.insert(id, Asked::default());
            id
        };
        if !self.push(proxy, payload, Some(id)) {
            self.0.lock().asked.remove(&id);
        }
    }

    /// The actor handles up to `n` messages, and answers as many calls.
    fn work(&self, n: usize) {
        let (sinks, open) = {
            let mut w = self.0.lock();
            for _ in 0..n {
                let Some(message) = w.queue.pop_front() else { break };
                w.got.push(message);
            }
            let left = w.queue.len();
            let (now, later) =
                std::mem::take(&mut w.rooms).into_iter().partition(|(m, _)| left <= *m);
            w.rooms = later;
            let many = w.open.len().min(n);
            let now: Vec<(usize, Room)> = now;
            (now, w.open.drain(..many).collect::<Vec<_>>())
        };
        sinks.into_iter().for_each(|(_, sink)| sink());
        open.into_iter().for_each(|(_, payload, sink)| sink(Ok(payload)));
    }
}

impl Host for Stub {
    fn codec_of(&self, _: Pid) -> Option<Arc<str>> {
        None
    }

    fn open_proxy(&self, _: Option<u32>, _: Option<Arc<str>>, signal: Signal) -> Result<Pid> {
        let mut w = self.0.lock();
        w.made += 1;
        let pid = Pid::from_bits((1 << 44) | (w.made << 23) | 5).expect("a pid");
        w.proxies.insert(pid, ProxyEnd { queue: VecDeque::new(), signal, waits: false });
        Ok(pid)
    }

    fn end_proxy(&self, pid: Pid, reason: ExitReason, _: Option<Arc<CrashInfo>>) {
        let mut w = self.0.lock();
        if let Some(p) = w.proxies.remove(&pid) {
            w.ended.push((pid, reason));
            let gone: Vec<CallId> = p.queue.iter().filter_map(|e| e.call).collect();
            // As the core does: whoever waits for an answer of that actor has one now.
            for (id, asked) in &mut w.asked {
                if asked.outcomes.is_empty() || gone.contains(id) {
                    asked.outcomes.push(Some(ErrorKind::Disconnected));
                }
            }
        }
    }

    fn drain(&self, pid: Pid, max: usize, out: &mut Vec<Envelope>) -> Drained {
        let mut w = self.0.lock();
        let Some(p) = w.proxies.get_mut(&pid) else { return Drained::Closed };
        let n = max.min(p.queue.len());
        out.extend(p.queue.drain(..n));
        p.waits = p.queue.is_empty();
        if p.waits { Drained::Empty } else { Drained::More }
    }

    fn deliver(&self, to: Pid, payload: Payload, _: Option<Pid>) -> bool {
        assert_eq!(to.to_bits(), IT);
        let mut w = self.0.lock();
        w.overrun |= w.queue.len() >= CAPACITY;
        w.queue.push_back(number(&payload));
        true
    }

    fn tell(&self, _: SystemMessage) -> bool {
        false
    }

    fn trap(&self, _: Pid, _: bool) {}

    fn call(
        &self,
        _: Pid,
        payload: Payload,
        _: Duration,
        _: Option<Pid>,
        sink: Answer,
    ) -> Result<CallId> {
        let mut w = self.0.lock();
        w.made += 1;
        let id = CallId::from_bits(w.made << 24 | 2).expect("a call");
        w.open.push((id, payload, sink));
        Ok(id)
    }

    fn cancel(&self, call: CallId) {
        self.0.lock().open.retain(|(id, _, _)| *id != call);
    }

    fn settle(&self, call: CallId, outcome: CallOutcome) -> bool {
        let mut w = self.0.lock();
        if let Some(asked) = w.asked.get_mut(&call) {
            asked.outcomes.push(outcome.err().map(|e| e.kind()));
        }
        true
    }

    fn time_left(&self, _: CallId) -> Option<Duration> {
        Some(Duration::from_secs(3_600))
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        (name == "it").then(|| Pid::from_bits(IT).expect("a pid"))
    }

    fn look(&self, pid: Pid) -> Option<Seen> {
        let queue = self.0.lock().queue.len();
        (pid.to_bits() == IT).then_some(Seen { queue, capacity: Some(CAPACITY as u32), handled: 0 })
    }

    fn when_room(&self, _: Pid, most: usize, sink: Room) -> bool {
        let mut w = self.0.lock();
        let full = w.queue.len() > most;
        if full {
            w.rooms.push((most, sink));
        }
        full
    }

    fn watch(&self, _: Pid, _: Box<dyn FnOnce(ExitInfo) + Send>) -> u64 {
        1
    }

    fn unwatch(&self, _: Pid, _: u64) {}
    fn stop(&self, _: Pid, _: StopMode) {}
    fn link(&self, _: Pid, _: Pid, _: bool) {}
    fn dead_letter(&self, _: Pid, _: Payload, _: ExitReason) {}

    fn is_kept(&self, _: &str) -> bool {
        false
    }

    fn lose_name(&self, _: &str, _: Pid, _: &str) {}

    fn node_up(&self, _: NodeInfo) {
        self.0.lock().ups += 1;
    }

    fn node_down(&self, _: NodeInfo, _: ExitReason) {
        self.0.lock().downs += 1;
    }

    fn stalled(&self) -> Duration {
        Duration::ZERO
    }
}

struct End {
    stub: Arc<Stub>,
    node: Arc<Node>,
    /// The other's actor, and how many messages it was sent.
    to: Pid,
    sent: u64,
}

fn end(name: &str, options: &MeshOptions) -> (Arc<Stub>, Arc<Node>) {
    let stub = Arc::new(Stub::default());
    let host: Arc<dyn Host> = Arc::clone(&stub) as _;
    let node = Node::new(host, Clock::tokio(), options.clone()).expect("a node");
    node.driver.here();
    let sink: Sink<String> = Box::new(|at| assert!(at.is_ok()));
    node.listen(&format!("sim:{name}"), ListenOptions::default(), sink);
    (stub, node)
}

/// The other's actor, however often the network gets in the way.
async fn found(node: &Arc<Node>, at: &str) -> Pid {
    loop {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let sink: Sink<Option<Pid>> = Box::new(move |found| {
            let _ = tx.send(found);
        });
        node.resolve(at, "it", Duration::from_secs(5), sink);
        match rx.await.expect("an answer") {
            Ok(found) => return found.expect("it has the name"),
            Err(e) => assert!(
                matches!(
                    e.kind(),
                    ErrorKind::Unreachable
                        | ErrorKind::Timeout
                        | ErrorKind::Disconnected
                        | ErrorKind::Io
                ),
                "{e}"
            ),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn settles(what: &str, why: impl Fn() -> String, mut is: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}; {}", why());
}

fn shown(ends: &[(Arc<Node>, Arc<Stub>)]) -> String {
    let mut text = String::new();
    for (node, stub) in ends {
        let w = stub.0.lock();
        let wait: Vec<_> = w.proxies.iter().map(|(p, e)| (*p, e.queue.len(), e.waits)).collect();
        text += &format!(
            "\n{:?}\n{:?}\n got {} queue {} rooms {} proxies {wait:?} ended {:?} ups {} downs {}",
            node.nodes(),
            node.metrics(),
            w.got.len(),
            w.queue.len(),
            w.rooms.len(),
            w.ended,
            w.ups,
            w.downs
        );
    }
    text
}

/// Runs one seed in virtual time.
fn simulate<F: Future<Output = ()>>(seed: u64, run: impl FnOnce(Arc<Net>, Dice) -> F) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let net = Net::install(seed);
    runtime.block_on(run(net, Dice(!seed)));
}

fn seeds(some: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    match number("IRIS_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("IRIS_SEEDS").unwrap_or(some)).collect(),
    }
}

fn each(some: u64, check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds(some) {
        if std::panic::catch_unwind(|| check(seed)).is_err() {
            panic!("seed {seed} fails: IRIS_SEED={seed} cargo test --lib mesh::tests");
        }
    }
}

async fn two(net: &Net, options: &MeshOptions) -> [End; 2] {
    let (a, b) = (end("a", options), end("b", options));
    sleep(Duration::from_millis(1)).await;
    net.delay(20);
    // At the same time, so that they meet half-way.
    let both = tokio::join!(found(&a.1, "sim:b"), found(&b.1, "sim:a"));
    let make = |(stub, node), to| End { stub, node, to, sent: 0 };
    [make(a, both.0), make(b, both.1)]
}

/// What happens next.
fn step(net: &Net, dice: &mut Dice, ends: &mut [End; 2], asked: &mut usize, cruel: bool) {
    let which = dice.below(2);
    let other = if which == 0 { "b" } else { "a" };
    let end = &mut ends[which];
    match dice.below(14) {
        0..=4 => {
            for _ in 0..=dice.below(12) {
                let length = if dice.one_in(12) { dice.below(20_000) } else { dice.below(100) };
                end.sent += u64::from(end.stub.push(end.to, message(end.sent, length), None));
            }
        }
        5 => {
            let length = dice.below(10_000);
            end.stub.ask(end.to, message(7, length));
            *asked += 1;
        }
        6..=8 => end.stub.work(1 + dice.below(20)),
        9 | 10 => net.cut(),
        11 => net.hold(dice.one_in(2).then_some(other)),
        12 => net.refuse(dice.one_in(if cruel { 2 } else { 4 })),
        _ => net.delay(dice.below(60)),
    }
}

/// Whatever the network does within the window: all of it arrives once, in order, and each call is answered once.
#[test]
fn fault_19_and_23_and_25_seeded_networks_lose_double_and_reorder_nothing() {
    let (cuts, twice) = (Mutex::new(0), Mutex::new(0));
    let check = std::panic::AssertUnwindSafe(|seed| {
        simulate(seed, |net, mut dice| {
            let (cuts, twice) = (&cuts, &twice);
            async move {
                let options = MeshOptions {
                    secret: dice.one_in(16).then(|| Secret::new(b"swordfish").expect("one")),
                    heartbeat: Duration::from_millis(200),
                    judge: Judge::Fixed { timeout_ms: 600_000 },
                    resume_window: Duration::from_secs(600),
                    handshake_timeout: Duration::from_secs(2),
                    send_buffer: 64 << 10,
                    window: 64,
                    ..MeshOptions::default()
                };
                let mut ends = two(&net, &options).await;
                let mut asked = 0;
                for _ in 0..60 {
                    step(&net, &mut dice, &mut ends, &mut asked, false);
                    if dice.one_in(2) {
                        sleep(Duration::from_millis(dice.below(120) as u64)).await;
                    }
                }
                net.hold(None);
                net.refuse(false);
                net.delay(5);
                settles("all of it has arrived", String::new, || {
                    ends.iter().for_each(|e| e.stub.work(50));
                    (0..2).all(|i| {
                        let calls = ends[i].stub.0.lock();
                        let got = ends[1 - i].stub.0.lock().got.len() as u64;
                        got >= ends[i].sent && calls.asked.values().all(|c| !c.outcomes.is_empty())
                    })
                })
                .await;
                for i in 0..2 {
                    let (here, there) = (ends[i].stub.0.lock(), ends[1 - i].stub.0.lock());
                    let all: Vec<u64> = (0..ends[i].sent).collect();
                    assert_eq!(there.got, all, "in order, each once");
                    assert!(!there.overrun, "credit keeps within the mailbox");
                    assert!(here.asked.values().all(|c| c.outcomes == [None]), "answered once");
                    assert!(here.ended.is_empty(), "{:?}", here.ended);
                    assert_eq!((here.ups, here.downs), (1, 0));
                }
                for e in &ends {
                    let m = e.node.metrics();
                    assert_eq!((m.lost, m.over_credit, m.unknown, m.peers), (0, 0, 0, 1));
                    *cuts.lock() += m.cuts;
                    e.node.abort();
                }
                *twice.lock() += net.tried_twice();
            }
        });
    });
    each(60, |seed| (check.0)(seed));
    if seeds(60).len() >= 60 {
        assert!(*cuts.lock() > 100 && *twice.lock() > 50, "the network was cruel enough");
    }
}

/// And beyond it: both sides come to a verdict, each proxy ends once, what arrived is a beginning of what was sent, and the two
/// meet again.
#[test]
fn fault_18_and_20_and_27_seeded_partitions_end_in_one_verdict_on_both_sides() {
    let verdicts = Mutex::new(0);
    let check = std::panic::AssertUnwindSafe(|seed| {
        simulate(seed, |net, mut dice| {
            let verdicts = &verdicts;
            async move {
                let options = MeshOptions {
                    heartbeat: Duration::from_millis(50),
                    judge: Judge::Fixed { timeout_ms: 400 },
                    resume_window: Duration::from_millis(500),
                    handshake_timeout: Duration::from_millis(600),
                    window: 64,
                    ..MeshOptions::default()
                };
                let mut ends = two(&net, &options).await;
                let mut asked = 0;
                for _ in 0..40 {
                    step(&net, &mut dice, &mut ends, &mut asked, true);
                    sleep(Duration::from_millis(dice.below(300) as u64)).await;
                }
                net.hold(None);
                net.refuse(false);
                net.delay(5);
                let both = [0, 1].map(|i| (Arc::clone(&ends[i].node), Arc::clone(&ends[i].stub)));
                settles(
                    "both agree",
                    || shown(&both),
                    || {
                        ends.iter().for_each(|e| e.stub.work(50));
                        let nodes: Vec<_> = ends.iter().map(|e| e.node.nodes()).collect();
                        let alike = nodes[0].len() == nodes[1].len();
                        alike && nodes.iter().flatten().all(|n| n.connected)
                    },
                )
                .await;
                let again = (found(&ends[0].node, "sim:b"), found(&ends[1].node, "sim:a"));
                let again = tokio::join!(again.0, again.1);
                let sent = [ends[0].sent, ends[1].sent];
                for (e, to) in ends.iter().zip([again.0, again.1]) {
                    let w = e.stub.0.lock();
                    assert!(w.proxies.contains_key(&to), "it is another one, or still there");
                    drop(w);
                    assert!(e.stub.push(to, message(u64::MAX, 0), None));
                }
                settles(
                    "the last has arrived",
                    || shown(&both),
                    || {
                        ends.iter().all(|e| {
                            e.stub.work(50);
                            e.stub.0.lock().got.last() == Some(&u64::MAX)
                        })
                    },
                )
                .await;
                let told = shown(&both);
                for i in 0..2 {
                    let (here, there) = (ends[i].stub.0.lock(), ends[1 - i].stub.0.lock());
                    let got = &there.got[..there.got.len() - 1];
                    let all: Vec<u64> = (0..got.len() as u64).collect();
                    assert_eq!(got, all, "a beginning of what was sent, each once {told}");
                    let lost = sent[i] as usize > got.len();
                    let ends_of_it =
                        here.ended.iter().filter(|(pid, _)| *pid == ends[i].to).count();
                    assert!(ends_of_it <= 1, "{:?}", here.ended);
                    assert!(!lost || ends_of_it == 1, "nothing is lost without a word {told}");
                    assert!(here.ended.iter().all(|(_, reason)| *reason == ExitReason::NodeDown));
                    assert!(!there.overrun);
                    assert_eq!(ends[i].node.metrics().over_credit, 0);
                    assert!(here.asked.values().all(|c| c.outcomes.len() <= 1), "answered once");
                    assert_eq!(here.ups, here.downs + 1);
                    *verdicts.lock() += here.downs;
                }
                ends.iter().for_each(|e| e.node.abort());
            }
        });
    });
    each(60, |seed| (check.0)(seed));
    if seeds(60).len() >= 60 {
        assert!(*verdicts.lock() > 10, "there were partitions");
    }
}
