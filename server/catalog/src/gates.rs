//! Notes what hooks said of a change, for whoever asked for it.
//!
//! The engine hears only whether hooks allow a change. A caller that is to be told more makes its change
//! through [`Catalog::noting_gates`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use graveler::{Event, EventKind, HookOutcome, Hooks, Rejection};

use crate::Catalog;

/// What hooks said of a change that they let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Ids of their runs, in the order of events: prepare-commit, pre-commit.
    pub run_ids: Vec<String>,
    /// Probable mistakes in the action files that the change adds or edits.
    pub warnings: Vec<String>,
}

/// Hears what hooks say of one change. Cheap to clone; clones hear the same.
#[derive(Debug, Clone, Default)]
pub struct GateLog {
    heard: Arc<Mutex<Vec<(EventKind, String, HookOutcome)>>>,
}

impl GateLog {
    /// What was heard last of each event.
    #[must_use]
    pub fn gates(&self) -> Gates {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gates = Gates::default();
        for (_, run_id, outcome) in heard.iter() {
            if outcome.ran {
                gates.run_ids.push(run_id.clone());
            }
            gates.warnings.extend(outcome.warnings.iter().cloned());
        }
        gates
    }

    /// A change that met another one is judged anew: what was said of it before does not count.
    fn note(&self, event: &Event, outcome: &HookOutcome) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|(kind, ..)| *kind != event.kind);
        heard.push((event.kind, event.run_id.clone(), outcome.clone()));
    }
}

impl Catalog {
    /// The same service, whose hooks are heard by `log`: for one change.
    #[must_use]
    pub fn noting_gates(&self, log: &GateLog) -> Self {
        let mut noting = self.clone();
        noting.hooks = Arc::new(NotedHooks {
            hooks: Arc::clone(&self.hooks),
            log: log.clone(),
        });
        noting
    }
}

#[derive(Debug)]
struct NotedHooks {
    hooks: Arc<dyn Hooks>,
    log: GateLog,
}

#[async_trait]
impl Hooks for NotedHooks {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        let outcome = self.hooks.before(event).await?;
        self.log.note(event, &outcome);
        Ok(outcome)
    }

    async fn after(&self, event: Event) {
        self.hooks.after(event).await;
    }
}
