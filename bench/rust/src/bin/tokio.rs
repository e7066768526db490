//! Bare tokio: a task and an unbounded mpsc channel for each "actor". `TOKIO=one` runs it on a single thread,
//! otherwise two workers.

use iris_bench::{Args, args, emit, emit_spawn, payload, rate, rss, start, unknown};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

type Sender = UnboundedSender<Message>;

enum Message {
    Data(Vec<u8>),
    Ping(Sender, Vec<u8>),
    Pong(Vec<u8>),
}

async fn tell(n: usize) -> Duration {
    let (to, mut mailbox) = unbounded_channel();
    let (done, finished) = oneshot::channel();
    tokio::spawn(async move {
        let mut bytes = 0;
        for _ in 0..n {
            if let Some(Message::Data(data)) = mailbox.recv().await {
                bytes += data.len();
            }
        }
        let _ = done.send(bytes);
    });
    let clock = start();
    for _ in 0..n {
        let _ = to.send(Message::Data(payload()));
    }
    finished.await.expect("the counter answers");
    clock.elapsed()
}

async fn pong(mut mailbox: UnboundedReceiver<Message>) {
    while let Some(message) = mailbox.recv().await {
        if let Message::Ping(from, data) = message {
            let _ = from.send(Message::Pong(data));
        }
    }
}

async fn pingpong(n: usize) -> Duration {
    let (pong_at, mailbox) = unbounded_channel();
    tokio::spawn(pong(mailbox));
    let (done, finished) = oneshot::channel();
    let clock = start();
    tokio::spawn(async move {
        let (me, mut mailbox) = unbounded_channel();
        let mut data = payload();
        for _ in 0..n {
            let _ = pong_at.send(Message::Ping(me.clone(), data));
            data = match mailbox.recv().await {
                Some(Message::Pong(data)) => data,
                _ => return,
            };
        }
        let _ = done.send(());
    });
    finished.await.expect("the pinger answers");
    clock.elapsed()
}

async fn spawn(n: usize) {
    let before = rss();
    let clock = start();
    let mut actors = Vec::with_capacity(n);
    for _ in 0..n {
        let (to, mut mailbox) = unbounded_channel::<Message>();
        tokio::spawn(async move { while mailbox.recv().await.is_some() {} });
        actors.push(to);
    }
    let took = clock.elapsed();
    tokio::time::sleep(Duration::from_millis(300)).await;
    emit_spawn(n, took, before);
}

async fn run(Args { work, n }: Args) {
    match work.as_str() {
        "tell" => emit("rate", rate(n, tell).await, "msg/s"),
        "pingpong" => emit("rate", rate(n, pingpong).await, "rt/s"),
        "spawn" => spawn(n).await,
        work => unknown(work),
    }
    std::process::exit(0);
}

fn main() {
    let one = std::env::var("TOKIO").as_deref() == Ok("one");
    let mut builder = if one {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(2).enable_all().build().expect("a tokio runtime");
    // The body is a task like any other: a multi-thread runtime treats its main thread worse than its workers.
    runtime.block_on(async { tokio::spawn(run(args())).await.expect("the benchmark body") });
}
