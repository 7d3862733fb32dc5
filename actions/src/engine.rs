//! Runs the actions of an event.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Clock, IdGenerator, Page};
use block::ByteStream;
use catalog::{Reader, Repository};
use graveler::{Event, HookOutcome, Hooks, Rejection};

use crate::{HookRun, Run};

/// Whose action files judge a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatesSource {
    /// Those of the change itself, as lakeFS does.
    Source,
    /// Those of the change, and those of the tree it lands on where they differ.
    #[default]
    Both,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    pub enabled: bool,
    pub env_enabled: bool,
    /// Only variables with this prefix are handed to hooks.
    pub env_prefix: String,
    pub gates_source: GatesSource,
    /// Compiled components are kept here.
    pub cache_dir: PathBuf,
}

/// The actions of an installation: implements [`Hooks`], reads back runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Actions {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Actions {
    /// # Errors
    /// When the Wasm engine can't be set up.
    pub fn new(reader: Reader, kv: Arc<dyn kv::Store>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>, options: Options) -> Result<Self, String> {
        todo!()
    }
    /// Runs newest first; filtered by branch or commit.
    pub async fn list_runs(&self, repository: &Repository, branch: Option<&str>, commit: Option<&str>, after: &str, limit: usize) -> catalog::Result<Page<Run>> {
        todo!()
    }
    pub async fn run(&self, repository: &Repository, run_id: &str) -> catalog::Result<Option<Run>> {
        todo!()
    }
    pub async fn list_hooks(&self, repository: &Repository, run_id: &str, after: &str, limit: usize) -> catalog::Result<Option<Page<HookRun>>> {
        todo!()
    }
    /// The log of one hook.
    pub async fn hook_output(&self, repository: &Repository, run_id: &str, hook_run_id: &str) -> catalog::Result<Option<ByteStream>> {
        todo!()
    }
    /// Waits for post-event work that was accepted (graceful shutdown, tests).
    pub async fn drain(&self) {
        todo!()
    }
}

#[async_trait]
impl Hooks for Actions {
    async fn before(&self, _event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        todo!()
    }
    async fn after(&self, _event: Event) {
        todo!()
    }
}
