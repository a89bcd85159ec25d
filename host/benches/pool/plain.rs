//! wasmtime without a pool, as a peer: everything in this process, and a host call per call.
//!
//! The engine is set up as a worker's is (pooling allocator, kept pages, no fuel, no epochs), so that what differs is
//! the pool's own doing. Nothing protects this process from the guest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context as _;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store, TypedFunc, WasmParams, WasmResults,
};

/// Pages of an instance's memory that are cleared by hand instead of being mapped anew.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// A compiled module, ready to be instantiated, with this in its instances' stores.
pub(crate) struct Plain<T: Keeper = ()> {
    engine: Engine,
    module: InstancePre<T>,
}

/// What a store holds, and how that watches over its instances.
pub(crate) trait Keeper: Default + 'static {
    /// Begins to watch.
    fn watch(store: &mut Store<Self>);
}

/// Nobody watches.
impl Keeper for () {
    fn watch(_: &mut Store<Self>) {}
}

/// An instance that stays, and one of its functions.
pub(crate) struct Session<T: 'static = ()> {
    store: Store<T>,
    function: TypedFunc<i64, i64>,
}

impl<T: Keeper> Plain<T> {
    /// Compiles a module, binary or text. Imports are there and trap: numeric tasks call none.
    ///
    /// # Errors
    ///
    /// When it is no module.
    pub(crate) fn compile(module: &[u8]) -> anyhow::Result<Self> {
        let engine = Engine::new(&config()).map_err(told)?;
        let module = Module::new(&engine, wat::parse_bytes(module)?).map_err(told)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module).map_err(told)?;
        let module = linker.instantiate_pre(&module).map_err(told)?;
        Ok(Self { engine, module })
    }

    /// Runs one call in an instance of its own; returns nothing when it traps.
    ///
    /// # Errors
    ///
    /// When there is no such export, or no instance.
    pub(crate) fn call_fresh<P: WasmParams, R: WasmResults>(
        &self,
        export: &str,
        parameters: P,
    ) -> anyhow::Result<Option<R>> {
        let (mut store, function) = self.instantiate(export)?;
        Ok(function.call(&mut store, parameters).ok())
    }

    /// An instance whose function of this name is called again and again.
    ///
    /// # Errors
    ///
    /// As [`Self::call_fresh`].
    pub(crate) fn session(&self, export: &str) -> anyhow::Result<Session<T>> {
        let (store, function) = self.instantiate(export)?;
        Ok(Session { store, function })
    }

    /// So many of them, for as many threads.
    ///
    /// # Errors
    ///
    /// As [`Self::call_fresh`].
    pub(crate) fn sessions(&self, export: &str, count: usize) -> anyhow::Result<Vec<Session<T>>> {
        (0..count).map(|_| self.session(export)).collect()
    }

    fn instantiate<P: WasmParams, R: WasmResults>(
        &self,
        export: &str,
    ) -> anyhow::Result<(Store<T>, TypedFunc<P, R>)> {
        let mut store = Store::new(&self.engine, T::default());
        T::watch(&mut store);
        let instance = self.module.instantiate(&mut store).map_err(told)?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ()).map_err(told)?;
        }
        let function = instance.get_typed_func(&mut store, export).map_err(told);
        let function = function.with_context(|| format!("the module has no function `{export}`"))?;
        Ok((store, function))
    }
}

/// The function of all inputs, each session on a thread of its own with its share of them.
///
/// # Errors
///
/// When a call traps.
pub(crate) fn map(sessions: &mut [Session], inputs: &[i64]) -> anyhow::Result<Vec<i64>> {
    let mut results = vec![0; inputs.len()];
    let share = inputs.len().div_ceil(sessions.len()).max(1);
    thread::scope(|scope| {
        let shares = inputs.chunks(share).zip(results.chunks_mut(share));
        let threads: Vec<_> = sessions
            .iter_mut()
            .zip(shares)
            .map(|(session, (inputs, results))| scope.spawn(|| session.map(inputs, results)))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a session does not panic"))
    })?;
    Ok(results)
}

/// The same, but each session takes one input at a time, in the list's order; returns the results' sum.
///
/// # Errors
///
/// As [`map`].
pub(crate) fn one_at_a_time(sessions: &mut [Session], inputs: &[i64]) -> anyhow::Result<i64> {
    let next = AtomicUsize::new(0);
    let take = |session: &mut Session| {
        let mut sum = 0_i64;
        // Relaxed: the inputs were there before the threads.
        while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            sum = sum.wrapping_add(session.call(*input)?);
        }
        anyhow::Ok(sum)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = sessions.iter_mut().map(|session| scope.spawn(|| take(session))).collect();
        threads.into_iter().try_fold(0_i64, |sum, thread| {
            Ok(sum.wrapping_add(thread.join().expect("a session does not panic")?))
        })
    })
}

impl<T: 'static> Session<T> {
    /// The function of one input.
    ///
    /// # Errors
    ///
    /// When the call traps.
    pub(crate) fn call(&mut self, input: i64) -> anyhow::Result<i64> {
        self.function.call(&mut self.store, input).map_err(told)
    }

    /// The function of all inputs.
    ///
    /// # Errors
    ///
    /// When a call traps.
    pub(crate) fn map(&mut self, inputs: &[i64], results: &mut [i64]) -> anyhow::Result<()> {
        for (input, result) in inputs.iter().zip(results) {
            *result = self.call(*input)?;
        }
        Ok(())
    }
}

/// wasmtime's errors are none of the standard library's.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::Error::msg(format!("{error:#}"))
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(16).total_memories(16).total_tables(16).total_stacks(0);
    pool.table_elements(1_000_000).linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
    pool.table_keep_resident(128 << 10).max_unused_warm_slots(0).decommit_batch_size(1);
    pool.pagemap_scan(Enabled::No);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config.memory_may_move(false);
    config
}
