//! Every limit: its name, its default, the range that it may be chosen from, and what contradicts what.
//!
//! This is the limits' one home. The command line's flags, the builder's options and what `inspect` shows are made from
//! the same table; what enforces a limit stands elsewhere: [`Terms`](super::job::Terms) go with each chunk of calls,
//! [`InstanceLimits`] with the module, and the supervisor looks at the rest itself.

use std::fmt;
use std::time::Duration;

use super::error::{Error, ErrorKind};
use crate::channel::control::InstanceLimits;
use crate::channel::layout::VALUE_BYTES_MAX;
use crate::process::stack;
use crate::sandbox::engine;
use crate::schedule::back_off::{BackOff, REST_MAX};

/// Longest time that a call may take, unless said otherwise.
pub const CALL_TIME_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Most memory that an instance may have, unless said otherwise: 256 MiB.
pub const MEMORY_BYTES_DEFAULT: u64 = InstanceLimits::MEMORY_BYTES_DEFAULT;

/// Most bytes that a call may print, unless said otherwise: 16 MiB.
pub const PRINTED_BYTES_DEFAULT: u64 = 16 << 20;

/// Most bytes of a module, unless said otherwise: 256 MiB.
pub const MODULE_BYTES_DEFAULT: u64 = 256 << 20;

/// Units of fuel that a call of a deterministic pool has, unless said otherwise: about a minute of computing.
pub const DETERMINISTIC_FUEL_DEFAULT: u64 = 100_000_000_000;

/// Longest time that a call of a deterministic pool may take, unless said otherwise: long after its fuel is used up.
pub const DETERMINISTIC_TIME_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// How deep calls may be nested that calls make of their own pool, unless said otherwise.
const NESTED_CALLS_DEFAULT: u32 = 64;

/// Deepest nesting of a result, unless said otherwise.
const DEPTH_DEFAULT: u32 = 128;

/// Something that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Memory,
    Stack,
    Time,
    Deadline,
    Fuel,
    Output,
    Result,
    Depth,
    Objects,
    Instances,
    Tables,
    TableElements,
    Module,
}

impl Limit {
    /// All of them, in the order in which `inspect` shows them.
    pub(crate) const ALL: [Self; 13] = [
        Self::Memory,
        Self::Stack,
        Self::Time,
        Self::Deadline,
        Self::Fuel,
        Self::Output,
        Self::Result,
        Self::Depth,
        Self::Objects,
        Self::Instances,
        Self::Tables,
        Self::TableElements,
        Self::Module,
    ];

    /// What is limited, in words.
    #[cfg(feature = "cli")]
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory, all of an instance",
            Self::Stack => "stack",
            Self::Time => "time of a call",
            Self::Deadline => "time of a job",
            Self::Fuel => "fuel of a call",
            Self::Output => "printed by a call",
            Self::Result => "result of a call",
            Self::Depth => "nesting of a result",
            Self::Objects => "shared objects open in a call",
            Self::Instances => "instances of a worker",
            Self::Tables => "tables",
            Self::TableElements => "table elements, all of an instance",
            Self::Module => "module",
        }
    }

    /// The flag without its hyphens; the builder's option has the same name with underlines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "max-memory",
            Self::Stack => "max-stack",
            Self::Time => "timeout",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Output => "max-output",
            Self::Result => "max-result",
            Self::Depth => "max-depth",
            Self::Objects => "max-objects",
            Self::Instances => "max-instances",
            Self::Tables => "max-tables",
            Self::TableElements => "max-table-elements",
            Self::Module => "max-module",
        }
    }

    /// The least and the most that it can be set to, in bytes, nanoseconds or pieces.
    fn range(self) -> (u64, u64) {
        const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;
        match self {
            Self::Memory => (engine::WASM_PAGE_BYTES, engine::MEMORY_BYTES_MAX),
            Self::Stack => (16 << 10, stack::GUEST_BYTES_MAX),
            Self::Time | Self::Deadline => (1_000_000, 365 * DAY_NS),
            Self::Fuel => (1, 1_000_000_000_000_000_000),
            Self::Output => (0, 1 << 40),
            Self::Result => (1, VALUE_BYTES_MAX as u64),
            // Deeper values could be too much for the stack of a thread that decodes them.
            Self::Depth => (1, 256),
            Self::Objects => (0, 1024),
            Self::Instances => (1, engine::INSTANCES_TOTAL as u64),
            Self::Tables => (0, engine::TABLES_PER_MODULE_MAX as u64),
            Self::TableElements => (0, engine::TABLE_ELEMENTS_MAX as u64),
            Self::Module => (8, 1 << 30),
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Memory | Self::Stack | Self::Output | Self::Result | Self::Module => Unit::Bytes,
            Self::Time | Self::Deadline => Unit::Nanoseconds,
            _ => Unit::Pieces,
        }
    }

    /// An amount of it, as people read it.
    pub(crate) fn show(self, amount: u64) -> String {
        match self.unit() {
            Unit::Bytes => bytes(amount),
            Unit::Nanoseconds => time(amount),
            Unit::Pieces => amount.to_string(),
        }
    }
}

enum Unit {
    Bytes,
    Nanoseconds,
    Pieces,
}

/// A number of bytes, in the largest binary unit that leaves no fraction.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.trailing_zeros() / 10).min(4);
    match bytes {
        0 => "0 B".to_owned(),
        bytes => format!("{} {}", bytes >> (10 * power), UNITS[power as usize]),
    }
}

/// In hours or minutes where that leaves no fraction, as the flags take them; else in seconds or less.
fn time(ns: u64) -> String {
    const MINUTE_NS: u64 = 60 * 1_000_000_000;
    match ns {
        0 => "0s".to_owned(),
        ns if ns.is_multiple_of(60 * MINUTE_NS) => format!("{}h", ns / (60 * MINUTE_NS)),
        ns if ns.is_multiple_of(MINUTE_NS) => format!("{}m", ns / MINUTE_NS),
        ns => format!("{:?}", Duration::from_nanos(ns)),
    }
}

/// What somebody has chosen, and the defaults where they have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What goes with the module to its workers.
    pub(crate) instance: InstanceLimits,
    /// Time of a call, where somebody chose it.
    pub(crate) time: Option<Duration>,
    /// Time of a job; without one it may take for ever.
    pub(crate) deadline: Option<Duration>,
    /// Fuel of a call; without it code counts none.
    pub(crate) fuel: Option<u64>,
    pub(crate) printed_bytes: u64,
    pub(crate) result_bytes: u64,
    pub(crate) result_depth: u32,
    pub(crate) module_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instance: InstanceLimits {
                memory_bytes: MEMORY_BYTES_DEFAULT,
                nested_calls: NESTED_CALLS_DEFAULT,
                ..InstanceLimits::default()
            },
            time: None,
            deadline: None,
            fuel: None,
            printed_bytes: PRINTED_BYTES_DEFAULT,
            result_bytes: VALUE_BYTES_MAX as u64,
            result_depth: DEPTH_DEFAULT,
            module_bytes: MODULE_BYTES_DEFAULT,
        }
    }
}

impl Limits {
    /// What instances of a module may have whose tasks submit calls, or do not.
    ///
    /// Calls are nested no deeper than their workers' stacks have room for.
    pub(crate) fn instance_of(&self, nests: bool) -> InstanceLimits {
        let room = if nests { stack::nested_levels_expected(self.instance.stack_bytes) } else { 0 };
        InstanceLimits { nested_calls: self.instance.nested_calls.min(room), ..self.instance }
    }

    /// How long a call may take, in a pool that is deterministic or not.
    pub(crate) fn call_time(&self, is_deterministic: bool) -> Duration {
        let default = if is_deterministic { DETERMINISTIC_TIME_DEFAULT } else { CALL_TIME_DEFAULT };
        self.time.unwrap_or(default)
    }

    /// The fuel of a call, in a pool that is deterministic or not.
    pub(crate) fn call_fuel(&self, is_deterministic: bool) -> Option<u64> {
        self.fuel.or(is_deterministic.then_some(DETERMINISTIC_FUEL_DEFAULT))
    }

    /// What was chosen for a limit; nothing where there is no such limit.
    pub(crate) fn amount(&self, limit: Limit) -> Option<u64> {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match limit {
            Limit::Memory => Some(self.instance.memory_bytes),
            Limit::Stack => Some(self.instance.stack_bytes),
            Limit::Time => self.time.map(ns),
            Limit::Deadline => self.deadline.map(ns),
            Limit::Fuel => self.fuel,
            Limit::Output => Some(self.printed_bytes),
            Limit::Result => Some(self.result_bytes),
            Limit::Depth => Some(self.result_depth.into()),
            Limit::Objects => Some(self.instance.objects.into()),
            Limit::Instances => Some(self.instance.instances.into()),
            Limit::Tables => Some(self.instance.tables.into()),
            Limit::TableElements => Some(self.instance.table_elements),
            Limit::Module => Some(self.module_bytes),
        }
    }

    /// The same, with the default of what nobody chose.
    #[cfg(feature = "cli")]
    pub(crate) fn in_force(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::Time => Limits { time: Some(self.call_time(false)), ..self.clone() }.amount(limit),
            other => self.amount(other),
        }
    }

    /// Whether each limit is in its range, and none contradicts another.
    ///
    /// # Errors
    ///
    /// The first that is not, or does.
    pub(crate) fn check(&self) -> Result<(), LimitError> {
        for limit in Limit::ALL {
            let (least, most) = limit.range();
            if let Some(amount) = self.amount(limit).filter(|amount| !(least..=most).contains(amount)) {
                return Err(LimitError::OutOfRange { limit, amount });
            }
        }
        match (self.time, self.deadline) {
            (Some(time), Some(deadline)) if time > deadline => {
                Err(LimitError::TimeBeyondDeadline { time, deadline })
            }
            _ => Ok(()),
        }
    }
}

/// Whether what a task was told of a call's limits is in their ranges.
///
/// # Errors
///
/// The first that is not.
pub(crate) fn check_call(
    time: Option<Duration>,
    deadline: Option<Duration>,
    fuel: Option<u64>,
) -> Result<(), LimitError> {
    Limits { time, ..Limits::default() }.check()?;
    // Together they may be a default and a choice, which contradict nothing.
    Limits { deadline, fuel, ..Limits::default() }.check()
}

/// Whether a call may rest so long before it is tried again.
///
/// # Errors
///
/// [`ErrorKind::Setting`] when it may not.
pub(crate) fn check_back_off(BackOff { first, most }: BackOff) -> Result<(), Error> {
    let spelt = format!("retry_delay({first:?}, {most:?})");
    if first.max(most) > REST_MAX {
        let text = format!("{spelt}: choose from 0s to {}", time(REST_MAX.as_nanos() as u64));
        return Err(Error::new(ErrorKind::Setting, text));
    }
    if first > most {
        let text = format!("{spelt}: the first rest is longer than the longest, so raise the second time");
        return Err(Error::new(ErrorKind::Setting, text));
    }
    Ok(())
}

/// Limits that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitError {
    /// One lies outside of its range.
    OutOfRange { limit: Limit, amount: u64 },
    /// A call may take longer than all calls together.
    TimeBeyondDeadline { time: Duration, deadline: Duration },
}

/// How limits are spelt where they were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `--max-memory 1 GiB`
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "flags are the command line's"))]
    Flag,
    /// `max_memory(1 GiB)`
    Option,
}

impl Spelling {
    fn of(self, limit: Limit, amount: u64) -> String {
        let amount = limit.show(amount);
        match self {
            Self::Flag => format!("--{} {amount}", limit.name()),
            Self::Option => format!("{}({amount})", limit.name().replace('-', "_")),
        }
    }
}

impl LimitError {
    /// What is wrong, and the remedy.
    pub(crate) fn text(&self, spelling: Spelling) -> String {
        let ns = |time: Duration| time.as_nanos() as u64;
        match *self {
            Self::OutOfRange { limit, amount } => {
                let (least, most) = limit.range();
                let (least, most) = (limit.show(least), limit.show(most));
                format!("{}: choose from {least} to {most}", spelling.of(limit, amount))
            }
            Self::TimeBeyondDeadline { time, deadline } => {
                let (time, deadline) =
                    (spelling.of(Limit::Time, ns(time)), spelling.of(Limit::Deadline, ns(deadline)));
                format!("{time} contradicts {deadline}: no call can take longer than its job")
            }
        }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Spelling::Option))
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        Self::new(ErrorKind::Setting, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits of which one is set to this amount.
    fn with(limit: Limit, amount: u64) -> Limits {
        let mut limits = Limits::default();
        let instance = &mut limits.instance;
        match limit {
            Limit::Memory => instance.memory_bytes = amount,
            Limit::Stack => instance.stack_bytes = amount,
            Limit::Time => limits.time = Some(Duration::from_nanos(amount)),
            Limit::Deadline => limits.deadline = Some(Duration::from_nanos(amount)),
            Limit::Fuel => limits.fuel = Some(amount),
            Limit::Output => limits.printed_bytes = amount,
            Limit::Result => limits.result_bytes = amount,
            Limit::Depth => limits.result_depth = amount as u32,
            Limit::Objects => instance.objects = amount as u32,
            Limit::Instances => instance.instances = amount as u32,
            Limit::Tables => instance.tables = amount as u32,
            Limit::TableElements => instance.table_elements = amount,
            Limit::Module => limits.module_bytes = amount,
        }
        limits
    }

    #[test]
    fn defaults_are_in_their_ranges() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert_eq!(InstanceLimits::default().memory_bytes, MEMORY_BYTES_DEFAULT);
    }

    #[test]
    fn both_ends_of_each_range_are_allowed_and_nothing_beyond_them() {
        for limit in Limit::ALL {
            let (least, most) = limit.range();
            for amount in [least, most] {
                assert_eq!(with(limit, amount).amount(limit), Some(amount));
                assert_eq!(with(limit, amount).check(), Ok(()), "{limit:?}");
            }
            for amount in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
                let expected = Err(LimitError::OutOfRange { limit, amount });
                assert_eq!(with(limit, amount).check(), expected, "{limit:?}");
            }
        }
    }

    #[test]
    fn errors_name_the_limit_the_value_and_the_range() {
        let error = with(Limit::Memory, 65_537 - 2).check().expect_err("too little");
        assert_eq!(error.text(Spelling::Flag), "--max-memory 65535 B: choose from 64 KiB to 4 GiB");
        assert_eq!(error.text(Spelling::Option), "max_memory(65535 B): choose from 64 KiB to 4 GiB");
        let error = with(Limit::Fuel, 0).check().expect_err("too little");
        assert_eq!(error.text(Spelling::Flag), "--fuel 0: choose from 1 to 1000000000000000000");
        let error = with(Limit::Time, 999_999).check().expect_err("too little");
        assert_eq!(error.text(Spelling::Flag), "--timeout 999.999µs: choose from 1ms to 8760h");
    }

    #[test]
    fn a_call_cannot_take_longer_than_its_job() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limits = Limits { time: seconds(3), deadline: seconds(2), ..Limits::default() };
        let text = limits.check().expect_err("a contradiction").text(Spelling::Flag);
        assert_eq!(text, "--timeout 3s contradicts --deadline 2s: no call can take longer than its job");
        assert_eq!(Limits { time: seconds(2), ..limits.clone() }.check(), Ok(()));
        // Nobody chose five minutes.
        assert_eq!(Limits { time: None, ..limits }.check(), Ok(()));
    }

    #[test]
    fn rests_are_at_most_a_day_and_do_not_shrink() {
        let text = |first, most| {
            check_back_off(BackOff { first, most }).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let seconds = Duration::from_secs;
        assert_eq!(text(seconds(0), seconds(0)), "");
        assert_eq!(text(REST_MAX, REST_MAX), "");
        assert_eq!(text(seconds(1), REST_MAX + seconds(1)), "retry_delay(1s, 86401s): choose from 0s to 24h");
        let expected =
            "retry_delay(2s, 1s): the first rest is longer than the longest, so raise the second time";
        assert_eq!(text(seconds(2), seconds(1)), expected);
    }

    #[test]
    fn fuel_stands_in_for_time_where_nothing_may_depend_on_time() {
        let limits = Limits::default();
        assert_eq!((limits.call_fuel(false), limits.call_time(false)), (None, CALL_TIME_DEFAULT));
        assert_eq!(limits.call_fuel(true), Some(DETERMINISTIC_FUEL_DEFAULT));
        assert_eq!(limits.call_time(true), DETERMINISTIC_TIME_DEFAULT);
        let limits = Limits { fuel: Some(5), time: Some(Duration::from_secs(1)), ..limits };
        assert_eq!((limits.call_fuel(true), limits.call_time(true)), (Some(5), Duration::from_secs(1)));
    }
}
