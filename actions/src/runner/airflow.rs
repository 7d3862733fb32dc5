//! `type: airflow`.

use async_trait::async_trait;
use graveler::Event;

use super::webhook::unreadable_variables;
use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};
use crate::action_file::HookKind;
use crate::load::{MatchedAction, Origin};
use crate::payload::payload;
use crate::webhook::Webhooks;

/// Starts one DAG run per hook.
#[derive(Debug)]
pub(crate) struct AirflowRunner {
    webhooks: Webhooks,
}

impl AirflowRunner {
    pub(crate) fn new(webhooks: Webhooks) -> Self {
        Self { webhooks }
    }
}

#[async_trait]
impl HookRunner for AirflowRunner {
    fn type_name(&self) -> &'static str {
        "airflow"
    }

    fn calls_services(&self) -> bool {
        true
    }

    async fn validate(&self, spec: HookSpec<'_>) -> Vec<Problem> {
        unreadable_variables(spec.hook, self.webhooks.environment())
    }

    async fn run(&self, invocation: Invocation<'_>) -> HookResult {
        let log_at = invocation.log_at();
        let Invocation {
            event,
            matched,
            hook,
            hook_run_id,
            mut log,
            ..
        } = invocation;
        let HookKind::Airflow(airflow) = &hook.kind else {
            return HookResult::new(log, Err(HookFailure::of_other_type(hook, self)));
        };
        let payload = payload(event, &matched.action.name, &hook.id);
        let dag_run_id = dag_run_id(matched, &hook.id, event, hook_run_id);
        let outcome = self
            .webhooks
            .run_dag(airflow, &dag_run_id, event, &payload, &mut log, &log_at)
            .await;
        HookResult::new(log, outcome)
    }
}

/// Returns the id of a hook's DAG run. Airflow rejects an id that it already has. For a change that edits an action
/// file, the old and the new version of the file run in the same run of actions. The hook run id is therefore appended
/// for the old version.
fn dag_run_id(matched: &MatchedAction, hook_id: &str, event: &Event, hook_run_id: &str) -> String {
    let id = format!("lakeFS_hook_{hook_id}_{}", event.run_id);
    match matched.origin {
        Origin::Destination => format!("{id}_{hook_run_id}"),
        Origin::Change => id,
    }
}
