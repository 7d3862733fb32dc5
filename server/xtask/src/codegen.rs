//! Generates wire types and the client from the OpenAPI file.

/// Writes the generated files.
pub(crate) fn run(_root: &std::path::Path) -> anyhow::Result<()> {
    anyhow::bail!("the generator is not there yet")
}
