//! More workers, when all of a module's wait for one another.
//!
//! Calls that wait for each other (at a barrier, at a queue) need to run at the same time, however many workers the
//! pool has. So when calls wait for a worker and every worker of their module sleeps inside a call, one more seat is
//! opened; beyond [`SEATS_MAX`] the sleeping calls end with an error instead. A seat that was opened so is closed
//! again when its worker has had nothing to do for a while.
//!
//! Workers of other modules are no help as they are: one that is idle, or too many that are busy, are asked to change.
//! Sleepers do not count then, or a module with one sleeping worker and one waiting call would seem to be served.
//!
//! Opening too many costs memory, opening too few hangs a job. While calls wait, the look is repeated
//! every few milliseconds by each feeder whose worker sleeps, so that it need not be exact at any instant; while none
//! do, such a feeder sleeps until the lobby's bell tells of more. No more workers than the pool's number
//! are ever awake because of it: one is opened only when fewer than that are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::module::ModuleState;
use super::shared::{Seat, Shared, Tenure};
use super::staff::{Staff, Standing};

/// Most seats of a pool, unless it is to have more: workers beyond the pool's number are started only to wait.
pub(crate) const SEATS_MAX: usize = 64;

/// How long a call has slept before another worker is started on its account: most sleeps are shorter.
pub(crate) const HELD_UP_MIN: Duration = Duration::from_millis(1);

/// How long a seat beyond the pool's number stays open without work.
pub(crate) const SPARE_TIME: Duration = Duration::from_secs(1);

/// Least time between two calls that are ended for want of seats: the place of the first has to be taken first.
const SUCCESSION_TIME: Duration = Duration::from_millis(20);

/// How long every worker of a module has slept before a call is ended for want of seats. Whoever was woken and waits for
/// a processor still counts as asleep, and on a busy machine that may take long.
const STANDSTILL_MIN: Duration = Duration::from_millis(200);

/// How soon to look again while calls wait.
pub(crate) const EXPECTED_TIME: Duration = Duration::from_millis(20);

/// What can be done for calls that wait while a module's workers sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    /// No calls wait.
    Needless,
    /// Somebody is to come to them who is not asleep, or room is being made. Look again soon.
    Expected,
    /// One more seat was opened.
    Opened,
    /// There are no more seats: calls that sleep have to end.
    Exhausted,
}

/// What the seats of a pool are doing, as far as one module is concerned.
#[derive(Clone, Copy, Debug, Default)]
struct Headcount {
    /// Seats of which work can be expected: not asleep inside a call, or about to begin.
    awake: usize,
    /// Those of them that serve the module, or may soon.
    for_module: usize,
    /// Those of them that have nothing to do for another module.
    idle_elsewhere: usize,
    /// Calls of the module that a sleeping worker has been given and has not begun.
    is_waiting: bool,
    /// How long the module's worker that fell asleep last has slept.
    least_sleep: Option<Duration>,
}

/// Opens another seat if all of a module's workers sleep while calls wait.
///
/// Chunks in the deques of sleeping workers' feeders are not seen; those feeders empty them before they ask.
pub(crate) fn relieve(shared: &Arc<Shared>, module: &Arc<ModuleState>) -> Relief {
    // One at a time, so that what one has opened or ended is counted by the next.
    let mut seats = shared.staff();
    let staff = count(shared, module);
    let is_waiting = staff.is_waiting || module.backlog() > 0;
    if !is_waiting || shared.is_closing() {
        return Relief::Needless;
    }
    if staff.for_module > 0 {
        return Relief::Expected;
    }
    module.call_for_worker();
    if staff.idle_elsewhere > 0 || staff.awake >= shared.workers() {
        // Only those without work: this one would wake itself.
        shared.lobby.bell().ring();
        return Relief::Expected;
    }
    if open(shared, &mut seats) {
        return Relief::Opened;
    }
    let is_standstill = staff.least_sleep.is_some_and(|least| least >= STANDSTILL_MIN);
    if !is_standstill || seats.last_exhausted.is_some_and(|last| last.elapsed() < SUCCESSION_TIME) {
        return Relief::Expected;
    }
    seats.last_exhausted = Some(Instant::now());
    Relief::Exhausted
}

fn count(shared: &Shared, module: &Arc<ModuleState>) -> Headcount {
    let mut staff = Headcount::default();
    // Those that are leaving take no more calls.
    let takes_calls = |seat: &&Seat| seat.standing.get() == Standing::Open;
    for seat in shared.open_seats().iter().filter(takes_calls) {
        // A lock that somebody holds: there is something going on.
        let Some(mut state) = seat.try_lock() else {
            staff.awake += 1;
            staff.for_module += 1;
            continue;
        };
        let is_failing = state.is_failing;
        match &mut state.tenure {
            Tenure::Serving(service) => {
                // It may have gone on since its feeder looked.
                service.look_asleep();
                let is_own = Arc::ptr_eq(&service.module, module);
                match service.held_up_time() {
                    Some(slept) if is_own => {
                        staff.is_waiting |= service.rest() > 0;
                        staff.least_sleep = staff.least_sleep.into_iter().chain([slept]).min();
                    }
                    Some(_) => {}
                    None => {
                        staff.awake += 1;
                        staff.for_module += usize::from(is_own);
                        staff.idle_elsewhere += usize::from(!is_own && service.is_idle());
                    }
                }
            }
            // Where no worker can be started, none is to be expected.
            Tenure::Vacant if is_failing => {}
            Tenure::Vacant | Tenure::Blank(_) => {
                staff.awake += 1;
                staff.for_module += 1;
            }
        }
    }
    staff
}

/// Opens the next seat beyond the pool's number.
fn open(shared: &Arc<Shared>, seats: &mut Staff) -> bool {
    let beyond = shared.workers()..SEATS_MAX;
    let closed = beyond.into_iter().find(|number| shared.seats[*number].standing.get() == Standing::Closed);
    // Where the system gives no more threads, there are no more seats.
    let is_open = closed.is_some_and(|number| seats.open(shared, number).is_ok());
    if is_open {
        shared.lobby.ring_always();
    }
    is_open
}
