//! The tables of docs/supervision.md and docs/observability.md say what the code does.

use iris::path::Path;
use iris::supervision::policy::{Restart, Strategy};
use iris::supervision::tree::{ChildId, ChildOptions, Command, SupervisorOptions, Tree};
use iris::{Config, ExitReason, Pid, Runtime};
use std::collections::{BTreeSet, HashMap};

fn page(name: &str) -> String {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a page")
}

/// The rows of the table under a heading, head first, as cells.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, below) = page.split_once(heading).expect("the heading is there");
    let lines =
        below.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| l.starts_with('|'));
    let cells = |l: &str| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    lines.filter(|l| !l.starts_with("|---")).map(cells).collect()
}

/// What stands between backticks.
fn words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn path() -> Path {
    Path::parse("/svc").expect("a path")
}

fn pid(n: u64) -> Pid {
    Pid::from_bits(1 << 23 | n).expect("a pid")
}

/// A supervisor and some children, in the order of their starts: how each restarts, and whether it has a factory.
struct Stage {
    tree: Tree,
    ids: HashMap<ChildId, usize>,
    next: u64,
}

impl Stage {
    fn new(strategy: Strategy, children: &[(Restart, bool)]) -> Self {
        let mut tree = Tree::new(1);
        let options = SupervisorOptions { strategy: Some(strategy), ..Default::default() };
        assert!(tree.create(&path(), options));
        let mut ids = HashMap::new();
        for (i, (restart, factory)) in children.iter().enumerate() {
            let child = ChildOptions { restart: *restart, ..ChildOptions::default() };
            let id = tree.supervise(&path(), pid(i as u64), *factory, child).expect("a child");
            ids.insert(id, i);
        }
        Self { tree, ids, next: children.len() as u64 }
    }

    /// Carries out all that follows; answers who was stopped and who was started.
    fn follow(&mut self) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut stopped, mut started) = (BTreeSet::new(), BTreeSet::new());
        while let Some(command) = self.tree.command() {
            match command {
                Command::Stop { pid: who, parks } => {
                    stopped.insert((who.to_bits() & 0xFF) as usize);
                    self.tree.ended(who, ExitReason::Shutdown, None, parks);
                }
                Command::Start { child, ticket, .. } => {
                    started.insert(self.ids[&child]);
                    self.tree.started(ticket, pid(self.next));
                    self.next += 1;
                }
                Command::HandOver { child, .. } => self.tree.handed(child, Ok(())),
                _ => {}
            }
        }
        (stopped, started)
    }
}

#[test]
fn the_table_of_policies_and_exits_is_what_a_supervisor_does() {
    let rows = table(&page("supervision.md"), "## Policy x exit");
    let policies: Vec<Restart> = rows[0][1..]
        .iter()
        .map(|head| Restart::parse(words(head)[0]).expect("a restart type"))
        .collect();
    assert_eq!(policies.len(), 3);
    let mut told = Vec::new();
    for row in &rows[1..] {
        let reasons: Vec<ExitReason> = words(&row[0])
            .into_iter()
            .filter_map(|word| ExitReason::ALL.into_iter().find(|why| why.as_str() == word))
            .collect();
        for (policy, cell) in policies.iter().zip(&row[1..]) {
            let expected = match cell.as_str() {
                "restart" => BTreeSet::from([0]),
                "-" => BTreeSet::new(),
                other => panic!("what does {other:?} say?"),
            };
            for why in &reasons {
                let mut stage = Stage::new(Strategy::One, &[(*policy, true)]);
                stage.tree.ended(pid(0), *why, None, policy.applies_to(*why));
                assert_eq!(stage.follow().1, expected, "{policy:?} after {why:?}");
            }
            if reasons.is_empty() {
                assert!(row[0].contains("terminateChild"), "{row:?}");
                let mut stage = Stage::new(Strategy::One, &[(*policy, true)]);
                assert!(stage.tree.terminate(&path(), pid(0)));
                stage.tree.ended(pid(0), ExitReason::Shutdown, None, false);
                assert_eq!(stage.follow().1, expected, "{policy:?} after terminateChild");
            }
        }
        told.extend(reasons);
    }
    told.sort_by_key(|why| why.as_str());
    let mut all: Vec<_> = ExitReason::ALL.into_iter().collect();
    all.sort_by_key(|why| why.as_str());
    assert_eq!(told, all, "each reason has one row");
}

#[test]
fn the_table_of_strategies_and_siblings_is_what_a_supervisor_does() {
    /// One of each kind on either side of the child that crashes.
    const CHILDREN: [(Restart, bool); 7] = [
        (Restart::Permanent, true),
        (Restart::Temporary, true),
        (Restart::Permanent, false),
        (Restart::Permanent, true),
        (Restart::Permanent, true),
        (Restart::Temporary, true),
        (Restart::Permanent, false),
    ];
    const IT: usize = 3;
    let rows = table(&page("supervision.md"), "## Strategy x sibling");
    for (column, head) in rows[0].iter().enumerate().skip(1) {
        let strategy = Strategy::parse(words(head)[0]).expect("a strategy");
        let mut stage = Stage::new(strategy, &CHILDREN);
        stage.tree.ended(pid(IT as u64), ExitReason::Crash, None, true);
        let (stopped, started) = stage.follow();
        assert!(started.contains(&IT) && !stopped.contains(&IT));
        let fate = |i: usize| match (stopped.contains(&i), started.contains(&i)) {
            (false, false) => "-",
            (true, true) => "restart",
            (true, false) => "stopped for good",
            (false, true) => "doubled",
        };
        for row in &rows[1..] {
            let (before, after) = match row[0].as_str() {
                "started before it" => (Some(0), None),
                "started after it" => (None, Some(4)),
                "`temporary`" => (Some(1), Some(5)),
                "without a factory (watched)" => (Some(2), Some(6)),
                other => panic!("who is {other:?}?"),
            };
            let (says, only_after) = match row[column].split_once(", if it was started after") {
                Some((says, _)) => (says, true),
                None => (row[column].as_str(), false),
            };
            if let Some(i) = before {
                assert_eq!(
                    fate(i),
                    if only_after { "-" } else { says },
                    "{head}: {} before",
                    row[0]
                );
            }
            if let Some(i) = after {
                assert_eq!(fate(i), says, "{head}: {} after", row[0]);
            }
        }
    }
}

/// Names of metrics without `_total`, and the values that their label `reason` has.
type Metrics = HashMap<String, BTreeSet<String>>;

fn bare(name: &str) -> String {
    name.trim_end_matches("_total").to_owned()
}

#[test]
fn the_table_of_metrics_names_what_is_exposed_and_nothing_else() {
    let mut told = Metrics::new();
    for row in &table(&page("observability.md"), "## Metrics")[1..] {
        let name = words(&row[0])[0];
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        assert!(!row[1].is_empty() && !row[2].is_empty(), "{name} has a unit and a meaning");
        let mut reasons = BTreeSet::new();
        if labels.starts_with("reason") {
            reasons.extend(words(&row[2]).into_iter().map(str::to_owned));
            if row[2].contains("exit reason") {
                reasons.extend(ExitReason::ALL.into_iter().map(|why| why.as_str().to_owned()));
            }
        }
        assert!(told.insert(bare(name), reasons).is_none(), "{name} is there twice");
    }
    let rt = Runtime::new(Config::default()).expect("a runtime");
    let _lane = rt.open_lane_of("node", || {});
    let text = rt.metrics().prometheus();
    let mut exposed = Metrics::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().expect("a name");
            exposed.insert(bare(name), BTreeSet::new());
        } else if let Some((name, rest)) = line.split_once("{reason=\"") {
            let reason = rest.split('"').next().expect("a value").to_owned();
            exposed.entry(bare(name)).or_default().insert(reason);
        }
    }
    let names = |m: &Metrics| m.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&told), names(&exposed));
    for (name, reasons) in &exposed {
        assert_eq!(*reasons, told[name], "{name}");
    }
}
