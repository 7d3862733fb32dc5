//! Records the results of pre hooks for callers that want to report them.
//!
//! The engine learns only whether hooks allow a change. A caller that needs run ids and
//! warnings makes its change through [`Catalog::with_gate_log`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use graveler::{Event, EventKind, HookOutcome, Hooks, Rejection};

use crate::Catalog;

/// The results of the pre hooks that allowed a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Ids of the hook runs, in event order: prepare-commit, pre-commit.
    pub run_ids: Vec<String>,
    /// Probable mistakes in the action files that the change adds or edits.
    pub warnings: Vec<String>,
}

/// Collects the hook results of one change. Cheap to clone; clones share their records.
#[derive(Debug, Clone, Default)]
pub struct GateLog {
    records: Arc<Mutex<Vec<(EventKind, String, HookOutcome)>>>,
}

impl GateLog {
    /// The most recent results of each event.
    #[must_use]
    pub fn gates(&self) -> Gates {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gates = Gates::default();
        for (_, run_id, outcome) in records.iter() {
            if outcome.ran {
                gates.run_ids.push(run_id.clone());
            }
            gates.warnings.extend(outcome.warnings.iter().cloned());
        }
        gates
    }

    /// Records a result in place of the event's earlier one. After a lost race the engine runs the hooks again, and
    /// only the last run counts.
    fn record(&self, event: &Event, outcome: &HookOutcome) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|(kind, ..)| *kind != event.kind());
        records.push((event.kind(), event.run_id.clone(), outcome.clone()));
    }
}

impl Catalog {
    /// Returns the same service with hooks whose results are recorded in `log`. Use it for one change.
    #[must_use]
    pub fn with_gate_log(&self, log: &GateLog) -> Self {
        let mut catalog = self.clone();
        catalog.hooks = Arc::new(LoggedHooks {
            hooks: Arc::clone(&self.hooks),
            log: log.clone(),
        });
        catalog
    }
}

#[derive(Debug)]
struct LoggedHooks {
    hooks: Arc<dyn Hooks>,
    log: GateLog,
}

#[async_trait]
impl Hooks for LoggedHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let outcome = self.hooks.before(event).await?;
        self.log.record(event, &outcome);
        Ok(outcome)
    }

    async fn after(&self, event: Event) {
        self.hooks.after(event).await;
    }
}
