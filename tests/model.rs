//! The core under every kind of schedule: `make test-model`.
//!
//! Shuttle runs each model 12,000 times and decides at every lock and atomic who goes on. The models run the code of
//! the product: `src/sync.rs` swaps the primitives. A lost wake is a deadlock, which shuttle reports.

#![cfg(iris_shuttle)]

use iris::bytes::{Letterbox, Parcel};
use iris::message::LaneEvent;
use iris::runtime::InHand;
use iris::scheduler::lane::Runnable;
use iris::scheduler::pool::Pool;
use iris::{
    Batch, ChildOptions, Clock, Config, Context, ErrorKind, ExitReason, HostLane, Message, Payload,
    Pid, Pulled, Runtime, SpawnOptions, StartRequest, SupervisorOptions,
};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::spawn;
use std::sync::Arc;
use std::time::Duration;

/// Runs a model under random schedules and under schedules with few preemptions.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    let random = Arc::clone(&body);
    shuttle::check_random(move || random(), 6_000);
    shuttle::check_pct(move || body(), 6_000, 3);
}

fn runtime(workers: usize) -> (Runtime, Clock) {
    let clock = Clock::manual();
    let config = Config { workers, ..Config::default() };
    (Runtime::with_clock(config, clock.clone()).expect("a runtime"), clock)
}

/// A flag that a thread can wait for.
#[derive(Default)]
struct Signal(Mutex<usize>, Condvar);

impl Signal {
    fn raise(&self) {
        *self.0.lock().expect("no panic") += 1;
        self.1.notify_all();
    }

    /// Waits until it was raised `n` times.
    fn reach(&self, n: usize) {
        let mut raised = self.0.lock().expect("no panic");
        while *raised < n {
            raised = self.1.wait(raised).expect("no panic");
        }
    }

    /// Waits until it is raised, and lowers it.
    fn take(&self) {
        let mut raised = self.0.lock().expect("no panic");
        while *raised == 0 {
            raised = self.1.wait(raised).expect("no panic");
        }
        *raised = 0;
    }
}

/// A host whose loop sleeps until its waker is called.
struct Host {
    lane: HostLane,
    batch: Batch,
    woken: Arc<Signal>,
    events: Vec<LaneEvent>,
}

impl Host {
    fn open(rt: &Runtime) -> Self {
        let woken = Arc::new(Signal::default());
        let waker = Arc::clone(&woken);
        let lane = rt.open_lane(move || waker.raise());
        Self { lane, batch: Batch::default(), woken, events: Vec::new() }
    }

    fn spawn(&self) -> Pid {
        self.lane.spawn(0, SpawnOptions::default()).expect("an actor")
    }

    /// Handles what is there until the lane sleeps; answers how many messages that was.
    fn burst(&mut self, mut handle: impl FnMut(&HostLane, &mut Batch, usize)) -> usize {
        let mut handled = 0;
        loop {
            self.lane.take_events(&mut self.events);
            self.lane.take(&mut self.batch, 16, |_| true);
            let (control, taken) = (self.lane.control(), self.batch.envelopes.len());
            let mut at = 0;
            while at < taken {
                if self.lane.control() != control
                    && let Some(end) = self.lane.cut_if_gone(&mut self.batch, at)
                {
                    at = end;
                    continue;
                }
                handle(&self.lane, &mut self.batch, at);
                handled += 1;
                at += 1;
            }
            self.lane.settle(&mut self.batch, taken, taken);
            if taken == 0 && self.lane.try_sleep() {
                return handled;
            }
        }
    }
}

fn balanced(rt: &Runtime) {
    rt.audit().expect("the books balance");
    let b = rt.metrics().books;
    assert_eq!((b.queued, b.in_flight), (0, 0), "{b:?}");
}

#[test]
fn a_lane_that_sleeps_is_woken_for_every_burst() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let pids = [host.spawn(), host.spawn()];
        let senders: Vec<_> = (0..3)
            .map(|i| {
                let rt = rt.clone();
                spawn(move || {
                    assert!(rt.send(pids[i % 2], "1") && rt.send(pids[(i + 1) % 2], "2"));
                })
            })
            .collect();
        let mut handled = 0;
        while handled < 6 {
            host.woken.take();
            handled += host.burst(|_, _, _| {});
        }
        senders.into_iter().for_each(|s| s.join().expect("no panic"));
        assert_eq!(handled, 6);
        balanced(&rt);
    });
}

#[test]
fn a_lane_that_hands_over_itself_hears_of_what_others_do_and_ends_what_they_stop() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let looks = Arc::new(AtomicUsize::new(0));
        let nudged = Arc::clone(&looks);
        host.lane.on_nudge(move |_| {
            nudged.fetch_add(1, Ordering::SeqCst);
        });
        let [a, b] = [host.spawn(), host.spawn()];
        host.lane.join(b, 7);
        assert!(host.lane.send(a, "mine".into(), None).is_accepted());
        let other = {
            let rt = rt.clone();
            spawn(move || {
                assert!(rt.send(a, "another's"));
                assert!(rt.stop(b));
            })
        };
        let seen = looks.load(Ordering::SeqCst);
        let direct = host.lane.take_direct(&mut host.batch, 16, |_| true);
        let mut handled = host.batch.envelopes.len();
        if direct && rt.actor_info(b).is_some() {
            let mut done = Vec::new();
            while looks.load(Ordering::SeqCst) == seen && done.len() < 3 {
                done.push(b);
            }
            // Stopped or not, it was in hand: nobody has heard of its end.
            assert!(!host.lane.has_events() && rt.actor_info(b).is_some());
            let hand = InHand { pid: b, sender: Some(a), call: None };
            let _ = host.lane.handed_over(&mut host.batch, done.into_iter(), 0, Some(hand));
            assert_eq!(host.batch.envelopes.len(), 1);
        } else {
            // Its end had begun before.
            host.lane.end_direct();
        }
        let all = host.batch.envelopes.len();
        host.lane.settle(&mut host.batch, all, all);
        other.join().expect("no panic");
        let mut joined = 0;
        while handled < 2 || joined < 1 {
            handled += host.burst(|_, _, _| {});
            joined +=
                host.events.drain(..).filter(|e| matches!(e, LaneEvent::Joined { .. })).count();
        }
        assert_eq!((handled, joined), (2, 1));
        balanced(&rt);
    });
}

#[test]
fn an_event_wakes_a_sleeping_lane() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let pids = [host.spawn(), host.spawn()];
        for (key, pid) in (0..).zip(pids) {
            host.lane.join(pid, key);
        }
        let enders = pids.map(|pid| {
            let rt = rt.clone();
            spawn(move || assert!(rt.kill(pid)))
        });
        let mut joined = 0;
        while joined < 2 {
            host.woken.take();
            host.burst(|_, _, _| {});
            let events = host.events.drain(..);
            joined += events.filter(|e| matches!(e, LaneEvent::Joined { .. })).count();
        }
        enders.into_iter().for_each(|e| e.join().expect("no panic"));
        balanced(&rt);
    });
}

#[test]
fn a_pool_that_sleeps_is_woken_for_whatever_is_pushed() {
    model(|| {
        let pool = Arc::new(Pool::new(2));
        let done = Arc::new(Signal::default());
        let (inside, signal) = (Arc::clone(&pool), Arc::clone(&done));
        assert!(pool.start(move |worker| {
            let mut tick = 0;
            while let Some(r) = inside.next(worker, &mut tick) {
                match r.generation {
                    // A seed makes two more runnable.
                    0 => [1, 2].map(|g| inside.push(Runnable { slot: r.slot, generation: g })),
                    _ => [signal.raise(); 2],
                };
            }
        }));
        for slot in 0..2 {
            pool.push(Runnable { slot, generation: 0 });
        }
        pool.push(Runnable { slot: 2, generation: 9 });
        done.reach(5);
        pool.close();
    });
}

#[test]
fn a_lone_worker_that_sleeps_is_woken_for_whatever_is_pushed() {
    model(|| {
        let pool = Arc::new(Pool::new(1));
        let done = Arc::new(Signal::default());
        let (inside, signal) = (Arc::clone(&pool), Arc::clone(&done));
        assert!(pool.start(move |worker| {
            let mut tick = 0;
            while inside.next(worker, &mut tick).is_some() {
                signal.raise();
            }
        }));
        let pushing = [0, 1].map(|slot| {
            let pool = Arc::clone(&pool);
            spawn(move || pool.push(Runnable { slot, generation: 1 }))
        });
        done.reach(2);
        pushing.into_iter().for_each(|p| p.join().expect("no panic"));
        pool.close();
    });
}

#[test]
fn what_a_worker_leaves_behind_a_long_handler_is_run_by_another() {
    model(|| {
        let pool = Arc::new(Pool::new(3));
        let (helped, done) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
        let (inside, help, finish) = (Arc::clone(&pool), Arc::clone(&helped), Arc::clone(&done));
        assert!(pool.start(move |worker| {
            let mut tick = 0;
            while let Some(r) = inside.next(worker, &mut tick) {
                match r.generation {
                    // Two block until the helper that the first has left behind is run: the third worker is left for it.
                    0 => inside.push(Runnable { slot: 0, generation: 2 }),
                    1 => {}
                    _ => {
                        help.raise();
                        continue;
                    }
                }
                help.reach(1);
                finish.raise();
            }
        }));
        for generation in 0..2 {
            pool.push(Runnable { slot: 0, generation });
        }
        done.reach(2);
        pool.close();
    });
}

#[test]
fn the_front_of_a_queue_is_run_once_by_its_worker_or_by_a_rescuer() {
    model(|| {
        let pool = Arc::new(Pool::new(2));
        let done = Arc::new(Signal::default());
        let runs = Arc::new([const { AtomicUsize::new(0) }; 4]);
        let (inside, finish, counts) = (Arc::clone(&pool), Arc::clone(&done), Arc::clone(&runs));
        assert!(pool.start(move |worker| {
            let mut tick = 0;
            while let Some(r) = inside.next(worker, &mut tick) {
                counts[r.slot as usize].fetch_add(1, Ordering::SeqCst);
                // A chain: each makes the next runnable, at the front of its worker's queue.
                if r.slot < 3 {
                    inside.push(Runnable { slot: r.slot + 1, generation: 1 });
                    // The handler is not over yet: time for a watcher to look, twice.
                    shuttle::thread::yield_now();
                    shuttle::thread::yield_now();
                } else {
                    finish.raise();
                }
            }
        }));
        pool.push(Runnable { slot: 0, generation: 1 });
        done.reach(1);
        pool.close();
        assert!(runs.iter().all(|n| n.load(Ordering::SeqCst) == 1), "{runs:?}");
    });
}

#[test]
fn bytes_go_home_once_or_are_freed_once() {
    model(|| {
        let letterbox = Arc::new(Letterbox::default());
        let senders = [0u8, 10].map(|first| {
            let letterbox = Arc::clone(&letterbox);
            spawn(move || {
                let mut parcel = Parcel::new();
                for piece in first..first + 3 {
                    parcel.add(vec![piece].into());
                    letterbox.put(&mut parcel);
                    assert!(parcel.is_empty());
                }
            })
        });
        let mut home = Vec::new();
        let collect = |home: &mut Vec<u8>| {
            let mut pieces = Vec::new();
            letterbox.collect(&mut pieces);
            home.extend(pieces.iter().map(|p| p[0]));
        };
        while home.len() < 2 {
            collect(&mut home);
            shuttle::thread::yield_now();
        }
        senders.into_iter().for_each(|s| s.join().expect("no panic"));
        assert_eq!(letterbox.is_full(), home.len() < 6, "what waits can be seen");
        collect(&mut home);
        home.sort_unstable();
        assert_eq!(home, [0, 1, 2, 10, 11, 12]);
    });
}

#[test]
fn a_pool_that_closes_lets_every_worker_go() {
    model(|| {
        let pool = Arc::new(Pool::new(2));
        let inside = Arc::clone(&pool);
        assert!(pool.start(move |worker| {
            let mut tick = 0;
            while inside.next(worker, &mut tick).is_some() {}
        }));
        pool.push(Runnable { slot: 0, generation: 1 });
        pool.close();
    });
}

#[test]
fn sends_to_a_lane_race_with_stop_kill_and_drain_and_every_message_is_counted() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = host.spawn();
        let exits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&exits);
        rt.on_exit(pid, move |info| {
            assert!(matches!(info.reason, ExitReason::Shutdown | ExitReason::Killed));
            count.fetch_add(1, Ordering::SeqCst);
        });
        let accepted = Arc::new(AtomicUsize::new(0));
        let workers = [0, 1, 2].map(|what| {
            let (rt, accepted) = (rt.clone(), Arc::clone(&accepted));
            spawn(move || match what {
                0 => (0..3).for_each(|_| {
                    accepted.fetch_add(rt.send(pid, "x").into(), Ordering::SeqCst);
                }),
                1 => {
                    rt.stop_drain(pid);
                }
                _ => {
                    rt.stop(pid);
                }
            })
        });
        let mut handled = host.burst(|_, _, _| {});
        workers.into_iter().for_each(|w| w.join().expect("no panic"));
        handled += host.burst(|_, _, _| {});
        rt.kill(pid);
        assert_eq!(exits.load(Ordering::SeqCst), 1, "one end");
        balanced(&rt);
        let b = rt.metrics().books;
        assert_eq!(b.handled, handled as u64);
        assert_eq!(b.accepted, accepted.load(Ordering::SeqCst) as u64);
        assert_eq!(b.accepted, b.handled + b.dead.iter().sum::<u64>());
    });
}

#[test]
fn an_awaited_handler_is_over_once_whoever_ends_it() {
    model(|| {
        let (rt, clock) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = host.spawn();
        let exits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&exits);
        rt.on_exit(pid, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert!(rt.send(pid, "1") && rt.send(pid, "2"));
        host.lane.take(&mut host.batch, 16, |_| true);
        host.lane.suspend(&mut host.batch, 0);
        host.lane.settle(&mut host.batch, 2, 2);
        let (stopper, killer) = (rt.clone(), rt.clone());
        let ending = [
            spawn(move || {
                stopper.stop(pid);
                clock.advance(Duration::from_secs(5));
                stopper.poll_timers();
            }),
            spawn(move || {
                killer.kill(pid);
            }),
        ];
        host.lane.resume(pid);
        host.burst(|_, _, _| {});
        ending.into_iter().for_each(|e| e.join().expect("no panic"));
        host.burst(|_, _, _| {});
        assert_eq!(exits.load(Ordering::SeqCst), 1);
        balanced(&rt);
        assert_eq!(rt.metrics().timers, 0);
    });
}

#[test]
fn a_rust_actor_is_sent_to_stopped_and_killed_and_every_message_is_counted() {
    model(|| {
        let (rt, _) = runtime(2);
        let running = Arc::new(AtomicBool::new(false));
        let exits = Arc::new(Signal::default());
        let (flag, ended) = (Arc::clone(&running), Arc::clone(&exits));
        let pid = rt
            .spawn(move |_: Message, _: &mut Context<'_>| {
                assert!(!flag.swap(true, Ordering::SeqCst), "two at once");
                flag.store(false, Ordering::SeqCst);
            })
            .expect("an actor");
        rt.on_exit(pid, move |_| ended.raise());
        let others = [0, 1].map(|what| {
            let rt = rt.clone();
            spawn(move || match what {
                0 => (0..3).for_each(|_| {
                    rt.send(pid, "x");
                }),
                _ => {
                    rt.stop(pid);
                }
            })
        });
        others.into_iter().for_each(|o| o.join().expect("no panic"));
        exits.reach(1);
        rt.close(Duration::from_secs(1)).expect("this thread may wait");
        assert_eq!(*exits.0.lock().expect("no panic"), 1);
        rt.audit().expect("the books balance");
    });
}

#[test]
fn rust_actors_that_talk_to_each_other_come_to_rest_with_every_message_handled() {
    model(|| {
        let (rt, _) = runtime(2);
        let done = Arc::new(Signal::default());
        let signal = Arc::clone(&done);
        let last = rt.spawn(move |_: Message, _: &mut Context<'_>| signal.raise()).expect("one");
        let relay = |next: Pid| {
            rt.spawn(move |m: Message, ctx: &mut Context<'_>| assert!(ctx.send(next, m.payload)))
                .expect("an actor")
        };
        let relays = [relay(last), relay(last)];
        for pid in relays {
            assert!(rt.send(pid, "x") && rt.send(pid, "y"));
        }
        done.reach(4);
        rt.close(Duration::from_secs(1)).expect("this thread may wait");
        rt.audit().expect("the books balance");
    });
}

#[test]
fn a_call_has_one_outcome_whoever_ends_it() {
    model(|| {
        let (rt, clock) = runtime(1);
        let mut host = Host::open(&rt);
        let (pid, outcomes) = (host.spawn(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&outcomes);
        let id = rt
            .call_with(pid, "x".into(), Duration::from_millis(1), None, move |outcome| {
                if let Err(e) = outcome {
                    assert!(matches!(e.kind(), ErrorKind::Timeout | ErrorKind::ActorExited));
                }
                count.fetch_add(1, Ordering::SeqCst);
            })
            .expect("it is open");
        let (expiring, giving_up, ending) = (rt.clone(), rt.clone(), rt.clone());
        let others = [
            spawn(move || {
                clock.advance(Duration::from_millis(1));
                expiring.poll_timers();
                0
            }),
            spawn(move || usize::from(giving_up.cancel_call(id))),
            spawn(move || {
                ending.kill(pid);
                0
            }),
        ];
        host.burst(|lane, batch, at| {
            lane.reply(batch.envelopes[at].call.expect("a call"), Payload::empty);
        });
        let given_up: usize = others.into_iter().map(|o| o.join().expect("no panic")).sum();
        host.burst(|_, _, _| {});
        assert_eq!(outcomes.load(Ordering::SeqCst) + given_up, 1, "one outcome");
        let m = rt.metrics();
        assert_eq!((m.open_calls, m.timers), (0, 0));
        balanced(&rt);
    });
}

#[test]
fn a_call_that_is_over_is_in_no_actors_list() {
    model(|| {
        let (rt, clock) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = host.spawn();
        for ms in 1..3 {
            rt.call_with(pid, "x".into(), Duration::from_millis(ms), None, |_| {}).expect("open");
        }
        let expiring = rt.clone();
        let expiry = spawn(move || {
            for _ in 0..2 {
                clock.advance(Duration::from_millis(1));
                expiring.poll_timers();
            }
        });
        host.burst(|_, _, _| {});
        expiry.join().expect("no panic");
        host.burst(|_, _, _| {});
        balanced(&rt);
        assert_eq!(rt.metrics().open_calls, 0);
    });
}

#[test]
fn a_name_never_outlives_its_actor() {
    model(|| {
        let (rt, _) = runtime(1);
        let host = Host::open(&rt);
        let (dying, living) = (host.spawn(), host.spawn());
        let registering = [dying, living].map(|pid| {
            let rt = rt.clone();
            spawn(move || rt.register("name", pid).is_ok())
        });
        let (ending, taking) = (rt.clone(), rt.clone());
        let end = spawn(move || ending.kill(dying));
        let take = spawn(move || taking.unregister("name").expect("open"));
        let registered = registering.map(|r| r.join().expect("no panic"));
        assert!(registered.contains(&true), "nobody got it");
        assert!(end.join().expect("no panic"));
        take.join().expect("no panic");
        rt.audit().expect("names and lists agree");
        assert_ne!(rt.whereis("name"), Some(dying));
        rt.kill(living);
        assert_eq!(rt.metrics().names, 0, "a name leaked");
    });
}

#[test]
fn a_join_hears_how_the_actor_ended_whenever_it_comes() {
    model(|| {
        let (rt, _) = runtime(1);
        let host = Host::open(&rt);
        let pid = host.spawn();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let others = [0, 1].map(|what| {
            let (rt, heard) = (rt.clone(), Arc::clone(&heard));
            spawn(move || match what {
                0 => {
                    rt.kill(pid);
                }
                _ => rt.on_exit(pid, move |info| {
                    heard.lock().expect("no panic").push(info.reason);
                }),
            })
        });
        others.into_iter().for_each(|o| o.join().expect("no panic"));
        assert_eq!(*heard.lock().expect("no panic"), [ExitReason::Killed]);
    });
}

#[test]
fn a_spawn_that_races_with_close_is_refused_or_stopped() {
    model(|| {
        let (rt, _) = runtime(1);
        let host = Host::open(&rt);
        host.spawn();
        let lane = host.lane.clone();
        let spawning = spawn(move || {
            for _ in 0..2 {
                let _ = lane.spawn(0, SpawnOptions::default());
            }
        });
        let closed = Arc::new(Signal::default());
        let closings = [0, 1].map(|_| {
            let (rt, closed) = (rt.clone(), Arc::clone(&closed));
            spawn(move || rt.close_with(Duration::from_secs(1), move || closed.raise()))
        });
        closed.reach(2);
        closings.into_iter().for_each(|c| c.join().expect("no panic"));
        spawning.join().expect("no panic");
        assert_eq!(rt.metrics().actors, 0);
        assert_eq!(*closed.0.lock().expect("no panic"), 2, "each close is told once");
        balanced(&rt);
    });
}

#[test]
fn a_close_is_told_after_every_end_was() {
    model(|| {
        let (rt, _) = runtime(1);
        let host = Host::open(&rt);
        let told = Arc::new(AtomicUsize::new(0));
        let pids = [host.spawn(), host.spawn()];
        for pid in pids {
            let told = Arc::clone(&told);
            rt.on_exit(pid, move |_| {
                told.fetch_add(1, Ordering::SeqCst);
            });
        }
        let ending = rt.clone();
        let end = spawn(move || ending.kill(pids[0]));
        let closed = Arc::new(Signal::default());
        let signal = Arc::clone(&closed);
        rt.close_with(Duration::from_secs(1), move || signal.raise());
        closed.reach(1);
        assert_eq!(told.load(Ordering::SeqCst), 2);
        end.join().expect("no panic");
    });
}

#[test]
fn a_spawn_that_races_with_the_end_of_its_lane_is_refused_or_ended() {
    model(|| {
        let (rt, _) = runtime(1);
        let host = Host::open(&rt);
        let (spawner, sender) = (host.lane.clone(), rt.clone());
        let spawning = spawn(move || {
            if let Ok(pid) = spawner.spawn(0, SpawnOptions::default()) {
                sender.send(pid, "x");
            }
        });
        host.lane.close();
        spawning.join().expect("no panic");
        assert_eq!(rt.metrics().actors, 0);
        balanced(&rt);
    });
}

/// What a virtual actor went through; a message between a sleep and a wake is a bug.
#[derive(Default)]
struct Grain {
    awake: bool,
    wakes: usize,
    handled: usize,
}

impl Grain {
    /// Runs messages and hooks until the lane sleeps.
    fn burst(&mut self, host: &mut Host) {
        loop {
            self.handled += host.burst(|_, _, _| assert!(self.awake, "handled in its sleep"));
            let mut did = false;
            for e in std::mem::take(&mut host.events) {
                let LaneEvent::Hook { pid, activate, .. } = e else { continue };
                did = true;
                if !host.lane.hook_is_due(pid) {
                    continue; // killed
                }
                assert_ne!(self.awake, activate, "hooks come in turns");
                self.awake = activate;
                self.wakes += usize::from(activate);
                host.lane.hook_done(pid);
            }
            if !did {
                return;
            }
        }
    }
}

fn grain(host: &Host) -> Pid {
    let hooks = iris::VirtualOptions {
        idle_timeout: Some(Duration::from_millis(1)),
        on_activate: true,
        on_deactivate: true,
    };
    host.lane.spawn_virtual(0, SpawnOptions::default(), hooks).expect("an actor")
}

#[test]
fn sends_race_with_the_idle_time_of_a_virtual_actor_and_none_is_lost_or_handled_asleep() {
    model(|| {
        let (rt, clock) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = grain(&host);
        let mut g = Grain::default();
        assert!(rt.send(pid, "0"));
        g.burst(&mut host);
        let (sender, timer) = (rt.clone(), rt.clone());
        let threads = [
            spawn(move || (0..2).for_each(|_| assert!(sender.send(pid, "x")))),
            spawn(move || {
                for _ in 0..2 {
                    clock.advance(Duration::from_millis(1));
                    timer.poll_timers();
                }
            }),
        ];
        while g.handled < 3 {
            host.woken.take();
            g.burst(&mut host);
        }
        threads.into_iter().for_each(|t| t.join().expect("no panic"));
        g.burst(&mut host);
        assert!(rt.is_alive(pid) && (1..=3).contains(&g.wakes));
        balanced(&rt);
    });
}

#[test]
fn a_virtual_actor_that_wakes_or_falls_asleep_races_with_its_ends() {
    model(|| {
        let (rt, clock) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = grain(&host);
        let mut g = Grain::default();
        let exits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&exits);
        rt.on_exit(pid, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert!(rt.send(pid, "0"));
        g.burst(&mut host);
        let threads = [0, 1, 2].map(|what| {
            let (rt, clock) = (rt.clone(), clock.clone());
            spawn(move || match what {
                0 => {
                    rt.send(pid, "x");
                    rt.stop_drain(pid);
                }
                1 => {
                    clock.advance(Duration::from_millis(1));
                    rt.poll_timers();
                }
                _ => {
                    rt.stop(pid);
                }
            })
        });
        g.burst(&mut host);
        threads.into_iter().for_each(|t| t.join().expect("no panic"));
        g.burst(&mut host);
        assert_eq!(exits.load(Ordering::SeqCst), 1, "one end");
        assert!(!g.awake, "a stop deactivates");
        balanced(&rt);
    });
}

#[test]
fn a_kill_in_the_middle_of_a_hook_leaves_the_slot_to_its_next_actor() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let pid = grain(&host);
        assert!(rt.send(pid, "0"));
        let killer = rt.clone();
        let kill = spawn(move || assert!(killer.kill(pid)));
        let mut g = Grain::default();
        g.burst(&mut host);
        kill.join().expect("no panic");
        let next = grain(&host);
        host.lane.hook_done(pid);
        assert!(rt.send(next, "1"));
        let mut g = Grain::default();
        g.burst(&mut host);
        assert_eq!((g.handled, g.wakes), (1, 1));
        rt.stop(next);
        g.burst(&mut host);
        balanced(&rt);
    });
}

#[test]
fn levels_are_told_in_turns_and_no_bell_is_missed() {
    model(|| {
        let (rt, _) = runtime(1);
        let mut host = Host::open(&rt);
        let options = SpawnOptions { capacity: Some(2), ..SpawnOptions::default() };
        let pid = host.lane.spawn(0, options).expect("an actor");
        let rung = Arc::new(AtomicUsize::new(0));
        let bell = Arc::clone(&rung);
        let watch = rt.watch_pressure(move || {
            bell.fetch_add(1, Ordering::SeqCst);
        });
        let senders = [0, 1].map(|_| {
            let rt = rt.clone();
            spawn(move || {
                let _ = rt.send(pid, "x");
            })
        });
        host.burst(|_, _, _| {});
        let mut told = watch.take();
        senders.into_iter().for_each(|s| s.join().expect("no panic"));
        host.burst(|_, _, _| {});
        let late = watch.take();
        assert!(told.is_empty() && late.is_empty() || rung.load(Ordering::SeqCst) > 0);
        told.extend(late);
        assert!(told.windows(2).all(|w| w[0].1 != w[1].1), "only changes: {told:?}");
        assert!(told.last().is_none_or(|(_, level)| *level == iris::Pressure::Normal));
        balanced(&rt);
    });
}

/// A monitor, a demonitor and the end of both sides race: the DOWN comes once, or was taken back, or nobody is left to hear.
#[test]
fn a_monitor_tells_exactly_once_whoever_is_first() {
    model(|| {
        let (rt, _) = runtime(1);
        let target = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let watcher = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let handle = rt.clone();
        let killer = spawn(move || handle.kill(target));
        let reference = rt.monitor(target, watcher).expect("the watcher lives");
        let handle = rt.clone();
        let taker = spawn(move || handle.demonitor(reference));
        killer.join().expect("no panic");
        let taken = taker.join().expect("no panic");
        let mut downs = 0;
        while let Pulled::Message(e) = rt.pull(watcher) {
            assert!(e.payload.as_system().is_some());
            downs += 1;
        }
        assert_eq!(downs, usize::from(!taken));
        assert_eq!(rt.metrics().monitors, 0);
        let late = rt.monitor(watcher, watcher).expect("the watcher lives");
        rt.kill(watcher);
        assert!(!rt.demonitor(late));
        rt.audit().expect("the books balance");
        rt.close_now();
    });
}

/// The end of a target races with the end of its watcher and with a monitor that is just being made.
#[test]
fn monitors_leave_nothing_behind_when_both_sides_end() {
    model(|| {
        let (rt, _) = runtime(1);
        let target = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let watcher = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let (first, second) = (rt.clone(), rt.clone());
        let one = spawn(move || first.kill(watcher));
        let two = spawn(move || second.kill(target));
        let _ = rt.monitor(target, watcher);
        one.join().expect("no panic");
        two.join().expect("no panic");
        assert_eq!(rt.metrics().monitors, 0);
        rt.audit().expect("the books balance");
        rt.close_now();
    });
}

/// A link is made while one side ends: the other ends too.
#[test]
fn a_link_that_races_with_an_end_ends_the_other() {
    model(|| {
        let (rt, _) = runtime(1);
        let a = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let b = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let handle = rt.clone();
        let killer = spawn(move || handle.kill(a));
        rt.link(a, b).expect("one of them lives");
        killer.join().expect("no panic");
        assert!(!rt.is_alive(b), "whichever came first");
        rt.audit().expect("the books balance");
        rt.close_now();
    });
}

/// A path is released on exit while another actor registers it and a third lists.
#[test]
fn paths_are_released_under_races() {
    model(|| {
        let (rt, _) = runtime(1);
        let a = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        let b = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        rt.register_path("/a/b", a).expect("it is free");
        let (first, second) = (rt.clone(), rt.clone());
        let killer = spawn(move || first.kill(a));
        let taker = spawn(move || second.register_path("/a/b", b).is_ok());
        let seen = rt.list_children("/a").expect("a path");
        assert!(seen.len() <= 1 && seen.iter().all(|(_, pid)| *pid == a || *pid == b));
        killer.join().expect("no panic");
        let took = taker.join().expect("no panic");
        let held = rt.whereis_path("/a/b").expect("a path");
        assert_eq!(held, took.then_some(b));
        assert_eq!(rt.list_children_direct("/a").expect("a path").len(), usize::from(took));
        rt.audit().expect("the books balance");
        rt.close_now();
    });
}

/// Two threads send by name while a third ends the holder twice: what was accepted arrives once, in order for each sender.
#[test]
fn a_restart_neither_loses_nor_doubles_nor_reorders_what_is_sent_by_name() {
    model(|| {
        let (rt, _) = runtime(1);
        let first = rt.spawn_pull(SpawnOptions::default(), |_| {}).expect("an actor");
        rt.register("w", first).expect("it is free");
        let weak = rt.clone();
        let factory = move |r: StartRequest| {
            weak.set_start_at_hand(r.ticket);
            let new = weak.spawn_pull(SpawnOptions::default(), |_| {}).map_err(|e| e.to_string());
            weak.set_start_at_hand(0);
            weak.start_over(r.ticket, new);
            true
        };
        let (child, sup) = (ChildOptions::default(), SupervisorOptions::default());
        rt.path_supervise_with_factory("/svc", first, factory, child, sup).expect("it lives");
        let senders: Vec<_> = [b'a', b'b']
            .into_iter()
            .map(|who| {
                let rt = rt.clone();
                spawn(move || {
                    for i in 0..2 {
                        assert!(rt.send_named("w", vec![who, i]), "names are kept");
                    }
                })
            })
            .collect();
        let handle = rt.clone();
        let killer = spawn(move || {
            for _ in 0..2 {
                if let Some(pid) = handle.whereis("w") {
                    handle.kill(pid);
                }
            }
        });
        senders.into_iter().for_each(|s| s.join().expect("no panic"));
        killer.join().expect("no panic");
        let holder = rt.whereis("w").expect("it was replaced");
        let mut got = [Vec::new(), Vec::new()];
        while let Pulled::Message(e) = rt.pull(holder) {
            got[usize::from(e.payload[0] == b'b')].push(e.payload[1]);
        }
        assert_eq!(got, [vec![0, 1], vec![0, 1]]);
        let m = rt.metrics().books;
        assert_eq!((m.parked, m.handled), (0, 4));
        rt.audit().expect("the books balance");
        rt.close_now();
        assert_eq!(rt.metrics().names, 0);
    });
}
