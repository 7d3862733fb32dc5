//! A page of a sorted listing.

/// A page of results in ascending order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The results in ascending order.
    pub results: Vec<T>,
    /// Whether there are more results after this page.
    pub has_more: bool,
    /// The key to continue after (exclusive), or an empty string if there are no more results.
    pub next_offset: String,
}

impl<T> Page<T> {
    /// Returns an empty page with no more results after it.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            results: Vec::new(),
            has_more: false,
            next_offset: String::new(),
        }
    }

    /// Converts each result and keeps the order and the position in the listing.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(f).collect(),
            has_more: self.has_more,
            next_offset: self.next_offset,
        }
    }
}
