//! Identifiers: xid-compatible ids (12 bytes in 20 characters of base32hex) and UUIDs.

use std::fmt::Debug;

/// Makes identifiers. Given to every component that names something new.
pub trait IdGenerator: Debug + Send + Sync {
    /// An ascending xid: later ids sort after earlier ones.
    fn xid(&self) -> String;
    /// A descending xid counted from the year 4000: data partitions, garbage-collection runs.
    fn descending_data_id(&self) -> String;
    /// A descending xid counted from the year 3000: action runs, pull requests.
    fn descending_run_id(&self) -> String;
    /// A random version-4 UUID, hyphenated lower case.
    fn uuid(&self) -> String;
    /// `length` random characters of `A-Za-z0-9_-`.
    fn nanoid(&self, length: usize) -> String;
    /// Fills `out` with bytes fit for keys and nonces.
    fn random_bytes(&self, out: &mut [u8]);
}

/// Identifiers from the machine's clock and random source.
#[derive(Debug)]
pub struct SystemIds {}

/// Reproducible identifiers for tests: the same seed gives the same ids.
#[derive(Debug)]
pub struct SeededIds {}
