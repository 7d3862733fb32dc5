//! Runs the compiler in a child process: starts it, sends the component, reads and interprets the
//! response.
//!
//! The child inherits only its three pipes: no environment, no other open files, no working folder.
//! It is killed when it exceeds its deadline, when the server stops, and when the waiting future is
//! dropped.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::in_process::invalid;
use super::limits::CompileLimits;
use crate::wasm::artifact::{Compiled, decode_answer};
use crate::wasm::limits::{CODE_BYTES, COMPILE_TIME, COMPILER_WORDS, TEXT_BYTES, cut, size};
use crate::wasm::report::{Cause, Failure};

/// Numbers of SIGXCPU, SIGKILL and SIGABRT. They are the same on every Linux architecture that Weir
/// supports.
const SIGXCPU: i32 = 24;
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// Compiles a component in a child process.
pub(super) async fn compile(
    program: &Path,
    arguments: &[String],
    limits: CompileLimits,
    component: &Bytes,
) -> Compiled {
    let child = match start(program, arguments, limits) {
        Ok(child) => child,
        Err(e) => {
            tracing::error!(error = %e, program = %program.display(), "failed to start the hook compiler");
            let message = "the server could not start the compiler for this component";
            return Err(Failure::new(Cause::Busy, message).hint("see the server's log; try again"));
        }
    };
    let deadline = deadline(limits);
    match tokio::time::timeout(deadline, answer(child, component)).await {
        Ok(Ok(ended)) => ended.explain(limits),
        Ok(Err(e)) => {
            tracing::error!(error = %e, "failed to communicate with the hook compiler");
            Err(broken_compiler())
        }
        // The child was killed when its future was dropped.
        Err(_) => Err(Failure::new(
            Cause::Busy,
            format!(
                "compiling the component was stopped after {}: the server is overloaded",
                humantime::format_duration(deadline)
            ),
        )
        .hint("try again")),
    }
}

/// Wall-clock limit. It is longer than the CPU time limit, because other processes need the CPU
/// too.
fn deadline(limits: CompileLimits) -> Duration {
    COMPILE_TIME.max(2 * limits.cpu_time)
}

fn start(program: &Path, arguments: &[String], limits: CompileLimits) -> std::io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .arg(limits.cpu_time.as_secs().max(1).to_string())
        .arg(limits.memory_bytes.to_string())
        .env_clear()
        .current_dir("/")
        // Keeps terminal signals away from children. The server receives them and ends its children
        // itself.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Result of a child process.
struct ChildResult {
    status: ExitStatus,
    answer: Vec<u8>,
    words: String,
}

async fn answer(mut child: Child, component: &Bytes) -> std::io::Result<ChildResult> {
    let mut stdin = child.stdin.take().expect("it was piped");
    let stdout = child.stdout.take().expect("it was piped");
    let stderr = child.stderr.take().expect("it was piped");
    let length = (component.len() as u64).to_le_bytes();
    let hand_over = async {
        // A child that exits before it has read all input reports the reason in its response or exit
        // status, so a write error is only logged.
        let given = async {
            stdin.write_all(&length).await?;
            stdin.write_all(component).await
        };
        if let Err(e) = given.await {
            tracing::debug!(error = %e, "the compiler did not read its component");
        }
    };
    let ((), answer, words) = tokio::join!(
        hand_over,
        read(stdout, CODE_BYTES),
        read(stderr, COMPILER_WORDS)
    );
    let (answer, words) = (answer?, words?);
    let status = child.wait().await?;
    // Closing standard input tells the child that the parent has read the response.
    drop(stdin);
    Ok(ChildResult {
        status,
        answer,
        words: String::from_utf8_lossy(&words).into_owned(),
    })
}

/// Reads up to `limit` bytes and discards the rest, so that the writer never blocks.
async fn read(mut from: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut from).take(limit).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// Failure of a compiler that crashed for an unknown reason.
pub(super) fn broken_compiler() -> Failure {
    invalid("the compiler failed on this component: see the server's log".to_owned())
}

impl ChildResult {
    fn explain(self, limits: CompileLimits) -> Compiled {
        use std::os::unix::process::ExitStatusExt as _;

        let Self {
            status,
            answer,
            words,
        } = self;
        let memory = || {
            invalid(format!(
                "compiling took more than {} of memory (actions.compile.memory_bytes)",
                size(limits.memory_bytes)
            ))
        };
        if status.success() {
            // A failed memory mapping is reported as an error by the compiler.
            return match decode_answer(answer) {
                Some(Err(failure)) if failure.message.ends_with("(os error 12)") => Err(memory()),
                Some(answer) => answer,
                None => Err(broken_compiler()),
            };
        }
        match status.signal() {
            Some(SIGXCPU) => Err(invalid(format!(
                "compiling took more than {} s of CPU time (actions.compile.cpu_time)",
                limits.cpu_time.as_secs().max(1)
            ))),
            Some(SIGABRT) if words.contains("memory allocation of") => Err(memory()),
            Some(SIGABRT) if words.contains("has overflowed its stack") => Err(invalid(
                "failed to compile the component: its functions or types nest too deeply"
                    .to_owned(),
            )),
            // The server kills a child only when nothing waits for its result anymore, so the signal probably came from
            // the kernel's OOM killer.
            Some(SIGKILL) => Err(Failure::new(
                Cause::Busy,
                "the compiler was killed by the system, which may be out of memory",
            )
            .hint("try again")),
            _ if words.contains("memory allocation of") => Err(memory()),
            _ => {
                let words = cut(words.trim(), TEXT_BYTES);
                tracing::error!(%status, words, "the compiler failed on a component");
                Err(broken_compiler())
            }
        }
    }
}
