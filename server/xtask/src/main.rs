//! The project's menu of commands.

mod codegen;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    match std::env::args().nth(1).as_deref() {
        Some("codegen") => codegen::run(root),
        _ => anyhow::bail!("usage: cargo xtask codegen"),
    }
}
