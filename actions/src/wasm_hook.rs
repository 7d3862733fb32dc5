//! Between an action and the Wasm host: gathers what a component is given, tells what it answered.
//!
//! The host runs components; here is only which one, with which trees, and how its report reads.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use graveler::{Event, Finding};
use sha2::{Digest as _, Sha256};

use crate::action_file::{Reaction, WasmProperties};
use crate::load::{Judge, LoadError, Loader, Tree};
use crate::output::Output;
use crate::preflight::CONFIG_SCHEMA;
use crate::schema;
use crate::wasm::{Cause, Host, Report, Request, SnapshotTrees, Verdict};

/// Findings named in the sentence that refuses a change; the rest are counted.
const FINDINGS_IN_MESSAGE: usize = 3;

/// Names of what is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) action: &'a str,
    pub(crate) hook: &'a str,
}

/// How a Wasm hook ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Why the hook failed; none if it passed or was only to warn.
    pub(crate) failure: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// Runs one hook and writes its log.
pub(crate) async fn run(
    host: &Host,
    loader: &Loader,
    event: &Arc<Event>,
    judge: &Judge,
    names: Names<'_>,
    properties: &WasmProperties,
    log: &mut Output,
) -> Ended {
    let report = match ready(host, loader, event, judge, properties).await {
        Ok(component) => {
            host.run(request(loader, event, component, names, properties))
                .await
        }
        Err(NotReady { cause, message }) => no_report(cause, message),
    };
    finish(host, report, properties, log).await
}

/// A report of so many findings and so many bytes of log is written at once, without a thread for it.
const FEW_FINDINGS: usize = 16;
const SHORT_LOG_BYTES: usize = 16 << 10;

/// Writes the report and decides. A report may hold 16 MiB of findings and as much of a log: a long one is written
/// beside the requests.
async fn finish(
    host: &Host,
    report: Report,
    properties: &WasmProperties,
    log: &mut Output,
) -> Ended {
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
        Err(failure) => Ended {
            failure: Some(failure),
            findings: Vec::new(),
        },
    }
}

fn write_and_decide(report: Report, properties: &WasmProperties, log: &mut Output) -> Ended {
    write_report(log, &report);
    Ended {
        failure: decide(&report, properties, log),
        findings: report.findings,
    }
}

/// Why the hook failed, if it did: a `fail` and an answer that never came are each taken as the action says.
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
            Reaction::Warn => log.text(&format!("warning, as the action asks for: {reason}\n")),
        }
    }
    decision
}

/// Why a component is not run.
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

/// The component, unless the hook's config does not fit its schema. A component that does not
/// describe itself reads its config unchecked.
async fn ready(
    host: &Host,
    loader: &Loader,
    event: &Event,
    judge: &Judge,
    properties: &WasmProperties,
) -> Result<Bytes, NotReady> {
    let repository = event.repository.partition();
    let component = component(host, loader, &judge.tree, properties).await?;
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

/// Reads the component from the tree that the action file was read from, and checks its digest.
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
                "there is no object {path} beside the action file; upload the component and commit it with the action"
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
        let message =
            format!("component {path} has sha256 {digest}, the action asks for {expected}");
        return Err(NotReady::new(Cause::ComponentDigest, message));
    }
    Ok(bytes)
}

fn request(
    loader: &Loader,
    event: &Arc<Event>,
    component: Bytes,
    names: Names<'_>,
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
        // What is only warned of must not hide what the gate says of other objects.
        keep_going: properties.on_error == Reaction::Warn,
    }
}

/// The report of a component that could not even be run.
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

/// What the hook said, what it found, how it ended, what it used.
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
            "undecided in part ({}): {}\n",
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

/// `error tables/a.parquet pii-column: user_name`.
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

/// Why a hook that answered `fail` did: its gravest findings.
fn refusal(report: &Report) -> String {
    let errors: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|f| f.severity == "error")
        .collect();
    let told = if errors.is_empty() {
        report.findings.iter().collect()
    } else {
        errors
    };
    let total = told.len() as u64 + report.findings_dropped;
    if told.is_empty() {
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
    let lines: Vec<String> = told
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

/// A guest's text without line breaks and other control characters, so that it can't forge lines of a log.
fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
