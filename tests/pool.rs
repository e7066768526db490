//! The pool: fairness, order, and nobody left behind a long handler.

mod support;

use iris::{Actor, Context, Crash, Message, Pid, Runtime, SpawnOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use support::*;

#[test]
fn a_flooded_actor_gives_way_after_its_budget() {
    let rt = runtime(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (gate, begins, go) = gated(&rt);
    let spawn = |budget| {
        let order = Arc::clone(&order);
        let handler = move |_: Message, ctx: &mut Context<'_>| {
            order.lock().expect("a list").push(ctx.pid());
        };
        let options = SpawnOptions { budget, ..SpawnOptions::default() };
        rt.spawn_with(handler, options).expect("an actor")
    };
    let (flooded, modest) = (spawn(7), spawn(3));
    assert!(rt.send(gate, "x"));
    begins.recv().expect("the only worker is busy");
    for _ in 0..70 {
        assert!(rt.send(flooded, "x"));
    }
    for _ in 0..30 {
        assert!(rt.send(modest, "x"));
    }
    drop(go);
    quiet(&rt);
    let order = order.lock().expect("a list");
    let turns: Vec<(Pid, usize)> =
        order.chunk_by(|a, b| a == b).map(|turn| (turn[0], turn.len())).collect();
    let expected: Vec<_> = (0..10).flat_map(|_| [(flooded, 7), (modest, 3)]).collect();
    assert_eq!(turns, expected);
}

/// Sends to a helper, then waits until the helper has run: somebody else must run it.
struct Waiting {
    helper: Pid,
    helped: mpsc::Receiver<()>,
    done: mpsc::Sender<()>,
}

impl Actor for Waiting {
    fn handle(&mut self, _: Message, ctx: &mut Context<'_>) -> Result<(), Crash> {
        assert!(ctx.send(self.helper, "help"));
        self.helped.recv()?;
        self.done.send(())?;
        Ok(())
    }
}

#[test]
fn what_a_worker_leaves_behind_a_long_handler_is_found_by_another() {
    for workers in [2, 3, 4] {
        let rt = runtime(workers);
        let (done, finished) = mpsc::channel();
        for _ in 0..100 {
            for _ in 1..workers {
                let (tx, helped) = mpsc::channel();
                let helper = rt
                    .spawn(move |_: Message, _: &mut Context<'_>| {
                        let _ = tx.send(());
                    })
                    .expect("an actor");
                let done = done.clone();
                let waiting = rt.spawn(Waiting { helper, helped, done }).expect("an actor");
                assert!(rt.send(waiting, "go"));
            }
            for _ in 1..workers {
                finished.recv_timeout(PATIENCE).expect("no helper is left behind");
            }
        }
        quiet(&rt);
    }
}

/// Checks that the messages of each sender come in their order.
fn checker(rt: &Runtime, senders: usize, seen: &Arc<AtomicUsize>) -> Pid {
    let seen = Arc::clone(seen);
    let mut next = vec![0u32; senders];
    rt.spawn(move |m: Message, _: &mut Context<'_>| {
        let from = usize::from(m.payload[0]);
        let n = u32::from_le_bytes(m.payload[1..5].try_into().expect("four bytes"));
        assert_eq!(n, next[from], "out of order, lost or doubled");
        next[from] += 1;
        seen.fetch_add(1, Ordering::Relaxed);
    })
    .expect("an actor")
}

#[test]
fn each_pair_keeps_its_order_from_threads_and_from_actors() {
    const EACH: u32 = 20_000;
    let rt = runtime(3);
    let seen = Arc::new(AtomicUsize::new(0));
    let receivers: Vec<_> = (0..3).map(|_| checker(&rt, 4, &seen)).collect();
    let message = |from: u8, n: u32| {
        let mut m = vec![from];
        m.extend(n.to_le_bytes());
        m
    };
    // Sender 3 is an actor: it forwards what it is told, in its own name.
    let to = receivers.clone();
    let forwarder = rt
        .spawn(move |m: Message, ctx: &mut Context<'_>| {
            for pid in &to {
                assert!(ctx.send(*pid, m.payload.clone()));
            }
        })
        .expect("an actor");
    std::thread::scope(|s| {
        for from in 0..3u8 {
            let (rt, receivers) = (&rt, &receivers);
            s.spawn(move || {
                for n in 0..EACH {
                    for pid in receivers {
                        assert!(rt.send(*pid, message(from, n)));
                    }
                }
            });
        }
        for n in 0..EACH {
            assert!(rt.send(forwarder, message(3, n)));
        }
    });
    quiet(&rt);
    assert_eq!(seen.load(Ordering::Relaxed), 3 * 4 * EACH as usize);
    assert_eq!(rt.metrics().books.exited.iter().sum::<u64>(), 0, "no check has failed");
}

#[test]
fn an_actor_runs_on_one_thread_at_a_time() {
    let rt = runtime(4);
    let inside = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&inside);
    let mut plain = 0u64;
    let pid = rt
        .spawn_with(
            move |_: Message, ctx: &mut Context<'_>| {
                assert_eq!(flag.fetch_add(1, Ordering::Relaxed), 0, "two at once");
                plain += 1;
                flag.fetch_sub(1, Ordering::Relaxed);
                if plain == 40_000 {
                    ctx.stop();
                }
            },
            SpawnOptions { budget: 1, ..SpawnOptions::default() },
        )
        .expect("an actor");
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..10_000).for_each(|_| assert!(rt.send(pid, "x"))));
        }
    });
    assert_eq!(joined(&rt, pid).reason, iris::ExitReason::Shutdown);
    quiet(&rt);
}

#[test]
fn a_hundred_thousand_actors_each_get_their_message() {
    let rt = runtime(2);
    let seen = Arc::new(AtomicUsize::new(0));
    let pids: Vec<_> = (0..100_000)
        .map(|_| {
            let seen = Arc::clone(&seen);
            rt.spawn(move |_: Message, _: &mut Context<'_>| {
                seen.fetch_add(1, Ordering::Relaxed);
            })
            .expect("an actor")
        })
        .collect();
    assert!(pids.iter().all(|pid| rt.send(*pid, "x")));
    quiet(&rt);
    assert_eq!(seen.load(Ordering::Relaxed), pids.len());
    assert_eq!(rt.list_actors(), pids, "in the order of their spawns");
}

#[test]
fn the_books_balance_while_actors_are_spawned_flooded_stopped_and_killed_from_all_sides() {
    let rt = runtime(3);
    std::thread::scope(|s| {
        for t in 0..3usize {
            let rt = &rt;
            s.spawn(move || {
                let mut mine = Vec::new();
                for i in 0..4_000usize {
                    let capacity = (i % 3 == 0).then_some(4);
                    let handler = move |m: Message, _: &mut Context<'_>| {
                        assert!(m.payload.len() != 5, "bad luck");
                    };
                    let options = SpawnOptions {
                        capacity,
                        budget: 1 + (i % 5) as u32,
                        ..SpawnOptions::default()
                    };
                    mine.push(rt.spawn_with(handler, options).expect("an actor"));
                    for (n, pid) in mine.iter().rev().take(8).enumerate() {
                        rt.send(*pid, vec![0; (i + n) % 19]);
                    }
                    match (i + t) % 7 {
                        0 => drop(rt.kill(mine[i / 2])),
                        1 => drop(rt.stop(mine[i / 3])),
                        2 => drop(rt.stop_drain(mine[i / 4])),
                        _ => {}
                    }
                }
            });
        }
    });
    quiet(&rt);
    rt.close(PATIENCE).expect("may wait");
    rt.audit().expect("the books balance");
}
