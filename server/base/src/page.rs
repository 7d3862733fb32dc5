//! One page of a sorted listing, as services hand it to the wire.

/// A page of results in ascending order of their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The results, ascending.
    pub results: Vec<T>,
    /// Whether anything follows.
    pub has_more: bool,
    /// The key to continue after (exclusive); empty when nothing follows.
    pub next_offset: String,
}

impl<T> Page<T> {
    /// A page with nothing in it and nothing after it.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            results: Vec::new(),
            has_more: false,
            next_offset: String::new(),
        }
    }

    /// Converts each result, keeping the position.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(f).collect(),
            has_more: self.has_more,
            next_offset: self.next_offset,
        }
    }
}
