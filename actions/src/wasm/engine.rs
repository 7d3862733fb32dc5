//! The engines: what is configured alike for compiling and for running.
//!
//! Two lanes. Almost every component is [`Lane::Plain`]: fuel interrupts it, because every loop and
//! call of it costs fuel. In a [`Lane::Composed`] component, components nested in it pass values to
//! each other; the engine copies and converts these without charging fuel, so such a component is
//! compiled with epoch checks as well, which cost up to 70 % (docs/decisions/0012-guest-threads.md).

use wasmtime::{Config, Engine, PoolingAllocationConfig, WasmFeatures};

use super::limits::{
    CORE_INSTANCES_EACH, INSTANCES, KEEP_RESIDENT, MEMORIES_EACH, TABLE_ELEMENTS, TABLES_EACH,
};

/// How a component is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// By fuel.
    Plain,
    /// By fuel and epochs.
    Composed,
}

/// One engine for each lane.
#[derive(Clone)]
pub(super) struct Engines {
    plain: Engine,
    composed: Engine,
    pooled: bool,
}

impl Engines {
    /// The engines of a server. A pool of instances reserves address space, which some machines
    /// refuse; then instances are allocated on demand.
    pub(super) fn new() -> Result<Self, String> {
        match Self::with_pool(true) {
            Ok(engines) => Ok(engines),
            Err(e) => {
                tracing::warn!(error = %e, "no room for a pool of hook instances: allocating on demand, which is slower");
                Self::with_pool(false)
            }
        }
    }

    /// With instances of plain components from a pool or not. Composed ones are rare and never pooled.
    pub(super) fn with_pool(pooled: bool) -> Result<Self, String> {
        Ok(Self {
            plain: Lane::Plain.engine(pooled)?,
            composed: Lane::Composed.engine(false)?,
            pooled,
        })
    }

    pub(super) fn of(&self, lane: Lane) -> &Engine {
        match lane {
            Lane::Plain => &self.plain,
            Lane::Composed => &self.composed,
        }
    }

    pub(super) fn pooled(&self) -> bool {
        self.pooled
    }
}

impl Lane {
    /// An engine of this lane. What one compiles, every other one of the lane runs, pooled or not.
    pub(super) fn engine(self, pooled: bool) -> Result<Engine, String> {
        let mut config = Config::new();
        config
            .wasm_features(!features(), false)
            .wasm_features(features(), true)
            // Halves the cost of a host call; only hooks for WASI 0.3 would need it.
            .concurrency_support(false)
            .consume_fuel(true)
            .epoch_interruption(self == Self::Composed)
            // The same answer on every machine.
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
        Engine::new(&config).map_err(|e| format!("failed to set up the engine for hooks: {e:#}"))
    }
}

/// What hooks may use of WebAssembly: what toolchains emit for `wasm32-wasip2`.
///
/// Not: memories of 64 bits (that move when they grow, which copies them), threads, garbage
/// collection, exceptions, stack switching, and what the component model has beyond WASI 0.2.
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

    /// A child process compiles without a pool, and the server runs the code in one.
    #[test]
    fn what_is_compiled_without_a_pool_runs_in_one() {
        let (with, without) = (
            Lane::Plain.engine(true).unwrap(),
            Lane::Plain.engine(false).unwrap(),
        );
        let code = without.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
        assert!(super::super::artifact::load(&with, &code).is_ok());
    }
}
