//! The books against a model of the contract: random interleavings on two lanes, compared after every step.
//!
//! The model keeps one fate for each message that was ever sent and knows nothing of cells, locks or counters. A step
//! moves fates; then the sums must be what `metrics().books` says, the mailboxes what `mailbox_size` says, and every call
//! must have had at most one outcome. Handlers must see each message once and each mailbox in its order.

mod support;

use iris::message::LaneEvent;
use iris::{
    CallId, Clock, Config, ErrorKind, ExitReason, Payload, Pid, Replied, Runtime, SpawnOptions,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use support::{Host, pass, thrown};

/// How long a stop waits, in milliseconds.
const STOP_MS: u64 = 40;

#[derive(Clone, Debug)]
enum Op {
    Spawn { lane: usize, budget: u32, capacity: Option<u32> },
    Send { actor: usize, n: usize },
    Call { actor: usize, from: usize, caller: Option<usize>, ms: u64 },
    CancelCall { call: usize },
    Take { lane: usize, max: usize },
    Handle { lane: usize, how: How },
    Settle { lane: usize },
    Resume { actor: usize },
    BreakPromise { actor: usize },
    Stop { actor: usize },
    Drain { actor: usize },
    Kill { actor: usize },
    Pass { ms: u64 },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Return,
    Reply,
    Promise,
    Throw,
}

fn op() -> impl Strategy<Value = Op> {
    let actor = 0usize..6;
    let capacity = prop_oneof![Just(None), (1u32..4).prop_map(Some)];
    let how = prop_oneof![
        4 => Just(How::Return),
        3 => Just(How::Reply),
        2 => Just(How::Promise),
        1 => Just(How::Throw),
    ];
    prop_oneof![
        3 => (0usize..2, 1u32..5, capacity)
            .prop_map(|(lane, budget, capacity)| Op::Spawn { lane, budget, capacity }),
        8 => (actor.clone(), 1usize..5).prop_map(|(actor, n)| Op::Send { actor, n }),
        6 => (actor.clone(), 0usize..2, prop::option::of(0usize..6), 0u64..30)
            .prop_map(|(actor, from, caller, ms)| Op::Call { actor, from, caller, ms }),
        1 => (0usize..8).prop_map(|call| Op::CancelCall { call }),
        8 => (0usize..2, 1usize..9).prop_map(|(lane, max)| Op::Take { lane, max }),
        20 => (0usize..2, how).prop_map(|(lane, how)| Op::Handle { lane, how }),
        5 => (0usize..2).prop_map(|lane| Op::Settle { lane }),
        4 => actor.clone().prop_map(|actor| Op::Resume { actor }),
        1 => actor.clone().prop_map(|actor| Op::BreakPromise { actor }),
        1 => actor.clone().prop_map(|actor| Op::Stop { actor }),
        1 => actor.clone().prop_map(|actor| Op::Drain { actor }),
        1 => actor.prop_map(|actor| Op::Kill { actor }),
        3 => (1u64..25).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// Where a message is, or what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Queued,
    InFlight,
    Handled,
    Expired,
    Dead(ExitReason),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Alive,
    Draining,
    Stopping,
    Gone(ExitReason),
}

struct Actor {
    pid: Pid,
    lane: usize,
    budget: usize,
    capacity: Option<usize>,
    life: Life,
    /// Its mailbox: messages.
    queue: VecDeque<usize>,
    /// Calls in the queue that are over, as the sweep counts them.
    over: usize,
    /// A turn is open.
    running: bool,
    one_at_a_time: bool,
    /// The message whose promise is awaited.
    awaited: Option<usize>,
    /// Taken and not begun, as last told.
    reserved: usize,
    /// Messages whose turn was settled.
    handled: u64,
    stop: Option<Stop>,
}

#[derive(Clone, Copy)]
struct Stop {
    due: u64,
    order: u64,
    progress: (u64, usize),
}

struct Call {
    id: CallId,
    actor: usize,
    from: usize,
    caller: Option<usize>,
    due: u64,
    order: u64,
    open: bool,
    handed: bool,
    /// The outcome that its lane must have been told, if any.
    expected: Option<Option<ErrorKind>>,
}

/// A run of a batch that the model expects.
struct Run {
    actor: usize,
    messages: Vec<usize>,
    /// First index in the batch.
    start: usize,
    cut: Option<usize>,
    detached: bool,
}

#[derive(Default)]
struct Batch {
    runs: Vec<Run>,
    next: usize,
    len: usize,
}

struct World {
    rt: Runtime,
    clock: Clock,
    hosts: Vec<Host>,
    batches: Vec<Batch>,
    actors: Vec<Actor>,
    /// Message to fate, and the call that it is.
    fates: Vec<Fate>,
    call_of: BTreeMap<usize, usize>,
    calls: Vec<Call>,
    /// The run queues: actors.
    ready: Vec<VecDeque<usize>>,
    refused: u64,
    timeouts: u64,
    late: u64,
    orders: u64,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let config = Config {
            workers: 1,
            stop_timeout: Duration::from_millis(STOP_MS),
            ..Config::default()
        };
        let rt = Runtime::with_clock(config, clock.clone()).expect("a runtime");
        let hosts = vec![Host::open(&rt), Host::open(&rt)];
        Self {
            rt,
            clock,
            hosts,
            batches: vec![Batch::default(), Batch::default()],
            actors: Vec::new(),
            fates: Vec::new(),
            call_of: BTreeMap::new(),
            calls: Vec::new(),
            ready: vec![VecDeque::new(), VecDeque::new()],
            refused: 0,
            timeouts: 0,
            late: 0,
            orders: 0,
        }
    }

    fn order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// One of the last actors, so that the dead do not crowd out the living.
    fn pick(&self, n: usize) -> Option<usize> {
        self.actors.len().checked_sub(1 + n)
    }

    fn accepts(&self, a: usize) -> bool {
        let actor = &self.actors[a];
        let room = actor.capacity.is_none_or(|c| actor.queue.len() + actor.reserved < c);
        actor.life == Life::Alive && room
    }

    /// A message that the mailbox took.
    fn accept(&mut self, a: usize) -> usize {
        let m = self.fates.len();
        self.fates.push(Fate::Queued);
        self.actors[a].queue.push_back(m);
        self.make_ready(a);
        m
    }

    fn make_ready(&mut self, a: usize) {
        let lane = self.actors[a].lane;
        if !self.actors[a].running && !self.ready[lane].contains(&a) {
            self.ready[lane].push_back(a);
        }
    }

    fn payload(m: usize) -> Payload {
        (m as u64).to_le_bytes().as_slice().into()
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Spawn { lane, budget, capacity } => {
                let options = SpawnOptions { budget, capacity, ..SpawnOptions::default() };
                let key = self.actors.len() as u32;
                let pid = self.hosts[lane].lane.spawn(key, options).expect("an actor");
                self.actors.push(Actor {
                    pid,
                    lane,
                    budget: budget as usize,
                    capacity: capacity.map(|c| c as usize),
                    life: Life::Alive,
                    queue: VecDeque::new(),
                    over: 0,
                    running: false,
                    one_at_a_time: false,
                    awaited: None,
                    reserved: 0,
                    handled: 0,
                    stop: None,
                });
            }
            Op::Send { actor, n } => {
                let Some(a) = self.pick(actor) else { return };
                for _ in 0..n {
                    let expected = self.accepts(a);
                    let payload = Self::payload(self.fates.len());
                    assert_eq!(self.rt.send(self.actors[a].pid, payload), expected);
                    if expected {
                        self.accept(a);
                    } else {
                        self.refused += 1;
                    }
                }
            }
            Op::Call { actor, from, caller, ms } => self.call(actor, from, caller, ms),
            Op::CancelCall { call } => {
                let Some(c) = self.calls.len().checked_sub(1 + call) else { return };
                let was_open = self.calls[c].open;
                let from = self.calls[c].from;
                let id = self.calls[c].id;
                assert_eq!(self.hosts[from].lane.cancel_call(id), was_open);
                if was_open {
                    self.calls[c].open = false;
                    self.forget_queued(c);
                }
            }
            Op::Take { lane, max } => self.take(lane, max),
            Op::Handle { lane, how } => self.handle(lane, how),
            Op::Settle { lane } => self.settle(lane),
            Op::Resume { actor } => {
                let Some(a) = self.pick(actor) else { return };
                self.hosts[self.actors[a].lane].lane.resume(self.actors[a].pid);
                if let Some(m) = self.actors[a].awaited.take() {
                    self.fates[m] = Fate::Handled;
                    self.actors[a].handled += 1;
                    self.end_turn(a);
                }
            }
            Op::BreakPromise { actor } => {
                let Some(a) = self.pick(actor) else { return };
                let pid = self.actors[a].pid;
                self.hosts[self.actors[a].lane].lane.crash_awaited(pid, thrown("x").0);
                if let Some(m) = self.actors[a].awaited.take() {
                    self.fates[m] = Fate::Dead(ExitReason::Crash);
                    self.exit(a, ExitReason::Crash);
                }
            }
            Op::Stop { actor } => {
                let Some(a) = self.pick(actor) else { return };
                let alive = matches!(self.actors[a].life, Life::Alive | Life::Draining);
                assert_eq!(self.rt.stop(self.actors[a].pid), alive);
                if alive && self.actors[a].running {
                    self.actors[a].life = Life::Stopping;
                    self.bury_queue(a, ExitReason::Shutdown);
                    self.watch_stop(a);
                } else if alive {
                    self.exit(a, ExitReason::Shutdown);
                }
            }
            Op::Drain { actor } => {
                let Some(a) = self.pick(actor) else { return };
                let life = self.actors[a].life;
                let alive = matches!(life, Life::Alive | Life::Draining);
                assert_eq!(self.rt.stop_drain(self.actors[a].pid), alive);
                if life != Life::Alive {
                    return;
                }
                if self.actors[a].running || !self.actors[a].queue.is_empty() {
                    self.actors[a].life = Life::Draining;
                    self.watch_stop(a);
                } else {
                    self.exit(a, ExitReason::Shutdown);
                }
            }
            Op::Kill { actor } => {
                let Some(a) = self.pick(actor) else { return };
                let alive = matches!(self.actors[a].life, Life::Alive | Life::Draining);
                assert_eq!(self.rt.kill(self.actors[a].pid), alive);
                self.exit(a, ExitReason::Killed);
            }
            Op::Pass { ms } => self.pass(ms),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    fn call(&mut self, actor: usize, from: usize, caller: Option<usize>, ms: u64) {
        let Some(a) = self.pick(actor) else { return };
        let caller = caller.and_then(|c| self.pick(c));
        let expected = if caller == Some(a) {
            Some(ErrorKind::SelfCall)
        } else if self.actors[a].life != Life::Alive {
            Some(ErrorKind::NoSuchActor)
        } else if !self.accepts(a) {
            Some(ErrorKind::MailboxFull)
        } else {
            None
        };
        let (pid, as_whom) = (self.actors[a].pid, caller.map(|c| self.actors[c].pid));
        let (payload, timeout) = (Self::payload(self.fates.len()), Duration::from_millis(ms));
        let key = self.calls.len() as u64;
        match self.hosts[from].lane.call(pid, payload, timeout, as_whom, key) {
            Ok((id, _)) => {
                assert_eq!(expected, None);
                let m = self.accept(a);
                self.call_of.insert(m, self.calls.len());
                let (due, order) = (self.now() + ms.max(1), self.order());
                self.calls.push(Call {
                    id,
                    actor: a,
                    from,
                    caller,
                    due,
                    order,
                    open: true,
                    handed: false,
                    expected: None,
                });
            }
            Err(e) => {
                assert_eq!(Some(e.kind()), expected);
                // A call to oneself never comes as far as a mailbox.
                self.refused += u64::from(e.kind() != ErrorKind::SelfCall);
            }
        }
    }

    fn take(&mut self, lane: usize, max: usize) {
        if self.batches[lane].len != 0 {
            return;
        }
        let mut batch = Batch::default();
        let mut total = 0;
        while total < max {
            let Some(a) = self.ready[lane].pop_front() else { break };
            if matches!(self.actors[a].life, Life::Gone(_)) {
                continue;
            }
            let budget = self.actors[a].budget.min(max - total);
            let limit = if self.actors[a].one_at_a_time { 1 } else { budget };
            let n = limit.min(self.actors[a].queue.len());
            let taken: Vec<usize> = self.actors[a].queue.drain(..n).collect();
            self.actors[a].running = true;
            self.actors[a].reserved = n;
            let mut messages = Vec::new();
            for m in taken {
                match self.call_of.get(&m).map(|c| &mut self.calls[*c]) {
                    Some(call) if !call.open => self.fates[m] = Fate::Expired,
                    Some(call) => {
                        call.handed = true;
                        self.fates[m] = Fate::InFlight;
                        messages.push(m);
                    }
                    None => {
                        self.fates[m] = Fate::InFlight;
                        messages.push(m);
                    }
                }
            }
            if messages.is_empty() {
                self.end_turn(a);
                continue;
            }
            total += messages.len();
            let start = batch.len;
            batch.len += messages.len();
            batch.runs.push(Run { actor: a, messages, start, cut: None, detached: false });
        }
        let host = &mut self.hosts[lane];
        host.lane.take(&mut host.batch, max, |_| true);
        let got: Vec<(Pid, Vec<Vec<u8>>)> = host
            .batch
            .runs
            .iter()
            .map(|r| {
                let of = &host.batch.envelopes[r.start..r.end];
                (r.pid, of.iter().map(|e| e.payload.to_vec()).collect())
            })
            .collect();
        let expected: Vec<(Pid, Vec<Vec<u8>>)> = batch
            .runs
            .iter()
            .map(|r| {
                let bytes = r.messages.iter().map(|m| Self::payload(*m).to_vec()).collect();
                (self.actors[r.actor].pid, bytes)
            })
            .collect();
        assert_eq!(got, expected, "the turns, and the order in each");
        self.batches[lane] = batch;
    }

    /// Runs the next message of the batch, unless its actor has ended or is about to.
    fn handle(&mut self, lane: usize, how: How) {
        let at = self.batches[lane].next;
        if at >= self.batches[lane].len {
            return;
        }
        let runs = &self.batches[lane].runs;
        let r = runs.iter().rposition(|r| r.start <= at).expect("each message has a run");
        let (a, start, len) = (runs[r].actor, runs[r].start, runs[r].messages.len());
        let m = runs[r].messages[at - start];
        let end = start + len;
        let may = matches!(self.actors[a].life, Life::Alive | Life::Draining);
        let host = &mut self.hosts[lane];
        let cut = host.lane.cut_if_gone(&mut host.batch, at);
        assert_eq!(cut, (!may).then_some(end));
        if !may {
            self.batches[lane].runs[r].cut = Some(at);
            self.batches[lane].next = end;
            return;
        }
        let (pid, done) = (self.actors[a].pid, at - start);
        match how {
            How::Return | How::Reply => {
                if let Some(c) = self.call_of.get(&m).copied() {
                    self.reply(lane, c);
                }
                self.batches[lane].next += 1;
                // The host may tell how far it is at any time.
                let host = &mut self.hosts[lane];
                if matches!(how, How::Reply) {
                    let (finished, begun) = (at + 1, at + 1);
                    host.lane.settle(&mut host.batch, finished, begun);
                    self.settled(lane, finished, begun);
                }
            }
            How::Promise => {
                host.lane.suspend(&mut host.batch, at);
                self.batches[lane].runs[r].detached = true;
                self.batches[lane].next = end;
                for i in 0..done {
                    let m = self.batches[lane].runs[r].messages[i];
                    self.fates[m] = Fate::Handled;
                }
                self.actors[a].handled += done as u64;
                self.actors[a].one_at_a_time = true;
                self.actors[a].awaited = Some(m);
                self.actors[a].reserved = 0;
                for i in (done + 1..len).rev() {
                    let m = self.batches[lane].runs[r].messages[i];
                    self.fates[m] = Fate::Queued;
                    self.actors[a].queue.push_front(m);
                }
            }
            How::Throw => {
                host.lane.crash(&mut host.batch, at, thrown("x").0);
                assert!(!self.rt.is_alive(pid));
                self.batches[lane].runs[r].detached = true;
                self.batches[lane].next = end;
                for i in 0..len {
                    let m = self.batches[lane].runs[r].messages[i];
                    self.fates[m] =
                        if i < done { Fate::Handled } else { Fate::Dead(ExitReason::Crash) };
                }
                self.exit(a, ExitReason::Crash);
            }
        }
    }

    fn reply(&mut self, lane: usize, c: usize) {
        let call = &self.calls[c];
        let caller_lives =
            call.caller.is_none_or(|c| matches!(self.actors[c].life, Life::Alive | Life::Draining));
        let replied = self.hosts[lane].lane.reply(call.id, || "reply".into());
        let expected = match (call.open, caller_lives) {
            (true, true) if call.from == lane => Replied::Here(c as u64),
            (true, true) => Replied::Delivered,
            _ => Replied::Late,
        };
        assert_eq!(replied, expected);
        let call = &mut self.calls[c];
        if call.open {
            call.open = false;
            call.expected = match (caller_lives, call.from == lane) {
                (true, true) => None, // the host settles it itself
                (true, false) => Some(None),
                (false, _) => Some(Some(ErrorKind::ActorExited)),
            };
        }
        self.late += u64::from(expected == Replied::Late);
    }

    /// Finishes what was begun of a batch.
    fn settle(&mut self, lane: usize) {
        let upto = self.batches[lane].next;
        let host = &mut self.hosts[lane];
        host.lane.settle(&mut host.batch, upto, upto);
        self.settled(lane, upto, upto);
    }

    /// What settling does: the turns up to `finished` are over.
    fn settled(&mut self, lane: usize, finished: usize, begun: usize) {
        let mut runs = std::mem::take(&mut self.batches[lane].runs);
        for r in &mut runs {
            let end = r.start + r.messages.len();
            if end > finished {
                if r.start <= begun
                    && !r.detached
                    && !matches!(self.actors[r.actor].life, Life::Gone(_))
                {
                    self.actors[r.actor].reserved = end - begun.clamp(r.start, end);
                }
                break;
            }
            if std::mem::replace(&mut r.detached, true) {
                continue;
            }
            let cut = r.cut.map_or(r.messages.len(), |c| c - r.start);
            for (i, m) in r.messages.iter().enumerate() {
                self.fates[*m] = match self.actors[r.actor].life {
                    _ if i < cut => Fate::Handled,
                    Life::Gone(why) => Fate::Dead(why),
                    _ => Fate::Dead(ExitReason::Shutdown),
                };
                if i >= cut
                    && let Some(c) = self.call_of.get(m).copied()
                {
                    self.fail(c, ErrorKind::ActorExited);
                }
            }
            if !matches!(self.actors[r.actor].life, Life::Gone(_)) {
                self.actors[r.actor].handled += cut as u64;
                self.end_turn(r.actor);
            }
        }
        self.batches[lane].runs = runs;
        if finished == self.batches[lane].len {
            self.batches[lane] = Batch::default();
        }
    }

    fn end_turn(&mut self, a: usize) {
        self.actors[a].running = false;
        self.actors[a].reserved = 0;
        match self.actors[a].life {
            Life::Stopping => self.exit(a, ExitReason::Shutdown),
            Life::Draining if self.actors[a].queue.is_empty() => self.exit(a, ExitReason::Shutdown),
            Life::Gone(_) => {}
            _ if self.actors[a].queue.is_empty() => {}
            _ => self.make_ready(a),
        }
    }

    fn exit(&mut self, a: usize, why: ExitReason) {
        if matches!(self.actors[a].life, Life::Gone(_)) {
            return;
        }
        self.bury_queue(a, why);
        self.actors[a].life = Life::Gone(why);
        self.actors[a].reserved = 0;
        self.actors[a].stop = None;
        if let Some(m) = self.actors[a].awaited.take() {
            self.fates[m] = Fate::Dead(why);
        }
        for c in 0..self.calls.len() {
            if self.calls[c].actor == a {
                self.fail(c, ErrorKind::ActorExited);
            }
        }
    }

    fn bury_queue(&mut self, a: usize, why: ExitReason) {
        for m in std::mem::take(&mut self.actors[a].queue) {
            self.fates[m] = Fate::Dead(why);
            if let Some(c) = self.call_of.get(&m).copied() {
                self.fail(c, ErrorKind::ActorExited);
            }
        }
    }

    fn fail(&mut self, c: usize, why: ErrorKind) {
        if self.calls[c].open {
            self.calls[c].open = false;
            self.calls[c].expected = Some(Some(why));
        }
    }

    /// A call that is over leaves its message in the queue until half of the queue is such messages.
    fn forget_queued(&mut self, c: usize) {
        let a = self.calls[c].actor;
        if self.calls[c].handed || matches!(self.actors[a].life, Life::Gone(_)) {
            return;
        }
        self.actors[a].over += 1;
        if self.actors[a].over * 2 > self.actors[a].queue.len() {
            self.actors[a].over = 0;
            for m in std::mem::take(&mut self.actors[a].queue) {
                if self.call_of.get(&m).is_some_and(|c| !self.calls[*c].open) {
                    self.fates[m] = Fate::Expired;
                } else {
                    self.actors[a].queue.push_back(m);
                }
            }
        }
    }

    fn progress(&self, a: usize) -> (u64, usize) {
        (self.actors[a].handled, self.actors[a].queue.len() + self.actors[a].reserved)
    }

    fn watch_stop(&mut self, a: usize) {
        let (due, order, progress) = (self.now() + STOP_MS, self.order(), self.progress(a));
        self.actors[a].stop = Some(Stop { due, order, progress });
    }

    fn pass(&mut self, ms: u64) {
        let now = self.now() + ms;
        let mut due: Vec<(u64, u64, bool, usize)> = Vec::new();
        for (i, c) in self.calls.iter().enumerate() {
            if c.open && c.due <= now {
                due.push((c.due, c.order, true, i));
            }
        }
        for (i, a) in self.actors.iter().enumerate() {
            if let Some(stop) = a.stop
                && stop.due <= now
            {
                due.push((stop.due, stop.order, false, i));
            }
        }
        due.sort_unstable();
        pass(&self.rt, &self.clock, ms);
        for (_, order, is_call, i) in due {
            if is_call {
                if self.calls[i].open {
                    self.timeouts += 1;
                    self.fail(i, ErrorKind::Timeout);
                    self.forget_queued(i);
                }
            } else if let Some(stop) = self.actors[i].stop
                && stop.order == order
            {
                if self.actors[i].life == Life::Draining && stop.progress != self.progress(i) {
                    self.watch_stop(i);
                } else {
                    self.exit(i, ExitReason::Timeout);
                }
            }
        }
    }

    /// Compares everything that can be seen.
    fn check(&mut self) {
        let b = self.rt.metrics().books;
        let count = |f: Fate| self.fates.iter().filter(|x| **x == f).count() as u64;
        assert!(b.balances(), "{b:?}");
        assert_eq!(b.accepted, self.fates.len() as u64, "accepted");
        assert_eq!(b.attempted, self.fates.len() as u64 + self.refused, "attempted");
        assert_eq!(b.queued, count(Fate::Queued), "queued");
        assert_eq!(b.in_flight, count(Fate::InFlight), "in flight");
        assert_eq!(b.handled, count(Fate::Handled), "handled");
        assert_eq!(b.expired, count(Fate::Expired), "expired");
        for why in ExitReason::ALL {
            assert_eq!(b.dead[why as usize], count(Fate::Dead(why)), "dead: {why:?}");
            let ended = self.actors.iter().filter(|a| a.life == Life::Gone(why)).count();
            assert_eq!(b.exited[why as usize], ended as u64, "exited: {why:?}");
        }
        assert_eq!(b.calls, self.calls.len() as u64);
        assert_eq!((b.call_timeouts, b.late_replies), (self.timeouts, self.late));
        self.rt.audit().expect("the books balance");
        let m = self.rt.metrics();
        assert_eq!(m.open_calls, self.calls.iter().filter(|c| c.open).count(), "open calls");
        let stops = self.actors.iter().filter(|a| a.stop.is_some()).count();
        assert_eq!(m.timers, m.open_calls + stops, "timers");
        for a in &self.actors {
            let size = self.rt.mailbox_size(a.pid);
            match a.life {
                Life::Gone(_) => assert_eq!(size, None),
                _ => assert_eq!(size, Some(a.queue.len() + a.reserved), "{}", a.pid),
            }
        }
        self.hear();
    }

    /// Each outcome comes once, to the lane that asked, and is the one that was to come.
    fn hear(&mut self) {
        for lane in 0..self.hosts.len() {
            let host = &mut self.hosts[lane];
            host.lane.take_events(&mut host.events);
            for e in host.events.drain(..) {
                if let LaneEvent::CallDone { key, outcome } = e {
                    let call = &mut self.calls[key as usize];
                    assert_eq!(call.from, lane);
                    let kind = outcome.err().map(|e| e.kind());
                    assert_eq!(call.expected.take(), Some(kind), "the outcome of call {key}");
                }
            }
        }
        let missing = self.calls.iter().position(|c| c.expected.is_some());
        assert_eq!(missing, None, "an outcome did not come");
    }

    /// Ends everything: nothing may be left.
    fn finish(mut self) {
        for lane in 0..2 {
            while self.batches[lane].len != 0 {
                self.handle(lane, How::Return);
                self.settle(lane);
                self.check();
            }
        }
        for n in 0..self.actors.len() {
            self.step(Op::Kill { actor: n });
        }
        self.check();
        let m = self.rt.metrics();
        assert_eq!((m.actors, m.open_calls, m.timers), (0, 0, 0));
        assert_eq!((m.books.queued, m.books.in_flight), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn the_books_say_what_happened(ops in prop::collection::vec(op(), 1..160)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
            world.check();
        }
        world.finish();
    }
}
