//! Names, calls, errors and the books: `cargo run --example echo`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use iris::{Actor, Config, Context, Crash, ErrorKind, Message, Runtime};
use std::time::Duration;

/// Answers calls with what they say, and counts them. It refuses what is no text.
#[derive(Default)]
struct Echo {
    answered: u64,
}

impl Actor for Echo {
    fn handle(&mut self, message: Message, ctx: &mut Context<'_>) -> Result<(), Crash> {
        // An `Err` ends this actor with `crash`, and the call with `HandlerFailed`. Nobody else is hurt.
        let text = std::str::from_utf8(&message.payload)?;
        self.answered += 1;
        if ctx.is_call() {
            ctx.reply(format!("{}: {text}", self.answered))?;
        }
        Ok(())
    }
}

fn main() -> iris::Result<()> {
    let patience = Duration::from_secs(5);
    let rt = Runtime::new(Config::default())?;
    rt.on_failure(|info| println!("{} failed: {:?}", info.pid, info.crash));

    let echo = rt.spawn(Echo::default())?;
    rt.register("echo", echo)?;
    for word in ["hello", "world"] {
        let pid = rt.whereis("echo").expect("it is registered");
        let reply = rt.call_blocking(pid, word, patience)?;
        println!("{}", String::from_utf8_lossy(&reply));
    }

    let e = rt.call_blocking(echo, vec![0xff], patience).expect_err("that is no text");
    assert_eq!(e.kind(), ErrorKind::HandlerFailed);
    let end = rt.join(echo, Some(patience))?.expect("it has ended");
    println!(
        "{} ended: {}; its name is free: {:?}",
        end.pid,
        end.reason.as_str(),
        rt.whereis("echo")
    );

    rt.close(patience)?;
    let books = rt.metrics().books;
    assert!(books.balances());
    println!(
        "{} accepted, {} handled, {} dead",
        books.accepted,
        books.handled,
        books.dead.iter().sum::<u64>()
    );
    Ok(())
}
