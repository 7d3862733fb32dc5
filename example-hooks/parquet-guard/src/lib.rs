//! Guards Parquet tables: required and forbidden columns, types and columns that must not change, null ratios.
//!
//! Reads the footer only, whatever the size of the file. A new file is compared
//! with its neighbour in the tree before: the file of the same path, else the first
//! Parquet file of the same folder.

use std::collections::BTreeMap;

use hooks_sdk::parquet::{Column, ParquetFile};
use hooks_sdk::prelude::*;
use hooks_sdk::{Finding, base};

/// Entries looked at to find a neighbour.
const NEIGHBOURS: u32 = 100;

/// What the action's `config` may say.
#[derive(Debug, Config)]
pub struct Rules {
    /// Columns that every file must have.
    required: Vec<String>,
    /// Columns that no file may have; `*` at the end stands for any rest.
    forbidden: Vec<String>,
    /// Refuse a column whose type is another than before.
    #[config(default = true)]
    refuse_retyped: bool,
    /// Refuse a file that lacks a column that was there before.
    #[config(default = true)]
    refuse_dropped: bool,
    /// The highest share of nulls of a column, from 0 to 1.
    max_null_ratio: BTreeMap<String, f64>,
}

/// Judges one file.
///
/// # Errors
/// When a tree can't be read.
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
        Err(e) => return out.error("unreadable", format!("is not a readable Parquet file: {e}")),
    };
    let columns = file.columns();
    check_names(&columns, rules, out)?;
    check_nulls(&file, rules, out)?;
    if (rules.refuse_retyped || rules.refuse_dropped)
        && let Some(before) = neighbour(change)?
    {
        check_against(&columns, &before, rules, out)?;
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
        if let Some(pattern) = rules.forbidden.iter().find(|p| fits(p, &column.name)) {
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
            let message = format!("column {name} has no statistics, so its nulls can't be counted");
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
                "column {name} is null in {:.1} % of rows, {:.1} % are allowed",
                ratio * 100.0,
                allowed * 100.0
            );
            out.submit(Finding::new(Severity::Error, "null-ratio", message).at_column(name))?;
        }
    }
    Ok(())
}

fn check_against(
    columns: &[Column],
    before: &(String, ParquetFile),
    rules: &Rules,
    out: &mut Report,
) -> Result<()> {
    let (path, file) = before;
    for old in file.columns() {
        let finding = match columns.iter().find(|c| c.name == old.name) {
            None if rules.refuse_dropped => Finding::new(
                Severity::Error,
                "dropped-column",
                format!("column {} is gone, {path} has it", old.name),
            ),
            Some(new) if new.type_name != old.type_name && rules.refuse_retyped => {
                let message = format!(
                    "column {} became {}, it is {} in {path}",
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

/// The file to compare with, and its path; none if there is none, or none that can be read.
fn neighbour(change: &Change) -> Result<Option<(String, ParquetFile)>> {
    let Some(tree) = base() else { return Ok(None) };
    let candidates = match &change.before {
        Some(entry) => vec![entry.path.clone()],
        None => {
            let folder = change
                .path
                .rsplit_once('/')
                .map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let entries = tree.walk(&folder, None)?.next(NEIGHBOURS)?;
            let is_near =
                |path: &str| path.ends_with(".parquet") && !path[folder.len()..].contains('/');
            entries
                .into_iter()
                .map(|e| e.path)
                .filter(|p| is_near(p))
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
            // What came in before this gate was set is not this change's fault.
            Err(_) => {}
        }
    }
    Ok(None)
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests;
