//! How much memory this process may still take: what the machine has, and what its control groups leave.

use std::fs;
use std::path::Path;

/// No control group is limited to as much: more than any machine has.
const LIMIT_BYTES_MAX: u64 = 1 << 60;

/// Bytes that can still be taken, about; the largest number where nothing is known.
pub(crate) fn available() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    machine.unwrap_or(u64::MAX).min(of_this_group().unwrap_or(u64::MAX))
}

/// Bytes that the tightest of this process's control groups leaves; none where there is no limit.
pub(crate) fn of_this_group() -> Option<u64> {
    fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| of_groups(&text))
}

/// What `/proc/meminfo` calls available.
fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What the tightest of this process's control groups leaves, of version 2 and of version 1's memory controller.
fn of_groups(memberships: &str) -> Option<u64> {
    let rests = memberships.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (root, limit, usage) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max", "memory.current")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        } else {
            return Vec::new();
        };
        // A group's limit holds for all below it.
        let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
        ancestors.filter_map(|group| of_group(&Path::new(root).join(group), limit, usage)).collect()
    });
    rests.min()
}

fn of_group(group: &Path, limit: &str, usage: &str) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // "max" is no number: no limit. Version 1 writes the largest number of pages instead.
    let limit = number(limit).filter(|limit| *limit < LIMIT_BYTES_MAX)?;
    Some(limit.saturating_sub(number(usage)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(of_machine("MemTotal:       100 kB\nMemAvailable:    20 kB\n"), Some(20 << 10));
        assert_eq!(of_machine("MemTotal:       100 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("written");
        file("memory.max", "1000\n");
        file("memory.current", "400\n");
        assert_eq!(of_group(root.path(), "memory.max", "memory.current"), Some(600));
        file("memory.max", "9223372036854771712\n");
        assert_eq!(of_group(root.path(), "memory.max", "memory.current"), None);
        file("memory.max", "max\n");
        assert_eq!(of_group(root.path(), "memory.max", "memory.current"), None);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(available() > 0);
    }
}
