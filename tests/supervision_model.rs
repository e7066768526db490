//! The supervision tree against a naive model of OTP's rules, over random histories. Both are told the same ends, failures of
//! factories and times, and must stop and start the same children in the same order.

use iris::path::Path;
use iris::supervision::policy::{Restart, Strategy};
use iris::supervision::tree::{ChildId, ChildOptions, Command, SupervisorOptions, Tree};
use iris::{ExitReason, Pid};
use proptest::prelude::{Strategy as Generate, *};
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Stop(usize),
    Start(usize),
    Fail(usize),
    GaveUp,
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    End(usize, ExitReason),
    Fail(u32),
    Pass(u64),
}

/// The rules, as one would write them down.
struct Model {
    restarts: Vec<Restart>,
    present: Vec<bool>,
    alive: Vec<bool>,
    strategy: Strategy,
    max: usize,
    within: u64,
    times: Vec<u64>,
    now: u64,
    failing: u32,
    gone: bool,
    did: Vec<Did>,
}

impl Model {
    fn too_many(&mut self) -> bool {
        self.times.push(self.now);
        self.times.iter().filter(|t| self.now - **t <= self.within).count() > self.max
    }

    fn give_up(&mut self) {
        self.did.push(Did::GaveUp);
        for i in (0..self.alive.len()).rev() {
            if std::mem::replace(&mut self.alive[i], false) {
                self.did.push(Did::Stop(i));
            }
        }
        self.gone = true;
    }

    fn end(&mut self, i: usize, why: ExitReason) {
        if self.gone || !self.alive[i] {
            return;
        }
        self.alive[i] = false;
        if !self.restarts[i].applies_to(why) {
            self.present[i] = false;
            return;
        }
        if self.too_many() {
            return self.give_up();
        }
        let affected: Vec<usize> = match self.strategy {
            Strategy::One => vec![i],
            Strategy::All => (0..self.alive.len()).collect(),
            Strategy::Rest => (i..self.alive.len()).collect(),
        };
        for &j in affected.iter().rev() {
            if std::mem::replace(&mut self.alive[j], false) {
                self.did.push(Did::Stop(j));
            }
            if self.restarts[j] == Restart::Temporary {
                self.present[j] = false;
            }
        }
        for j in affected {
            while self.present[j] && !self.alive[j] {
                if self.failing == 0 {
                    self.alive[j] = true;
                    self.did.push(Did::Start(j));
                    continue;
                }
                self.failing -= 1;
                self.did.push(Did::Fail(j));
                if self.too_many() {
                    return self.give_up();
                }
            }
        }
    }
}

/// The tree, with children that end and start at once.
struct World {
    tree: Tree,
    names: HashMap<ChildId, usize>,
    pids: Vec<Option<Pid>>,
    of: HashMap<Pid, usize>,
    failing: u32,
    next: u64,
    did: Vec<Did>,
}

impl World {
    fn pid(&mut self, i: usize) -> Pid {
        self.next += 1;
        let pid = Pid::from_bits(self.next << 23).expect("a pid");
        self.of.insert(pid, i);
        self.pids[i] = Some(pid);
        pid
    }

    fn settle(&mut self) {
        while let Some(command) = self.tree.command() {
            match command {
                Command::Stop { pid, .. } => {
                    let i = self.of[&pid];
                    self.did.push(Did::Stop(i));
                    self.pids[i] = None;
                    self.tree.ended(pid, ExitReason::Shutdown, None, false);
                }
                Command::Start { child, ticket, .. } => {
                    let i = self.names[&child];
                    if self.failing == 0 {
                        self.did.push(Did::Start(i));
                        let pid = self.pid(i);
                        self.tree.started(ticket, pid);
                    } else {
                        self.failing -= 1;
                        self.did.push(Did::Fail(i));
                        self.tree.failed(ticket, "as told");
                    }
                }
                Command::HandOver { child, .. } => self.tree.handed(child, Ok(())),
                Command::Tell(news) if news.event == iris::message::SupervisorEvent::GaveUp => {
                    self.did.push(Did::GaveUp);
                }
                Command::Wait { .. } => panic!("nobody asked for a backoff"),
                _ => {}
            }
        }
    }
}

fn happens(children: usize) -> impl Generate<Value = Happens> {
    let why = prop::sample::select(vec![
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::Killed,
        ExitReason::Crash,
    ]);
    prop_oneof![
        6 => (0..children, why).prop_map(|(i, why)| Happens::End(i, why)),
        1 => (1u32..4).prop_map(Happens::Fail),
        2 => (1u64..40).prop_map(Happens::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_tree_does_what_the_rules_say(
        restarts in prop::collection::vec(prop::sample::select(Restart::ALL.to_vec()), 1..6),
        strategy in prop::sample::select(Strategy::ALL.to_vec()),
        max in 0u32..6,
        within in 1u64..60,
        history in prop::collection::vec(happens(5), 1..40),
    ) {
        let path = Path::parse("/svc").unwrap();
        let n = restarts.len();
        let mut world = World {
            tree: Tree::new(1),
            names: HashMap::new(),
            pids: vec![None; n],
            of: HashMap::new(),
            failing: 0,
            next: 0,
            did: Vec::new(),
        };
        world.tree.create(&path, SupervisorOptions {
            strategy: Some(strategy),
            max_restarts: Some(max),
            within_ms: Some(within),
            ..SupervisorOptions::default()
        });
        for (i, restart) in restarts.iter().enumerate() {
            let pid = world.pid(i);
            let options = ChildOptions { restart: *restart, ..ChildOptions::default() };
            let id = world.tree.supervise(&path, pid, true, options).unwrap();
            world.names.insert(id, i);
        }
        let mut model = Model {
            present: vec![true; n],
            alive: vec![true; n],
            restarts,
            strategy,
            max: max as usize,
            within,
            times: Vec::new(),
            now: 0,
            failing: 0,
            gone: false,
            did: Vec::new(),
        };
        for event in history {
            match event {
                Happens::Pass(ms) => {
                    model.now += ms;
                    world.tree.at(model.now);
                }
                Happens::Fail(k) => {
                    model.failing += k;
                    world.failing += k;
                }
                Happens::End(i, why) if i < n => {
                    model.end(i, why);
                    if let Some(pid) = world.pids[i].take() {
                        world.tree.ended(pid, why, None, false);
                        world.settle();
                    }
                }
                Happens::End(..) => {}
            }
            prop_assert_eq!(&world.did, &model.did);
            let alive: Vec<_> = world.pids.iter().map(Option::is_some).collect();
            prop_assert_eq!(&alive, &model.alive);
            let known = world.tree.children(&path).map(|c| c.len());
            prop_assert_eq!(known, (!model.gone).then(|| alive.iter().filter(|a| **a).count()));
        }
    }
}
