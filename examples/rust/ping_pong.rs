//! Two actors that answer each other a million times: `cargo run --release --example ping_pong`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use iris::{Clock, Config, Context, Message, Runtime};
use std::time::Duration;

const ROUNDS: u64 = 1_000_000;

fn main() -> iris::Result<()> {
    let rt = Runtime::new(Config::default())?;
    let pong = rt.spawn(|message: Message, ctx: &mut Context<'_>| {
        if let Some(from) = message.sender {
            ctx.send(from, message.payload);
        }
    })?;
    let mut left = ROUNDS;
    let ping = rt.spawn(move |message: Message, ctx: &mut Context<'_>| {
        if left == 0 {
            ctx.stop();
        } else {
            left -= 1;
            ctx.send(pong, message.payload);
        }
    })?;

    let clock = Clock::real();
    rt.send(ping, "ball");
    rt.join(ping, None)?;
    let seconds = clock.now_ns() as f64 / 1e9;
    println!("{ROUNDS} round trips in {seconds:.2} s: {:.1} M/s", ROUNDS as f64 / seconds / 1e6);
    rt.close(Duration::from_secs(1))
}
