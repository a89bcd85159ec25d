//! With the size of what a call takes and returns.

use anyhow::ensure;

use super::{add_place, checked, seconds};
use crate::bytes;
use crate::measured::Measured;
use crate::numbers::curve::Curve;
use crate::numbers::unit::Unit;
use crate::world::World;

/// Powers of two: fewest bytes, steps, most bytes, and most when time is short.
const FIRST: u32 = 3;
const STEP: usize = 2;
const LAST: u32 = 28;
const LAST_QUICK: u32 = 21;

/// Bytes a second each way, of a text that comes back unchanged, from eight bytes to 256 MiB: more than a value may
/// have, and the note says so.
///
/// # Errors
///
/// When there is no pool; a call that fails is a note of the curve.
pub(crate) fn rate(world: &World) -> anyhow::Result<Measured> {
    let last = if world.is_quick { LAST_QUICK } else { LAST };
    let longest = "x".repeat(1 << last);
    let pool = bytes::pool(world)?;
    let module = pool.load(&world.module)?;
    let (text_task, bytes_task) =
        (module.task::<&str, String>("echo_text")?, module.task::<&[u8], Vec<u8>>("echo_bytes")?);
    let title = "Bytes a second there and as many back, one call after the other";
    let mut curve = Curve::new("growth-payload", title, "bytes", Unit::BytesPerSecond);
    let lengths = (FIRST..=last)
        .step_by(STEP)
        .map(|power| 1_usize << power)
        .chain((!world.is_quick).then_some(1 << LAST));
    for length in lengths {
        let text = &longest[..length];
        let bytes = text.as_bytes();
        let rate = |seconds: f64| length as f64 / seconds;
        let is_right = |came: &[u8]| {
            ensure!(came == bytes, "something else came back");
            Ok(())
        };
        let mut texts = || {
            let once = || checked(|| Ok(text_task.apply(text)?), |came| is_right(came.as_bytes()));
            seconds(once).map(rate)
        };
        let mut blobs = || {
            let once = || checked(|| Ok(bytes_task.apply(bytes)?), |came| is_right(&came));
            seconds(once).map(rate)
        };
        let mut python = || {
            let python = world.python.as_ref().map_err(|absence| anyhow::Error::msg(absence.clone()))?;
            Ok(rate(python.figure("echo", length)?))
        };
        add_place(
            world,
            &mut curve,
            length as f64,
            [
                ("wasmpool, text", &mut texts),
                ("wasmpool, bytes", &mut blobs),
                ("Python Pool.apply", &mut python),
            ],
        );
    }
    Ok(vec![curve].into())
}
