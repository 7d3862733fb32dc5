//! `type: airflow`.

use async_trait::async_trait;

use super::webhook::unreadable_variables;
use super::{HookFailure, HookResult, HookRunner, HookSpec, Invocation, Problem};
use crate::action_file::HookKind;
use crate::load::Origin;
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

    async fn run(&self, mut invocation: Invocation<'_>) -> HookResult {
        let outcome = match &invocation.hook.kind {
            HookKind::Airflow(airflow) => {
                let (payload, log_at) = (invocation.payload(), invocation.log_at());
                let (event, dag_run_id) = (invocation.event, dag_run_id(&invocation));
                let log = &mut invocation.log;
                let run =
                    self.webhooks
                        .run_dag(airflow, &dag_run_id, event, &payload, log, &log_at);
                run.await
            }
            _ => Err(HookFailure::of_other_type(invocation.hook, self)),
        };
        HookResult::new(invocation.log, outcome)
    }
}

/// Returns the id of a hook's DAG run. Airflow rejects an id that it already has. For a change that edits an action
/// file, the old and the new version of the file run in the same run of actions. The hook run id is therefore appended
/// for the old version.
fn dag_run_id(invocation: &Invocation<'_>) -> String {
    let id = format!(
        "lakeFS_hook_{}_{}",
        invocation.hook.id, invocation.event.run_id
    );
    match invocation.matched.origin {
        Origin::Destination => format!("{id}_{}", invocation.hook_run_id),
        Origin::Change => id,
    }
}
