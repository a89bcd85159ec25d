//! The control socket: descriptors, and the few words that are said once.
//!
//! A sequenced-packet socket joins the supervisor with each process it starts; one packet is one frame, in
//! MessagePack. Sending never blocks: a partner whose socket is full is not reading, and that is an error. The
//! supervisor makes no room for descriptors where it expects none, so that none can be planted on it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::printable::printable;
use crate::shm::object::Party;
use crate::shm::object::ground::Rights;
use crate::shm::object::spec::Spec;
use crate::shm::region::sealed_file;

/// Version of everything in `channel`; both ends must have the same.
pub(crate) const VERSION: u32 = 1;

/// Most bytes of a frame.
const FRAME_BYTES_MAX: usize = 128 << 10;

/// Most descriptors that travel with a frame.
pub(crate) const DESCRIPTORS_MAX: usize = 16;

/// First frame to every process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`VERSION`] of the supervisor.
    pub(crate) version: u32,
    /// Process id of the supervisor, so that the process can tell whether its parent is still alive.
    pub(crate) supervisor: u32,
    /// How the process is to confine itself.
    pub(crate) wishes: Wishes,
}

/// How a process is to confine itself; what that takes is `process::jail`'s affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wishes {
    /// A right that cannot be taken away is accepted.
    pub(crate) insecure: bool,
    /// Whether directories will be granted.
    pub(crate) directories: FileAccess,
}

/// Whether a process will be granted directories, which is settled when it is born.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileAccess {
    /// It opens no files at all.
    #[default]
    None,
    /// It gets descriptors of directories with its module, and may open what lies below them.
    Granted,
}

/// Answer to [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HelloBack {
    /// [`VERSION`] of the process.
    pub(crate) version: u32,
    /// Why it cannot confine itself as it must, and ends.
    pub(crate) refusal: Option<String>,
}

/// Tells a worker to serve a module; with the descriptors of module, drivers, down and up region, and [`Service`].
///
/// Frames of [`Objects`] follow until each of the service's grants has its descriptor, and then frames of
/// [`Directories`] in the same way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Whom the worker is to be when it works on shared objects; none when it is granted none.
    pub(crate) party: Option<Party>,
    /// Bytes of the region that the worker is to copy an instance into once its initializer has run, where that is all
    /// it is there for; its descriptor is the sixth then. See `sandbox::snapshot`.
    pub(crate) snapshot_bytes: Option<u64>,
    /// What its calls are told of the process they run in.
    pub(crate) identity: Identity,
}

/// What calls are told of the process they run in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) name: String,
    /// Number of its seat in the pool; of a process of its own, its number among those.
    pub(crate) worker: u32,
}

/// Brings the descriptors of up to [`DESCRIPTORS_MAX`] granted objects, in the order of [`Service::grants`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Objects;

/// A shared object that a worker's calls may open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The name under which they open it.
    pub(crate) name: String,
    /// What it is.
    pub(crate) spec: Spec,
    /// What they may do with it. Where that is reading, the descriptor is open for reading only.
    pub(crate) rights: Rights,
}

/// Brings the descriptors of up to [`DESCRIPTORS_MAX`] granted directories, in the order in which they were announced.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Directories;

/// What guests may do in a directory that they are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DirRights {
    /// List it and read what is in it, also further down. Nothing can be changed, made or removed.
    ReadOnly,
    /// Everything that a file system has to offer: make, write, rename, link and remove.
    ReadWrite,
}

/// A directory that a worker's calls may work in. Its descriptor is all that the worker gets of its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// The path under which they find it.
    pub(crate) path: String,
    /// What they may do there.
    pub(crate) rights: DirRights,
}

/// How a module's machine code is made. It is decided when the module is compiled, so it is part of the code's name in
/// the cache, and of what a worker's engine is born with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeKind {
    /// It counts its instructions, so that a call can be given fuel.
    pub(crate) counts_fuel: bool,
    /// Each NaN that an instruction makes has the same bits, whatever processor it runs on.
    pub(crate) has_canonical_nans: bool,
}

/// What the instances of a worker may have; fixed when the worker is told its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceLimits {
    /// Bytes of all memories and tables of an instance together.
    pub(crate) memory_bytes: u64,
    /// Bytes of stack that guest code may use.
    pub(crate) stack_bytes: u64,
    /// Instances alive at a time in a worker: the module's own, and one for each task's batch driver.
    pub(crate) instances: u32,
    /// Tables of the module.
    pub(crate) tables: u32,
    /// Elements of all tables of an instance together.
    pub(crate) table_elements: u64,
    /// Shared objects that a call has open at a time.
    pub(crate) objects: u32,
    /// How deep calls may be nested that calls make of their own pool.
    pub(crate) nested_calls: u32,
}

impl InstanceLimits {
    pub(crate) const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
}

impl Default for InstanceLimits {
    /// What instances may have unless somebody says otherwise.
    fn default() -> Self {
        Self {
            memory_bytes: Self::MEMORY_BYTES_DEFAULT,
            stack_bytes: 1 << 20,
            instances: 16,
            tables: 8,
            table_elements: 1_000_000,
            objects: 1024,
            nested_calls: 0,
        }
    }
}

/// What a worker serves. It is as long as the module has tasks, so it travels as a sealed file, in MessagePack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Whether the descriptor of the drivers means anything.
    pub(crate) has_drivers: bool,
    /// What its instances may have.
    pub(crate) limits: InstanceLimits,
    /// How its code was made.
    pub(crate) code: CodeKind,
    /// Where clocks and randomness are to be the same each time: what tells this run's from another's.
    pub(crate) seed: Option<u64>,
    /// Bytes of memory that are cleared rather than given back between instances.
    pub(crate) keep_resident_bytes: u64,
    /// The guest's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The module's tasks, by the numbers that orders use.
    pub(crate) tasks: Vec<TaskEntries>,
    /// What runs in each new instance before its first call.
    pub(crate) initializer: Option<Initializer>,
    /// For each batch driver an export of its signature: their module imports one of each.
    pub(crate) stand_ins: Vec<String>,
    /// The shared objects that its calls may open. Where there are any, calls are run one by one.
    pub(crate) grants: Vec<Grant>,
    /// The directories that its calls may work in.
    pub(crate) directories: Vec<Directory>,
}

impl Service {
    /// A sealed file that holds it.
    ///
    /// # Errors
    ///
    /// When the system has no memory or no descriptor left.
    pub(crate) fn to_file(&self) -> io::Result<OwnedFd> {
        let bytes = rmp_serde::to_vec_named(self).map_err(io::Error::other)?;
        sealed_file("wasmpool-service", &bytes)
    }

    /// Reads it from the supervisor's file.
    ///
    /// # Errors
    ///
    /// When the file does not hold one.
    pub(crate) fn from_file(file: OwnedFd) -> io::Result<Self> {
        // Read at its place: all workers of a module share the descriptor's position.
        let file = File::from(file);
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        rmp_serde::from_slice(&bytes).map_err(io::Error::other)
    }
}

/// A task that runs once in each new instance, before its first call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Initializer {
    /// Number of the task.
    pub(crate) task: u32,
    /// What it is given.
    pub(crate) arguments: Arguments,
}

/// Arguments of an initializer, in the form in which its task is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Arguments {
    /// A cell for each parameter of an export of numbers.
    Cells(Vec<u64>),
    /// An array for the pull loop, as JSON.
    Json(Vec<u8>),
    /// The same as MessagePack.
    MessagePack(Vec<u8>),
}

/// How a worker enters a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskEntries {
    /// Export of the pull loop.
    pub(crate) pull: Option<String>,
    /// Export that takes and returns numbers.
    pub(crate) numeric: Option<NumericEntry>,
}

/// A task that takes and returns numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NumericEntry {
    /// Name of the export.
    pub(crate) export: String,
    /// Number of its parameters.
    pub(crate) parameters: u32,
    /// Number of its results.
    pub(crate) results: u32,
    /// Which batch driver serves it, if any.
    pub(crate) driver: Option<u16>,
}

/// Tells a command process what to run; with the descriptors of the module and of the standard streams.
///
/// Frames of [`Directories`] follow until each of its directories has its descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The program's name and its arguments.
    pub(crate) arguments: Vec<String>,
    /// The program's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// What the program may have.
    pub(crate) limits: InstanceLimits,
    /// How its code was made.
    pub(crate) code: CodeKind,
    /// Units of fuel for all of its run; without a limit where its code does not count any.
    pub(crate) fuel: Option<u64>,
    /// The directories that the program may work in.
    pub(crate) directories: Vec<Directory>,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum WorkerSays {
    /// The module is loaded; orders may come.
    Ready,
    /// The module cannot be served, and why.
    Refused(String),
    /// The worker itself broke, and how; it ends after this.
    Panicked(String),
}

/// Asks the compiler process for a module; with the descriptors of the module's bytes, and of three empty files: for the
/// code of the module, for that of its drivers, and for what the process says when it breaks, its standard error. A
/// fifth is what [`Form::Warmed`] says.
///
/// The files are the supervisor's, for a confined process can neither make any nor send descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Compile {
    /// Most bytes of memory that compiling may take.
    pub(crate) memory_bytes_max: u64,
    /// Most seconds of processor time.
    pub(crate) cpu_seconds_max: u64,
    /// How the code is to be made.
    pub(crate) code: CodeKind,
    /// What it is to be made of.
    pub(crate) form: Form,
}

/// What of a module is compiled; see `sandbox::snapshot` for the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// The module as it is.
    #[default]
    Plain,
    /// The module with exports for all that an instance can change.
    Instrumented,
    /// The module as an instance of it stood after its initializer; the region with that instance comes as the fifth
    /// descriptor.
    Warmed {
        /// Most bytes that such a module may have.
        module_bytes_max: u64,
    },
}

/// What the compiler process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CompilerSays {
    /// Done: the files hold the code. That of the drivers is empty when the module has no numeric exports.
    Compiled,
    /// The module is at fault, and how.
    Invalid(String),
    /// There can be no snapshot of such a module, and why.
    Unsuitable(String),
    /// The process is not confined as it must be, and why.
    Refused(String),
}

/// What a process said in words, fit for a message: it may have been anything at all.
pub(crate) fn quoted(text: &str) -> String {
    const CHARACTERS_MAX: usize = 4000;
    printable(text, CHARACTERS_MAX).to_string()
}

/// One end of a control socket.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
}

/// Why a frame did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The partner has closed its end: it is dead or dying.
    #[error("the other end of the control socket is closed")]
    Closed,
    /// No frame came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The process cannot be confined, so it does not work.
    #[error("{0}")]
    Unconfined(String),
    /// The frame means nothing.
    #[error("a control frame cannot be read: {0}")]
    Garbled(String),
    /// The socket failed.
    #[error("the control socket failed")]
    Io(#[from] io::Error),
}

impl Control {
    /// Makes a pair of connected ends. Both close when another program is executed.
    ///
    /// # Errors
    ///
    /// When the system has no descriptors left.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: ours }, theirs))
    }

    /// The end that came as a descriptor.
    pub(crate) fn from_descriptor(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Sends a frame with descriptors, without ever blocking.
    ///
    /// # Errors
    ///
    /// When the partner is gone, does not read, or the frame is too long.
    pub(crate) fn send(
        &self,
        frame: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ControlError> {
        let bytes = encode(frame)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(ControlError::Garbled(format!("{} descriptors", descriptors.len())));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, flags) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(ControlError::Closed),
            Err(error) => Err(ControlError::Io(error.into())),
        }
    }

    /// Waits for a frame that comes without descriptors.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or it cannot be read.
    pub(crate) fn receive<T: DeserializeOwned>(&self, limit: Duration) -> Result<T, ControlError> {
        self.wait(Some(limit))?;
        self.read(&mut []).map(|(frame, _)| frame)
    }

    /// Waits for a frame and its descriptors; without a limit only where the partner's end closes with its death.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or it cannot be read.
    pub(crate) fn receive_with_descriptors<T: DeserializeOwned>(
        &self,
        limit: Option<Duration>,
    ) -> Result<(T, Vec<OwnedFd>), ControlError> {
        self.wait(limit)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        self.read(&mut space)
    }

    /// Whether the partner has closed its end, without waiting.
    ///
    /// For those who expect no more frames: one that has come hides the end. It works without the right to any
    /// further descriptor, which `poll` does not.
    pub(crate) fn is_closed(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.socket, &mut [0_u8; 1][..], flags) {
            Ok((_, bytes)) => bytes == 0,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    /// Another descriptor of the same end.
    ///
    /// # Errors
    ///
    /// When the process may have no more descriptors.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    fn wait(&self, limit: Option<Duration>) -> Result<(), ControlError> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = rest.map(|rest| Timespec {
                tv_sec: rest.as_secs() as i64,
                tv_nsec: i64::from(rest.subsec_nanos()),
            });
            let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Err(ControlError::TimedOut(limit.unwrap_or_default())),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(ControlError::Io(error.into())),
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        space: &mut [MaybeUninit<u8>],
    ) -> Result<(T, Vec<OwnedFd>), ControlError> {
        let mut bytes = vec![0; FRAME_BYTES_MAX];
        let mut ancillary = RecvAncillaryBuffer::new(space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = loop {
            let mut into = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut into, &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(ControlError::Closed),
                other => break other.map_err(io::Error::from)?,
            }
        };
        let descriptors = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        let descriptors = descriptors.collect();
        if received.bytes == 0 {
            return Err(ControlError::Closed);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(ControlError::Garbled(format!("longer than {FRAME_BYTES_MAX} bytes")));
        }
        Ok((decode(&bytes[..received.bytes])?, descriptors))
    }
}

/// A frame's bytes.
pub(crate) fn encode(frame: &impl Serialize) -> Result<Vec<u8>, ControlError> {
    let bytes = rmp_serde::to_vec_named(frame).map_err(|error| ControlError::Garbled(error.to_string()))?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(ControlError::Garbled(format!("{} bytes, at most {FRAME_BYTES_MAX}", bytes.len())));
    }
    Ok(bytes)
}

/// The frame that bytes are, if they are one.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ControlError> {
    rmp_serde::from_slice(bytes).map_err(|error| ControlError::Garbled(error.to_string()))
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn pair() -> (Control, Control) {
        let (ours, theirs) = Control::pair().expect("a socket pair");
        (ours, Control::from_descriptor(theirs))
    }

    #[test]
    fn frames_and_descriptors_arrive() {
        let (ours, theirs) = pair();
        let hello = Hello { version: VERSION, supervisor: 7, wishes: Wishes::default() };
        ours.send(&hello, &[ours.as_fd(), theirs.as_fd()]).expect("sent");
        let (received, descriptors): (Hello, _) =
            theirs.receive_with_descriptors(Some(SOON)).expect("received");
        assert_eq!(received.supervisor, 7);
        assert_eq!(descriptors.len(), 2);
    }

    #[test]
    fn a_closed_end_is_noticed_on_both_sides() {
        let (ours, theirs) = pair();
        assert!(!ours.is_closed());
        drop(theirs);
        assert!(ours.is_closed());
        assert!(matches!(ours.receive::<Hello>(SOON), Err(ControlError::Closed)));
        let sent = ours.send(&HelloBack { version: 1, refusal: None }, &[]);
        assert!(matches!(sent, Err(ControlError::Closed)), "{sent:?}");
    }

    #[test]
    fn silence_ends_after_the_limit() {
        let (ours, _theirs) = pair();
        let received = ours.receive::<Hello>(Duration::from_millis(1));
        assert!(matches!(received, Err(ControlError::TimedOut(_))));
    }

    #[test]
    fn sending_to_a_partner_that_does_not_read_never_blocks() {
        let (ours, _theirs) = pair();
        let text = WorkerSays::Panicked("x".repeat(100_000));
        let refused = (0..1000).find_map(|_| ours.send(&text, &[]).err());
        assert!(matches!(refused, Some(ControlError::Io(_))));
    }

    #[test]
    fn garbage_is_refused() {
        let (ours, theirs) = pair();
        for garbage in [&b"\xc1"[..], &[0x80; 10], &[0xff; 100]] {
            rustix::net::send(&ours.socket, garbage, SendFlags::empty()).expect("sent");
            assert!(matches!(theirs.receive::<WorkerSays>(SOON), Err(ControlError::Garbled(_))));
        }
    }

    #[test]
    fn descriptors_that_nobody_expects_are_not_taken() {
        let (ours, theirs) = pair();
        theirs.send(&WorkerSays::Ready, &[ours.as_fd()]).expect("sent");
        let before = std::fs::read_dir("/proc/self/fd").map(Iterator::count).expect("a list");
        let says: WorkerSays = ours.receive(SOON).expect("received");
        let after = std::fs::read_dir("/proc/self/fd").map(Iterator::count).expect("a list");
        assert_eq!(says, WorkerSays::Ready);
        // Other tests open descriptors meanwhile, so only a bound can be asserted about the count.
        assert!(after <= before + 64);
    }
}
