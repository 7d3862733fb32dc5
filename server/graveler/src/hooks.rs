//! The interface to hooks: they judge a change before it lands and are notified afterwards.

use std::fmt;

use async_trait::async_trait;

use crate::Event;
use crate::rejection::Rejection;

/// The outcome of hooks that allowed a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookOutcome {
    /// Whether any action matched. Only then is a run recorded, under the event's run id.
    pub ran: bool,
    /// Likely mistakes in action files that the change adds or edits.
    pub warnings: Vec<String>,
}

impl HookOutcome {
    /// The outcome of a run without warnings.
    #[must_use]
    pub fn ran() -> Self {
        Self {
            ran: true,
            warnings: Vec::new(),
        }
    }
}

/// Runs hooks.
///
/// The engine never calls hooks inside a compare-and-set. If the branch's head moved meanwhile and
/// the retry makes a different commit, the hooks judge that commit too.
#[async_trait]
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Judges a change before it lands (prepare- and pre- events).
    ///
    /// # Errors
    /// The refusal. The engine then leaves the repository unchanged.
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>>;

    /// Notifies hooks of a change that landed (post-events). Returns at once; the hooks run in the
    /// background.
    async fn after(&self, event: Event);
}

/// Runs no hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    async fn before(&self, _event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        Ok(HookOutcome::default())
    }

    async fn after(&self, _event: Event) {}
}
