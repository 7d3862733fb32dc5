//! Native tests of hooks: objects in memory, the trees and the event around them, and access to the findings.
//!
//! ```
//! use hooks_sdk::prelude::*;
//! use hooks_sdk::testing::World;
//!
//! fn not_empty(object: &Object, out: &mut Report) -> Result<()> {
//!     if object.size_bytes() == 0 {
//!         out.error("empty", "the file is empty")?;
//!     }
//!     Ok(())
//! }
//!
//! // One object is enough for most object gates.
//! let mut out = Report::default();
//! not_empty(&Object::from_bytes("a.csv", ""), &mut out).unwrap();
//! assert_eq!(out.findings()[0].rule, "empty");
//!
//! // Hooks that call `event`, `base`, `candidate` or `diff` need a world.
//! let world = World::new().base("a.csv", "x").candidate("a.csv", "y").enter();
//! assert_eq!(world.changes().len(), 1);
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::native::{ENVIRONMENT, Environment, Tree, change_at};
use crate::{Change, Event, Finding, Object, Report};

/// The event, configuration and trees of a test.
#[derive(Debug, Default, Clone)]
pub struct World {
    event: Event,
    config: String,
    candidate: Tree,
    base: Tree,
    source: Option<Tree>,
}

impl World {
    /// Creates a world with an empty event, no configuration, an empty base and an empty candidate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object to the tree after the change.
    #[must_use]
    pub fn candidate(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.candidate
            .insert(path.to_owned(), Object::from_bytes(path, bytes));
        self
    }

    /// Adds an object to the tree before the change.
    #[must_use]
    pub fn base(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.base
            .insert(path.to_owned(), Object::from_bytes(path, bytes));
        self
    }

    /// Adds an object to the tree of the source of a merge.
    #[must_use]
    pub fn source(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.source
            .get_or_insert_default()
            .insert(path.to_owned(), Object::from_bytes(path, bytes));
        self
    }

    /// Sets the event.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    /// Sets the configuration, as JSON.
    #[must_use]
    pub fn config(mut self, json: &str) -> Self {
        json.clone_into(&mut self.config);
        self
    }

    /// Makes this the world of the current thread until the returned guard is dropped.
    #[must_use]
    pub fn enter(self) -> Entered {
        let (base, candidate) = (Arc::new(self.base), Arc::new(self.candidate));
        ENVIRONMENT.set(Environment {
            event: self.event,
            config: self.config,
            candidate: Some(Arc::clone(&candidate)),
            base: Some(Arc::clone(&base)),
            source: self.source.map(Arc::new),
        });
        Entered { base, candidate }
    }
}

/// The guard of the current thread's world.
#[derive(Debug)]
pub struct Entered {
    base: Arc<Tree>,
    candidate: Arc<Tree>,
}

impl Entered {
    /// All changes from base to candidate, in order of path, each with the object after the change.
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
        ENVIRONMENT.set(Environment::default());
    }
}

impl Report {
    /// The findings so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.recorded.findings
    }

    /// The metrics so far, as (name, value, unit).
    #[must_use]
    pub fn metrics(&self) -> &[(String, f64, String)] {
        &self.recorded.metrics
    }

    /// The summary, if the hook set one.
    #[must_use]
    pub fn summary_text(&self) -> Option<&str> {
        self.recorded.summary.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::World;
    use crate::{Error, Object, Span, TreeError, base, candidate, diff, event, max_read, source};

    #[test]
    fn a_world_lasts_as_long_as_its_guard() {
        let event_of_test = crate::Event {
            tag: Some("v1".to_owned()),
            commit_id: Some("c1".to_owned()),
            ..crate::Event::default()
        };
        let world = World::new()
            .event(event_of_test.clone())
            .base("a", "1")
            .candidate("b", "2")
            .source("c", "3")
            .enter();
        assert_eq!(event(), event_of_test);
        let has = |tree: Option<crate::Snapshot>, path: &str| {
            tree.is_some_and(|t| t.stat(path).unwrap().is_some())
        };
        assert!(has(base(), "a") && has(candidate(), "b") && has(source(), "c"));
        assert_eq!(diff("", None).unwrap().next(10).unwrap().len(), 2);
        drop(world);
        assert!(base().is_none() && candidate().is_none() && source().is_none());
    }

    #[test]
    fn limits_of_the_contract_apply_to_native_tests() {
        let object = Object::from_bytes("a", vec![0; 2 << 20]);
        let read = |offset, length| object.read(Span { offset, length });
        assert_eq!(read(1, max_read()).unwrap().len(), 1 << 20);
        for error in [
            read(0, max_read() + 1).unwrap_err(),
            object.read_tail(max_read() + 1).unwrap_err(),
            object
                .read_many(&[
                    Span {
                        offset: 0,
                        length: max_read(),
                    },
                    Span {
                        offset: 0,
                        length: 1,
                    },
                ])
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Tree(TreeError::Budget(_))),
                "{error}"
            );
        }
        let error = object.scan(0).unwrap().next(0).unwrap_err();
        assert!(matches!(error, Error::Tree(TreeError::Other(_))), "{error}");
    }
}
