//! A Rust actor that crashes on one message of ten, under a supervisor: nothing else is lost.
//!
//! `cargo run --example supervised`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use iris::{
    Actor, ChildSpec, Config, Context, Crash, CrashInfo, Message, Runtime, SupervisorOptions,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

struct Picky(Arc<AtomicUsize>, mpsc::Sender<()>);

impl Actor for Picky {
    fn handle(&mut self, message: Message, _: &mut Context<'_>) -> Result<(), Crash> {
        if message.payload.first() == Some(&b'!') {
            return Err(Crash(CrashInfo { message: "cannot stand this".into(), stack: None }));
        }
        if self.0.fetch_add(1, Ordering::Relaxed) == 89 {
            let _ = self.1.send(());
        }
        Ok(())
    }
}

fn main() -> iris::Result<()> {
    let rt = Runtime::new(Config::default())?;
    let handled = Arc::new(AtomicUsize::new(0));
    let (done, all) = mpsc::channel();
    let (count, sender) = (Arc::clone(&handled), done);
    let options = SupervisorOptions { max_restarts: Some(10), ..SupervisorOptions::default() };
    rt.supervise(
        "/svc",
        vec![ChildSpec::new("picky", move |rt: &Runtime| {
            rt.spawn(Picky(Arc::clone(&count), sender.clone()))
        })],
        options,
    )?;
    for i in 0..100 {
        let sent = rt.send_path("/svc/picky", if i % 10 == 5 { "!" } else { "fine" })?;
        assert!(sent, "a restart refuses nobody");
    }
    all.recv_timeout(Duration::from_secs(30)).expect("all are handled");
    println!("90 of 90 messages handled, {} restarts", rt.metrics().books.restarts);
    rt.close(Duration::from_secs(1))
}
