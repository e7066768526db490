//! Virtual actors: what wakes them, what puts them to sleep, and what ends them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use iris::message::LaneEvent;
use iris::{ExitReason, HostLane, Overflow, Payload, Pid, Runtime, SpawnOptions, VirtualOptions};
use std::time::Duration;
use support::*;

const IDLE: u64 = 1_000;

fn hooked() -> VirtualOptions {
    VirtualOptions {
        idle_timeout: Some(Duration::from_millis(IDLE)),
        on_activate: true,
        on_deactivate: true,
    }
}

/// A host that remembers what it did, and leaves hooks open where it is told to.
struct Grains {
    host: Host,
    log: Vec<String>,
    hold: bool,
    held: Vec<Pid>,
}

impl Grains {
    fn open(rt: &Runtime) -> Self {
        Self { host: Host::open(rt), log: Vec::new(), hold: false, held: Vec::new() }
    }

    fn spawn(&self, v: VirtualOptions) -> Pid {
        self.host.lane.spawn_virtual(0, SpawnOptions::default(), v).unwrap()
    }

    /// Runs messages and hooks until the lane sleeps.
    fn run(&mut self) {
        loop {
            let log = &mut self.log;
            self.host.run(|_: &HostLane, _, e| {
                log.push(String::from_utf8_lossy(&e.payload).into_owned());
                Step::Return
            });
            let events: Vec<_> = self.host.events.drain(..).collect();
            let mut did = false;
            for e in events {
                let LaneEvent::Hook { pid, activate, .. } = e else { continue };
                did = true;
                self.log.push(if activate { "wake" } else { "sleep" }.into());
                if self.hold {
                    self.held.push(pid);
                } else {
                    self.host.lane.hook_done(pid);
                }
            }
            if !did {
                return;
            }
        }
    }

    fn let_go(&mut self) {
        self.hold = false;
        for pid in std::mem::take(&mut self.held) {
            self.host.lane.hook_done(pid);
        }
        self.run();
    }

    fn took(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn state(rt: &Runtime, pid: Pid) -> &'static str {
    rt.actor_info(pid).unwrap().state
}

#[test]
fn it_is_alive_and_dormant_until_a_message_wakes_it_and_sleeps_when_it_has_been_idle() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    assert!(rt.is_alive(pid));
    assert_eq!((state(&rt, pid), rt.actor_info(pid).unwrap().kind), ("dormant", "virtual"));
    assert_eq!(rt.metrics().timers, 0, "nothing is set up for it");
    g.run();
    assert!(g.took().is_empty());
    assert!(rt.send(pid, "1") && rt.send(pid, "2"));
    g.run();
    assert_eq!(g.took(), ["wake", "1", "2"]);
    assert_eq!(state(&rt, pid), "active");
    pass(&rt, &clock, IDLE - 1);
    g.run();
    assert_eq!(state(&rt, pid), "active");
    pass(&rt, &clock, 1);
    assert_eq!(state(&rt, pid), "deactivating");
    g.run();
    assert_eq!(g.took(), ["sleep"]);
    assert_eq!((state(&rt, pid), rt.metrics().timers), ("dormant", 0));
    assert!(rt.send(pid, "3"));
    g.run();
    assert_eq!(g.took(), ["wake", "3"]);
    assert!(rt.is_alive(pid));
    quiet(&rt);
}

#[test]
fn a_message_begins_the_idle_time_anew_and_moves_no_timer() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(VirtualOptions { on_activate: false, on_deactivate: false, ..hooked() });
    for _ in 0..10 {
        rt.send(pid, "x");
        g.run();
        assert_eq!(rt.metrics().timers, 1);
        pass(&rt, &clock, IDLE - 1);
        g.run();
        assert_eq!(state(&rt, pid), "active");
    }
    pass(&rt, &clock, 1);
    g.run();
    assert_eq!(state(&rt, pid), "dormant");
    assert_eq!(g.took().last().unwrap(), "sleep", "the host hears of it without a hook too");
}

#[test]
fn without_an_idle_timeout_it_stays_active() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    for idle_timeout in [None, Some(Duration::from_secs(1 << 40))] {
        let pid = g.spawn(VirtualOptions { idle_timeout, ..VirtualOptions::default() });
        rt.send(pid, "x");
        g.run();
        pass(&rt, &clock, 1 << 40);
        g.run();
        assert_eq!((state(&rt, pid), rt.metrics().timers), ("active", 0));
    }
}

#[test]
fn what_comes_while_a_hook_runs_waits_and_wakes_it_again() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    g.hold = true;
    rt.send(pid, "1");
    g.run();
    rt.send(pid, "2");
    g.run();
    assert_eq!((g.took(), state(&rt, pid)), (vec!["wake".to_owned()], "activating"));
    g.let_go();
    assert_eq!(g.took(), ["1", "2"]);
    g.hold = true;
    pass(&rt, &clock, IDLE);
    g.run();
    rt.send(pid, "3");
    g.run();
    assert_eq!((g.took(), state(&rt, pid)), (vec!["sleep".to_owned()], "deactivating"));
    g.let_go();
    assert_eq!(g.took(), ["wake", "3"]);
    quiet(&rt);
}

#[test]
fn a_message_that_comes_before_the_hook_has_begun_keeps_it_awake() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    rt.send(pid, "1");
    g.run();
    pass(&rt, &clock, IDLE);
    rt.send(pid, "2");
    g.run();
    assert_eq!(g.took(), ["wake", "1", "2"]);
}

#[test]
fn stop_of_a_dormant_one_ends_it_at_once_and_of_an_active_one_deactivates_it_first() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    let dormant = g.spawn(hooked());
    assert!(rt.stop(dormant));
    assert_eq!(joined(&rt, dormant).reason, ExitReason::Shutdown);
    let active = g.spawn(hooked());
    rt.register("active", active).unwrap();
    rt.send(active, "1");
    g.run();
    assert!(rt.stop(active));
    assert!(!rt.is_alive(active) && rt.whereis("active").is_none() && !rt.send(active, "late"));
    assert!(rt.actor_info(active).is_some(), "its hook is to come");
    g.run();
    assert_eq!(g.took(), ["wake", "1", "sleep"]);
    assert_eq!(joined(&rt, active).reason, ExitReason::Shutdown);
    quiet(&rt);
}

#[test]
fn stop_buries_what_waits_and_drain_handles_it_before_the_hook() {
    for (drain, expected) in [(false, vec!["sleep"]), (true, vec!["2", "3", "sleep"])] {
        let (rt, _) = frozen();
        let mut g = Grains::open(&rt);
        let pid = g.spawn(hooked());
        rt.send(pid, "1");
        g.run();
        g.took();
        rt.send(pid, "2");
        rt.send(pid, "3");
        assert!(rt.stop_within(pid, drain, None));
        g.run();
        assert_eq!(g.took(), expected);
        assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
        quiet(&rt);
    }
}

#[test]
fn drain_wakes_a_dormant_one_for_what_waits() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    rt.send(pid, "1");
    assert!(rt.stop_drain(pid));
    g.run();
    assert_eq!(g.took(), ["wake", "1", "sleep"]);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Shutdown);
    quiet(&rt);
}

#[test]
fn a_stop_while_a_hook_runs_waits_for_it() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let waking = g.spawn(hooked());
    let sleeping = g.spawn(hooked());
    rt.send(sleeping, "1");
    g.run();
    pass(&rt, &clock, IDLE);
    g.hold = true;
    rt.send(waking, "2");
    g.run();
    g.took();
    assert!(rt.stop(waking) && rt.stop(sleeping));
    assert!(rt.actor_info(waking).is_some() && rt.actor_info(sleeping).is_some());
    g.let_go();
    assert_eq!(g.took(), ["sleep"], "only the one that was waking is deactivated again");
    assert!(rt.actor_info(waking).is_none() && rt.actor_info(sleeping).is_none());
    assert_eq!(rt.metrics().books.dead[ExitReason::Shutdown as usize], 1);
    quiet(&rt);
}

#[test]
fn kill_and_a_hook_that_throws_end_it_with_the_books_right() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    let [killed, crashed] = [g.spawn(hooked()), g.spawn(hooked())];
    g.hold = true;
    for pid in [killed, crashed] {
        rt.send(pid, "1");
        rt.send(pid, "2");
    }
    g.run();
    assert!(rt.kill(killed));
    assert!(g.host.lane.crash_now(crashed, iris::CrashInfo::default()));
    g.let_go();
    assert_eq!(g.took(), ["wake", "wake"]);
    assert_eq!(joined(&rt, killed).reason, ExitReason::Killed);
    assert_eq!(joined(&rt, crashed).reason, ExitReason::Crash);
    let dead = rt.metrics().books.dead;
    assert_eq!((dead[ExitReason::Killed as usize], dead[ExitReason::Crash as usize]), (2, 2));
    quiet(&rt);
}

#[test]
fn a_hook_that_never_ends_is_abandoned_after_the_stop_timeout() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    rt.send(pid, "1");
    g.run();
    g.hold = true;
    rt.stop_within(pid, false, Some(Duration::from_millis(5)));
    g.run();
    pass(&rt, &clock, 5);
    assert_eq!(joined(&rt, pid).reason, ExitReason::Timeout);
    g.let_go();
    quiet(&rt);
}

#[test]
fn a_bounded_one_counts_what_waits_for_its_activation() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    let options = SpawnOptions { capacity: Some(2), ..SpawnOptions::default() };
    let pid = g.host.lane.spawn_virtual(0, options, hooked()).unwrap();
    rt.set_overflow_policy(pid, Overflow::DropOld).unwrap();
    g.hold = true;
    for m in ["1", "2", "3"] {
        assert!(rt.send(pid, m));
        g.run();
    }
    assert_eq!(rt.mailbox_size(pid), Some(2));
    g.let_go();
    assert_eq!(g.took(), ["wake", "2", "3"]);
    quiet(&rt);
}

#[test]
fn a_call_wakes_it_and_one_that_is_over_by_then_is_not_handled() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pid = g.spawn(hooked());
    g.hold = true;
    let (tx, rx) = std::sync::mpsc::channel();
    rt.call_with(pid, Payload::from(b"late"), Duration::from_millis(1), None, move |outcome| {
        tx.send(outcome.is_err()).unwrap();
    })
    .unwrap();
    g.run();
    pass(&rt, &clock, 1);
    assert!(rx.recv().unwrap());
    g.let_go();
    assert_eq!(g.took(), ["wake"]);
    assert_eq!(state(&rt, pid), "active");
    quiet(&rt);
}

#[test]
fn close_deactivates_the_active_ones() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    let (active, _dormant) = (g.spawn(hooked()), g.spawn(hooked()));
    rt.send(active, "1");
    g.run();
    let (tx, closed) = std::sync::mpsc::channel();
    rt.close_with(PATIENCE, move || tx.send(()).unwrap());
    assert!(closed.try_recv().is_err());
    g.run();
    closed.recv().unwrap();
    assert_eq!(g.took(), ["wake", "1", "sleep"]);
}

#[test]
fn a_lane_takes_no_more_hooks_at_once_than_messages() {
    let (rt, clock) = frozen();
    let mut g = Grains::open(&rt);
    let pids: Vec<_> = (0..100).map(|_| g.spawn(hooked())).collect();
    for pid in &pids {
        rt.send(*pid, "x");
    }
    g.run();
    pass(&rt, &clock, IDLE);
    g.host.lane.take(&mut g.host.batch, 16, |_| true);
    g.host.lane.take_events(&mut g.host.events);
    assert_eq!(g.host.events.len(), 16);
    for e in std::mem::take(&mut g.host.events) {
        let LaneEvent::Hook { pid, .. } = e else { panic!("{e:?}") };
        g.host.lane.hook_done(pid);
    }
    g.run();
    assert!(pids.iter().all(|pid| state(&rt, *pid) == "dormant"));
}

#[test]
fn the_timer_of_one_that_ends_is_not_left_behind() {
    let (rt, _) = frozen();
    let mut g = Grains::open(&rt);
    for _ in 0..100 {
        let pid = g.spawn(VirtualOptions { on_deactivate: false, ..hooked() });
        rt.send(pid, "x");
        g.run();
        rt.stop(pid);
    }
    assert_eq!(rt.metrics().timers, 0);
}
