//! The suite that every driver runs.
