//! Validates and compiles components in a separate process.
//!
//! Components are untrusted. A malicious component can take minutes and gigabytes to compile, or
//! crash the compiler. A server therefore uses [`Compiler::Child`], a process with resource limits
//! that can crash without affecting the server. The server itself looks only at the first bytes of
//! a component.
//!
//! `queue` schedules compilations; [`super::cache`] stores the results.

pub(super) mod child;
pub(super) mod job;
pub(super) mod queue;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::artifact::{Artifact, Compiled};
use super::check;
use super::limits::{COMPILE_MEMORY, COMPILE_MEMORY_PER_MIB, COMPILE_TIME_PER_MIB};
use super::{Cause, Failure};

/// Resource limits for compiling one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time over all threads, in whole seconds, at least one. A small component gets an eighth
    /// of it plus 5 s per MiB.
    pub cpu_time: Duration,
    /// Memory of the process. A small component gets a quarter of it plus 64 MiB per MiB.
    pub memory_bytes: u64,
}

impl CompileLimits {
    /// Returns the limits for a component of `bytes` bytes.
    fn of(self, bytes: usize) -> Self {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let more = COMPILE_TIME_PER_MIB.saturating_mul(mib);
        let cpu_time = (self.cpu_time / 8).saturating_add(more);
        let memory = self.memory_bytes / 4 + COMPILE_MEMORY_PER_MIB * u64::from(mib);
        Self {
            cpu_time: cpu_time.min(self.cpu_time).max(Duration::from_secs(1)),
            memory_bytes: memory.max(COMPILE_MEMORY).min(self.memory_bytes),
        }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu_time: Duration::from_secs(120),
            memory_bytes: 2 << 30,
        }
    }
}

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// A child process per component. Runs `program` with `arguments`, followed by the limits in
    /// seconds and bytes. The program must call [`compile_job`].
    Child {
        program: PathBuf,
        arguments: Vec<String>,
        limits: CompileLimits,
    },
    /// In this process, without limits. Only for tests and benchmarks with trusted components.
    InProcess,
}

impl Compiler {
    /// Validates and compiles a component.
    pub(super) async fn compile(&self, component: Bytes) -> Compiled {
        match self {
            Self::Child {
                program,
                arguments,
                limits,
            } => {
                let limits = limits.of(component.len());
                child::compile(program, arguments, limits, &component).await
            }
            Self::InProcess => {
                let done = tokio::task::spawn_blocking(move || compile(&component));
                done.await.unwrap_or_else(|e| {
                    tracing::error!(error = %e, "the hook compiler panicked");
                    Err(child::broken_compiler())
                })
            }
        }
    }
}

pub use job::compile_job;

/// Compiles in the calling thread.
fn compile(component: &[u8]) -> Compiled {
    let (world, lane) = check::check(component)?;
    let engine = lane.engine(false).map_err(invalid)?;
    let code = engine.precompile_component(component).map_err(|e| {
        invalid(format!(
            "failed to compile the component: {}",
            e.root_cause()
        ))
    })?;
    Ok(Artifact { world, lane, code })
}

fn invalid(message: String) -> Failure {
    Failure::new(Cause::ComponentInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_components_get_lower_limits() {
        let limits = |bytes| {
            let limits = CompileLimits::default().of(bytes);
            (limits.cpu_time.as_secs(), limits.memory_bytes >> 20)
        };
        assert_eq!(
            [30 << 10, 10 << 20, 64 << 20].map(limits),
            [(15, 512), (65, 1152), (120, 2048)]
        );
        let least = CompileLimits {
            cpu_time: Duration::from_secs(1),
            memory_bytes: 1 << 20,
        };
        assert_eq!(least.of(0), least);
    }
}
