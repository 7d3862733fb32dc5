//! Stories of the whole engine, in memory.

mod commits;
mod contention;
mod cost;
mod dump;
mod dump_parents;
mod graph;
mod history;
mod hooks;
mod materialize;
mod merges;
mod model;
mod museum;
mod outcomes;
mod protection;
mod races;
mod records;
mod references;
mod reflog;
mod repositories;
mod resets;
mod retention;
mod simulation;
mod staging;
mod undo;
mod undo_retention;
