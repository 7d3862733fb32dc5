//! Lets only files of named formats in, told by their ending and, where it is known, by their first bytes.

use hooks_sdk::Span;
use hooks_sdk::prelude::*;

/// Formats that tell themselves by their first bytes.
const SIGNATURES: &[(&str, &[u8])] = &[
    ("parquet", b"PAR1"),
    ("orc", b"ORC"),
    ("avro", b"Obj\x01"),
    ("gz", b"\x1f\x8b"),
    ("zip", b"PK"),
    ("png", b"\x89PNG"),
];

/// What the action's `config` may say.
#[derive(Debug, Config)]
pub struct Rules {
    /// Endings that may come in, such as `parquet`.
    allowed: Vec<String>,
    /// Refuse a file whose first bytes are not those of its ending.
    #[config(default = true)]
    check_content: bool,
}

/// Judges one object.
///
/// # Errors
/// When it can't be read.
#[object_gate(paths = "**", kinds = "added, changed")]
pub fn format_allow_list(object: &Object, rules: &Rules, out: &mut Report) -> Result<()> {
    let name = object.path().rsplit('/').next().unwrap_or_default();
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_lowercase());
    let is_allowed = |ending: &String| {
        rules
            .allowed
            .iter()
            .any(|a| a.trim_start_matches('.').eq_ignore_ascii_case(ending))
    };
    let Some(ending) = ending.filter(is_allowed) else {
        let list = rules.allowed.join(", ");
        return out.error("format", format!("only these formats may come in: {list}"));
    };
    let signature = SIGNATURES.iter().find(|(format, _)| *format == ending);
    if let Some((_, start)) = signature.filter(|_| rules.check_content) {
        let length = u32::try_from(start.len()).expect("signatures are short");
        let is_whole = object.size_bytes() >= u64::from(length);
        if !is_whole || object.read(Span { offset: 0, length })? != *start {
            out.error(
                "content",
                format!("does not begin as a .{ending} file does"),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The gate natively.

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
    fn only_named_formats_come_in() {
        let config = r#"{"allowed": ["parquet", ".CSV"]}"#;
        assert_eq!(judge("a/b.csv", b"x", config), [""; 0]);
        for path in ["a/b.exe", "a/b", "a.csv/b", ".hidden"] {
            assert_eq!(
                judge(path, b"x", config),
                ["format: only these formats may come in: parquet, .CSV"],
                "{path}"
            );
        }
    }

    #[test]
    fn a_file_must_be_what_it_is_called() {
        let config = r#"{"allowed": ["parquet"]}"#;
        assert_eq!(judge("a.parquet", b"PAR1....", config), [""; 0]);
        assert_eq!(
            judge("a.parquet", b"MZ......", config),
            ["content: does not begin as a .parquet file does"]
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
