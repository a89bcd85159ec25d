//! How a file is to be opened.

use rustix::fs::OFlags;

use crate::sandbox::wasi::errno::Errno;

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Follow a symbolic link at the end of the path.
    pub(crate) follow: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) create: bool,
    /// Only a directory will do.
    pub(crate) directory: bool,
    /// It must not be there yet.
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    /// Write at the end always.
    pub(crate) append: bool,
    /// Write through to the disk: contents, or everything.
    pub(crate) sync_contents: bool,
    pub(crate) sync: bool,
}

impl Opening {
    /// The same in the kernel's words.
    ///
    /// # Errors
    ///
    /// [`Errno::Invalid`] for a directory that is to be made or cut off.
    pub(super) fn flags(self) -> Result<OFlags, Errno> {
        if self.directory && (self.create || self.exclusive || self.truncate) {
            return Err(Errno::Invalid);
        }
        // Without waiting, and without taking a terminal: what is opened may turn out to be no file. Files never wait.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        flags |= match (self.read, self.write || self.truncate) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        flags.set(OFlags::NOFOLLOW, !self.follow);
        flags.set(OFlags::CREATE, self.create);
        flags.set(OFlags::DIRECTORY, self.directory);
        flags.set(OFlags::EXCL, self.create && self.exclusive);
        flags.set(OFlags::TRUNC, self.truncate);
        flags.set(OFlags::APPEND, self.append);
        flags.set(OFlags::DSYNC, self.sync_contents);
        flags.set(OFlags::SYNC, self.sync);
        Ok(flags)
    }
}
