//! What a hook has to say beside its verdict. Findings leave as they are found.

use crate::{Finding, Result, Severity, backend};

/// Takes findings, metrics and a summary. One error finding makes the hook fail.
#[derive(Debug, Default)]
pub struct Report {
    errors: u64,
    #[cfg(not(target_family = "wasm"))]
    pub(crate) kept: Kept,
}

/// What a report took, for tests.
#[cfg(not(target_family = "wasm"))]
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) findings: Vec<Finding>,
    pub(crate) metrics: Vec<(String, f64, String)>,
    pub(crate) summary: Option<String>,
}

impl Report {
    /// Reports an error: the change must not land.
    ///
    /// # Errors
    /// None now; a later host may refuse.
    pub fn error(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Error, rule, message))
    }

    /// Reports something that does not stop the change.
    ///
    /// # Errors
    /// As [`Report::error`].
    pub fn warning(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Warning, rule, message))
    }

    /// Reports something worth knowing.
    ///
    /// # Errors
    /// As [`Report::error`].
    pub fn info(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Info, rule, message))
    }

    /// Reports a finding.
    ///
    /// Over the host's quota a finding is only counted; an error makes the hook fail all the same.
    ///
    /// # Errors
    /// As [`Report::error`].
    pub fn submit(&mut self, finding: Finding) -> Result<()> {
        self.errors += u64::from(finding.severity == Severity::Error);
        backend::submit(self, finding);
        Ok(())
    }

    /// A number worth keeping with the run; the last of a name counts.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str) {
        backend::metric(self, name, value, unit);
    }

    /// Markdown for the reader of the run; the last one counts.
    pub fn summary(&mut self, markdown: &str) {
        backend::summary(self, markdown);
    }

    /// How many errors were reported.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }
}
