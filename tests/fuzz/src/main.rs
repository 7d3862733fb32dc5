//! The fuzzer of one target, whose name is in `WEIR_FUZZ_TARGET`: libFuzzer has the command line.
//!
//! Built by `cargo xtask fuzz` only, which instruments the parsers.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
    fuzz::find(&name).expect("WEIR_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.try_input(input));
