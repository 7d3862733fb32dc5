//! The API in process: stories over memory stores, no ports.

mod harness;
mod objects;
mod refusals;
mod setup;
mod versions;
