//! Which of several ways to run a function is the fastest: measured on real calls, decided, and asked again later.
//!
//! Nothing here knows the time or runs anything: a caller asks for its [`Turn`], runs that way, and reports what it cost.

/// Calls before a function is hot.
pub const HOT: u64 = 32;
/// Calls of each way that are measured.
const SAMPLES: usize = 8;
/// Calls until a way that failed is tried again, and until a decision is asked again; both double each time.
const COOLDOWN: u64 = 256;
const REMATCH: u64 = 1 << 16;
/// Failures after which a way is given up.
const MOST_FAILURES: u32 = 6;
/// A way that costs this many times what another costs is not measured any further.
const HOPELESS: u64 = 8;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The way, by its number.
    pub way: usize,
    /// Whether to report the cost.
    pub measured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not there: nobody has asked for it, or it lost.
    Absent,
    Wanted,
    Ready,
    /// From this call on it may be asked for again.
    Failed(u64),
    GivenUp,
}

#[derive(Clone, Debug)]
struct Way {
    state: State,
    costs: Vec<u64>,
    /// The median of the last race that it ran in.
    median: Option<u64>,
    wins: u64,
    runs: u64,
    failures: u32,
    /// Not tried while others cost more than this.
    patience: Option<u64>,
}

/// The ways of one function. The first is always there.
#[derive(Clone, Debug)]
pub struct Race {
    ways: Vec<Way>,
    calls: u64,
    best: Option<usize>,
    rematch: u64,
    races: u32,
}

impl Race {
    /// A race of several ways: for each, whether it is there already, and above what cost of the first it is not tried.
    #[must_use]
    pub fn new(ways: &[(bool, Option<u64>)]) -> Self {
        let way = |(ready, patience): &(bool, Option<u64>)| Way {
            state: if *ready { State::Ready } else { State::Absent },
            costs: Vec::new(),
            median: None,
            wins: 0,
            runs: 0,
            failures: 0,
            patience: *patience,
        };
        let ways = ways.iter().map(way).collect();
        Self { ways, calls: 0, best: None, rematch: 0, races: 0 }
    }

    /// What the next call does, and the ways to be made meanwhile.
    pub fn turn(&mut self) -> (Turn, Vec<usize>) {
        self.calls += 1;
        let mut wanted = Vec::new();
        if self.calls <= HOT || self.ways.len() < 2 {
            return (self.run(0, false), wanted);
        }
        if self.best.is_some() && self.calls >= self.rematch {
            // The arguments of the calls may have changed since.
            self.best = None;
            self.ways.iter_mut().for_each(|w| w.costs.clear());
        }
        for (i, way) in self.ways.iter_mut().enumerate() {
            let again = match way.state {
                State::Failed(until) => self.calls >= until,
                State::Absent => self.best.is_none(),
                _ => false,
            };
            if again {
                way.state = State::Wanted;
                wanted.push(i);
            }
        }
        if let Some(best) = self.best {
            return (self.run(best, false), wanted);
        }
        let first = median(&self.ways[0].costs);
        let next = (0..self.ways.len())
            .filter(|i| self.is_open(*i, first))
            .min_by_key(|i| self.ways[*i].costs.len());
        match next {
            Some(way) => (self.run(way, true), wanted),
            // Others are on their way: the first runs.
            None => (self.run(0, false), wanted),
        }
    }

    fn run(&mut self, way: usize, measured: bool) -> Turn {
        self.ways[way].runs += 1;
        Turn { way, measured }
    }

    /// Whether a way is there and still to be measured.
    fn is_open(&self, way: usize, first: Option<u64>) -> bool {
        let this = &self.ways[way];
        // The first way goes first: what is hopeless beside it is found out at once.
        if way != 0 && self.ways[0].costs.len() < 3 {
            return false;
        }
        let patient = match (this.patience, first) {
            (Some(most), Some(cost)) => cost <= most,
            (Some(_), None) => false,
            (None, _) => true,
        };
        this.state == State::Ready
            && patient
            && this.costs.len() < SAMPLES
            && !self.is_hopeless(way)
    }

    fn is_hopeless(&self, way: usize) -> bool {
        let Some(cost) = median(&self.ways[way].costs) else { return false };
        let others = self.ways.iter().enumerate().filter(|(i, w)| *i != way && w.costs.len() >= 3);
        others.filter_map(|(_, w)| median(&w.costs)).any(|other| cost / HOPELESS > other)
    }

    /// What a measured call cost. Answers the ways that lost, if that decided the race.
    pub fn report(&mut self, way: usize, cost: u64) -> Vec<usize> {
        if self.best.is_some() {
            return Vec::new();
        }
        self.ways[way].costs.push(cost);
        let first = median(&self.ways[0].costs);
        let waiting = self.ways.iter().any(|w| w.state == State::Wanted);
        if waiting
            || self.ways[0].costs.len() < SAMPLES
            || (0..self.ways.len()).any(|i| self.is_open(i, first))
        {
            return Vec::new();
        }
        let medians: Vec<Option<u64>> = self.ways.iter().map(|w| median(&w.costs)).collect();
        let best = (0..medians.len())
            .filter(|i| medians[*i].is_some())
            .min_by_key(|i| medians[*i])
            .unwrap_or(0);
        for (way, median) in self.ways.iter_mut().zip(&medians) {
            way.median = median.or(way.median);
            way.costs.clear();
        }
        self.ways[best].wins += 1;
        self.best = Some(best);
        self.rematch = self.calls + (REMATCH << self.races.min(20));
        self.races += 1;
        let mut lost = Vec::new();
        for (i, way) in self.ways.iter_mut().enumerate() {
            if i != best && i != 0 && way.state == State::Ready {
                way.state = State::Absent;
                lost.push(i);
            }
        }
        lost
    }

    /// A way that was wanted is there. A race that was decided is run again with it.
    pub fn ready(&mut self, way: usize) {
        self.ways[way].state = State::Ready;
        self.best = None;
        self.ways.iter_mut().for_each(|w| w.costs.clear());
    }

    /// A way that was wanted cannot be made, or does not pay: it is left alone for a while, each time for longer.
    pub fn failed(&mut self, way: usize) {
        let calls = self.calls;
        let this = &mut self.ways[way];
        this.failures += 1;
        this.state = if this.failures >= MOST_FAILURES {
            State::GivenUp
        } else {
            State::Failed(calls + (COOLDOWN << this.failures))
        };
        if self.best == Some(way) {
            self.best = None;
        }
    }

    /// For people: whether each way is the best, its state, wins, runs, and the median of its costs.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let standing = |(i, w): (usize, &Way)| Standing {
            best: self.best == Some(i),
            state: match w.state {
                State::Wanted => "compiling",
                State::Ready => "kept",
                State::Absent if w.median.is_some() => "dropped",
                State::Absent => "not tried",
                State::Failed(_) => "cooling down",
                State::GivenUp => "given up",
            },
            wins: w.wins,
            runs: w.runs,
            median: median(&w.costs).or(w.median),
        };
        self.ways.iter().enumerate().map(standing).collect()
    }
}

/// How a way stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It runs every call.
    pub best: bool,
    /// One or two words.
    pub state: &'static str,
    /// Races that it won.
    pub wins: u64,
    /// Calls that it ran.
    pub runs: u64,
    /// What a call costs.
    pub median: Option<u64>,
}

fn median(costs: &[u64]) -> Option<u64> {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs calls at fixed costs; answers the way of each.
    fn calls(race: &mut Race, count: usize, costs: &[u64]) -> Vec<usize> {
        (0..count)
            .map(|_| {
                let (turn, wanted) = race.turn();
                wanted.into_iter().for_each(|way| race.ready(way));
                if turn.measured {
                    race.report(turn.way, costs[turn.way]);
                }
                turn.way
            })
            .collect()
    }

    #[test]
    fn the_cheapest_way_runs_in_the_end_and_the_others_are_dropped() {
        let mut race = Race::new(&[(true, None), (true, None), (false, None)]);
        let ways = calls(&mut race, 200, &[50, 90, 20]);
        assert!(ways[..HOT as usize].iter().all(|w| *w == 0), "cold calls run the first way");
        assert!(ways[100..].iter().all(|w| *w == 2), "{ways:?}");
        let standing = race.standing();
        assert_eq!(
            standing[2],
            Standing {
                best: true,
                state: "kept",
                wins: 1,
                runs: standing[2].runs,
                median: Some(20)
            }
        );
        assert_eq!((standing[1].state, standing[1].median), ("dropped", Some(90)));
        assert_eq!(standing[0].state, "kept", "the first way stays");
    }

    #[test]
    fn a_hopeless_way_is_measured_once_and_an_impatient_one_never() {
        let mut race = Race::new(&[(true, None), (true, None), (true, Some(1_000))]);
        let ways = calls(&mut race, 200, &[5_000, 900_000, 1]);
        assert_eq!(ways.iter().filter(|w| **w == 1).count(), 1, "{ways:?}");
        assert_eq!(ways.iter().filter(|w| **w == 2).count(), 0, "the first costs more than 1,000");
        assert!(race.standing()[0].best);
    }

    #[test]
    fn failures_are_cooled_down_for_longer_each_time_and_given_up() {
        let mut race = Race::new(&[(true, None), (false, None)]);
        let mut asked = Vec::new();
        for call in 0..100_000_u64 {
            let (turn, wanted) = race.turn();
            for way in wanted {
                asked.push(call);
                race.failed(way);
            }
            if turn.measured {
                race.report(turn.way, 10);
            }
            assert_eq!(turn.way, 0);
        }
        let gaps: Vec<u64> = asked.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(gaps, [512, 1_024, 2_048, 4_096, 8_192]);
        assert_eq!(race.standing()[1].state, "given up");
    }

    #[test]
    fn a_decision_is_asked_again_with_the_costs_of_then() {
        let mut race = Race::new(&[(true, None), (true, None)]);
        calls(&mut race, 100, &[10, 20]);
        assert!(race.standing()[0].best);
        calls(&mut race, 2 * REMATCH as usize, &[30, 20]);
        let standing = race.standing();
        assert!(standing[1].best, "{standing:?}");
        assert_eq!((standing[0].wins, standing[1].wins), (1, 1));
    }
}
