//! Writes a component's report to the hook's log, and decides from it whether the hook failed.

use std::fmt::Write as _;

use graveler::Finding;

use crate::action_file::{Reaction, WasmProperties};
use crate::output::Output;
use crate::runner::{HookFailure, HookResult};
use crate::wasm::{Failure, Host, Report, Verdict};

/// Maximum number of findings in a refusal's message. Further findings are only counted.
const FINDINGS_IN_MESSAGE: usize = 3;

/// Reports up to both of these sizes are written on the calling thread.
const FEW_FINDINGS: usize = 16;
const SHORT_LOG_BYTES: usize = 16 << 10;
/// End of a log that was shortened.
const SHORTENED: &str = "\n[log shortened: the server was busy]\n";

/// Warning of an object gate that runs for an event without changed objects.
pub(super) const NO_OBJECTS: &str = "the object gate judged nothing, because the event has no changed objects; use pre-commit, pre-merge, pre-revert and pre-cherry-pick";

/// Writes the report and decides the outcome. A report can have 16 MiB of findings and a log of the
/// same size; long reports are written off the serving threads, or shortened if no thread is free.
pub(super) async fn finish(
    host: &Host,
    repository: &str,
    mut report: Report,
    properties: &WasmProperties,
    log: Output,
) -> HookResult {
    if is_short(&report) {
        return write_and_decide(report, properties, log);
    }
    let computations = host.computations();
    let Ok(slot) = computations.slot(repository).await else {
        // The verdict stands.
        shorten(&mut report);
        return write_and_decide(report, properties, log);
    };
    let properties = properties.clone();
    let write = move || write_and_decide(report, &properties, log);
    let written = computations.run_in(slot, write).await;
    written.unwrap_or_else(|e| HookResult::new(Output::new(0), Err(Failure::from(e).into())))
}

fn is_short(report: &Report) -> bool {
    report.findings.len() <= FEW_FINDINGS && report.log.len() <= SHORT_LOG_BYTES
}

/// Drops the findings and the end of the log that are too long for the calling thread.
fn shorten(report: &mut Report) {
    let dropped = report.findings.len().saturating_sub(FEW_FINDINGS);
    report.findings.truncate(FEW_FINDINGS);
    report.findings_dropped += dropped as u64;
    if report.log.len() > SHORT_LOG_BYTES {
        report.log.truncate(SHORT_LOG_BYTES);
        report.log.extend_from_slice(SHORTENED.as_bytes());
    }
}

fn write_and_decide(report: Report, properties: &WasmProperties, mut log: Output) -> HookResult {
    let warning = report.has_no_objects.then(|| NO_OBJECTS.to_owned());
    if let Some(warning) = &warning {
        log.text(&format!("warning: {warning}\n"));
    }
    write_report(&mut log, &report);
    HookResult {
        failure: decide(&report, properties, &mut log),
        warning,
        log,
        findings: report.findings,
    }
}

/// Decides whether the hook failed, and why. `on_failure` applies to a `fail` verdict, `on_error`
/// to a missing verdict.
fn decide(report: &Report, properties: &WasmProperties, log: &mut Output) -> Option<HookFailure> {
    let undecided = match &report.verdict {
        Verdict::Error(failure) => Some(failure),
        _ => report.undecided.as_ref(),
    };
    let failed = (report.verdict == Verdict::Fail)
        .then(|| (HookFailure::new(refusal(report)), properties.on_failure));
    let undecided = undecided.map(|failure| (no_verdict(failure), properties.on_error));
    let mut decision = None;
    for (failure, reaction) in failed.into_iter().chain(undecided) {
        match reaction {
            Reaction::Block => decision = decision.or(Some(failure)),
            Reaction::Warn => log.text(&format!(
                "warning (as set in the action file): {}\n",
                failure.message
            )),
        }
    }
    decision
}

fn no_verdict(failure: &Failure) -> HookFailure {
    HookFailure {
        message: format!("{}: {}", failure.cause, one_line(&failure.message)),
        hint: failure.hint.clone(),
    }
}

/// Writes the hook's log lines, findings, verdict and resource usage.
fn write_report(log: &mut Output, report: &Report) {
    log.bytes(&report.log);
    if !report.log.is_empty() && !report.log.ends_with(b"\n") {
        log.text("\n");
    }
    for finding in &report.findings {
        log.text(&format!("{}\n", finding_line(finding)));
    }
    if report.findings_dropped > 0 {
        log.text(&format!(
            "({} more findings were dropped at the limit)\n",
            report.findings_dropped
        ));
    }
    if let Some(summary) = &report.summary {
        log.text(&format!("{}\n", summary.trim_end()));
    }
    for (name, value, unit) in &report.metrics {
        log.text(&format!(
            "metric {}: {value} {}\n",
            one_line(name),
            one_line(unit)
        ));
    }
    log.text(&match &report.verdict {
        Verdict::Pass => "verdict: pass\n".to_owned(),
        Verdict::Skip => "verdict: skip\n".to_owned(),
        Verdict::Fail => "verdict: fail (verdict_fail)\n".to_owned(),
        Verdict::Error(failure) => format!(
            "verdict: none ({}): {}\n",
            failure.cause,
            one_line(&failure.message)
        ),
    });
    if let (false, Some(failure)) = (
        matches!(report.verdict, Verdict::Error(_)),
        &report.undecided,
    ) {
        log.text(&format!(
            "partly undecided ({}): {}\n",
            failure.cause,
            one_line(&failure.message)
        ));
    }
    let Report {
        objects,
        read_bytes,
        peak_memory_bytes,
        fuel,
        ..
    } = report;
    log.text(&format!("usage: {objects} objects, {read_bytes} bytes read, {peak_memory_bytes} bytes of memory at most, {fuel} units of work\n"));
}

/// Formats a finding: `error tables/a.parquet pii-column: user_name`.
fn finding_line(finding: &Finding) -> String {
    let mut line = one_line(&finding.severity);
    if let Some(path) = &finding.path {
        let _ = write!(line, " {}", one_line(path));
    }
    let _ = write!(
        line,
        " {}: {}",
        one_line(&finding.rule),
        one_line(&finding.message)
    );
    for (name, value) in &finding.properties {
        let _ = write!(line, " [{}={}]", one_line(name), one_line(value));
    }
    line
}

/// Explains a `fail` verdict by the most severe findings.
fn refusal(report: &Report) -> String {
    let errors: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|f| f.severity == "error")
        .collect();
    let reported = if errors.is_empty() {
        report.findings.iter().collect()
    } else {
        errors
    };
    let total = reported.len() as u64 + report.findings_dropped;
    if reported.is_empty() {
        let why = report
            .summary
            .as_deref()
            .map(one_line)
            .filter(|s| !s.is_empty());
        return format!(
            "verdict_fail: {}",
            why.unwrap_or_else(|| "the hook gave no reason".to_owned())
        );
    }
    let lines: Vec<String> = reported
        .iter()
        .take(FINDINGS_IN_MESSAGE)
        .map(|f| finding_line(f))
        .collect();
    let more = total - lines.len() as u64;
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    format!("verdict_fail: {}{more}", lines.join("; "))
}

/// Removes line breaks and control characters from a guest's text, so that it cannot forge log
/// lines.
fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
