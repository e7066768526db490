//! The wire against its vectors and against nonsense.

use super::greeting::{Greeting, Hello, NodeRef, Permissions, Preamble, Refuse, RefuseCode};
use super::op::{Op, StopMode, Texts};
use super::record::{self, Record};
use super::*;
use crate::error::ErrorKind;
use crate::message::ExitReason;
use proptest::prelude::*;
use std::fmt::Write as _;

const VECTORS: &str = include_str!("../../../tests/vectors/wire.json");

fn hello() -> Hello {
    Hello {
        me: NodeRef { node: *b"0123456789abcdef", incarnation: 1 },
        you: NodeRef::UNKNOWN,
        received: 0,
        grants: Permissions { any_pid: true, resolve: true, stop: false },
        max_payload: 16 << 20,
        address: "127.0.0.1:9000".into(),
    }
}

/// Everything that the vectors pin: a name, the bytes, and what they mean in words that other languages check.
fn samples() -> Vec<(&'static str, Vec<u8>, String)> {
    let (message, stack) = ("no way", "at line 1");
    let texts = Texts { message, stack };
    let op = |name, op: Op<'_>, fields: &str| {
        let mut bytes = Vec::new();
        op.put(&mut bytes);
        (name, bytes, fields.to_owned())
    };
    let record = |name, record: Record<'_>, fields: &str| {
        let mut bytes = Vec::new();
        record.put(&mut bytes);
        let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        (name, framed, fields.to_owned())
    };
    let greeting = |name, g: Greeting, fields: &str| (name, g.encode(), fields.to_owned());
    let known = NodeRef { node: *b"fedcba9876543210", incarnation: 3 };
    let back = Hello { you: known, received: 77, address: String::new(), ..hello() };
    let refuse = Refuse { code: RefuseCode::DeclaredDown, incarnation: 2, why: "come back".into() };
    vec![
        (
            "preamble",
            Preamble::own(false).encode().to_vec(),
            r#""low":1,"high":1,"secured":false,"capabilities":0"#.into(),
        ),
        (
            "preamble",
            Preamble::own(true).encode().to_vec(),
            r#""low":1,"high":1,"secured":true,"capabilities":0"#.into(),
        ),
        greeting(
            "hello",
            Greeting::Hello(hello()),
            r#""node":"30313233343536373839616263646566","incarnation":1,"received":0,"grants":3,"max_payload":16777216,"address":"127.0.0.1:9000""#,
        ),
        greeting(
            "welcome",
            Greeting::Welcome(back),
            r#""node":"30313233343536373839616263646566","incarnation":1,"received":77,"grants":3,"max_payload":16777216,"address":"""#,
        ),
        greeting(
            "refuse",
            Greeting::Refuse(refuse),
            r#""code":3,"incarnation":2,"why":"come back""#,
        ),
        record(
            "data",
            Record::Data { offset: 300, ack: 5, bytes: b"\x02\x08\x01" },
            r#""offset":300,"ack":5,"bytes":"020801""#,
        ),
        record("ack", Record::Ack { ack: 1 << 40 }, r#""ack":1099511627776"#),
        record(
            "ping",
            Record::Ping { ack: 1, stalled: true, stamp: 9 },
            r#""ack":1,"stalled":true,"stamp":9"#,
        ),
        record("pong", Record::Pong { ack: 1, stamp: 9 }, r#""ack":1,"stamp":9"#),
        op(
            "send",
            Op::Send { to: (1 << 53) - 1, from: 0, payload: b"hi" },
            r#""to":9007199254740991,"from":0,"payload":"6869""#,
        ),
        op(
            "send",
            Op::Send { to: 8_388_608, from: 8_388_609, payload: b"" },
            r#""to":8388608,"from":8388609,"payload":"""#,
        ),
        op(
            "call",
            Op::Call { to: 8_388_608, from: 0, id: 300, timeout_ms: 5000, payload: b"?" },
            r#""to":8388608,"from":0,"id":300,"timeout_ms":5000,"payload":"3f""#,
        ),
        op("reply", Op::Reply { id: 300, payload: b"!" }, r#""id":300,"payload":"21""#),
        op(
            "fail",
            Op::Fail { id: 1, kind: ErrorKind::HandlerFailed, texts },
            r#""id":1,"kind":3,"message":"no way","stack":"at line 1""#,
        ),
        op("cancel", Op::Cancel { id: 127 }, r#""id":127"#),
        op("resolve", Op::Resolve { id: 1, name: "auth" }, r#""id":1,"name":"auth""#),
        op(
            "resolved",
            Op::Resolved { id: 1, pid: 8_388_608, credit: 16_384 },
            r#""id":1,"pid":8388608,"credit":16384"#,
        ),
        op("watch", Op::Watch { pid: 8_388_608 }, r#""pid":8388608"#),
        op("credit", Op::Credit { pid: 8_388_608, more: 128 }, r#""pid":8388608,"more":128"#),
        op(
            "exit",
            Op::Exit { pid: 8_388_608, reason: ExitReason::NodeDown, texts: Texts::default() },
            r#""pid":8388608,"reason":9,"message":"","stack":"""#,
        ),
        op("stop", Op::Stop { pid: 8_388_608, mode: StopMode::Drain }, r#""pid":8388608,"mode":1"#),
        op(
            "link",
            Op::Link { to: 8_388_608, from: 8_388_609, on: true },
            r#""to":8388608,"from":8388609,"on":true"#,
        ),
        op("info", Op::Info { id: 1, pid: 8_388_608 }, r#""id":1,"pid":8388608"#),
        op(
            "info_is",
            Op::InfoIs { id: 1, alive: true, queue: 2, capacity: 0, handled: 3 },
            r#""id":1,"alive":true,"queue":2,"capacity":0,"handled":3"#,
        ),
        op("goodbye", Op::Goodbye, r#""#),
        op("gossip", Op::Gossip { payload: b"\x00\x01" }, r#""payload":"0001""#),
        op(
            "down",
            Op::Down {
                to: 8_388_608,
                reference: 300,
                reason: ExitReason::Crash,
                about: b"\x01\x02",
                texts,
            },
            r#""to":8388608,"reference":300,"reason":3,"about":"0102","message":"no way","stack":"at line 1""#,
        ),
        op("trap", Op::Trap { pid: 8_388_608, on: true }, r#""pid":8388608,"on":true"#),
        op(
            "link_far",
            Op::LinkFar { to: 8_388_608, on: true, other: b"\x01" },
            r#""to":8388608,"on":true,"other":"01""#,
        ),
        op("codec", Op::Codec { pid: 8_388_608, name: "json" }, r#""pid":8388608,"name":"json""#),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// The vectors are what this writes; a change of the wire shows in the diff. `IRIS_BLESS=1` writes them anew.
#[test]
fn the_vectors_are_what_is_sent() {
    let mut text = String::from("[\n");
    let all = samples();
    for (i, (name, bytes, fields)) in all.iter().enumerate() {
        let comma = if i + 1 == all.len() { "" } else { "," };
        let _ = writeln!(
            text,
            "  {{ \"kind\": \"{name}\", \"hex\": \"{}\", \"fields\": {{{fields}}} }}{comma}",
            hex(bytes)
        );
    }
    text.push_str("]\n");
    if std::env::var_os("IRIS_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/wire.json"), &text)
            .expect("written");
        return;
    }
    // However a formatter lays it out.
    let bare = |s: &str| s.split_whitespace().collect::<String>();
    assert_eq!(
        bare(VECTORS),
        bare(&text),
        "the wire has changed: a new version, or IRIS_BLESS=1 before the first release"
    );
}

#[test]
fn what_is_sent_is_what_is_understood() {
    for (name, bytes, _) in samples() {
        match name {
            "preamble" => {
                let p = Preamble::decode(&bytes).expect("a preamble");
                assert_eq!(p.encode()[..], bytes);
            }
            "hello" | "welcome" | "refuse" => {
                assert_eq!(Greeting::decode(&bytes).expect("a greeting").encode(), bytes);
            }
            "data" | "ack" | "ping" | "pong" => {
                let n = record::split(&bytes, MAX_RECORD).expect("a record").expect("whole");
                assert_eq!(n, bytes.len() - record::LENGTH);
                let mut again = Vec::new();
                Record::decode(&bytes[record::LENGTH..]).expect("a record").put(&mut again);
                assert_eq!(again[..], bytes[record::LENGTH..]);
            }
            _ => {
                let (head, body) = op::split(&bytes, 1 << 20).expect("an op").expect("whole");
                assert_eq!(head + body, bytes.len(), "{name}");
                let mut again = Vec::new();
                Op::decode(&bytes[head..]).expect(name).put(&mut again);
                assert_eq!(again, bytes, "{name}");
            }
        }
    }
}

#[test]
fn every_cut_of_a_sample_is_short_and_never_something_else() {
    for (name, bytes, _) in samples() {
        for n in 0..bytes.len() {
            match name {
                "preamble" => assert!(Preamble::decode(&bytes[..n]).is_err()),
                "hello" | "welcome" | "refuse" => assert!(Greeting::decode(&bytes[..n]).is_err()),
                "data" | "ack" | "ping" | "pong" => {
                    assert_eq!(record::split(&bytes[..n], MAX_RECORD), Ok(None));
                }
                _ => assert_eq!(op::split(&bytes[..n], 1 << 20), Ok(None), "{name}"),
            }
        }
    }
}

/// What the fuzzers start from, and what they once found.
#[test]
fn the_corpus_makes_no_decoder_panic() {
    let corpus = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"));
    let mut seen = 0;
    for folder in std::fs::read_dir(corpus).expect("a corpus").flatten() {
        for file in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
            let bytes = std::fs::read(file.path()).expect("a file");
            let _ = Preamble::decode(&bytes);
            let _ = Greeting::decode(&bytes);
            let _ = Record::decode(&bytes);
            if let Ok(Some((head, body))) = op::split(&bytes, 1 << 20) {
                let _ = Op::decode(&bytes[head..head + body]);
            }
            let _ = crate::mesh::stream::Inbound::default().accept(0, &bytes, 4096, |_, _| ());
            seen += 1;
        }
    }
    assert!(seen >= 26, "{seen} files");
}

#[test]
fn kinds_of_a_later_version_are_skipped() {
    assert_eq!(Op::decode(&[200, 1, 2, 3]), Ok(Op::Unknown { kind: 200 }));
    let mut longer = Greeting::Hello(hello()).encode();
    longer.extend_from_slice(b"of a later version");
    assert_eq!(Greeting::decode(&longer), Ok(Greeting::Hello(hello())));
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Preamble::decode(&bytes);
        let _ = Greeting::decode(&bytes);
        let _ = record::split(&bytes, MAX_RECORD);
        let _ = Record::decode(&bytes);
        let _ = op::split(&bytes, 1 << 20);
        let _ = Op::decode(&bytes);
    }

    #[test]
    fn a_sample_with_a_wrong_byte_is_an_error_at_worst(which in 0usize..29, at in any::<prop::sample::Index>(), byte: u8) {
        let (_, mut bytes, _) = samples().swap_remove(which);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Greeting::decode(&bytes);
        let _ = Record::decode(&bytes);
        if let Ok(Some((head, body))) = op::split(&bytes, 1 << 20) {
            let _ = Op::decode(&bytes[head..head + body]);
        }
    }

    #[test]
    fn numbers_come_back(n: u64) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, n);
        prop_assert_eq!(bytes.len(), varint_len(n));
        let mut r = Reader(&bytes);
        prop_assert_eq!(r.varint(), Ok(n));
        prop_assert!(r.0.is_empty());
    }

    #[test]
    fn agreement_is_the_same_from_both_sides(a: (u8, u8), b: (u8, u8), x: u32, y: u32) {
        let p = |v: (u8, u8), capabilities| Preamble { versions: (v.0.min(v.1), v.0.max(v.1)), secured: false, capabilities };
        let (a, b) = (p(a, x), p(b, y));
        prop_assert_eq!(a.agree(&b), b.agree(&a));
    }
}
