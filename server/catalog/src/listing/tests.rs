//! Compares `fold` with a model that reads every key, and counts how many keys `fold` reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::*;

use super::{Fold, Keyed, Row, Sorted, fold, text};

/// An in-memory source that counts reads.
#[derive(Debug)]
struct Keys {
    keys: BTreeMap<Vec<u8>, ()>,
    from: Vec<u8>,
    end: Option<Vec<u8>>,
    reads: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key(Bytes);

impl Keyed for Key {
    fn key(&self) -> &Bytes {
        &self.0
    }
}

impl Sorted for Keys {
    type Item = Key;

    async fn next(&mut self) -> graveler::Result<Option<Key>> {
        self.reads += 1;
        let Some((key, ())) = self.keys.range(self.from.clone()..).next() else {
            return Ok(None);
        };
        if self.end.as_ref().is_some_and(|end| key >= end) {
            return Ok(None);
        }
        self.from = [key.as_slice(), b"\0"].concat();
        Ok(Some(Key(Bytes::copy_from_slice(key))))
    }

    fn seek(&mut self, key: &[u8]) {
        assert!(!key.is_empty(), "seeks go forward");
        if key > self.from.as_slice() {
            self.from = key.to_vec();
        }
    }

    fn end_at(&mut self, key: &[u8]) {
        self.end = Some(key.to_vec());
    }
}

fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Keys {
    Keys {
        keys: keys
            .into_iter()
            .map(|key| (key.as_bytes().to_vec(), ()))
            .collect(),
        from: Vec::new(),
        end: None,
        reads: 0,
    }
}

/// The paths of the rows, followed by `+` if more follow.
fn list(source: &mut Keys, query: Fold<'_>) -> String {
    let page = block_on(fold(source, query)).expect("in-memory sources do not fail");
    let mut rows: Vec<_> = page.results.iter().map(path).collect();
    if page.has_more {
        assert_eq!(
            Some(&page.next_offset),
            rows.last(),
            "the offset is the path of the last row"
        );
        rows.push("+".to_owned());
    } else {
        assert_eq!(page.next_offset, "");
    }
    rows.join(" ")
}

fn path(row: &Row<Key>) -> String {
    match row {
        Row::Item(key) => text(key.key()),
        Row::Prefix(prefix) => prefix.clone(),
    }
}

const TREE: &str = "a a/1 a/2 a/b/3 a0 b/ b/1 c";

fn check(query: Fold<'_>, expected: &str) {
    assert_eq!(
        list(&mut keys(TREE.split(' ')), query),
        expected,
        "{query:?}"
    );
}

const ALL: Fold<'_> = Fold {
    prefix: "",
    after: "",
    delimiter: "",
    limit: 100,
};
const BY_SLASH: Fold<'_> = Fold {
    delimiter: "/",
    ..ALL
};

#[test]
fn delimiter_folds_paths_into_directories() {
    check(ALL, TREE);
    check(BY_SLASH, "a a/ a0 b/ c");
    check(
        Fold {
            prefix: "a/",
            ..BY_SLASH
        },
        "a/1 a/2 a/b/",
    );
    check(
        Fold {
            prefix: "a",
            ..BY_SLASH
        },
        "a a/ a0",
    );
    check(
        Fold {
            prefix: "b/",
            ..BY_SLASH
        },
        "b/ b/1",
    );
    check(
        Fold {
            prefix: "none",
            ..BY_SLASH
        },
        "",
    );
}

#[test]
fn pages_continue_after_objects_and_prefixes() {
    check(
        Fold {
            limit: 2,
            ..BY_SLASH
        },
        "a a/ +",
    );
    check(
        Fold {
            after: "a/",
            limit: 2,
            ..BY_SLASH
        },
        "a0 b/ +",
    );
    check(
        Fold {
            after: "b/",
            limit: 2,
            ..BY_SLASH
        },
        "c",
    );
}

#[test]
fn page_of_all_rows_and_empty_page_are_the_last() {
    check(
        Fold {
            limit: 5,
            ..BY_SLASH
        },
        "a a/ a0 b/ c",
    );
    check(
        Fold {
            limit: 0,
            ..BY_SLASH
        },
        "",
    );
}

#[test]
fn listing_without_a_delimiter_continues_after_a_folder_marker() {
    check(Fold { after: "a/", ..ALL }, "a/1 a/2 a/b/3 a0 b/ b/1 c");
}

#[test]
fn listing_of_a_prefix_starts_at_the_later_of_prefix_and_start() {
    check(
        Fold {
            prefix: "a/",
            after: "a/",
            ..BY_SLASH
        },
        "a/1 a/2 a/b/",
    );
    check(
        Fold {
            prefix: "b",
            after: "a",
            ..BY_SLASH
        },
        "b/",
    );
    check(
        Fold {
            prefix: "a",
            after: "z",
            ..BY_SLASH
        },
        "",
    );
}

#[test]
fn start_below_a_common_prefix_still_lists_the_prefix() {
    check(
        Fold {
            after: "a/1",
            ..BY_SLASH
        },
        "a/ a0 b/ c",
    );
    check(
        Fold {
            after: "a/b/3",
            ..BY_SLASH
        },
        "a0 b/ c",
    );
}

#[test]
fn directory_costs_one_read_regardless_of_its_size() {
    let names: Vec<_> = (0..3)
        .flat_map(|dir| (0..1000).map(move |n| format!("d{dir}/{n}")))
        .collect();
    let mut source = keys(names.iter().map(String::as_str));
    assert_eq!(list(&mut source, BY_SLASH), "d0/ d1/ d2/");
    assert_eq!(source.reads, 4, "one read per directory and one at the end");
}

/// Guards against a bug: pages continued after the text of a key that is not UTF-8, which sorts elsewhere. They repeated
/// keys forever, or skipped valid ones.
#[test]
fn pages_with_keys_that_are_not_utf8_are_complete() {
    let names: [&[u8]; 10] = [
        b"a",
        b"a\x80",
        b"a\xc3/1",
        b"a\xc3/2",
        "a\u{e9}".as_bytes(),
        "a\u{fffd}~ff".as_bytes(),
        b"a\xf9\x01",
        b"a\xff",
        b"a\xffb",
        b"\xff/x",
    ];
    let all: BTreeMap<Vec<u8>, ()> = names.iter().map(|name| (name.to_vec(), ())).collect();
    for (delimiter, expected) in [("", names.len()), ("/", names.len() - 1)] {
        for limit in 1..=4 {
            let (mut offset, mut rows) = (String::new(), Vec::new());
            loop {
                assert!(rows.len() <= expected, "{rows:?}");
                let mut source = Keys {
                    keys: all.clone(),
                    from: Vec::new(),
                    end: None,
                    reads: 0,
                };
                let query = Fold {
                    after: &offset,
                    delimiter,
                    limit,
                    ..ALL
                };
                let page = block_on(fold(&mut source, query)).unwrap();
                rows.extend(page.results);
                if !page.has_more {
                    break;
                }
                offset = page.next_offset;
            }
            assert_eq!(rows.len(), expected, "{delimiter:?} {limit} {rows:?}");
            rows.dedup();
            assert_eq!(rows.len(), expected, "{delimiter:?} {limit}");
        }
    }
}

/// The expected rows, computed by reading every key.
fn model(all: &BTreeMap<String, ()>, query: Fold<'_>) -> Vec<String> {
    let mut rows = Vec::new();
    for key in all
        .keys()
        .filter(|key| key.starts_with(query.prefix) && key.as_str() > query.after)
    {
        let rest = &key[query.prefix.len()..];
        let row = match rest.find(query.delimiter) {
            Some(at) if !query.delimiter.is_empty() => {
                &key[..query.prefix.len() + at + query.delimiter.len()]
            }
            _ => key,
        };
        if row != query.after && rows.last().is_none_or(|last| last != row) {
            rows.push(row.to_owned());
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: base::testing::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn concatenated_pages_equal_the_model(
        all in proptest::collection::btree_map("[ab/]{1,6}", Just(()), 0..40),
        prefix in "[ab/]{0,2}",
        after in "[ab/]{0,4}",
        delimiter in prop_oneof![Just(""), Just("/"), Just("//"), Just("b/a")],
        limit in 1..5_usize,
    ) {
        let query = Fold { prefix: &prefix, after: &after, delimiter, limit };
        let expected = model(&all, query);
        let mut rows: Vec<String> = Vec::new();
        let mut offset = after.clone();
        loop {
            let mut source = keys(all.keys().map(String::as_str));
            let page = block_on(fold(&mut source, Fold { after: &offset, ..query })).expect("in-memory sources do not fail");
            prop_assert!(page.results.len() <= limit);
            prop_assert!(!page.has_more || page.results.len() == limit);
            rows.extend(page.results.iter().map(path));
            if !page.has_more {
                break;
            }
            offset = page.next_offset;
        }
        prop_assert_eq!(rows, expected);
    }
}

/// A listing of a prefix ends its source at the end of the prefix, so that the source does not read what follows.
#[test]
fn source_ends_with_the_prefix() {
    for (prefix, end) in [("a/", Some("a0")), ("a", Some("b")), ("", None)] {
        let mut source = keys(["a/1", "a/2", "b"]);
        let query = Fold {
            prefix,
            after: "",
            delimiter: "",
            limit: 10,
        };
        list(&mut source, query);
        assert_eq!(source.end.as_deref(), end.map(str::as_bytes));
    }
}
