//! Validates and compiles a component in the calling thread.

use crate::wasm::artifact::{Artifact, Compiled};
use crate::wasm::check;
use crate::wasm::report::{Cause, Failure};

/// Compiles in the calling thread.
pub(super) fn compile(component: &[u8]) -> Compiled {
    let (world, interruption) = check::check(component)?;
    let engine = interruption
        .engine(false)
        .map_err(|e| invalid(e.to_string()))?;
    let code = engine.precompile_component(component).map_err(|e| {
        invalid(format!(
            "failed to compile the component: {}",
            e.root_cause()
        ))
    })?;
    Ok(Artifact {
        world,
        interruption,
        code,
    })
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::new(Cause::ComponentInvalid, message)
}
