//! Constants that several files of this crate use.

/// The maximum length of a path.
pub const MAX_PATH_BYTES: usize = 1024;
/// The maximum number of batches of commits that all filtered logs of a server compare at a time. A log acquires a
/// permit for each batch, so no log starves the others.
pub(crate) const MAX_CONCURRENT_BATCHES: usize = 16;
