//! Who watches hears of spawns, ends and dead letters: each once, in order, with what it needs to know.

mod support;

use iris::runtime::{DEAD_LETTERS, EXITS, Event, SPAWNS};
use iris::{CrashInfo, ExitReason, SpawnOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Host, runtime};

fn told(event: &Event) -> String {
    match event {
        Event::Spawned { pid, parent } => format!("spawned {pid} by {parent:?}"),
        Event::Ended(info) => format!("ended {} {}", info.pid, info.reason.as_str()),
        Event::DeadLetter(d) => {
            let bytes = d.payload.as_ref().map(|p| String::from_utf8_lossy(p).into_owned());
            format!("dead {} {} {bytes:?} call={}", d.pid, d.reason.as_str(), d.is_call)
        }
        Event::Node(node) => format!("node {} {:?}", node.id, node.down),
    }
}

#[test]
fn every_message_that_dies_is_told_once_before_the_end_of_its_actor() {
    let rt = runtime(1);
    let rung = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&rung);
    let watch = rt.watch_events(SPAWNS | EXITS | DEAD_LETTERS, move || {
        bell.fetch_add(1, Ordering::SeqCst);
    });
    let mut host = Host::open(&rt);
    let parent = host.spawn();
    let child = host
        .lane
        .spawn(0, SpawnOptions { parent: Some(parent), ..SpawnOptions::default() })
        .expect("a child");
    for text in ["a", "b", "c"] {
        assert!(rt.send(parent, text));
    }
    host.lane.take(&mut host.batch, 10, |_| true);
    host.lane.crash(&mut host.batch, 0, CrashInfo::default());
    let all = host.batch.envelopes.len();
    host.lane.settle(&mut host.batch, all, all);

    let (events, lost) = watch.take(100);
    let got: Vec<_> = events.iter().map(told).collect();
    assert_eq!(lost, 0);
    assert_eq!(
        got[..2],
        [format!("spawned {parent} by None"), format!("spawned {child} by {:?}", Some(parent))]
    );
    let dead: Vec<_> = got.iter().filter(|e| e.starts_with("dead")).collect();
    assert_eq!(
        dead,
        [
            &format!("dead {parent} crash None call=false"),
            &format!("dead {parent} crash Some(\"b\") call=false"),
            &format!("dead {parent} crash Some(\"c\") call=false"),
        ]
    );
    let ends: Vec<_> = got.iter().filter(|e| e.starts_with("ended")).collect();
    assert_eq!(ends, [&format!("ended {child} parent_exit"), &format!("ended {parent} crash")]);
    assert_eq!(rt.metrics().books.dead[ExitReason::Crash as usize], 3);
    assert_eq!(rung.load(Ordering::SeqCst), 1, "one bell until the watcher takes");

    drop(watch);
    host.spawn();
    assert_eq!(rung.load(Ordering::SeqCst), 1, "who went away is told nothing");
}

#[test]
fn what_nobody_takes_is_forgotten_and_counted() {
    let rt = runtime(1);
    let watch = rt.watch_events(SPAWNS, || ());
    let host = Host::open(&rt);
    for _ in 0..65_536 + 10 {
        host.spawn();
    }
    let (first, lost) = watch.take(1);
    assert_eq!((first.len(), lost), (1, 10));
    let (rest, lost) = watch.take(usize::MAX);
    assert_eq!((rest.len(), lost), (65_535, 0));
}
