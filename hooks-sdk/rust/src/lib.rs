//! Write hooks for Weir in Rust: functions that judge a change before it lands.
//!
//! ```no_run
//! use hooks_sdk::prelude::*;
//!
//! #[derive(Config)]
//! struct Rules {
//!     /// Formats that must not come in.
//!     forbid: Vec<String>,
//! }
//!
//! #[object_gate(paths = "**")]
//! fn no_such_format(object: &Object, rules: &Rules, out: &mut Report) -> Result<()> {
//!     if rules.forbid.iter().any(|ending| object.path().ends_with(ending.as_str())) {
//!         out.error("forbidden-format", "files of this format are not kept here")?;
//!     }
//!     Ok(()) // no error finding: pass
//! }
//! # fn main() {}
//! ```
//!
//! `cargo build --target wasm32-wasip2` makes the component. Natively the same
//! function runs against objects in memory ([`testing`]), so that `cargo test`
//! needs no Wasm.
//!
//! A hook cannot write, and has no clock, randomness, network or files: its
//! verdict depends on its config, the event and the trees only.

// What the macros expand to names the crate.
#[cfg(test)]
extern crate self as hooks_sdk;

mod backend;
mod config;
mod error;
mod model;
#[cfg(feature = "parquet")]
pub mod parquet;
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
pub use report::Report;

/// All that a hook usually needs.
pub mod prelude {
    pub use crate::{
        Change, ChangeKind, Config, Entry, Error, Event, Object, Report, Result, Severity, Verdict,
        gate, object_gate,
    };
}

/// What the attribute macros expand to; not for use by hand.
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
