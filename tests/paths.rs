//! Paths and system messages: docs/semantics.md, sections 13 and 14.

mod support;

use iris::{Context, ErrorKind, ExitReason, Message, Pid, Runtime, SystemKind, SystemMessage};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{quiet, runtime};

fn idle(rt: &Runtime) -> Pid {
    rt.spawn(|_: Message, _: &mut Context<'_>| {}).expect("an actor")
}

fn texts(found: Vec<(std::sync::Arc<str>, Pid)>) -> Vec<String> {
    found.into_iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn prefixes_match_whole_segments_and_answers_are_in_path_order() {
    let rt = runtime(1);
    let pid = idle(&rt);
    for path in ["/a/bc", "/a/b/c/d", "/a/b", "/a/b-c", "/a/b/c/", "/b", "/a/b/a"] {
        rt.register_path(path, pid).expect(path);
    }
    assert_eq!(texts(rt.list_children("/a/b").unwrap()), ["/a/b/a", "/a/b/c", "/a/b/c/d"]);
    assert_eq!(texts(rt.list_children_direct("/a/b/").unwrap()), ["/a/b/a", "/a/b/c"]);
    assert_eq!(texts(rt.list_children_direct("/").unwrap()), ["/b"]);
    assert_eq!(texts(rt.list_children_direct("/a").unwrap()), ["/a/b", "/a/b-c", "/a/bc"]);
    assert_eq!(rt.list_children("/").unwrap().len(), 7);
    assert_eq!(rt.list_children("/a/x").unwrap(), []);
    assert_eq!(rt.whereis_path("/a/b/").unwrap(), Some(pid));
    rt.close(support::PATIENCE).unwrap();
}

#[test]
fn a_path_has_one_living_holder_and_ends_with_it() {
    let rt = runtime(1);
    let (first, second) = (idle(&rt), idle(&rt));
    rt.register_path("/svc/one", first).unwrap();
    rt.register_path("/svc/one/", first).expect("the same pair again is fine");
    let taken = rt.register_path("/svc/one", second).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::NameTaken);
    assert!(rt.stop(first));
    assert_eq!(rt.whereis_path("/svc/one").unwrap(), None);
    assert_eq!(rt.list_children("/svc").unwrap(), []);
    rt.register_path("/svc/one", second).expect("free again");
    assert_eq!(rt.register_path("/svc/two", first).unwrap_err().kind(), ErrorKind::NoSuchActor);
    assert!(rt.unregister_path("/svc/one").unwrap());
    assert!(!rt.unregister_path("/svc/one").unwrap());
    assert_eq!(rt.metrics().paths, 0);
    quiet(&rt);
}

#[test]
fn a_million_paths_answer_in_the_size_of_the_answer() {
    let rt = runtime(1);
    let pid = idle(&rt);
    let n = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    for i in 0..n {
        rt.register_path(&format!("/big/{}/{}/x", i % 1000, i), pid).unwrap();
    }
    rt.register_path("/big/7/direct", pid).unwrap();
    // None of the thousand inner nodes is registered, so none of them costs anything here.
    assert_eq!(texts(rt.list_children_direct("/big/7").unwrap()), ["/big/7/direct"]);
    assert_eq!(rt.list_children("/big/7").unwrap().len(), n / 1000 + 1);
    assert_eq!(rt.list_children_direct("/big").unwrap(), []);
    assert!(rt.stop(pid));
    assert_eq!(rt.metrics().paths, 0);
}

#[test]
fn system_messages_keep_their_order_and_need_no_room() {
    let rt = runtime(1);
    let options = iris::SpawnOptions { capacity: Some(1), ..Default::default() };
    let puller = rt.spawn_pull(options, |_| {}).unwrap();
    let tell = || {
        rt.tell_system(SystemMessage {
            kind: SystemKind::Ping,
            from: None,
            target: puller,
            reason: None,
            metadata: Vec::new(),
        })
    };
    assert!(tell());
    assert!(rt.send(puller, b"one"), "what is exempt takes no room");
    assert!(!rt.send(puller, b"two"));
    assert!(tell());
    assert_eq!(rt.mailbox_size(puller), Some(1), "user messages are counted");
    let mut seen = Vec::new();
    while let iris::Pulled::Message(e) = rt.pull(puller) {
        seen.push(e.payload.as_system().map(|m| m.kind));
    }
    assert_eq!(seen, [Some(SystemKind::Ping), None, Some(SystemKind::Ping)]);
    assert!(tell());
    let books = rt.metrics().books;
    assert!(rt.kill(puller));
    assert!(!tell(), "the dead hear nothing");
    assert_eq!(rt.metrics().books.dead[ExitReason::Killed as usize], books.queued);
    let deaf = idle(&rt);
    assert!(!rt.tell_system(SystemMessage {
        kind: SystemKind::Ping,
        from: None,
        target: deaf,
        reason: None,
        metadata: Vec::new(),
    }));
    quiet(&rt);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn listings_are_those_of_a_sorted_map(
        ops in prop::collection::vec((prop::bool::weighted(0.7), "(/[a-b.-]{1,2}){1,4}"), 1..60),
        prefix in "(/[a-b.-]{1,2}){1,3}",
    ) {
        let rt = runtime(1);
        let pid = idle(&rt);
        let mut model = BTreeMap::new();
        for (add, path) in ops {
            if add {
                rt.register_path(&path, pid).unwrap();
                model.insert(path, ());
            } else {
                prop_assert_eq!(rt.unregister_path(&path).unwrap(), model.remove(&path).is_some());
            }
        }
        let below: Vec<String> =
            model.keys().filter(|p| p.starts_with(&format!("{prefix}/"))).cloned().collect();
        let direct: Vec<String> = below
            .iter()
            .filter(|p| !p[prefix.len() + 1..].contains('/'))
            .cloned()
            .collect();
        prop_assert_eq!(texts(rt.list_children(&prefix).unwrap()), below);
        prop_assert_eq!(texts(rt.list_children_direct(&prefix).unwrap()), direct);
        prop_assert!(rt.audit().is_ok());
    }
}
