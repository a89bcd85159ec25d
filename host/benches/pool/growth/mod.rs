//! How cost grows: with calls, with their size, with workers, with modules, and with threads that feed a pool.

pub(crate) mod calls;
pub(crate) mod feeding;
pub(crate) mod modules;
pub(crate) mod payload;
pub(crate) mod workers;

use std::time::Instant;

use anyhow::Context as _;

use crate::numbers::curve::Curve;
use crate::numbers::samples::Samples;
use crate::say;
use crate::world::World;

/// Seconds that a point is measured at least: what takes less is done again.
const SECONDS_MIN: f64 = 5e-3;

/// One contestant at one point: returns what the curve counts.
type Measure<'a> = &'a mut dyn FnMut() -> anyhow::Result<f64>;

/// Measures all contestants at one place of a curve, by turns. Who fails has no point there, and a note says why.
fn add_place<const N: usize>(
    world: &World,
    curve: &mut Curve,
    place: f64,
    contestants: [(&'static str, Measure<'_>); N],
) {
    let turns = world.turns_of_point();
    let mut values = [const { Vec::new() }; N];
    let mut failures = [const { None }; N];
    let mut contestants = contestants;
    for turn in 0..=turns {
        for (at, (_, measure)) in contestants.iter_mut().enumerate() {
            match failures[at].is_none().then(&mut *measure) {
                Some(Ok(value)) => values[at].extend((turn > 0).then_some(value)),
                Some(Err(error)) => failures[at] = Some(format!("{error:#}")),
                None => {}
            }
        }
    }
    for (((line, _), values), failure) in contestants.into_iter().zip(values).zip(failures) {
        match (failure, Samples::new(values)) {
            (None, Some(samples)) => curve.add(line, place, samples),
            (reason, _) => {
                let reason = reason.unwrap_or_else(|| "measured no number".to_owned());
                let note = format!("{line} at {place}: {reason}");
                say(&format!("{}: {note}", curve.name));
                curve.notes.push(note);
            }
        }
    }
}

/// Seconds that something takes, on average: it is done as often as fits into [`SECONDS_MIN`], at least once, and says
/// each time how long it took, so that checking its results does not count.
fn seconds(mut once: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let (started, mut taken) = (Instant::now(), 0.0);
    for count in 1_u32.. {
        taken += once()?;
        if started.elapsed().as_secs_f64() >= SECONDS_MIN {
            return Ok(taken / f64::from(count));
        }
    }
    None.context("nothing took any time")
}

/// Seconds that something takes whose result is then checked.
fn checked<T>(
    run: impl FnOnce() -> anyhow::Result<T>,
    check: impl FnOnce(T) -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let result = run()?;
    let seconds = started.elapsed().as_secs_f64();
    check(result)?;
    Ok(seconds)
}
