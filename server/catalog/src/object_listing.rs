//! Pages of objects and common prefixes, of references and of stored trees.

use base::Page;
use graveler::Record;

use crate::listing::{Fold, Row, Sorted, fold, text};
use crate::{ListRequest, Object, ObjectOrPrefix, Result};

/// Returns up to `request.limit` objects and common prefixes of a cursor, in byte order of path.
pub(crate) async fn list_page(
    mut cursor: impl Sorted<Item = Record>,
    storage_namespace: &str,
    request: &ListRequest,
) -> Result<Page<ObjectOrPrefix>> {
    let query = Fold {
        prefix: &request.prefix,
        after: &request.after,
        delimiter: &request.delimiter,
        limit: request.limit,
    };
    let page = fold(&mut cursor, query).await?;
    let mut results = Vec::with_capacity(page.results.len());
    for row in page.results {
        results.push(match row {
            Row::Prefix(prefix) => ObjectOrPrefix::Prefix(prefix),
            Row::Item(record) => ObjectOrPrefix::Object(Box::new(Object::from_value(
                storage_namespace,
                text(&record.key),
                &record.value,
            )?)),
        });
    }
    Ok(Page {
        results,
        has_more: page.has_more,
        next_offset: page.next_offset,
    })
}
