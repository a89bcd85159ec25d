//! The engine: every setting of wasmtime, each with its reason.
//!
//! There are two engines and one set of settings. The *compiler engine* runs in a process of its own, reads hostile
//! bytes and writes machine code. The *worker engine* has no compiler in use: it maps that machine code and runs it.
//! wasmtime compares the two when an artifact is loaded, so whatever decides how code is generated is set in
//! [`config`] for both, and what only matters at run time is set for workers alone.
//!
//! This file knows nothing of modules, tasks or processes.

use std::num::NonZeroUsize;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::channel::control::{CodeKind, InstanceLimits};

/// Memories that one module may define.
pub(crate) const MEMORIES_PER_MODULE_MAX: u32 = 8;
/// Tables that one module may define.
pub(crate) const TABLES_PER_MODULE_MAX: u32 = 8;
/// Elements that a table may hold, when it is made and after any growth.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1_000_000;
/// Bytes of a page of linear memory.
pub(crate) const WASM_PAGE_BYTES: u64 = 64 * 1024;
/// Bytes that a 32-bit linear memory can have at most; also what the engine reserves for each.
pub(crate) const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Instances alive at a time: the running call's, and one driver for each task in use.
pub(crate) const INSTANCES_TOTAL: u32 = 16;
/// Memories alive at a time: one module may take [`MEMORIES_PER_MODULE_MAX`], most take one, drivers take none.
const MEMORIES_TOTAL: u32 = 32;
/// Tables alive at a time. Unlike memories they are mapped writable from the start, hence the smaller number.
const TABLES_TOTAL: u32 = 16;
/// Bytes of an instance's own state: imports, functions, globals. Allocated as needed, this is only the limit.
const INSTANCE_BYTES_MAX: usize = 64 << 20;
/// The most that is zeroed by hand rather than given back to the kernel between two fresh instances.
const KEEP_RESIDENT_BYTES_MAX: usize = 2 << 20;
/// The same for each table.
const TABLE_KEEP_RESIDENT_BYTES: usize = 128 << 10;
/// Guest frames in the backtrace of a trap.
const BACKTRACE_FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(20).expect("20 is not zero");

/// Raised by hand when a setting in [`config`] changes in a way that machine code depends on.
const SETTINGS_VERSION: u32 = 1;
/// The engine's own version: a patch release may mend the code generator, so older artifacts must not survive it.
///
/// A test compares it with `Cargo.lock`.
const WASMTIME_VERSION: &str = "48.0.8";

/// What a worker's engine is sized for; fixed when the worker is born.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerLimits {
    /// What instances may have.
    ///
    /// The limit on memory bounds each linear memory by itself, rounded up to whole pages. The bound on all memories and
    /// tables of an instance together is the store's limiter's business.
    pub instance: InstanceLimits,
    /// How the code was made that is to run.
    pub code: CodeKind,
    /// Bytes at the start of a memory that stay mapped between two instances: the module's initial memory.
    ///
    /// Zeroing them costs less than faulting them in again. Capped at 2 MiB, beyond which it costs more.
    pub keep_resident_bytes: usize,
}

/// The engine that compiles. It must only be used in the compiler process.
///
/// # Errors
///
/// When this machine cannot run wasmtime's code generator.
pub(crate) fn compiler_engine(code: CodeKind) -> wasmtime::Result<Engine> {
    Engine::new(&config(Role::Compiler, code))
}

/// The engine that runs what [`compiler_engine`] compiled, in a worker.
///
/// # Errors
///
/// When the address space for the pool of instances cannot be reserved.
pub(crate) fn worker_engine(limits: &WorkerLimits) -> wasmtime::Result<Engine> {
    Engine::new(&config(Role::Worker(limits), limits.code))
}

/// Everything outside a module's bytes that its machine code depends on, as text for a cache key.
///
/// It is made without an engine, because the supervisor asks for it, and making an engine installs signal handlers.
pub(crate) fn settings_key(code: CodeKind) -> String {
    let CodeKind { counts_fuel, has_canonical_nans } = code;
    format!(
        "wasmtime {WASMTIME_VERSION}; settings {SETTINGS_VERSION}; drivers {}; fuel {counts_fuel}; canonical NaNs \
         {has_canonical_nans}; {} {}; {}",
        super::driver::VERSION,
        std::env::consts::ARCH,
        std::env::consts::OS,
        host_features().join(" "),
    )
}

enum Role<'a> {
    Compiler,
    Worker(&'a WorkerLimits),
}

/// Every setting there is. Settings that equal wasmtime's default are written down where something relies on them.
fn config(role: Role<'_>, code: CodeKind) -> Config {
    let mut config = Config::new();

    // What modules may contain. Each proposal is code in the compiler and the runtime that hostile bytes can reach,
    // so only what compilers of ordinary languages emit is on.
    config.wasm_simd(true);
    config.wasm_bulk_memory(true);
    config.wasm_multi_value(true);
    config.wasm_multi_memory(true);
    config.wasm_tail_call(true);
    config.wasm_extended_const(true);
    // For atomic instructions on arrays shared between workers. Memories of the `shared` kind stay refused.
    config.wasm_threads(true);
    config.shared_memory(false);
    // Use-after-free and type confusion in the collector are wasmtime's second most frequent class of escape.
    // Exceptions need the collector and go with it. (It is not built either, unless the program that links this
    // library asks wasmtime for it.)
    config.gc_support(false);
    config.wasm_gc(false);
    // Its results differ between processors: one input would give two answers in one pool.
    config.wasm_relaxed_simd(false);
    // The driver, the region layout and the 4 GiB reservations are made for 32-bit addresses.
    config.wasm_memory64(false);
    config.wasm_component_model(false);
    // Stores would carry the state of concurrent component calls through every call.
    config.concurrency_support(false);

    // What code does beside its own work. Deadlines are the supervisor's: it stops the process, which also ends a
    // stuck host call and a long bulk operation, so that guest code pays for neither checks nor counters. Fuel is for
    // those who want a call to end at the same instruction each time, and doubles the time of tight loops.
    config.epoch_interruption(false);
    config.consume_fuel(code.counts_fuel);
    // Bounds checks are guard pages: a reservation of 4 GiB that a 32-bit address cannot leave, and 32 MiB behind it
    // for the constant offsets of instructions. Compiler and runtime must agree about both.
    config.signals_based_traps(true);
    config.memory_reservation(MEMORY_BYTES_MAX);
    config.memory_guard_size(32 << 20);
    config.guard_before_linear_memory(true);
    // The base address becomes a constant of the instance. Mapping regions over guest memory depends on it too.
    config.memory_may_move(false);
    // A fresh instance starts from the artifact's own pages instead of a copy of every data segment.
    config.memory_init_cow(true);
    config.table_lazy_init(true);

    // What a trap tells: function names and offsets. Parsing a hostile module's DWARF is not worth line numbers.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES_MAX));
    // For foreign unwinders only, of which there are none; wasmtime walks frame pointers.
    config.native_unwind_info(false);
    // For profilers only, and a sixth of an artifact.
    config.debug_symbols(false);

    match role {
        Role::Compiler => {
            config.strategy(Strategy::Cranelift);
            config.cranelift_opt_level(OptLevel::Speed);
            // What it does to an instruction's result shows in no artifact; the settings' key keeps the two apart.
            config.cranelift_nan_canonicalization(code.has_canonical_nans);
        }
        Role::Worker(limits) => {
            config.enable_compiler(false);
            // Deep recursion is common in interpreters and parsers; the engine's default of 512 KiB is little for them.
            // The thread's own stack has room for more, see `process::stack`.
            let stack_bytes = limits.instance.stack_bytes as usize;
            config.max_wasm_stack(stack_bytes);
            // No such stack is ever made, but the engine insists that the other one fits into it.
            config.async_stack_size(stack_bytes);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        }
    }
    config
}

/// The pool of instances: room for one call at a time, for kept instances and for drivers.
fn pool(limits: &WorkerLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // An instance for each call that may run on top of another, with one memory and one table, as most modules have; one
    // that has more has fewer levels.
    let nested = limits.instance.nested_calls;
    pool.total_core_instances(INSTANCES_TOTAL.saturating_mul(1 + nested));
    pool.max_core_instance_size(INSTANCE_BYTES_MAX);
    pool.total_memories(MEMORIES_TOTAL + nested);
    pool.max_memories_per_module(MEMORIES_PER_MODULE_MAX);
    pool.max_memory_size(memory_bytes(limits.instance.memory_bytes));
    pool.total_tables(TABLES_TOTAL + nested);
    pool.max_tables_per_module(TABLES_PER_MODULE_MAX);
    pool.table_elements(TABLE_ELEMENTS_MAX);
    pool.linear_memory_keep_resident(limits.keep_resident_bytes.min(KEEP_RESIDENT_BYTES_MAX));
    pool.table_keep_resident(TABLE_KEEP_RESIDENT_BYTES);
    // A slot that another module used is taken again before a new one is touched, so that a worker stays small.
    pool.max_unused_warm_slots(0);
    // Each memory is reset when its instance goes; batching would let a former call's pages live on.
    pool.decommit_batch_size(1);
    // 48.x can leak pages that were swapped out from one instance to the next.
    pool.pagemap_scan(Enabled::No);
    // Calls are synchronous, on the thread's own stack. The default would map 2 GiB of stacks at the start.
    pool.total_stacks(0);
    pool.total_component_instances(0);
    pool
}

/// A memory limit as the pool takes it: whole pages, never none, never beyond the reservation.
fn memory_bytes(limit: u64) -> usize {
    let pages = limit.div_ceil(WASM_PAGE_BYTES);
    let bytes = pages.saturating_mul(WASM_PAGE_BYTES).clamp(WASM_PAGE_BYTES, MEMORY_BYTES_MAX);
    usize::try_from(bytes).expect("4 GiB fit into a 64-bit usize")
}

/// The processor's features that the code generator may use, as wasmtime's loader tests for them.
#[cfg(target_arch = "x86_64")]
fn host_features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($feature:tt)*) => {
            [$(($feature, std::is_x86_feature_detected!($feature))),*]
        };
    }
    let features = detected![
        "cmpxchg16b" "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "avxvnni" "bmi1" "bmi2"
        "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "avx512vnni" "lzcnt"
    ];
    features.into_iter().filter(|(_, detected)| *detected).map(|(feature, _)| feature).collect()
}

/// The processor's features that the code generator may use, as wasmtime's loader tests for them.
#[cfg(target_arch = "aarch64")]
fn host_features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($feature:tt)*) => {
            [$(($feature, std::arch::is_aarch64_feature_detected!($feature))),*]
        };
    }
    let features = detected!["lse" "paca" "fp16" "dotprod" "i8mm"];
    features.into_iter().filter(|(_, detected)| *detected).map(|(feature, _)| feature).collect()
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;

    const PLAIN: CodeKind = CodeKind { counts_fuel: false, has_canonical_nans: false };

    fn limits() -> WorkerLimits {
        WorkerLimits { instance: InstanceLimits::default(), code: PLAIN, keep_resident_bytes: 1 << 20 }
    }

    fn load(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Module> {
        // SAFETY: the bytes come from `Engine::precompile_module` of this very process, unchanged.
        #[allow(unsafe_code)]
        unsafe {
            Module::deserialize(engine, artifact)
        }
    }

    fn compiled(text: &str) -> Vec<u8> {
        let wasm = wat::parse_str(text).unwrap();
        compiler_engine(PLAIN).unwrap().precompile_module(&wasm).unwrap()
    }

    #[test]
    fn what_one_engine_compiles_the_other_loads_and_runs() {
        let artifact = compiled(
            "(module
                (memory 2) (memory 1) (table 10 funcref)
                (data (i32.const 8) \"\\2a\")
                (func (export \"answer\") (result i32) (i32.load8_u (i32.const 8)))
                (func (export \"next\") (result i64)
                    (i64.atomic.rmw.add (i32.const 16) (i64.const 1))))",
        );
        let engine = worker_engine(&limits()).unwrap();
        let module = load(&engine, &artifact).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let answer = instance.get_typed_func::<(), i32>(&mut store, "answer").unwrap();
        assert_eq!(answer.call(&mut store, ()).unwrap(), 42);
    }

    #[test]
    fn a_worker_has_no_compiler() {
        let engine = worker_engine(&limits()).unwrap();
        let wasm = wat::parse_str("(module)").unwrap();
        assert!(engine.precompile_module(&wasm).is_err());
    }

    #[test]
    fn limits_of_a_worker_do_not_decide_whether_it_takes_an_artifact() {
        let artifact = compiled("(module (memory 1))");
        for memory_bytes_max in [0, 1, 1 << 20, 4 << 30, u64::MAX] {
            let instance = InstanceLimits { memory_bytes: memory_bytes_max, ..InstanceLimits::default() };
            let limits = WorkerLimits { instance, keep_resident_bytes: usize::MAX, ..limits() };
            load(&worker_engine(&limits).unwrap(), &artifact).unwrap();
        }
    }

    #[test]
    fn sixteen_instances_live_at_a_time_with_two_memories_each() {
        let artifact = compiled("(module (memory 1) (memory 1) (table 1 funcref))");
        let engine = worker_engine(&limits()).unwrap();
        let module = load(&engine, &artifact).unwrap();
        let mut store = Store::new(&engine, ());
        for _ in 0..INSTANCES_TOTAL {
            Instance::new(&mut store, &module, &[]).unwrap();
        }
        assert!(Instance::new(&mut store, &module, &[]).is_err());
    }

    #[test]
    fn refused_proposals_do_not_compile() {
        let refused = [
            "(module (memory i64 1))",
            "(module (func (param externref)))",
            "(module (type (struct)))",
            "(module (tag))",
            "(module (func (param v128) (result v128)
                local.get 0 i32x4.relaxed_trunc_f32x4_s))",
        ];
        for text in refused {
            let wasm = wat::parse_str(text).unwrap();
            assert!(compiler_engine(PLAIN).unwrap().precompile_module(&wasm).is_err(), "{text}");
        }
    }

    #[test]
    fn a_memory_limit_is_whole_pages_within_the_reservation() {
        assert_eq!(memory_bytes(0), 65_536);
        assert_eq!(memory_bytes(65_536), 65_536);
        assert_eq!(memory_bytes(65_537), 131_072);
        assert_eq!(memory_bytes(u64::MAX), 4 << 30);
    }

    #[test]
    fn the_settings_key_names_the_locked_version_of_the_engine() {
        let lock = include_str!("../../../Cargo.lock");
        let (_, wasmtime) = lock.split_once("name = \"wasmtime\"\n").unwrap();
        let version = wasmtime.lines().next().unwrap();
        assert_eq!(version, format!("version = \"{WASMTIME_VERSION}\""));
        assert!(settings_key(PLAIN).contains(WASMTIME_VERSION));
        assert_eq!(settings_key(PLAIN), settings_key(PLAIN));
    }

    #[test]
    fn code_of_each_kind_has_a_key_of_its_own() {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let keys = kinds.map(|(counts_fuel, has_canonical_nans)| {
            settings_key(CodeKind { counts_fuel, has_canonical_nans })
        });
        let distinct: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn code_that_counts_fuel_runs_only_where_fuel_is_counted() {
        let wasm = wat::parse_str("(module (func (export \"f\")))").unwrap();
        let code = CodeKind { counts_fuel: true, ..PLAIN };
        let artifact = compiler_engine(code).unwrap().precompile_module(&wasm).unwrap();
        assert!(load(&worker_engine(&limits()).unwrap(), &artifact).is_err());
        assert!(load(&worker_engine(&WorkerLimits { code, ..limits() }).unwrap(), &artifact).is_ok());
    }
}
