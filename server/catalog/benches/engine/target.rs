//! What a figure is held to. The verdict is computed here, so that no document has to claim one.

/// A bound, in words, and whether the figure keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    words: String,
    is_met: Option<bool>,
}

impl Target {
    /// The figure is not held to anything.
    pub(crate) fn none() -> Self {
        Self {
            words: String::new(),
            is_met: None,
        }
    }

    /// A bound that `is_met` or not, told in `words`.
    pub(crate) fn told(words: impl Into<String>, is_met: bool) -> Self {
        Self {
            words: words.into(),
            is_met: Some(is_met),
        }
    }

    /// The figure may not be above `bound`; as it is printed, with two digits.
    pub(crate) fn at_most(figure: f64, bound: f64) -> Self {
        let printed = (figure * 100.0).round() / 100.0;
        Self::told(format!("{bound}"), printed <= bound)
    }

    /// The two last cells of a row: the bound, and `met` or `missed`.
    pub(crate) fn cells(&self) -> String {
        let verdict = match self.is_met {
            None => "",
            Some(true) => "met",
            Some(false) => "missed",
        };
        format!("{} | {verdict}", self.words)
    }
}
