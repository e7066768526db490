//! What the tests of the core share: patience with a bound, Rust actors that may fail, and a host of no language.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use iris::message::{Envelope, LaneEvent};
use iris::{
    Actor, Batch, Clock, Config, Context, Crash, CrashInfo, ExitInfo, HostLane, Message, Pid,
    Runtime,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime on the machine's clock with `workers` threads.
pub fn runtime(workers: usize) -> Runtime {
    Runtime::new(Config { workers, ..Config::default() }).expect("a runtime")
}

/// A runtime whose time stands still until the clock is moved.
pub fn frozen() -> (Runtime, Clock) {
    let clock = Clock::manual();
    let rt = Runtime::with_clock(Config { workers: 1, ..Config::default() }, clock.clone());
    (rt.expect("a runtime"), clock)
}

/// Moves time and fires what is due.
pub fn pass(rt: &Runtime, clock: &Clock, ms: u64) {
    clock.advance(Duration::from_millis(ms));
    rt.poll_timers();
}

/// Waits until `done`, and fails the test when it never comes.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let clock = Clock::real();
    while !done() {
        assert!(clock.now_ns() < PATIENCE.as_nanos() as u64, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Waits until no message is on its way and no end is under way, then checks the books.
pub fn quiet(rt: &Runtime) {
    until("the runtime is quiet", || {
        let m = rt.metrics();
        let held = m.books.queued + m.books.in_flight + m.books.parked;
        held == 0 && m.ending == 0
    });
    rt.audit().expect("the books balance");
}

/// A Rust actor that may fail, from a closure.
pub struct Fallible<F>(pub F);

impl<F> Actor for Fallible<F>
where
    F: FnMut(Message, &mut Context<'_>) -> Result<(), Crash> + Send + 'static,
{
    fn handle(&mut self, message: Message, ctx: &mut Context<'_>) -> Result<(), Crash> {
        (self.0)(message, ctx)
    }
}

/// What a handler throws.
pub fn thrown(message: &str) -> Crash {
    Crash(CrashInfo { message: message.into(), stack: Some("at line 1".into()) })
}

/// An actor that answers calls with what they say.
pub fn echo(rt: &Runtime) -> Pid {
    rt.spawn(|m: Message, ctx: &mut Context<'_>| {
        if ctx.is_call() {
            ctx.reply(m.payload).expect("the call is open");
        }
    })
    .expect("an actor")
}

/// An actor that never answers.
pub fn mute(rt: &Runtime) -> Pid {
    rt.spawn(|_: Message, ctx: &mut Context<'_>| {
        ctx.defer_reply();
    })
    .expect("an actor")
}

/// An actor that says that it has begun and then waits to be let go, and its two ends.
pub fn gated(rt: &Runtime) -> (Pid, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let pid = rt
        .spawn(move |_: Message, _: &mut Context<'_>| {
            let _ = begun.send(());
            let _ = gate.recv();
        })
        .expect("an actor");
    (pid, begins, go)
}

/// How the actor ended; waits for it.
pub fn joined(rt: &Runtime, pid: Pid) -> ExitInfo {
    rt.join(pid, Some(PATIENCE)).expect("this thread may wait").expect("the actor ends")
}

/// Threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Resident memory of this process, in bytes.
pub fn rss() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|p| p.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// What a scripted handler does with a message.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Return,
    Promise,
    Throw,
}

/// A host of no language: a lane that the test drives by hand.
pub struct Host {
    pub lane: HostLane,
    pub batch: Batch,
    pub wakes: Arc<AtomicUsize>,
    pub events: Vec<LaneEvent>,
}

impl Host {
    pub fn open(rt: &Runtime) -> Self {
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        let lane = rt.open_lane(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Self { lane, batch: Batch::default(), wakes, events: Vec::new() }
    }

    pub fn spawn(&self) -> Pid {
        self.lane.spawn(0, iris::SpawnOptions::default()).expect("an actor")
    }

    /// Runs the lane until it sleeps.
    pub fn run(&mut self, mut handler: impl FnMut(&HostLane, Pid, &Envelope) -> Step) {
        loop {
            self.lane.take_events(&mut self.events);
            self.lane.take(&mut self.batch, 512, |_| true);
            let (control, mut at) = (self.lane.control(), 0);
            let taken = self.batch.envelopes.len();
            while at < taken {
                if self.lane.control() != control
                    && let Some(end) = self.lane.cut_if_gone(&mut self.batch, at)
                {
                    at = end;
                    continue;
                }
                let run = self.batch.runs[self.batch.run_of(at).expect("each message has a run")];
                match handler(&self.lane, run.pid, &self.batch.envelopes[at]) {
                    Step::Return => at += 1,
                    Step::Promise => {
                        self.lane.suspend(&mut self.batch, at);
                        at = run.end;
                    }
                    Step::Throw => {
                        self.lane.crash(&mut self.batch, at, thrown("thrown").0);
                        at = run.end;
                    }
                }
            }
            self.lane.settle(&mut self.batch, taken, taken);
            if taken == 0 && self.lane.try_sleep() {
                return;
            }
        }
    }

    /// Runs the lane; handlers return. Answers what they got.
    pub fn drain(&mut self) -> Vec<(Pid, Vec<u8>)> {
        let mut got = Vec::new();
        self.run(|_, pid, e| {
            got.push((pid, e.payload.to_vec()));
            Step::Return
        });
        got
    }

    /// The outcomes of this lane's calls that have come, by key.
    pub fn outcomes(&mut self) -> Vec<(u64, iris::message::CallOutcome)> {
        self.lane.take_events(&mut self.events);
        let mut out = Vec::new();
        for e in self.events.drain(..) {
            if let LaneEvent::CallDone { key, outcome } = e {
                out.push((key, outcome));
            }
        }
        out
    }
}
