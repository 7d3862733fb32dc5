//! Tests of the gateway through signed S3 requests, over an in-memory catalog.
//!
//! One file per group of operations. The tests sign requests themselves instead of using an S3
//! client, so that they control every byte on the wire.

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
