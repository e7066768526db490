//! Messages that are sent later, on a clock that the tests move.
#![allow(clippy::unwrap_used, reason = "tests")]

use iris::{Clock, Config, ErrorKind, HostLane, Message, Pid, Runtime, SpawnOptions};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

struct World {
    rt: Runtime,
    clock: Clock,
    lane: HostLane,
    actor: Pid,
}

fn world() -> World {
    let clock = Clock::manual();
    let rt = Runtime::with_clock(Config::default(), clock.clone()).unwrap();
    let lane = rt.open_lane(|| {});
    let actor = lane.spawn(1, SpawnOptions::default()).unwrap();
    World { rt, clock, lane, actor }
}

impl World {
    fn pass(&self, ms: u32) {
        self.clock.advance(MS * ms);
        self.rt.poll_timers();
    }

    fn received(&self) -> Vec<Vec<u8>> {
        let mut batch = iris::Batch::default();
        let mut got = Vec::new();
        loop {
            self.lane.take(&mut batch, 512, |_| true);
            let n = batch.envelopes.len();
            if n == 0 {
                return got;
            }
            got.extend(batch.envelopes.iter().map(|e| e.payload.to_vec()));
            self.lane.settle(&mut batch, n, n);
        }
    }
}

#[test]
fn a_delayed_message_comes_once_and_not_early() {
    let w = world();
    let id = w.rt.send_after(w.actor, MS * 10, b"x").unwrap();
    w.pass(9);
    assert!(w.received().is_empty());
    assert_eq!(w.rt.metrics().delays, 1);
    w.pass(1);
    assert_eq!(w.received(), [b"x"]);
    w.pass(1_000_000);
    assert!(w.received().is_empty());
    assert!(!w.rt.cancel_timer(id));
    assert_eq!((w.rt.metrics().delays, w.rt.metrics().timers), (0, 0));
}

#[test]
fn a_delay_of_nothing_is_legal() {
    let w = world();
    w.rt.send_after(w.actor, Duration::ZERO, b"now").unwrap();
    w.pass(1);
    assert_eq!(w.received(), [b"now"]);
}

#[test]
fn a_cancelled_message_does_not_come() {
    let w = world();
    let id = w.rt.send_after(w.actor, MS * 10, b"x").unwrap();
    assert!(w.rt.cancel_timer(id));
    assert!(!w.rt.cancel_timer(id));
    w.pass(100);
    assert!(w.received().is_empty());
    assert_eq!(w.rt.metrics().timers, 0);
}

#[test]
fn an_interval_keeps_its_grid_and_skips_what_it_missed() {
    let w = world();
    let id = w.rt.send_interval(w.actor, MS * 10, b"t").unwrap();
    w.pass(10);
    assert_eq!(w.received().len(), 1);
    w.pass(10);
    assert_eq!(w.received().len(), 1);
    w.pass(45); // due at 30, 40, 50, 60: one comes, three are missed
    assert_eq!(w.received().len(), 1);
    assert_eq!(w.rt.metrics().missed_ticks, 3);
    w.pass(4);
    assert!(w.received().is_empty());
    w.pass(1); // 70, on the grid
    assert_eq!(w.received().len(), 1);
    assert!(w.rt.cancel_timer(id));
    w.pass(100);
    assert!(w.received().is_empty());
}

#[test]
fn ticks_do_not_pile_up_in_a_mailbox_that_nobody_empties() {
    let w = world();
    w.rt.send_interval(w.actor, MS * 10, b"t").unwrap();
    for _ in 0..100 {
        w.pass(10);
    }
    assert_eq!(w.rt.mailbox_size(w.actor), Some(1));
    assert_eq!(w.rt.metrics().missed_ticks, 99);
    w.rt.send(w.actor, b"x");
    assert_eq!(w.received(), [b"t".to_vec(), b"x".to_vec()]);
    w.pass(10);
    assert_eq!(w.received(), [b"t"]);
    w.rt.audit().unwrap();
}

#[test]
fn fault_row_14_a_timer_does_not_fire_after_stop() {
    let w = world();
    for i in 0..1_000 {
        w.rt.send_after(w.actor, MS * (10 + i), b"x").unwrap();
    }
    w.rt.send_interval(w.actor, MS, b"t").unwrap();
    let other = w.lane.spawn(2, SpawnOptions::default()).unwrap();
    w.rt.send_after(other, MS * 5, b"mine").unwrap();
    w.rt.stop(w.actor);
    assert_eq!(w.rt.metrics().delays, 1);
    w.pass(2_000);
    assert_eq!(w.received(), [b"mine"]);
    assert_eq!(w.rt.metrics().timers, 0);
    w.rt.audit().unwrap();
}

#[test]
fn a_million_cancelled_delays_leave_nothing_behind() {
    let w = world();
    for _ in 0..1_000_000 {
        let id = w.rt.send_after(w.actor, MS * 3_600_000, b"x").unwrap();
        assert!(w.rt.cancel_timer(id));
    }
    assert_eq!((w.rt.metrics().delays, w.rt.metrics().timers), (0, 0));
}

#[test]
fn a_dead_target_and_an_empty_interval_are_refused() {
    let w = world();
    let kind = |e: iris::Error| e.kind();
    let empty = w.rt.send_interval(w.actor, Duration::ZERO, b"x").map_err(kind);
    assert_eq!(empty, Err(ErrorKind::InvalidArgument));
    w.rt.kill(w.actor);
    assert_eq!(w.rt.send_after(w.actor, MS, b"x").map_err(kind), Err(ErrorKind::NoSuchActor));
    w.rt.close(MS).unwrap();
    assert_eq!(w.rt.send_after(w.actor, MS, b"x").map_err(kind), Err(ErrorKind::RuntimeClosed));
}

#[test]
fn the_timer_thread_delivers_to_rust_actors() {
    let rt = Runtime::new(Config::default()).unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    let actor = rt
        .spawn(move |m: Message, _: &mut iris::Context<'_>| {
            tx.send(m.payload.to_vec()).unwrap();
        })
        .unwrap();
    rt.send_after(actor, MS * 5, b"later").unwrap();
    assert_eq!(rx.recv_timeout(Duration::from_secs(30)).unwrap(), b"later");
}
