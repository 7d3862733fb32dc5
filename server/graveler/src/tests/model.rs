//! Property tests of the engine against a model of sorted maps: all ways to list, compare and merge
//! branches, including merges of earlier merges. Trees have many small ranges. Values have few
//! different identities, so that different keys often share one.

mod histories;
mod joins;
mod maps;
mod reads;
mod stage;
