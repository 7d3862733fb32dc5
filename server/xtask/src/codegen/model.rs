//! Parses the contract into schemas and operations for the generators. References to schemas stay names.
//!
//! Unsupported types and structures are errors. Unknown keywords are ignored.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_yaml_ng::{Mapping, Value};

/// A parsed contract.
#[derive(Debug)]
pub(super) struct Contract {
    /// By name.
    pub(super) schemas: BTreeMap<String, Schema>,
    /// In the order of the file.
    pub(super) operations: Vec<Operation>,
}

/// A schema.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) kind: Kind,
    pub(super) description: Option<String>,
    pub(super) nullable: bool,
}

/// The type of a schema's values.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Reference to a named schema.
    Ref(String),
    String {
        pattern: Option<String>,
        min_length: Option<usize>,
        format: Option<String>,
        variants: Vec<String>,
    },
    Integer {
        minimum: Option<i64>,
        maximum: Option<i64>,
    },
    Boolean,
    Array {
        items: Box<Schema>,
        min_items: Option<usize>,
    },
    /// A map from strings to values of one type.
    Map(Box<Schema>),
    Object(Vec<Property>),
    /// An object that allows no other properties.
    Closed(Vec<Property>),
    /// Any JSON object.
    Free,
}

/// A property of an object.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) schema: Schema,
}

/// The location of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) required: bool,
    pub(super) allow_empty: bool,
    pub(super) schema: Schema,
    pub(super) description: Option<String>,
}

/// The body of a request.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Json {
        schema: Schema,
        required: bool,
    },
    /// Raw bytes. The contract may allow a form as an alternative.
    Bytes,
}

/// The body of a successful response.
#[derive(Debug)]
pub(super) enum Answer {
    Nothing,
    Json(Schema),
    Text,
    Bytes,
}

/// An operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) deprecated: bool,
    /// Whether the operation requires authentication.
    pub(super) authenticated: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Body,
    /// Whether the server passes the body to the handler without checking it.
    pub(super) raw_body: bool,
    pub(super) answer: Answer,
}

impl Contract {
    /// Parses a contract.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let root: Value = serde_yaml_ng::from_str(text).context("failed to parse the contract")?;
        let mut schemas = BTreeMap::new();
        for (name, value) in map(&root["components"]["schemas"]) {
            let name = string(name)?;
            let schema = if value.get("allOf").is_some() {
                joined(&root, value)
            } else {
                schema(value)
            };
            schemas.insert(
                name.clone(),
                schema.with_context(|| format!("schema {name}"))?,
            );
        }
        let mut operations = Vec::new();
        for (path, item) in map(&root["paths"]) {
            let path = string(path)?;
            for (method, value) in map(item) {
                let method = string(method)?;
                if method != "parameters" {
                    let operation = operation(&root, &path, &method, item, value);
                    operations.push(operation.with_context(|| format!("{method} {path}"))?);
                }
            }
        }
        Ok(Self {
            schemas,
            operations,
        })
    }
}

fn operation(
    root: &Value,
    path: &str,
    method: &str,
    item: &Value,
    value: &Value,
) -> Result<Operation> {
    let mut parameters = Vec::new();
    for given in list(&item["parameters"])
        .iter()
        .chain(list(&value["parameters"]))
    {
        parameters.push(parameter(deref(root, given)?)?);
    }
    let body = body(root, &value["requestBody"])?;
    Ok(Operation {
        id: text(value, "operationId").context("an operation without operationId")?,
        method: method.to_owned(),
        path: path.to_owned(),
        summary: text(value, "summary").context("an operation without summary")?,
        deprecated: value["deprecated"].as_bool().unwrap_or(false),
        authenticated: is_authenticated(value).with_context(|| format!("{method} {path}"))?,
        parameters,
        raw_body: value["x-validation-exclude-body"]
            .as_bool()
            .unwrap_or(false),
        body,
        answer: answer(root, value)?,
    })
}

/// Whether an operation requires credentials. The document's default is to require any of them, and an operation can
/// only drop the requirement.
fn is_authenticated(operation: &Value) -> Result<bool> {
    match operation.get("security") {
        None => Ok(true),
        Some(none) if none.as_sequence().is_some_and(Vec::is_empty) => Ok(false),
        Some(_) => bail!("`security` must be absent or an empty list"),
    }
}

fn parameter(value: &Value) -> Result<Parameter> {
    let name = text(value, "name").context("a parameter without name")?;
    let place = match value["in"].as_str() {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => Place::Header,
        other => bail!("parameter {name} in {other:?}"),
    };
    Ok(Parameter {
        place,
        required: value["required"].as_bool().unwrap_or(false),
        allow_empty: value["allowEmptyValue"].as_bool().unwrap_or(false),
        schema: schema(&value["schema"]).with_context(|| format!("parameter {name}"))?,
        description: text(value, "description"),
        name,
    })
}

fn body(root: &Value, value: &Value) -> Result<Body> {
    if value.is_null() {
        return Ok(Body::None);
    }
    let content = &deref(root, value)?["content"];
    if content.get("application/octet-stream").is_some() {
        return Ok(Body::Bytes);
    }
    let json = content
        .get("application/json")
        .context("a request body that is neither JSON nor bytes")?;
    Ok(Body::Json {
        schema: schema(&json["schema"])?,
        required: value["required"].as_bool().unwrap_or(false),
    })
}

/// Returns the body of the first successful response.
fn answer(root: &Value, operation: &Value) -> Result<Answer> {
    for (status, response) in map(&operation["responses"]) {
        if !string(status)?.starts_with('2') {
            continue;
        }
        let content = &deref(root, response)?["content"];
        if let Some(json) = content.get("application/json") {
            return Ok(Answer::Json(schema(&json["schema"])?));
        }
        if content.get("application/octet-stream").is_some() {
            return Ok(Answer::Bytes);
        }
        return Ok(if content.get("text/html").is_some() {
            Answer::Text
        } else {
            Answer::Nothing
        });
    }
    Ok(Answer::Nothing)
}

fn schema(value: &Value) -> Result<Schema> {
    Ok(Schema {
        kind: kind(value)?,
        description: text(value, "description"),
        nullable: value["nullable"].as_bool().unwrap_or(false),
    })
}

/// Merges the parts of an `allOf`. A property is required if any part requires it.
fn joined(root: &Value, value: &Value) -> Result<Schema> {
    let mut members: Vec<Property> = Vec::new();
    let mut required = Vec::new();
    for part in list(&value["allOf"]) {
        let part = deref(root, part)?;
        required.extend(
            list(&part["required"])
                .iter()
                .map(string)
                .collect::<Result<Vec<_>>>()?,
        );
        members.extend(properties(part)?);
    }
    for member in &mut members {
        member.required |= required.contains(&member.name);
    }
    Ok(Schema {
        kind: Kind::Object(members),
        description: text(value, "description"),
        nullable: false,
    })
}

fn kind(value: &Value) -> Result<Kind> {
    if let Some(reference) = value["$ref"].as_str() {
        let name = reference
            .strip_prefix("#/components/schemas/")
            .context("a reference that is not to a schema")?;
        return Ok(Kind::Ref(name.to_owned()));
    }
    if value.get("allOf").is_some() {
        bail!("allOf is supported only at the top of a schema");
    }
    match value["type"].as_str() {
        Some("string") => Ok(Kind::String {
            pattern: text(value, "pattern"),
            min_length: number(value, "minLength")?,
            format: text(value, "format"),
            variants: list(&value["enum"])
                .iter()
                .map(string)
                .collect::<Result<_>>()?,
        }),
        Some("integer") => Ok(Kind::Integer {
            minimum: value["minimum"].as_i64(),
            maximum: value["maximum"].as_i64(),
        }),
        Some("boolean") => Ok(Kind::Boolean),
        Some("array") => Ok(Kind::Array {
            items: Box::new(schema(&value["items"])?),
            min_items: number(value, "minItems")?,
        }),
        Some("object") | None if value.get("properties").is_some() => {
            let members = properties(value)?;
            Ok(match value["additionalProperties"].as_bool() {
                Some(false) => Kind::Closed(members),
                _ => Kind::Object(members),
            })
        }
        Some("object") if value["additionalProperties"].is_mapping() => {
            Ok(Kind::Map(Box::new(schema(&value["additionalProperties"])?)))
        }
        Some("object") => Ok(Kind::Free),
        other => bail!("unsupported schema type {other:?}"),
    }
}

fn properties(value: &Value) -> Result<Vec<Property>> {
    let required: Vec<String> = list(&value["required"])
        .iter()
        .map(string)
        .collect::<Result<_>>()?;
    let mut out = Vec::new();
    for (name, member) in map(&value["properties"]) {
        let name = string(name)?;
        let schema = schema(member).with_context(|| format!("property {name}"))?;
        out.push(Property {
            required: required.contains(&name),
            schema,
            name,
        });
    }
    Ok(out)
}

fn deref<'a>(root: &'a Value, value: &'a Value) -> Result<&'a Value> {
    let Some(reference) = value["$ref"].as_str() else {
        return Ok(value);
    };
    let mut at = root;
    for part in reference.trim_start_matches("#/").split('/') {
        at = at
            .get(part)
            .with_context(|| format!("there is nothing at {reference}"))?;
    }
    Ok(at)
}

fn map(value: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    value.as_mapping().into_iter().flat_map(Mapping::iter)
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> Result<String> {
    Ok(value.as_str().context("expected a string")?.to_owned())
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn number(value: &Value, key: &str) -> Result<Option<usize>> {
    value[key]
        .as_u64()
        .map(usize::try_from)
        .transpose()
        .context("a number out of range")
}

#[cfg(test)]
mod tests {
    use super::is_authenticated;

    #[test]
    fn only_an_empty_list_makes_an_operation_public() {
        let of = |text| is_authenticated(&serde_yaml_ng::from_str(text).unwrap());
        assert!(of("{operationId: a}").unwrap());
        assert!(!of("{operationId: a, security: []}").unwrap());
        assert!(of("{operationId: a, security: [{jwt_token: []}]}").is_err());
        assert!(of("{operationId: a, security: null}").is_err());
    }
}
