//! Connects actions and the Wasm host: builds the request for a component, and interprets its
//! report.
//!
//! The host runs components. This module selects the component and the trees, and formats the
//! report.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use graveler::{Event, Finding};
use sha2::{Digest as _, Sha256};

use crate::action_file::{Reaction, WasmProperties};
use crate::load::{LoadError, Loader, MatchedAction, Tree};
use crate::output::Output;
use crate::preflight::CONFIG_SCHEMA;
use crate::schema;
use crate::wasm::{Cause, Host, Report, Request, SnapshotTrees, Verdict};

/// Maximum number of findings in a refusal's message. Further findings are only counted.
const FINDINGS_IN_MESSAGE: usize = 3;

/// Names of the action and the hook that run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookNames<'a> {
    pub(crate) action: &'a str,
    pub(crate) hook: &'a str,
}

/// Outcome of a Wasm hook.
#[derive(Debug)]
pub(crate) struct WasmOutcome {
    /// Why the hook failed. `None` if it passed, or if its action file only asks for a warning.
    pub(crate) failure: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// Runs one hook and writes its log.
pub(crate) async fn run(
    host: &Host,
    loader: &Loader,
    event: &Arc<Event>,
    matched: &MatchedAction,
    names: HookNames<'_>,
    properties: &WasmProperties,
    log: &mut Output,
) -> WasmOutcome {
    let report = match ready(host, loader, event, matched, properties).await {
        Ok(component) => {
            host.run(request(loader, event, component, names, properties))
                .await
        }
        Err(NotReady { cause, message }) => no_report(cause, message),
    };
    finish(host, report, properties, log).await
}

/// Reports up to these sizes are written on the calling thread.
const FEW_FINDINGS: usize = 16;
const SHORT_LOG_BYTES: usize = 16 << 10;

/// Writes the report and decides the outcome. A report can have 16 MiB of findings and a log of the
/// same size; long reports are written off the serving threads.
async fn finish(
    host: &Host,
    report: Report,
    properties: &WasmProperties,
    log: &mut Output,
) -> WasmOutcome {
    if report.findings.len() <= FEW_FINDINGS && report.log.len() <= SHORT_LOG_BYTES {
        return write_and_decide(report, properties, log);
    }
    let (mut taken, properties) = (log.take(), properties.clone());
    let written = host.compute(move || {
        let ended = write_and_decide(report, &properties, &mut taken);
        (taken, ended)
    });
    match written.await {
        Ok((written, ended)) => {
            *log = written;
            ended
        }
        Err(failure) => WasmOutcome {
            failure: Some(failure),
            findings: Vec::new(),
        },
    }
}

fn write_and_decide(report: Report, properties: &WasmProperties, log: &mut Output) -> WasmOutcome {
    write_report(log, &report);
    WasmOutcome {
        failure: decide(&report, properties, log),
        findings: report.findings,
    }
}

/// Decides whether the hook failed, and why. `on_failure` applies to a `fail` verdict, `on_error`
/// to a missing verdict.
fn decide(report: &Report, properties: &WasmProperties, log: &mut Output) -> Option<String> {
    let undecided = match &report.verdict {
        Verdict::Error { cause, message } => Some((*cause, message.as_str())),
        _ => report
            .undecided
            .as_ref()
            .map(|(cause, message)| (*cause, message.as_str())),
    };
    let failed =
        (report.verdict == Verdict::Fail).then(|| (refusal(report), properties.on_failure));
    let undecided = undecided.map(|(cause, message)| {
        (
            format!("{}: {}", cause.as_str(), one_line(message)),
            properties.on_error,
        )
    });
    let mut decision = None;
    for (reason, reaction) in failed.into_iter().chain(undecided) {
        match reaction {
            Reaction::Block => decision = decision.or(Some(reason)),
            Reaction::Warn => log.text(&format!("warning (as set in the action file): {reason}\n")),
        }
    }
    decision
}

/// Why a component cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReady {
    pub(crate) cause: Cause,
    pub(crate) message: String,
}

impl NotReady {
    fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }
}

/// Loads and compiles the component, and validates the hook's config against its schema. The config
/// of a component without a description is not validated.
async fn ready(
    host: &Host,
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
    properties: &WasmProperties,
) -> Result<Bytes, NotReady> {
    let repository = event.repository.partition();
    let component = component(host, loader, &matched.tree, properties).await?;
    let Ok(description) = host.describe(&repository, &component).await else {
        return Ok(component);
    };
    let config = properties.config.clone();
    let mistakes = host.compute(move || {
        let schema = description.get(CONFIG_SCHEMA);
        schema
            .map(|schema| schema::mistakes(schema, &config))
            .unwrap_or_default()
    });
    let mistakes = mistakes
        .await
        .map_err(|why| NotReady::new(Cause::HookError, why))?;
    if mistakes.is_empty() {
        return Ok(component);
    }
    let reasons: Vec<String> = mistakes.into_iter().map(|m| m.reason).collect();
    Err(NotReady::new(Cause::HookError, reasons.join("; ")))
}

/// Loads the component from the tree that contains the action file, and checks its digest.
pub(crate) async fn component(
    host: &Host,
    loader: &Loader,
    tree: &Tree,
    properties: &WasmProperties,
) -> Result<Bytes, NotReady> {
    let path = &properties.component;
    let bytes = match loader.component(tree, path).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let message = format!(
                "object {path} is not in the tree of the action file; upload the component and commit it with the action"
            );
            return Err(NotReady::new(Cause::ComponentMissing, message));
        }
        Err(LoadError::Invalid(errors)) => {
            let why = errors.first().map(ToString::to_string).unwrap_or_default();
            return Err(NotReady::new(Cause::ComponentInvalid, why));
        }
        Err(e) => {
            let message = format!("failed to read component {path}: {e}");
            return Err(NotReady::new(Cause::Storage, message));
        }
    };
    let Some(expected) = &properties.sha256 else {
        return Ok(bytes);
    };
    let hashed = bytes.clone();
    let digest = host.compute(move || hex::encode(Sha256::digest(&hashed)));
    let digest = digest.await.map_err(|e| {
        let message = format!("failed to check component {path}: {e}");
        NotReady::new(Cause::ComponentInvalid, message)
    })?;
    if *expected != digest {
        let message = format!(
            "component {path} has sha256 {digest}, but the action file requires {expected}"
        );
        return Err(NotReady::new(Cause::ComponentDigest, message));
    }
    Ok(bytes)
}

fn request(
    loader: &Loader,
    event: &Arc<Event>,
    component: Bytes,
    names: HookNames<'_>,
    properties: &WasmProperties,
) -> Request {
    Request {
        component,
        action: names.action.to_owned(),
        hook: names.hook.to_owned(),
        event: Arc::clone(event),
        trees: Arc::new(SnapshotTrees::new(loader.reader().clone(), event)),
        config: properties.config.clone(),
        select: properties.select.clone(),
        read: properties.read.clone(),
        limits: properties.limits.clone(),
        parallelism: properties.parallelism,
        // With `on_error: warn`, an error on one object must not hide verdicts on the others.
        keep_going: properties.on_error == Reaction::Warn,
    }
}

/// Returns the report of a component that could not run.
fn no_report(cause: Cause, message: String) -> Report {
    Report {
        verdict: Verdict::Error { cause, message },
        findings: Vec::new(),
        findings_dropped: 0,
        log: Vec::new(),
        summary: None,
        metrics: Vec::new(),
        objects: 0,
        read_bytes: 0,
        peak_memory_bytes: 0,
        fuel: 0,
        undecided: None,
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
        Verdict::Error { cause, message } => format!(
            "verdict: none ({}): {}\n",
            cause.as_str(),
            one_line(message)
        ),
    });
    if let (false, Some((cause, message))) = (
        matches!(report.verdict, Verdict::Error { .. }),
        &report.undecided,
    ) {
        log.text(&format!(
            "partly undecided ({}): {}\n",
            cause.as_str(),
            one_line(message)
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
mod tests;
