//! Layers: what the kernel does to take rights from a process, and which of it this kernel does.
//!
//! A layer is named after what holds once it is in place, not after the mechanism. Which rights it takes away is
//! [`super::rights`]'s affair. What is found here are values, so that whoever judges them can be given made-up ones.
#![allow(unsafe_code, reason = "questions to the kernel that have no safe function")]
#![cfg_attr(not(feature = "cli"), allow(dead_code, reason = "`doctor` tells more than a pool asks for"))]

use serde::{Deserialize, Serialize};

/// One way in which the kernel holds a process back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum Layer {
    /// Programs that it executes give it no more rights than it has (`no_new_privs`).
    NoNewPrivs,
    /// Other processes of its user can neither trace it nor read its memory.
    NotDumpable,
    /// It has none of root's capabilities, also where root started it.
    NoCapabilities,
    /// It can get no descriptor that it does not have (a limit of none).
    NoDescriptors,
    /// Landlock: no files but those below granted directories, and no tracing of processes outside.
    LandlockFiles,
    /// Landlock since ABI 4: no TCP.
    LandlockTcp,
    /// Landlock since ABI 6: no signals and no abstract sockets to processes outside.
    LandlockScopes,
    /// seccomp: only the system calls of a list, with the arguments that are expected.
    Filter,
    /// Memory cannot become executable (memory-deny-write-execute).
    CodeLock,
}

impl Layer {
    /// All of them, in the order in which they are put in place.
    pub(crate) const ALL: [Self; 9] = [
        Self::NoNewPrivs,
        Self::NotDumpable,
        Self::NoCapabilities,
        Self::LandlockFiles,
        Self::LandlockTcp,
        Self::LandlockScopes,
        Self::Filter,
        Self::NoDescriptors,
        Self::CodeLock,
    ];

    /// What it is called in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivs => "no new privileges",
            Self::NotDumpable => "not dumpable",
            Self::NoCapabilities => "no capabilities",
            Self::NoDescriptors => "no new descriptors",
            Self::LandlockFiles => "Landlock files",
            Self::LandlockTcp => "Landlock TCP",
            Self::LandlockScopes => "Landlock scopes",
            Self::Filter => "seccomp filter",
            Self::CodeLock => "no new executable memory",
        }
    }

    /// Its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::NoNewPrivs => "no_new_privs",
            Self::NotDumpable => "not_dumpable",
            Self::NoCapabilities => "no_capabilities",
            Self::NoDescriptors => "no_descriptors",
            Self::LandlockFiles => "landlock_files",
            Self::LandlockTcp => "landlock_tcp",
            Self::LandlockScopes => "landlock_scopes",
            Self::Filter => "seccomp",
            Self::CodeLock => "code_lock",
        }
    }

    /// How a machine comes by it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::NoNewPrivs | Self::NotDumpable => {
                "every Linux has it: let whatever filters this program's system calls allow prctl(2)"
            }
            Self::NoCapabilities => "let whatever filters this program's system calls allow capset(2)",
            Self::NoDescriptors => "let whatever filters this program's system calls allow prlimit(2)",
            Self::LandlockFiles => {
                "use Linux 5.13 or later with `landlock` among the boot parameter `lsm=`, and let containers allow \
                 landlock_create_ruleset(2)"
            }
            Self::LandlockTcp => "use Linux 6.7 or later with Landlock",
            Self::LandlockScopes => "use Linux 6.12 or later with Landlock",
            Self::Filter => {
                "use a Linux built with CONFIG_SECCOMP_FILTER, and let containers allow seccomp(2) and prctl(2)"
            }
            Self::CodeLock => "use Linux 6.3 or later",
        }
    }
}

/// A set of layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layers(u16);

impl Layers {
    /// Adds one, where it is in place.
    pub(crate) fn note(&mut self, layer: Layer, is_there: bool) {
        if is_there {
            self.0 |= Self::bit(layer);
        }
    }

    /// Whether it is among them.
    pub(crate) fn has(self, layer: Layer) -> bool {
        self.0 & Self::bit(layer) != 0
    }

    /// Those of both sets.
    pub(crate) fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// All but this one.
    pub(crate) fn without(self, layer: Layer) -> Self {
        Self(self.0 & !Self::bit(layer))
    }

    fn bit(layer: Layer) -> u16 {
        1 << layer as u8
    }

    /// What Landlock of this ABI does; 0 stands for none.
    pub(crate) fn of_landlock(abi: u32) -> Self {
        let mut layers = Self::default();
        layers.note(Layer::LandlockFiles, abi >= 1);
        layers.note(Layer::LandlockTcp, abi >= 4);
        layers.note(Layer::LandlockScopes, abi >= 6);
        layers
    }

    /// What is put in place last, as the kernel promises it now.
    pub(crate) fn promised() -> Self {
        let mut layers = Self::default();
        layers.note(Layer::Filter, has_filters());
        layers.note(Layer::CodeLock, has_code_lock());
        layers.note(Layer::NoDescriptors, true);
        layers
    }
}

impl FromIterator<Layer> for Layers {
    fn from_iter<T: IntoIterator<Item = Layer>>(layers: T) -> Self {
        let mut set = Self::default();
        layers.into_iter().for_each(|layer| set.note(layer, true));
        set
    }
}

/// The version of Landlock's interface, or why there is none.
///
/// # Errors
///
/// The kernel's: ENOSYS where Landlock is not built, EOPNOTSUPP where it is not enabled.
pub(crate) fn landlock_abi() -> std::io::Result<u32> {
    const VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: asked for the version, the kernel takes no attributes and reads no memory.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    u32::try_from(abi).map_err(|_| std::io::Error::last_os_error())
}

/// Whether filters of system calls can kill a process.
fn has_filters() -> bool {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads the four bytes of `action`, which lives until it returns.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action))
    };
    answer == 0
}

fn has_code_lock() -> bool {
    // SAFETY: the call only asks, and takes no pointers.
    unsafe { libc::prctl(libc::PR_GET_MDWE, 0, 0, 0, 0) >= 0 }
}

/// Forbids memory to become executable from now on.
pub(super) fn lock_code() -> bool {
    let most: libc::c_ulong = libc::PR_MDWE_REFUSE_EXEC_GAIN.into();
    // SAFETY: the call takes no pointers, and nothing in this process makes code any more.
    unsafe { libc::prctl(libc::PR_SET_MDWE, most, 0, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_noted() {
        let mut layers = Layers::default();
        layers.note(Layer::Filter, true);
        layers.note(Layer::CodeLock, false);
        let had: Vec<Layer> = Layer::ALL.into_iter().filter(|layer| layers.has(*layer)).collect();
        assert_eq!(had, [Layer::Filter]);
        assert_eq!(Layer::ALL.into_iter().collect::<Layers>(), Layers(0x1ff));
    }

    #[test]
    fn landlock_grew_with_its_abi() {
        let counts = [0, 1, 3, 4, 5, 6, 9].map(|abi| {
            let layers = Layers::of_landlock(abi);
            Layer::ALL.into_iter().filter(|layer| layers.has(*layer)).count()
        });
        assert_eq!(counts, [0, 1, 1, 2, 2, 3, 3]);
    }
}
