//! The engine against a model of sorted maps: every way to list, compare and join branches, and
//! to join what was joined before. Trees have many small ranges, and few
//! identities, so that different keys often have equal ones.

mod histories;
mod joins;
mod maps;
mod reads;
mod stage;
