//! With modules that a pool has loaded.

use anyhow::ensure;
use wasmpool::Task;

use super::{add_place, checked, seconds};
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
        let call = |number: usize| {
            checked(
                || Ok(tasks[number].apply(1)?),
                |sum| {
                    ensure!(sum == number as i64 + 1, "module {number} made {sum} of 1");
                    Ok(())
                },
            )
        };
        let called = count.min(CALLED_MAX);
        // Loading it again costs what loading another one does: it is in the cache, and becomes a module of its own.
        let mut loads = || seconds(|| checked(|| load(newest), |_| Ok(())));
        let mut same = || seconds(|| call(newest));
        let mut others = || {
            let all = || (count - called..count).try_fold(0.0, |taken, number| Ok(taken + call(number)?));
            Ok(seconds(all)? / called as f64)
        };
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
