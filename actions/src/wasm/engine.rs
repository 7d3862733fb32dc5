//! The Wasm engines. Compiling and running must use the same configuration.
//!
//! Almost every component is interrupted by fuel alone, because all its loops and calls consume fuel.
//! A composed component contains nested components that pass values to each other. The engine copies
//! and converts these values without charging fuel, so such a component is compiled with epoch checks
//! as well, which cost up to 70 % (docs/decisions/0012-guest-threads.md).

use wasmtime::{Config, Engine, PoolingAllocationConfig, WasmFeatures};

use super::limits::{
    CORE_INSTANCES_EACH, INSTANCES, KEEP_RESIDENT, MEMORIES_EACH, TABLE_ELEMENTS, TABLES_EACH,
};
use crate::error::SetupError;

/// How the code of a component is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// By fuel.
    Fuel,
    /// By fuel and epochs.
    FuelAndEpochs,
}

/// One engine per kind of interruption.
#[derive(Clone)]
pub(super) struct Engines {
    fuel: Engine,
    fuel_and_epochs: Engine,
    pooled: bool,
}

impl Engines {
    /// Creates the engines of a server. Pooled instances reserve address space, which some machines
    /// do not provide; in that case, instances are allocated on demand.
    pub(super) fn new() -> Result<Self, SetupError> {
        match Self::with_pool(true) {
            Ok(engines) => Ok(engines),
            Err(e) => {
                tracing::warn!(error = %e, "failed to reserve a pool of hook instances: allocating them on demand, which is slower");
                Self::with_pool(false)
            }
        }
    }

    /// Creates the engines. With `pooled`, instances of components that are interrupted by fuel alone are
    /// pooled. Composed components are rare and never pooled.
    pub(super) fn with_pool(pooled: bool) -> Result<Self, SetupError> {
        Ok(Self {
            fuel: Interruption::Fuel.engine(pooled)?,
            fuel_and_epochs: Interruption::FuelAndEpochs.engine(false)?,
            pooled,
        })
    }

    pub(super) fn of(&self, interruption: Interruption) -> &Engine {
        match interruption {
            Interruption::Fuel => &self.fuel,
            Interruption::FuelAndEpochs => &self.fuel_and_epochs,
        }
    }

    pub(super) fn pooled(&self) -> bool {
        self.pooled
    }
}

impl Interruption {
    /// Creates an engine with this kind of interruption. Its code runs in every other such engine,
    /// pooled or not.
    pub(super) fn engine(self, pooled: bool) -> Result<Engine, SetupError> {
        let mut config = Config::new();
        config
            .wasm_features(!features(), false)
            .wasm_features(features(), true)
            // Disabling this halves the cost of a host call. Only hooks for WASI 0.3 would need it.
            .concurrency_support(false)
            .consume_fuel(true)
            .epoch_interruption(self == Self::FuelAndEpochs)
            // Makes results identical on every machine.
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true);
        if pooled {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_component_instances(INSTANCES)
                .total_stacks(INSTANCES)
                .total_core_instances(INSTANCES * CORE_INSTANCES_EACH)
                .total_tables(INSTANCES * TABLES_EACH)
                .total_memories(INSTANCES * MEMORIES_EACH)
                .max_core_instances_per_component(CORE_INSTANCES_EACH)
                .max_tables_per_component(TABLES_EACH)
                .max_memories_per_component(MEMORIES_EACH)
                .table_elements(TABLE_ELEMENTS)
                .linear_memory_keep_resident(KEEP_RESIDENT)
                .async_stack_keep_resident(64 << 10);
            config.allocation_strategy(pool);
        }
        Engine::new(&config).map_err(SetupError::Engine)
    }
}

/// WebAssembly features available to hooks: those that toolchains emit for `wasm32-wasip2`.
///
/// Excluded are 64-bit memories (they move when they grow, which copies them), threads, garbage
/// collection, exceptions, stack switching, and component model features beyond WASI 0.2.
pub(super) fn features() -> WasmFeatures {
    (WasmFeatures::WASM2
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL)
        .difference(WasmFeatures::GC_TYPES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The child process compiles without a pool; the server runs the code with one.
    #[test]
    fn code_compiled_without_a_pool_runs_in_a_pooled_engine() {
        let (with, without) = (
            Interruption::Fuel.engine(true).unwrap(),
            Interruption::Fuel.engine(false).unwrap(),
        );
        let code = without.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
        assert!(super::super::artifact::load(&with, &code).is_ok());
    }
}
