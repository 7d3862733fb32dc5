//! Targets for measured figures. The program reports whether each figure meets its target.

/// A bound as text, and whether the figure meets it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    words: String,
    is_met: Option<bool>,
}

impl Target {
    /// A figure without a target.
    pub(crate) fn none() -> Self {
        Self {
            words: String::new(),
            is_met: None,
        }
    }

    /// A target that is described by `words`.
    pub(crate) fn with_verdict(words: impl Into<String>, is_met: bool) -> Self {
        Self {
            words: words.into(),
            is_met: Some(is_met),
        }
    }

    /// A target that is met if the figure, rounded to two decimals as printed, does not exceed `bound`.
    pub(crate) fn at_most(figure: f64, bound: f64) -> Self {
        let printed = (figure * 100.0).round() / 100.0;
        Self::with_verdict(format!("{bound}"), printed <= bound)
    }

    /// The last two cells of a row: the target, and `met` or `missed`.
    pub(crate) fn cells(&self) -> String {
        let verdict = match self.is_met {
            None => "",
            Some(true) => "met",
            Some(false) => "missed",
        };
        format!("{} | {verdict}", self.words)
    }
}
