//! From a module's bytes to sealed machine code: the cache, and the compiler process behind it.
//!
//! The supervisor never compiles, maps or runs anything of a module. It reads the bytes, asks the cache, and
//! otherwise a process of its own that ends when it is done. Code is native code, so what comes from the disk is
//! checked by hash, and taken only from a directory that nobody else can write to; but the hash only tells damage,
//! the directory's owner is who is trusted.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::error::{Error, ErrorKind};
use super::limits::bytes;
use super::module::Artifact;
use crate::channel::control::{
    CodeKind, Compile, CompilerSays, Control, ControlError, Form, Hello, HelloBack, VERSION, Wishes, quoted,
};
use crate::printable::printable;
use crate::process::child::Exit;
use crate::process::nursery;
use crate::process::reentry::{Executable, Role};
use crate::sandbox::engine::settings_key;
use crate::shm::region::sealed_file;

/// Longest time that compiling a module may take, unless said otherwise: a minute.
pub const COMPILE_TIME_DEFAULT: Duration = Duration::from_secs(60);

/// Most memory that compiling a module may take, unless said otherwise: 4 GiB.
pub const COMPILE_MEMORY_DEFAULT: u64 = 4 << 30;

/// What a compiler may take, and how its process is confined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileTerms {
    pub(crate) memory_bytes_max: u64,
    pub(crate) time_max: Duration,
    pub(crate) wishes: Wishes,
}

impl Default for CompileTerms {
    fn default() -> Self {
        Self {
            memory_bytes_max: COMPILE_MEMORY_DEFAULT,
            time_max: COMPILE_TIME_DEFAULT,
            wishes: Wishes::default(),
        }
    }
}

/// Most bytes of machine code that are taken from a compiler or a cache entry.
const ARTIFACT_BYTES_MAX: u64 = 4 << 30;

/// How much is read of what a compiler says when it breaks.
const LAST_WORDS_BYTES_MAX: usize = 4096;

/// How much of it is shown.
const LAST_WORDS_CHARACTERS_MAX: usize = 200;

/// How long a process may take to be started and say hello.
pub(crate) const START_TIME_MAX: Duration = Duration::from_secs(30);

/// What a module was compiled from, for when it is compiled again in another form.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The module in binary form.
    pub(crate) wasm: Vec<u8>,
    pub(crate) code: CodeKind,
    pub(crate) cache: Option<Cache>,
    pub(crate) terms: CompileTerms,
    /// Most bytes that a module may have.
    pub(crate) module_bytes_max: u64,
}

impl Origin {
    /// Compiles the module in this form; `region` is what [`Form::Warmed`] asks for.
    ///
    /// # Errors
    ///
    /// As [`artifact`]; also [`ErrorKind::Module`] when there can be no such form, with nothing but the reason.
    pub(crate) fn compile(
        &self,
        name: &str,
        executable: &Executable,
        form: Form,
        region: Option<BorrowedFd<'_>>,
    ) -> Result<Artifact, Error> {
        let source = Source { wasm: &self.wasm, name, kind: self.code, form, region };
        // What an initializer leaves may be another thing each time.
        let cache = self.cache.as_ref().filter(|_| region.is_none());
        source.artifact(executable, cache, &self.terms)
    }
}

/// Compiles a module, or finds that it was compiled before.
///
/// # Errors
///
/// When the module is invalid, when compiling it takes more than it may, or when no process can be started.
pub(crate) fn artifact(
    wasm: &[u8],
    name: &str,
    executable: &Executable,
    kind: CodeKind,
    cache: Option<&Cache>,
    terms: &CompileTerms,
) -> Result<Artifact, Error> {
    Source { wasm, name, kind, form: Form::Plain, region: None }.artifact(executable, cache, terms)
}

/// What is compiled, and how.
struct Source<'a> {
    wasm: &'a [u8],
    /// For messages.
    name: &'a str,
    kind: CodeKind,
    form: Form,
    /// The instance that a warmed module begins as.
    region: Option<BorrowedFd<'a>>,
}

impl Source<'_> {
    fn artifact(
        &self,
        executable: &Executable,
        cache: Option<&Cache>,
        terms: &CompileTerms,
    ) -> Result<Artifact, Error> {
        let key = cache.map(|cache| cache.entry(self.wasm, self.kind, self.form));
        if let Some(found) = key.as_deref().and_then(read_entry) {
            return Ok(found);
        }
        let (artifact, code) = self.compile(executable, terms)?;
        if let Some(path) = key {
            // A cache that cannot be written costs time at the next start and nothing else.
            let _ = write_entry(&path, &code);
        }
        Ok(artifact)
    }
}

/// The two images of an artifact, for the cache.
struct Code {
    module: Vec<u8>,
    drivers: Vec<u8>,
}

impl Code {
    fn seal(&self) -> io::Result<Artifact> {
        Ok(Artifact {
            module: sealed_file("wasmpool-module", &self.module)?,
            drivers: sealed_file("wasmpool-drivers", &self.drivers)?,
            has_drivers: !self.drivers.is_empty(),
        })
    }
}

impl Source<'_> {
    fn compile(&self, executable: &Executable, terms: &CompileTerms) -> Result<(Artifact, Code), Error> {
        let name = self.name;
        let set_up = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::SetUp, format!("module {name} cannot be compiled")).with_source(error)
        };
        let (control, theirs) = Control::pair().map_err(|error| set_up(error.into()))?;
        let (died, death) = std::sync::mpsc::channel();
        let on_death = Box::new(move |exit| {
            // A caller that has its answer does not wait for the end.
            let _ = died.send(exit);
        });
        let child = nursery::spawn(Role::Compiler, executable, theirs, on_death);
        let child = child.map_err(|error| set_up(error.into()))?;
        let files = Files::new().map_err(|error| set_up(error.into()))?;
        greet(&control, terms.wishes).map_err(|error| set_up(error.into()))?;
        let says = self.talk(&control, &files, terms).map_err(|error| {
            let reason = match error {
                ControlError::Closed => {
                    let exit = death.recv_timeout(START_TIME_MAX).unwrap_or(Exit::Unknown);
                    reason_of_death(exit, &files.read_last_words(), terms)
                }
                ControlError::TimedOut(_) => took_too_long(terms),
                other => return set_up(other.into()),
            };
            Error::new(ErrorKind::Module, format!("compiling module {name} {reason}"))
        })?;
        drop(child);
        match says {
            CompilerSays::Refused(reason) => Err(set_up(reason.into())),
            CompilerSays::Invalid(reason) => {
                let text = format!("module {name} is not valid: {}", quoted(&reason));
                Err(Error::new(ErrorKind::Module, text))
            }
            CompilerSays::Unsuitable(reason) => Err(Error::new(ErrorKind::Module, quoted(&reason))),
            CompilerSays::Compiled => {
                // A copy, sealed here: what the compiler still does to its files changes nothing.
                let code = files.read().map_err(|error| set_up(error.into()))?;
                let artifact = code.seal().map_err(|error| set_up(error.into()))?;
                Ok((artifact, code))
            }
        }
    }

    fn talk(
        &self,
        control: &Control,
        files: &Files,
        terms: &CompileTerms,
    ) -> Result<CompilerSays, ControlError> {
        // The processor's time is limited for the case that nobody is left to look at the clock.
        let cpu_seconds_max = terms.time_max.as_secs().saturating_add(1);
        let (code, form) = (self.kind, self.form);
        let request = Compile { memory_bytes_max: terms.memory_bytes_max, cpu_seconds_max, code, form };
        let wasm = sealed_file("wasmpool-wasm", self.wasm)?;
        let mut descriptors =
            vec![wasm.as_fd(), files.module.as_fd(), files.drivers.as_fd(), files.last_words.as_fd()];
        descriptors.extend(self.region);
        control.send(&request, &descriptors)?;
        control.receive(terms.time_max)
    }
}

/// What a compiler writes to.
struct Files {
    module: File,
    drivers: File,
    last_words: File,
}

impl Files {
    fn new() -> io::Result<Self> {
        let file = |name| rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        Ok(Self {
            module: file("wasmpool-module")?,
            drivers: file("wasmpool-drivers")?,
            last_words: file("wasmpool-last-words")?,
        })
    }

    fn read(self) -> io::Result<Code> {
        let [module, drivers] = [self.module, self.drivers].map(|mut file| {
            // The position is the compiler's as well.
            file.rewind()?;
            let mut bytes = Vec::new();
            file.take(ARTIFACT_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let code = Code { module: module?, drivers: drivers? };
        if code.module.is_empty() {
            return Err(io::Error::other("the compiler says that it is done, and wrote no code"));
        }
        Ok(code)
    }

    /// What a compiler that broke has said. Nothing of it is believed more than it takes to choose among messages.
    fn read_last_words(&self) -> String {
        let mut bytes = vec![0; LAST_WORDS_BYTES_MAX];
        let length = self.last_words.read_at(&mut bytes, 0).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

/// What is said when memory runs out: by the standard library before it aborts, by the code generator, by the system.
const OUT_OF_MEMORY: [&str; 4] =
    ["memory allocation of", "out of memory", "out-of-memory", "Cannot allocate memory"];

/// Why a compiler died that has not answered: "compiling module m ...".
fn reason_of_death(exit: Exit, last_words: &str, terms: &CompileTerms) -> String {
    let memory = bytes(terms.memory_bytes_max);
    if OUT_OF_MEMORY.iter().any(|words| last_words.contains(words)) {
        return format!(
            "took more memory than its limit of {memory}: raise max_compile_memory (--max-compile-memory)"
        );
    }
    if last_words.contains("has overflowed its stack") {
        return "took more stack than there is: its code nests too deeply".to_owned();
    }
    match exit {
        Exit::Signal(signal) if signal == Signal::XCPU.as_raw() => took_too_long(terms),
        _ if exit.is_break_out() => {
            format!("ended its compiler: it {exit}, because it tried a system call that no compiler may make")
        }
        _ => {
            let said = printable(last_words.trim(), LAST_WORDS_CHARACTERS_MAX);
            let time = terms.time_max;
            format!("failed: the compiler {exit} (limits: {memory} of memory and {time:?}) {said}")
        }
    }
}

fn took_too_long(terms: &CompileTerms) -> String {
    let limit = terms.time_max;
    format!("took longer than its limit of {limit:?}: raise max_compile_time (--max-compile-time)")
}

/// Says hello to a process that was just started, and hears its version.
///
/// # Errors
///
/// When it does not answer, is of another version, or cannot be confined.
pub(crate) fn greet(control: &Control, wishes: Wishes) -> Result<(), ControlError> {
    control.send(&Hello { version: VERSION, supervisor: std::process::id(), wishes }, &[])?;
    let back: HelloBack = control.receive(START_TIME_MAX)?;
    if back.version != VERSION {
        let text = format!("the process speaks version {}, this program {VERSION}", back.version);
        return Err(ControlError::Garbled(text));
    }
    back.refusal.map_or(Ok(()), |reason| Err(ControlError::Unconfined(reason)))
}

/// Where compiled code is kept between runs.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The user's cache, if there is a place for one that only the user can write to.
    pub(crate) fn of_user() -> Option<Self> {
        let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| Path::new(path).is_absolute()) {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
        };
        Self::at(&base.join("wasmpool"))
    }

    /// A cache in `directory`, which is made if need be.
    pub(crate) fn at(directory: &Path) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
        is_ours_alone(&fs::symlink_metadata(directory).ok()?)
            .then(|| Self { directory: directory.to_owned() })
    }

    /// Where it is.
    #[cfg(feature = "cli")]
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Path of the entry for a module: its name tells the bytes, the engine and the machine.
    fn entry(&self, wasm: &[u8], kind: CodeKind, form: Form) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(Sha256::digest(wasm));
        hash.update(settings_key(kind));
        if form != Form::Plain {
            // The rewriting is of the engine's version, too.
            hash.update(format!("; {form:?}"));
        }
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name)
    }
}

/// Whether a file or directory belongs to this user and nobody else can write to it.
fn is_ours_alone(metadata: &fs::Metadata) -> bool {
    let others_write = metadata.mode() & 0o022 != 0;
    metadata.uid() == rustix::process::geteuid().as_raw()
        && !others_write
        && !metadata.file_type().is_symlink()
}

/// First bytes of a cache entry.
const MAGIC: &[u8; 8] = b"wasmpool";

/// Reads an entry: `MAGIC`, the SHA-256 of all that follows, `u64` length of the module's image, the two images.
///
/// Nothing comes when it is missing, damaged, cut short, or could have been written by somebody else.
fn read_entry(path: &Path) -> Option<Artifact> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || !is_ours_alone(&metadata) || metadata.len() > ARTIFACT_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(ARTIFACT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    parse_entry(&bytes)?.seal().ok()
}

fn parse_entry(bytes: &[u8]) -> Option<Code> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    if Sha256::digest(rest).as_slice() != hash {
        return None;
    }
    let (length, images) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (module, drivers) = images.split_at_checked(length)?;
    Some(Code { module: module.to_vec(), drivers: drivers.to_vec() })
}

fn write_entry(path: &Path, code: &Code) -> io::Result<()> {
    let length = (code.module.len() as u64).to_le_bytes();
    let mut hash = Sha256::new();
    for part in [&length[..], &code.module, &code.drivers] {
        hash.update(part);
    }
    let directory = path.parent().ok_or_else(|| io::Error::other("an entry lies in a directory"))?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    for part in [MAGIC, hash.finalize().as_slice(), &length, &code.module, &code.drivers] {
        file.write_all(part)?;
    }
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn code() -> Code {
        Code { module: b"module".to_vec(), drivers: b"drivers".to_vec() }
    }

    fn stored() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(&directory.path().join("cache")).expect("a cache");
        let path = cache.entry(b"wasm", CodeKind::default(), Form::Plain);
        write_entry(&path, &code()).expect("written");
        (directory, path)
    }

    #[test]
    fn entries_read_back_as_they_were_written() {
        let (_directory, path) = stored();
        let read = parse_entry(&fs::read(&path).expect("bytes")).expect("an entry");
        assert_eq!((read.module, read.drivers), (code().module, code().drivers));
        assert!(read_entry(&path).expect("an artifact").has_drivers);
    }

    #[test]
    fn a_damaged_or_truncated_entry_is_not_taken() {
        let (_directory, path) = stored();
        let bytes = fs::read(&path).expect("bytes");
        for length in 0..bytes.len() {
            assert!(parse_entry(&bytes[..length]).is_none(), "cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(parse_entry(&damaged).is_none(), "damaged at {at}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_taken() {
        let (_directory, path) = stored();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).expect("changed");
        assert!(read_entry(&path).is_none());
        let directory = path.parent().expect("a directory");
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(Cache::at(directory).is_none());
    }

    #[test]
    fn other_bytes_and_code_of_another_kind_have_another_entry() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(directory.path()).expect("a cache");
        let plain = CodeKind::default();
        let entry = |wasm, kind| cache.entry(wasm, kind, Form::Plain);
        assert_ne!(entry(b"a", plain), entry(b"b", plain));
        let counting = CodeKind { counts_fuel: true, ..plain };
        assert_ne!(entry(b"a", plain), entry(b"a", counting));
        assert_ne!(entry(b"a", plain), cache.entry(b"a", plain, Form::Instrumented));
    }
}
