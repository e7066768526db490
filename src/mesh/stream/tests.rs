//! The stream under seeded faults: cuts, lost tails, records that come twice or in another order.

use super::*;
use proptest::prelude::*;

/// Two ends and a wire that a script tortures.
struct Sim {
    out: Outbound,
    inb: Inbound,
    /// Records on the wire: offset and bytes.
    wire: VecDeque<(u64, Vec<u8>)>,
    got: Vec<u64>,
    cuts: u32,
}

impl Sim {
    fn new() -> Self {
        Self {
            out: Outbound::default(),
            inb: Inbound::default(),
            wire: VecDeque::new(),
            got: Vec::new(),
            cuts: 0,
        }
    }

    fn say(&mut self, n: u64, length: usize) {
        let mut payload = n.to_le_bytes().to_vec();
        payload.resize(length.max(8), n as u8);
        self.out.push_with(&Op::Send { to: 7, from: 0, payload: b"" }, payload.into());
    }

    fn transmit(&mut self, most: usize) {
        let mut bytes = Vec::new();
        let offset = self.out.cursor();
        let n = self.out.next(most.max(1), |piece| bytes.extend_from_slice(piece.bytes()));
        assert_eq!(bytes.len(), n);
        if n != 0 {
            self.wire.push_back((offset, bytes));
            self.out.sent(n);
        }
    }

    fn receive(&mut self) {
        let Some((offset, bytes)) = self.wire.pop_front() else { return };
        let got = &mut self.got;
        let outcome = self.inb.accept(offset, &bytes, 1 << 20, |op, own| match op {
            Op::Send { to: 7, payload, .. } => {
                let payload = own.as_deref().unwrap_or(payload);
                let n = u64::from_le_bytes(payload[..8].try_into().expect("eight bytes"));
                assert!(payload[8..].iter().all(|b| *b == n as u8), "message {n} is whole");
                got.push(n);
            }
            other => panic!("{other:?}"),
        });
        match outcome {
            Ok(()) => {}
            Err(Malformed::Gap) => self.cut(),
            Err(e) => panic!("{e:?}"),
        }
    }

    fn acknowledge(&mut self) {
        self.out.ack(self.inb.received()).expect("it was sent");
    }

    fn cut(&mut self) {
        self.wire.clear();
        self.cuts += 1;
        self.out.resume(self.inb.received()).expect("it was sent");
    }

    fn finish(&mut self) {
        self.cut();
        while self.out.unsent() != 0 {
            self.transmit(4000);
            self.receive();
        }
        self.acknowledge();
        assert_eq!(self.out.kept(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn fault_23_nothing_is_lost_doubled_or_reordered(script in prop::collection::vec((0u8..10, 0usize..20_000), 1..300)) {
        let mut sim = Sim::new();
        let mut said = 0;
        for (what, n) in script {
            match what {
                0..=2 => { sim.say(said, n); said += 1; }
                3 | 4 => sim.transmit(n),
                5 | 6 => sim.receive(),
                7 => sim.acknowledge(),
                8 if !sim.wire.is_empty() => {
                    let again = sim.wire[n % sim.wire.len()].clone();
                    sim.wire.insert(n % (sim.wire.len() + 1), again);
                }
                8 => {}
                _ if n % 2 == 0 && sim.wire.len() > 1 => { let at = n % (sim.wire.len() - 1); sim.wire.swap(at, at + 1); }
                _ => sim.cut(),
            }
        }
        sim.finish();
        prop_assert_eq!(sim.got, (0..said).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_bytes_are_an_error_at_worst(records in prop::collection::vec((0u64..64, prop::collection::vec(any::<u8>(), 0..200)), 0..20)) {
        let mut inb = Inbound::default();
        for (offset, bytes) in records {
            if inb.accept(offset, &bytes, 4096, |_, _| ()).is_err() {
                break;
            }
            prop_assert!(inb.held() <= 2 * (4096 + 2 * op::MAX_ERROR_TEXT + OP_OVERHEAD));
        }
    }
}

#[test]
fn what_is_not_acknowledged_is_known() {
    let mut sim = Sim::new();
    for n in 0..10 {
        sim.say(n, if n % 3 == 0 { 20_000 } else { 50 });
    }
    let all = sim.out.unacknowledged();
    assert_eq!(all.len(), 10);
    assert_eq!(all[3].payload.len(), 20_000);
    // Up to the third message and a little more.
    let n = sim.out.next(20_500, |_| ());
    sim.out.sent(n);
    sim.out.ack(20_100).expect("sent");
    let rest = sim.out.unacknowledged();
    assert_eq!(rest.len(), 8, "messages 0 and 1 have arrived");
    assert_eq!(rest[0].payload[..8], 2_u64.to_le_bytes());
}

#[test]
fn an_acknowledgement_of_what_was_never_said_is_refused() {
    let mut out = Outbound::default();
    out.push(&Op::Watch { pid: 1 });
    assert_eq!(out.ack(100), Err(Malformed::Gap));
    assert_eq!(out.resume(100), Err(Malformed::Gap));
}

#[test]
fn fault_29_a_declared_length_allocates_nothing() {
    let mut inb = Inbound::default();
    let mut bytes = Vec::new();
    crate::mesh::wire::put_varint(&mut bytes, 4 << 30);
    assert_eq!(inb.accept(0, &bytes, 16 << 20, |_, _| ()), Err(Malformed::Length(4 << 30)));
    let mut inb = Inbound::default();
    assert_eq!(inb.accept(0, &[0], 16 << 20, |_, _| ()), Err(Malformed::Length(0)));
    let mut inb = Inbound::default();
    let mut bytes = Vec::new();
    crate::mesh::wire::put_varint(&mut bytes, 16 << 20);
    bytes.push(1);
    assert_eq!(inb.accept(0, &bytes, 16 << 20, |_, _| ()), Ok(()));
    assert!(inb.held() < 1024, "the buffer grows as bytes come");
}
