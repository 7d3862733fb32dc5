//! `type: webhook`.

use async_trait::async_trait;

use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};
use crate::action_file::{Diagnostic, Hook, HookKind};
use crate::env::Environment;
use crate::webhook::Webhooks;

/// Sends one request per hook.
#[derive(Debug)]
pub(crate) struct WebhookRunner {
    webhooks: Webhooks,
}

impl WebhookRunner {
    pub(crate) fn new(webhooks: Webhooks) -> Self {
        Self { webhooks }
    }
}

#[async_trait]
impl HookRunner for WebhookRunner {
    fn type_name(&self) -> &'static str {
        "webhook"
    }

    fn calls_services(&self) -> bool {
        true
    }

    async fn validate(&self, spec: HookSpec<'_>) -> Vec<Problem> {
        unreadable_variables(spec.hook, self.webhooks.environment())
    }

    async fn run(&self, mut invocation: Invocation<'_>) -> HookResult {
        let outcome = match &invocation.hook.kind {
            HookKind::Webhook(webhook) => {
                let (payload, log_at) = (invocation.payload(), invocation.log_at());
                let (event, log) = (invocation.event, &mut invocation.log);
                self.webhooks
                    .run(webhook, event, &payload, log, &log_at)
                    .await
            }
            _ => Err(HookFailure::of_other_type(invocation.hook, self)),
        };
        HookResult::new(invocation.log, outcome)
    }
}

/// Warns of variables that the hook refers to but is not allowed to read.
pub(super) fn unreadable_variables(hook: &Hook, environment: &Environment) -> Vec<Problem> {
    let unreadable = hook.variables.iter().filter_map(|variable| {
        let why = environment.explain_empty(&variable.name)?;
        Some(Problem {
            refuses: false,
            diagnostic: Diagnostic::new(variable.at, format!("hook '{}': {why}", hook.id)),
        })
    });
    unreadable.collect()
}
