//! What the measured programs share: arguments, the clock, RSS and the line of JSON each figure is printed as.
//!
//! Every program is called `<program> <work> <n>` and prints `{"metric":…,"value":…,"unit":…}` lines;
//! `bench/run.mjs` reads them. Environment: `BENCH_MIN_MS`, how long a rate is measured at least (300).

use std::time::{Duration, Instant};

/// Bytes in a message, in every program of `bench/`.
pub const PAYLOAD: usize = 64;

/// A fresh message.
pub fn payload() -> Vec<u8> {
    vec![7u8; PAYLOAD]
}

/// The command line of a measured program.
pub struct Args {
    /// `tell`, `pingpong`, `spawn`, `restart`, `recovery` or `kept`.
    pub work: String,
    /// Messages, round trips or actors.
    pub n: usize,
}

/// Reads `<work> <n>`.
pub fn args() -> Args {
    let mut words = std::env::args().skip(1);
    let (Some(work), Some(n)) = (words.next(), words.next().and_then(|n| n.parse().ok())) else {
        eprintln!("usage: <program> tell|pingpong|spawn|restart|recovery|kept <n>");
        std::process::exit(2);
    };
    Args { work, n }
}

/// Leaves with a usage error: the program does not know this work.
pub fn unknown(work: &str) -> ! {
    eprintln!("unknown work: {work}");
    std::process::exit(2);
}

/// Prints one figure.
pub fn emit(metric: &str, value: f64, unit: &str) {
    println!("{{\"metric\":\"{metric}\",\"value\":{value:.3},\"unit\":\"{unit}\"}}");
}

/// Resident memory of this process in bytes.
pub fn rss() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: f64 =
        statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("statm has a second field");
    pages * 4096.0
}

fn min_time() -> Duration {
    let ms = std::env::var("BENCH_MIN_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(300);
    Duration::from_millis(ms)
}

/// Warms up on tenths of the work for a third of the least time, then repeats the whole of it until that time is
/// over; answers units/s.
pub async fn rate(n: usize, mut work: impl AsyncFnMut(usize) -> Duration) -> f64 {
    let least = min_time();
    let mut spent = Duration::ZERO;
    while spent < least / 3 {
        spent += work((n / 10).max(1)).await;
    }
    let mut done = 0;
    spent = Duration::ZERO;
    while spent < least || done == 0 {
        spent += work(n).await;
        done += n;
    }
    done as f64 / spent.as_secs_f64()
}

/// The same for programs that block.
pub fn rate_blocking(n: usize, mut work: impl FnMut(usize) -> Duration) -> f64 {
    let least = min_time();
    let mut spent = Duration::ZERO;
    while spent < least / 3 {
        spent += work((n / 10).max(1));
    }
    let mut done = 0;
    spent = Duration::ZERO;
    while spent < least || done == 0 {
        spent += work(n);
        done += n;
    }
    done as f64 / spent.as_secs_f64()
}

/// Prints what spawning `n` actors cost: their rate since `started`, and the memory each holds since `before`.
pub fn emit_spawn(n: usize, took: Duration, before: f64) {
    emit("rate", n as f64 / took.as_secs_f64(), "actor/s");
    emit("rss_per_actor", (rss() - before) / n as f64, "B");
}

/// Prints the middle of some times.
pub fn emit_p50(mut times: Vec<Duration>) {
    times.sort_unstable();
    emit("p50", times[times.len() / 2].as_secs_f64() * 1e6, "us");
}

/// Messages of the work `kept`: a byte of 1 crashes its actor, which every hundredth does.
pub fn crashes(i: usize) -> bool {
    i % 100 == 50
}

/// What is counted once it has not changed for a while.
pub async fn settled(count: impl Fn() -> usize) -> f64 {
    let mut seen = None;
    while seen != Some(count()) {
        seen = Some(count());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    count() as f64
}

/// Since when: a name for the clock that every program reads the same way.
pub fn start() -> Instant {
    Instant::now()
}
