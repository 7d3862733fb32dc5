//! The fuzzer of one target, whose name is in `WEIR_FUZZ_TARGET`: libFuzzer has the command line.
//!
//! Built by `cargo xtask fuzz` only, which instruments the parsers. Each input is written to the file that
//! `WEIR_FUZZ_LAST` names before it is tried: when the stack is full, nobody can write it any more.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
    fuzz::find(&name).expect("WEIR_FUZZ_TARGET names a target")
});
static LAST: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("WEIR_FUZZ_LAST").map(PathBuf::from));

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(last) = LAST.as_ref() {
        std::fs::write(last, input).expect("the file of the last input can be written");
    }
    TARGET.try_input(input);
});
