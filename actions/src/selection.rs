//! Selects the actions that check a change.
//!
//! All path filters of an event are evaluated in one pass over its changed objects. Users write the
//! globs, so long ones are compiled and matched off the serving threads.

use std::sync::Arc;
use std::time::Duration;

use catalog::Snapshot;
use graveler::{Event, EventKind, TreeSource};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::action_file::FileError;
use crate::gates_source::GatesSource;
use crate::load::{FileSet, LoadError, LoadedFile, Loader, MatchedAction, Origin, Tree};
use crate::matching::{self, Evaluation, PathFilters};

/// Maximum number of hooks that one event runs from one tree.
const MAX_EVENT_HOOKS: usize = 1_000;
/// Patterns with a total length of up to this many bytes are matched on the calling thread.
const FEW_PATTERN_BYTES: u64 = 1 << 10;
/// Page size when reading differences.
const PAGE: usize = 1_000;

/// Counts the hooks that one event runs from one tree.
#[derive(Debug, Default)]
struct HookCount(usize);

impl HookCount {
    fn add(&mut self, file: &LoadedFile) -> Result<(), LoadError> {
        self.0 += file.action.hooks.len();
        if self.0 <= MAX_EVENT_HOOKS {
            return Ok(());
        }
        let why = format!(
            "with this file, one event would run {} hooks; at most {MAX_EVENT_HOOKS} are allowed",
            self.0
        );
        Err(LoadError::Invalid(vec![FileError::without_position(
            &file.path, why,
        )]))
    }
}

/// Returns the actions that match an event. Actions of the change come first; each group is sorted
/// by path.
pub(crate) async fn matching_actions(
    loader: &Loader,
    event: &Event,
    gates: GatesSource,
) -> Result<Vec<MatchedAction>, LoadError> {
    let tree = actions_tree(loader, event);
    let own = loader.files(event, &tree).await?;
    if !own.errors.is_empty() {
        return Err(LoadError::Invalid(own.errors.clone()));
    }
    let adds_files = matches!(
        event.kind(),
        EventKind::PrepareCommit | EventKind::PreCommit | EventKind::PreMerge
    );
    let (base, base_files) = match (gates, adds_files, event.base()) {
        (GatesSource::Both, true, Some(base)) => {
            let base = loader.tree(&event.repository, base);
            let files = loader.files(event, &base).await?;
            (Some(base), files)
        }
        _ => (None, Arc::default()),
    };
    let candidates = Candidates::new(loader, event, &own, base_files).await?;
    let candidates = candidates.with_changed_paths(loader, event).await?;

    let mut matched_actions = Vec::new();
    let mut hooks = HookCount::default();
    for file in &candidates.own {
        hooks.add(file)?;
        matched_actions.push(MatchedAction::new(file, Origin::Change, &tree));
    }
    if let Some(base) = base {
        // Counted separately from the change's hooks, so that a tree with too many hooks can be
        // repaired a few files at a time.
        let mut hooks = HookCount::default();
        for file in &candidates.base {
            if is_edited(loader, file, &base, &own, &tree).await? {
                hooks.add(file)?;
                matched_actions.push(MatchedAction::new(file, Origin::Destination, &base));
            }
        }
    }
    Ok(matched_actions)
}

/// Returns the tree that holds the event's own action files. Reads the branch only if the change
/// has no candidate tree yet, because staged changes that arrive later are not part of the change.
fn actions_tree(loader: &Loader, event: &Event) -> Tree {
    match (event.actions_from(), event.candidate()) {
        (TreeSource::MetaRange(id), _) | (TreeSource::Branch(_), Some(id)) => {
            loader.tree(&event.repository, id)
        }
        (TreeSource::Branch(branch), None) => Tree::Branch {
            repository: event.repository.clone(),
            branch: branch.to_string(),
        },
    }
}

/// The files with hooks whose actions match an event, sorted by path.
struct Candidates {
    kind: EventKind,
    own: Vec<Arc<LoadedFile>>,
    /// Files of the tree that the change replaces.
    base: Vec<Arc<LoadedFile>>,
}

impl Candidates {
    /// Selects by kind of event and by branch.
    ///
    /// # Errors
    /// If a file of the change has a malformed glob. Such a file of the base does not match, like a
    /// file that does not parse, because the change may repair it.
    async fn new(
        loader: &Loader,
        event: &Event,
        own: &Arc<FileSet>,
        base: Arc<FileSet>,
    ) -> Result<Self, LoadError> {
        let pattern_bytes = own.pattern_bytes + base.pattern_bytes;
        let (own, kind) = (Arc::clone(own), event.kind());
        let branch = event.branch().map(ToString::to_string).unwrap_or_default();
        let select = move || {
            let matches = |file: &LoadedFile| -> Result<bool, FileError> {
                let on =
                    matching::matching_filter(&file.action, kind, &branch).map_err(|reason| {
                        FileError::without_position(&file.path, reason.to_string())
                    })?;
                // An action without hooks creates no run. Its `on` section is still evaluated,
                // because evaluation can fail.
                Ok(on.is_some() && !file.action.hooks.is_empty())
            };
            let mut candidates = Self {
                kind,
                own: Vec::new(),
                base: Vec::new(),
            };
            for file in &own.files {
                if matches(file)? {
                    candidates.own.push(Arc::clone(file));
                }
            }
            let matching = base.files.iter().filter(|file| matches(file) == Ok(true));
            candidates.base.extend(matching.cloned());
            Ok(candidates)
        };
        let selected = if pattern_bytes <= FEW_PATTERN_BYTES {
            select()
        } else {
            loader.compute(event, select).await?
        };
        selected.map_err(|error| LoadError::Invalid(vec![error]))
    }

    fn paths<'a>(&self, file: &'a LoadedFile) -> &'a [String] {
        let on = file.action.on.get(&self.kind);
        on.map_or(&[], |on| &on.paths)
    }

    /// Selects by the paths that the event changes.
    async fn with_changed_paths(
        mut self,
        loader: &Loader,
        event: &Event,
    ) -> Result<Self, LoadError> {
        // An event that lacks one of the trees has no set of changed objects, so the path filters do not apply.
        let (Some(base), Some(candidate)) = (event.base(), event.candidate()) else {
            return Ok(self);
        };
        let files = self.own.iter().chain(&self.base);
        let lists = files.map(|file| self.paths(file)).filter(|p| !p.is_empty());
        let filters = PathFilters::new(lists);
        if filters.is_empty() {
            return Ok(self);
        }
        let reader = loader.reader();
        let base = reader.snapshot(&event.repository, base);
        let candidate = reader.snapshot(&event.repository, candidate);
        let Some(filters) = read_changes(loader, event, [&base, &candidate], filters).await? else {
            // Running an action that no changed path matches is safer than skipping a gate.
            return Ok(self);
        };
        let (own, base) = (
            std::mem::take(&mut self.own),
            std::mem::take(&mut self.base),
        );
        let matches = |file: &Arc<LoadedFile>| {
            let paths = self.paths(file);
            paths.is_empty() || filters.matched(paths)
        };
        let (own, base) = (
            own.into_iter().filter(matches).collect(),
            base.into_iter().filter(matches).collect(),
        );
        Ok(Self { own, base, ..self })
    }
}

/// Evaluates the filters on the differences between two trees, until all are decided. Returns `None`
/// if that takes too long: see [`crate::load::Loader::match_time`].
async fn read_changes(
    loader: &Loader,
    event: &Event,
    [base, candidate]: [&Snapshot; 2],
    filters: PathFilters,
) -> Result<Option<PathFilters>, LoadError> {
    let mut time_left = loader.match_time;
    let compiled = loader.compute_in_turns(event, filters, PathFilters::compile);
    let Some(mut filters) = with_time_left(&mut time_left, event, compiled).await? else {
        return Ok(None);
    };
    for region in 0..filters.regions() {
        let mut after = String::new();
        while let Some(prefix) = filters.prefix_to_read(region) {
            let page = base.diff(candidate, prefix, &after, PAGE).await?;
            let changed = page.results.into_iter().filter_map(|(a, b)| a.or(b));
            let paths: Vec<String> = changed.map(|object| object.path).collect();
            let evaluation = Evaluation::new(filters, region, paths);
            let evaluated = loader.compute_in_turns(event, evaluation, Evaluation::step);
            let Some(evaluation) = with_time_left(&mut time_left, event, evaluated).await? else {
                return Ok(None);
            };
            filters = evaluation.filters;
            if !page.has_more {
                break;
            }
            after = page.next_offset;
        }
    }
    Ok(Some(filters))
}

/// Waits for `work` and subtracts its time from `time_left`. Returns `None` if no time is left.
async fn with_time_left<T>(
    time_left: &mut Duration,
    event: &Event,
    work: impl Future<Output = Result<T, LoadError>>,
) -> Result<Option<T>, LoadError> {
    let started = Instant::now();
    let Ok(done) = timeout(*time_left, work).await else {
        warn!(run.id = %event.run_id, repo.id = %event.repository.id, "matching the changed paths takes too long: running all actions of {} as if a path matched", event.kind().as_str());
        return Ok(None);
    };
    *time_left = time_left.saturating_sub(started.elapsed());
    done.map(Some)
}

/// Reports whether a change edits, moves or removes an action file of `base` or a component that
/// the file names.
async fn is_edited(
    loader: &Loader,
    file: &LoadedFile,
    base: &Tree,
    own: &FileSet,
    tree: &Tree,
) -> Result<bool, LoadError> {
    if !own.has(file) {
        return Ok(true);
    }
    for component in file.action.components() {
        let before = loader.stat(base, component).await?;
        let now = loader.stat(tree, component).await?;
        // A component that `base` lacks does not count as edited, so that it can be committed after
        // the action file.
        if before.is_some_and(|before| now.is_none_or(|now| now.identity != before.identity)) {
            return Ok(true);
        }
    }
    Ok(false)
}
