//! Asks napi-build for the linker flags a Node addon needs, and only then.

fn main() {
    if std::env::var_os("CARGO_FEATURE_NODE").is_some() {
        napi_build::setup();
        // Node closes an addon with the last Worker that loaded it. Threads of ours may be at their last instructions then
        // (a run of offload that was told to stop), so the code stays where it is.
        if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}
