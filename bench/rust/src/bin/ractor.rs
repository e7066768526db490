//! ractor on a two-worker tokio runtime.

use iris_bench::{Args, args, emit, emit_spawn, payload, rate, rss, start, unknown};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

enum Message {
    Data(Vec<u8>),
    Ping(ActorRef<Message>, Vec<u8>),
    Pong(Vec<u8>),
}

enum Role {
    Counter { left: usize, bytes: usize, done: UnboundedSender<usize> },
    Ponger,
    Pinger { left: usize, pong: ActorRef<Message>, done: UnboundedSender<usize> },
    Idle,
}

struct Player;

impl Actor for Player {
    type Msg = Message;
    type State = Role;
    type Arguments = Role;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        role: Role,
    ) -> Result<Role, ActorProcessingErr> {
        Ok(role)
    }

    async fn handle(
        &self,
        me: ActorRef<Message>,
        message: Message,
        role: &mut Role,
    ) -> Result<(), ActorProcessingErr> {
        match (role, message) {
            (Role::Counter { left, bytes, done }, Message::Data(data)) => {
                *bytes += data.len();
                *left -= 1;
                if *left == 0 {
                    let _ = done.send(*bytes);
                }
            }
            (Role::Ponger, Message::Ping(from, data)) => {
                let _ = from.cast(Message::Pong(data));
            }
            (Role::Pinger { left, pong, done }, Message::Pong(data)) => {
                if *left == 0 {
                    let _ = done.send(data.len());
                } else {
                    *left -= 1;
                    let _ = pong.cast(Message::Ping(me, data));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

async fn actor(role: Role) -> ActorRef<Message> {
    Player::spawn(None, Player, role).await.expect("ractor spawns").0
}

async fn tell(n: usize) -> Duration {
    let (done, mut finished) = unbounded_channel();
    let counter = actor(Role::Counter { left: n, bytes: 0, done }).await;
    let clock = start();
    for _ in 0..n {
        let _ = counter.cast(Message::Data(payload()));
    }
    finished.recv().await;
    clock.elapsed()
}

async fn pingpong(n: usize) -> Duration {
    let (done, mut finished) = unbounded_channel();
    let pong = actor(Role::Ponger).await;
    let pinger = actor(Role::Pinger { left: n, pong, done }).await;
    let clock = start();
    let _ = pinger.cast(Message::Pong(payload()));
    finished.recv().await;
    clock.elapsed()
}

async fn spawn(n: usize) {
    let before = rss();
    let clock = start();
    let mut actors = Vec::with_capacity(n);
    for _ in 0..n {
        actors.push(actor(Role::Idle).await);
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("tokio");
    runtime.block_on(async { tokio::spawn(run(args())).await.expect("the benchmark body") });
}
