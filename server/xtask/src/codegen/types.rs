//! Generates the wire types: structs and enums.
//!
//! Unknown properties are ignored, absent ones are not serialized, and secrets do not appear in `Debug` output.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::model::{Contract, Kind, Property, Schema};
use super::names::{camel, doc_or, field};

/// Generates the whole file.
pub(super) fn generate(contract: &Contract) -> Result<String> {
    let mut out = String::from(
        "//! Wire types. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.\n\n\
         use std::collections::BTreeMap;\n\nuse serde::{Deserialize, Serialize};\n\n",
    );
    for (name, schema) in &contract.schemas {
        match &schema.kind {
            Kind::Object(members) | Kind::Closed(members) => {
                object(&mut out, contract, name, schema, members)?;
            }
            Kind::String { variants, .. } if !variants.is_empty() => {
                enumeration(&mut out, name, variants, schema);
            }
            Kind::Integer { .. } | Kind::Boolean | Kind::Ref(_) => {
                bail!("schema {name}: a named schema of this type is not supported")
            }
            _ => {
                out.push_str(&doc_or("", schema.description.as_deref(), name));
                writeln!(out, "pub type {name} = {};\n", rust_type(name, schema)?)?;
            }
        }
    }
    Ok(out)
}

/// Returns the Rust type of a schema. `context` is the name of an inline enum.
pub(super) fn rust_type(context: &str, schema: &Schema) -> Result<String> {
    Ok(match &schema.kind {
        Kind::Ref(name) => name.clone(),
        Kind::String { variants, .. } if !variants.is_empty() => context.to_owned(),
        Kind::String { .. } => "String".to_owned(),
        Kind::Integer { .. } => "i64".to_owned(),
        Kind::Boolean => "bool".to_owned(),
        Kind::Array { items, .. } => format!("Vec<{}>", rust_type(context, items)?),
        Kind::Map(values) => format!("BTreeMap<String, {}>", rust_type(context, values)?),
        Kind::Free => "serde_json::Map<String, serde_json::Value>".to_owned(),
        Kind::Object(_) | Kind::Closed(_) => {
            bail!("{context}: an object inside an object must be a named schema")
        }
    })
}

fn object(
    out: &mut String,
    contract: &Contract,
    name: &str,
    schema: &Schema,
    members: &[Property],
) -> Result<()> {
    let secret = members.iter().any(|m| is_secret(&m.schema));
    let mut derives = vec!["Clone", "PartialEq", "Serialize", "Deserialize"];
    if !secret {
        derives.insert(0, "Debug");
    }
    if members
        .iter()
        .all(|m| !m.required || has_default(contract, &m.schema))
    {
        derives.push("Default");
    }
    out.push_str(&doc_or("", schema.description.as_deref(), name));
    writeln!(
        out,
        "#[derive({})]\npub struct {name} {{",
        derives.join(", ")
    )?;
    let mut enums = String::new();
    for member in members {
        let context = format!("{name}{}", camel(&member.name));
        if let Kind::String { variants, .. } = &member.schema.kind
            && !variants.is_empty()
        {
            enumeration(&mut enums, &context, variants, &member.schema);
        }
        declare(out, &context, member)?;
    }
    out.push_str("}\n\n");
    out.push_str(&enums);
    if secret {
        redacted_debug(out, name, members)?;
    }
    Ok(())
}

fn declare(out: &mut String, context: &str, member: &Property) -> Result<()> {
    if let Some(text) = &member.schema.description {
        out.push_str(&doc_or("    ", Some(text), ""));
    }
    let rust = field(&member.name);
    if rust.trim_start_matches("r#") != member.name {
        writeln!(out, "    #[serde(rename = {:?})]", member.name)?;
    }
    let ty = rust_type(context, &member.schema)?;
    if member.required && !member.schema.nullable {
        writeln!(out, "    pub {rust}: {ty},")?;
    } else {
        out.push_str("    #[serde(default, skip_serializing_if = \"Option::is_none\")]\n");
        writeln!(out, "    pub {rust}: Option<{ty}>,")?;
    }
    Ok(())
}

fn enumeration(out: &mut String, name: &str, variants: &[String], schema: &Schema) {
    out.push_str(&doc_or(
        "",
        schema.description.as_deref(),
        &format!("Values of `{name}`."),
    ));
    out.push_str("#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]\n");
    out.push_str(&format!("pub enum {name} {{\n"));
    for variant in variants {
        out.push_str(&format!(
            "    #[serde(rename = {variant:?})]\n    {},\n",
            camel(variant)
        ));
    }
    out.push_str(&format!(
        "}}\n\nimpl {name} {{\n    /// Returns the value as it appears on the wire.\n    #[must_use]\n    \
         pub fn as_str(self) -> &'static str {{\n        match self {{\n"
    ));
    for variant in variants {
        out.push_str(&format!(
            "            Self::{} => {variant:?},\n",
            camel(variant)
        ));
    }
    out.push_str("        }\n    }\n}\n\n");
}

fn redacted_debug(out: &mut String, name: &str, members: &[Property]) -> Result<()> {
    writeln!(
        out,
        "impl std::fmt::Debug for {name} {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
         f.debug_struct({name:?})"
    )?;
    for member in members {
        let value = if is_secret(&member.schema) {
            "\"[redacted]\"".to_owned()
        } else {
            format!("self.{}", field(&member.name))
        };
        writeln!(out, "            .field({:?}, &{value})", member.name)?;
    }
    out.push_str("            .finish()\n    }\n}\n\n");
    Ok(())
}

fn is_secret(schema: &Schema) -> bool {
    matches!(&schema.kind, Kind::String { format: Some(format), .. } if format == "password")
}

/// Returns whether the Rust type of a required value has a default. Enums have none; objects have one if all of their
/// required properties do.
fn has_default(contract: &Contract, schema: &Schema) -> bool {
    match &schema.kind {
        Kind::Ref(name) => contract
            .schemas
            .get(name)
            .is_some_and(|s| has_default(contract, s)),
        Kind::String { variants, .. } => variants.is_empty(),
        Kind::Object(members) | Kind::Closed(members) => members
            .iter()
            .all(|m| !m.required || has_default(contract, &m.schema)),
        Kind::Integer { .. } | Kind::Boolean | Kind::Array { .. } | Kind::Map(_) | Kind::Free => {
            true
        }
    }
}
