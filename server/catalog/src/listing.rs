//! Folds a sorted cursor into a delimiter listing.
//!
//! Seeks past each common prefix instead of reading through it, so listing a
//! "directory" costs one seek per child, not one read per object. Works on any
//! source that is sorted by key, and knows neither entries nor storage.

mod offset;

use std::borrow::Cow;

use base::{Page, prefix_end};
use bytes::Bytes;
use graveler::{Cursor, Diff, DiffCursor, Record};

use crate::limits::PageRoom;

/// An item with a key.
pub(crate) trait Keyed {
    fn key(&self) -> &Bytes;

    /// The size of key and values, which counts towards the maximum size of a page.
    fn size_bytes(&self) -> usize {
        self.key().len()
    }
}

/// A seekable source of items in ascending byte order of key.
pub(crate) trait Sorted: Send {
    type Item: Keyed + Send;
    fn next(&mut self) -> impl Future<Output = graveler::Result<Option<Self::Item>>> + Send;
    fn seek(&mut self, key: &[u8]);
    /// Ends the items before the first key >= `key`.
    fn end_at(&mut self, key: &[u8]);
}

/// Which items to return, and how to fold them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold<'a> {
    pub(crate) prefix: &'a str,
    /// Exclusive: a path or the offset of a page. May be a common prefix; everything below it is skipped.
    pub(crate) after: &'a str,
    /// Empty for no folding.
    pub(crate) delimiter: &'a str,
    pub(crate) limit: usize,
}

/// A row of a folded listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row<T> {
    Item(T),
    /// A common prefix, including the delimiter at its end.
    Prefix(String),
}

/// Returns up to `query.limit` rows in byte order of path, or fewer if they are large ([`PageRoom`]). The offset of
/// a page is the path of its last row; [`offset`] describes the exceptions.
pub(crate) async fn fold<S: Sorted>(
    source: &mut S,
    query: Fold<'_>,
) -> graveler::Result<Page<Row<S::Item>>> {
    let mut page = Page::empty();
    if query.limit == 0 {
        return Ok(page);
    }
    let Some(start) = query.start() else {
        return Ok(page);
    };
    if !start.is_empty() {
        source.seek(&start);
    }
    if let Some(end) = prefix_end(query.prefix.as_bytes()) {
        source.end_at(&end);
    }
    let after = query.after();
    let mut last = Bytes::new();
    let mut room = PageRoom::new(query.limit);
    while let Some(item) = source.next().await? {
        if !item.key().starts_with(query.prefix.as_bytes()) {
            break;
        }
        let common = query.common_prefix(item.key()).map(Bytes::copy_from_slice);
        if common.as_deref() != Some(&*after) {
            let size_bytes = common.as_ref().map_or(item.size_bytes(), Bytes::len);
            if !room.take(size_bytes) {
                page.has_more = true;
                page.next_offset = offset::encode(&last);
                break;
            }
            last = common.as_ref().unwrap_or(item.key()).clone();
            page.results.push(match common {
                None => Row::Item(item),
                Some(_) => Row::Prefix(text(&last)),
            });
        }
        if let Some(common) = common {
            let Some(next) = prefix_end(&common) else {
                break;
            };
            source.seek(&next);
        }
    }
    Ok(page)
}

/// A key as text. Invalid UTF-8, which only other software can store, becomes replacement characters.
pub(crate) fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

impl Fold<'_> {
    /// The first key that may belong to the page, or none if no key can.
    fn start(&self) -> Option<Vec<u8>> {
        let prefix = self.prefix.as_bytes();
        let after = &*self.after();
        if after < prefix {
            return Some(prefix.to_vec());
        }
        if after.is_empty() {
            return Some(Vec::new());
        }
        if self.common_prefix(after) == Some(after) {
            return prefix_end(after);
        }
        Some([after, b"\0"].concat())
    }

    /// The key after which the page starts.
    fn after(&self) -> Cow<'_, [u8]> {
        offset::decode(self.after)
    }

    /// The common prefix of `key`: everything up to and including the first delimiter after `self.prefix`.
    fn common_prefix<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let delimiter = self.delimiter.as_bytes();
        if delimiter.is_empty() {
            return None;
        }
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let at = rest
            .windows(delimiter.len())
            .position(|window| window == delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }
}

impl Keyed for Record {
    fn key(&self) -> &Bytes {
        &self.key
    }

    fn size_bytes(&self) -> usize {
        self.key.len() + self.value.data.len()
    }
}

impl Keyed for Diff {
    fn key(&self) -> &Bytes {
        &self.key
    }

    fn size_bytes(&self) -> usize {
        let sides = [&self.left, &self.right].into_iter().flatten();
        self.key.len() + sides.map(|value| value.data.len()).sum::<usize>()
    }
}

impl Sorted for Box<dyn Cursor + '_> {
    type Item = Record;

    async fn next(&mut self) -> graveler::Result<Option<Record>> {
        Cursor::next(self.as_mut()).await
    }

    fn seek(&mut self, key: &[u8]) {
        Cursor::seek(self.as_mut(), key);
    }

    fn end_at(&mut self, key: &[u8]) {
        Cursor::end_at(self.as_mut(), key);
    }
}

impl Sorted for DiffCursor {
    type Item = Diff;

    async fn next(&mut self) -> graveler::Result<Option<Diff>> {
        Self::next(self).await
    }

    fn seek(&mut self, key: &[u8]) {
        Self::seek(self, key);
    }

    fn end_at(&mut self, key: &[u8]) {
        Self::end_at(self, key);
    }
}

#[cfg(test)]
mod tests;
