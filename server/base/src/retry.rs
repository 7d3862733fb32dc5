//! Bounded retries with exponential back-off.

/// How often and how long to wait between tries.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {}
