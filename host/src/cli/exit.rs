//! Exit codes of the command, one per way in which it can end.

use std::process::ExitCode;

use super::inputs::InputError;
use super::output::OutputError;

/// How the whole command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Every call returned, or whoever read stdout has had enough of it.
    Success = 0,
    /// Something that no other code describes, such as a full disk under stdout.
    Other = 1,
    /// The command line or an input is wrong. clap's code, and the shells'.
    Usage = 2,
    /// The module cannot be read, built, compiled or linked, or this machine cannot give a pool.
    Unusable = 96,
    /// Some calls failed. The first code above those that programs commonly use for themselves.
    CallsFailed = 100,
    /// The job's deadline passed. The code of `timeout(1)`.
    Deadline = 124,
    /// Interrupted from the terminal. The shells' 128 + SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// The number that the parent process sees.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&InputError> for Exit {
    fn from(error: &InputError) -> Self {
        match error {
            InputError::Refused(_) => Self::Usage,
            InputError::Unreadable(_) => Self::Other,
        }
    }
}

impl From<&OutputError> for Exit {
    fn from(error: &OutputError) -> Self {
        match error {
            // `wasmpool ... | head` has done what was wanted of it, also under `set -o pipefail`.
            OutputError::ReaderGone => Self::Success,
            OutputError::Write(_) | OutputError::Thread(_) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn errors_know_their_codes() {
        assert_eq!(Exit::from(&InputError::Refused(String::new())), Exit::Usage);
        assert_eq!(Exit::from(&InputError::Unreadable(ErrorKind::IsADirectory.into())), Exit::Other);
        assert_eq!(Exit::from(&OutputError::ReaderGone), Exit::Success);
        assert_eq!(Exit::from(&OutputError::Write(ErrorKind::StorageFull.into())), Exit::Other);
    }

    #[test]
    fn codes_are_the_documented_ones() {
        let documented = [
            (Exit::Success, 0),
            (Exit::Other, 1),
            (Exit::Usage, 2),
            (Exit::Unusable, 96),
            (Exit::CallsFailed, 100),
            (Exit::Deadline, 124),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in documented {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
