//! ractor on a two-worker tokio runtime.

use iris_bench::{
    Args, args, crashes, emit, emit_p50, emit_spawn, payload, rate, rss, settled, start, unknown,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

enum Message {
    Data(Vec<u8>),
    Ping(ActorRef<Message>, Vec<u8>),
    Pong(Vec<u8>),
    Boom,
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

/// What the picky actors, their supervisor and the benchmark share.
struct Shared {
    /// Who it is now.
    picky: Mutex<Option<ActorRef<Message>>>,
    handled: AtomicUsize,
    left: AtomicUsize,
    done: UnboundedSender<()>,
}

struct Picky;

impl Actor for Picky {
    type Msg = Message;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        shared: Arc<Shared>,
    ) -> Result<Arc<Shared>, ActorProcessingErr> {
        Ok(shared)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, Message::Boom) {
            return Err("boom".into());
        }
        shared.handled.fetch_add(1, Ordering::Relaxed);
        let _ = shared.done.send(());
        Ok(())
    }
}

/// Starts another picky actor when one has failed, as one writes it with ractor: its queue is gone.
struct Keeper;

impl Keeper {
    async fn begin(me: &ActorRef<Message>, shared: &Arc<Shared>) -> Result<(), ActorProcessingErr> {
        let new = Picky::spawn_linked(None, Picky, Arc::clone(shared), me.get_cell()).await?.0;
        *shared.picky.lock().expect("nobody panics") = Some(new.clone());
        match shared.left.load(Ordering::Relaxed) {
            0 => return Ok(()),
            1 => drop(shared.done.send(())),
            _ => drop(new.cast(Message::Boom)),
        }
        shared.left.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Actor for Keeper {
    type Msg = Message;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        me: ActorRef<Message>,
        shared: Arc<Shared>,
    ) -> Result<Arc<Shared>, ActorProcessingErr> {
        Self::begin(&me, &shared).await?;
        Ok(shared)
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Message>,
        event: SupervisionEvent,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(event, SupervisionEvent::ActorFailed(..)) {
            Self::begin(&me, shared).await?;
            // Whoever waits for a replacement knows it now.
            if shared.left.load(Ordering::Relaxed) == 0 {
                let _ = shared.done.send(());
            }
        }
        Ok(())
    }
}

async fn supervised() -> (Arc<Shared>, UnboundedReceiver<()>) {
    let (done, finished) = unbounded_channel();
    let (handled, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let shared = Arc::new(Shared { picky: Mutex::new(None), handled, left, done });
    Keeper::spawn(None, Keeper, Arc::clone(&shared)).await.expect("ractor spawns");
    (shared, finished)
}

fn picky(shared: &Shared) -> ActorRef<Message> {
    shared.picky.lock().expect("nobody panics").clone().expect("it has begun")
}

async fn restart(n: usize) {
    let (shared, mut finished) = supervised().await;
    let rate = rate(n, async |n| {
        shared.left.store(n, Ordering::Relaxed);
        let clock = start();
        let _ = picky(&shared).cast(Message::Boom);
        // The last says twice that it is there.
        finished.recv().await;
        finished.recv().await;
        clock.elapsed()
    })
    .await;
    emit("rate", rate, "restart/s");
}

/// From the crash until the replacement has handled a message, which is sent when it is known.
async fn recovery(n: usize) {
    let (shared, mut finished) = supervised().await;
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let clock = start();
        let _ = picky(&shared).cast(Message::Boom);
        finished.recv().await;
        let _ = picky(&shared).cast(Message::Data(payload()));
        finished.recv().await;
        times.push(clock.elapsed());
    }
    emit_p50(times);
}

async fn kept(n: usize) {
    let (shared, _finished) = supervised().await;
    for i in 1..=n {
        let message = if crashes(i) { Message::Boom } else { Message::Data(payload()) };
        let _ = picky(&shared).cast(message);
    }
    let handled = settled(move || shared.handled.load(Ordering::Relaxed)).await;
    emit("kept", handled, "msg");
}

async fn run(Args { work, n }: Args) {
    match work.as_str() {
        "tell" => emit("rate", rate(n, tell).await, "msg/s"),
        "pingpong" => emit("rate", rate(n, pingpong).await, "rt/s"),
        "spawn" => spawn(n).await,
        "recovery" => recovery(n).await,
        "kept" => kept(n).await,
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
    let args = args();
    if args.work == "restart" {
        // Not as a task: the compiler cannot see that it could be one. It begins and ends a burst, no more.
        return runtime.block_on(restart(args.n));
    }
    runtime.block_on(async { tokio::spawn(run(args)).await.expect("the benchmark body") });
}
