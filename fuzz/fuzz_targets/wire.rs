//! Bytes of a stranger, to every decoder of the wire.
#![no_main]

use iris::mesh::wire::{MAX_RECORD, greeting::{Greeting, Preamble}, op::{self, Op}, record::{self, Record}};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Preamble::decode(bytes);
    let _ = Greeting::decode(bytes);
    let _ = record::split(bytes, MAX_RECORD);
    let _ = Record::decode(bytes);
    if let Ok(Some((head, body))) = op::split(bytes, 1 << 20) {
        if let Ok(op) = Op::decode(&bytes[head..head + body]) {
            // What is understood can be said again.
            let mut again = Vec::new();
            op.put(&mut again);
        }
    }
});
