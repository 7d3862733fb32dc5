//! Generates files from `server/api/openapi.yaml`: wire types, the typed client, request checks, query parameters, and
//! the tables of `docs/reference/rest.md`.
//!
//! The generated files are committed. A test generates them again and compares. The generator supports only
//! the types and structures that this contract uses, and rejects others. It ignores keywords that it does not know, such
//! as `default`.

mod checks;
mod client;
mod model;
mod names;
mod page;
mod queries;
mod types;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use model::Contract;

const CONTRACT: &str = "server/api/openapi.yaml";
const TYPES: &str = "server/api-types/src/generated.rs";
const CLIENT: &str = "server/client/src/generated.rs";
const CHECKS: &str = "server/api/src/generated.rs";
const PAGE: &str = "docs/reference/rest.md";
/// The server's table of routes.
const ROUTES: &str = "server/api/src/router.rs";
const QUERIES: &str = "server/api/src/query/generated.rs";

/// The code generated from a contract, unformatted.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Wire types: structs and enums.
    pub(crate) types: String,
    /// Client with one method per operation.
    pub(crate) client: String,
    /// Tables with which the server checks requests.
    pub(crate) checks: String,
    /// Structs with the query parameters of each operation.
    pub(crate) queries: String,
}

/// Writes the generated files below `root`, the workspace's folder.
///
/// # Errors
/// If the contract cannot be read or uses an unsupported construct, or rustfmt is missing.
pub(crate) fn run(root: &Path) -> Result<()> {
    for (path, text) in outputs(root)? {
        std::fs::write(root.join(path), text).with_context(|| format!("failed to write {path}"))?;
    }
    Ok(())
}

/// Generates types, client, checks and query parameters from a contract's text.
///
/// # Errors
/// If the contract uses an unsupported construct. The error names the operation or schema.
pub(crate) fn generate(openapi: &str) -> Result<Generated> {
    let contract = Contract::parse(openapi)?;
    Ok(Generated {
        types: types::generate(&contract)?,
        client: client::generate(&contract)?,
        checks: checks::generate(&contract)?,
        queries: queries::generate(&contract)?,
    })
}

/// Returns the paths of the generated files and their formatted contents.
fn outputs(root: &Path) -> Result<[(&'static str, String); 5]> {
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {path}"))
    };
    let text = read(CONTRACT)?;
    let generated = generate(&text)?;
    let page = page::generate(&Contract::parse(&text)?, &read(ROUTES)?, &read(PAGE)?)?;
    Ok([
        (TYPES, format(root, &generated.types)?),
        (CLIENT, format(root, &generated.client)?),
        (CHECKS, format(root, &generated.checks)?),
        (PAGE, page),
        (QUERIES, format(root, &generated.queries)?),
    ])
}

/// Formats code as `cargo fmt` does, so that `cargo fmt` does not change the generated files.
fn format(root: &Path, text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start rustfmt (rustup component add rustfmt)")?;
    let mut stdin = child
        .stdin
        .take()
        .context("rustfmt has no standard input")?;
    let input = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child
        .wait_with_output()
        .context("failed to wait for rustfmt")?;
    let written = writer
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that feeds rustfmt panicked"))?;
    if !output.status.success() {
        bail!("rustfmt failed on the generated code");
    }
    written.context("failed to feed rustfmt")?;
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::{generate, outputs};
    use anyhow::Result;
    use std::path::Path;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

    #[test]
    fn committed_files_are_up_to_date() -> Result<()> {
        let root = Path::new(ROOT);
        for (path, expected) in outputs(root)? {
            let committed = std::fs::read_to_string(root.join(path))?;
            assert!(
                committed == expected,
                "{path} is stale: run `cargo xtask codegen`"
            );
        }
        Ok(())
    }

    #[test]
    fn error_for_an_unsupported_construct_names_its_schema() {
        let contract = "
paths: {}
components:
  schemas:
    Odd: { type: number }
";
        let error = generate(contract).expect_err("numbers are not used by the contract");
        assert!(format!("{error:#}").contains("Odd"), "{error:#}");
    }

    #[test]
    fn code_for_a_small_contract_has_types_client_and_checks() -> Result<()> {
        let generated = generate(
            "
paths:
  /things/{id}:
    get:
      operationId: getThing
      summary: Get a thing.
      parameters:
        - { name: id, in: path, required: true, schema: { type: string } }
        - { name: deep, in: query, description: 'All of it.', schema: { type: boolean } }
      responses:
        '200': { description: Done., content: { application/json: { schema: { $ref: '#/components/schemas/Thing' } } } }
components:
  schemas:
    Thing:
      type: object
      required: [id, type]
      properties:
        id: { type: string }
        type: { type: string, enum: [big, very_small] }
        secret: { type: string, format: password }
",
        )?;
        for expected in [
            "pub struct Thing {",
            "pub r#type: ThingType,",
            "pub secret: Option<String>,",
            "VerySmall,",
            "[redacted]",
        ] {
            assert!(
                generated.types.contains(expected),
                "{expected} in\n{}",
                generated.types
            );
        }
        assert!(
            generated
                .client
                .contains("pub async fn get_thing(&self, id: &str, options: &GetThingOptions"),
            "{}",
            generated.client
        );
        assert!(
            generated.checks.contains("\"deep\""),
            "{}",
            generated.checks
        );
        assert!(
            generated
                .queries
                .contains("pub(crate) struct GetThingQuery {")
                && generated.queries.contains("pub(crate) deep: Option<bool>,")
                && !generated.queries.contains("id: String"),
            "{}",
            generated.queries
        );
        Ok(())
    }
}
