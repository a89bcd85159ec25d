//! What there is to measure.

use crate::measured::Measured;
use crate::world::World;
use crate::{
    apply, apply_async, balance, bytes, command_line, fresh, growth, idle, limits, map, memory, runaway,
    shared, short_tasks, speedup, start, values,
};

/// Something that is measured in one go.
pub(crate) struct Benchmark {
    /// Its name, by which it is asked for; its figures' names begin with it.
    pub(crate) name: &'static str,
    /// Measures it.
    pub(crate) measure: fn(&World) -> anyhow::Result<Measured>,
}

const fn row(name: &'static str, measure: fn(&World) -> anyhow::Result<Measured>) -> Benchmark {
    Benchmark { name, measure }
}

/// Every benchmark, in the table's order.
pub(crate) const BENCHMARKS: [Benchmark; 44] = [
    row("map-range", map::from_range),
    row("map-vec", map::from_vec),
    row("lines-null", command_line::lines_to_null),
    row("lines-pipe", command_line::lines_to_pipe),
    row("pull-number", values::number),
    row("pull-bill", values::structure),
    row("bytes", bytes::both_ways),
    row("fresh-cube", fresh::numeric),
    row("fresh-greet", fresh::pull),
    row("fresh-wat", fresh::wat),
    row("traps", fresh::traps),
    row("speedup-10us", speedup::of_10_us),
    row("speedup-100us", speedup::of_100_us),
    row("speedup-10ms", speedup::of_10_ms),
    row("short-tasks", short_tasks::shortest),
    row("balance", balance::makespans),
    row("apply", apply::back_to_back),
    row("rested-apply", apply::rested),
    row("apply-async", apply_async::rate),
    row("first-result", start::first_result),
    row("first-compile", start::first_compile),
    row("confinement", start::confinement),
    row("command-line", command_line::small_map),
    row("idle", idle::cost),
    row("limits", limits::cost),
    row("runaway", runaway::stopped),
    row("memory-range", memory::from_range),
    row("memory-vec", memory::from_vec),
    row("shared-add", shared::additions),
    row("shared-mapped-add", shared::mapped_additions),
    row("shared-locked-add", shared::locked_additions),
    row("shared-queue", shared::queue_items),
    row("shared-append", shared::appends),
    row("shared-dict-get", shared::lookups),
    row("shared-recovery", shared::recoveries),
    row("shared-bulk-read", shared::bulk_reads),
    row("shared-mapped-sum", shared::mapped_sums),
    row("growth-calls", growth::calls::time),
    row("growth-memory", growth::calls::memory),
    row("growth-payload", growth::payload::rate),
    row("growth-workers", growth::workers::rate),
    row("growth-modules", growth::modules::time),
    row("growth-feeding", growth::feeding::rate),
    row("growth-apply", growth::feeding::apply),
];
