//! Testing a hook without Wasm: objects in memory, a world around them, what was reported.
//!
//! ```
//! use hooks_sdk::prelude::*;
//! use hooks_sdk::testing::World;
//!
//! fn not_empty(object: &Object, out: &mut Report) -> Result<()> {
//!     if object.size_bytes() == 0 {
//!         out.error("empty", "has no bytes")?;
//!     }
//!     Ok(())
//! }
//!
//! let mut out = Report::default();
//! not_empty(&Object::from_bytes("a.csv", ""), &mut out).unwrap();
//! assert_eq!(out.findings()[0].rule, "empty");
//!
//! let world = World::new().base("a.csv", "x").candidate("a.csv", "y").enter();
//! assert_eq!(world.changes().len(), 1);
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::native::{AMBIENT, Ambient, Tree, change_at};
use crate::{Change, Event, Finding, Object, Report};

/// What a hook will see on this thread.
#[derive(Debug, Default, Clone)]
pub struct World {
    event: Event,
    config: String,
    candidate: Tree,
    base: Tree,
}

impl World {
    /// Two empty trees, an event without facts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an object into the tree as it will be.
    #[must_use]
    pub fn candidate(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.candidate
            .insert(path.to_owned(), Object::from_bytes(path, bytes));
        self
    }

    /// Puts an object into the tree before.
    #[must_use]
    pub fn base(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.base
            .insert(path.to_owned(), Object::from_bytes(path, bytes));
        self
    }

    /// What happened.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    /// The config, as JSON.
    #[must_use]
    pub fn config(mut self, json: &str) -> Self {
        json.clone_into(&mut self.config);
        self
    }

    /// Makes this the world of the thread until the returned guard goes.
    #[must_use]
    pub fn enter(self) -> Entered {
        let (base, candidate) = (Arc::new(self.base), Arc::new(self.candidate));
        AMBIENT.set(Ambient {
            event: self.event,
            config: self.config,
            candidate: Some(Arc::clone(&candidate)),
            base: Some(Arc::clone(&base)),
            source: None,
        });
        Entered { base, candidate }
    }
}

/// The world of this thread, left when dropped.
#[derive(Debug)]
pub struct Entered {
    base: Arc<Tree>,
    candidate: Arc<Tree>,
}

impl Entered {
    /// All changes from base to candidate, in order of path, with the objects as they will be.
    #[must_use]
    pub fn changes(&self) -> Vec<(Change, Option<Object>)> {
        let mut paths: Vec<&String> = self.base.keys().chain(self.candidate.keys()).collect();
        paths.sort();
        paths.dedup();
        let changes = paths
            .into_iter()
            .filter_map(|p| change_at(&self.base, &self.candidate, p));
        changes
            .map(|c| (c.clone(), self.candidate.get(&c.path).cloned()))
            .collect()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        AMBIENT.set(Ambient::default());
    }
}

impl Report {
    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.kept.findings
    }

    /// (name, value, unit) of what was measured.
    #[must_use]
    pub fn metrics(&self) -> &[(String, f64, String)] {
        &self.kept.metrics
    }

    /// The summary, if one was given.
    #[must_use]
    pub fn summary_text(&self) -> Option<&str> {
        self.kept.summary.as_deref()
    }
}
