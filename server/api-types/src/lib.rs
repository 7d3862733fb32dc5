//! The types of the REST contract, generated from `server/api/openapi.yaml`.
//!
//! They are independent of the server's own types. Deserialization ignores unknown members;
//! serialization omits absent ones.

mod generated;

pub use generated::*;
