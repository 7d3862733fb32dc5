//! `weir:hooks@0.1`: the bindings, the host functions, which call [`State`], and the calls to a
//! component ([`Guest`]).
//!
//! This file only converts types. No other file names the generated types. A later version of the
//! package gets a similar file that uses the same `session` and `guest`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::Object;
use graveler::Finding;
use wasmtime::component::{Component, HasSelf, Linker, Resource};
use wasmtime::{Engine, Store};

use super::capability::ChangeKind;
use super::check::World;
use super::describe::Describing;
use super::findings::set_property;
use super::guest::{Answer, Guest};
use super::limits::{HANDLES, NAME_BYTES, READ_BYTES, SCANS, TEXT_BYTES, cut};
use super::outside;
use super::reads::{self, Chunks};
use super::report::{Cause, Failure};
use super::session::{self, Changes, Listing, Position, Refusal, State};
use super::tree::Side;

/// The world `hook`: the imports of every hook, and `describe`.
mod hook {
    wasmtime::component::bindgen!({
        path: "../wit/since-v0.1.0",
        world: "hook",
        imports: { "weir:hooks/tree": async | trappable, default: trappable },
        exports: { default: async },
        with: {
            "weir:hooks/tree.chunks": crate::wasm::reads::Chunks,
            "weir:hooks/tree.object": crate::wasm::v0_1::ObjectHandle,
            "weir:hooks/tree.listing": crate::wasm::session::Listing,
            "weir:hooks/tree.changes": crate::wasm::session::Changes,
            "weir:hooks/tree.snapshot": crate::wasm::tree::Side,
            "weir:hooks/report.finding": graveler::Finding,
        },
    });
}

/// The world `gate`.
mod gate {
    wasmtime::component::bindgen!({
        path: "../wit/since-v0.1.0",
        world: "gate",
        exports: { default: async },
        with: {
            "weir:hooks/event": super::hook::weir::hooks::event,
            "weir:hooks/tree": super::hook::weir::hooks::tree,
            "weir:hooks/report": super::hook::weir::hooks::report,
            "weir:hooks/log": super::hook::weir::hooks::log,
            "weir:hooks/config": super::hook::weir::hooks::config,
        },
    });
}

/// The world `object-gate`.
mod object_gate {
    wasmtime::component::bindgen!({
        path: "../wit/since-v0.1.0",
        world: "object-gate",
        exports: { default: async },
        with: {
            "weir:hooks/event": super::hook::weir::hooks::event,
            "weir:hooks/tree": super::hook::weir::hooks::tree,
            "weir:hooks/report": super::hook::weir::hooks::report,
            "weir:hooks/log": super::hook::weir::hooks::log,
            "weir:hooks/config": super::hook::weir::hooks::config,
            "weir:hooks/answer": super::gate::weir::hooks::answer,
        },
    });
}

use gate::GatePre;
use gate::weir::hooks::answer::Verdict;
use hook::HookPre;
use hook::weir::hooks::{config, event, log, report, tree};
use object_gate::ObjectGatePre;

/// An object to which a guest holds a handle.
#[expect(unreachable_pub, reason = "the bindings re-export what guests hold")]
pub type ObjectHandle = Arc<Object>;

type Reply<T> = wasmtime::Result<Result<T, tree::TreeError>>;

/// The linkers for components of one engine.
pub(super) struct Linkers {
    hook: Linker<State>,
    /// For calling `describe`.
    describe: Linker<Describing>,
}

impl Linkers {
    /// Links the host functions of the package, and WASI.
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut hook = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut hook)?;
        outside::link(&mut hook)?;
        hook::Hook::add_to_linker::<_, HasSelf<State>>(&mut hook, |state| state)?;
        let mut describe = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut describe)?;
        Ok(Self { hook, describe })
    }

    /// Links a compiled component.
    ///
    /// # Errors
    /// If its imports or exports do not match this version of the package.
    pub(super) fn link(
        &self,
        compiled: &Component,
        world: World,
    ) -> wasmtime::Result<Box<dyn Guest>> {
        let mut describe = self.describe.clone();
        describe.define_unknown_imports_as_traps(compiled)?;
        let describe = HookPre::new(describe.instantiate_pre(compiled)?)?;
        let pre = self.hook.instantiate_pre(compiled)?;
        let callable = match world {
            World::Gate => Callable::Gate(GatePre::new(pre)?),
            World::ObjectGate => Callable::ObjectGate(ObjectGatePre::new(pre)?),
        };
        Ok(Box::new(Linked { callable, describe }))
    }
}

/// A component with its linked imports.
struct Linked {
    callable: Callable,
    /// Linked with imports that trap.
    describe: HookPre<Describing>,
}

enum Callable {
    Gate(GatePre<State>),
    ObjectGate(ObjectGatePre<State>),
}

#[async_trait]
impl Guest for Linked {
    fn world(&self) -> World {
        match self.callable {
            Callable::Gate(_) => World::Gate,
            Callable::ObjectGate(_) => World::ObjectGate,
        }
    }

    async fn check(
        &self,
        store: &mut Store<State>,
        subject: Option<&session::Change>,
    ) -> wasmtime::Result<Result<Answer, String>> {
        let verdict = match &self.callable {
            Callable::Gate(pre) => {
                let gate = pre.instantiate_async(&mut *store).await?;
                gate.weir_hooks_gate_api().call_check(store).await?
            }
            Callable::ObjectGate(pre) => {
                let gate = pre.instantiate_async(&mut *store).await?;
                let subject = subject.expect("an object gate is called for a change");
                let content = match &subject.after {
                    Some(object) => Some(store.data_mut().hold(object.clone())?),
                    None => None,
                };
                gate.weir_hooks_object_gate_api()
                    .call_check_object(store, &change(subject), content)
                    .await?
            }
        };
        Ok(verdict.map(answer))
    }

    async fn describe(&self, store: &mut Store<Describing>) -> wasmtime::Result<String> {
        let hook = self.describe.instantiate_async(&mut *store).await?;
        hook.weir_hooks_describe_api().call_describe(store).await
    }
}

fn answer(verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Pass => Answer::Pass,
        Verdict::Fail => Answer::Fail,
        Verdict::Skip => Answer::Skip,
    }
}

/// Converts a change to the record that guests receive.
fn change(change: &session::Change) -> tree::Change {
    let kind = match change.kind {
        ChangeKind::Added => tree::ChangeKind::Added,
        ChangeKind::Changed => tree::ChangeKind::Changed,
        ChangeKind::Removed => tree::ChangeKind::Removed,
    };
    let side = |object: &Option<Arc<Object>>| object.as_deref().map(entry);
    tree::Change {
        kind,
        path: change.path.clone(),
        before: side(&change.before),
        after: side(&change.after),
    }
}

fn entry(object: &Object) -> tree::Entry {
    tree::Entry {
        path: object.path.clone(),
        size: reads::size_of(object),
        content_id: hex::encode(&object.identity),
    }
}

fn error(refusal: Refusal) -> tree::TreeError {
    match refusal {
        Refusal::NotFound => tree::TreeError::NotFound,
        Refusal::Denied(m) => tree::TreeError::Denied(m),
        Refusal::OutOfRange => tree::TreeError::OutOfRange,
        Refusal::CallTooLarge(m) | Refusal::BudgetUsedUp(m) => tree::TreeError::Budget(m),
        Refusal::Unavailable(m) => tree::TreeError::Unavailable(m),
        Refusal::Other(m) => tree::TreeError::Other(m),
    }
}

fn millis(time: base::OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

impl State {
    fn answer<T>(&mut self, answer: Result<T, Refusal>) -> Result<T, tree::TreeError> {
        self.record_refusal(answer).map_err(error)
    }

    /// Creates a handle for the guest. Traps if the guest holds too many.
    fn hold<T: Send + 'static>(&mut self, item: T) -> wasmtime::Result<Resource<T>> {
        self.table.push(item).map_err(|_| {
            let message =
                format!("hook holds more than {HANDLES} objects, listings or findings at once");
            Failure::new(Cause::Trap, message).into()
        })
    }

    fn snapshot(&mut self, side: Side) -> wasmtime::Result<Option<Resource<Side>>> {
        match self.run.trees.tree_id(side) {
            Some(_) => Ok(Some(self.hold(side)?)),
            None => Ok(None),
        }
    }
}

impl event::Host for State {
    fn kind(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.event.kind().as_str().to_owned())
    }
    fn run_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.event.run_id.clone())
    }
    fn action(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.action.clone())
    }
    fn hook(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.hook.clone())
    }
    fn repository(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.event.repository.id.to_string())
    }
    fn branch(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.run.event.branch().map(ToString::to_string))
    }
    fn tag(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.run.event.tag().map(ToString::to_string))
    }
    fn merge_source(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.run.event.merge_source().map(str::to_owned))
    }
    fn actor(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.event.actor.clone())
    }
    fn time_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(millis(self.run.event.time))
    }
    fn commit_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.run.event.commit_id().map(ToString::to_string))
    }
    fn commit_message(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.run.event.commit().map(|c| c.message.clone()))
    }
    fn commit_metadata(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self
            .run
            .event
            .commit()
            .into_iter()
            .flat_map(|c| c.metadata.clone())
            .collect())
    }
    fn parents(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self
            .run
            .event
            .commit()
            .into_iter()
            .flat_map(|c| &c.parents)
            .map(ToString::to_string)
            .collect())
    }
}

impl tree::Host for State {
    async fn candidate(&mut self) -> wasmtime::Result<Option<Resource<Side>>> {
        self.snapshot(Side::Candidate)
    }
    async fn base(&mut self) -> wasmtime::Result<Option<Resource<Side>>> {
        self.snapshot(Side::Base)
    }
    async fn source(&mut self) -> wasmtime::Result<Option<Resource<Side>>> {
        self.snapshot(Side::Source)
    }
    async fn diff(&mut self, prefix: String, after: Option<String>) -> Reply<Resource<Changes>> {
        match self.answer(Position::new(prefix, after)) {
            Ok(at) => Ok(Ok(self.hold(Changes(at))?)),
            Err(e) => Ok(Err(e)),
        }
    }
    async fn max_read(&mut self) -> wasmtime::Result<u32> {
        Ok(READ_BYTES)
    }
}

impl tree::HostSnapshot for State {
    async fn tree_id(&mut self, this: Resource<Side>) -> wasmtime::Result<String> {
        let side = *self.table.get(&this)?;
        Ok(self.run.trees.tree_id(side).unwrap_or_default())
    }
    async fn stat(&mut self, this: Resource<Side>, path: String) -> Reply<tree::Entry> {
        let (side, run) = (*self.table.get(&this)?, self.run.clone());
        let answer = run.stat(side, path).await;
        Ok(self.answer(answer).map(|o| entry(&o)))
    }
    async fn open(&mut self, this: Resource<Side>, path: String) -> Reply<Resource<ObjectHandle>> {
        let (side, run) = (*self.table.get(&this)?, self.run.clone());
        let answer = run.stat(side, path).await;
        match self.answer(answer) {
            Ok(object) => Ok(Ok(self.hold(Arc::new(object))?)),
            Err(e) => Ok(Err(e)),
        }
    }
    async fn walk(
        &mut self,
        this: Resource<Side>,
        prefix: String,
        after: Option<String>,
    ) -> Reply<Resource<Listing>> {
        let side = *self.table.get(&this)?;
        match self.answer(Position::new(prefix, after)) {
            Ok(at) => Ok(Ok(self.hold(Listing { side, at })?)),
            Err(e) => Ok(Err(e)),
        }
    }
    async fn drop(&mut self, this: Resource<Side>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl tree::HostListing for State {
    async fn next(&mut self, this: Resource<Listing>, max: u32) -> Reply<Vec<tree::Entry>> {
        let run = self.run.clone();
        let answer = self.table.get_mut(&this)?.next(&run, max).await;
        Ok(self
            .answer(answer)
            .map(|rows| rows.iter().map(entry).collect()))
    }
    async fn drop(&mut self, this: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl tree::HostChanges for State {
    async fn next(&mut self, this: Resource<Changes>, max: u32) -> Reply<Vec<tree::Change>> {
        let run = self.run.clone();
        let answer = self.table.get_mut(&this)?.next(&run, max).await;
        Ok(self
            .answer(answer)
            .map(|rows| rows.iter().map(change).collect()))
    }
    async fn drop(&mut self, this: Resource<Changes>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl tree::HostObject for State {
    async fn entry(&mut self, this: Resource<ObjectHandle>) -> wasmtime::Result<tree::Entry> {
        Ok(entry(self.table.get(&this)?))
    }
    async fn modified_ms(&mut self, this: Resource<ObjectHandle>) -> wasmtime::Result<u64> {
        Ok(millis(self.table.get(&this)?.entry.last_modified))
    }
    async fn content_type(
        &mut self,
        this: Resource<ObjectHandle>,
    ) -> wasmtime::Result<Option<String>> {
        let content_type = &self.table.get(&this)?.entry.content_type;
        Ok(Some(content_type.clone()).filter(|t| !t.is_empty()))
    }
    async fn metadata(
        &mut self,
        this: Resource<ObjectHandle>,
    ) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self
            .table
            .get(&this)?
            .entry
            .metadata
            .clone()
            .into_iter()
            .collect())
    }
    async fn read(&mut self, this: Resource<ObjectHandle>, at: tree::Span) -> Reply<Vec<u8>> {
        let (object, run) = (self.table.get(&this)?.clone(), self.run.clone());
        let answer = reads::read(&run, &object, at.offset, at.length).await;
        Ok(self.answer(answer).map(Vec::from))
    }
    async fn read_many(
        &mut self,
        this: Resource<ObjectHandle>,
        at: Vec<tree::Span>,
    ) -> Reply<Vec<Vec<u8>>> {
        let (object, run) = (self.table.get(&this)?.clone(), self.run.clone());
        let spans: Vec<_> = at.iter().map(|s| (s.offset, s.length)).collect();
        let answer = reads::read_many(&run, &object, &spans).await;
        Ok(self
            .answer(answer)
            .map(|parts| parts.into_iter().map(Vec::from).collect()))
    }
    async fn read_tail(&mut self, this: Resource<ObjectHandle>, length: u32) -> Reply<Vec<u8>> {
        let (object, run) = (self.table.get(&this)?.clone(), self.run.clone());
        let answer = reads::read_tail(&run, &object, length).await;
        Ok(self.answer(answer).map(Vec::from))
    }
    async fn scan(
        &mut self,
        this: Resource<ObjectHandle>,
        from_offset: u64,
    ) -> Reply<Resource<Chunks>> {
        let object = self.table.get(&this)?.clone();
        let chunks = if self.scans < SCANS {
            Chunks::new(object, from_offset)
        } else {
            Err(Refusal::CallTooLarge(format!(
                "a hook may have {SCANS} scans under way at once"
            )))
        };
        match self.answer(chunks) {
            Ok(chunks) => {
                self.scans += 1;
                Ok(Ok(self.hold(chunks)?))
            }
            Err(e) => Ok(Err(e)),
        }
    }
    async fn drop(&mut self, this: Resource<ObjectHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl tree::HostChunks for State {
    async fn next(&mut self, this: Resource<Chunks>, max: u32) -> Reply<Option<Vec<u8>>> {
        let run = self.run.clone();
        let answer = self.table.get_mut(&this)?.next(&run, max).await;
        Ok(self.answer(answer).map(|bytes| bytes.map(Vec::from)))
    }
    async fn drop(&mut self, this: Resource<Chunks>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.scans -= 1;
        Ok(())
    }
}

impl report::Host for State {
    fn submit(&mut self, item: Resource<Finding>) -> wasmtime::Result<Result<(), String>> {
        let finding = self.table.delete(item)?;
        Ok(State::submit(self, finding).map_err(|refusal| refusal.to_string()))
    }
    fn metric(&mut self, name: String, value: f64, unit: String) -> wasmtime::Result<()> {
        State::metric(self, &name, value, &unit);
        Ok(())
    }
    fn progress(&mut self, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        tracing::debug!(hook = self.run.hook, done, total, "hook reports progress");
        Ok(())
    }
    fn summary(&mut self, markdown: String) -> wasmtime::Result<()> {
        State::summary(self, &markdown);
        Ok(())
    }
}

impl State {
    fn set(&mut self, this: &Resource<Finding>, name: &str, value: &str) -> wasmtime::Result<()> {
        set_property(self.table.get_mut(this)?, name, value);
        Ok(())
    }
}

impl report::HostFinding for State {
    fn new(
        &mut self,
        level: report::Severity,
        rule: String,
        message: String,
    ) -> wasmtime::Result<Resource<Finding>> {
        let severity = match level {
            report::Severity::Info => "info",
            report::Severity::Warning => "warning",
            report::Severity::Error => "error",
        };
        let finding = Finding {
            action: self.run.action.clone(),
            hook: self.run.hook.clone(),
            severity: severity.to_owned(),
            rule: cut(&rule, NAME_BYTES),
            message: cut(&message, TEXT_BYTES),
            path: self.subject.clone(),
            properties: BTreeMap::new(),
        };
        self.hold(finding)
    }
    fn at_path(&mut self, this: Resource<Finding>, path: String) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.path = Some(cut(&path, TEXT_BYTES));
        Ok(())
    }
    fn at_bytes(
        &mut self,
        this: Resource<Finding>,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<()> {
        self.set(&this, "offset", &offset.to_string())?;
        self.set(&this, "length", &length.to_string())
    }
    fn at_row(
        &mut self,
        this: Resource<Finding>,
        row: u64,
        column: Option<String>,
    ) -> wasmtime::Result<()> {
        // Guests count rows from 0, findings from 1, like a spreadsheet.
        self.set(&this, "row", &row.saturating_add(1).to_string())?;
        column.map_or(Ok(()), |c| self.set(&this, "column", &c))
    }
    fn at_column(&mut self, this: Resource<Finding>, column: String) -> wasmtime::Result<()> {
        self.set(&this, "column", &column)
    }
    fn property(
        &mut self,
        this: Resource<Finding>,
        name: String,
        value: String,
    ) -> wasmtime::Result<()> {
        self.set(&this, &name, &value)
    }
    fn drop(&mut self, this: Resource<Finding>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl log::Host for State {
    fn write(
        &mut self,
        at: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match at {
            log::Level::Trace => "TRACE",
            log::Level::Debug => "DEBUG",
            log::Level::Info => "INFO",
            log::Level::Warn => "WARN",
            log::Level::Error => "ERROR",
        };
        Ok(self.left.log.write_line(level, &message, &fields)?)
    }
}

impl config::Host for State {
    fn all(&mut self) -> wasmtime::Result<String> {
        Ok(self.run.config_text().to_owned())
    }
    fn get(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        Ok(self.run.config.pointer(&pointer).map(ToString::to_string))
    }
}
