//! Landlock: no files but granted ones, no TCP, no signals and no abstract sockets to anyone outside.
//!
//! A ruleset names the kinds of access that it governs; each is then denied except below the directories of its
//! rules. We govern all that the kernel knows. Rules hang on directories that the supervisor opened, so that no path
//! is looked up here.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::GrantedDirectory;
use super::layers::Layers;

/// The newest interface that we know the rights of. What an older kernel lacks is left out, and told by its layers.
const NEWEST: ABI = ABI::V9;

/// Confines the calling thread, and all that it starts, to these directories.
///
/// Returns what the kernel has put in place, of the interface that it says to have.
///
/// # Errors
///
/// The kernel's reasons: it has no Landlock, or the ruleset was refused.
pub(super) fn confine(abi: u32, directories: &[GrantedDirectory<'_>]) -> io::Result<Layers> {
    let refused = |error: landlock::RulesetError| io::Error::other(error);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(refused)?
        .handle_access(AccessNet::from_all(NEWEST))
        .map_err(refused)?
        .scope(Scope::from_all(NEWEST))
        .map_err(refused)?
        .create()
        .map_err(refused)?;
    for directory in directories {
        let rule = PathBeneath::new(directory.descriptor, access(directory.read_only));
        ruleset = ruleset.add_rule(rule).map_err(refused)?;
    }
    match ruleset.restrict_self().map_err(refused)?.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        // Partly: the kernel is older than `NEWEST`, and its ABI says what is missing.
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(Layers::of_landlock(abi)),
    }
}

/// What may be done below a granted directory. Programs, devices, sockets and pipes belong to neither kind.
fn access(read_only: bool) -> BitFlags<AccessFs> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    if read_only {
        return reading;
    }
    reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}
