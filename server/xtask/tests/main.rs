//! The commands of xtask as a person starts them.

mod quickstart;
