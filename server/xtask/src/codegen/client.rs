//! Generates the typed client: one method per operation, in the contract's order.
//!
//! Required parameters are arguments. Optional parameters are fields of one struct per operation. Object
//! bytes are streamed in both directions.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::model::{Answer, Body, Contract, Kind, Operation, Parameter, Place, Schema};
use super::names::{camel, doc, doc_or, field, snake};

/// Generates the whole file.
pub(super) fn generate(contract: &Contract) -> Result<String> {
    let mut out = String::from(
        "//! Client operations. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.\n\n\
         use api_types as types;\nuse reqwest::Method;\n\nuse crate::{ByteStream, Client, Result};\n\n",
    );
    for operation in &contract.operations {
        options(&mut out, operation)?;
    }
    out.push_str("impl Client {\n");
    for operation in &contract.operations {
        method(&mut out, operation)?;
    }
    out.push_str("}\n");
    Ok(out)
}

fn options_name(operation: &Operation) -> String {
    format!("{}Options", camel(&operation.id))
}

fn optional(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().filter(|p| !p.required)
}

fn required(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().filter(|p| p.required)
}

fn options(out: &mut String, operation: &Operation) -> Result<()> {
    if optional(operation).next().is_none() {
        return Ok(());
    }
    let name = options_name(operation);
    writeln!(
        out,
        "/// Optional parameters of [`Client::{}`].",
        snake(&operation.id)
    )?;
    writeln!(
        out,
        "#[derive(Debug, Clone, Default)]\npub struct {name} {{"
    )?;
    for parameter in optional(operation) {
        out.push_str(&doc_or(
            "    ",
            parameter.description.as_deref(),
            &parameter.name,
        ));
        let ty = match &parameter.schema.kind {
            Kind::Array { .. } => "Vec<String>".to_owned(),
            _ => format!("Option<{}>", scalar(&parameter.schema, false)?),
        };
        writeln!(out, "    pub {}: {ty},", field(&parameter.name))?;
    }
    out.push_str("}\n\n");
    Ok(())
}

fn method(out: &mut String, operation: &Operation) -> Result<()> {
    out.push_str(&doc("    ", &operation.summary));
    out.push_str("    ///\n    /// # Errors\n    /// [`crate::Error`].\n");
    if operation.deprecated {
        out.push_str("    #[deprecated = \"kept for old clients\"]\n");
    }
    let mut arguments = String::from("&self");
    for parameter in required(operation) {
        write!(
            arguments,
            ", {}: {}",
            field(&parameter.name),
            scalar(&parameter.schema, true)?
        )?;
    }
    if optional(operation).next().is_some() {
        write!(arguments, ", options: &{}", options_name(operation))?;
    }
    match &operation.body {
        Body::None => {}
        Body::Json {
            schema,
            required: true,
        } => write!(arguments, ", body: &{}", type_of(schema)?)?,
        Body::Json {
            schema,
            required: false,
        } => write!(arguments, ", body: Option<&{}>", type_of(schema)?)?,
        Body::Bytes => arguments.push_str(", body: reqwest::Body"),
    }
    let answer = match &operation.answer {
        Answer::Nothing => "()".to_owned(),
        Answer::Json(schema) => type_of(schema)?,
        Answer::Text => "String".to_owned(),
        Answer::Bytes => "ByteStream".to_owned(),
    };
    writeln!(
        out,
        "    pub async fn {}({arguments}) -> Result<{answer}> {{",
        snake(&operation.id)
    )?;
    let receive = match &operation.answer {
        Answer::Nothing => "nothing",
        Answer::Json(_) => "json",
        Answer::Text => "text",
        Answer::Bytes => "bytes",
    };
    let chain = request(operation)?;
    writeln!(out, "        {chain}.{receive}().await\n    }}\n")?;
    Ok(())
}

fn request(operation: &Operation) -> Result<String> {
    let verb = operation.method.to_ascii_uppercase();
    let mut out = format!("self.request(Method::{verb}, &[");
    for (i, segment) in operation
        .path
        .trim_start_matches('/')
        .split('/')
        .enumerate()
    {
        if i > 0 {
            out.push_str(", ");
        }
        match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            None => write!(out, "{segment:?}")?,
            Some(name) => {
                let integer = operation.parameters.iter().any(|p| {
                    p.place == Place::Path
                        && p.name == name
                        && matches!(p.schema.kind, Kind::Integer { .. })
                });
                write!(out, "{}{}", if integer { "&" } else { "" }, field(name))?;
                if integer {
                    out.push_str(".to_string()");
                }
            }
        }
    }
    out.push_str("])?");
    for parameter in &operation.parameters {
        let (name, rust) = (&parameter.name, field(&parameter.name));
        let call = match (parameter.place, parameter.required, &parameter.schema.kind) {
            (Place::Path, ..) => continue,
            (Place::Query, true, _) => format!(".query({name:?}, {rust})"),
            (Place::Query, false, Kind::Array { .. }) => {
                format!(".query_list({name:?}, &options.{rust})")
            }
            (Place::Query, false, _) => format!(".query_option({name:?}, options.{rust}.as_ref())"),
            (Place::Header, false, _) => {
                format!(".header_option({name:?}, options.{rust}.as_deref())")
            }
            (Place::Header, true, _) => {
                bail!("{}: required headers are not supported", operation.id)
            }
        };
        out.push_str(&call);
    }
    out.push_str(match &operation.body {
        Body::None => "",
        Body::Json { required: true, .. } => ".send_json(body)",
        Body::Json {
            required: false, ..
        } => ".send_json_option(body)",
        Body::Bytes => ".send_bytes(body)",
    });
    Ok(out)
}

/// Returns a parameter's type: borrowed for an argument, owned for a field.
fn scalar(schema: &Schema, borrowed: bool) -> Result<&'static str> {
    Ok(match &schema.kind {
        Kind::String { .. } if borrowed => "&str",
        Kind::String { .. } => "String",
        Kind::Integer { .. } => "i64",
        Kind::Boolean => "bool",
        other => bail!("unsupported type of a parameter: {other:?}"),
    })
}

fn type_of(schema: &Schema) -> Result<String> {
    Ok(match &schema.kind {
        Kind::Ref(name) => format!("types::{name}"),
        Kind::Array { items, .. } => format!("Vec<{}>", type_of(items)?),
        Kind::String { .. } => "String".to_owned(),
        Kind::Object(members) | Kind::Closed(members) => match members.as_slice() {
            [] => bail!("unsupported body: an object without properties"),
            // Inline objects of an operation have no generated type.
            _ => "serde_json::Value".to_owned(),
        },
        other => bail!("unsupported type of a body: {other:?}"),
    })
}
