//! The gateway as its clients see it: signed requests in, S3 answers out, over a
//! catalog in memory. One file per group of operations; requests are signed by hand,
//! so that what is on the wire is known.

#![expect(clippy::unwrap_used, reason = "tests")]

mod suite {
    mod buckets;
    mod chunked;
    mod deletes;
    mod harness;
    mod listings;
    mod multipart;
    mod objects;
    mod signatures;
    mod signer;
    mod subresources;
}
