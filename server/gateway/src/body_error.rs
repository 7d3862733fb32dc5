//! How a body differs from what its headers announce.

/// How a body differs from what the headers announce. The block stores pass it on inside an [`std::io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body does not match the announced {0}")]
    Digest(&'static str),
    #[error("the body does not match the signed SHA-256")]
    PayloadHash,
    #[error("a chunk does not match its signature")]
    ChunkSignature,
    #[error("the body does not have the announced format or length")]
    Incomplete,
    #[error("a signed chunk is larger than allowed")]
    ChunkTooLarge,
    #[error("the memory budget for signed chunks is used up")]
    OutOfMemory,
}
