//! The parent's side of a compiler in a process of its own: starts it, hands over, reads, explains.
//!
//! The child has nothing of the server's but the three pipes: no environment, no open file, no
//! folder. It is killed when it takes too long, when the server stops, and when whoever waits for
//! it is dropped.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{CompileLimits, invalid};
use crate::wasm::artifact::{Compiled, decode_answer};
use crate::wasm::limits::{CODE_BYTES, COMPILE_TIME, COMPILER_WORDS, TEXT_BYTES, cut, size};
use crate::wasm::{Cause, Failure};

/// SIGXCPU, SIGKILL and SIGABRT, the same on every Linux.
const SIGXCPU: i32 = 24;
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// Has a child compile a component.
pub(super) async fn compile(
    program: &Path,
    arguments: &[String],
    limits: CompileLimits,
    component: &Bytes,
) -> Compiled {
    let child = match start(program, arguments, limits) {
        Ok(child) => child,
        Err(e) => {
            tracing::error!(error = %e, program = %program.display(), "failed to start the compiler of hooks");
            return Err(Failure::new(
                Cause::Busy,
                "the server could not start the compiler for this component: see its log; try again",
            ));
        }
    };
    let deadline = deadline(limits);
    match tokio::time::timeout(deadline, answer(child, component)).await {
        Ok(Ok(ended)) => ended.explain(limits),
        Ok(Err(e)) => {
            tracing::error!(error = %e, "failed to talk to the compiler of hooks");
            Err(broken_compiler())
        }
        // The child was killed when its future was dropped.
        Err(_) => Err(Failure::new(
            Cause::Busy,
            format!(
                "compiling the component was stopped after {}: the server has too much to do; try again",
                humantime::format_duration(deadline)
            ),
        )),
    }
}

/// Longer than its time on a processor: others have turns as well.
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
        // Signals of a terminal are for the server, which then ends its children.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// What a child left.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    words: String,
}

async fn answer(mut child: Child, component: &Bytes) -> std::io::Result<Ended> {
    let mut stdin = child.stdin.take().expect("it was piped");
    let stdout = child.stdout.take().expect("it was piped");
    let stderr = child.stderr.take().expect("it was piped");
    let length = (component.len() as u64).to_le_bytes();
    let hand_over = async {
        // A child that ends before it has read everything says why: its answer tells, not this error.
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
    // Until here the child could tell that we live.
    drop(stdin);
    Ok(Ended {
        status,
        answer,
        words: String::from_utf8_lossy(&words).into_owned(),
    })
}

/// Up to `limit` bytes; the rest is read and dropped, so that nobody waits to write it.
async fn read(mut from: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut from).take(limit).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// A compiler that broke without a reason that we know.
pub(super) fn broken_compiler() -> Failure {
    invalid("the compiler failed on this component: see the server's log".to_owned())
}

impl Ended {
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
            // The allocator's refusal of a mapping comes as an error of the compiler.
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
                "component can't be compiled: its functions or types nest too deeply".to_owned(),
            )),
            // Not by us, who would not be here to hear of it: the machine ran out of memory.
            Some(SIGKILL) => Err(Failure::new(
                Cause::Busy,
                "the compiler was killed by the system, which may be out of memory; try again",
            )),
            _ if words.contains("memory allocation of") => Err(memory()),
            _ => {
                let words = cut(words.trim(), TEXT_BYTES);
                tracing::error!(%status, words, "the compiler failed on a component");
                Err(broken_compiler())
            }
        }
    }
}
