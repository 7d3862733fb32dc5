//! Read access to one stored tree, for hooks and actions.
//!
//! Trees are immutable, so repeated reads give the same results.

use base::Page;
use graveler::{Graveler, MetaRangeId, Repository};

use crate::listing::{Fold, Keyed as _, Row, fold, text};
use crate::object_listing::list_page;
use crate::{ListRequest, Object, ObjectOrPrefix, Result};

/// One stored tree. Cloning copies only the repository's record.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) graveler: Graveler,
    pub(crate) repository: Repository,
    pub(crate) tree: MetaRangeId,
}

impl Snapshot {
    /// The tree's id; empty for the empty tree.
    #[must_use]
    pub fn tree_id(&self) -> &MetaRangeId {
        &self.tree
    }

    /// The repository of the tree.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The object at a path, or none.
    ///
    /// # Errors
    /// Any error of the engine if the tree cannot be read.
    pub async fn stat(&self, path: &str) -> Result<Option<Object>> {
        if path.is_empty() {
            return Ok(None);
        }
        let value = self
            .graveler
            .get_from_tree(&self.repository, &self.tree, path.as_bytes())
            .await?;
        Ok(value
            .map(|value| self.object(path.to_owned(), &value))
            .transpose()?)
    }

    /// Up to `limit` objects whose paths start with `prefix` and follow `after` (exclusive), in byte order of path.
    ///
    /// # Errors
    /// Any error of the engine if the tree cannot be read.
    pub async fn walk(&self, prefix: &str, after: &str, limit: usize) -> Result<Page<Object>> {
        let mut cursor = self
            .graveler
            .tree_cursor(&self.repository, &self.tree)
            .await?;
        let page = fold(&mut cursor, recursive(prefix, after, limit)).await?;
        try_map(page, |record| {
            self.object(text(record.key()), &record.value)
        })
    }

    /// Up to `request.limit` objects and common prefixes, in byte order of path.
    ///
    /// # Errors
    /// Any error of the engine if the tree cannot be read.
    pub async fn list(&self, request: &ListRequest) -> Result<Page<ObjectOrPrefix>> {
        let cursor = self
            .graveler
            .tree_cursor(&self.repository, &self.tree)
            .await?;
        list_page(cursor, &self.repository.storage_namespace, request).await
    }

    /// The differences between this tree (left) and `other` (right), for paths that start with `prefix` and follow
    /// `after` (exclusive).
    ///
    /// The left object is none if the path was added; the right object is none if it was removed.
    ///
    /// # Errors
    /// Any error of the engine if a tree cannot be read.
    pub async fn diff(
        &self,
        other: &Self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<(Option<Object>, Option<Object>)>> {
        let mut cursor = self
            .graveler
            .diff_trees(&self.repository, &self.tree, &other.tree)
            .await?;
        let page = fold(&mut cursor, recursive(prefix, after, limit)).await?;
        try_map(page, |diff| {
            let side = |value: Option<&graveler::Value>| {
                value
                    .map(|value| self.object(text(diff.key()), value))
                    .transpose()
            };
            Ok((side(diff.left.as_ref())?, side(diff.right.as_ref())?))
        })
    }

    fn object(&self, path: String, value: &graveler::Value) -> graveler::Result<Object> {
        Object::from_value(&self.repository.storage_namespace, path, value)
    }
}

fn recursive<'a>(prefix: &'a str, after: &'a str, limit: usize) -> Fold<'a> {
    Fold {
        prefix,
        after,
        delimiter: "",
        limit,
    }
}

/// Converts the items of a page that has no common prefixes.
fn try_map<T, U>(
    page: Page<Row<T>>,
    convert: impl Fn(T) -> graveler::Result<U>,
) -> Result<Page<U>> {
    let mut results = Vec::with_capacity(page.results.len());
    for row in page.results {
        match row {
            Row::Item(item) => results.push(convert(item)?),
            Row::Prefix(_) => unreachable!("nothing is folded without a delimiter"),
        }
    }
    Ok(Page {
        results,
        has_more: page.has_more,
        next_offset: page.next_offset,
    })
}
