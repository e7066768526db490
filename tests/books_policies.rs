//! The books against a model of the contract, where mailboxes are full: every overflow policy, by every way a message can
//! come (send, call, a send that waits, timers), to actors that are handed their messages and to actors that take them,
//! under random interleavings with crash, stop, drain and kill. Compared after every step.
//!
//! `tests/books.rs` does the same for turns, promises and deadlines; here every call is in time.

mod support;

use iris::message::LaneEvent;
use iris::{
    CallId, Clock, Config, DropReason, ErrorKind, ExitReason, Overflow, Payload, Peeked, Pid,
    Pulled, Refusal, Runtime, SpawnOptions, TimerId,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Host, pass, thrown};

const FAR: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Debug)]
enum Op {
    Spawn { pulls: bool, budget: u32, capacity: Option<u32> },
    Policy { actor: usize, policy: usize, target: usize },
    Send { actor: usize, n: usize },
    SendAndWait { actor: usize },
    GiveUp { wait: usize },
    Call { actor: usize },
    After { actor: usize, ms: u64 },
    Every { actor: usize, ms: u64 },
    Cancel { timer: usize },
    Pass { ms: u64 },
    Take { max: usize },
    Handle { throws: bool },
    Pull { actor: usize, skip: usize },
    Finish { actor: usize, throws: bool },
    Stop { actor: usize, drain: bool },
    Kill { actor: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let actor = || 0usize..5;
    let capacity = prop_oneof![1 => Just(None), 4 => (1u32..4).prop_map(Some)];
    prop_oneof![
        3 => (any::<bool>(), 1u32..5, capacity)
            .prop_map(|(pulls, budget, capacity)| Op::Spawn { pulls, budget, capacity }),
        4 => (actor(), 0usize..5, actor())
            .prop_map(|(actor, policy, target)| Op::Policy { actor, policy, target }),
        9 => (actor(), 1usize..5).prop_map(|(actor, n)| Op::Send { actor, n }),
        3 => actor().prop_map(|actor| Op::SendAndWait { actor }),
        1 => (0usize..4).prop_map(|wait| Op::GiveUp { wait }),
        4 => actor().prop_map(|actor| Op::Call { actor }),
        2 => (actor(), 0u64..20).prop_map(|(actor, ms)| Op::After { actor, ms }),
        1 => (actor(), 1u64..10).prop_map(|(actor, ms)| Op::Every { actor, ms }),
        1 => (0usize..4).prop_map(|timer| Op::Cancel { timer }),
        4 => (1u64..15).prop_map(|ms| Op::Pass { ms }),
        6 => (1usize..7).prop_map(|max| Op::Take { max }),
        14 => prop::bool::weighted(0.07).prop_map(|throws| Op::Handle { throws }),
        6 => (actor(), 0usize..3).prop_map(|(actor, skip)| Op::Pull { actor, skip }),
        1 => (actor(), any::<bool>()).prop_map(|(actor, throws)| Op::Finish { actor, throws }),
        1 => (actor(), any::<bool>()).prop_map(|(actor, drain)| Op::Stop { actor, drain }),
        1 => actor().prop_map(|actor| Op::Kill { actor }),
    ]
}

/// What became of an acceptance: a message that is moved is accepted anew.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Queued,
    InFlight,
    Handled,
    Forwarded,
    Dropped(DropReason),
    Dead(ExitReason),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Alive,
    Draining,
    Stopping,
    Gone(ExitReason),
}

struct Accepted {
    message: u64,
    call: Option<usize>,
    fate: Fate,
}

struct Actor {
    pid: Pid,
    pulls: bool,
    budget: usize,
    capacity: Option<usize>,
    policy: Overflow,
    life: Life,
    /// Its mailbox: acceptances.
    queue: VecDeque<usize>,
    /// Taken and not begun.
    reserved: usize,
    /// A turn is open.
    running: bool,
    /// Messages that its mailbox ever took.
    pushed: u64,
    /// Sends that wait, by number.
    waiting: VecDeque<usize>,
}

struct Wait {
    actor: usize,
    token: Option<u64>,
    message: u64,
}

struct Call {
    /// Once it is made.
    id: Option<CallId>,
    callee: usize,
    open: bool,
    /// The outcome that must have come: `None` is a reply.
    due: Option<Option<ErrorKind>>,
}

struct Timer {
    id: TimerId,
    actor: usize,
    due: u64,
    order: u64,
    every: Option<u64>,
    message: u64,
    last_tick: u64,
    live: bool,
}

/// A run of the batch.
struct Run {
    actor: usize,
    start: usize,
    taken: Vec<usize>,
    /// First that is not to be handled.
    cut: usize,
    over: bool,
}

struct World {
    rt: Runtime,
    clock: Clock,
    host: Host,
    actors: Vec<Actor>,
    by_pid: BTreeMap<Pid, usize>,
    accepted: Vec<Accepted>,
    calls: Vec<Call>,
    waits: Vec<Wait>,
    /// What the waits were told, as it comes.
    told: Arc<Mutex<Vec<(usize, bool)>>>,
    /// What they must have been told.
    due: Vec<(usize, bool)>,
    timers: Vec<Timer>,
    ready: VecDeque<usize>,
    runs: Vec<Run>,
    next: usize,
    taken: usize,
    refused: [u64; Refusal::ALL.len()],
    messages: u64,
    orders: u64,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let config = Config { workers: 1, stop_timeout: FAR, ..Config::default() };
        let rt = Runtime::with_clock(config, clock.clone()).expect("a runtime");
        let host = Host::open(&rt);
        Self {
            rt,
            clock,
            host,
            actors: Vec::new(),
            by_pid: BTreeMap::new(),
            accepted: Vec::new(),
            calls: Vec::new(),
            waits: Vec::new(),
            told: Arc::default(),
            due: Vec::new(),
            timers: Vec::new(),
            ready: VecDeque::new(),
            runs: Vec::new(),
            next: 0,
            taken: 0,
            refused: [0; Refusal::ALL.len()],
            messages: 0,
            orders: 0,
        }
    }

    fn order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    fn message(&mut self) -> u64 {
        self.messages += 1;
        self.messages
    }

    fn payload(message: u64) -> Payload {
        // On both sides of what lies in the envelope.
        let mut bytes = message.to_le_bytes().to_vec();
        bytes.resize(if message.is_multiple_of(2) { 8 } else { 40 }, 0);
        bytes.into()
    }

    fn pick(&self, n: usize) -> Option<usize> {
        self.actors.len().checked_sub(1 + n)
    }

    fn has_room(&self, a: usize) -> bool {
        let actor = &self.actors[a];
        actor.capacity.is_none_or(|c| actor.queue.len() + actor.reserved < c)
    }

    fn accept(&mut self, a: usize, message: u64, call: Option<usize>) {
        self.actors[a].queue.push_back(self.accepted.len());
        self.actors[a].pushed += 1;
        self.accepted.push(Accepted { message, call, fate: Fate::Queued });
        if let Some(c) = call {
            self.calls[c].callee = a;
        }
        if !self.actors[a].pulls && !self.actors[a].running && !self.ready.contains(&a) {
            self.ready.push_back(a);
        }
    }

    /// What the contract says of a message for `a`.
    fn deliver(&mut self, a: usize, message: u64, call: Option<usize>) -> Result<(), Refusal> {
        if self.actors[a].life != Life::Alive {
            return Err(Refusal::NoSuchActor);
        }
        if self.has_room(a) {
            self.accept(a, message, call);
            return Ok(());
        }
        let gone = |why| if why == Refusal::NoSuchActor { Refusal::TargetGone } else { why };
        match self.actors[a].policy {
            Overflow::DropNew | Overflow::Block => Err(Refusal::Full),
            Overflow::Redirect(to) => self.deliver(self.by_pid[&to], message, call).map_err(gone),
            Overflow::DropOld => {
                let old = self.actors[a].queue.pop_front();
                self.accept(a, message, call);
                if let Some(old) = old {
                    self.drop_accepted(old, DropReason::Displaced);
                }
                Ok(())
            }
            Overflow::Spill(to) => {
                let old = self.actors[a].queue.pop_front();
                self.accept(a, message, call);
                if let Some(old) = old {
                    let Accepted { message, call, .. } = self.accepted[old];
                    match self.deliver(self.by_pid[&to], message, call) {
                        Ok(()) => self.accepted[old].fate = Fate::Forwarded,
                        Err(Refusal::Full) => self.drop_accepted(old, DropReason::TargetFull),
                        Err(_) => self.drop_accepted(old, DropReason::TargetGone),
                    }
                }
                Ok(())
            }
        }
    }

    fn drop_accepted(&mut self, n: usize, why: DropReason) {
        self.accepted[n].fate = Fate::Dropped(why);
        self.fail(self.accepted[n].call, ErrorKind::MailboxFull);
    }

    fn fail(&mut self, call: Option<usize>, why: ErrorKind) {
        if let Some(c) = call.map(|c| &mut self.calls[c]).filter(|c| c.open) {
            c.open = false;
            c.due = Some(Some(why));
        }
    }

    /// [`deliver`](Self::deliver), with refusals counted.
    fn sent(&mut self, a: usize, message: u64, call: Option<usize>) -> Result<(), Refusal> {
        let came = self.deliver(a, message, call);
        if let Err(why) = came {
            self.refused[why as usize] += 1;
        }
        came
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Spawn { pulls, budget, capacity } => {
                let options = SpawnOptions { budget, capacity, ..SpawnOptions::default() };
                let pid = if pulls {
                    self.rt.spawn_pull(options, |_| {}).expect("an actor")
                } else {
                    self.host.lane.spawn(0, options).expect("an actor")
                };
                self.by_pid.insert(pid, self.actors.len());
                self.actors.push(Actor {
                    pid,
                    pulls,
                    budget: budget as usize,
                    capacity: capacity.map(|c| c as usize),
                    policy: Overflow::DropNew,
                    life: Life::Alive,
                    queue: VecDeque::new(),
                    reserved: 0,
                    running: false,
                    pushed: 0,
                    waiting: VecDeque::new(),
                });
            }
            Op::Policy { actor, policy, target } => {
                if let (Some(a), Some(to)) = (self.pick(actor), self.pick(target)) {
                    self.set_policy(a, policy, to);
                }
            }
            Op::Send { actor, n } => {
                let Some(a) = self.pick(actor) else { return };
                for _ in 0..n {
                    let message = self.message();
                    let expected = self.sent(a, message, None).is_ok();
                    assert_eq!(self.rt.send(self.actors[a].pid, Self::payload(message)), expected);
                }
            }
            Op::SendAndWait { actor } => {
                if let Some(a) = self.pick(actor) {
                    self.send_and_wait(a);
                }
            }
            Op::GiveUp { wait } => {
                let Some(w) = self.waits.len().checked_sub(1 + wait) else { return };
                let a = self.waits[w].actor;
                let Some(token) = self.waits[w].token else { return };
                let waits = self.actors[a].waiting.contains(&w);
                assert_eq!(self.rt.forget_send(self.actors[a].pid, token), waits);
                self.actors[a].waiting.retain(|x| *x != w);
            }
            Op::Call { actor } => {
                if let Some(a) = self.pick(actor) {
                    self.call(a);
                }
            }
            Op::After { actor, ms } => {
                if let Some(a) = self.pick(actor) {
                    self.delay(a, ms, None);
                }
            }
            Op::Every { actor, ms } => {
                if let Some(a) = self.pick(actor) {
                    self.delay(a, ms, Some(ms));
                }
            }
            Op::Cancel { timer } => {
                let Some(t) = self.timers.len().checked_sub(1 + timer) else { return };
                let was = std::mem::replace(&mut self.timers[t].live, false);
                assert_eq!(self.rt.cancel_timer(self.timers[t].id), was);
            }
            Op::Pass { ms } => self.pass(ms),
            Op::Take { max } => self.take(max),
            Op::Handle { throws } => self.handle(throws),
            Op::Pull { actor, skip } => {
                if let Some(a) = self.pick(actor).filter(|a| self.actors[*a].pulls) {
                    self.pull(a, skip);
                }
            }
            Op::Finish { actor, throws } => {
                let Some(a) = self.pick(actor).filter(|a| self.actors[*a].pulls) else { return };
                let outcome = if throws { Err(thrown("x").0) } else { Ok(()) };
                self.rt.finish_pull(self.actors[a].pid, outcome);
                let why = match self.actors[a].life {
                    _ if throws => ExitReason::Crash,
                    Life::Alive => ExitReason::Normal,
                    _ => ExitReason::Shutdown,
                };
                self.exit(a, why);
            }
            Op::Stop { actor, drain } => {
                if let Some(a) = self.pick(actor) {
                    self.stop(a, drain);
                }
            }
            Op::Kill { actor } => {
                let Some(a) = self.pick(actor) else { return };
                let alive = matches!(self.actors[a].life, Life::Alive | Life::Draining);
                assert_eq!(self.rt.kill(self.actors[a].pid), alive);
                self.exit(a, ExitReason::Killed);
            }
        }
    }

    fn set_policy(&mut self, a: usize, policy: usize, to: usize) {
        let target = self.actors[to].pid;
        let policy = match policy {
            0 => Overflow::DropNew,
            1 => Overflow::DropOld,
            2 => Overflow::Block,
            3 => Overflow::Redirect(target),
            _ => Overflow::Spill(target),
        };
        let mut next = policy.target().map(|_| to);
        let mut cycle = false;
        while let Some(at) = next {
            cycle |= at == a;
            let gone = matches!(self.actors[at].life, Life::Gone(_));
            let target = self.actors[at].policy.target().filter(|_| !gone && !cycle);
            next = target.map(|pid| self.by_pid[&pid]);
        }
        let accepts = |life| matches!(life, Life::Alive | Life::Draining);
        let expected = if cycle {
            Some(ErrorKind::InvalidArgument)
        } else if (policy.target().is_some() && !accepts(self.actors[to].life))
            || self.actors[a].life != Life::Alive
        {
            Some(ErrorKind::NoSuchActor)
        } else {
            self.actors[a].capacity.is_none().then_some(ErrorKind::InvalidArgument)
        };
        let set = self.rt.set_overflow_policy(self.actors[a].pid, policy);
        assert_eq!(set.err().map(|e| e.kind()), expected, "{policy:?}");
        if expected.is_none() {
            self.actors[a].policy = policy;
        }
    }

    fn send_and_wait(&mut self, a: usize) {
        let (message, w) = (self.message(), self.waits.len());
        let actor = &self.actors[a];
        let waits =
            actor.life == Life::Alive && !self.has_room(a) && actor.policy == Overflow::Block;
        if waits {
            self.actors[a].waiting.push_back(w);
        } else {
            let came = self.sent(a, message, None).is_ok();
            self.due.push((w, came));
        }
        let told = Arc::clone(&self.told);
        let done = move |came| told.lock().expect("no panic").push((w, came));
        let token = self.rt.send_with(self.actors[a].pid, Self::payload(message), None, done);
        assert_eq!(token.is_some(), waits);
        self.waits.push(Wait { actor: a, token, message });
    }

    /// Lets in who waits, if the actor takes messages.
    fn admit(&mut self, a: usize) {
        while self.actors[a].life == Life::Alive
            && self.has_room(a)
            && let Some(w) = self.actors[a].waiting.pop_front()
        {
            self.accept(a, self.waits[w].message, None);
            self.due.push((w, true));
        }
    }

    fn call(&mut self, a: usize) {
        let (message, c) = (self.message(), self.calls.len());
        let pid = self.actors[a].pid;
        // The model's half first: a call that is displaced at once has its outcome before `call` answers.
        self.calls.push(Call { id: None, callee: a, open: true, due: None });
        let came = self.sent(a, message, Some(c));
        let made = self.host.lane.call(pid, Self::payload(message), FAR, None, c as u64);
        match (made, came) {
            (Ok((id, _)), Ok(())) => self.calls[c].id = Some(id),
            (Err(e), Err(why)) => {
                let kind = match why {
                    Refusal::Full | Refusal::TargetGone => ErrorKind::MailboxFull,
                    _ => ErrorKind::NoSuchActor,
                };
                assert_eq!(e.kind(), kind);
                self.calls[c].open = false;
            }
            (made, came) => panic!("{made:?} is not {came:?}"),
        }
    }

    fn delay(&mut self, a: usize, ms: u64, every: Option<u64>) {
        let (pid, message) = (self.actors[a].pid, self.message());
        let (span, payload) = (Duration::from_millis(ms), Self::payload(message));
        let made = match every {
            Some(_) => self.rt.send_interval(pid, span, payload),
            None => self.rt.send_after(pid, span, payload),
        };
        if self.actors[a].life != Life::Alive {
            assert_eq!(made.err().map(|e| e.kind()), Some(ErrorKind::NoSuchActor));
            return;
        }
        // The wheel's tick is a millisecond.
        let (due, order) = (self.clock.now_ms() + ms.max(1), self.order());
        let id = made.expect("it lives");
        self.timers.push(Timer {
            id,
            actor: a,
            due,
            order,
            every,
            message,
            last_tick: 0,
            live: true,
        });
    }

    fn pass(&mut self, ms: u64) {
        let now = self.clock.now_ms() + ms;
        pass(&self.rt, &self.clock, ms);
        let mut due: Vec<usize> = (0..self.timers.len())
            .filter(|t| self.timers[*t].live && self.timers[*t].due <= now)
            .collect();
        due.sort_by_key(|t| (self.timers[*t].due, self.timers[*t].order));
        for t in due {
            let Timer { actor: a, due, every, message, last_tick, live, .. } = self.timers[t];
            assert!(live, "no timer ends another here");
            if let Some(every) = every {
                self.timers[t].due = due + every * ((now - due) / every + 1);
                self.timers[t].order = self.order();
                let actor = &self.actors[a];
                let waiting = (actor.queue.len() + actor.reserved) as u64;
                if last_tick != 0 && actor.pushed - waiting.min(actor.pushed) < last_tick {
                    continue; // the last one still waits
                }
                if self.sent(a, message, None).is_ok() {
                    self.timers[t].last_tick = self.actors[a].pushed;
                }
            } else {
                self.timers[t].live = false;
                let _ = self.sent(a, message, None);
            }
        }
    }

    fn take(&mut self, max: usize) {
        if self.taken != 0 {
            return;
        }
        let mut expected = Vec::new();
        while self.taken < max
            && let Some(a) = self.ready.pop_front()
        {
            if matches!(self.actors[a].life, Life::Gone(_)) {
                continue;
            }
            let actor = &mut self.actors[a];
            let n = actor.budget.min(max - self.taken).min(actor.queue.len());
            let taken: Vec<usize> = actor.queue.drain(..n).collect();
            (actor.running, actor.reserved) = (true, n);
            for t in &taken {
                self.accepted[*t].fate = Fate::InFlight;
                expected.push(Self::payload(self.accepted[*t].message).to_vec());
            }
            let (start, cut) = (self.taken, n);
            self.taken += n;
            self.runs.push(Run { actor: a, start, taken, cut, over: false });
        }
        self.host.lane.take(&mut self.host.batch, max, |_| true);
        let got: Vec<Vec<u8>> =
            self.host.batch.envelopes.iter().map(|e| e.payload.to_vec()).collect();
        assert_eq!(got, expected, "the messages, in their order");
    }

    fn handle(&mut self, throws: bool) {
        let at = self.next;
        let Some(r) = self.runs.iter().rposition(|r| r.start <= at && at < self.taken) else {
            return;
        };
        let (a, start, end) =
            (self.runs[r].actor, self.runs[r].start, self.runs[r].start + self.runs[r].taken.len());
        let may = matches!(self.actors[a].life, Life::Alive | Life::Draining);
        let cut = self.host.lane.cut_if_gone(&mut self.host.batch, at);
        assert_eq!(cut, (!may).then_some(end));
        if !may {
            self.runs[r].cut = at - start;
            self.next = end;
        } else if throws {
            self.host.lane.crash(&mut self.host.batch, at, thrown("x").0);
            self.runs[r].over = true;
            for (i, t) in self.runs[r].taken.clone().into_iter().enumerate() {
                let handled = i < at - start;
                self.accepted[t].fate =
                    if handled { Fate::Handled } else { Fate::Dead(ExitReason::Crash) };
            }
            self.next = end;
            self.exit(a, ExitReason::Crash);
        } else {
            if let Some(c) = self.accepted[self.runs[r].taken[at - start]].call {
                let replied =
                    self.host.lane.reply(self.calls[c].id.expect("it was made"), || "reply".into());
                let open = std::mem::replace(&mut self.calls[c].open, false);
                assert_eq!(
                    replied,
                    [iris::Replied::Late, iris::Replied::Here(c as u64)][usize::from(open)]
                );
            }
            self.next += 1;
        }
        self.settle();
    }

    fn settle(&mut self) {
        let upto = self.next;
        self.host.lane.settle(&mut self.host.batch, upto, upto);
        for r in 0..self.runs.len() {
            let Run { actor: a, start, cut, .. } = self.runs[r];
            let end = start + self.runs[r].taken.len();
            let gone = matches!(self.actors[a].life, Life::Gone(_));
            if end > upto {
                if start <= upto && !self.runs[r].over && !gone {
                    self.actors[a].reserved = end - upto.max(start);
                    self.admit(a);
                }
                break;
            }
            if std::mem::replace(&mut self.runs[r].over, true) {
                continue;
            }
            for (i, t) in self.runs[r].taken.clone().into_iter().enumerate() {
                self.accepted[t].fate = match self.actors[a].life {
                    _ if i < cut => Fate::Handled,
                    Life::Gone(why) => Fate::Dead(why),
                    _ => Fate::Dead(ExitReason::Shutdown),
                };
                if i >= cut {
                    self.fail(self.accepted[t].call, ErrorKind::ActorExited);
                }
            }
            if !gone {
                self.end_turn(a);
            }
        }
        if upto == self.taken {
            self.runs.clear();
            (self.next, self.taken) = (0, 0);
        }
    }

    fn end_turn(&mut self, a: usize) {
        self.actors[a].running = false;
        self.actors[a].reserved = 0;
        self.admit(a);
        match self.actors[a].life {
            Life::Stopping => self.exit(a, ExitReason::Shutdown),
            Life::Draining if self.actors[a].queue.is_empty() => self.exit(a, ExitReason::Shutdown),
            _ if self.actors[a].queue.is_empty() || self.ready.contains(&a) => {}
            _ => self.ready.push_back(a),
        }
    }

    /// A pull actor takes its message number `skip`.
    fn pull(&mut self, a: usize, skip: usize) {
        let pid = self.actors[a].pid;
        let life = self.actors[a].life;
        if matches!(life, Life::Gone(_)) {
            assert!(matches!(self.rt.pull(pid), Pulled::Closed));
            assert!(matches!(self.rt.peek(pid, 0), Peeked::Closed));
            return;
        }
        let Some(t) = self.actors[a].queue.get(skip).copied() else {
            if self.actors[a].queue.is_empty() {
                let empty = life == Life::Alive;
                assert_eq!(matches!(self.rt.pull(pid), Pulled::Empty), empty);
                assert_eq!(matches!(self.rt.peek(pid, 0), Peeked::Empty), empty);
            }
            return;
        };
        let expected = Self::payload(self.accepted[t].message);
        let got = if skip == 0 {
            match self.rt.pull(pid) {
                Pulled::Message(e) => e,
                other => panic!("{other:?}"),
            }
        } else {
            // A matcher that refuses those before it.
            let mut place = 0;
            for _ in 0..=skip {
                let Peeked::Message(_, next) = self.rt.peek(pid, place) else { panic!("it waits") };
                place = next;
            }
            self.rt.take_peeked(pid, place).expect("it waits")
        };
        assert_eq!(*got.payload, *expected, "what is taken");
        self.actors[a].queue.remove(skip);
        self.accepted[t].fate = Fate::Handled;
        self.admit(a);
        if self.actors[a].life == Life::Draining && self.actors[a].queue.is_empty() {
            self.actors[a].life = Life::Stopping;
        }
        if let Some(c) = self.accepted[t].call {
            assert_eq!(got.call, self.calls[c].id);
            let open = std::mem::replace(&mut self.calls[c].open, false);
            assert_eq!(self.rt.reply(got.call.expect("a call"), "reply"), open);
            self.calls[c].due = open.then_some(None);
        }
    }

    fn stop(&mut self, a: usize, drain: bool) {
        let life = self.actors[a].life;
        let alive = matches!(life, Life::Alive | Life::Draining);
        let pid = self.actors[a].pid;
        let stopped = if drain { self.rt.stop_drain(pid) } else { self.rt.stop(pid) };
        assert_eq!(stopped, alive);
        if !alive || (drain && life == Life::Draining) {
            return;
        }
        let (pulls, running) = (self.actors[a].pulls, self.actors[a].running);
        let empty = self.actors[a].queue.is_empty();
        if !running && !pulls && (!drain || empty) {
            self.exit(a, ExitReason::Shutdown);
        } else if drain && !(pulls && empty) {
            self.actors[a].life = Life::Draining;
        } else {
            self.actors[a].life = Life::Stopping;
            self.bury_queue(a, ExitReason::Shutdown);
        }
    }

    fn bury_queue(&mut self, a: usize, why: ExitReason) {
        for t in std::mem::take(&mut self.actors[a].queue) {
            self.accepted[t].fate = Fate::Dead(why);
            self.fail(self.accepted[t].call, ErrorKind::ActorExited);
        }
    }

    fn exit(&mut self, a: usize, why: ExitReason) {
        if matches!(self.actors[a].life, Life::Gone(_)) {
            return;
        }
        self.bury_queue(a, why);
        self.actors[a].life = Life::Gone(why);
        self.actors[a].reserved = 0;
        for c in 0..self.calls.len() {
            if self.calls[c].callee == a {
                self.fail(Some(c), ErrorKind::ActorExited);
            }
        }
        for w in std::mem::take(&mut self.actors[a].waiting) {
            self.refused[Refusal::NoSuchActor as usize] += 1;
            self.due.push((w, false));
        }
        self.timers.iter_mut().filter(|t| t.actor == a).for_each(|t| t.live = false);
    }

    /// Compares everything that can be seen.
    fn check(&mut self) {
        let b = self.rt.metrics().books;
        let count = |f: Fate| self.accepted.iter().filter(|a| a.fate == f).count() as u64;
        assert!(b.balances(), "{b:?}");
        self.rt.audit().expect("the books balance");
        assert_eq!(b.refused, self.refused, "refused");
        assert_eq!(b.accepted, self.accepted.len() as u64, "accepted");
        assert_eq!(b.queued, count(Fate::Queued), "queued");
        assert_eq!(b.in_flight, count(Fate::InFlight), "in flight");
        assert_eq!(b.handled, count(Fate::Handled), "handled");
        assert_eq!(b.forwarded, count(Fate::Forwarded), "forwarded");
        for why in DropReason::ALL {
            assert_eq!(b.dropped[why as usize], count(Fate::Dropped(why)), "dropped: {why:?}");
        }
        for why in ExitReason::ALL {
            assert_eq!(b.dead[why as usize], count(Fate::Dead(why)), "dead: {why:?}");
        }
        for a in &self.actors {
            let size = self.rt.mailbox_size(a.pid);
            match a.life {
                Life::Gone(_) => assert_eq!(size, None),
                _ => assert_eq!(size, Some(a.queue.len() + a.reserved), "{}", a.pid),
            }
            assert!(a.capacity.is_none_or(|c| a.queue.len() + a.reserved <= c.max(a.reserved + 1)));
        }
        assert_eq!(self.rt.metrics().open_calls, self.calls.iter().filter(|c| c.open).count());
        let mut told = std::mem::take(&mut *self.told.lock().expect("no panic"));
        let mut due = std::mem::take(&mut self.due);
        told.sort_unstable();
        due.sort_unstable();
        assert_eq!(told, due, "each wait is told once");
        self.host.lane.take_events(&mut self.host.events);
        for e in self.host.events.drain(..) {
            if let LaneEvent::CallDone { key, outcome } = e {
                let kind = outcome.err().map(|e| e.kind());
                assert_eq!(self.calls[key as usize].due.take(), Some(kind), "call {key}");
            }
        }
        assert!(self.calls.iter().all(|c| c.due.is_none()), "an outcome did not come");
    }

    /// Ends everything: nothing may be left.
    fn finish(mut self) {
        while self.taken != 0 {
            self.handle(false);
            self.check();
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
    fn the_books_say_what_happened_to_messages_for_full_mailboxes(
        ops in prop::collection::vec(op(), 1..140)
    ) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
            world.check();
        }
        world.finish();
    }
}
