//! Compiling components: checked and compiled in one go, in a process of its own.
//!
//! A component is hostile until proven otherwise, and compiling one that was made for it takes
//! minutes and gigabytes, or breaks the compiler. So a server has a [`Compiler::Child`] do it: a
//! process with limits that can crash alone. Nothing but the first bytes of a component is
//! looked at in the server itself.
//!
//! Who compiles when is told by `turns`, what is kept by [`super::cache`].

pub(super) mod child;
pub(super) mod job;
pub(super) mod turns;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::artifact::{Artifact, Compiled};
use super::check;
use super::{Cause, Failure};

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Of all threads together; whole seconds, at least one.
    pub cpu_time: Duration,
    /// Data of the process.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu_time: Duration::from_secs(60),
            memory_bytes: 2 << 30,
        }
    }
}

/// Who compiles.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// A child process for each component: `program` with `arguments`, followed by the limits in
    /// seconds and bytes. It has to call [`compile_job`].
    Child {
        program: PathBuf,
        arguments: Vec<String>,
        limits: CompileLimits,
    },
    /// This process, without limits: for tests and benchmarks, where no component is hostile.
    InProcess,
}

impl Compiler {
    /// Checks and compiles a component.
    pub(super) async fn compile(&self, component: Bytes) -> Compiled {
        match self {
            Self::Child {
                program,
                arguments,
                limits,
            } => child::compile(program, arguments, *limits, &component).await,
            Self::InProcess => {
                let done = tokio::task::spawn_blocking(move || compile(&component));
                done.await.unwrap_or_else(|e| {
                    tracing::error!(error = %e, "the compiler failed on a component");
                    Err(child::broken_compiler())
                })
            }
        }
    }
}

pub use job::compile_job;

/// Here and now.
fn compile(component: &[u8]) -> Compiled {
    let (world, lane) = check::check(component)?;
    let engine = lane.engine(false).map_err(invalid)?;
    let code = engine
        .precompile_component(component)
        .map_err(|e| invalid(format!("component can't be compiled: {}", e.root_cause())))?;
    Ok(Artifact { world, lane, code })
}

fn invalid(message: String) -> Failure {
    Failure::new(Cause::ComponentInvalid, message)
}
