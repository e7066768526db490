//! actix: every actor of one Arbiter runs on one thread, which is where its fast figures come from.

use actix::prelude::*;
use iris_bench::{
    args, crashes, emit, emit_p50, emit_spawn, payload, rate, rss, settled, start, unknown,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Message)]
#[rtype(result = "()")]
struct Data(Vec<u8>);

#[derive(Message)]
#[rtype(result = "()")]
struct Ping(Addr<Pinger>, Vec<u8>);

#[derive(Message)]
#[rtype(result = "()")]
struct Pong(Vec<u8>);

struct Counter {
    left: usize,
    bytes: usize,
    done: UnboundedSender<usize>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Data> for Counter {
    type Result = ();
    fn handle(&mut self, Data(data): Data, _: &mut Self::Context) {
        self.bytes += data.len();
        self.left -= 1;
        if self.left == 0 {
            let _ = self.done.send(self.bytes);
        }
    }
}

struct Ponger;

impl Actor for Ponger {
    type Context = Context<Self>;
}

impl Handler<Ping> for Ponger {
    type Result = ();
    fn handle(&mut self, Ping(from, data): Ping, _: &mut Self::Context) {
        from.do_send(Pong(data));
    }
}

struct Pinger {
    left: usize,
    pong: Addr<Ponger>,
    done: UnboundedSender<usize>,
}

impl Actor for Pinger {
    type Context = Context<Self>;
}

impl Handler<Pong> for Pinger {
    type Result = ();
    fn handle(&mut self, Pong(data): Pong, ctx: &mut Self::Context) {
        if self.left == 0 {
            let _ = self.done.send(data.len());
            return;
        }
        self.left -= 1;
        self.pong.do_send(Ping(ctx.address(), data));
    }
}

struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

impl Handler<Data> for Idle {
    type Result = ();
    fn handle(&mut self, _: Data, _: &mut Self::Context) {}
}

async fn tell(n: usize) -> Duration {
    let (done, mut finished) = unbounded_channel();
    let counter = Counter { left: n, bytes: 0, done }.start();
    let clock = start();
    for _ in 0..n {
        counter.do_send(Data(payload()));
    }
    finished.recv().await;
    clock.elapsed()
}

async fn pingpong(n: usize) -> Duration {
    let (done, mut finished) = unbounded_channel();
    let pong = Ponger.start();
    let pinger = Pinger { left: n, pong, done }.start();
    let clock = start();
    pinger.do_send(Pong(payload()));
    finished.recv().await;
    clock.elapsed()
}

async fn spawn(n: usize) {
    let before = rss();
    let clock = start();
    let mut actors = Vec::with_capacity(n);
    for _ in 0..n {
        actors.push(Idle.start());
    }
    let took = clock.elapsed();
    tokio::time::sleep(Duration::from_millis(300)).await;
    emit_spawn(n, took, before);
}

#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

/// What it shares with the benchmark: restarts that are left, and what was handled.
#[derive(Default)]
struct Counts {
    left: Cell<usize>,
    handled: Cell<usize>,
}

/// Its supervisor starts it again, as the same value with the same mailbox, when it stops.
struct Picky {
    counts: Rc<Counts>,
    done: UnboundedSender<()>,
}

impl Actor for Picky {
    type Context = Context<Self>;
}

impl Supervised for Picky {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        match self.counts.left.get() {
            0 => return,
            1 => drop(self.done.send(())),
            _ => ctx.address().do_send(Boom),
        }
        self.counts.left.set(self.counts.left.get() - 1);
    }
}

impl Handler<Boom> for Picky {
    type Result = ();
    fn handle(&mut self, _: Boom, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Data> for Picky {
    type Result = ();
    fn handle(&mut self, _: Data, _: &mut Self::Context) {
        self.counts.handled.set(self.counts.handled.get() + 1);
        let _ = self.done.send(());
    }
}

fn supervised() -> (Addr<Picky>, Rc<Counts>, UnboundedReceiver<()>) {
    let (done, finished) = unbounded_channel();
    let counts = Rc::<Counts>::default();
    let mine = Rc::clone(&counts);
    (Supervisor::start(|_| Picky { counts: mine, done }), counts, finished)
}

async fn restart(n: usize) -> f64 {
    let (picky, counts, mut finished) = supervised();
    rate(n, async |n| {
        counts.left.set(n);
        let clock = start();
        picky.do_send(Boom);
        finished.recv().await;
        clock.elapsed()
    })
    .await
}

async fn recovery(n: usize) {
    let (picky, _, mut finished) = supervised();
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let clock = start();
        picky.do_send(Boom);
        picky.do_send(Data(payload()));
        finished.recv().await;
        times.push(clock.elapsed());
    }
    emit_p50(times);
}

async fn kept(n: usize) {
    let (picky, counts, _finished) = supervised();
    for i in 1..=n {
        if crashes(i) {
            picky.do_send(Boom);
        } else {
            picky.do_send(Data(payload()));
        }
    }
    emit("kept", settled(|| counts.handled.get()).await, "msg");
}

fn main() {
    let args = args();
    System::new().block_on(async move {
        match args.work.as_str() {
            "tell" => emit("rate", rate(args.n, tell).await, "msg/s"),
            "pingpong" => emit("rate", rate(args.n, pingpong).await, "rt/s"),
            "spawn" => spawn(args.n).await,
            "restart" => emit("rate", restart(args.n).await, "restart/s"),
            "recovery" => recovery(args.n).await,
            "kept" => kept(args.n).await,
            work => unknown(work),
        }
        std::process::exit(0);
    });
}
