//! Which calls go before others.

/// How urgent a job's calls are: those of a higher priority are given to workers before those of a lower one.
///
/// It is about calls that wait. What a worker has been given stays with it, which is at most the chunk that it works on
/// and the next one, each about a millisecond of work or one call. Calls of the same priority take turns by jobs.
///
/// A lower priority is no promise to wait for ever: of 64 chunks that a module's workers take while calls of several
/// priorities wait, one is taken from the lower ones. Workers change from one module to another by the same rule, but more
/// slowly, because that costs a process: a module with more urgent calls gets workers of one with less urgent ones after
/// 50 ms at most, and one whose calls are less urgent gets a worker's time about once a second.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// use wasmpool::Priority;
///
/// assert!(Priority::Low < Priority::Normal && Priority::Normal < Priority::High);
/// # let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let doubles = br#"(module (func (export "double") (param i64) (result i64)
///     (i64.shl (local.get 0) (i64.const 1))))"#;
/// let double = pool.load_bytes("doubles", doubles)?.task::<i64, i64>("double")?;
/// let urgent = double.clone().priority(Priority::High);
/// let report = std::thread::spawn(move || double.priority(Priority::Low).map(0..100_000));
/// assert_eq!(urgent.apply(21)?, 42);
/// assert_eq!(report.join().unwrap()?.len(), 100_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

impl Priority {
    /// All of them, the lowest first.
    pub(crate) const ALL: [Self; crate::schedule::turns::CLASSES] = [Self::Low, Self::Normal, Self::High];
}
