//! The harness of the command line's tests: the real command, what it prints, and the processes it starts.
//!
//! Most tests are a [`check`]: arguments and stdin in, stdout, stderr and the exit code out. Tests of signals, slow
//! readers and the like [`start`](Wasmpool::start) a command and talk to it. Whatever waits is watched: a command that
//! takes longer than [`WATCHDOG`] is killed, which ends every wait for it, and its test fails.
//!
//! All commands run in one directory, [`place`], with a cache of their own. It holds the modules that tests name:
//! `tasks.wasm`, which is `wasm-tasks` as the command itself builds it, and the texts in `tests/modules`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::groups::MemoryGroup;

/// Longest that a command may take.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// Longest that building `wasm-tasks` and compiling it for the first time may take.
const BUILD_WATCHDOG: Duration = Duration::from_secs(600);

/// Set to anything, it makes [`check_golden`] write the files that it would compare with.
const UPDATE: &str = "UPDATE_GOLDENS";

/// Runs a command to its end and compares everything that can be seen of it.
///
/// Stdout must be as expected byte for byte, stderr must match a pattern: `…` stands for any text within a line, and
/// a line of `…` alone for any number of lines.
///
/// # Panics
///
/// When anything differs.
#[track_caller]
pub fn check(arguments: &[&str], stdin: &str, stdout: &str, stderr: &str, code: i32) {
    Wasmpool::new(arguments).run(stdin).check(stdout, stderr, code);
}

/// Runs a command that succeeds without a word on stderr, and compares its stdout.
///
/// # Panics
///
/// When anything differs.
#[track_caller]
pub fn check_prints(arguments: &[&str], stdin: &str, stdout: &str) {
    check(arguments, stdin, stdout, "", 0);
}

/// Runs a command that refuses to do anything: one line on stderr, nothing on stdout.
///
/// # Panics
///
/// When anything differs.
#[track_caller]
pub fn check_refuses(arguments: &[&str], stdin: &str, line: &str, code: i32) {
    check(arguments, stdin, "", &format!("wasmpool: {line}\n"), code);
}

/// Compares a command's whole outcome with `golden/NAME.txt`.
///
/// With `UPDATE_GOLDENS=1` in the environment it writes that file instead; look at the difference before you commit.
///
/// # Panics
///
/// When they differ.
#[track_caller]
pub fn check_golden(name: &str, arguments: &[&str]) {
    let ended = Wasmpool::new(arguments).run("");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("txt");
    let seen = ended.transcript();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &seen).expect("the golden file can be written");
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(seen, golden, "{} differs; {UPDATE}=1 writes it anew", path.display());
}

/// Where commands run.
#[must_use]
pub fn place() -> &'static Path {
    &PLACE
}

static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = tempfile::Builder::new().prefix("wasmpool-cli-").tempdir().expect("a directory").keep();
    remove_after_this_process(&place);
    for module in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/modules")).expect("tests/modules") {
        let module = module.expect("an entry");
        fs::copy(module.path(), place.join(module.file_name())).expect("a copy");
    }
    fs::copy(build_tasks(&place), place.join("tasks.wasm")).expect("the module that was built");
    // Compiled once here, rather than by all first tests at the same time.
    let compiled = Wasmpool::at(&place, ["apply", "tasks.wasm", "counts_calls"]).watched(BUILD_WATCHDOG);
    compiled.run("").check("1\n", "", 0);
    place
});

/// Builds `wasm-tasks` as a user would, by giving its directory; returns the path of the module.
fn build_tasks(place: &Path) -> PathBuf {
    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wasm-tasks");
    let target = executable().ancestors().nth(2).expect("target/PROFILE/NAME").join("tmp/cli");
    let build = Wasmpool::at(place, ["map", DIRECTORY, "cube", "0..3"])
        .variable("CARGO_TARGET_DIR", &target)
        .watched(BUILD_WATCHDOG);
    build.run("").check("0\n1\n8\n", "…", 0);
    target.join("wasm32-wasip1/wasmpool/wasm_tasks.wasm")
}

/// Statics are never dropped, and tests may be killed: a shell removes the directory when its stdin ends with us.
#[expect(clippy::zombie_processes, reason = "it outlives this process")]
fn remove_after_this_process(directory: &Path) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _; rm -rf -- \"$0\""]).arg(directory);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = shell.spawn().expect("a shell");
    // Its other end closes with this process.
    std::mem::forget(shell.stdin.take());
}

fn executable() -> &'static Path {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| {
        let told = std::env::var_os("CARGO_BIN_EXE_wasmpool-under-test");
        PathBuf::from(told.expect("cargo tells tests where the command is"))
    });
    &EXECUTABLE
}

/// A command to be run.
pub struct Wasmpool {
    command: Command,
    shown: String,
    watchdog: Duration,
}

impl Wasmpool {
    /// `wasmpool` with these arguments, in [`place`].
    #[must_use]
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::at(place(), arguments)
    }

    fn at<A: AsRef<OsStr>>(place: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(executable());
        // Its name is part of what it prints.
        command.arg0("wasmpool").args(arguments);
        command.current_dir(place).env("XDG_CACHE_HOME", place.join("cache"));
        // Whatever the tests' own environment says about looks.
        for name in ["COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let shown = format!("wasmpool {}", arguments.join(" "));
        Self { command, shown, watchdog: WATCHDOG }
    }

    /// The same under another name than `wasmpool`.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        self.command.arg0(name);
        self
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same with another stdin than a pipe.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// The same with another stdout than a pipe.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// The same with another stderr than a pipe.
    #[must_use]
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    fn watched(mut self, watchdog: Duration) -> Self {
        self.watchdog = watchdog;
        self
    }

    /// The same started by a shell with descriptors closed: `redirections` are like `<&-`.
    #[must_use]
    pub fn by_shell(self, redirections: &str) -> Self {
        self.by_script(&format!("exec \"$0\" \"$@\" {redirections}"), redirections)
    }

    /// The same started in a control group.
    #[must_use]
    pub fn in_group(self, group: &MemoryGroup) -> Self {
        let processes = group.processes();
        self.by_script(&format!("echo $$ > '{}' && exec \"$0\" \"$@\"", processes.display()), "in a group")
    }

    fn by_script(self, script: &str, shown: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.command.get_current_dir().expect("set by us"));
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, shown: format!("{} {shown}", self.shown), watchdog: self.watchdog }
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    #[must_use]
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("the command can be started");
        let process = Process::of(child.id()).expect("a child that nobody has waited for");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = Arc::new(Said::default());
        let listener = child.stderr.take().map(|pipe| {
            let stderr = Arc::clone(&stderr);
            std::thread::spawn(move || stderr.listen(pipe))
        });
        let watched = Process::of(child.id()).expect("a child that nobody has waited for");
        let watchdog = Watchdog::start(watched, self.watchdog);
        Running { shown: self.shown, child, process, stdin, stdout, stderr, listener, watchdog }
    }

    /// Runs it to its end with this text on stdin.
    #[must_use]
    pub fn run(self, stdin: &str) -> Ended {
        let mut running = self.start();
        // A command that does not read its stdin must not hang us, nor we it.
        let writer = running.stdin.take().map(|mut pipe| {
            let stdin = stdin.to_owned();
            std::thread::spawn(move || {
                let _ = pipe.write_all(stdin.as_bytes());
            })
        });
        let ended = running.end();
        drop(writer.map(JoinHandle::join));
        ended
    }
}

/// A command under way. Dropping it kills it.
pub struct Running {
    shown: String,
    child: Child,
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Arc<Said>,
    listener: Option<JoinHandle<()>>,
    watchdog: Watchdog,
}

impl Running {
    /// The command's own process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Writes to its stdin.
    ///
    /// # Panics
    ///
    /// When nobody reads it any more.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is a pipe and open");
        stdin.write_all(text.as_bytes()).expect("the command reads its stdin");
    }

    /// Takes its stdin, to be written to from another thread; dropping it closes it.
    ///
    /// # Panics
    ///
    /// When it is no pipe, or closed.
    #[must_use]
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is a pipe and open")
    }

    /// Waits for a line of its stdout; gives it without its end, or nothing at the end.
    ///
    /// # Panics
    ///
    /// When stdout is no pipe.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("stdout is a pipe and open");
        stdout.read_line(&mut line).expect("lines are text");
        (!line.is_empty()).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// Closes this end of its stdout.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits until its stderr has said `text` so many times.
    ///
    /// # Panics
    ///
    /// When it ends before.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str, times: usize) {
        if !self.stderr.wait_for(text, times) {
            panic!("{} never said {text:?} {times} times:\n{}", self.shown, self.stderr.text());
        }
    }

    /// Its worker processes, as far as they are alive.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn workers(&self) -> Vec<Process> {
        self.processes("worker")
    }

    /// The process of the program that it runs, as soon as it is alive.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn program(&self) -> Process {
        loop {
            if let Some(program) = self.processes("command").pop() {
                return program;
            }
            std::thread::yield_now();
        }
    }

    fn processes(&self, role: &str) -> Vec<Process> {
        let mut pids = Vec::new();
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a process that runs");
        for thread in threads {
            // A thread may end meanwhile.
            let children = thread.and_then(|thread| fs::read_to_string(thread.path().join("children")));
            let children = children.unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        let has_role = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|argument| argument == role.as_bytes())
        };
        pids.into_iter().filter(has_role).filter_map(Process::of).collect()
    }

    /// Closes its stdin, reads what is left and waits for its end.
    ///
    /// # Panics
    ///
    /// When the watchdog had to end it.
    #[must_use]
    pub fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_end(&mut stdout).expect("stdout can be read");
        }
        let status = self.child.wait().expect("the command is our child");
        if let Some(listener) = self.listener.take() {
            listener.join().expect("listening does not panic");
        }
        let barked = self.watchdog.stop();
        let ended = Ended { shown: self.shown.clone(), status, stdout, stderr: self.stderr.text() };
        assert!(!barked, "the watchdog killed it after {:?}: {}", WATCHDOG, ended.transcript());
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been waited for, before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stderr has said so far.
#[derive(Default)]
struct Said {
    state: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut pipe: impl Read) {
        let mut buffer = [0; 1 << 16];
        loop {
            let count = pipe.read(&mut buffer).unwrap_or(0);
            let mut state = self.lock();
            state.0.extend_from_slice(&buffer[..count]);
            state.1 = count == 0;
            self.more.notify_all();
            if count == 0 {
                return;
            }
        }
    }

    fn wait_for(&self, text: &str, times: usize) -> bool {
        let count = |said: &[u8]| said.windows(text.len()).filter(|seen| *seen == text.as_bytes()).count();
        let missing = |state: &mut (Vec<u8>, bool)| !state.1 && count(&state.0) < times;
        let state = self.more.wait_while(self.lock(), missing).unwrap_or_else(PoisonError::into_inner);
        count(&state.0) >= times
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().0).into_owned()
    }
}

/// A command that has ended.
pub struct Ended {
    shown: String,
    status: ExitStatus,
    /// Everything it wrote there.
    pub stdout: Vec<u8>,
    /// Everything it wrote there.
    pub stderr: String,
}

impl Ended {
    /// Compares everything, as [`check`] does.
    ///
    /// # Panics
    ///
    /// When anything differs.
    #[track_caller]
    pub fn check(&self, stdout: &str, stderr: &str, code: i32) {
        let as_expected = self.stdout == stdout.as_bytes() && self.status.code() == Some(code);
        if !as_expected || !matches(stderr, &self.stderr) {
            let expected = transcript(&self.shown, stdout, stderr, &code.to_string());
            panic!("expected {expected}\n\nbut it was {}", self.transcript());
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Its exit code.
    ///
    /// # Panics
    ///
    /// When a signal ended it.
    #[must_use]
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("a signal ended it: {}", self.transcript()))
    }

    /// Its stdout as lines.
    ///
    /// # Panics
    ///
    /// When it is not text.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout).expect("stdout is text").lines().collect()
    }

    /// All that can be seen of it.
    #[must_use]
    pub fn transcript(&self) -> String {
        let code = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => code.to_string(),
            (None, signal) => format!("none, signal {}", signal.unwrap_or_default()),
        };
        transcript(&self.shown, &String::from_utf8_lossy(&self.stdout), &self.stderr, &code)
    }
}

fn transcript(command: &str, stdout: &str, stderr: &str, code: &str) -> String {
    let mut text = format!("$ {command}\n--- exit {code}\n");
    for (name, said) in [("stdout", stdout), ("stderr", stderr)] {
        if !said.is_empty() {
            let end = if said.ends_with('\n') { "" } else { "(no end of line)\n" };
            let _ = write!(text, "--- {name}\n{said}{end}");
        }
    }
    text
}

/// Whether `text` is as `pattern` says; see [`check`].
fn matches(pattern: &str, text: &str) -> bool {
    let patterns: Vec<&str> = pattern.split_inclusive('\n').collect();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    match_lines(&patterns, &lines)
}

fn match_lines(patterns: &[&str], lines: &[&str]) -> bool {
    match (patterns, lines) {
        ([], []) => true,
        ([first, rest @ ..], _) if first.trim_end() == "…" => {
            (0..=lines.len()).any(|skipped| match_lines(rest, &lines[skipped..]))
        }
        ([pattern, patterns @ ..], [line, lines @ ..]) => {
            match_line(pattern, line) && match_lines(patterns, lines)
        }
        _ => false,
    }
}

fn match_line(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A process, by a descriptor that means this one and no later one of the same number.
pub struct Process {
    pid: u32,
    descriptor: OwnedFd,
}

impl Process {
    /// The process of this number, if there still is one.
    fn of(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(pid.cast_signed())?;
        let descriptor = rustix::process::pidfd_open(raw, PidfdFlags::empty()).ok()?;
        Some(Self { pid, descriptor })
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        rustix::process::pidfd_send_signal(&self.descriptor, signal).expect("a process that runs");
    }

    /// Waits for its end, whoever its parent is.
    ///
    /// # Panics
    ///
    /// When it does not end for as long as [`WATCHDOG`].
    #[track_caller]
    pub fn wait(&self) {
        let limit = Timespec { tv_sec: WATCHDOG.as_secs().cast_signed(), tv_nsec: 0 };
        let mut polled = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let ready = rustix::event::poll(&mut polled, Some(&limit)).expect("processes can be polled");
        assert_eq!(ready, 1, "process {} is still there", self.pid);
    }

    /// Waits until a signal to stop has had its effect.
    ///
    /// # Panics
    ///
    /// When it ends instead.
    pub fn wait_until_stopped(&self) {
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("a process that runs");
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            if state.expect("a state behind the name").starts_with('T') {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Most bytes of memory that it has had at once.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("a process that runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")).expect("VmHWM in kB");
        kibibytes.parse::<u64>().expect("a number") << 10
    }
}

/// Kills a process that takes too long.
struct Watchdog {
    stop: mpsc::Sender<()>,
    barked: Arc<AtomicBool>,
}

impl Watchdog {
    fn start(process: Process, patience: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let barked = Arc::new(AtomicBool::new(false));
        let bark = Arc::clone(&barked);
        std::thread::spawn(move || {
            if stopped.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                bark.store(true, Ordering::SeqCst);
                // It may have ended in this instant.
                let _ = rustix::process::pidfd_send_signal(&process.descriptor, Signal::KILL);
            }
        });
        Self { stop, barked }
    }

    fn stop(&self) -> bool {
        // It is gone when it has barked.
        let _ = self.stop.send(());
        self.barked.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_lines() {
        for (pattern, text) in [
            ("", ""),
            ("a\n", "a\n"),
            ("a…c\n", "a, b and c\n"),
            ("…\n", ""),
            ("…", "a\nb\n"),
            ("a\n…\nc\n", "a\nb\nb\nc\n"),
            ("…c\n", "a, b and c\n"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} {text:?}");
        }
        for (pattern, text) in [
            ("", "a\n"),
            ("a\n", ""),
            ("a\n", "a"),
            ("a\n", "ab\n"),
            ("a…b\n", "a\nb\n"),
            ("a\n…\nc\n", "a\nb\n"),
            ("aba…aba\n", "aba\n"),
        ] {
            assert!(!matches(pattern, text), "{pattern:?} {text:?}");
        }
    }
}
