//! Generates one struct per operation with its query parameters, so that a handler cannot name a parameter that the
//! contract does not have.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::model::{Contract, Kind, Operation, Parameter, Place};
use super::names::{camel, doc_or, field};

/// The parameter that limits the number of results per page.
const PAGE_SIZE: &str = "amount";

/// Generates the whole file.
pub(super) fn generate(contract: &Contract) -> Result<String> {
    let mut out = String::from(
        "//! Query parameters of every operation. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.\n\n\
         #![expect(dead_code, reason = \"some operations and parameters are not implemented\")]\n\n\
         use super::{FromParams, Params};\n\n",
    );
    for operation in &contract.operations {
        let parameters: Vec<_> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Query)
            .collect();
        if !parameters.is_empty() {
            generate_struct(&mut out, operation, &parameters)?;
        }
    }
    Ok(out)
}

fn generate_struct(
    out: &mut String,
    operation: &Operation,
    parameters: &[&Parameter],
) -> Result<()> {
    let (id, name) = (&operation.id, camel(&operation.id));
    write!(
        out,
        "/// Query parameters of `{id}`.\n#[derive(Debug)]\npub(crate) struct {name}Query {{\n"
    )?;
    let mut reads = String::new();
    for parameter in parameters {
        let field = field(&parameter.name);
        let (kind, read) = match &parameter.schema.kind {
            Kind::Integer { .. } if parameter.name == PAGE_SIZE => ("usize", "page_size"),
            Kind::Integer { .. } => ("Option<i64>", "number"),
            Kind::String { .. } => ("String", "text"),
            Kind::Boolean => ("Option<bool>", "flag"),
            Kind::Array { .. } => ("Vec<String>", "list"),
            _ => bail!(
                "{id}: the type of query parameter {} is not supported",
                parameter.name
            ),
        };
        out.push_str(&doc_or(
            "    ",
            parameter.description.as_deref(),
            "Not described.",
        ));
        writeln!(out, "    pub(crate) {field}: {kind},")?;
        writeln!(
            reads,
            "            {field}: params.{read}({:?}),",
            parameter.name
        )?;
    }
    write!(
        out,
        "}}\n\nimpl FromParams for {name}Query {{\n    fn from_params(params: &Params) -> Self {{\n        Self {{\n{reads}        }}\n    }}\n}}\n\n"
    )?;
    Ok(())
}
