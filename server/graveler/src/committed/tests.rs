//! Tests of trees: stories in text, a model, read costs and failures.

mod failures;
mod model;
mod reads;
mod rebase;
mod stories;
