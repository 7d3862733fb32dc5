//! What a run leaves: records in the key-value store, logs and a manifest in the namespace.

use base::OffsetDateTime;

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookStatus {
    Completed,
    Failed,
    Skipped,
}

/// One run of the actions of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub run_id: String,
    pub branch_id: String,
    pub commit_id: String,
    pub source_ref: String,
    pub event_type: String,
    pub start_time: OffsetDateTime,
    pub end_time: OffsetDateTime,
    pub passed: bool,
}

/// One hook of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    pub hook_run_id: String,
    pub hook_id: String,
    pub action_name: String,
    pub start_time: OffsetDateTime,
    pub end_time: OffsetDateTime,
    pub status: HookStatus,
}
