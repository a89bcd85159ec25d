//! Measuring by turns: whatever else the machine is doing hits every contestant alike.

/// Something that measures itself once and returns seconds, or whatever else the figure counts.
pub(crate) type Contestant<'a> = &'a mut dyn FnMut() -> anyhow::Result<f64>;

/// Lets the contestants run one after the other, so many rounds, after one that does not count; returns each one's
/// median.
///
/// # Errors
///
/// The first error of any contestant.
pub(crate) fn medians<const N: usize>(
    rounds: usize,
    mut contestants: [Contestant<'_>; N],
) -> anyhow::Result<[f64; N]> {
    let mut measured = [const { Vec::new() }; N];
    for round in 0..=rounds {
        for (contestant, values) in contestants.iter_mut().zip(&mut measured) {
            let value = contestant()?;
            if round > 0 {
                values.push(value);
            }
        }
    }
    Ok(measured.map(|values| percentile(values, 50)))
}

/// The value below which so many percent of `values` lie.
///
/// # Panics
///
/// When there are none.
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}
