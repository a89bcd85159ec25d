//! Error codes of preview 1, and which of them stands for which of Linux's.

use rustix::io::Errno as Linux;

/// Lists the codes once, with the error of Linux that each stands for where there is one.
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $code:literal $(for $linux:ident)?;)*) => {
        /// Error codes of preview 1, those that are used here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Errno {
            $($(#[$meta])* $name = $code,)*
        }

        impl From<Linux> for Errno {
            fn from(error: Linux) -> Self {
                match error {
                    $($(Linux::$linux => Self::$name,)?)*
                    // What a file system says that preview 1 has no word for.
                    _ => Self::Io,
                }
            }
        }
    };
}

codes! {
    Success = 0;
    AccessDenied = 2 for ACCESS;
    Again = 6 for AGAIN;
    BadDescriptor = 8 for BADF;
    Busy = 10 for BUSY;
    QuotaExceeded = 19 for DQUOT;
    Exists = 20 for EXIST;
    Fault = 21;
    FileTooLarge = 22 for FBIG;
    BadSequence = 25 for ILSEQ;
    Interrupted = 27 for INTR;
    Invalid = 28 for INVAL;
    Io = 29 for IO;
    IsDirectory = 31 for ISDIR;
    Loop = 32 for LOOP;
    TooManyFiles = 33 for MFILE;
    TooManyLinks = 34 for MLINK;
    NameTooLong = 37 for NAMETOOLONG;
    TooManyFilesInSystem = 41 for NFILE;
    NoDevice = 43 for NODEV;
    NoEntry = 44 for NOENT;
    NoMemory = 48 for NOMEM;
    NoSpace = 51 for NOSPC;
    NoSystemCall = 52 for NOSYS;
    NotDirectory = 54 for NOTDIR;
    NotEmpty = 55 for NOTEMPTY;
    NotSupported = 58 for OPNOTSUPP;
    NoSuchDevice = 60 for NXIO;
    Overflow = 61 for OVERFLOW;
    /// Also for a path that leads out of a granted directory.
    NotPermitted = 63 for PERM;
    /// Also for any change where only reading is granted.
    ReadOnly = 69 for ROFS;
    NoSeek = 70 for SPIPE;
    Stale = 72 for STALE;
    TextBusy = 74 for TXTBSY;
    CrossDevice = 75 for XDEV;
}
