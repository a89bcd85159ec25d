//! Modules that have broken out of WebAssembly: whatever system call they make, it ends their worker and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use wasmpool::{Exit, FailureKind, Module};
use wasmpool_tests::processes;
use wasmpool_tests::watchdog::SetWhenDropped;
use wasmpool_tests::{Fixture, builder, failure, text, text_in};

wasmpool::test_support!(break_outs);

/// A module that makes any system call. It can print, so that its calls are not run again by themselves.
const BREAKER: &str = r#"(module
  (import "wasmpool_test" "syscall" (func $syscall (param i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (import "wasmpool_test" "address" (func $address (param i32) (result i64)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "/etc/passwd\00")
  (data (i32.const 64) "/proc/self/fd/0\00")
  (data (i32.const 128) "\00\10\00\00\00\00\00\00\00\10\00\00\00\00\00\00")
  (func (export "address") (param i32) (result i64) (call $address (local.get 0)))
  (func (export "cube") (param i64) (result i64)
    (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0))))
  (func (export "syscall") (param i64 i64 i64 i64 i64 i64 i64) (result i64)
    (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                   (local.get 6))))"#;

/// A whole page of the module's memory.
const PAGE: i32 = 65536;

/// Where the module has a path, and where the path of a descriptor.
const PATH: i32 = 0;
const DESCRIPTOR_PATH: i32 = 64;

/// Where it has a limit of 4,096, twice.
const RAISED: i32 = 128;

const SIGSYS: Exit = Exit::Signal(31);

/// What comes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The worker is killed.
    Killed,
    /// The call returns this error.
    Fails(i32),
}

/// An argument of a system call.
#[derive(Clone, Copy)]
enum Argument {
    Is(i64),
    /// The place of a byte of the module's memory.
    At(i32),
    /// The process id of the supervisor, of the other worker, or the worker's own.
    Supervisor,
    Other,
    Own,
}

use Argument::{At, Is, Other, Own, Supervisor};
use Comes::{Fails, Killed};

struct Attempt {
    what: &'static str,
    number: i64,
    arguments: &'static [Argument],
    comes: Comes,
}

macro_rules! attempts {
    ($($what:literal: $number:ident($($argument:expr),*) => $comes:expr;)*) => {
        &[$(Attempt { what: $what, number: libc::$number, arguments: &[$($argument),*], comes: $comes }),*]
    };
}

const READ_WRITE: Argument = Is((libc::PROT_READ | libc::PROT_WRITE) as i64);
const CODE: Argument = Is((libc::PROT_READ | libc::PROT_EXEC) as i64);
const ANONYMOUS: Argument = Is((libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64);
const HERE: Argument = Is(libc::AT_FDCWD as i64);
const KILL: Argument = Is(libc::SIGKILL as i64);
const NONE: Argument = Is(0);

const ATTEMPTS: &[Attempt] = attempts! {
    "open": SYS_open(At(PATH), NONE) => Killed;
    // The C library tries it, so it is answered; as everywhere, nothing is opened.
    "openat": SYS_openat(HERE, At(PATH), NONE) => Fails(libc::ENOSYS);
    "openat of a descriptor's file": SYS_openat(HERE, At(DESCRIPTOR_PATH), Is(libc::O_RDWR as i64)) => Fails(libc::ENOSYS);
    "openat2": SYS_openat2(HERE, At(PATH), At(PAGE), Is(24)) => Killed;
    "creat": SYS_creat(At(PATH), NONE) => Killed;
    "open_by_handle_at": SYS_open_by_handle_at(HERE, At(PAGE), NONE) => Killed;
    "name_to_handle_at": SYS_name_to_handle_at(HERE, At(PATH), At(PAGE), At(PAGE), NONE) => Killed;
    "stat": SYS_stat(At(PATH), At(PAGE)) => Killed;
    "statx": SYS_statx(HERE, At(PATH), NONE, NONE, At(PAGE)) => Killed;
    "newfstatat": SYS_newfstatat(HERE, At(PATH), At(PAGE), NONE) => Killed;
    "readlink": SYS_readlink(At(DESCRIPTOR_PATH), At(PAGE), Is(100)) => Killed;
    "access": SYS_access(At(PATH), NONE) => Killed;
    "unlink": SYS_unlink(At(PAGE)) => Killed;
    "rename": SYS_rename(At(PAGE), At(PAGE)) => Killed;
    "chmod": SYS_chmod(At(PAGE), NONE) => Killed;
    "truncate": SYS_truncate(At(PAGE), NONE) => Killed;
    "mkdir": SYS_mkdir(At(PAGE), NONE) => Killed;
    "mknod": SYS_mknod(At(PAGE), NONE, NONE) => Killed;
    "inotify_init1": SYS_inotify_init1(NONE) => Killed;
    "socket": SYS_socket(Is(2), Is(1), NONE) => Killed;
    "socketpair": SYS_socketpair(Is(1), Is(1), NONE, At(PAGE)) => Killed;
    "connect": SYS_connect(NONE, At(PAGE), Is(16)) => Killed;
    "bind": SYS_bind(NONE, At(PAGE), Is(16)) => Killed;
    "accept": SYS_accept4(NONE, NONE, NONE, NONE) => Killed;
    "sendto": SYS_sendto(NONE, At(PAGE), Is(1), NONE, NONE, NONE) => Killed;
    "recvmsg": SYS_recvmsg(NONE, At(PAGE), NONE) => Killed;
    "execve": SYS_execve(At(PATH), NONE, NONE) => Killed;
    "execveat": SYS_execveat(HERE, At(PATH), NONE, NONE, NONE) => Killed;
    "fork": SYS_fork() => Killed;
    "vfork": SYS_vfork() => Killed;
    "clone of a process": SYS_clone(Is(libc::SIGCHLD as i64)) => Killed;
    "clone of a thread": SYS_clone(Is((libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as i64)) => Killed;
    "clone3": SYS_clone3(At(PAGE), Is(88)) => Fails(libc::ENOSYS);
    "ptrace": SYS_ptrace(Is(libc::PTRACE_ATTACH as i64), Supervisor) => Killed;
    "process_vm_readv": SYS_process_vm_readv(Supervisor, At(PAGE), NONE, At(PAGE), NONE, NONE) => Killed;
    "process_vm_writev": SYS_process_vm_writev(Other, At(PAGE), NONE, At(PAGE), NONE, NONE) => Killed;
    "process_madvise": SYS_process_madvise(NONE, At(PAGE), NONE, NONE, NONE) => Killed;
    "kcmp": SYS_kcmp(Own, Supervisor, NONE, NONE, NONE) => Killed;
    "kill of the supervisor": SYS_kill(Supervisor, NONE) => Killed;
    "kill of another worker": SYS_kill(Other, KILL) => Killed;
    "kill of everybody": SYS_kill(Is(-1), NONE) => Killed;
    "kill of the group": SYS_kill(NONE, NONE) => Killed;
    "tkill": SYS_tkill(Supervisor, KILL) => Killed;
    "tgkill of another": SYS_tgkill(Other, Other, Is(libc::SIGABRT as i64)) => Killed;
    "tgkill by another signal": SYS_tgkill(Own, Own, Is(libc::SIGSTOP as i64)) => Killed;
    "rt_sigqueueinfo": SYS_rt_sigqueueinfo(Supervisor, NONE, At(PAGE)) => Killed;
    "rt_tgsigqueueinfo": SYS_rt_tgsigqueueinfo(Supervisor, Supervisor, NONE, At(PAGE)) => Killed;
    "pidfd_open": SYS_pidfd_open(Supervisor, NONE) => Killed;
    "pidfd_send_signal": SYS_pidfd_send_signal(NONE, KILL, NONE, NONE) => Killed;
    "pidfd_getfd": SYS_pidfd_getfd(NONE, NONE, NONE) => Killed;
    "owner of a descriptor's signals": SYS_fcntl(NONE, Is(libc::F_SETOWN as i64), Supervisor) => Killed;
    "input of the terminal": SYS_ioctl(NONE, Is(libc::TIOCSTI as i64), At(PAGE)) => Killed;
    "priority of another": SYS_setpriority(NONE, Supervisor, Is(19)) => Killed;
    "limits of another": SYS_prlimit64(Supervisor, Is(7), At(PAGE), NONE) => Killed;
    "its own limits": SYS_prlimit64(NONE, Is(7), At(PAGE), NONE) => Killed;
    "executable memory by mprotect": SYS_mprotect(At(PAGE), Is(4096), CODE) => Killed;
    "executable memory by mmap": SYS_mmap(NONE, Is(4096), CODE, ANONYMOUS, Is(-1), NONE) => Killed;
    "executable memory by pkey_mprotect": SYS_pkey_mprotect(At(PAGE), Is(4096), CODE, Is(-1)) => Killed;
    "memory of others by shmget": SYS_shmget(Is(1), Is(4096), NONE) => Killed;
    "remap_file_pages": SYS_remap_file_pages(At(PAGE), Is(4096), NONE, NONE, NONE) => Killed;
    "memfd_create": SYS_memfd_create(At(PATH), NONE) => Killed;
    "dup": SYS_dup(NONE) => Killed;
    "io_uring_setup": SYS_io_uring_setup(Is(1), At(PAGE)) => Killed;
    "io_setup": SYS_io_setup(Is(1), At(PAGE)) => Killed;
    "bpf": SYS_bpf(NONE, At(PAGE), Is(72)) => Killed;
    "userfaultfd": SYS_userfaultfd(Is(1)) => Killed;
    "perf_event_open": SYS_perf_event_open(At(PAGE), NONE, Is(-1), Is(-1), NONE) => Killed;
    "keyctl": SYS_keyctl(NONE) => Killed;
    "add_key": SYS_add_key(At(PATH), At(PATH), NONE, NONE, NONE) => Killed;
    "request_key": SYS_request_key(At(PATH), At(PATH), NONE, NONE) => Killed;
    "fanotify_init": SYS_fanotify_init(NONE, NONE) => Killed;
    "mount": SYS_mount(At(PATH), At(PATH), NONE, NONE, NONE) => Killed;
    "umount2": SYS_umount2(At(PATH), NONE) => Killed;
    "pivot_root": SYS_pivot_root(At(PATH), At(PATH)) => Killed;
    "chroot": SYS_chroot(At(PATH)) => Killed;
    "chdir": SYS_chdir(At(PATH)) => Killed;
    "unshare": SYS_unshare(Is(libc::CLONE_NEWUSER as i64)) => Killed;
    "setns": SYS_setns(NONE, NONE) => Killed;
    "setuid": SYS_setuid(NONE) => Killed;
    "setgroups": SYS_setgroups(NONE, NONE) => Killed;
    "capset": SYS_capset(At(PAGE), At(PAGE)) => Killed;
    "to be dumpable": SYS_prctl(Is(libc::PR_SET_DUMPABLE as i64), Is(1)) => Killed;
    "to survive the supervisor": SYS_prctl(Is(libc::PR_SET_PDEATHSIG as i64), NONE) => Killed;
    "another filter": SYS_seccomp(Is(1), NONE, At(PAGE)) => Killed;
    "personality": SYS_personality(Is(0x0400000)) => Killed;
    "arch_prctl": SYS_arch_prctl(Is(0x1002), NONE) => Killed;
    "modify_ldt": SYS_modify_ldt(NONE, At(PAGE), NONE) => Killed;
    "mq_open": SYS_mq_open(At(PATH), NONE, NONE, NONE) => Killed;
    "msgget": SYS_msgget(Is(1), NONE) => Killed;
    "semget": SYS_semget(Is(1), Is(1), NONE) => Killed;
    "sethostname": SYS_sethostname(At(PATH), Is(4)) => Killed;
    "settimeofday": SYS_settimeofday(At(PAGE), NONE) => Killed;
    "syslog": SYS_syslog(Is(3), At(PAGE), Is(100)) => Killed;
    "reboot": SYS_reboot(NONE, NONE, NONE, NONE) => Killed;
    "kexec_load": SYS_kexec_load(NONE, NONE, NONE, NONE) => Killed;
    "init_module": SYS_init_module(At(PAGE), NONE, At(PATH)) => Killed;
    "swapon": SYS_swapon(At(PATH), NONE) => Killed;
    "quotactl": SYS_quotactl(NONE, NONE, NONE, NONE) => Killed;
    "vhangup": SYS_vhangup() => Killed;
};

/// A module that has broken out, its worker, and a worker of another module.
struct Breakout<'a> {
    fixture: &'a Fixture,
    other: u32,
}

impl Breakout<'_> {
    /// Makes the call; returns what it returns, or how its worker died.
    fn call(&self, number: i64, arguments: &[Argument]) -> Result<i64, Exit> {
        let module = &self.fixture.module;
        let address = module.task::<i32, i64>("address").expect("a task");
        let syscall = module.task::<(i64, i64, i64, i64, i64, i64, i64), i64>("syscall").expect("a task");
        let mut values = [0; 6];
        for (value, argument) in values.iter_mut().zip(arguments) {
            *value = match argument {
                Is(value) => *value,
                At(offset) => address.apply(*offset).expect("an address"),
                Supervisor => std::process::id().into(),
                Other => self.other.into(),
                Own => processes::workers(&self.fixture.pool)[0].into(),
            };
        }
        let [a, b, c, d, e, f] = values;
        let returned = syscall.apply((number, a, b, c, d, e, f));
        if let Ok(returned) = returned {
            return Ok(returned);
        }
        let lost = failure(returned);
        let FailureKind::WorkerLost(exit) = lost.kind() else { panic!("{lost}") };
        if exit == SIGSYS {
            let text = lost.message();
            assert!(
                text.contains("SIGSYS: the module tried a system call that no worker may make"),
                "{text}"
            );
        }
        Err(exit)
    }
}

fn cubes(module: &Module) {
    let cube = module.task::<i64, i64>("cube").expect("a task");
    assert_eq!(cube.map(-50..50).expect("cubes"), (-50..50).map(|n| n * n * n).collect::<Vec<i64>>());
}

#[test]
fn no_system_call_leads_out_of_a_worker() {
    let numbers = r#"(module (func (export "cube") (param i64) (result i64)
        (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0)))))"#;
    let bystander = text(1, "numbers", numbers);
    cubes(&bystander.module);
    let other = processes::workers(&bystander.pool)[0];
    let fixture = text(1, "breaker", BREAKER);
    let breakout = Breakout { fixture: &fixture, other };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A pool of others calculates on and on beside it.
        let beside = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                cubes(&bystander.module);
            }
        });
        let over = SetWhenDropped(&is_over);
        let wrong: Vec<String> = ATTEMPTS.iter().filter_map(|attempt| try_out(&breakout, attempt)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        drop(over);
        beside.join().expect("all cubes");
    });
    assert_eq!(processes::workers(&bystander.pool), [other], "the other worker was not touched");
}

/// Makes the call and an honest one after it; says what came otherwise than it should.
fn try_out(breakout: &Breakout<'_>, attempt: &Attempt) -> Option<String> {
    let came = breakout.call(attempt.number, attempt.arguments);
    cubes(&breakout.fixture.module);
    let expected = match attempt.comes {
        Killed => Err(SIGSYS),
        Fails(errno) => Ok(-i64::from(errno)),
    };
    (came != expected).then(|| format!("{}: {came:?} instead of {:?}", attempt.what, attempt.comes))
}

#[test]
fn a_worker_can_still_do_what_it_must() {
    let fixture = text(1, "breaker", BREAKER);
    let breakout = Breakout { fixture: &fixture, other: 0 };
    let pid = i64::from(processes::workers(&fixture.pool)[0]);
    assert_eq!(breakout.call(libc::SYS_getpid, &[]), Ok(pid));
    assert_eq!(breakout.call(libc::SYS_getrandom, &[At(PAGE), Is(16)]), Ok(16));
    assert_eq!(breakout.call(libc::SYS_mprotect, &[At(PAGE), Is(4096), READ_WRITE]), Ok(0));
    // What a panic of the host's own code does, and only to itself.
    let abort = [Own, Own, Is(libc::SIGABRT.into())];
    assert_eq!(breakout.call(libc::SYS_tgkill, &abort), Err(Exit::Signal(libc::SIGABRT)));
    cubes(&fixture.module);
}

#[test]
fn a_worker_has_one_way_out_and_gets_no_other() {
    let fixture = text(1, "breaker", BREAKER);
    cubes(&fixture.module);
    let pid = processes::workers(&fixture.pool)[0];
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the worker's descriptors");
    let mut leads: Vec<String> = entries
        .map(|entry| {
            std::fs::read_link(entry.expect("an entry").path()).expect("a link").display().to_string()
        })
        .map(|target| target.split(['[', ' ']).next().unwrap_or_default().to_owned())
        .collect();
    leads.sort();
    leads.dedup();
    // Compiled code is sealed against every change.
    assert_eq!(
        leads,
        ["/dev/null", "/memfd:wasmpool-drivers", "/memfd:wasmpool-module", "socket:"],
        "{leads:?}"
    );
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the worker's state");
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"] {
        assert!(status.lines().any(|shown| shown == line), "{line} is missing:\n{status}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("the worker's limits");
    for name in ["Max open files", "Max core file size"] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let numbers: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(numbers, ["0", "0"], "{line}");
    }
}

#[test]
fn insecure_takes_no_layer_away() {
    let fixture = text_in(builder(1).insecure(true), "breaker", BREAKER);
    let breakout = Breakout { fixture: &fixture, other: 0 };
    assert_eq!(breakout.call(libc::SYS_socket, &[Is(2), Is(1), NONE]), Err(SIGSYS));
    cubes(&fixture.module);
}

/// Name of the test that [`the_other_layers_hold_without_the_filter`] runs on another kernel.
const WITHOUT_FILTER: &str = "what_the_other_layers_hold";

#[test]
fn the_other_layers_hold_without_the_filter() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_without-calls"));
    command.arg(format!("{}={}", libc::SYS_seccomp, libc::ENOSYS)).arg("--");
    command.arg(std::env::current_exe().expect("this program"));
    let output = command.args([WITHOUT_FILTER, "--exact", "--ignored"]).output().expect("an output");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "runs on a kernel without filters, where another test starts it"]
fn what_the_other_layers_hold() {
    let abi = landlock_abi();
    let fixture = text_in(builder(1).insecure(true), "breaker", BREAKER);
    let breakout = Breakout { fixture: &fixture, other: 0 };
    let fails = |what: &str, is_there: bool, number: i64, arguments: &[Argument], errnos: &[i32]| {
        let came = breakout.call(number, arguments);
        let expected = |errno: &i32| came == Ok(-i64::from(*errno));
        assert!(!is_there || errnos.iter().any(expected), "{what}: {came:?}");
        cubes(&fixture.module);
    };
    let has = |least: i64| abi >= least;
    fails("open", true, libc::SYS_openat, &[HERE, At(PATH), NONE], &[libc::EACCES, libc::EMFILE]);
    let write = Is(libc::O_RDWR.into());
    fails(
        "reopen",
        has(1),
        libc::SYS_openat,
        &[HERE, At(DESCRIPTOR_PATH), write],
        &[libc::EACCES, libc::EMFILE],
    );
    fails("truncate", has(3), libc::SYS_truncate, &[At(PATH), NONE], &[libc::EACCES]);
    fails("execve", has(1), libc::SYS_execve, &[At(PATH), NONE, NONE], &[libc::EACCES]);
    fails("unlink", has(1), libc::SYS_unlink, &[At(PATH)], &[libc::EACCES]);
    fails("socket", true, libc::SYS_socket, &[Is(2), Is(1), NONE], &[libc::EMFILE]);
    fails("memfd", true, libc::SYS_memfd_create, &[At(PATH), NONE], &[libc::EMFILE]);
    fails("pidfd", true, libc::SYS_pidfd_open, &[Supervisor, NONE], &[libc::EMFILE]);
    fails("signal", has(6), libc::SYS_kill, &[Supervisor, NONE], &[libc::EPERM]);
    fails("ptrace", has(1), libc::SYS_ptrace, &[Is(libc::PTRACE_ATTACH.into()), Supervisor], &[libc::EPERM]);
    // The same two words are a piece of memory: its address and its length.
    let peek = [Supervisor, At(RAISED), Is(1), At(RAISED), Is(1), NONE];
    fails("read the supervisor", has(1), libc::SYS_process_vm_readv, &peek, &[libc::EPERM]);
    fails("raise limits", true, libc::SYS_prlimit64, &[NONE, Is(7), At(RAISED), NONE], &[libc::EPERM]);
    fails("chroot", true, libc::SYS_chroot, &[At(PATH)], &[libc::EPERM, libc::ENOTDIR]);
    fails("mount", true, libc::SYS_mount, &[At(PATH), At(PATH), At(PATH), NONE, NONE], &[libc::EPERM]);
    fails("setgroups", true, libc::SYS_setgroups, &[NONE, NONE], &[libc::EPERM]);
    let lock = breakout.call(libc::SYS_prctl, &[Is(libc::PR_GET_MDWE.into())]) == Ok(1);
    fails("new code", lock, libc::SYS_mprotect, &[At(PAGE), Is(4096), CODE], &[libc::EACCES]);
}

/// The version of Landlock's interface here; below 1 for none.
fn landlock_abi() -> i64 {
    let report = std::process::Command::new(env!("CARGO_BIN_EXE_wasmpool-under-test"))
        .args(["doctor", "--json"])
        .output()
        .expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
    report["landlock_abi"].as_i64().expect("a number")
}
