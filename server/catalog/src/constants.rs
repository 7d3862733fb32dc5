//! Limits that several files of this crate share.

/// The maximum length of a path.
pub const MAX_PATH_BYTES: usize = 1024;
/// The maximum number of batches that all walks together compare at a time. A walk acquires a permit for each
/// batch, so that no walk starves the others.
pub(crate) const MAX_CONCURRENT_BATCHES: usize = 16;
