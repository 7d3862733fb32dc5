//! Compiler process for the tests of this crate. It does what `weir compile-component` does for a
//! server.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut limits = std::env::args().skip(1).map(|limit| limit.parse());
    match (limits.next(), limits.next()) {
        (Some(Ok(cpu_seconds)), Some(Ok(memory_bytes))) => {
            actions::wasm::compile_job(cpu_seconds, memory_bytes)
        }
        _ => ExitCode::FAILURE,
    }
}
