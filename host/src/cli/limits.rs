//! The limits' flags. Ranges, defaults and contradictions are [`pool::limits`](crate::pool::limits)' business.

use std::time::Duration;

use clap::Args;

use super::quantity;
use crate::pool::limits::Limits;

/// Limits of every instance, whatever runs in it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits and grants")]
pub(crate) struct InstanceFlags {
    /// Most memory of an instance: 512KiB, 64MiB, 1GiB [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_memory: Option<u64>,
    /// Most stack of guest code, from 16KiB to 16MiB [default: 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_stack: Option<u64>,
    /// Units of fuel, about one an instruction, after which a call ends [default: no limit]
    ///
    /// The same call ends at the same instruction each time. Code that counts its fuel is slower.
    #[arg(long, value_name = "UNITS", value_parser = quantity::count)]
    pub(crate) fuel: Option<u64>,
    /// Most tables that the module may define, up to 8 [default: 8]
    #[arg(long, value_name = "N")]
    pub(crate) max_tables: Option<u32>,
    /// Most elements of all tables of an instance [default: 1000000]
    #[arg(long, value_name = "N", value_parser = quantity::count)]
    pub(crate) max_table_elements: Option<u64>,
    /// Most bytes of the module [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_module: Option<u64>,
}

/// Limits of calls.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits and grants")]
pub(crate) struct LimitFlags {
    /// Longest a call may run: 250ms, 5s, 1m [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Longest the whole job may run [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) instance: InstanceFlags,
    /// Most bytes that a call may write to its stdout and stderr, or a program to stderr [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_output: Option<u64>,
    /// Most bytes of a call's result, or of a program's stdout, up to 64MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) max_result: Option<u64>,
    /// Deepest nesting of a call's result, up to 256 [default: 128]
    #[arg(long, value_name = "LEVELS")]
    pub(crate) max_depth: Option<u32>,
    /// Most shared objects that a call may have open at a time, up to 1024 [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) max_objects: Option<u32>,
    /// Most instances that a worker keeps at a time, from 1 to 16 [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) max_instances: Option<u32>,
}

impl InstanceFlags {
    /// These limits, and the defaults of all others.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits { fuel: self.fuel, ..Limits::default() };
        set(&mut limits.instance.memory_bytes, self.max_memory);
        set(&mut limits.instance.stack_bytes, self.max_stack);
        set(&mut limits.instance.tables, self.max_tables);
        set(&mut limits.instance.table_elements, self.max_table_elements);
        set(&mut limits.module_bytes, self.max_module);
        limits
    }
}

impl LimitFlags {
    /// What was chosen, and the defaults.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits { time: self.timeout, deadline: self.deadline, ..self.instance.limits() };
        set(&mut limits.printed_bytes, self.max_output);
        set(&mut limits.result_bytes, self.max_result);
        set(&mut limits.result_depth, self.max_depth);
        set(&mut limits.instance.objects, self.max_objects);
        set(&mut limits.instance.instances, self.max_instances);
        limits
    }
}

fn set<T>(limit: &mut T, chosen: Option<T>) {
    if let Some(chosen) = chosen {
        *limit = chosen;
    }
}
