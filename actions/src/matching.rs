//! Decides which actions match an event. Does no I/O.

use std::collections::HashMap;

use base::glob::GlobSet;
use graveler::EventKind;

use crate::action_file::{Action, EventFilter};
use crate::error::Malformed;
use crate::glob;

/// Maximum number of parts of the diff that are read separately for one event. With more, one larger
/// part is read.
const MAX_REGIONS: usize = 100;

#[cfg(test)]
thread_local! {
    /// Number of times that this thread compiled or matched patterns.
    pub(crate) static EVALUATIONS_ON_THREAD: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn count_evaluation() {
    EVALUATIONS_ON_THREAD.with(|count| count.set(count.get() + 1));
}

/// Returns an action's filter for an event, if the action names the event and one of its branch
/// globs matches or there are none. `branch` is empty for an event without a branch. The caller checks the filter's paths.
///
/// # Errors
/// If the branch is matched against a malformed glob. As in lakeFS, globs after the first match are
/// not evaluated.
pub(crate) fn matching_filter<'a>(
    action: &'a Action,
    kind: EventKind,
    branch: &str,
) -> Result<Option<&'a EventFilter>, Malformed> {
    let Some(on) = action.on.get(&kind) else {
        return Ok(None);
    };
    if on.branches.is_empty() {
        return Ok(Some(on));
    }
    #[cfg(test)]
    count_evaluation();
    for pattern in &on.branches {
        if !glob::is_branch_pattern(pattern) {
            let event = kind.as_str();
            let quoted = base::glob::quoted(pattern);
            return Err(Malformed::new(format!(
                "'branches' of {event}: '{quoted}' is not a valid glob"
            )));
        }
        if glob::branch_matches(pattern, branch) {
            return Ok(Some(on));
        }
    }
    Ok(None)
}

/// The path filters of several actions. A filter matches if an object whose path matches one of its
/// patterns has changed.
///
/// The changed paths are read region by region. A region is a literal prefix that no other region's
/// prefix starts with, so no path is read twice.
#[derive(Debug)]
pub(crate) struct PathFilters {
    /// Index of the filter of each list of patterns. Equal lists share a filter.
    indexes: HashMap<Vec<String>, usize>,
    filters: Vec<PathFilter>,
    regions: Vec<Region>,
}

#[derive(Debug, Default)]
struct PathFilter {
    set: GlobSet,
    matched: bool,
}

#[derive(Debug)]
struct Region {
    prefix: String,
    /// The filters that can match paths with this prefix.
    filters: Vec<usize>,
}

impl PathFilters {
    pub(crate) fn new<'a>(lists: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut indexes = HashMap::new();
        for list in lists {
            let next = indexes.len();
            indexes.entry(list.to_vec()).or_insert(next);
        }
        Self {
            filters: Vec::new(),
            regions: Vec::new(),
            indexes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.indexes.is_empty()
    }

    /// Compiles the patterns. May be slow.
    pub(crate) fn compiled(mut self) -> Self {
        #[cfg(test)]
        count_evaluation();
        self.filters
            .resize_with(self.indexes.len(), PathFilter::default);
        let mut prefixes = Vec::new();
        for (list, index) in &self.indexes {
            prefixes.extend(list.iter().map(|p| (glob::literal_prefix(p), *index)));
            let filter = &mut self.filters[*index];
            match glob::path_set(list) {
                Ok(set) => filter.set = set,
                // Cannot happen: the patterns were validated when the file was parsed.
                Err(_) => filter.matched = true,
            }
        }
        self.regions = regions(prefixes);
        self
    }

    pub(crate) fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Returns the prefix of a region, or `None` if all of its filters have matched.
    pub(crate) fn undecided(&self, region: usize) -> Option<&str> {
        let region = &self.regions[region];
        let is_open = |index: &usize| !self.filters[*index].matched;
        let is_undecided = region.filters.iter().any(is_open);
        is_undecided.then_some(region.prefix.as_str())
    }

    /// Evaluates the filters on changed paths of a region. May be slow.
    pub(crate) fn see(&mut self, region: usize, paths: &[String]) {
        #[cfg(test)]
        count_evaluation();
        for index in &self.regions[region].filters {
            let PathFilter { set, matched } = &mut self.filters[*index];
            *matched = *matched || paths.iter().any(|path| set.is_match(path));
        }
    }

    /// Reports whether the filter with these patterns has matched.
    pub(crate) fn matched(&self, list: &[String]) -> bool {
        let index = self.indexes.get(list);
        index.is_some_and(|index| self.filters[*index].matched)
    }
}

/// Groups literal prefixes, each with the index of its filter, into regions.
fn regions(mut prefixes: Vec<(&str, usize)>) -> Vec<Region> {
    prefixes.sort_unstable();
    let mut regions: Vec<Region> = Vec::new();
    for (prefix, filter) in prefixes {
        match regions.last_mut() {
            Some(region) if prefix.starts_with(&region.prefix) => region.filters.push(filter),
            _ => regions.push(Region {
                prefix: prefix.to_owned(),
                filters: vec![filter],
            }),
        }
    }
    if let ([first, .., last], true) = (regions.as_slice(), regions.len() > MAX_REGIONS) {
        // The regions are sorted, so what the first and the last have in common, all have.
        let prefix = common_prefix(&first.prefix, &last.prefix).to_owned();
        let filters = regions.into_iter().flat_map(|r| r.filters).collect();
        regions = vec![Region { prefix, filters }];
    }
    for region in &mut regions {
        region.filters.sort_unstable();
        region.filters.dedup();
    }
    regions
}

fn common_prefix<'a>(one: &'a str, other: &str) -> &'a str {
    let mut pairs = one.char_indices().zip(other.chars());
    let end = pairs.find(|((_, a), b)| a != b).map(|((end, _), _)| end);
    &one[..end.unwrap_or(one.len().min(other.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_matches_its_events_and_branches() {
        let action = Action::parse(
            "a.yaml",
            b"name: gate\non:\n  pre-commit:\n    branches: [main, case*]\n  pre-create-tag:\n",
        )
        .unwrap();
        for (kind, branch, expected) in [
            (EventKind::PreCommit, "main", true),
            (EventKind::PreCommit, "case12", true),
            (EventKind::PreCommit, "dev", false),
            (EventKind::PostCommit, "main", false),
        ] {
            assert_eq!(
                matching_filter(&action, kind, branch).unwrap().is_some(),
                expected,
                "{kind:?} {branch}"
            );
        }
        let of_tag = matching_filter(&action, EventKind::PreCreateTag, "");
        assert!(of_tag.unwrap().is_some());
    }

    #[test]
    fn malformed_glob_is_an_error_only_when_evaluated() {
        let action = Action::parse(
            "a.yaml",
            b"name: gate\non:\n  pre-commit:\n    branches: [main, '[']\n",
        )
        .unwrap();
        let filter = |branch, kind| matching_filter(&action, kind, branch);
        assert!(
            filter("main", EventKind::PreCommit).unwrap().is_some(),
            "'main' must match before the malformed glob is evaluated"
        );
        assert_eq!(
            filter("dev", EventKind::PreCommit).unwrap_err().to_string(),
            "'branches' of pre-commit: '[' is not a valid glob"
        );
        assert!(filter("dev", EventKind::PreMerge).unwrap().is_none());
    }

    fn filters(lists: &[&[&str]]) -> (PathFilters, Vec<Vec<String>>) {
        let owned = |list: &&[&str]| list.iter().map(ToString::to_string).collect();
        let lists: Vec<Vec<String>> = lists.iter().map(owned).collect();
        let filters = PathFilters::new(lists.iter().map(Vec::as_slice));
        (filters.compiled(), lists)
    }

    #[test]
    fn overlapping_prefixes_are_read_once() {
        let (filters, _) = filters(&[&["a/b/*", "c"], &["a/**", "d/x"], &["a/**", "d/x"]]);
        let regions: Vec<_> = filters
            .regions
            .iter()
            .map(|region| (region.prefix.as_str(), region.filters.as_slice()))
            .collect();
        assert_eq!(
            regions,
            [("a/", &[0, 1][..]), ("c", &[0][..]), ("d/x", &[1][..])]
        );
        let everywhere = vec!["**/x"; 1000];
        let (filters, _) = self::filters(&[&everywhere, &["a/*"], &["b/*"]]);
        assert_eq!(filters.regions(), 1);
    }

    #[test]
    fn many_prefixes_are_read_as_one_region() {
        let names: Vec<String> = (100..=200).map(|n| format!("té/{n}/*")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (filters, _) = filters(&[&names[..50], &names[50..]]);
        assert_eq!(filters.regions(), 1);
        assert_eq!(filters.undecided(0), Some("té/"));
    }

    #[test]
    fn region_is_read_until_its_filters_have_matched() {
        let (mut filters, lists) = filters(&[&["a/*"], &["a/b", "z/*"]]);
        assert_eq!(filters.undecided(0), Some("a/"));
        filters.see(0, &["a/x".to_owned()]);
        assert_eq!(
            (filters.undecided(0), filters.undecided(1)),
            (Some("a/"), Some("z/"))
        );
        filters.see(0, &["a/b".to_owned()]);
        assert_eq!((filters.undecided(0), filters.undecided(1)), (None, None));
        assert!(lists.iter().all(|list| filters.matched(list)));
        assert!(!filters.matched(&["z/*".to_owned()]));
    }
}
