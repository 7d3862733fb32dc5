//! Refuses files whose format is not on a list. The format is the extension; for formats with a known signature the
//! first bytes must match.

use hooks_sdk::Span;
use hooks_sdk::prelude::*;

/// The first bytes of files by extension.
const SIGNATURES: &[(&str, &[u8])] = &[
    ("parquet", b"PAR1"),
    ("orc", b"ORC"),
    ("avro", b"Obj\x01"),
    ("gz", b"\x1f\x8b"),
    ("zip", b"PK"),
    ("png", b"\x89PNG"),
];

/// The configuration in the action file.
#[derive(Debug, Config)]
pub struct Rules {
    /// Allowed extensions, such as `parquet`.
    allowed: Vec<String>,
    /// Refuse a file whose first bytes do not match its extension.
    #[config(default = true)]
    check_content: bool,
}

/// Judges one object.
///
/// # Errors
/// The object cannot be read.
#[object_gate(paths = "**", kinds = "added, changed")]
pub fn format_allow_list(object: &Object, rules: &Rules, out: &mut Report) -> Result<()> {
    let name = object.path().rsplit('/').next().unwrap_or_default();
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_lowercase());
    let is_allowed = |extension: &String| {
        rules
            .allowed
            .iter()
            .any(|a| a.trim_start_matches('.').eq_ignore_ascii_case(extension))
    };
    let Some(extension) = extension.filter(is_allowed) else {
        let list = rules.allowed.join(", ");
        return out.error(
            "format",
            format!("the format is not allowed; allowed formats: {list}"),
        );
    };
    let signature = SIGNATURES.iter().find(|(format, _)| *format == extension);
    if let Some((_, start)) = signature.filter(|_| rules.check_content) {
        let length = u32::try_from(start.len()).expect("signatures are short");
        let is_whole = object.size_bytes() >= u64::from(length);
        if !is_whole || object.read(Span { offset: 0, length })? != *start {
            out.error(
                "content",
                format!("the content is not that of a .{extension} file"),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Native tests of the gate.

    use super::*;

    fn judge(path: &str, bytes: &'static [u8], config: &str) -> Vec<String> {
        let mut out = Report::default();
        format_allow_list(
            &Object::from_bytes(path, bytes),
            &Rules::from_json(config).unwrap(),
            &mut out,
        )
        .unwrap();
        out.findings()
            .iter()
            .map(|f| format!("{}: {}", f.rule, f.message))
            .collect()
    }

    #[test]
    fn formats_that_are_not_listed_are_refused() {
        let config = r#"{"allowed": ["parquet", ".CSV"]}"#;
        assert_eq!(judge("a/b.csv", b"x", config), [""; 0]);
        for path in ["a/b.exe", "a/b", "a.csv/b", ".hidden"] {
            assert_eq!(
                judge(path, b"x", config),
                ["format: the format is not allowed; allowed formats: parquet, .CSV"],
                "{path}"
            );
        }
    }

    #[test]
    fn content_must_match_the_extension() {
        let config = r#"{"allowed": ["parquet"]}"#;
        assert_eq!(judge("a.parquet", b"PAR1....", config), [""; 0]);
        assert_eq!(
            judge("a.parquet", b"MZ......", config),
            ["content: the content is not that of a .parquet file"]
        );
        assert_eq!(judge("a.parquet", b"", config).len(), 1);
        assert_eq!(
            judge(
                "a.parquet",
                b"MZ",
                r#"{"allowed": ["parquet"], "check_content": false}"#
            ),
            [""; 0]
        );
    }
}
