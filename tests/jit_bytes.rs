//! Functions of the IR from random bytes: machine code and the interpreter agree on all of them. `fuzz/fuzz_targets/jit.rs`
//! feeds the same with a fuzzer's bytes. `IRIS_JIT_SEED` repeats a run, `IRIS_JIT_FUNCTIONS=200000` soaks.

#[path = "support/ir_bytes.rs"]
mod ir_bytes;

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let length = 16 + next(&mut state) % 240;
    (0..length).map(|_| next(&mut state) as u8).collect()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn machine_code_and_the_interpreter_agree_on_any_bytes() {
    let time = || std::time::UNIX_EPOCH.elapsed().map_or(1, |t| u64::from(t.subsec_nanos()));
    let seed = from_environment("IRIS_JIT_SEED").unwrap_or_else(time);
    let count = from_environment("IRIS_JIT_FUNCTIONS").unwrap_or(1_500);
    eprintln!("seed {seed}, {count} functions, 3 calls each");
    let mut state = seed;
    let mut wide = 0_u64;
    for i in 0..count {
        let own = next(&mut state);
        match ir_bytes::agree(&bytes_of(own)) {
            Ok(lanes) => wide += u64::from(lanes == 4),
            Err(difference) => {
                panic!("IRIS_JIT_SEED={seed}, function {i} (bytes of {own}): {difference}")
            }
        }
    }
    eprintln!("{wide} of them in four lanes");
    #[cfg(target_arch = "x86_64")]
    assert!(wide * 50 > count || !std::arch::is_x86_feature_detected!("avx2"));
}

#[test]
fn no_bytes_are_a_function_too() {
    ir_bytes::agree(&[]).expect("they agree");
}
