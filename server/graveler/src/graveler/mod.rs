//! The engine's public operations, grouped by theme. The modules of the crate implement them.

mod commits;
mod comparing;
mod references;
mod repositories;
mod staging;

use std::sync::Arc;

use base::{Clock, IdGenerator};
use block::BlockStore;
use kv::Store;

use crate::Options;
use crate::engine::Engine;

/// The engine. Cheap to clone; shared by every request.
///
/// Besides the errors that an operation lists, each can fail with [`crate::Error::Kv`],
/// [`crate::Error::Block`] or [`crate::Error::Corrupt`].
#[derive(Debug, Clone)]
pub struct Graveler {
    pub(crate) engine: Arc<Engine>,
}

impl Graveler {
    /// Builds the engine on its stores.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the options are the engine's from here on"
    )]
    pub fn new(
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Self {
        Self {
            engine: Arc::new(Engine::new(kv, block, clock, ids, &options)),
        }
    }
}
