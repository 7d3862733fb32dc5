//! Write hooks for Weir in Rust. A hook is a function that judges a change to a data lake before the change lands.
//!
//! ```no_run
//! use hooks_sdk::prelude::*;
//!
//! #[derive(Config)]
//! struct Rules {
//!     /// Extensions of files that are not allowed.
//!     forbidden: Vec<String>,
//! }
//!
//! #[object_gate(paths = "**")]
//! fn forbidden_formats(object: &Object, rules: &Rules, out: &mut Report) -> Result<()> {
//!     for extension in &rules.forbidden {
//!         if object.path().ends_with(extension.as_str()) {
//!             out.error("forbidden-format", format!("{extension} files are not allowed"))?;
//!         }
//!     }
//!     Ok(()) // passes if the function reported no error
//! }
//! # fn main() {}
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` builds the component. On other targets the same function runs on
//! objects in memory (see `testing`), so `cargo test` does not need Wasm.
//!
//! A hook cannot write anything and has no clock, no randomness, no network and no files. Its verdict depends only on
//! its configuration, the event and the trees.
//!
//! Features: `csv` adds [`Object::csv`](Object), `parquet` adds [`Object::parquet`](Object).

// The macros generate paths that start with `::hooks_sdk`.
#[cfg(test)]
extern crate self as hooks_sdk;

mod backend;
mod config;
#[cfg(feature = "csv")]
pub mod csv;
mod error;
mod model;
#[cfg(feature = "parquet")]
pub mod parquet;
mod reader;
mod recorded;
mod report;
mod run;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use backend::{
    Changes, Chunks, Listing, Object, Snapshot, base, candidate, diff, event, log, max_read, source,
};
pub use config::{Config, Schema};
pub use error::{Error, Result, TreeError};
pub use hooks_sdk_macros::{Config, gate, object_gate};
pub use model::{Change, ChangeKind, Entry, Event, Finding, Level, Severity, Span, Verdict};
pub use reader::ObjectReader;
pub use report::Report;
pub use run::Answer;

/// The names that most hooks use.
pub mod prelude {
    pub use crate::{
        Change, ChangeKind, Config, Entry, Error, Event, Finding, Object, Report, Result, Severity,
        Verdict, gate, object_gate,
    };
}

/// Used by the generated code of the macros. Not part of the public API.
#[doc(hidden)]
pub mod private {
    #[cfg(target_family = "wasm")]
    pub use crate::backend::bindings;
    pub use crate::run::{describe, run_gate, run_object_gate};
    pub use serde;
    pub use serde_json;
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;
}
