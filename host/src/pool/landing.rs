//! Where the results of a lazy job land until their consumer takes them.
//!
//! It bounds how far a job runs ahead of its consumer: inputs are taken only while there is room for what comes of
//! them. What a result will weigh is known when the first ones are there, so the look-ahead begins small and grows with
//! them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::decode::ResultForm;
use super::error::Error;
use super::outcome::Failure;
use super::sink::{Form, Results, Sink};
use super::slot::sleep;

/// Calls begun ahead of the consumer before the first result is there.
const LOOK_AHEAD_FIRST: u64 = 64;

/// Most calls ahead of the consumer.
pub(crate) const LOOK_AHEAD_MAX: u64 = 1 << 16;

/// Most bytes of inputs and results ahead of the consumer, about.
pub(crate) const LOOK_AHEAD_BYTES: u64 = 64 << 20;

/// Least calls ahead of the consumer, however large their results are.
const LOOK_AHEAD_MIN: u64 = 4;

/// Results on their way to a consumer.
pub(crate) struct Landing<R> {
    form: ResultForm,
    state: Mutex<State<R>>,
    /// There is something for the consumer.
    arrived: Condvar,
    /// There is room for more inputs.
    taken: Condvar,
}

struct State<R> {
    results: Order<R>,
    /// Inputs that were let in.
    admitted: u64,
    /// Results that the consumer has taken.
    consumed: u64,
    /// Results that have come, and their bytes.
    landed: u64,
    landed_bytes: u64,
    feeder_waits: bool,
    consumer_waits: bool,
    /// What follows the last result, once that is known.
    end: Option<End>,
}

/// What follows the last result.
struct End {
    /// How many results there are in all; none when the job was ended before them.
    total: Option<u64>,
    error: Option<Error>,
}

/// Results in the order in which the consumer gets them.
enum Order<R> {
    /// That of the inputs.
    ByIndex(BTreeMap<u64, Result<R, Failure>>),
    /// That in which they come.
    ByArrival(VecDeque<Result<R, Failure>>),
}

impl<R> Order<R> {
    fn put(&mut self, index: u64, result: Result<R, Failure>) {
        match self {
            Self::ByIndex(results) => drop(results.insert(index, result)),
            Self::ByArrival(results) => results.push_back(result),
        }
    }

    fn take(&mut self, consumed: u64) -> Option<Result<R, Failure>> {
        match self {
            Self::ByIndex(results) => {
                let first = results.first_entry().filter(|first| *first.key() == consumed)?;
                Some(first.remove())
            }
            Self::ByArrival(results) => results.pop_front(),
        }
    }
}

impl<R> State<R> {
    fn has_room(&self) -> bool {
        self.admitted - self.consumed < look_ahead(self.landed, self.landed_bytes)
    }
}

/// How many calls may be ahead of the consumer, when so many results have had so many bytes.
fn look_ahead(landed: u64, landed_bytes: u64) -> u64 {
    let bytes_each = landed_bytes.checked_div(landed).unwrap_or(0).max(1);
    let grown = LOOK_AHEAD_FIRST.saturating_add(landed.saturating_mul(4));
    (LOOK_AHEAD_BYTES / bytes_each).clamp(LOOK_AHEAD_MIN, LOOK_AHEAD_MAX).min(grown)
}

impl<R> Landing<R> {
    pub(crate) fn new(form: ResultForm, is_ordered: bool) -> Self {
        let results = match is_ordered {
            true => Order::ByIndex(BTreeMap::new()),
            false => Order::ByArrival(VecDeque::new()),
        };
        let state = State {
            results,
            admitted: 0,
            consumed: 0,
            landed: 0,
            landed_bytes: 0,
            feeder_waits: false,
            consumer_waits: false,
            end: None,
        };
        Self { form, state: Mutex::new(state), arrived: Condvar::new(), taken: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one more input in, as soon as there is room for what comes of it; says whether one is wanted at all.
    pub(crate) fn admit(&self) -> bool {
        let mut state = self.state();
        while state.end.is_none() && !state.has_room() {
            state.feeder_waits = true;
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.feeder_waits = false;
        if state.end.is_some() {
            return false;
        }
        state.admitted += 1;
        true
    }

    /// Says that the inputs have ended: so many results come, and then the error, if there is one.
    pub(crate) fn finish(&self, total: u64, error: Option<Error>) {
        self.state().end.get_or_insert(End { total: Some(total), error });
        self.arrived.notify_all();
    }

    /// Says that no more results come: the job was ended. The consumer gets those that are there, and the error.
    pub(crate) fn abort(&self, error: Error) {
        self.state().end = Some(End { total: None, error: Some(error) });
        self.arrived.notify_all();
        self.taken.notify_all();
    }

    /// The next result, when it is there; none when there are no more.
    ///
    /// # Errors
    ///
    /// When `until` passes first.
    pub(crate) fn next(&self, until: Option<Instant>) -> Result<Option<Result<R, Error>>, ()> {
        let mut state = self.state();
        loop {
            let consumed = state.consumed;
            if let Some(result) = state.results.take(consumed) {
                state.consumed += 1;
                // Not for each single one: whoever feeds would come back for every call.
                let ahead = state.admitted - state.consumed;
                let wakes =
                    state.feeder_waits && ahead * 4 <= look_ahead(state.landed, state.landed_bytes) * 3;
                drop(state);
                if wakes {
                    self.taken.notify_all();
                }
                return Ok(Some(result.map_err(Error::call)));
            }
            if let Some(end) = &mut state.end
                && end.total.is_none_or(|total| consumed >= total)
            {
                return Ok(end.error.take().map(Err));
            }
            state.consumer_waits = true;
            state = sleep(&self.arrived, state, until).ok_or(())?;
        }
    }

    fn land(&self, results: impl Iterator<Item = (u64, Result<R, Failure>)>, bytes: u64) {
        let mut state = self.state();
        for (index, result) in results {
            state.results.put(index, result);
            state.landed += 1;
        }
        state.landed_bytes = state.landed_bytes.saturating_add(bytes);
        let wakes = std::mem::take(&mut state.consumer_waits);
        drop(state);
        if wakes {
            self.arrived.notify_all();
        }
    }
}

impl<R: DeserializeOwned + Send> Sink for Landing<R> {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        let bytes = match &results.form {
            Form::Cells { width, .. } => results.count * width * 8,
            Form::Values { bytes, .. } => bytes.len(),
        };
        let mut read = Vec::with_capacity(results.count);
        let refused = self.form.read(first, &results, |index, result| read.push((index, Ok(result))));
        self.land(read.into_iter(), bytes as u64);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    fn failed(&self, failure: &Failure) {
        self.land(std::iter::once((failure.index(), Err(failure.clone()))), 0);
    }

    fn keeps_failures(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::error::ErrorKind;
    use super::super::outcome::FailureKind;
    use super::*;

    fn landing(is_ordered: bool) -> Landing<u64> {
        Landing::new(ResultForm::MessagePack { depth_max: 8 }, is_ordered)
    }

    fn put(landing: &Landing<u64>, indices: &[u64]) {
        landing.land(indices.iter().map(|index| (*index, Ok(*index))), 8);
        // What has come was let in before.
        let mut state = landing.state();
        state.admitted = state.admitted.max(state.landed);
    }

    fn left(landing: &Landing<u64>) -> Vec<Result<u64, ErrorKind>> {
        let next = || landing.next(Some(Instant::now() + Duration::from_millis(1))).ok().flatten();
        std::iter::from_fn(next).map(|result| result.map_err(|error| error.kind())).collect()
    }

    #[test]
    fn results_leave_in_the_order_that_was_asked_for() {
        for is_ordered in [true, false] {
            let landing = landing(is_ordered);
            put(&landing, &[2, 1]);
            assert_eq!(left(&landing), if is_ordered { vec![] } else { vec![Ok(2), Ok(1)] });
            put(&landing, &[0]);
            assert_eq!(left(&landing), if is_ordered { vec![Ok(0), Ok(1), Ok(2)] } else { vec![Ok(0)] });
        }
    }

    #[test]
    fn an_error_comes_behind_the_results_that_were_promised() {
        let landing = landing(true);
        put(&landing, &[1]);
        landing.finish(3, Some(Error::new(ErrorKind::Input, "broken")));
        assert!(landing.next(Some(Instant::now())).is_err());
        let failure = Failure::new(0, FailureKind::Trapped, "boom");
        landing.failed(&failure);
        put(&landing, &[2]);
        assert_eq!(left(&landing), [Err(ErrorKind::Call), Ok(1), Ok(2), Err(ErrorKind::Input)]);
        assert!(matches!(landing.next(None), Ok(None)));
        assert!(!landing.admit());
    }

    #[test]
    fn a_job_that_was_ended_gives_what_it_has_and_says_why() {
        let landing = landing(true);
        put(&landing, &[0, 2]);
        landing.finish(9, None);
        landing.abort(Error::new(ErrorKind::Closed, "gone"));
        assert_eq!(left(&landing), [Ok(0), Err(ErrorKind::Closed)]);
    }

    #[test]
    fn the_look_ahead_grows_with_results_and_shrinks_with_their_size() {
        assert_eq!(look_ahead(0, 0), LOOK_AHEAD_FIRST);
        assert_eq!(look_ahead(10, 80), LOOK_AHEAD_FIRST + 40);
        assert_eq!(look_ahead(1 << 40, 1 << 40), LOOK_AHEAD_MAX);
        assert_eq!(look_ahead(1000, 1000 << 20), 64);
        assert_eq!(look_ahead(1000, 1000 << 30), LOOK_AHEAD_MIN);
    }

    #[test]
    fn inputs_are_let_in_as_results_are_taken() {
        let landing = landing(true);
        (0..LOOK_AHEAD_FIRST).for_each(|_| assert!(landing.admit()));
        assert!(!landing.state().has_room());
        put(&landing, &[0]);
        assert!(landing.state().has_room(), "one is there, so four more may be begun");
        (0..4).for_each(|_| assert!(landing.admit()));
        assert!(!landing.state().has_room());
        assert!(matches!(landing.next(None), Ok(Some(Ok(0)))));
        assert!(landing.state().has_room());
    }
}
