//! Tests of trees: stories in text, a model, read costs, failures and corrupt trees.

mod corruption;
mod failures;
mod model;
mod reads;
mod rebase;
mod stories;
