//! Large values: 64 MiB to a guest and 64 MiB back.

use std::time::Instant;

use anyhow::ensure;
use wasmpool::Pool;

use crate::contest::Contest;
use crate::figure::Figure;
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::world::{WORKERS, World};

/// As much as a value may have, less what its encoding adds.
const BYTES: usize = (64 << 20) - 64;

/// Memory of an instance that holds such a value a few times.
const MEMORY_BYTES: u64 = 1 << 30;

/// Bytes a second, each way.
const EACH_WAY: Bound = Bound::new(1.5e9, 3e9);

/// A large argument and a large result, of text, which is encoded as it lies in memory, and of bytes.
///
/// # Errors
///
/// When a call fails or returns something wrong.
pub(crate) fn both_ways(world: &World) -> anyhow::Result<Measured> {
    let pool = pool(world)?;
    let module = pool.load(&world.module)?;
    let text = "x".repeat(BYTES);
    let bytes = vec![b'x'; BYTES];
    let length = BYTES as u64;
    let count_text = module.task::<&str, u64>("count_text")?;
    let count_bytes = module.task::<&[u8], u64>("count_bytes")?;
    let make_text = module.task::<u64, String>("big_result")?;
    let make_bytes = module.task::<u64, Vec<u8>>("big_bytes")?;
    let is_right = |result: &[u8]| result == bytes;
    Ok(vec![
        rate(
            world,
            ("bytes-in", "64 MiB of bytes as argument"),
            || Ok(count_bytes.apply(&bytes)? == length),
        )?
        .promised(EACH_WAY),
        rate(world, ("bytes-out", "64 MiB of bytes as result"), || {
            Ok(make_bytes.apply(length)?.len() == BYTES)
        })?
        .promised(EACH_WAY),
        rate(world, ("bytes-text-in", "64 MiB of text as argument"), || {
            Ok(count_text.apply(&text)? == length)
        })?,
        rate(world, ("bytes-text-out", "64 MiB of text as result"), || {
            Ok(is_right(make_text.apply(length)?.as_bytes()))
        })?,
    ]
    .into())
}

/// A pool whose instances may hold large values.
///
/// # Errors
///
/// When there can be none.
pub(crate) fn pool(world: &World) -> Result<Pool, wasmpool::Error> {
    Pool::builder().workers(WORKERS).cache_dir(world.cache()).max_memory(MEMORY_BYTES).build()
}

fn rate(
    world: &World,
    (name, what): (&'static str, &'static str),
    run: impl Fn() -> anyhow::Result<bool>,
) -> anyhow::Result<Figure> {
    let ours = || {
        let started = Instant::now();
        let is_right = run()?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(is_right, "{name} came as something else");
        Ok(BYTES as f64 / seconds)
    };
    Contest::new(name, what, Unit::BytesPerSecond, ours).run(world.turns())
}
