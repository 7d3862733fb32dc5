//! Checks the verdicts in the benchmark document: the verdict of each row agrees with its figures and its bound, and
//! each section with verdicts has a sentence that counts them.
//!
//! A bound is compared only if it is a number with the unit of the figures. Other bounds, such as `both of 2 cores`, also
//! need a verdict, but it is not checked.

use anyhow::{Context as _, Result};

use crate::shell::root;

const FILE: &str = "docs/operations/benchmarks.md";
/// The column titles of bounds, without their units.
const BOUND_TITLES: &[&str] = &["bound", "target"];

/// Adds a violation for each wrong or missing verdict and summary.
pub(crate) fn check(violations: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(root().join(FILE))
        .with_context(|| format!("failed to read {FILE}"))?;
    for problem in problems(&text) {
        violations.push(format!("{FILE}: {problem}"));
    }
    Ok(())
}

fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for section in text.split("\n## ") {
        let (mut met, mut missed) = (0, 0);
        for table in tables(section) {
            for row in verdicts(&table, &mut problems) {
                match row {
                    Verdict::Met => met += 1,
                    Verdict::Missed => missed += 1,
                }
            }
        }
        let claim = summary(met, missed);
        if met + missed > 0 && !section.contains(&claim) {
            let title = section.lines().next().unwrap_or_default();
            problems.push(format!("section {title}: expected the sentence: {claim}"));
        }
    }
    problems
}

/// Returns the sentence that counts the verdicts of a section.
fn summary(met: usize, missed: usize) -> String {
    let verb = if missed == 1 { "is" } else { "are" };
    format!(
        "{met} of {} targets are met, {missed} {verb} missed.",
        met + missed
    )
}

/// The rows of a table, each with its cells. The first row has the titles.
type Table<'a> = Vec<Vec<&'a str>>;

fn tables(text: &str) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            is_inside = false;
            continue;
        };
        if !is_inside {
            tables.push(Vec::new());
            is_inside = true;
        }
        let is_rule = row.starts_with("--");
        if let Some(table) = tables.last_mut().filter(|_| !is_rule) {
            let row = row.strip_suffix('|').unwrap_or(row);
            table.push(row.split('|').map(str::trim).collect());
        }
    }
    tables
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
}

/// Returns the verdicts of a table with bounds. A table without bounds has none.
fn verdicts(table: &Table<'_>, problems: &mut Vec<String>) -> Vec<Verdict> {
    let Some((titles, rows)) = table.split_first() else {
        return Vec::new();
    };
    let is_bound = |title: &&str| {
        let name = title.split(' ').next().unwrap_or_default();
        BOUND_TITLES.contains(&name)
    };
    let bounds = titles.iter().enumerate().filter(|(_, t)| is_bound(t));
    let mut verdicts = Vec::new();
    for (at, _) in bounds {
        if titles.get(at + 1) != Some(&"verdict") {
            problems.push(format!(
                "the table of {} has a bound without a verdict",
                titles.join(", ")
            ));
            continue;
        }
        for row in rows {
            match row_verdict(row, at) {
                Ok(verdict) => verdicts.extend(verdict),
                Err(problem) => problems.push(format!("row {}: {problem}", row.join(" | "))),
            }
        }
    }
    verdicts
}

/// Returns the verdict of a row, whose bound is in the column `at`. A row without a bound has none.
fn row_verdict(row: &[&str], at: usize) -> Result<Option<Verdict>, String> {
    let cell = |at: usize| row.get(at).copied().unwrap_or_default();
    let verdict = match (cell(at), cell(at + 1)) {
        ("", "") => return Ok(None),
        ("", _) => return Err("has a verdict without a bound".to_owned()),
        (_, "met") => Verdict::Met,
        (_, "missed") => Verdict::Missed,
        _ => return Err("expected the verdict met or missed".to_owned()),
    };
    let figures = row.get(..at).unwrap_or_default();
    match expected(figures, cell(at)) {
        Some(expected) if expected != verdict => Err(format!("expected the verdict {expected:?}")),
        _ => Ok(Some(verdict)),
    }
}

/// Compares the bound with the first of the figures to its left that have the same unit. In a comparison, this figure
/// is the median. The fastest turns next to it are ignored.
fn expected(figures: &[&str], bound: &str) -> Option<Verdict> {
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    // Either `100: pages` or `changed ranges: 131.0 MiB`.
    let bound = match bound.rsplit_once(": ") {
        Some((_, number)) if !is_number(bound) => number,
        _ => bound,
    };
    let (bound, unit) = quantity(bound)?;
    let (last, others) = figures.split_last()?;
    let (mut deciding, figure_unit) = quantity(last)?;
    if !unit.is_empty() && unit != figure_unit {
        return None;
    }
    for figure in others.iter().rev() {
        match quantity(figure) {
            Some((value, other)) if other == unit => deciding = value,
            _ => break,
        }
    }
    Some(if deciding <= bound {
        Verdict::Met
    } else {
        Verdict::Missed
    })
}

/// Returns the number at the start of a cell, and its unit. For a range such as `5.09 to 5.11`, it returns the upper
/// end.
fn quantity(cell: &str) -> Option<(f64, &str)> {
    let end = cell
        .find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))
        .unwrap_or(cell.len());
    let (number, rest) = cell.split_at(end);
    let number: f64 = number.parse().ok()?;
    let rest = rest.trim_start();
    if let Some(upper) = rest.strip_prefix("to ") {
        return quantity(upper);
    }
    let end = rest
        .find(|c: char| !c.is_alphabetic() && c != '%' && c != '/')
        .unwrap_or(rest.len());
    Some((number, &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::{Verdict, expected, problems};

    const TABLE: &str =
        "# Measurements\n\n## `one`\n\n| what | figure | target | verdict |\n|---|--:|--:|---|\n";

    fn with_rows(rows: &str) -> Vec<String> {
        problems(&format!("{TABLE}{rows}"))
    }

    #[test]
    fn verdicts_agree_with_figures_and_bounds() {
        let rows = "| a | 1.5 | 2 | met |\n| b | 3 MiB | all: 2.5 MiB | missed |\n| c | 3 | | |\n";
        let summary = "\n1 of 2 targets are met, 1 is missed.\n";
        assert_eq!(with_rows(&format!("{rows}{summary}")), [""; 0]);
        let wrong = rows.replace("| 2 | met |", "| 1 | met |");
        assert_eq!(
            with_rows(&format!("{wrong}{summary}")),
            [
                "row a | 1.5 | 1 | met: expected the verdict Missed",
                "section `one`: expected the sentence: 0 of 1 targets are met, 1 is missed.",
            ]
        );
    }

    /// Regression test: a table without verdicts hid that 5.53 s exceeded a bound of 5.5 s.
    #[test]
    fn bound_needs_a_verdict() {
        assert_eq!(with_rows("| a | 5.53 | 5.5 | |\n").len(), 1);
        assert_eq!(with_rows("| a | 5.53 | | met |\n").len(), 1);
        let without = "\n## b\n\n| what | figure | bound s |\n|---|--:|--:|\n| a | 1 | 2 |\n";
        assert_eq!(problems(without).len(), 1);
    }

    #[test]
    fn only_numbers_of_the_same_unit_are_compared() {
        for (figures, bound, verdict) in [
            (&["5.09 to 5.11"][..], "5.5", Some(Verdict::Met)),
            (&["5.53 to 10.68"], "5.5", Some(Verdict::Missed)),
            (&["22"], "100: pages", Some(Verdict::Met)),
            (
                &["1.2 transactions a write, 3/s"],
                "grouped: 0.5",
                Some(Verdict::Missed),
            ),
            (
                &["960.5", "+12.7 %", "+49.4 %"],
                "5 %",
                Some(Verdict::Missed),
            ),
            (&["1560.6", "-10.1 %", "+31.1 %"], "5 %", Some(Verdict::Met)),
            // Faster turns do not make up for a slower median.
            (
                &["1624.4", "+5.3 %", "-6.7 %"],
                "5 %",
                Some(Verdict::Missed),
            ),
            (&["3.05 (1.43 s)"], "both of 2 cores", None),
            (&["0 reads, 1 writes"], "1 write", None),
            (&["204/s"], "no error", None),
        ] {
            assert_eq!(expected(figures, bound), verdict, "{figures:?} {bound}");
        }
    }
}
