//! Strangers, liars and floods.

use super::support::{echo, until};
use super::*;
use iris::ErrorKind;
use iris::mesh::Secret;
use std::io::{Read, Write};
use std::net::TcpStream;

fn secret(s: &str) -> Option<Secret> {
    Some(Secret::new(s.as_bytes()).unwrap())
}

fn with_secret(s: &str) -> Runtime {
    node_with(MeshOptions { secret: secret(s), ..quick() })
}

#[test]
fn a_secret_encrypts_and_both_need_it() {
    let (a, b) = (with_secret("swordfish"), with_secret("swordfish"));
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let proxy = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    // Of several records; without optimisation each MiB is seconds of work for both.
    let large = vec![3; 1 << 18];
    assert_eq!(*a.call_blocking(proxy, large.clone(), LONG).unwrap(), *large);
    for stranger in [with_secret("password"), node()] {
        let e = stranger.resolve_remote(&at, "echo", LONG).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AuthFailed, "fault 31: {e}");
    }
    let open = node();
    let at = listen(&open);
    assert_eq!(a.resolve_remote(&at, "x", LONG).unwrap_err().kind(), ErrorKind::AuthFailed);
    assert_eq!(b.nodes().len(), 1, "strangers are nobody");
}

#[test]
fn fault_29_garbage_is_closed_and_others_are_served() {
    let (a, b, _, _, proxy) = pair(echo);
    let at = b.listening()[0].clone();
    let mut preamble = b"IRIS\x01\x01\x00\x00\x00\x00\x00\x00".to_vec();
    let cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xFF; 64],
        // A genuine preamble, then a record of 4 GiB, of none, of nonsense.
        [&preamble[..], &[0xFF; 4]].concat(),
        [&preamble[..], &[0; 4]].concat(),
        [&preamble[..], &[9, 0, 0, 0], &[0xAA; 9]].concat(),
    ];
    for case in cases {
        let mut s = TcpStream::connect(&at).unwrap();
        s.set_read_timeout(Some(LONG)).unwrap();
        s.write_all(&case).unwrap();
        // Closed: the read ends, by an end or by a reset.
        let _ = s.read_to_end(&mut Vec::new());
    }
    preamble.truncate(5);
    drop(TcpStream::connect(&at).unwrap().write_all(&preamble));
    assert_eq!(&*a.call_blocking(proxy, b"x", LONG).unwrap(), b"x");
    assert_eq!(b.nodes().len(), 1);
}

#[test]
fn fault_30_a_thousand_slow_handshakes_hinder_nobody() {
    let options = MeshOptions { max_handshakes: 32, ..quick() };
    let b = node_with(options);
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let slow: Vec<_> = (0..1000)
        .map(|_| {
            let mut s = TcpStream::connect(&at).unwrap();
            let _ = s.write_all(b"IRI");
            s
        })
        .collect();
    until("the cap holds", || b.mesh_metrics().handshakes <= 33);
    let a = node();
    let proxy = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    assert_eq!(&*a.call_blocking(proxy, b"x", LONG).unwrap(), b"x");
    drop(slow);
}

#[test]
fn fault_32_a_flood_of_pids_is_capped_and_counted() {
    let a = node();
    let b = node_with(MeshOptions { max_refs: 100, ..quick() });
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let proxy = a.resolve_remote(&at, "echo", LONG).unwrap().unwrap();
    let pids: Vec<_> = (0..300).map(|_| echo(&b)).collect();
    let proxies: Vec<_> = pids.iter().map(|p| a.remote_pid(&at, *p).unwrap()).collect();
    a.call_blocking(proxy, b"x", LONG).unwrap();
    let alive = proxies.iter().filter(|p| a.is_alive(**p)).count();
    assert!(alive < 100, "{alive} are known");
    assert!(b.mesh_metrics().forbidden >= 200);
    for i in 0..1000 {
        assert_eq!(a.resolve_remote(&at, &format!("nobody {i}"), LONG).unwrap(), None);
    }
    assert_eq!(&*a.call_blocking(proxy, b"x", LONG).unwrap(), b"x");
}

/// What comes before the record that opens a connection would be lost: such a connection is closed, so that its sender says it
/// again over the next one.
#[test]
fn fault_29_a_message_before_the_record_that_opens_closes_the_connection() {
    use iris::mesh::wire::greeting::{Greeting, Hello, NodeRef, Permissions, Preamble};
    use iris::mesh::wire::op::Op;
    use iris::mesh::wire::record::Record;
    let b = node();
    let at = listen(&b);
    let (pid, got) = collector(&b);
    b.register("it", pid).unwrap();
    let framed = |body: &[u8]| [&(body.len() as u32).to_le_bytes(), body].concat();
    let ask = |wire: &mut TcpStream, node: u8| {
        let hello = Hello {
            me: NodeRef { node: [node; 16], incarnation: 1 },
            you: NodeRef::UNKNOWN,
            received: 0,
            grants: Permissions::ALL,
            max_payload: 1 << 20,
            address: String::new(),
        };
        wire.set_read_timeout(Some(LONG)).unwrap();
        wire.write_all(&Preamble::own(false).encode()).unwrap();
        wire.write_all(&framed(&Greeting::Hello(hello).encode())).unwrap();
        let mut head = [0; 16];
        wire.read_exact(&mut head).unwrap();
        let mut welcome = vec![0; u32::from_le_bytes(head[12..].try_into().unwrap()) as usize];
        wire.read_exact(&mut welcome).unwrap();
        assert!(matches!(Greeting::decode(&welcome), Ok(Greeting::Welcome(_))));
    };
    let record = |record: Record<'_>| {
        let mut body = Vec::new();
        record.put(&mut body);
        framed(&body)
    };
    let mut ops = Vec::new();
    Op::Resolve { id: 1, name: "it" }.put(&mut ops);
    Op::Send { to: pid.to_bits(), from: 0, payload: b"hello" }.put(&mut ops);
    let data = record(Record::Data { offset: 0, ack: 0, bytes: &ops });
    let ping = record(Record::Ping { ack: 0, stalled: false, stamp: 0 });
    for early in
        [&data, &record(Record::Ack { ack: 0 }), &record(Record::Pong { ack: 0, stamp: 1 })]
    {
        let mut wire = TcpStream::connect(&at).unwrap();
        ask(&mut wire, 7);
        let _ = wire.write_all(&[&early[..], &ping, &data].concat());
        // By an end or by a reset.
        let _ = wire.read_to_end(&mut Vec::new());
        assert!(b.nodes().is_empty(), "nothing was begun");
    }
    assert!(got.try_recv().is_err());
    let mut wire = TcpStream::connect(&at).unwrap();
    ask(&mut wire, 8);
    wire.write_all(&[ping, data].concat()).unwrap();
    assert_eq!(got.recv_timeout(LONG).unwrap(), b"hello", "in the right order it is taken");
}

proptest::proptest! {
    /// What fuzz/fuzz_targets/handshake.rs does for hours, for a moment and without a nightly compiler.
    #[test]
    fn fault_29_no_bytes_make_a_handshake_panic(
        mut rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000),
        genuine: bool, keyed: bool, first: bool, size in 1_usize..700, at: proptest::sample::Index, byte: u8,
    ) {
        use iris::mesh::secure::{Opening, Role};
        let role = || if first { Role::Initiator } else { Role::Responder };
        let key = || secret("swordfish").filter(|_| keyed);
        let (mut out, mut read) = (Vec::new(), Vec::new());
        if genuine {
            // The other side's own first bytes with one of them changed, and rubbish behind them.
            let other = if first { Role::Responder } else { Role::Initiator };
            let mut said = Vec::new();
            let _ = Opening::new(other, key(), &mut said);
            if !said.is_empty() {
                let i = at.index(said.len());
                said[i] = byte;
            }
            said.append(&mut rest);
            rest = said;
        }
        let mut opening = Opening::new(role(), key(), &mut out);
        for piece in rest.chunks(size) {
            read.extend_from_slice(piece);
            if !matches!(opening.advance(&mut read, &mut out), Ok(None)) {
                break;
            }
        }
        proptest::prop_assert!(read.len() <= 64 << 10, "nothing is hoarded before authentication");
    }
}
