thread_local! {
    /// Whether this thread compiles as for a machine without AVX2.
    pub(in crate::jit) static NARROW: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}
