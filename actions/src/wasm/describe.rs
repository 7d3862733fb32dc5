//! Descriptions of components: the state of an instance that describes itself, and the parser.

use std::time::Duration;

use serde_json::Value;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::{DESCRIBE_MEMORY, Limiter};
use super::report::{Cause, Failure};
use super::session::{self, SharedResults};
use super::wasi::{self, Seed};

/// Parses a component's description.
pub(super) fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|e| {
        Failure::new(
            Cause::HookError,
            format!("describe returned invalid JSON: {e}"),
        )
    })
}

/// Returns a list of strings from a description, or an empty list if it is missing.
pub(super) fn texts(description: &Value, pointer: &str) -> Vec<String> {
    let items = description.pointer(pointer).and_then(Value::as_array);
    let texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// State of an instance whose `describe` is called. It has no hook and no event.
pub(super) struct Describing {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limiter: Limiter,
}

impl Describing {
    pub(super) fn new(seed: &Seed, left: &SharedResults) -> Self {
        let wasi = wasi::context(seed, Duration::ZERO, &left.log);
        let limiter = Limiter::new(DESCRIBE_MEMORY, left.peak_memory_bytes.clone());
        Self {
            wasi,
            table: session::table(),
            limiter,
        }
    }
}

impl WasiView for Describing {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
