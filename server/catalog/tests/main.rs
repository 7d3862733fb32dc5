//! Tests of the service layer through its public API, in memory. One module per feature.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "suite/completions.rs"]
mod completions;
#[path = "suite/copies.rs"]
mod copies;
#[path = "suite/deletion.rs"]
mod deletion;
#[path = "suite/gc_moves.rs"]
mod gc_moves;
#[path = "suite/gc_prepare.rs"]
mod gc_prepare;
#[path = "suite/hangups.rs"]
mod hangups;
#[path = "suite/history.rs"]
mod history;
#[path = "suite/internal_files.rs"]
mod internal_files;
#[path = "suite/large_pages.rs"]
mod large_pages;
#[path = "suite/models.rs"]
mod models;
#[path = "suite/multipart.rs"]
mod multipart;
#[path = "suite/namespaces.rs"]
mod namespaces;
#[path = "suite/objects.rs"]
mod objects;
#[path = "suite/pages.rs"]
mod pages;
#[path = "suite/protection.rs"]
mod protection;
#[path = "suite/pull_merges.rs"]
mod pull_merges;
#[path = "suite/pulls.rs"]
mod pulls;
#[path = "suite/repositories.rs"]
mod repositories;
#[path = "suite/retention.rs"]
mod retention;
#[path = "suite/spawned.rs"]
mod spawned;
#[path = "suite/symlinks.rs"]
mod symlinks;
#[path = "suite/tasks.rs"]
mod tasks;
#[path = "suite/trees.rs"]
mod trees;
