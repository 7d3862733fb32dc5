//! A YAML parser that keeps positions: every scalar, list and map has its line and column.
//!
//! This module does not depend on action files. Deserializers lose positions, and an error without
//! a position is hard to find in a long file. Depth and size are limited; an alias counts as much
//! as the nodes that it stands for.

mod node;
mod parser;

pub(crate) use node::{Diagnostic, Key, Node, Position, Value};
pub(crate) use parser::parse;

#[cfg(test)]
mod tests;
