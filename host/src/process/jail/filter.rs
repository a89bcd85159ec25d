//! The filter: which system calls a confined process can make, and with what arguments.
//!
//! A list of what is allowed; everything else kills the process, so that an attempt is seen as SIGSYS and not
//! mistaken for an ordinary error. There are two stages. The first is in place before any byte of a module is looked
//! at. The second, the *lock*, comes once the code is mapped: it takes away what only loading needed, above all the
//! right to make memory executable. The kernel applies both, and the stricter answer counts.
//!
//! The lists were found by running the test suite with `strace`; what stands here without having been seen there is
//! harmless and used by other versions of the C library. A few calls are answered as if the kernel did not have them,
//! because the C library tries them and can do without ([`TRIED`]).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::Inmate;
use crate::channel::control::FileAccess;

/// A call and when it is meant.
type Entry = (libc::c_long, When);

/// With what arguments a call is meant.
#[derive(Clone, Copy, Debug)]
enum When {
    /// With any.
    Always,
    /// When the argument of this index is one of these numbers.
    Among(u8, &'static [u64]),
    /// When the argument of this index has all of these bits and none of those.
    Exactly(u8, u64, u64),
    /// When argument 0 is this process, and argument 2 this signal.
    ToItself(u64),
}

use When::{Always, Among, Exactly, ToItself};

const EXECUTABLE: u64 = libc::PROT_EXEC as u64;

/// What a thread shares with its process; a process of its own would not.
const THREAD: u64 =
    (libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM)
        as u64;

/// New namespaces, and being traced.
const NEW_WORLDS: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PTRACE) as u64;

/// What every process of ours does for as long as it lives.
const LIVING: &[Entry] = &[
    // Memory. What is executable is the lock's affair.
    (libc::SYS_brk, Always),
    (libc::SYS_madvise, Always),
    (libc::SYS_mmap, Always),
    (libc::SYS_mprotect, Always),
    (libc::SYS_mremap, Always),
    (libc::SYS_munmap, Always),
    // Waiting, and the time.
    (libc::SYS_clock_getres, Always),
    (libc::SYS_clock_gettime, Always),
    (libc::SYS_clock_nanosleep, Always),
    (libc::SYS_futex, Always),
    (libc::SYS_futex_waitv, Always),
    (libc::SYS_gettimeofday, Always),
    (libc::SYS_nanosleep, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, Always),
    (libc::SYS_ppoll, Always),
    (libc::SYS_restart_syscall, Always),
    (libc::SYS_sched_yield, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_time, Always),
    // Itself.
    (libc::SYS_getcpu, Always),
    (libc::SYS_getpid, Always),
    (libc::SYS_getrandom, Always),
    (libc::SYS_gettid, Always),
    (libc::SYS_sched_getaffinity, Always),
    // Traps of guests, and its own end.
    (libc::SYS_exit, Always),
    (libc::SYS_exit_group, Always),
    (libc::SYS_rt_sigaction, Always),
    (libc::SYS_rt_sigprocmask, Always),
    (libc::SYS_rt_sigreturn, Always),
    (libc::SYS_sigaltstack, Always),
    (libc::SYS_tgkill, ToItself(libc::SIGABRT as u64)),
    // The control socket and the standard streams.
    (libc::SYS_close, Always),
    // The standard library looks whether a descriptor is open before it closes it, in builds with assertions.
    (libc::SYS_fcntl, Among(1, &[libc::F_GETFD as u64])),
    (libc::SYS_recvfrom, Always),
    (libc::SYS_sendmsg, Always),
    (libc::SYS_write, Always),
];

/// What loading needs besides, until the lock: frames and descriptors arrive, and what they lead to is mapped.
const LOADING: &[Entry] = &[
    (libc::SYS_fcntl, Among(1, &[libc::F_DUPFD_CLOEXEC as u64])),
    (libc::SYS_fstat, Always),
    (libc::SYS_lseek, Always),
    (libc::SYS_newfstatat, Always),
    (libc::SYS_pread64, Always),
    (libc::SYS_prctl, Among(0, &[libc::PR_SET_NO_NEW_PRIVS as u64, libc::PR_SET_MDWE as u64])),
    (libc::SYS_prlimit64, Among(0, &[0])),
    (libc::SYS_read, Always),
    (libc::SYS_recvmsg, Always),
    (libc::SYS_seccomp, Always),
    (libc::SYS_statx, Always),
];

/// What a program does besides: its standard streams are the caller's, and wasmtime-wasi serves it with threads.
const PROGRAM: &[Entry] = &[
    (libc::SYS_clone, Exactly(0, THREAD, NEW_WORLDS)),
    (libc::SYS_epoll_ctl, Always),
    (libc::SYS_epoll_pwait, Always),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, Always),
    (libc::SYS_fstat, Always),
    // Whether a stream is a terminal, and no more: the terminal is the user's own, and some calls type into it.
    (libc::SYS_ioctl, Among(1, &[libc::TCGETS, libc::TIOCGWINSZ])),
    (libc::SYS_prctl, Among(0, &[libc::PR_SET_NAME as u64])),
    (libc::SYS_read, Always),
    (libc::SYS_readv, Always),
    (libc::SYS_rseq, Always),
    (libc::SYS_set_robust_list, Always),
    (libc::SYS_writev, Always),
];

/// What granted directories need, for whoever has them. Which files these calls reach is Landlock's affair.
///
/// Landlock does not govern looks at a file's name, size and times: a process with granted directories can ask for
/// those of any path that its user can reach, and change none.
const FILES: &[Entry] = &[
    (libc::SYS_fadvise64, Always),
    (libc::SYS_fallocate, Always),
    (
        libc::SYS_fcntl,
        Among(
            1,
            &[
                libc::F_DUPFD_CLOEXEC as u64,
                libc::F_GETFD as u64,
                libc::F_GETFL as u64,
                libc::F_SETFD as u64,
                libc::F_SETFL as u64,
            ],
        ),
    ),
    (libc::SYS_fdatasync, Always),
    (libc::SYS_fstat, Always),
    (libc::SYS_fsync, Always),
    (libc::SYS_ftruncate, Always),
    (libc::SYS_getdents64, Always),
    (libc::SYS_linkat, Always),
    (libc::SYS_lseek, Always),
    (libc::SYS_mkdirat, Always),
    (libc::SYS_newfstatat, Always),
    (libc::SYS_openat, Always),
    (libc::SYS_openat2, Always),
    (libc::SYS_pread64, Always),
    (libc::SYS_preadv, Always),
    (libc::SYS_pwrite64, Always),
    (libc::SYS_pwritev, Always),
    (libc::SYS_read, Always),
    (libc::SYS_readlinkat, Always),
    (libc::SYS_readv, Always),
    (libc::SYS_renameat, Always),
    (libc::SYS_renameat2, Always),
    (libc::SYS_statx, Always),
    (libc::SYS_symlinkat, Always),
    (libc::SYS_unlinkat, Always),
    (libc::SYS_utimensat, Always),
    (libc::SYS_writev, Always),
];

/// What is answered as if there were no such call: the C library tries it and can do without.
const TRIED: &[libc::c_long] = &[
    // The allocator looks how the system commits memory, before it gives some back.
    libc::SYS_openat,
    // A filter cannot see its arguments; without it threads are started by `clone`.
    libc::SYS_clone3,
];

/// What a process may do for as long as it lives, beside [`LIVING`].
fn extras(inmate: Inmate, directories: FileAccess) -> impl Iterator<Item = &'static Entry> {
    let own = match inmate {
        Inmate::Worker | Inmate::Compiler => &[],
        Inmate::Program => PROGRAM,
    };
    let files = match directories {
        FileAccess::None => &[],
        FileAccess::Granted => FILES,
    };
    own.iter().chain(files)
}

/// Puts the first stage in place, for all threads.
///
/// # Errors
///
/// The kernel's, or the compiler's of filters.
pub(super) fn confine(inmate: Inmate, directories: FileAccess) -> Result<(), seccompiler::Error> {
    let mut calls = Calls::default();
    let entries = LIVING.iter().chain(LOADING).chain(extras(inmate, directories));
    entries.for_each(|entry| calls.add(entry));
    let mut tried = Calls::default();
    for number in TRIED.iter().filter(|number| !calls.0.contains_key(number)) {
        tried.add(&(*number, Always));
    }
    // Both filters are asked, and an error counts for more than leave, so the other one may give it.
    tried.0.keys().for_each(|number| calls.add(&(*number, Always)));
    install(tried, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    install(calls, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// Takes away what only loading needed, for all threads.
///
/// # Errors
///
/// As [`confine`].
pub(super) fn lock(inmate: Inmate, directories: FileAccess) -> Result<(), seccompiler::Error> {
    let mut calls = Calls::default();
    calls.add(&(libc::SYS_mmap, Exactly(2, EXECUTABLE, 0)));
    calls.add(&(libc::SYS_mprotect, Exactly(2, EXECUTABLE, 0)));
    let kept = LIVING.iter().chain(extras(inmate, directories));
    let kept: Vec<libc::c_long> = kept.map(|(number, _)| *number).collect();
    for (number, _) in LOADING.iter().filter(|(number, _)| !kept.contains(number)) {
        calls.add(&(*number, Always));
    }
    install(calls, SeccompAction::Allow, SeccompAction::KillProcess)
}

/// System calls, each with the ways in which it is meant.
#[derive(Default)]
struct Calls(BTreeMap<i64, Vec<SeccompRule>>);

impl Calls {
    fn add(&mut self, (number, when): &Entry) {
        let rules = when.rules();
        let is_known = self.0.contains_key(number);
        let known = self.0.entry(*number).or_default();
        if rules.is_empty() || (is_known && known.is_empty()) {
            // No rules mean that every call is meant.
            known.clear();
        } else {
            known.extend(rules);
        }
    }
}

impl When {
    /// One rule for each way; none where arguments do not matter.
    fn rules(self) -> Vec<SeccompRule> {
        use SeccompCmpOp::{Eq, MaskedEq};
        match self {
            Always => Vec::new(),
            Among(index, numbers) => numbers.iter().map(|number| rule(&[(index, Eq, *number)])).collect(),
            Exactly(index, all, none) => vec![rule(&[(index, MaskedEq(all | none), all)])],
            ToItself(signal) => vec![rule(&[(0, Eq, std::process::id().into()), (2, Eq, signal)])],
        }
    }
}

/// All that we look at is in the lower half of an argument; the kernel does not look at the upper half either.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> SeccompRule {
    let condition = |(index, operator, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*index, SeccompCmpArgLen::Dword, operator.clone(), *value)
            .expect("a call has arguments 0 to 5")
    };
    SeccompRule::new(conditions.iter().map(condition).collect()).expect("a rule has conditions")
}

fn install(calls: Calls, otherwise: SeccompAction, meant: SeccompAction) -> Result<(), seccompiler::Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(calls.0, otherwise, meant, architecture)?;
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)
}
