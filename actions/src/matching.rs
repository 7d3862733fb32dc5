//! Decides which actions match an event. Does no I/O.

use std::collections::BTreeSet;

use base::glob::GlobSet;
use graveler::EventKind;

use crate::action_file::{Action, EventFilter};
use crate::computations::{Progress, TimeSlice};
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
    /// Sorted by their patterns. Equal lists of patterns share a filter.
    filters: Vec<PathFilter>,
    /// Number of filters that are compiled.
    compiled: usize,
    regions: Vec<Region>,
}

#[derive(Debug)]
struct PathFilter {
    patterns: Vec<String>,
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
        let lists: BTreeSet<&[String]> = lists.into_iter().collect();
        let filter = |patterns: &[String]| PathFilter {
            patterns: patterns.to_vec(),
            set: GlobSet::default(),
            matched: false,
        };
        Self {
            filters: lists.into_iter().map(filter).collect(),
            compiled: 0,
            regions: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Compiles the patterns, one list after the other.
    pub(crate) fn compile(&mut self, slice: &TimeSlice) -> Progress {
        #[cfg(test)]
        count_evaluation();
        while let Some(filter) = self.filters.get_mut(self.compiled) {
            match glob::path_set(&filter.patterns) {
                Ok(set) => filter.set = set,
                // Cannot happen: the patterns were validated when the file was parsed.
                Err(_) => filter.matched = true,
            }
            self.compiled += 1;
            if slice.is_used_up() {
                return Progress::Paused;
            }
        }
        let filters = self.filters.iter().enumerate();
        let prefixes = filters.flat_map(|(index, filter)| {
            let patterns = filter.patterns.iter();
            patterns.map(move |pattern| (glob::literal_prefix(pattern), index))
        });
        self.regions = regions(prefixes.collect());
        Progress::Done
    }

    pub(crate) fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Returns the prefix of a region, or `None` if all of its filters have matched, so that the region
    /// need not be read further.
    pub(crate) fn prefix_to_read(&self, region: usize) -> Option<&str> {
        let region = &self.regions[region];
        let is_open = |index: &usize| !self.filters[*index].matched;
        let is_undecided = region.filters.iter().any(is_open);
        is_undecided.then_some(region.prefix.as_str())
    }

    /// Reports whether the filter with these patterns has matched.
    pub(crate) fn matched(&self, list: &[String]) -> bool {
        let found = self
            .filters
            .binary_search_by(|filter| filter.patterns.as_slice().cmp(list));
        found.is_ok_and(|index| self.filters[index].matched)
    }
}

/// Evaluates the filters of a region on changed paths of the region.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) filters: PathFilters,
    region: usize,
    paths: Vec<String>,
    /// The next filter of the region, and the next path for it.
    next: (usize, usize),
}

impl Evaluation {
    pub(crate) fn new(filters: PathFilters, region: usize, paths: Vec<String>) -> Self {
        Self {
            filters,
            region,
            paths,
            next: (0, 0),
        }
    }

    pub(crate) fn step(&mut self, slice: &TimeSlice) -> Progress {
        #[cfg(test)]
        count_evaluation();
        let PathFilters {
            filters, regions, ..
        } = &mut self.filters;
        let (position, next_path) = &mut self.next;
        while let Some(index) = regions[self.region].filters.get(*position) {
            let filter = &mut filters[*index];
            while !filter.matched
                && let Some(path) = self.paths.get(*next_path)
            {
                filter.matched = filter.set.is_match(path);
                *next_path += 1;
                if slice.is_used_up() {
                    return Progress::Paused;
                }
            }
            (*position, *next_path) = (*position + 1, 0);
        }
        Progress::Done
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
        // The regions are sorted, so all of them share the common prefix of the first and the last.
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
        let mut filters = PathFilters::new(lists.iter().map(Vec::as_slice));
        assert_eq!(filters.compile(&TimeSlice::long()), Progress::Done);
        (filters, lists)
    }

    fn evaluate(filters: PathFilters, region: usize, path: &str) -> PathFilters {
        let mut evaluation = Evaluation::new(filters, region, vec![path.to_owned()]);
        assert_eq!(evaluation.step(&TimeSlice::long()), Progress::Done);
        evaluation.filters
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
            [("a/", &[0, 1][..]), ("c", &[1][..]), ("d/x", &[0][..])]
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
        assert_eq!(filters.prefix_to_read(0), Some("té/"));
    }

    #[test]
    fn region_is_read_until_its_filters_have_matched() {
        let (filters, lists) = filters(&[&["a/*"], &["a/b", "z/*"]]);
        assert_eq!(filters.prefix_to_read(0), Some("a/"));
        let filters = evaluate(filters, 0, "a/x");
        let prefixes = |filters: &PathFilters| {
            [0, 1].map(|region| filters.prefix_to_read(region).map(str::to_owned))
        };
        assert_eq!(
            prefixes(&filters),
            [Some("a/"), Some("z/")].map(|p| p.map(str::to_owned))
        );
        let filters = evaluate(filters, 0, "a/b");
        assert_eq!(prefixes(&filters), [None, None]);
        assert!(lists.iter().all(|list| filters.matched(list)));
        assert!(!filters.matched(&["z/*".to_owned()]));
    }

    /// Regression test: 1,000 paths were matched in one piece, which took minutes with slow globs.
    #[test]
    fn evaluation_can_pause_after_each_path() {
        let lists = [&["a/x*"][..], &["a/y"], &["a/z"]];
        let lists = lists.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut filters = PathFilters::new(lists.iter().map(Vec::as_slice));
        let slice = TimeSlice::of_one_item();
        for _ in 0..3 {
            assert_eq!(filters.compile(&slice), Progress::Paused);
        }
        assert_eq!(filters.compile(&slice), Progress::Done);
        let paths = ["a/w", "a/y"].map(str::to_owned);
        for region in 0..filters.regions() {
            let mut evaluation = Evaluation::new(filters, region, paths.to_vec());
            let mut pauses = 0;
            while evaluation.step(&slice) == Progress::Paused {
                pauses += 1;
            }
            assert_eq!(pauses, 2);
            filters = evaluation.filters;
        }
        let matched = lists.map(|list| filters.matched(&list));
        assert_eq!(matched, [false, true, false]);
    }
}
