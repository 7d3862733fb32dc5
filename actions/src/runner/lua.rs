//! `type: lua`. This version parses Lua hooks but does not run them.

use async_trait::async_trait;

use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};

/// Fails every hook with a message that names the hook's type. Also used for types without a
/// registered runner.
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
