//! The nursery: the one thread that starts processes and hears of their deaths.
//!
//! The kernel sends a child's parent-death signal when the *thread* that started it ends, so that thread must live
//! as long as the supervisor. It is also the only one that takes exit statuses. It sleeps in `poll` on all its
//! children's descriptors and on an event descriptor by which requests announce themselves.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use super::child::{Child, Exit};
use super::reentry::{Executable, Role};

/// Called once, on the nursery's thread, after the kernel has said that a process is dead.
pub(crate) type OnDeath = Box<dyn FnOnce(Exit) + Send>;

/// The system refused to start a process.
#[derive(Debug, thiserror::Error)]
#[error("a {role} process cannot be started")]
pub(crate) struct SpawnError {
    /// What it was to be.
    role: &'static str,
    /// Why not.
    source: io::Error,
}

struct Request {
    role: Role,
    executable: Executable,
    /// Becomes the process's descriptor 0.
    control: OwnedFd,
    on_death: OnDeath,
    answer: Sender<Result<Child, SpawnError>>,
}

struct Nursery {
    requests: Sender<Request>,
    wake: Arc<OwnedFd>,
}

struct Ward {
    descriptor: Arc<OwnedFd>,
    death: Arc<OnceLock<Exit>>,
    on_death: Option<OnDeath>,
}

/// Starts an executable in `role`, with `control` as its descriptor 0 and nothing else.
///
/// # Errors
///
/// When the system refuses.
pub(crate) fn spawn(
    role: Role,
    executable: &Executable,
    control: OwnedFd,
    on_death: OnDeath,
) -> Result<Child, SpawnError> {
    let refused = |source| SpawnError { role: role.arguments()[1], source };
    let nursery = nursery().map_err(refused)?;
    let (answer, answered) = mpsc::channel();
    let gone = || refused(io::Error::other("the nursery thread has ended"));
    let request = Request { role, executable: executable.clone(), control, on_death, answer };
    nursery.requests.send(request).map_err(|_| gone())?;
    rustix::io::write(&nursery.wake, &1u64.to_ne_bytes()).map_err(|error| refused(error.into()))?;
    answered.recv().map_err(|_| gone())?
}

fn nursery() -> io::Result<&'static Nursery> {
    static NURSERY: OnceLock<Result<Nursery, String>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| start().map_err(|error| error.to_string()));
    nursery.as_ref().map_err(|error| io::Error::other(error.as_str()))
}

fn start() -> io::Result<Nursery> {
    let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (requests, incoming) = mpsc::channel();
    let theirs = Arc::clone(&wake);
    thread::Builder::new().name("wasmpool-nursery".into()).spawn(move || tend(&incoming, &theirs))?;
    Ok(Nursery { requests, wake })
}

fn tend(incoming: &Receiver<Request>, wake: &OwnedFd) {
    let mut wards: Vec<Ward> = Vec::new();
    loop {
        let mut polled = vec![PollFd::new(wake, PollFlags::IN)];
        polled.extend(wards.iter().map(|ward| PollFd::new(&*ward.descriptor, PollFlags::IN)));
        // A signal to this thread (INTR) is a reason to look again, like everything else.
        let _ = rustix::event::poll(&mut polled, None);
        let dead: Vec<bool> = polled[1..].iter().map(|polled| !polled.revents().is_empty()).collect();
        // Nothing to read (AGAIN) means that a death woke us.
        let _ = rustix::io::read(wake, &mut [0; 8]);
        let mut dead = dead.into_iter();
        wards.retain_mut(|ward| !(dead.next().unwrap_or(false) && bury(ward)));
        while let Ok(request) = incoming.try_recv() {
            admit(request, &mut wards);
        }
    }
}

fn admit(request: Request, wards: &mut Vec<Ward>) {
    let started = start_process(request.role, &request.executable, request.control);
    let child = started.map(|(pid, descriptor)| {
        let descriptor = Arc::new(descriptor);
        let death = Arc::new(OnceLock::new());
        wards.push(Ward {
            descriptor: Arc::clone(&descriptor),
            death: Arc::clone(&death),
            on_death: Some(request.on_death),
        });
        Child { pid, descriptor, death }
    });
    // A caller that no longer waits drops the child, which kills it.
    let _ = request.answer.send(child);
}

fn start_process(
    role: Role,
    executable: &Executable,
    control: OwnedFd,
) -> Result<(Pid, OwnedFd), SpawnError> {
    let mut command = Command::new(executable.path());
    command
        .arg0("wasmpool")
        .args(role.arguments())
        .env_clear()
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match role {
        // Ctrl-C at a terminal goes to the supervisor, which decides what becomes of its workers.
        Role::Worker | Role::Compiler | Role::Trial => drop(command.process_group(0)),
        // wasmtime-wasi's runtime takes a thread per core otherwise, to wait for one program.
        Role::Command => drop(command.env("TOKIO_WORKER_THREADS", "1")),
    }
    let refused = |source| SpawnError { role: role.arguments()[1], source };
    let mut child = command.spawn().map_err(refused)?;
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| refused(io::Error::other("no process id")))?;
    // Nobody but this thread takes its status, so the id is still its own.
    let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    descriptor.map(|descriptor| (pid, descriptor)).map_err(|error| {
        // Without a descriptor its death could not be proved; it must not stay.
        let _ = child.kill();
        let _ = child.wait();
        refused(error.into())
    })
}

/// Waits until everyone has heard of the deaths that can be seen by now: what is to happen at a death has happened.
///
/// Not for those who hear of deaths.
pub(crate) fn wait_until_told() {
    drop(telling());
}

/// Held from before a death can be seen until those who hear of it have returned.
fn telling() -> MutexGuard<'static, ()> {
    static TELLING: Mutex<()> = Mutex::new(());
    // It guards nothing that a panic could leave half done.
    TELLING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a dead process's status and tells of it; says whether it was dead.
fn bury(ward: &mut Ward) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let exit = match rustix::process::waitid(WaitId::PidFd(ward.descriptor.as_fd()), options) {
        Ok(None) => return false,
        Ok(Some(status)) => Exit::from_status(&status),
        // The descriptor says that it ended, and somebody else was quicker to take the status.
        Err(_) => Exit::Unknown,
    };
    let _telling = telling();
    // It is set here only, once.
    let _ = ward.death.set(exit);
    if let Some(on_death) = ward.on_death.take() {
        on_death(exit);
    }
    true
}
