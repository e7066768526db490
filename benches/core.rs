//! The core's own speed: `cargo bench --bench core [-- name ...]`. Each figure is the median of seven rounds. With
//! `--short` one round of a hundredth, to count instructions: `valgrind --tool=callgrind <binary> --short host`.
//!
//! | name | what is measured |
//! |---|---|
//! | tell | a thread sends to one Rust actor; until the last message was handled |
//! | tell-inside | a Rust actor sends to another |
//! | ping-pong | two Rust actors, round trips |
//! | fan-out | one message to each of 100,000 Rust actors |
//! | spawn | 1,000,000 idle Rust actors; resident bytes each |
//! | host | send + take + settle of 64-byte messages on one host lane, by its own thread |
//! | host-pairs | the same over 1,000 actors, one message each |
//! | host-call | call + take + reply on one host lane |
//! | timers | insert + cancel |

#![allow(clippy::print_stdout, reason = "a bench reports to the terminal")]

use iris::message::LaneEvent;
use iris::timer::Timers;
use iris::{Batch, Clock, Config, Context, Message, Payload, Pid, Replied, Runtime, SpawnOptions};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Rounds; one is the middle of one.
fn rounds() -> usize {
    if is_short() { 1 } else { 7 }
}

fn is_short() -> bool {
    std::env::args().any(|a| a == "--short")
}

/// How many of what is measured.
fn units(n: usize) -> usize {
    if is_short() { n / 100 } else { n }
}

fn payload() -> Vec<u8> {
    vec![7u8; 64]
}

/// Median of the rounds, in units a second.
fn report(name: &str, units: usize, mut round: impl FnMut() -> u64) {
    if !is_short() {
        round();
    }
    let mut took: Vec<u64> = (0..rounds()).map(|_| round()).collect();
    took.sort_unstable();
    let ns = |t: u64| t as f64 / units as f64;
    let (best, median, worst) = (ns(took[0]), ns(took[took.len() / 2]), ns(took[took.len() - 1]));
    println!(
        "{name:12} {:7.2} M/s   {median:7.1} ns each   ({best:.1} to {worst:.1})",
        1_000.0 / median
    );
}

fn timed(body: impl FnOnce()) -> u64 {
    let clock = Clock::real();
    body();
    clock.now_ns()
}

fn counter(rt: &Runtime, n: usize) -> (Pid, Receiver<()>) {
    let (done, finished) = channel();
    let mut left = n;
    let handler = move |_: Message, _: &mut Context<'_>| {
        left -= 1;
        if left == 0 {
            let _ = done.send(());
        }
    };
    (rt.spawn(handler).expect("an actor"), finished)
}

fn tell(rt: &Runtime) {
    let n = units(2_000_000);
    report("tell", n, || {
        let (pid, finished) = counter(rt, n);
        timed(|| {
            for _ in 0..n {
                rt.send(pid, payload());
            }
            finished.recv().expect("all are handled");
        })
    });
}

fn tell_inside(rt: &Runtime) {
    let n = units(1_000_000);
    report("tell-inside", n, || {
        let (pid, finished) = counter(rt, n);
        let source = rt
            .spawn(move |_: Message, ctx: &mut Context<'_>| {
                for _ in 0..n {
                    ctx.send(pid, payload());
                }
            })
            .expect("an actor");
        timed(|| {
            rt.send(source, "go");
            finished.recv().expect("all are handled");
        })
    });
}

fn ping_pong(rt: &Runtime) {
    let n = units(500_000);
    report("ping-pong", n, || {
        let (done, finished) = channel();
        let pong = rt
            .spawn(|m: Message, ctx: &mut Context<'_>| {
                ctx.send(m.sender.expect("an actor"), m.payload);
            })
            .expect("an actor");
        let mut left = n;
        let ping = rt
            .spawn(move |m: Message, ctx: &mut Context<'_>| {
                if left == 0 {
                    let _ = done.send(());
                } else {
                    left -= 1;
                    ctx.send(pong, m.payload);
                }
            })
            .expect("an actor");
        timed(|| {
            rt.send(ping, payload());
            finished.recv().expect("the last comes back");
        })
    });
}

fn fan_out(rt: &Runtime) {
    let n = units(100_000);
    let (done, finished) = channel();
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(n));
    let pids: Vec<Pid> = (0..n)
        .map(|_| {
            let (done, left) = (done.clone(), std::sync::Arc::clone(&left));
            rt.spawn(move |_: Message, _: &mut Context<'_>| {
                if left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
                    left.store(n, std::sync::atomic::Ordering::Relaxed);
                    let _ = done.send(());
                }
            })
            .expect("an actor")
        })
        .collect();
    report("fan-out", n, || {
        timed(|| {
            for pid in &pids {
                rt.send(*pid, payload());
            }
            finished.recv().expect("all are handled");
        })
    });
    for pid in pids {
        rt.kill(pid);
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|p| p.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn spawn() {
    let n = units(1_000_000);
    let mut bytes = 0;
    report("spawn", n, || {
        let rt = Runtime::new(Config::default()).expect("a runtime");
        let mut actors = Vec::with_capacity(n);
        let before = resident();
        let took = timed(|| {
            for i in 0..n {
                // It owns a word, as most actors do.
                let mut seen = i;
                let handler = move |m: Message, _: &mut Context<'_>| {
                    seen += m.payload.len();
                    std::hint::black_box(seen);
                };
                actors.push(rt.spawn(handler).expect("an actor"));
            }
        });
        bytes = bytes.max(resident().saturating_sub(before));
        took
    });
    println!("{:12} {:7} bytes resident each", "", bytes / n);
}

struct Host {
    lane: iris::HostLane,
    batch: Batch,
    events: Vec<LaneEvent>,
}

impl Host {
    fn open(rt: &Runtime) -> Self {
        Self { lane: rt.open_lane(|| {}), batch: Batch::default(), events: Vec::new() }
    }

    /// Takes and settles until nothing is left; answers how many messages that was.
    fn drain(&mut self) -> usize {
        let mut handled = 0;
        loop {
            self.lane.take(&mut self.batch, 512, |_| true);
            let taken = self.batch.envelopes.len();
            self.lane.settle(&mut self.batch, taken, taken);
            handled += taken;
            if taken == 0 && self.lane.try_sleep() {
                return handled;
            }
        }
    }
}

fn host(rt: &Runtime) {
    let (n, burst) = (units(2_000_000), 1_000);
    let mut host = Host::open(rt);
    let pid = host.lane.spawn(0, SpawnOptions::default()).expect("an actor");
    let bytes = payload();
    report("host", n, || {
        timed(|| {
            for _ in 0..n / burst {
                for _ in 0..burst {
                    host.lane.send(pid, bytes.as_slice().into(), None);
                }
                assert_eq!(host.drain(), burst);
            }
        })
    });
    let (n, actors) = (units(2_000_000), 1_000);
    let pids: Vec<Pid> = (0..actors)
        .map(|_| host.lane.spawn(0, SpawnOptions::default()).expect("an actor"))
        .collect();
    report("host-pairs", n, || {
        timed(|| {
            for _ in 0..n / actors {
                for pid in &pids {
                    host.lane.send(*pid, bytes.as_slice().into(), None);
                }
                assert_eq!(host.drain(), actors);
            }
        })
    });
    host.lane.close();
}

fn host_call(rt: &Runtime) {
    let (n, burst) = (units(500_000), 100);
    let mut host = Host::open(rt);
    let pid = host.lane.spawn(0, SpawnOptions::default()).expect("an actor");
    report("host-call", n, || {
        timed(|| {
            for _ in 0..n / burst {
                for key in 0..burst as u64 {
                    let timeout = Duration::from_secs(5);
                    let called = host.lane.call(pid, Payload::empty(), timeout, None, key);
                    called.expect("it is open");
                }
                host.lane.take(&mut host.batch, 512, |_| true);
                for e in &host.batch.envelopes {
                    let call = e.call.expect("a call");
                    assert!(matches!(host.lane.reply(call, Payload::empty), Replied::Here(_)));
                }
                host.drain();
            }
            host.lane.take_events(&mut host.events);
        })
    });
    host.lane.close();
}

fn timers() {
    let n = units(1_000_000);
    let clock = Clock::manual();
    let timers = Timers::new(clock.clone(), |due: &mut Vec<u64>| due.clear());
    let standing: Vec<_> =
        (0..10_000).map(|i| timers.insert(Duration::from_millis(i * 7), i)).collect();
    report("timers", n, || {
        timed(|| {
            for i in 0..n as u64 {
                let key = timers.insert(Duration::from_millis(5_000 + i % 64), i);
                timers.cancel(key);
            }
        })
    });
    drop(standing);
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    let rt = Runtime::new(Config::default()).expect("a runtime");
    if wants("tell") {
        tell(&rt);
    }
    if wants("tell-inside") {
        tell_inside(&rt);
    }
    if wants("ping-pong") {
        ping_pong(&rt);
    }
    if wants("fan-out") {
        fan_out(&rt);
    }
    if wants("host") {
        host(&rt);
    }
    if wants("host-call") {
        host_call(&rt);
    }
    if wants("timers") {
        timers();
    }
    drop(rt);
    if wants("spawn") {
        spawn();
    }
}
