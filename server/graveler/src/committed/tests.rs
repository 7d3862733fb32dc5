//! Trees as their users see them: stories in text, a model, and what is read and written.

mod model;
mod reads;
mod stories;
