//! Functions of the IR from bytes: machine code and the interpreter must agree.
#![no_main]

#[path = "../../tests/support/ir_bytes.rs"]
mod ir_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = ir_bytes::agree(bytes) {
        panic!("{difference}");
    }
});
