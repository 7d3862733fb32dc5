//! The findings, metrics and summary of a hook. Each is sent to the host immediately, so that a later trap does not
//! lose it.

use crate::recorded::Recorded;
use crate::{Finding, Result, Severity, backend};

/// Receives findings, metrics and a summary. One error finding makes the hook fail.
#[derive(Debug, Default)]
pub struct Report {
    errors: u64,
    pub(crate) recorded: Recorded,
}

impl Report {
    /// Reports a violation: the change must not land.
    ///
    /// # Errors
    /// None in this version. A later host may refuse a finding.
    pub fn error(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Error, rule, message))
    }

    /// Reports a possible problem that does not stop the change.
    ///
    /// # Errors
    /// Same as [`Report::error`].
    pub fn warning(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Warning, rule, message))
    }

    /// Reports information.
    ///
    /// # Errors
    /// Same as [`Report::error`].
    pub fn info(&mut self, rule: &str, message: impl Into<String>) -> Result<()> {
        self.submit(Finding::new(Severity::Info, rule, message))
    }

    /// Reports a finding. Use this method to name a path, row or column.
    ///
    /// Once the host's limit on findings is reached, the host only counts further ones. An error finding makes the
    /// hook fail even then.
    ///
    /// # Errors
    /// Same as [`Report::error`].
    pub fn submit(&mut self, finding: Finding) -> Result<()> {
        self.errors += u64::from(finding.severity == Severity::Error);
        backend::submit(&mut self.recorded, finding);
        Ok(())
    }

    /// Records a number such as a row count. A later value replaces an earlier one of the same name. In an object
    /// gate, the host adds up the values of all objects.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str) {
        backend::metric(&mut self.recorded, name, value, unit);
    }

    /// Sets a summary in Markdown for the reader of the run. A later summary replaces an earlier one.
    pub fn summary(&mut self, markdown: &str) {
        backend::summary(&mut self.recorded, markdown);
    }

    /// The number of error findings so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }
}
