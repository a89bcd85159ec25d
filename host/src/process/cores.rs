//! How many cores this process may use.

use std::fs;
use std::path::Path;

/// Cores that this process may use: the machine's, less what affinity and cgroup quotas take away; at least one.
///
/// A quota of one and a half cores counts as two: a worker that waits half of the time is better than a core that
/// does.
#[must_use]
pub(crate) fn available() -> usize {
    // The standard library counts affinity and quotas of cgroup v1 and v2, rounding quotas down.
    let counted = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let quota = quota_of_this_process().map_or(counted, |quota| quota.ceil() as usize);
    let allowed = rustix::thread::sched_getaffinity(None).map_or(counted, |set| set.count() as usize);
    allowed.min(quota.max(counted)).max(1)
}

/// The tightest cgroup v2 quota above this process, in cores.
pub(crate) fn quota_of_this_process() -> Option<f64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let leaf = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let quotas = leaf.ancestors().take_while(|path| path.starts_with("/sys/fs/cgroup")).filter_map(|path| {
        let text = fs::read_to_string(path.join("cpu.max")).ok()?;
        parse_quota(&text)
    });
    quotas.reduce(f64::min)
}

/// Reads the contents of a `cpu.max` file: quota and period in microseconds, or `max` for none.
fn parse_quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_in_cores() {
        assert_eq!(parse_quota("150000 100000\n"), Some(1.5));
        assert_eq!(parse_quota("max 100000\n"), None);
        assert_eq!(parse_quota(""), None);
        assert_eq!(parse_quota("1 0"), None);
    }

    #[test]
    fn there_is_at_least_one_core() {
        assert!(available() >= 1);
    }
}
