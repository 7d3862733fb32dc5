//! The access rights of one hook: compiled globs of the action file, or the component's defaults.
//!
//! Globs match whole paths; `*` does not match a slash, `**` does. The same rights apply to the
//! candidate, base and source trees.

use base::glob::{self, Dialect, GlobSet};

use super::report::{Cause, Failure};
use super::request::Select;

/// The kinds of change, with their names in action files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Added,
    Changed,
    Removed,
}

impl ChangeKind {
    fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "added" => Ok(Self::Added),
            "changed" => Ok(Self::Changed),
            "removed" => Ok(Self::Removed),
            _ => Err(Failure::new(
                Cause::HookError,
                format!("select.kinds: {name:?} is not added, changed or removed"),
            )),
        }
    }
}

/// Which changes a hook receives and which objects it may read.
#[derive(Debug)]
pub(super) struct Rights {
    /// `None` selects every path.
    select: Option<GlobSet>,
    read: GlobSet,
    kinds: Vec<ChangeKind>,
    prefix: String,
}

impl Rights {
    /// Compiles `select` and `read`. If `select` has no paths, the component's default paths apply.
    pub(super) fn new(
        select: &Select,
        default_paths: &[String],
        read: &[String],
    ) -> Result<Self, Failure> {
        let paths = if select.paths.is_empty() {
            default_paths
        } else {
            &select.paths
        };
        let kinds = if select.kinds.is_empty() {
            vec![ChangeKind::Added, ChangeKind::Changed]
        } else {
            select
                .kinds
                .iter()
                .map(|k| ChangeKind::parse(k))
                .collect::<Result<_, _>>()?
        };
        Ok(Self {
            select: if paths.is_empty() {
                None
            } else {
                Some(globs("select.paths", paths)?)
            },
            read: globs("capabilities.read", read)?,
            kinds,
            prefix: common_prefix(paths),
        })
    }

    /// Reports whether an object gate checks a change at this path.
    pub(super) fn selects(&self, kind: ChangeKind, path: &str) -> bool {
        self.kinds.contains(&kind) && self.select.as_ref().is_none_or(|s| s.is_match(path))
    }

    /// Reports whether the hook may read the object at this path.
    pub(super) fn may_read(&self, path: &str) -> bool {
        self.select.as_ref().is_none_or(|s| s.is_match(path)) || self.read.is_match(path)
    }

    /// Returns a prefix that all selected paths share.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Compiles globs. A glob that can match no path is refused, because a gate with only such globs would
/// check nothing.
fn globs(key: &str, patterns: &[String]) -> Result<GlobSet, Failure> {
    let failure = |why: String| Failure::new(Cause::HookError, format!("{key}: {why}"));
    if let Some(empty) = patterns.iter().find(|p| is_never_matched(p)) {
        return Err(failure(format!(
            "'{}' can match no path",
            glob::quoted(empty)
        )));
    }
    glob::compile(patterns, Dialect::Paths).map_err(|e| failure(e.to_string()))
}

fn is_never_matched(pattern: &str) -> bool {
    glob::parse(pattern, Dialect::Paths).is_ok_and(|glob| !glob.matches_some_text())
}

/// Returns a prefix that all matches of all patterns share: that of their literal beginnings.
fn common_prefix(patterns: &[String]) -> String {
    let literal = |p: &'static str, s: &str| s.find(|c| p.contains(c)).map_or(s.len(), |at| at);
    let mut prefix: Option<&str> = None;
    for pattern in patterns {
        let lead = &pattern[..literal("*?[]{}\\!", pattern)];
        prefix = Some(match prefix {
            None => lead,
            Some(known) => {
                let same = known
                    .char_indices()
                    .zip(lead.chars())
                    .find(|((_, a), b)| a != b);
                let end = same.map_or(known.len().min(lead.len()), |((at, _), _)| at);
                &known[..end]
            }
        });
    }
    prefix.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(paths: &[&str], read: &[&str]) -> Rights {
        let own = |s: &[&str]| s.iter().map(ToString::to_string).collect::<Vec<_>>();
        let select = Select {
            paths: own(paths),
            ..Select::default()
        };
        Rights::new(&select, &[], &own(read)).expect("good globs")
    }

    #[test]
    fn single_star_does_not_match_a_slash() {
        let r = rights(&["tables/*.csv", "**/*.parquet"], &[]);
        assert!(
            r.may_read("tables/a.csv") && r.may_read("x/y/z.parquet") && r.may_read("z.parquet")
        );
        assert!(
            !r.may_read("tables/x/a.csv")
                && !r.may_read("tables/a.txt")
                && !r.may_read("TABLES/a.csv")
        );
    }

    #[test]
    fn read_rights_may_exceed_the_selection() {
        let r = rights(&["tables/**"], &["schemas/*"]);
        assert!(r.may_read("schemas/a.json") && !r.selects(ChangeKind::Added, "schemas/a.json"));
        assert!(
            r.selects(ChangeKind::Added, "tables/a") && !r.selects(ChangeKind::Removed, "tables/a")
        );
    }

    #[test]
    fn missing_paths_select_all_or_the_components_default() {
        assert!(rights(&[], &[]).may_read("anything"));
        let defaults =
            Rights::new(&Select::default(), &["data/**".into()], &[]).expect("good globs");
        assert!(defaults.may_read("data/a") && !defaults.may_read("other"));
    }

    #[test]
    fn prefix_is_shared_by_all_patterns() {
        let prefix = |p: &[&str]| rights(p, &[]).prefix().to_owned();
        assert_eq!(prefix(&["tables/a*", "tables/abc/**"]), "tables/a");
        assert_eq!(prefix(&["tables/**", "other"]), "");
        assert_eq!(prefix(&["tables/x", "tables/x"]), "tables/x");
        assert_eq!(prefix(&["{a,b}/x"]), "");
        assert_eq!(prefix(&["é/a", "è/a"]), "");
    }

    /// Regression test: an object gate whose component has such default paths checked nothing.
    #[test]
    fn glob_that_matches_no_path_is_refused() {
        let none = Select::default();
        let refused = Rights::new(&none, &["a".into(), "{}".into()], &[]);
        assert_eq!(
            refused.expect_err("it matches only the empty text").message,
            "select.paths: '{}' can match no path"
        );
    }

    /// Regression test: default paths from a component were compiled without a limit on a serving
    /// thread.
    #[test]
    fn nested_braces_are_rejected_from_every_source() {
        base::testing::on_small_stack(|| {
            let nested = format!("{}{}", "{".repeat(20_000), "}".repeat(20_000));
            let select = Select {
                paths: vec![nested.clone()],
                ..Select::default()
            };
            let none = Select::default();
            let nested = [nested];
            for (refused, key) in [
                (Rights::new(&select, &[], &[]), "select.paths"),
                (Rights::new(&none, &nested, &[]), "select.paths"),
                (Rights::new(&none, &[], &nested), "capabilities.read"),
            ] {
                let message = refused.expect_err("too deep").message;
                assert!(message.starts_with(key), "{message}");
                assert!(message.len() < 300, "{}", message.len());
            }
        });
    }

    #[test]
    fn invalid_glob_or_kind_names_its_key() {
        let bad = Select {
            paths: vec!["a[".into()],
            ..Select::default()
        };
        assert!(
            Rights::new(&bad, &[], &[])
                .expect_err("bad glob")
                .message
                .starts_with("select.paths: ")
        );
        let bad = Select {
            kinds: vec!["moved".into()],
            ..Select::default()
        };
        let message = Rights::new(&bad, &[], &[]).expect_err("bad kind").message;
        assert_eq!(
            message,
            r#"select.kinds: "moved" is not added, changed or removed"#
        );
    }
}
