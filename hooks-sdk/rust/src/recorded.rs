//! What a report keeps. A component keeps nothing, because everything is sent to the host immediately.

#[cfg(not(target_family = "wasm"))]
use crate::Finding;

/// The contents of a report in a native test.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) findings: Vec<Finding>,
    #[cfg(not(target_family = "wasm"))]
    pub(crate) metrics: Vec<(String, f64, String)>,
    #[cfg(not(target_family = "wasm"))]
    pub(crate) summary: Option<String>,
}
