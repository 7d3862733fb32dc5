//! Trees as their users see them: stories in text, a model, what is read, and what fails.

mod failures;
mod model;
mod reads;
mod rebase;
mod stories;
