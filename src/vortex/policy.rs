//! Which branch of a message commits. Pure: no clock, no lock, no knowledge of what a handler is.

/// Who of two finished branches commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The first that is done.
    #[default]
    FirstSafePointWins,
    /// The primary; a ghost that is done waits until the primary has failed or its grace is over.
    PreferPrimary,
}

impl Policy {
    /// The policy of a name; `None`: there is none of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FirstSafePointWins, Self::PreferPrimary].into_iter().find(|p| p.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstSafePointWins => "FirstSafePointWins",
            Self::PreferPrimary => "PreferPrimary",
        }
    }
}

/// One of the two runs of a handler on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The one that every message has.
    Primary,
    /// The one that is begun when the primary is slow, or has failed.
    Ghost,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The primary has not reached its safe point in time.
    Slow,
    /// A branch has reached its safe point: its handler has returned.
    Finished(Branch),
    /// A branch has thrown before its safe point.
    Failed(Branch),
    /// A ghost that was [held](Verdict::Hold) has waited for long enough.
    GraceOver,
    /// The actor has ended.
    Gone,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing; a branch is still running.
    Wait,
    /// Run the handler again, as the ghost.
    Start,
    /// The ghost is done and keeps what it has staged; say [`GraceOver`](Event::GraceOver) when the grace is over.
    Hold,
    /// What this branch has staged becomes visible, what the other has is dropped. It is over.
    Commit(Branch),
    /// Both have failed: the actor crashes with the primary's error. It is over.
    Crash,
    /// What has been staged is dropped: the actor is gone, or it was over before.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unborn,
    Running,
    Done,
    Failed,
}

/// The state of one message's branches.
#[derive(Clone, Debug)]
pub struct Arbiter {
    policy: Policy,
    primary: State,
    ghost: State,
    over: bool,
}

impl Arbiter {
    /// The primary begins.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, primary: State::Running, ghost: State::Unborn, over: false }
    }

    /// Whether it is decided.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether there was a ghost.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.ghost != State::Unborn
    }

    /// Whether [`Event::Slow`] would start a ghost.
    #[must_use]
    pub fn may_start(&self) -> bool {
        !self.over && self.primary == State::Running && self.ghost == State::Unborn
    }

    /// Takes note of an event. What cannot happen (a branch that finishes twice) changes nothing.
    pub fn step(&mut self, event: Event) -> Verdict {
        if self.over {
            return Verdict::Drop;
        }
        let verdict = match event {
            Event::Gone => Verdict::Drop,
            Event::Slow if self.may_start() => self.start(),
            Event::GraceOver if self.ghost == State::Done => Verdict::Commit(Branch::Ghost),
            Event::Slow | Event::GraceOver => Verdict::Wait,
            Event::Finished(branch) => match self.leave(branch, State::Done) {
                false => Verdict::Wait,
                true => self.finished(branch),
            },
            Event::Failed(branch) => match self.leave(branch, State::Failed) {
                false => Verdict::Wait,
                true => self.failed(branch),
            },
        };
        self.over = matches!(verdict, Verdict::Commit(_) | Verdict::Crash | Verdict::Drop);
        verdict
    }

    fn start(&mut self) -> Verdict {
        self.ghost = State::Running;
        Verdict::Start
    }

    /// A branch that was running runs no more; `false`: it was not.
    fn leave(&mut self, branch: Branch, to: State) -> bool {
        let state = match branch {
            Branch::Primary => &mut self.primary,
            Branch::Ghost => &mut self.ghost,
        };
        let was_running = *state == State::Running;
        if was_running {
            *state = to;
        }
        was_running
    }

    fn finished(&self, branch: Branch) -> Verdict {
        let waits = branch == Branch::Ghost
            && self.policy == Policy::PreferPrimary
            && self.primary == State::Running;
        if waits { Verdict::Hold } else { Verdict::Commit(branch) }
    }

    fn failed(&mut self, branch: Branch) -> Verdict {
        match (branch, self.primary, self.ghost) {
            (Branch::Primary, _, State::Unborn) => self.start(),
            (Branch::Primary, _, State::Running) | (Branch::Ghost, State::Running, _) => {
                Verdict::Wait
            }
            (Branch::Primary, _, State::Done) => Verdict::Commit(Branch::Ghost),
            _ => Verdict::Crash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 7] = [
        Event::Slow,
        Event::Finished(Branch::Primary),
        Event::Finished(Branch::Ghost),
        Event::Failed(Branch::Primary),
        Event::Failed(Branch::Ghost),
        Event::GraceOver,
        Event::Gone,
    ];

    /// What the arbiter must say, from the whole history so far: the rules of docs/semantics.md, one by one.
    fn expected(policy: Policy, history: &[Event]) -> Verdict {
        let (mut ghost_began, mut ghost_done, mut ghost_failed) = (false, false, false);
        let mut primary_failed = false;
        for (at, event) in history.iter().enumerate() {
            let last = at + 1 == history.len();
            let mut say = Verdict::Wait;
            match event {
                Event::Gone => say = Verdict::Drop,
                Event::Slow => {
                    if !ghost_began && !primary_failed {
                        ghost_began = true;
                        say = Verdict::Start;
                    }
                }
                Event::Finished(Branch::Primary) => {
                    if !primary_failed {
                        say = Verdict::Commit(Branch::Primary);
                    }
                }
                Event::Failed(Branch::Primary) => {
                    if !primary_failed {
                        primary_failed = true;
                        if !ghost_began {
                            ghost_began = true;
                            say = Verdict::Start;
                        } else if ghost_done {
                            say = Verdict::Commit(Branch::Ghost);
                        } else if ghost_failed {
                            say = Verdict::Crash;
                        }
                    }
                }
                Event::Finished(Branch::Ghost) => {
                    if ghost_began && !ghost_done && !ghost_failed {
                        ghost_done = true;
                        let waits = policy == Policy::PreferPrimary && !primary_failed;
                        say = if waits { Verdict::Hold } else { Verdict::Commit(Branch::Ghost) };
                    }
                }
                Event::Failed(Branch::Ghost) => {
                    if ghost_began && !ghost_done && !ghost_failed {
                        ghost_failed = true;
                        if primary_failed {
                            say = Verdict::Crash;
                        }
                    }
                }
                Event::GraceOver => {
                    if ghost_done {
                        say = Verdict::Commit(Branch::Ghost);
                    }
                }
            }
            if last {
                return say;
            }
            if matches!(say, Verdict::Commit(_) | Verdict::Crash | Verdict::Drop) {
                return Verdict::Drop;
            }
        }
        Verdict::Wait
    }

    fn check(policy: Policy, events: &[Event]) -> Vec<Verdict> {
        let mut arbiter = Arbiter::new(policy);
        let mut verdicts = Vec::new();
        for at in 0..events.len() {
            let verdict = arbiter.step(events[at]);
            assert_eq!(
                verdict,
                expected(policy, &events[..=at]),
                "{policy:?} {:?}",
                &events[..=at]
            );
            verdicts.push(verdict);
        }
        let ends = |v: &&Verdict| matches!(v, Verdict::Commit(_) | Verdict::Crash);
        assert!(verdicts.iter().filter(ends).count() <= 1, "{policy:?} {events:?}");
        assert!(verdicts.iter().filter(|v| **v == Verdict::Start).count() <= 1);
        verdicts
    }

    /// Every sequence of events up to a length, also those that cannot happen.
    #[test]
    fn every_short_history_has_the_verdicts_of_the_model() {
        for policy in [Policy::FirstSafePointWins, Policy::PreferPrimary] {
            for length in 1..=6 {
                for mut number in 0..EVENTS.len().pow(length) {
                    let events: Vec<_> = (0..length)
                        .map(|_| {
                            let event = EVENTS[number % EVENTS.len()];
                            number /= EVENTS.len();
                            event
                        })
                        .collect();
                    check(policy, &events);
                }
            }
        }
    }

    proptest! {
        /// A host that obeys: branches that were begun end, in any order, among any timeouts; the actor may end meanwhile.
        #[test]
        fn every_run_of_two_branches_ends_with_one_commit_or_one_crash(
            prefers in any::<bool>(),
            ends in proptest::collection::vec(any::<bool>(), 2),
            choices in proptest::collection::vec(0_usize..16, 24),
            killed_at in proptest::option::of(0_usize..12),
        ) {
            let policy = if prefers { Policy::PreferPrimary } else { Policy::FirstSafePointWins };
            let mut arbiter = Arbiter::new(policy);
            let mut running = vec![Branch::Primary];
            let mut grace = false;
            let mut history = Vec::new();
            let mut committed = 0;
            let mut crashed = 0;
            let mut gone = false;
            for (at, choice) in choices.iter().enumerate() {
                if arbiter.is_over() {
                    break;
                }
                let mut possible: Vec<Event> = running
                    .iter()
                    .map(|b| match ends[usize::from(*b == Branch::Ghost)] {
                        true => Event::Finished(*b),
                        false => Event::Failed(*b),
                    })
                    .collect();
                if arbiter.may_start() {
                    possible.push(Event::Slow);
                }
                if grace {
                    possible.push(Event::GraceOver);
                }
                prop_assert!(!possible.is_empty(), "nobody runs and nothing is decided: {history:?}");
                let mut event = possible[choice % possible.len()];
                if killed_at == Some(at) {
                    event = Event::Gone;
                    gone = true;
                }
                if let Event::Finished(b) | Event::Failed(b) = event {
                    running.retain(|r| *r != b);
                }
                history.push(event);
                match arbiter.step(event) {
                    Verdict::Start => running.push(Branch::Ghost),
                    Verdict::Hold => grace = true,
                    Verdict::Commit(_) => committed += 1,
                    Verdict::Crash => crashed += 1,
                    Verdict::Wait | Verdict::Drop => {}
                }
            }
            prop_assert!(arbiter.is_over(), "{history:?}");
            prop_assert_eq!(committed + crashed, i32::from(!gone));
            // An actor crashes only if its primary and its ghost have both failed.
            prop_assert!(crashed == 0 || (!ends[0] && !ends[1]));
        }
    }

    #[test]
    fn a_policy_is_known_by_its_name() {
        for policy in [Policy::FirstSafePointWins, Policy::PreferPrimary] {
            assert_eq!(Policy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(Policy::parse("firstsafepointwins"), None);
    }
}
