//! Validates and compiles components in a separate process.
//!
//! Components are untrusted. A malicious component can take minutes and gigabytes to compile, or
//! crash the compiler. A server therefore uses [`Compiler::Child`], a process with resource limits
//! that can crash without affecting the server. The server itself looks only at the first bytes of
//! a component.
//!
//! `queue` schedules compilations; [`super::cache`] stores the results.

mod child;
mod in_process;
mod job;
mod limits;
pub(super) mod queue;

use std::path::PathBuf;

use bytes::Bytes;

use super::artifact::Compiled;

pub use job::compile_job;
pub use limits::CompileLimits;

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
    pub(super) async fn compile(&self, component: &Bytes) -> Compiled {
        match self {
            Self::Child {
                program,
                arguments,
                limits,
            } => {
                let limits = limits.of(component.len());
                child::compile(program, arguments, limits, component).await
            }
            Self::InProcess => {
                let component = component.clone();
                let done = tokio::task::spawn_blocking(move || in_process::compile(&component));
                done.await.unwrap_or_else(|e| {
                    tracing::error!(error = %e, "the hook compiler panicked");
                    Err(child::broken_compiler())
                })
            }
        }
    }
}
