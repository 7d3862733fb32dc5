//! `type: lua`, which this version parses and does not run.

use async_trait::async_trait;

use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};

/// Refuses: each hook fails with a message that names its type.
#[derive(Debug)]
pub(crate) struct LuaRunner;

#[async_trait]
impl HookRunner for LuaRunner {
    fn type_name(&self) -> &'static str {
        "lua"
    }

    /// Returns nothing: the parser has already warned that the hook always fails.
    async fn validate(&self, _: HookSpec<'_>) -> Vec<Problem> {
        Vec::new()
    }

    async fn run(&self, invocation: Invocation<'_>) -> HookResult {
        let kind = invocation.hook.kind.type_name();
        let why = format!(
            "hook type {kind} is not supported by this version: use wasm, webhook or airflow"
        );
        HookResult::new(invocation.log, Err(HookFailure::new(why)))
    }
}
