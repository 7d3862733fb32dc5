//! Merges the outcomes of all instances of a hook into one report, ordered by path.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use graveler::Finding;

use super::findings::weight;
use super::guest::Answer;
use super::instance::Outcome;
use super::limits::{FINDINGS_BYTES, METRICS, size};
use super::report::{Cause, Failure, Report, Verdict};
use super::session::Run;

/// Builds a report.
#[derive(Debug, Default)]
pub(super) struct Collector {
    findings: Vec<Finding>,
    findings_bytes: usize,
    findings_dropped: u64,
    log: Vec<u8>,
    log_cut: bool,
    summary: Option<String>,
    metrics: BTreeMap<String, (f64, String)>,
    objects: u64,
    peak_memory_bytes: u64,
    fuel: u64,
    passed: u64,
    failed: u64,
    undecided: u64,
    /// See [`Report::has_no_objects`].
    pub(super) has_no_objects: bool,
    first_error: Option<Failure>,
}

impl Collector {
    /// Adds one outcome. `path` is `None` for a gate. Returns whether the hook should continue.
    pub(super) fn add(&mut self, run: &Run, path: Option<&str>, outcome: Outcome) -> bool {
        let submitted = outcome.submitted;
        self.findings_dropped += submitted.findings.dropped;
        for finding in submitted.findings.kept {
            self.add_finding(run, finding);
        }
        self.append_log(run, path, &outcome.log.text(), outcome.log.was_cut());
        self.summary = submitted.summary.or(self.summary.take());
        for (name, (value, unit)) in submitted.metrics {
            if self.metrics.len() < METRICS || self.metrics.contains_key(&name) {
                let metric = self.metrics.entry(name).or_insert((0.0, String::new()));
                *metric = (metric.0 + value, unit);
            }
        }
        self.objects += u64::from(path.is_some());
        self.peak_memory_bytes = self.peak_memory_bytes.max(outcome.peak_memory_bytes);
        self.fuel = self.fuel.saturating_add(outcome.fuel);
        match outcome.verdict {
            Ok(Answer::Pass) => self.passed += 1,
            Ok(Answer::Fail) => self.failed += 1,
            Ok(Answer::Skip) => {}
            Err(failure) => return self.error(run, path, &failure),
        }
        true
    }

    /// Records that an object, or the whole gate, got no verdict. Returns whether the hook should
    /// continue. It continues if it returned an error for one object. It stops if it trapped or hit a
    /// limit, unless `keep_going` is set: with that flag, one object that breaks the hook cannot hide
    /// the verdicts on later objects.
    pub(super) fn error(&mut self, run: &Run, path: Option<&str>, failure: &Failure) -> bool {
        let go_on = match failure.cause {
            Cause::HookError | Cause::Denied => true,
            // The next instance would wait just as long.
            Cause::Busy => false,
            _ => run.keep_going && path.is_some(),
        };
        if let Some(path) = path {
            let finding = Finding {
                action: run.action.clone(),
                hook: run.hook.clone(),
                severity: "error".into(),
                rule: failure.cause.as_str().into(),
                message: failure.message.clone(),
                path: Some(path.to_owned()),
                properties: BTreeMap::new(),
            };
            self.add_finding(run, finding);
        }
        self.undecided += 1;
        let message = path.map_or_else(
            || failure.message.clone(),
            |p| format!("{p}: {}", failure.message),
        );
        self.first_error.get_or_insert(Failure {
            message,
            ..failure.clone()
        });
        go_on
    }

    fn add_finding(&mut self, run: &Run, finding: Finding) {
        let bytes = self.findings_bytes + weight(&finding);
        if self.findings.len() < run.limits.findings && bytes <= FINDINGS_BYTES {
            self.findings_bytes = bytes;
            self.findings.push(finding);
        } else {
            self.findings_dropped += 1;
        }
    }

    fn append_log(&mut self, run: &Run, path: Option<&str>, text: &str, cut: bool) {
        if text.is_empty() || self.log_cut {
            return;
        }
        let heading = path.map(|p| format!("--- {p}\n")).unwrap_or_default();
        let mut lines = heading + text;
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        let room = run.limits.log_bytes.saturating_sub(self.log.len());
        if cut || lines.len() > room {
            let mut end = room.min(lines.len());
            while !lines.is_char_boundary(end) {
                end -= 1;
            }
            lines.truncate(end);
            let limit = size(run.limits.log_bytes as u64);
            lines.push_str(&format!("\n... log truncated at {limit} (limits.log)\n"));
            self.log_cut = true;
        }
        self.log.extend_from_slice(lines.as_bytes());
    }

    /// Finishes the report. If any object failed, the overall verdict is `Fail`, no matter what
    /// happened with other objects.
    pub(super) fn finish(self, run: &Run) -> Report {
        let undecided = self.first_error.map(|failure| match self.undecided {
            0 | 1 => failure,
            n => Failure {
                message: format!("{} (and {} more)", failure.message, n - 1),
                ..failure
            },
        });
        let verdict = match &undecided {
            _ if self.failed > 0 => Verdict::Fail,
            Some(failure) => Verdict::Error(failure.clone()),
            None if self.passed > 0 => Verdict::Pass,
            None => Verdict::Skip,
        };
        Report {
            verdict,
            has_no_objects: self.has_no_objects,
            undecided,
            findings: self.findings,
            findings_dropped: self.findings_dropped,
            log: self.log,
            summary: self.summary,
            metrics: self
                .metrics
                .into_iter()
                .map(|(name, (value, unit))| (name, value, unit))
                .collect(),
            objects: self.objects,
            read_bytes: run.read.load(Ordering::Relaxed),
            peak_memory_bytes: self.peak_memory_bytes,
            fuel: self.fuel,
        }
    }
}
