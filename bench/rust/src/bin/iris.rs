//! iris' core as a Rust program uses it: native actors on its worker threads, sent to from the main thread.

use iris::{
    Actor, ChildSpec, Config, Context, Crash, CrashInfo, Message, Pid, Runtime, SupervisorOptions,
};
use iris_bench::{
    args, crashes, emit, emit_p50, emit_spawn, payload, rate_blocking, rss, start, unknown,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// A message of one byte crashes it; of others it tells whoever sent them.
struct Picky(Arc<AtomicUsize>);

impl Actor for Picky {
    fn handle(&mut self, message: Message, ctx: &mut Context<'_>) -> Result<(), Crash> {
        if message.payload.len() == 1 {
            return Err(Crash(CrashInfo { message: "boom".into(), stack: None }));
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        if let Some(from) = message.sender {
            ctx.send(from, message.payload);
        }
        Ok(())
    }
}

const BOOM: &str = "!";

/// Picky actors at `/svc/picky`, one after the other; `begun` is called with each replacement. Answers what they count.
fn supervised(
    rt: &Runtime,
    begun: impl Fn(&Runtime, Pid) + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let child = ChildSpec::new("picky", move |rt: &Runtime| {
        let pid = rt.spawn(Picky(Arc::clone(&count)))?;
        begun(rt, pid);
        Ok(pid)
    });
    let (max_restarts, within_ms) = (Some(u32::MAX), Some(1));
    let options = SupervisorOptions { max_restarts, within_ms, ..SupervisorOptions::default() };
    rt.supervise("/svc", vec![child], options).expect("iris supervises");
    handled
}

/// Crash, restart, crash: each replacement is sent the next crash as it begins.
fn restart(rt: &Runtime, n: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(0));
    let (done, finished) = channel();
    let rest = Arc::clone(&left);
    supervised(rt, move |rt, pid| {
        match rest.load(Ordering::Relaxed) {
            0 => return,
            1 => drop(done.send(())),
            _ => drop(rt.send(pid, BOOM)),
        }
        rest.fetch_sub(1, Ordering::Relaxed);
    });
    rate_blocking(n, |n| {
        left.store(n, Ordering::Relaxed);
        let clock = start();
        rt.send_path("/svc/picky", BOOM).expect("a path");
        finished.recv().expect("the last restart");
        clock.elapsed()
    })
}

/// An actor sends a crash and a message behind it, and hears from who handles that.
fn recovery(rt: &Runtime, n: usize) {
    supervised(rt, |_, _| {});
    let (done, finished) = channel();
    let (handle, mut times, mut since) = (rt.clone(), Vec::with_capacity(n), None);
    let driver = rt
        .spawn(move |_: Message, ctx: &mut Context<'_>| {
            if let Some(since) = since.replace(start()) {
                times.push(since.elapsed());
            }
            if times.len() == n {
                let _ = done.send(std::mem::take(&mut times));
                return;
            }
            let picky = handle.whereis_path("/svc/picky").expect("a path").expect("it lives");
            since = Some(start());
            ctx.send(picky, BOOM);
            ctx.send(picky, payload());
        })
        .expect("iris spawns");
    rt.send(driver, payload());
    emit_p50(finished.recv().expect("the driver answers"));
}

fn kept(rt: &Runtime, n: usize) {
    let handled = supervised(rt, |_, _| {});
    for i in 1..=n {
        let message = if crashes(i) { BOOM.into() } else { payload() };
        let _ = rt.send_path("/svc/picky", message);
    }
    let mut seen = usize::MAX;
    while seen != handled.load(Ordering::Relaxed) {
        seen = handled.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
    }
    emit("kept", seen as f64, "msg");
}

fn main() {
    let args = args();
    let rt = Runtime::new(Config::default()).expect("a runtime");
    match args.work.as_str() {
        "tell" => emit("rate", rate_blocking(args.n, |n| tell(&rt, n)), "msg/s"),
        "pingpong" => emit("rate", rate_blocking(args.n, |n| pingpong(&rt, n)), "rt/s"),
        "spawn" => spawn(&rt, args.n),
        "restart" => emit("rate", restart(&rt, args.n), "restart/s"),
        "recovery" => recovery(&rt, args.n),
        "kept" => kept(&rt, args.n),
        work => unknown(work),
    }
    std::process::exit(0);
}
