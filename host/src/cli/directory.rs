//! `--dir HOST[::GUEST[::ro]]`: a directory that guests are granted, as typed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::args::GUARD;
use crate::channel::control::DirRights;

/// Stands between the parts.
const SEPARATOR: &[u8] = b"::";

/// A directory that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryFlag {
    /// Where it is here.
    pub(crate) host: PathBuf,
    /// Where guests find it.
    pub(crate) guest: String,
    /// What they may do there.
    pub(crate) rights: DirRights,
}

/// Reads the flag's value.
///
/// # Errors
///
/// The end of clap's sentence about the value.
pub(super) fn parse(typed: &OsStr) -> Result<DirectoryFlag, String> {
    let typed = typed.as_bytes();
    let mut rest = Some(typed.strip_prefix(&[GUARD as u8][..]).unwrap_or(typed));
    let mut next = || {
        let part = rest?;
        let end = part.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR);
        rest = end.map(|end| &part[end + SEPARATOR.len()..]);
        Some(end.map_or(part, |end| &part[..end]))
    };
    let (host, guest, rights, more) = (next().unwrap_or_default(), next(), next(), next());
    if host.is_empty() {
        return Err("the directory is missing; give HOST, HOST::GUEST or HOST::GUEST::ro".to_owned());
    }
    if guest == Some(b"") {
        return Err("the guest's path is missing behind `::`; give HOST::GUEST".to_owned());
    }
    let rights = match (rights, more) {
        (None, _) => DirRights::ReadWrite,
        (Some(b"ro"), None) => DirRights::ReadOnly,
        _ => return Err("behind HOST::GUEST only `::ro` can stand, for a directory to read".to_owned()),
    };
    let guest = guest.unwrap_or(host);
    if guest == host && guest.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err("guests cannot use a path with `..` in it; give HOST::GUEST".to_owned());
    }
    let guest = String::from_utf8(guest.to_vec())
        .map_err(|_| "guests cannot use a path that is not UTF-8; give HOST::GUEST".to_owned())?;
    Ok(DirectoryFlag { host: PathBuf::from(OsString::from(OsStr::from_bytes(host))), guest, rights })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &[u8], host: &[u8], guest: &str, rights: DirRights) {
        let host = PathBuf::from(OsStr::from_bytes(host));
        let expected = DirectoryFlag { host, guest: guest.to_owned(), rights };
        assert_eq!(parse(OsStr::from_bytes(typed)), Ok(expected));
    }

    #[test]
    fn what_is_not_said_is_the_same_path_and_all_rights() {
        check(b"data", b"data", "data", DirRights::ReadWrite);
        check(b"/srv/data/", b"/srv/data/", "/srv/data/", DirRights::ReadWrite);
        check(b"../data::/in", b"../data", "/in", DirRights::ReadWrite);
        check(b"data::/in::ro", b"data", "/in", DirRights::ReadOnly);
        check(b".::.::ro", b".", ".", DirRights::ReadOnly);
        check(b"a:b::c:d", b"a:b", "c:d", DirRights::ReadWrite);
        check(b"\xff::/in", b"\xff", "/in", DirRights::ReadWrite);
        check(b"\0-1", b"-1", "-1", DirRights::ReadWrite);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refusals: [(&[u8], &str); 8] = [
            (b"", "the directory is missing"),
            (b"::/in", "the directory is missing"),
            (b"data::", "the guest's path is missing"),
            (b"data::::ro", "the guest's path is missing"),
            (b"data::/in::rw", "only `::ro`"),
            (b"data::/in::ro::ro", "only `::ro`"),
            (b"../data", "give HOST::GUEST"),
            (b"\xff", "not UTF-8; give HOST::GUEST"),
        ];
        for (typed, reason) in refusals {
            let refusal = parse(OsStr::from_bytes(typed)).expect_err("refused");
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
