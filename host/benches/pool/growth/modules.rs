//! With modules that a pool has loaded.

use std::cell::Cell;

use anyhow::ensure;
use wasmpool::Task;

use super::{add_place, seconds};
use crate::measured::Measured;
use crate::numbers::curve::Curve;
use crate::numbers::unit::Unit;
use crate::world::{self, World};

const COUNTS: [usize; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// Most modules when time is short.
const QUICK_MAX: usize = 20;

/// Modules that are called in turn.
const CALLED_MAX: usize = 20;

/// Seconds to load one more module, for a call of a module that is being called, and for a call of one that is not: a
/// worker serves one module, so that another one means another process.
///
/// # Errors
///
/// When there is no pool; a call that fails is a note of the curve.
pub(crate) fn time(world: &World) -> anyhow::Result<Measured> {
    let pool = world::pool(&world.cache())?;
    let load = |number: usize| {
        anyhow::Ok(pool.load_bytes("adds", adder(number).as_bytes())?.task::<i64, i64>("add")?)
    };
    let title = "A pool with many modules, time of one load or call";
    let mut curve = Curve::new("growth-modules", title, "modules loaded", Unit::Seconds);
    let mut tasks: Vec<Task<i64, i64>> = Vec::new();
    let most = if world.is_quick { QUICK_MAX } else { COUNTS[COUNTS.len() - 1] };
    for count in COUNTS.into_iter().filter(|count| *count <= most) {
        for number in tasks.len()..count {
            tasks.push(load(number)?);
        }
        let newest = count - 1;
        let check = |number: usize| {
            let sum = tasks[number].apply(1)?;
            ensure!(sum == number as i64 + 1, "module {number} made {sum} of 1");
            anyhow::Ok(())
        };
        let called = count.min(CALLED_MAX);
        // Loading it again costs what loading another one does: it is in the cache, and becomes a module of its own.
        let again = Cell::new(None);
        let mut loads = || seconds(|| load(newest).map(|task| again.set(Some(task))));
        let mut same = || seconds(|| check(newest));
        let mut others = || Ok(seconds(|| (count - called..count).try_for_each(check))? / called as f64);
        add_place(
            world,
            &mut curve,
            count as f64,
            [
                ("a call of the same", &mut same),
                ("a call of each in turn", &mut others),
                ("loading one, cached", &mut loads),
            ],
        );
    }
    Ok(vec![curve].into())
}

/// A module that no other is like.
fn adder(number: usize) -> String {
    format!(
        "(module (func (export \"add\") (param i64) (result i64) (i64.add (local.get 0) (i64.const {number}))))"
    )
}
