//! Folds a sorted cursor into a delimiter listing.
//!
//! Seeks past each common prefix instead of reading through it, so listing a
//! "directory" costs one seek per child, not one read per object. Knows neither
//! entries nor storage: it works on anything that is sorted by key.

use base::Page;
use bytes::Bytes;
use graveler::{Cursor, Diff, DiffCursor, Record};

use crate::limits::PageRoom;

/// Anything with a key.
pub(crate) trait Keyed {
    fn key(&self) -> &Bytes;

    /// The bytes of key and values, by which pages are bounded.
    fn size_bytes(&self) -> usize {
        self.key().len()
    }
}

/// A seekable source of items in ascending byte order of key.
pub(crate) trait Sorted: Send {
    type Item: Keyed + Send;
    fn next(&mut self) -> impl Future<Output = graveler::Result<Option<Self::Item>>> + Send;
    fn seek(&mut self, key: &[u8]);
}

/// Which rows to fold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold<'a> {
    pub(crate) prefix: &'a str,
    /// Exclusive; may be a common prefix, which skips all below it.
    pub(crate) after: &'a str,
    /// Empty: nothing is folded.
    pub(crate) delimiter: &'a str,
    pub(crate) limit: usize,
}

/// A row of a folded listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row<T> {
    Item(T),
    /// Ends in the delimiter.
    Prefix(String),
}

/// Returns up to `query.limit` rows in byte order of path, fewer where they are large ([`PageRoom`]). A page's
/// offset is the path of its last row.
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
    let mut last = String::new();
    let mut room = PageRoom::new(query.limit);
    while let Some(item) = source.next().await? {
        if !item.key().starts_with(query.prefix.as_bytes()) {
            break;
        }
        let common = query.common_prefix(item.key()).map(Bytes::copy_from_slice);
        if common.as_deref() != Some(query.after.as_bytes()) {
            let size_bytes = common.as_ref().map_or(item.size_bytes(), Bytes::len);
            if !room.take(size_bytes) {
                page.has_more = true;
                page.next_offset = last;
                break;
            }
            last = text(common.as_ref().unwrap_or(item.key()));
            page.results.push(match common {
                None => Row::Item(item),
                Some(_) => Row::Prefix(last.clone()),
            });
        }
        if let Some(common) = common {
            let Some(next) = successor(&common) else {
                break;
            };
            source.seek(&next);
        }
    }
    Ok(page)
}

/// A key as text. Keys that are no UTF-8, which no client of ours can write, show replacement characters.
pub(crate) fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

impl Fold<'_> {
    /// The first key that may belong to the page, or none if no key can.
    fn start(&self) -> Option<Vec<u8>> {
        let prefix = self.prefix.as_bytes();
        let after = self.after.as_bytes();
        if after < prefix {
            return Some(prefix.to_vec());
        }
        if after.is_empty() {
            return Some(Vec::new());
        }
        if self.common_prefix(after) == Some(after) {
            return successor(after);
        }
        Some([after, b"\0"].concat())
    }

    /// What `key` folds to: all up to and with the first delimiter behind the prefix.
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

/// The smallest key above every key that starts with `prefix`, or none if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
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
}

impl Sorted for DiffCursor {
    type Item = Diff;

    async fn next(&mut self) -> graveler::Result<Option<Diff>> {
        Self::next(self).await
    }

    fn seek(&mut self, key: &[u8]) {
        Self::seek(self, key);
    }
}

#[cfg(test)]
mod tests;
