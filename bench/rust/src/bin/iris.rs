//! iris' core as a Rust program uses it: native actors on its worker threads, sent to from the main thread.

use iris::{Config, Context, Message, Pid, Runtime};
use iris_bench::{args, emit, emit_spawn, payload, rate_blocking, rss, start, unknown};
use std::sync::mpsc::channel;
use std::time::Duration;

fn tell(rt: &Runtime, n: usize) -> Duration {
    let (done, finished) = channel();
    let (mut left, mut bytes) = (n, 0);
    let counter = rt
        .spawn(move |message: Message, _: &mut Context<'_>| {
            bytes += message.payload.len();
            left -= 1;
            if left == 0 {
                let _ = done.send(bytes);
            }
        })
        .expect("iris spawns");
    let clock = start();
    for _ in 0..n {
        rt.send(counter, payload());
    }
    finished.recv().expect("the counter answers");
    clock.elapsed()
}

fn pingpong(rt: &Runtime, n: usize) -> Duration {
    let (done, finished) = channel();
    let pong = rt
        .spawn(move |message: Message, ctx: &mut Context<'_>| {
            let from: Pid = message.sender.expect("the pinger speaks in its own name");
            ctx.send(from, message.payload);
        })
        .expect("iris spawns");
    let mut left = n;
    let ping = rt
        .spawn(move |message: Message, ctx: &mut Context<'_>| {
            if left == 0 {
                let _ = done.send(());
            } else {
                left -= 1;
                ctx.send(pong, message.payload);
            }
        })
        .expect("iris spawns");
    let clock = start();
    rt.send(ping, payload());
    finished.recv().expect("the pinger answers");
    clock.elapsed()
}

fn spawn(rt: &Runtime, n: usize) {
    let before = rss();
    let clock = start();
    let mut actors = Vec::with_capacity(n);
    for _ in 0..n {
        actors.push(rt.spawn(|_: Message, _: &mut Context<'_>| {}).expect("iris spawns"));
    }
    let took = clock.elapsed();
    std::thread::sleep(Duration::from_millis(300));
    emit_spawn(n, took, before);
    drop(actors);
}

fn main() {
    let args = args();
    let rt = Runtime::new(Config::default()).expect("a runtime");
    match args.work.as_str() {
        "tell" => emit("rate", rate_blocking(args.n, |n| tell(&rt, n)), "msg/s"),
        "pingpong" => emit("rate", rate_blocking(args.n, |n| pingpong(&rt, n)), "rt/s"),
        "spawn" => spawn(&rt, args.n),
        work => unknown(work),
    }
    std::process::exit(0);
}
