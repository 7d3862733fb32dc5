//! Generates static tables with which the server checks requests, so that it does not have to parse the contract at
//! start.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::model::{Body, Contract, Kind, Place, Schema};
use super::names::constant;

/// Generates the whole file.
pub(super) fn generate(contract: &Contract) -> Result<String> {
    let mut patterns = Vec::new();
    let mut schemas = String::new();
    for (name, schema) in &contract.schemas {
        let value = literal(&mut patterns, schema)?;
        writeln!(schemas, "static {}: Schema = {value};\n", constant(name))?;
    }
    let mut operations = String::from(
        "/// All operations, in the contract's order.\npub(crate) static OPERATIONS: &[Operation] = &[\n",
    );
    for operation in &contract.operations {
        let (method, path, id) = (
            operation.method.to_ascii_uppercase(),
            &operation.path,
            &operation.id,
        );
        write!(
            operations,
            "Operation {{ id: {id:?}, method: {method:?}, path: {path:?}, authenticated: {}, parameters: &[",
            operation.authenticated
        )?;
        for parameter in &operation.parameters {
            let place = match parameter.place {
                Place::Path => continue,
                Place::Query => "Query",
                Place::Header => "Header",
            };
            let schema = reference(&mut patterns, &parameter.schema)?;
            write!(
                operations,
                "Parameter {{ name: {:?}, place: Place::{place}, required: {}, allow_empty: {}, schema: {schema} }},",
                parameter.name, parameter.required, parameter.allow_empty
            )?;
        }
        operations.push_str("], body: ");
        match &operation.body {
            Body::Json { schema, required } if !operation.raw_body => {
                let name = match &schema.kind {
                    Kind::Ref(name) => format!("Some({name:?})"),
                    _ => "None".to_owned(),
                };
                let schema = reference(&mut patterns, schema)?;
                write!(
                    operations,
                    "Some(Body {{ name: {name}, required: {required}, schema: {schema} }})"
                )?;
            }
            _ => operations.push_str("None"),
        }
        operations.push_str("},\n");
    }
    operations.push_str("];\n\n");
    let mut out = String::from(
        "//! Request checks. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.\n\n\
         use crate::schema::{Body, Operation, Parameter, Pattern, Place, Property, Schema};\n\n",
    );
    out.push_str(&operations);
    for (i, pattern) in patterns.iter().enumerate() {
        writeln!(
            out,
            "static PATTERN_{i}: Pattern = Pattern::new({pattern:?});\n"
        )?;
    }
    out.push_str(&used(&schemas, &operations));
    Ok(out)
}

/// Returns only the schemas that requests refer to, because unused statics would cause compiler warnings.
fn used(schemas: &str, operations: &str) -> String {
    let all: Vec<&str> = schemas
        .split("\n\n")
        .filter(|s| !s.trim().is_empty())
        .collect();
    let mut kept = vec![false; all.len()];
    let mut text = operations.to_owned();
    loop {
        let before = text.len();
        for (i, item) in all.iter().enumerate() {
            let name = item
                .trim_start_matches("static ")
                .split(':')
                .next()
                .unwrap_or_default();
            let referred = text.match_indices(&format!("&{name}")).any(|(at, found)| {
                !text[at + found.len()..]
                    .starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            });
            if !kept[i] && referred {
                kept[i] = true;
                text.push_str(item);
            }
        }
        if text.len() == before {
            break;
        }
    }
    all.iter()
        .zip(kept)
        .filter(|(_, kept)| *kept)
        .map(|(item, _)| format!("{}\n\n", item.trim()))
        .collect()
}

fn reference(patterns: &mut Vec<String>, schema: &Schema) -> Result<String> {
    Ok(match &schema.kind {
        Kind::Ref(name) => format!("&{}", constant(name)),
        _ => format!("&{}", literal(patterns, schema)?),
    })
}

fn literal(patterns: &mut Vec<String>, schema: &Schema) -> Result<String> {
    Ok(match &schema.kind {
        Kind::Ref(name) => {
            bail!("schema {name} is an alias of another schema, which is not supported")
        }
        Kind::String {
            pattern,
            min_length,
            format,
            variants,
        } => {
            let pattern = pattern.as_ref().map(|p| {
                let at = patterns.iter().position(|q| q == p).unwrap_or_else(|| {
                    patterns.push(p.clone());
                    patterns.len() - 1
                });
                format!("&PATTERN_{at}")
            });
            format!(
                "Schema::String {{ pattern: {}, min_length: {}, date_time: {}, variants: &{variants:?} }}",
                option(pattern),
                min_length.unwrap_or(0),
                format.as_deref() == Some("date-time")
            )
        }
        Kind::Integer { minimum, maximum } => {
            format!(
                "Schema::Integer {{ minimum: {}, maximum: {} }}",
                option(*minimum),
                option(*maximum)
            )
        }
        Kind::Boolean => "Schema::Boolean".to_owned(),
        Kind::Array { items, min_items } => {
            let items = reference(patterns, items)?;
            format!(
                "Schema::Array {{ items: {items}, min_items: {} }}",
                min_items.unwrap_or(0)
            )
        }
        Kind::Map(values) => format!("Schema::Map({})", reference(patterns, values)?),
        Kind::Free => "Schema::Free".to_owned(),
        Kind::Object(members) | Kind::Closed(members) => {
            let variant = match schema.kind {
                Kind::Closed(_) => "Closed",
                _ => "Object",
            };
            let mut out = format!("Schema::{variant}(&[");
            for member in members {
                let schema = reference(patterns, &member.schema)?;
                write!(
                    out,
                    "Property {{ name: {:?}, required: {}, schema: {schema} }},",
                    member.name, member.required
                )?;
            }
            out.push_str("])");
            out
        }
    })
}

fn option<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "None".to_owned(), |v| format!("Some({v})"))
}
