//! The types of the REST contract, as `server/api/openapi.yaml` has them.
//!
//! All of it is generated; nothing here knows the server's own types. Unknown
//! members are tolerated when reading, absent ones left out when writing.

mod generated;

pub use generated::*;
