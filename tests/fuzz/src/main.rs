//! Fuzzer for the target named in `WEIR_FUZZ_TARGET`. The command line is libFuzzer's.
//!
//! Built only by `cargo xtask fuzz`, which instruments the parsers. Every input is written to the
//! file `WEIR_FUZZ_LAST` before it is tried, because a stack overflow leaves no chance to write it
//! afterwards.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
    fuzz::find(&name).expect("WEIR_FUZZ_TARGET must name a target")
});
static LAST: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("WEIR_FUZZ_LAST").map(PathBuf::from));

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(last) = LAST.as_ref() {
        std::fs::write(last, input).expect("failed to write the last input");
    }
    TARGET.try_input(input);
});
