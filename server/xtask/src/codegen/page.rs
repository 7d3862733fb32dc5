//! Generates the tables of `docs/reference/rest.md`: all operations by group, with their summaries.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::model::{Contract, Operation};

/// The line above the tables. The text above it is written by hand.
const MARK: &str = "<!-- `cargo xtask codegen` generates the tables below from the contract. -->\n";

/// The groups in the order of the page, each with the fragments of paths that belong to it. The first group with a
/// matching fragment counts, so specific fragments come before general ones; [`ORDER`] sorts the groups for readers.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Setup and sessions",
        &[
            "/setup_",
            "/user",
            "/auth/login",
            "/auth/capabilities",
            "/auth/external/principal/login",
            "/sts/",
            "/oidc/",
        ],
    ),
    ("Users, groups and policies", &["/auth/"]),
    ("Pull requests", &["/pulls"]),
    ("Hook runs", &["/actions/"]),
    ("Garbage collection", &["/gc/", "/gc_rules"]),
    ("Branch protection", &["branch_protection"]),
    ("Stored trees", &["/metadata/"]),
    ("Imports and direct uploads", &["/import", "/staging/"]),
    ("Objects", &["/objects", "/symlink"]),
    ("Dump and restore", &["/dump", "/restore"]),
    (
        "Commits, differences and merges",
        &["/commits", "/diff", "/merge"],
    ),
    (
        "Branches, tags and the reflog",
        &["/branches", "/tags", "/reflog"],
    ),
    ("Repositories", &["/repositories"]),
    ("The server", &["/"]),
];
/// The groups as the page shows them.
const ORDER: &[&str] = &[
    "The server",
    "Setup and sessions",
    "Repositories",
    "Branches, tags and the reflog",
    "Commits, differences and merges",
    "Objects",
    "Pull requests",
    "Branch protection",
    "Hook runs",
    "Dump and restore",
    "Garbage collection",
    "Stored trees",
    "Imports and direct uploads",
    "Users, groups and policies",
];

/// Returns the page with new tables. `routes` is the text of the server's table of routes, which names the operations
/// that are not implemented.
///
/// # Errors
/// If the page lacks the mark.
pub(super) fn generate(contract: &Contract, routes: &str, page: &str) -> Result<String> {
    let (prose, _) = page
        .split_once(MARK)
        .with_context(|| format!("the page has no line {MARK}"))?;
    let mut result = format!("{prose}{MARK}");
    for group in ORDER {
        write!(
            result,
            "\n## {group}\n\n| operation | request | what it does |\n|---|---|---|\n"
        )?;
        let members = contract.operations.iter().filter(|o| group_of(o) == *group);
        for operation in members {
            let path = match operation.path.strip_prefix("/repositories/{repository}") {
                Some(rest) if !rest.is_empty() => format!("...{rest}"),
                _ => operation.path.clone(),
            };
            let note = if !is_implemented(operation, routes) {
                " **Not implemented.**"
            } else if operation.deprecated {
                " Deprecated."
            } else {
                ""
            };
            writeln!(
                result,
                "| `{}` | `{} {path}` | {}{note} |",
                operation.id,
                operation.method.to_ascii_uppercase(),
                operation.summary.replace('|', "\\|")
            )?;
        }
    }
    Ok(result)
}

fn group_of(operation: &Operation) -> &'static str {
    let is_in = |fragments: &&[&str]| fragments.iter().any(|f| operation.path.contains(f));
    GROUPS
        .iter()
        .find(|(_, fragments)| is_in(fragments))
        .map_or("The server", |(group, _)| group)
}

/// Reports whether the server has a handler for the operation.
fn is_implemented(operation: &Operation, routes: &str) -> bool {
    !routes.lines().any(|line| {
        let mut words = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', ';', ',', '(', ')']));
        words.clone().any(|w| w == operation.id) && words.any(|w| w == "not_implemented")
    })
}

#[cfg(test)]
mod tests {
    use super::super::model::Contract;
    use super::{GROUPS, MARK, ORDER, generate};

    #[test]
    fn tables_have_all_groups_and_name_missing_operations() {
        let contract = Contract::parse(
            "
paths:
  /repositories/{repository}/tags:
    get:
      operationId: listTags
      summary: List tags.
      parameters:
        - { name: repository, in: path, required: true, schema: { type: string } }
      responses:
        '204': { description: Done. }
  /sts/login:
    get:
      operationId: stsLogin
      summary: Log in.
      responses:
        '204': { description: Done. }
components:
  schemas: {}
",
        )
        .unwrap();
        let page = format!("# REST\n\n{MARK}old");
        let page = generate(
            &contract,
            "get \"/listTags\" stsLogin not_implemented;",
            &page,
        )
        .unwrap();
        for expected in [
            "| `listTags` | `GET .../tags` | List tags. |",
            "| `stsLogin` | `GET /sts/login` | Log in. **Not implemented.** |",
        ] {
            assert!(page.contains(expected), "{page}");
        }
        assert!(!page.contains("old"));
        let mut groups: Vec<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
        let mut order = ORDER.to_vec();
        groups.sort_unstable();
        order.sort_unstable();
        assert_eq!(groups, order);
    }
}
