//! Stories of the whole engine, in memory.

mod commits;
mod contention;
mod graph;
mod hooks;
mod merges;
mod model;
mod races;
mod references;
mod reflog;
mod repositories;
mod simulation;
mod staging;
mod undo;
