//! State of a run and of its instances, independent of the WIT version.
//!
//! [`Run`] is shared by all instances of a hook; [`State`] belongs to one instance. Every access to
//! a tree goes through [`Run`], which checks rights and budget before it calls [`Trees`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use catalog::Object;
use graveler::{Event, Finding};
use serde_json::Value;
use tokio::task::{AbortHandle, yield_now};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::admission::{Pool, Waits};
use super::capability::{ChangeKind, Rights};
use super::findings::{Findings, FindingsBudget};
use super::limits::{
    HANDLES, HOST_CALL, Limiter, METRICS, NAME_BYTES, PAGE, PATH_BYTES, ROWS_PER_YIELD,
    SUMMARY_BYTES, cut, size,
};
use super::log::{Log, LogBudget};
use super::report::Cause;
use super::request::Limits;
use super::tree::{Side, Trees};
use super::wasi::{self, Seed};
use crate::shares::FairShare;

/// State shared by all instances of one hook.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) action: String,
    pub(super) hook: String,
    pub(super) event: Arc<Event>,
    pub(super) config: Value,
    /// See [`Run::config_text`].
    pub(super) config_text: OnceLock<String>,
    pub(super) trees: Arc<dyn Trees>,
    pub(super) rights: Arc<Rights>,
    /// The repository's share of the storage calls; see [`Run::storage`].
    pub(super) storage_calls: FairShare,
    pub(super) limits: Limits,
    pub(super) keep_going: bool,
    /// Bytes fetched so far.
    pub(super) read: AtomicU64,
    /// The repository's share, for admission.
    pub(super) share: Arc<Pool>,
    pub(super) waits: Waits,
    /// Remaining budget for the logs of all instances.
    pub(super) log_budget: LogBudget,
    /// Remaining budget for the findings of all instances.
    pub(super) findings_budget: FindingsBudget,
}

/// Why a host call of a guest was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Denied(String),
    OutOfRange,
    /// One call requested too much.
    CallTooLarge(String),
    /// The hook's budget is used up.
    BudgetUsedUp(String),
    Unavailable(String),
    Other(String),
}

impl Refusal {
    /// Returns the cause to report if the guest fails because of this refusal.
    fn cause(&self) -> Option<Cause> {
        match self {
            Self::Denied(_) => Some(Cause::Denied),
            Self::BudgetUsedUp(_) => Some(Cause::LimitRead),
            Self::Unavailable(_) => Some(Cause::Storage),
            Self::NotFound | Self::OutOfRange | Self::CallTooLarge(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::OutOfRange => f.write_str("out of range"),
            Self::Denied(m)
            | Self::CallTooLarge(m)
            | Self::BudgetUsedUp(m)
            | Self::Unavailable(m)
            | Self::Other(m) => f.write_str(m),
        }
    }
}

/// Aborts a task when the waiting future is dropped.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A difference that the hook may see.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) path: String,
    pub(super) before: Option<Arc<Object>>,
    pub(super) after: Option<Arc<Object>>,
}

impl Change {
    fn new(before: Option<Object>, after: Option<Object>) -> Option<Self> {
        let (kind, path) = match (&before, &after) {
            (None, Some(a)) => (ChangeKind::Added, a.path.clone()),
            (Some(_), Some(a)) => (ChangeKind::Changed, a.path.clone()),
            (Some(b), None) => (ChangeKind::Removed, b.path.clone()),
            (None, None) => return None,
        };
        Some(Self {
            kind,
            path,
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        })
    }
}

impl Run {
    /// Returns the config as JSON. Serialized once per run.
    pub(super) fn config_text(&self) -> &str {
        self.config_text.get_or_init(|| self.config.to_string())
    }

    fn may_read(&self, path: &str) -> Result<(), Refusal> {
        if self.rights.may_read(path) {
            return Ok(());
        }
        Err(Refusal::Denied(format!(
            "{path:?} is neither selected nor in capabilities.read of this hook"
        )))
    }

    /// Takes bytes from the budget, before the guest gets them.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Refusal> {
        let within = |spent: u64| {
            spent
                .checked_add(bytes)
                .filter(|n| *n <= self.limits.read_bytes)
        };
        match self
            .read
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::BudgetUsedUp(format!(
                "this hook may read {} in total (limits.read_bytes)",
                size(self.limits.read_bytes)
            ))),
        }
    }

    /// Runs a storage call on the serving threads and waits for it. The timeout [`HOST_CALL`] includes
    /// the wait for a permit.
    ///
    /// A guest's low-priority thread may not be scheduled for a while. If it held a connection or a
    /// lock of the store during that time, all requests would have to wait for it.
    pub(super) async fn storage<T, F>(
        &self,
        call: impl FnOnce(Arc<dyn Trees>) -> F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = catalog::Result<T>> + Send + 'static,
    {
        let (call, permits) = (call(Arc::clone(&self.trees)), self.storage_calls.clone());
        let task = tokio::spawn(async move {
            let _permit = permits.acquire(1).await.ok()?;
            Some(call.await)
        });
        let _abort = AbortOnDrop(task.abort_handle());
        match tokio::time::timeout(HOST_CALL, task).await {
            Ok(Ok(Some(Ok(answer)))) => Ok(answer),
            Ok(Ok(Some(Err(catalog::Error::ObjectNotFound(_))))) => Err(Refusal::NotFound),
            Ok(Ok(Some(Err(e)))) => Err(Refusal::Unavailable(format!("storage failed: {e}"))),
            Ok(Err(e)) => Err(Refusal::Unavailable(format!("storage failed: {e}"))),
            Ok(Ok(None)) | Err(_) => Err(Refusal::Unavailable(format!(
                "storage did not respond within {} s",
                HOST_CALL.as_secs()
            ))),
        }
    }

    pub(super) async fn stat(&self, side: Side, path: String) -> Result<Object, Refusal> {
        self.may_read(&path)?;
        let stat = self.storage(|trees| async move { trees.stat(side, &path).await });
        stat.await?.ok_or(Refusal::NotFound)
    }

    /// Returns one page of stored differences, unfiltered, and the start of the next page.
    pub(super) async fn changes(
        &self,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Rows<Change>, Refusal> {
        let diff = self.storage(|trees| async move { trees.diff(&prefix, &after, limit).await });
        let page = diff.await?;
        let changes = page
            .results
            .into_iter()
            .filter_map(|(b, a)| Change::new(b, a))
            .collect();
        Ok((changes, page.has_more.then_some(page.next_offset)))
    }

    /// Returns the time of the event, which is the current time for guests.
    pub(super) fn time(&self) -> Duration {
        let millis = self.event.time.unix_timestamp_nanos().max(0) / 1_000_000;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// Rows, and the start of the next page if there is one.
type Rows<T> = (Vec<T>, Option<String>);

/// A position in a listing or diff. It holds no rows, because a guest may keep many positions.
#[derive(Debug)]
pub(super) struct Position {
    prefix: String,
    /// Start of the next page; `None` at the end.
    after: Option<String>,
}

impl Position {
    pub(super) fn new(prefix: String, after: Option<String>) -> Result<Self, Refusal> {
        let after = after.unwrap_or_default();
        if prefix.len().max(after.len()) > PATH_BYTES {
            return Err(Refusal::CallTooLarge(format!(
                "a prefix or path must not be longer than {PATH_BYTES} bytes"
            )));
        }
        Ok(Self {
            prefix,
            after: Some(after),
        })
    }

    /// Returns up to `max` readable rows. The result is empty only at the end.
    ///
    /// `page` fetches rows after a path, up to a limit. The limit is `max` for the first page and
    /// [`PAGE`] after a page without readable rows.
    async fn next<T, F>(
        &mut self,
        rights: &Rights,
        max: u32,
        path: fn(&T) -> &str,
        page: impl Fn(String, usize) -> F,
    ) -> Result<Vec<T>, Refusal>
    where
        F: Future<Output = Result<Rows<T>, Refusal>>,
    {
        let max = (max as usize).min(PAGE);
        if max == 0 {
            return Err(Refusal::Other("max must be at least 1".into()));
        }
        let mut limit = max;
        while let Some(after) = self.after.clone() {
            let (mut rows, next) = page(after, limit).await?;
            self.after = next;
            let mut readable = Vec::with_capacity(rows.len());
            for (index, row) in rows.into_iter().enumerate() {
                if rights.may_read(path(&row)) {
                    readable.push(row);
                }
                // Matching globs costs no fuel. The guest may have to stop meanwhile.
                if index % ROWS_PER_YIELD == ROWS_PER_YIELD - 1 {
                    yield_now().await;
                }
            }
            rows = readable;
            if rows.len() > max {
                rows.truncate(max);
                self.after = rows.last().map(|r| path(r).to_owned());
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
            limit = PAGE;
        }
        Ok(Vec::new())
    }
}

/// Lists the objects of a tree.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export what guests hold")]
pub struct Listing {
    pub(super) side: Side,
    pub(super) at: Position,
}

impl Listing {
    pub(super) async fn next(&mut self, run: &Run, max: u32) -> Result<Vec<Object>, Refusal> {
        let (side, prefix) = (self.side, self.at.prefix.clone());
        let page = |after: String, limit| {
            let prefix = prefix.clone();
            async move {
                let walk = |trees: Arc<dyn Trees>| async move {
                    trees.walk(side, &prefix, &after, limit).await
                };
                let page = run.storage(walk).await?;
                Ok((page.results, page.has_more.then_some(page.next_offset)))
            }
        };
        self.at
            .next(&run.rights, max, |o: &Object| &o.path, page)
            .await
    }
}

/// Lists the differences from base to candidate.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export what guests hold")]
pub struct Changes(pub(super) Position);

impl Changes {
    pub(super) async fn next(&mut self, run: &Run, max: u32) -> Result<Vec<Change>, Refusal> {
        let prefix = self.0.prefix.clone();
        let page = |after: String, limit| {
            let prefix = prefix.clone();
            async move { run.changes(prefix, after, limit).await }
        };
        self.0
            .next(&run.rights, max, |c: &Change| &c.path, page)
            .await
    }
}

/// Everything that an instance reported in addition to its verdict.
#[derive(Debug, Default)]
pub(super) struct Submitted {
    pub(super) findings: Findings,
    pub(super) summary: Option<String>,
    pub(super) metrics: BTreeMap<String, (f64, String)>,
}

/// The results of an instance, shared with the caller that waits for it. The caller can read them at
/// the deadline even if the instance cannot be stopped then. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SharedResults {
    submitted: Arc<Mutex<Submitted>>,
    pub(super) log: Log,
    /// Peak memory so far.
    pub(super) peak_memory_bytes: Arc<AtomicU64>,
    pub(super) fuel: Arc<AtomicU64>,
}

impl SharedResults {
    pub(super) fn new(log: Log) -> Self {
        Self {
            submitted: Arc::default(),
            log,
            peak_memory_bytes: Arc::default(),
            fuel: Arc::default(),
        }
    }

    pub(super) fn submitted(&self) -> MutexGuard<'_, Submitted> {
        // A panic while the lock is held can at worst lose the report being written.
        self.submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// State of one instance.
pub(super) struct State {
    pub(super) run: Arc<Run>,
    pub(super) table: ResourceTable,
    pub(super) limiter: Limiter,
    pub(super) left: SharedResults,
    /// Path of the object that an object gate checks.
    pub(super) subject: Option<String>,
    /// Number of open scans.
    pub(super) scans: usize,
    /// The first refusal that explains a later error of the guest.
    pub(super) refused: Option<Cause>,
    /// Whether the guest tried to use files or the network.
    pub(super) tried_outside: bool,
    wasi: WasiCtx,
}

impl State {
    pub(super) fn new(
        run: Arc<Run>,
        seed: &Seed,
        subject: Option<String>,
        left: SharedResults,
    ) -> Self {
        let wasi = wasi::context(seed, run.time(), &left.log);
        let limiter = Limiter::new(run.limits.memory_bytes, left.peak_memory_bytes.clone());
        Self {
            run,
            table: table(),
            limiter,
            left,
            subject,
            scans: 0,
            refused: None,
            tried_outside: false,
            wasi,
        }
    }

    /// Records a refusal as a possible reason for a later error of the guest.
    pub(super) fn record_refusal<T>(&mut self, answer: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &answer {
            self.refused = self.refused.or(refusal.cause());
        }
        answer
    }

    /// Keeps a finding, unless the instance or the hook has reached its limits.
    pub(super) fn submit(&mut self, finding: Finding) -> Result<(), Refusal> {
        let Run {
            limits,
            findings_budget,
            ..
        } = &*self.run;
        let findings = &mut self.left.submitted().findings;
        let kept = findings.add(finding, limits.findings, findings_budget);
        kept.map_err(|why| Refusal::CallTooLarge(why.to_string()))
    }

    pub(super) fn metric(&mut self, name: &str, value: f64, unit: &str) {
        let name = cut(name, NAME_BYTES);
        let metrics = &mut self.left.submitted().metrics;
        if metrics.len() < METRICS || metrics.contains_key(&name) {
            metrics.insert(name, (value, cut(unit, NAME_BYTES)));
        }
    }

    pub(super) fn summary(&mut self, markdown: &str) {
        self.left.submitted().summary = Some(cut(markdown, SUMMARY_BYTES));
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Creates a resource table with a limited number of entries.
pub(super) fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    table
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::super::request::Select;
    use super::*;

    /// Regression test: a page was matched in one piece. With slow globs, the guest kept its admission for
    /// minutes after its deadline.
    #[tokio::test]
    async fn guest_can_stop_while_a_page_is_matched() {
        let select = Select {
            paths: vec!["b*".to_owned()],
            ..Select::default()
        };
        let rights = Rights::new(&select, &[], &[]).unwrap();
        let rows = |_, limit| async move {
            let mut rows = vec!["a".to_owned(); limit - 1];
            rows.push("b".to_owned());
            Ok((rows, None))
        };
        let mut position = Position::new(String::new(), None).unwrap();
        let next = position.next(&rights, 1_000, String::as_str, rows);
        let mut next = std::pin::pin!(next);
        assert!(next.as_mut().now_or_never().is_none());
        assert_eq!(next.await.unwrap(), ["b"]);
    }
}
