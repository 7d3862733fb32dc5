//! Converts names of the contract to Rust names.

/// Converts to snake case: `blockstore_namespace_ValidityRegex` -> `blockstore_namespace_validity_regex`, `RBAC` -> `rbac`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            if !out.ends_with('_') && !out.is_empty() {
                out.push('_');
            }
            continue;
        }
        let after_lower =
            i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
        let before_lower = i > 0
            && chars[i - 1].is_ascii_uppercase()
            && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (after_lower || before_lower) && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Returns the name of a field or argument, escaped if it is a Rust keyword.
pub(super) fn field(name: &str) -> String {
    let name = snake(name);
    if matches!(name.as_str(), "type" | "ref" | "use" | "move" | "match") {
        format!("r#{name}")
    } else {
        name
    }
}

/// Converts to upper camel case: `common_prefix` -> `CommonPrefix`, `getObject` -> `GetObject`.
pub(super) fn camel(name: &str) -> String {
    snake(name)
        .split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|c| c.to_ascii_uppercase().to_string() + chars.as_str())
                .unwrap_or_default()
        })
        .collect()
}

/// Returns the name of the static for a schema.
pub(super) fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// Formats a text as a doc comment, line by line.
pub(super) fn doc(indent: &str, text: &str) -> String {
    text.trim()
        .lines()
        .map(|line| format!("{indent}/// {}\n", line.trim_end()))
        .collect()
}

/// Formats a description as a doc comment. Uses `otherwise` if the contract has none.
pub(super) fn doc_or(indent: &str, text: Option<&str>, otherwise: &str) -> String {
    doc(indent, text.unwrap_or(otherwise))
}

#[cfg(test)]
mod tests {
    use super::{camel, field, snake};

    #[test]
    fn names_are_converted_to_rust_case() {
        for (given, expected) in [
            ("RBAC", "rbac"),
            ("firstName", "first_name"),
            (
                "blockstore_namespace_ValidityRegex",
                "blockstore_namespace_validity_regex",
            ),
            ("If-None-Match", "if_none_match"),
            (
                "PrepareGCUncommittedRequest",
                "prepare_gc_uncommitted_request",
            ),
            ("getLakeFSVersion", "get_lake_fs_version"),
        ] {
            assert_eq!(snake(given), expected);
        }
        assert_eq!(field("type"), "r#type");
        assert_eq!(camel("dest-wins"), "DestWins");
    }
}
