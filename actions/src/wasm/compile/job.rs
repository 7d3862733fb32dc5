//! The child process of the compiler: sets its limits, reads a component, and writes the response
//! to standard output.
//!
//! Standard input carries the component's length and the component. It stays open until the parent
//! has read the response. If it closes earlier, the parent is gone and this process exits. This is
//! more reliable than a parent-death signal, which Linux sends when the parent's *thread* exits.

use std::io::{Read, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getpriority_process, setpriority_process, setrlimit};

use super::in_process;
use super::limits::CompileLimits;
use crate::threads::LOWEST_PRIORITY;
use crate::wasm::artifact::encode_answer;
use crate::wasm::limits::{COMPILE_NICE, COMPONENT_BYTES};

/// Exit status if the parent is gone.
const ABANDONED: i32 = 3;
/// Exit status if the limits could not be set, no component was received, or the response could not
/// be written.
const FAILED: u8 = 4;
/// Maximum number of open files: three pipes, and what the allocator and the compiler open.
const FILES: u64 = 32;

/// Compiles the component on standard input within the given limits and writes the response to
/// standard output. This is the whole work of a process started by `Compiler::Child`.
///
/// Call it at the start of `main`, and return its result from `main`.
#[must_use]
pub fn compile_job(cpu_seconds: u64, memory_bytes: u64) -> ExitCode {
    let limits = CompileLimits {
        cpu_time: Duration::from_secs(cpu_seconds),
        memory_bytes,
    };
    if let Err(e) = confine(limits) {
        return fail(&format!("failed to set the limits of the compiler: {e}"));
    }
    let component = match component(&mut std::io::stdin().lock()) {
        Ok(component) => component,
        Err(e) => return fail(&format!("failed to read the component: {e}")),
    };
    if let Err(e) = std::thread::Builder::new().spawn(end_with_the_parent) {
        return fail(&format!("failed to watch the parent: {e}"));
    }
    let answer = encode_answer(&in_process::compile(&component));
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&answer).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&format!("failed to write the response: {e}")),
    }
}

#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(FAILED)
}

/// Sets the resource limits. Limits both data size and address space, because not every system
/// accounts for the former.
fn confine(limits: CompileLimits) -> std::io::Result<()> {
    let set = |resource, soft: u64, hard: u64| {
        let limit = Rlimit {
            current: Some(soft),
            maximum: Some(hard),
        };
        // Keeps a lower limit that the system has already set.
        match setrlimit(resource, limit) {
            Err(rustix::io::Errno::PERM) => Ok(()),
            other => other,
        }
    };
    let seconds = limits.cpu_time.as_secs().max(1);
    set(Resource::Cpu, seconds, seconds + 1)?;
    set(Resource::Data, limits.memory_bytes, limits.memory_bytes)?;
    let space = limits.memory_bytes.saturating_mul(2) + (1 << 30);
    set(Resource::As, space, space)?;
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    set(Resource::Nofile, FILES, FILES)?;
    let own = getpriority_process(None)?;
    setpriority_process(None, (own + COMPILE_NICE).min(LOWEST_PRIORITY))?;
    // If the machine runs out of memory, the kernel should kill this process first. Not every
    // system has this file.
    if let Err(e) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(error = %e, "failed to raise the OOM score of the compiler");
    }
    Ok(())
}

fn component(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > COMPONENT_BYTES as u64 {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut component = Vec::new();
    input.take(length).read_to_end(&mut component)?;
    if component.len() as u64 != length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(component)
}

/// Waits until the other end of standard input is closed, then exits the process.
fn end_with_the_parent() {
    let mut rest = [0];
    while matches!(std::io::stdin().lock().read(&mut rest), Ok(n) if n > 0) {}
    std::process::exit(ABANDONED);
}
