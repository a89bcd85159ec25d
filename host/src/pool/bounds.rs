//! The builder's options that choose limits, and what replaces a limit in time where nothing may depend on time.

use std::time::Duration;

use super::Builder;
#[cfg(doc)]
use super::{
    DETERMINISTIC_FUEL_DEFAULT, DETERMINISTIC_TIME_DEFAULT, ErrorKind, FailureKind, MODULE_BYTES_DEFAULT,
    Task,
};

/// Limits beyond those of memory, time and printing.
impl Builder {
    /// Longest time that a job may take: one `map` with all its calls, or one `apply`. None unless said otherwise. Calls
    /// that have not ended by then are stopped, and the job ends as [`ErrorKind::Deadline`].
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.settings.limits.deadline = Some(limit);
        self
    }

    /// Units of fuel that each call has, at least 1: about one for each instruction. A call that has used them up ends
    /// as [`FailureKind::OutOfFuel`], at the same instruction each time.
    ///
    /// Without it code does not count its instructions, which makes tight loops up to six times as fast; so it is
    /// decided for the whole pool, and [`Task::fuel`] can only change how much. Calls are run one by one, each with its
    /// own fuel: what one leaves is not the next one's. Functions of the host cost what the call instruction costs; what
    /// they do is bounded by the other limits. What a guest does between calls, such as setting up an instance, has
    /// fuel of its own, as much as a call and at least a million units.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// let pool = wasmpool::Pool::builder().workers(1).fuel(1_000_000).build()?;
    /// let spins = pool.load_bytes("spins", br#"(module (func (export "spin") (loop $again (br $again))))"#)?;
    /// let error = spins.task::<(), ()>("spin")?.apply(()).unwrap_err();
    /// assert_eq!(error.failure().unwrap().kind(), wasmpool::FailureKind::OutOfFuel);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.settings.limits.fuel = Some(units);
        self
    }

    /// Has each run be like any other, to the byte.
    ///
    /// What a call sees depends on its input, the `seed` and its index in its job, and on nothing else: clocks begin at
    /// the first instant of 2000 and go on by a microsecond each time they are read, sleeping takes no time but theirs,
    /// random bytes are the seed's and the index's, and so the same for each attempt; every call has an instance of its
    /// own; NaNs have one bit pattern; and a call has [fuel](Self::fuel), [`DETERMINISTIC_FUEL_DEFAULT`] units of it
    /// unless said otherwise. A limit in time stays as a safety net, [`DETERMINISTIC_TIME_DEFAULT`] unless said
    /// otherwise: whether that or a [`deadline`](Self::deadline) is reached depends on the machine.
    ///
    /// Shared objects, and directories in which guests may write, are reached in the order in which calls happen to run,
    /// so only a pool of one worker grants them.
    /// The order in which the lines of different workers come to [`Self::on_output`] is not fixed either. The depth at
    /// which a stack overflows, and nothing else, depends on the version of this library and the kind of processor.
    #[must_use]
    pub fn deterministic(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Most bytes of stack that guest code may use: 16 KiB to 16 MiB, 1 MiB unless said otherwise. A call that needs
    /// more ends as [`FailureKind::StackOverflow`].
    #[must_use]
    pub fn max_stack(mut self, bytes: u64) -> Self {
        self.settings.limits.instance.stack_bytes = bytes;
        self
    }

    /// Most bytes of a result: 1 to 64 MiB, 64 MiB unless said otherwise. A larger one ends its call as
    /// [`FailureKind::ResultTooLarge`]. Numbers that an export returns do not count.
    #[must_use]
    pub fn max_result(mut self, bytes: u64) -> Self {
        self.settings.limits.result_bytes = bytes;
        self
    }

    /// Deepest nesting of a result: 1 to 256 levels, 128 unless said otherwise. A deeper one ends its call as
    /// [`FailureKind::ResultTooDeep`].
    #[must_use]
    pub fn max_depth(mut self, levels: u32) -> Self {
        self.settings.limits.result_depth = levels;
        self
    }

    /// Most shared objects that a call may have open at a time: 0 to 1,024, which is the default. Opening another one
    /// is refused, with an error that the guest sees.
    #[must_use]
    pub fn max_objects(mut self, count: u32) -> Self {
        self.settings.limits.instance.objects = count;
        self
    }

    /// Most instances that a worker keeps at a time: 1 to 16, which is the default. One is the module's own; each task
    /// of numbers that is called in batches takes another, and where there is none left a new instance of the module
    /// takes the old one's place. With 1 all calls are run one by one.
    #[must_use]
    pub fn max_instances(mut self, count: u32) -> Self {
        self.settings.limits.instance.instances = count;
        self
    }

    /// Most tables that a module may define: 0 to 8, which is the default. A module with more is not loaded.
    #[must_use]
    pub fn max_tables(mut self, count: u32) -> Self {
        self.settings.limits.instance.tables = count;
        self
    }

    /// Most elements that all tables of an instance may have together: 0 to 1,000,000, which is the default. A module
    /// that begins with more is not loaded. Growth beyond it is refused to the guest; a trap that follows ends the call
    /// as [`FailureKind::OutOfTables`].
    #[must_use]
    pub fn max_table_elements(mut self, count: u64) -> Self {
        self.settings.limits.instance.table_elements = count;
        self
    }

    /// How deep calls may be nested that tasks make of their own pool: 64 unless said otherwise, at most as deep as a
    /// worker's stack has room for, which with [`Builder::max_stack`] unchanged is 66. One call more is an error that
    /// the task is told.
    #[must_use]
    pub fn max_nested_calls(mut self, levels: u32) -> Self {
        self.settings.limits.instance.nested_calls = levels;
        self
    }

    /// Most bytes of a module: 8 bytes to 1 GiB, [`MODULE_BYTES_DEFAULT`] unless said otherwise. A larger file is not
    /// read.
    #[must_use]
    pub fn max_module(mut self, bytes: u64) -> Self {
        self.settings.limits.module_bytes = bytes;
        self
    }
}
