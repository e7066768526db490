//! Full mailboxes: each policy, by each way a message can come, with exact counts.
#![allow(clippy::unwrap_used, reason = "tests")]

use iris::{
    Batch, Clock, Config, ErrorKind, HostLane, Overflow, Payload, Pid, Pressure, Refusal, Runtime,
    SpawnOptions,
};
use std::sync::mpsc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

struct World {
    rt: Runtime,
    clock: Clock,
    lane: HostLane,
}

fn world() -> World {
    let clock = Clock::manual();
    let rt = Runtime::with_clock(Config::default(), clock.clone()).unwrap();
    let lane = rt.open_lane(|| {});
    World { rt, clock, lane }
}

impl World {
    fn actor(&self, key: u32, capacity: Option<u32>) -> Pid {
        self.lane.spawn(key, SpawnOptions { capacity, ..SpawnOptions::default() }).unwrap()
    }

    /// Handles everything; answers (key, message) in order.
    fn drain(&self) -> Vec<(u32, u8)> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        loop {
            self.lane.take(&mut batch, 512, |_| true);
            let n = batch.envelopes.len();
            if n == 0 {
                return got;
            }
            for run in &batch.runs {
                got.extend(
                    batch.envelopes[run.start..run.end].iter().map(|e| (run.key, e.payload[0])),
                );
            }
            self.lane.settle(&mut batch, n, n);
        }
    }

    fn flood(&self, to: Pid) -> Vec<bool> {
        (0..5u8).map(|i| self.rt.send(to, vec![i])).collect()
    }
}

#[test]
fn fault_row_7_dropnew_refuses_the_new() {
    let w = world();
    let a = w.actor(1, Some(2));
    assert_eq!(w.flood(a), [true, true, false, false, false]);
    assert_eq!(w.drain(), [(1, 0), (1, 1)]);
    assert_eq!(w.rt.metrics().books.refused[Refusal::Full as usize], 3);
    w.rt.audit().unwrap();
}

#[test]
fn fault_row_7_dropold_keeps_the_newest() {
    let w = world();
    let a = w.actor(1, Some(2));
    w.rt.set_overflow_policy(a, Overflow::DropOld).unwrap();
    assert_eq!(w.flood(a), [true; 5]);
    assert_eq!(w.rt.mailbox_size(a), Some(2));
    assert_eq!(w.drain(), [(1, 3), (1, 4)]);
    assert_eq!(w.rt.metrics().books.dropped, [3, 0, 0]);
    w.rt.audit().unwrap();
}

#[test]
fn fault_row_7_redirect_sends_the_new_elsewhere() {
    let w = world();
    let (a, b) = (w.actor(1, Some(2)), w.actor(2, Some(2)));
    w.rt.set_overflow_policy(a, Overflow::Redirect(b)).unwrap();
    assert_eq!(w.flood(a), [true, true, true, true, false]);
    assert_eq!(w.drain(), [(1, 0), (1, 1), (2, 2), (2, 3)]);
    w.rt.audit().unwrap();
}

#[test]
fn fault_row_7_spill_moves_the_oldest_and_loses_nothing() {
    let w = world();
    let (a, b) = (w.actor(1, Some(2)), w.actor(2, None));
    w.rt.set_overflow_policy(a, Overflow::Spill(b)).unwrap();
    assert_eq!(w.flood(a), [true; 5]);
    assert_eq!(w.rt.mailbox_size(a), Some(2));
    let mut got = w.drain();
    got.sort_unstable();
    assert_eq!(got, [(1, 3), (1, 4), (2, 0), (2, 1), (2, 2)]);
    assert_eq!(w.rt.metrics().books.forwarded, 3);
    w.rt.audit().unwrap();
}

#[test]
fn a_dead_target_is_a_drop_that_says_so() {
    let w = world();
    let (a, b) = (w.actor(1, Some(1)), w.actor(2, None));
    let (c, d) = (w.actor(3, Some(1)), w.actor(4, None));
    w.rt.set_overflow_policy(a, Overflow::Redirect(b)).unwrap();
    w.rt.set_overflow_policy(c, Overflow::Spill(d)).unwrap();
    w.rt.kill(b);
    w.rt.kill(d);
    assert_eq!(w.flood(a), [true, false, false, false, false]);
    assert_eq!(w.flood(c), [true; 5]);
    let books = w.rt.metrics().books;
    assert_eq!(books.refused[Refusal::TargetGone as usize], 4);
    assert_eq!(books.dropped, [0, 4, 0]);
    assert_eq!(w.drain(), [(1, 0), (3, 4)]);
    w.rt.audit().unwrap();
}

#[test]
fn a_spill_to_a_full_mailbox_is_a_drop_that_says_so() {
    let w = world();
    let (a, b) = (w.actor(1, Some(1)), w.actor(2, Some(1)));
    w.rt.set_overflow_policy(a, Overflow::Spill(b)).unwrap();
    assert_eq!(w.flood(a), [true; 5]);
    assert_eq!(w.rt.metrics().books.dropped, [0, 0, 3]);
    assert_eq!(w.drain(), [(1, 4), (2, 0)]);
    w.rt.audit().unwrap();
}

#[test]
fn an_unbounded_mailbox_has_no_policy() {
    let w = world();
    let a = w.actor(1, None);
    let kind = w.rt.set_overflow_policy(a, Overflow::DropOld).map_err(|e| e.kind());
    assert_eq!(kind, Err(ErrorKind::InvalidArgument));
}

#[test]
fn a_spilled_call_is_answered_by_who_got_it() {
    let w = world();
    let (a, b) = (w.actor(1, Some(1)), w.actor(2, None));
    w.rt.set_overflow_policy(a, Overflow::Spill(b)).unwrap();
    let (tx, rx) = mpsc::channel();
    w.rt.call_with(a, Payload::from(b"q"), MS * 100, None, move |o| tx.send(o).unwrap()).unwrap();
    w.rt.send(a, b"x");
    assert_eq!(w.rt.mailbox_size(b), Some(1));
    w.rt.kill(a); // it owes the call no more
    assert!(rx.try_recv().is_err());
    let mut batch = Batch::default();
    w.lane.take(&mut batch, 512, |_| true);
    let id = batch.envelopes[0].call.unwrap();
    assert!(w.rt.reply(id, b"r"));
    w.lane.settle(&mut batch, 1, 1);
    assert_eq!(&*rx.try_recv().unwrap().unwrap(), b"r");
    w.rt.audit().unwrap();
}

#[test]
fn a_displaced_call_is_told_so() {
    let w = world();
    let a = w.actor(1, Some(1));
    w.rt.set_overflow_policy(a, Overflow::DropOld).unwrap();
    let (tx, rx) = mpsc::channel();
    w.rt.call_with(a, Payload::from(b"q"), MS * 100, None, move |o| tx.send(o).unwrap()).unwrap();
    w.rt.send(a, b"x");
    assert_eq!(rx.try_recv().unwrap().unwrap_err().kind(), ErrorKind::MailboxFull);
    assert_eq!(w.rt.metrics().open_calls, 0);
}

#[test]
fn fault_row_7_timers_and_calls_obey_the_policy_too() {
    let w = world();
    let a = w.actor(1, Some(1));
    w.rt.send_interval(a, MS, b"t").unwrap();
    for _ in 0..10 {
        w.clock.advance(MS);
        w.rt.poll_timers();
    }
    assert_eq!(w.rt.mailbox_size(a), Some(1));
    let full = w.rt.call_with(a, Payload::from(b"q"), MS, None, |_| {});
    assert_eq!(full.unwrap_err().kind(), ErrorKind::MailboxFull);
    w.rt.set_overflow_policy(a, Overflow::DropOld).unwrap();
    w.rt.call_with(a, Payload::from(b"q"), MS, None, |_| {}).unwrap();
    assert_eq!(w.drain(), [(1, b'q')]);
    w.rt.audit().unwrap();
}

#[test]
fn cycles_are_refused_when_they_are_set() {
    let w = world();
    let (a, b, c) = (w.actor(1, Some(1)), w.actor(2, Some(1)), w.actor(3, Some(1)));
    let kind = |r: iris::Result<()>| r.map_err(|e| e.kind());
    assert_eq!(
        kind(w.rt.set_overflow_policy(a, Overflow::Spill(a))),
        Err(ErrorKind::InvalidArgument)
    );
    w.rt.set_overflow_policy(a, Overflow::Redirect(b)).unwrap();
    w.rt.set_overflow_policy(b, Overflow::Spill(c)).unwrap();
    assert_eq!(
        kind(w.rt.set_overflow_policy(c, Overflow::Redirect(a))),
        Err(ErrorKind::InvalidArgument)
    );
    w.rt.kill(c);
    assert_eq!(
        kind(w.rt.set_overflow_policy(a, Overflow::Redirect(c))),
        Err(ErrorKind::NoSuchActor)
    );
    assert_eq!(kind(w.rt.set_overflow_policy(c, Overflow::DropOld)), Err(ErrorKind::NoSuchActor));
}

#[test]
fn fault_row_7_block_refuses_who_cannot_wait_and_lets_in_who_can_in_order() {
    let w = world();
    let a = w.actor(1, Some(1));
    w.rt.set_overflow_policy(a, Overflow::Block).unwrap();
    assert!(w.rt.send(a, [0u8].as_slice()));
    assert!(!w.rt.send(a, [9u8].as_slice()));
    let (tx, rx) = mpsc::channel();
    for i in 1..4u8 {
        let tx = tx.clone();
        let waits = w.rt.send_with(a, Payload::from(vec![i]), None, move |took| {
            tx.send((i, took)).unwrap();
        });
        assert!(waits.is_some());
    }
    assert!(rx.try_recv().is_err());
    assert_eq!(w.drain(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    w.rt.audit().unwrap();
}

#[test]
fn who_waits_for_room_is_told_when_the_actor_ends_and_can_give_up() {
    let w = world();
    let a = w.actor(1, Some(1));
    w.rt.set_overflow_policy(a, Overflow::Block).unwrap();
    w.rt.send(a, b"x");
    let (tx, rx) = mpsc::channel();
    let first = tx.clone();
    let token = w.rt.send_with(a, Payload::empty(), None, move |t| first.send(t).unwrap());
    w.rt.send_with(a, Payload::empty(), None, move |t| tx.send(t).unwrap());
    assert!(w.rt.forget_send(a, token.unwrap()));
    assert!(!w.rt.forget_send(a, token.unwrap()));
    w.rt.kill(a);
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [false]);
    w.rt.audit().unwrap();
}

#[test]
fn a_blocked_thread_goes_on_when_there_is_room() {
    let w = world();
    let a = w.actor(1, Some(1));
    w.rt.set_overflow_policy(a, Overflow::Block).unwrap();
    w.rt.send(a, [0u8].as_slice());
    let rt = w.rt.clone();
    let sender = std::thread::spawn(move || rt.send_blocking(a, [1u8].as_slice()).unwrap());
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(w.drain());
        std::thread::yield_now();
    }
    assert!(sender.join().unwrap());
    assert_eq!(got, [(1, 0), (1, 1)]);
}

#[test]
fn pressure_follows_the_queue() {
    let w = world();
    let a = w.actor(1, Some(10));
    let level = || w.rt.mailbox_backpressure(a).unwrap();
    assert_eq!(level(), Pressure::Normal);
    (0..5).for_each(|_| assert!(w.rt.send(a, b"x")));
    assert_eq!(level(), Pressure::High);
    (0..4).for_each(|_| assert!(w.rt.send(a, b"x")));
    assert_eq!(level(), Pressure::Critical);
    w.drain();
    assert_eq!(level(), Pressure::Normal);
    let b = w.actor(2, None);
    w.rt.set_watermarks(1, 2).unwrap();
    assert!(w.rt.set_watermarks(2, 1).is_err());
    w.rt.send(b, b"x");
    assert_eq!(w.rt.mailbox_backpressure(b), Some(Pressure::High));
    w.rt.kill(b);
    assert_eq!(w.rt.mailbox_backpressure(b), None);
}

#[test]
fn load_is_shed_only_while_it_is_on_and_a_capacity_is_reached() {
    let w = world();
    let a = w.actor(1, None);
    w.rt.set_system_capacity(Some(1));
    w.rt.set_message_capacity(Some(2));
    assert_eq!(w.flood(a), [true; 5]);
    assert!(!w.rt.is_load_shedding_active());
    w.rt.set_load_shedding(true);
    assert!(w.rt.is_load_shedding_active());
    assert!(!w.rt.send(a, b"x"));
    let full = w.lane.spawn(2, SpawnOptions::default());
    assert_eq!(full.unwrap_err().kind(), ErrorKind::AtCapacity);
    w.drain();
    w.rt.set_system_capacity(None);
    assert!(!w.rt.is_load_shedding_active());
    assert_eq!(w.flood(a), [true, true, false, false, false]);
    assert_eq!(w.rt.metrics().books.refused[Refusal::Shed as usize], 4);
    w.rt.audit().unwrap();
}
