//! Checks Parquet files: required and forbidden columns, dropped columns, changed types, null ratios.
//!
//! The hook reads only the footer, whatever the size of the file. It compares each file with a reference file in the
//! tree before the change: the file at the same path or, for a new file, the first Parquet file in the same folder.

use std::collections::BTreeMap;

use hooks_sdk::base;
use hooks_sdk::parquet::{Column, ParquetFile};
use hooks_sdk::prelude::*;

/// Number of entries among which the hook looks for a reference file.
const REFERENCE_CANDIDATES: u32 = 100;

/// The configuration in the action file.
#[derive(Debug, Config)]
pub struct Rules {
    /// Columns that every file must have.
    required: Vec<String>,
    /// Columns that no file may have. A name may end in `*`.
    forbidden: Vec<String>,
    /// Refuse a file in which a column has another type than in the reference file.
    #[config(default = true)]
    refuse_retyped: bool,
    /// Refuse a file that lacks a column of the reference file.
    #[config(default = true)]
    refuse_dropped: bool,
    /// The highest share of nulls by column, from 0 to 1.
    max_null_ratio: BTreeMap<String, f64>,
}

/// Judges one file.
///
/// # Errors
/// The object or the reference file cannot be read.
#[object_gate(paths = "**/*.parquet", kinds = "added, changed")]
pub fn parquet_guard(
    object: &Object,
    change: &Change,
    rules: &Rules,
    out: &mut Report,
) -> Result<()> {
    let file = match object.parquet() {
        Ok(file) => file,
        Err(e @ Error::Tree(_)) => return Err(e),
        Err(e) => {
            return out.error(
                "unreadable",
                format!("the file is not a valid Parquet file: {e}"),
            );
        }
    };
    let columns = file.columns();
    check_names(&columns, rules, out)?;
    check_nulls(&file, rules, out)?;
    if (rules.refuse_retyped || rules.refuse_dropped)
        && let Some(reference) = find_reference(change)?
    {
        compare(&columns, &reference, rules, out)?;
    }
    Ok(())
}

fn check_names(columns: &[Column], rules: &Rules, out: &mut Report) -> Result<()> {
    for name in &rules.required {
        if !columns.iter().any(|c| &c.name == name) {
            let finding = Finding::new(
                Severity::Error,
                "required-column",
                format!("column {name} is missing"),
            );
            out.submit(finding.at_column(name))?;
        }
    }
    for column in columns {
        if let Some(pattern) = rules.forbidden.iter().find(|p| matches(p, &column.name)) {
            let message = format!("column {} is forbidden ({pattern})", column.name);
            out.submit(
                Finding::new(Severity::Error, "forbidden-column", message).at_column(&column.name),
            )?;
        }
    }
    Ok(())
}

fn check_nulls(file: &ParquetFile, rules: &Rules, out: &mut Report) -> Result<()> {
    for (name, allowed) in &rules.max_null_ratio {
        if file.rows() == 0 || !file.columns().iter().any(|c| &c.name == name) {
            continue;
        }
        let Some(nulls) = file.nulls(name) else {
            let message =
                format!("nulls of column {name} are unknown: the file has no statistics for it");
            out.submit(Finding::new(Severity::Warning, "no-statistics", message).at_column(name))?;
            continue;
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "a ratio of counts far below 2^52"
        )]
        let ratio = nulls as f64 / file.rows() as f64;
        out.metric(&format!("null_ratio.{name}"), ratio, "ratio");
        if ratio > *allowed {
            let message = format!(
                "column {name} is null in {:.1} % of rows; the limit is {:.1} %",
                ratio * 100.0,
                allowed * 100.0
            );
            out.submit(Finding::new(Severity::Error, "null-ratio", message).at_column(name))?;
        }
    }
    Ok(())
}

fn compare(
    columns: &[Column],
    reference: &(String, ParquetFile),
    rules: &Rules,
    out: &mut Report,
) -> Result<()> {
    let (path, file) = reference;
    for old in file.columns() {
        let finding = match columns.iter().find(|c| c.name == old.name) {
            None if rules.refuse_dropped => Finding::new(
                Severity::Error,
                "dropped-column",
                format!("column {} of {path} is missing", old.name),
            ),
            Some(new) if new.type_name != old.type_name && rules.refuse_retyped => {
                let message = format!(
                    "column {} has type {}, but {} in {path}",
                    old.name, new.type_name, old.type_name
                );
                Finding::new(Severity::Error, "retyped-column", message)
            }
            _ => continue,
        };
        out.submit(finding.at_column(&old.name).with("compared_with", path))?;
    }
    Ok(())
}

/// The reference file and its path. None if there is no such file or it is not a valid Parquet file.
fn find_reference(change: &Change) -> Result<Option<(String, ParquetFile)>> {
    let Some(tree) = base() else { return Ok(None) };
    let candidates = match &change.before {
        Some(entry) => vec![entry.path.clone()],
        None => {
            let folder = change
                .path
                .rsplit_once('/')
                .map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let entries = tree.walk(&folder, None)?.next(REFERENCE_CANDIDATES)?;
            let is_candidate =
                |path: &str| path.ends_with(".parquet") && !path[folder.len()..].contains('/');
            entries
                .into_iter()
                .map(|e| e.path)
                .filter(|p| is_candidate(p))
                .take(1)
                .collect()
        }
    };
    for path in candidates {
        let Some(object) = tree.open(&path)? else {
            continue;
        };
        match object.parquet() {
            Ok(file) => return Ok(Some((path, file))),
            Err(e @ Error::Tree(_)) => return Err(e),
            // An invalid file that landed before this gate existed must not block the change.
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Whether a column name matches a pattern of `forbidden`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests;
