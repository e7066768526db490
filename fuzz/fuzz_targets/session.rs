//! DATA records with offsets of a liar's, and acknowledgements of what was never sent.
#![no_main]

use iris::mesh::stream::{Inbound, Outbound};
use iris::mesh::wire::op::Op;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut inbound, mut outbound) = (Inbound::default(), Outbound::default());
    let mut rest = bytes;
    while let Some((&[offset, length, ack], tail)) = rest.split_first_chunk::<3>() {
        let (data, next) = tail.split_at(tail.len().min(usize::from(length)));
        outbound.push(&Op::Send { to: 1, from: 0, payload: data });
        let _ = outbound.ack(u64::from(ack));
        if inbound.accept(u64::from(offset), data, 4096, |_, _| ()).is_err() {
            return;
        }
        rest = next;
    }
    let _ = outbound.unacknowledged();
});
