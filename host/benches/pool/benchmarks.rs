//! What there is to measure.

use crate::figure::Figure;
use crate::world::World;
use crate::{apply, command_line, fresh, limits, map, memory, shared, values};

/// Something that is measured in one go.
pub(crate) struct Benchmark {
    /// Its name, by which it is asked for; its figures' names begin with it.
    pub(crate) name: &'static str,
    /// Measures it.
    pub(crate) measure: fn(&World) -> anyhow::Result<Vec<Figure>>,
}

/// Every benchmark, in the table's order.
pub(crate) const BENCHMARKS: [Benchmark; 23] = [
    Benchmark { name: "map-range", measure: map::from_range },
    Benchmark { name: "map-vec", measure: map::from_vec },
    Benchmark { name: "memory-range", measure: memory::from_range },
    Benchmark { name: "memory-vec", measure: memory::from_vec },
    Benchmark { name: "command-line", measure: command_line::small_map },
    Benchmark { name: "fresh-cube", measure: fresh::numeric },
    Benchmark { name: "fresh-greet", measure: fresh::pull },
    Benchmark { name: "fresh-wat", measure: fresh::wat },
    Benchmark { name: "limits", measure: limits::cost },
    Benchmark { name: "pull-number", measure: values::number },
    Benchmark { name: "pull-bill", measure: values::structure },
    Benchmark { name: "apply", measure: apply::round_trip },
    Benchmark { name: "first-result", measure: apply::first_result },
    Benchmark { name: "traps", measure: fresh::traps },
    Benchmark { name: "shared-add", measure: shared::additions },
    Benchmark { name: "shared-mapped-add", measure: shared::mapped_additions },
    Benchmark { name: "shared-locked-add", measure: shared::locked_additions },
    Benchmark { name: "shared-queue", measure: shared::queue_items },
    Benchmark { name: "shared-append", measure: shared::appends },
    Benchmark { name: "shared-dict-get", measure: shared::lookups },
    Benchmark { name: "shared-recovery", measure: shared::recoveries },
    Benchmark { name: "shared-bulk-read", measure: shared::bulk_reads },
    Benchmark { name: "shared-mapped-sum", measure: shared::mapped_sums },
];
