//! Directories that guests are granted.
//!
//! A directory is opened once, when it is granted; what goes to workers is the descriptor. Whoever puts another one,
//! or a symbolic link, in its place later changes nothing for guests, and no worker ever looks a host's path up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::{Error, ErrorKind};
use crate::channel::control::{
    Control, ControlError, DESCRIPTORS_MAX, DirRights, Directories, Directory, FileAccess,
};

/// Most directories that a module is granted.
pub const DIRECTORIES_MAX: usize = 64;

/// Most bytes of the path under which guests find one.
const GUEST_PATH_BYTES_MAX: usize = 1_024;

/// An open directory, and under which path guests find it.
#[derive(Debug)]
pub(crate) struct GrantedDirectory {
    descriptor: OwnedFd,
    told: Directory,
    /// Which directory it is, whatever it is called: device and inode.
    identity: (u64, u64),
}

impl GrantedDirectory {
    /// Opens a directory to grant it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] when it is not there, cannot be read or is no directory, or when guests could not find
    /// it under that path; [`ErrorKind::SetUp`] when the kernel cannot keep guests inside.
    pub(crate) fn open(host: &Path, guest: &str, rights: DirRights) -> Result<Arc<Self>, Error> {
        check_guest_path(host, guest)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(host, flags, Mode::empty()).map_err(|error| refusal(host, error))?;
        check_kernel(opened.as_fd())?;
        let stat = rustix::fs::fstat(&opened).map_err(|error| refusal(host, error))?;
        let told = Directory { path: guest.to_owned(), rights };
        Ok(Arc::new(Self { descriptor: opened, told, identity: (stat.st_dev, stat.st_ino) }))
    }

    /// Whether it is the same directory, granted in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity && self.told == other.told
    }

    /// Whether guests can change something in it, which can be seen from outside.
    pub(super) fn is_writable(&self) -> bool {
        self.told.rights == DirRights::ReadWrite
    }
}

/// The same directories and one more.
///
/// # Errors
///
/// [`ErrorKind::Setting`] when guests would find two under one path, or there would be too many.
pub(crate) fn with_one_more(
    granted: &mut Vec<Arc<GrantedDirectory>>,
    one: Arc<GrantedDirectory>,
) -> Result<(), Error> {
    let path = &one.told.path;
    if granted.iter().any(|other| components(&other.told.path).eq(components(path))) {
        let text = format!(
            "two directories are granted under the guest's path `{path}`; give one of them another (HOST::GUEST)"
        );
        return Err(Error::new(ErrorKind::Setting, text));
    }
    if granted.len() >= DIRECTORIES_MAX {
        let text = format!(
            "more than {DIRECTORIES_MAX} directories are granted; grant one that holds several of them"
        );
        return Err(Error::new(ErrorKind::Setting, text));
    }
    granted.push(one);
    Ok(())
}

/// What a process has to be born with that is granted these.
pub(crate) fn access(directories: &[Arc<GrantedDirectory>]) -> FileAccess {
    if directories.is_empty() { FileAccess::None } else { FileAccess::Granted }
}

/// What workers are told of directories.
pub(crate) fn describe(granted: &[Arc<GrantedDirectory>]) -> Vec<Directory> {
    granted.iter().map(|granted| granted.told.clone()).collect()
}

/// Sends the directories' descriptors to a process that was told of them.
///
/// # Errors
///
/// When it does not take them.
pub(crate) fn send(control: &Control, granted: &[Arc<GrantedDirectory>]) -> Result<(), ControlError> {
    for granted in granted.chunks(DESCRIPTORS_MAX) {
        let descriptors: Vec<BorrowedFd<'_>> =
            granted.iter().map(|granted| granted.descriptor.as_fd()).collect();
        control.send(&Directories, &descriptors)?;
    }
    Ok(())
}

/// A guest's path as its C library compares it: a slash at the start or the end is nothing to it, nor is `.`.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn check_guest_path(host: &Path, guest: &str) -> Result<(), Error> {
    let problem = if guest.is_empty() {
        "an empty path"
    } else if guest.len() > GUEST_PATH_BYTES_MAX {
        "a path that long"
    } else if guest.contains('\0') {
        "a path with a zero byte"
    } else if components(guest).any(|part| part == "..") {
        "a path with `..` in it"
    } else {
        return Ok(());
    };
    let text = format!(
        "directory `{}` cannot be granted under the guest's path `{}`: guests cannot use {problem}; give another \
         (HOST::GUEST)",
        host.display(),
        guest.chars().take(100).collect::<String>()
    );
    Err(Error::new(ErrorKind::Setting, text))
}

fn refusal(host: &Path, error: Errno) -> Error {
    let host = host.display();
    let (kind, text) = match error {
        Errno::NOENT => (
            ErrorKind::Setting,
            format!("directory `{host}` cannot be granted: it does not exist; make it first"),
        ),
        Errno::NOTDIR => {
            let text = format!("`{host}` cannot be granted: it is no directory; grant the one that holds it");
            (ErrorKind::Setting, text)
        }
        Errno::ACCESS | Errno::PERM => {
            let text =
                format!("directory `{host}` cannot be granted: this user may not read it; change its mode");
            (ErrorKind::Setting, text)
        }
        _ => (ErrorKind::SetUp, format!("directory `{host}` cannot be granted")),
    };
    Error::new(kind, text).with_source(std::io::Error::from(error))
}

/// Checks that the kernel can look paths up without leaving a directory.
fn check_kernel(directory: BorrowedFd<'_>) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let looked = rustix::fs::openat2(directory, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
    looked.map(|_| ()).map_err(|error| {
        let text =
            "this kernel cannot keep guests inside a granted directory (openat2, Linux 5.6): grant none";
        Error::new(ErrorKind::SetUp, text).with_source(std::io::Error::from(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: &Path, guest: &str) -> Error {
        GrantedDirectory::open(host, guest, DirRights::ReadOnly).expect_err("refused")
    }

    #[test]
    fn what_is_no_directory_is_refused_by_name_with_a_remedy() {
        let holder = tempfile::tempdir().unwrap();
        let file = holder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let missing = holder.path().join("missing");
        for (host, reason) in [
            (&missing, "does not exist; make it first"),
            (&file, "no directory; grant the one that holds it"),
        ] {
            let error = refused(host, "/data");
            assert_eq!(error.kind(), ErrorKind::Setting);
            let text = error.to_string();
            assert!(text.contains(reason) && text.contains(&host.display().to_string()), "{text}");
        }
    }

    #[test]
    fn a_path_that_guests_cannot_use_is_refused() {
        let long = "x".repeat(GUEST_PATH_BYTES_MAX + 1);
        for (guest, reason) in [
            ("", "an empty path"),
            ("..", "`..` in it"),
            ("a/../b", "`..` in it"),
            ("a\0b", "a zero byte"),
            (&long, "a path that long"),
        ] {
            let error = refused(Path::new("/"), guest);
            assert_eq!(error.kind(), ErrorKind::Setting);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn one_path_leads_to_one_directory_however_it_is_spelt() {
        let open = |guest: &str| GrantedDirectory::open(Path::new("/"), guest, DirRights::ReadOnly).unwrap();
        for (first, second, is_refused) in [
            ("/data", "/data", true),
            ("/data", "data/", true),
            ("./data", "/data", true),
            (".", "/", true),
            ("/data", "/data/nested", false),
            ("/data", "/data2", false),
        ] {
            let mut granted = vec![open(first)];
            let more = with_one_more(&mut granted, open(second));
            assert_eq!(more.is_err(), is_refused, "{first} {second}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let mut granted = Vec::new();
        for number in 0..=DIRECTORIES_MAX {
            let one =
                GrantedDirectory::open(Path::new("/"), &format!("/{number}"), DirRights::ReadOnly).unwrap();
            assert_eq!(with_one_more(&mut granted, one).is_err(), number == DIRECTORIES_MAX);
        }
    }
}
