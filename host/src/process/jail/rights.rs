//! Rights: what a process that runs or compiles hostile code must not be able to do, and what takes it away.
//!
//! What counts is that a right is gone, not by which layer. Where the kernel has several layers for one right, a
//! fault in one of them gives nothing away; where it has one, the process is confined all the same; where it has
//! none, no process is started unless somebody who knows what that means asks for it.
#![cfg_attr(not(feature = "cli"), allow(dead_code, reason = "`doctor` tells more than a pool asks for"))]

use super::layers::{Layer, Layers};
use crate::channel::control::FileAccess;

/// Something that a confined process must not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Open files other than granted ones.
    Files,
    /// Execute programs.
    Programs,
    /// Start processes.
    Processes,
    /// Make sockets, of whatever family.
    Sockets,
    /// Send signals to other processes.
    Signals,
    /// Trace other processes, or read or write their memory.
    OthersMemory,
    /// Be traced or read by other processes of its user, such as a worker of another module.
    OwnMemory,
    /// Gain privileges by executing a program that has them.
    Privileges,
    /// Use what root may do.
    RootsPowers,
    /// Make memory executable once its code is loaded.
    NewCode,
    /// Use the kernel's rarer doors.
    RareDoors,
}

impl Right {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Files,
        Self::Programs,
        Self::Processes,
        Self::Sockets,
        Self::Signals,
        Self::OthersMemory,
        Self::OwnMemory,
        Self::Privileges,
        Self::RootsPowers,
        Self::NewCode,
        Self::RareDoors,
    ];

    /// What it is the right to do.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "open files",
            Self::Programs => "execute programs",
            Self::Processes => "start processes",
            Self::Sockets => "make sockets",
            Self::Signals => "send signals to other processes",
            Self::OthersMemory => "trace and read other processes",
            Self::OwnMemory => "be traced and read by others",
            Self::Privileges => "gain privileges",
            Self::RootsPowers => "use root's powers",
            Self::NewCode => "make new executable memory",
            Self::RareDoors => "use io_uring, bpf, keys, namespaces and the like",
        }
    }

    /// Its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Programs => "programs",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Signals => "signals",
            Self::OthersMemory => "others_memory",
            Self::OwnMemory => "own_memory",
            Self::Privileges => "privileges",
            Self::RootsPowers => "roots_powers",
            Self::NewCode => "new_code",
            Self::RareDoors => "rare_doors",
        }
    }

    /// Each layer that takes it away by itself, the strongest first.
    ///
    /// With granted directories a process must be able to open files and to get descriptors; then Landlock alone
    /// knows which files, and a file that it wrote could be mapped as code.
    pub(crate) fn layers(self, directories: FileAccess) -> &'static [Layer] {
        use Layer::*;
        match (self, directories) {
            (Self::Files, FileAccess::None) => &[Filter, LandlockFiles, NoDescriptors],
            (Self::Files, FileAccess::Granted) => &[LandlockFiles],
            (Self::Sockets, FileAccess::None) => &[Filter, NoDescriptors],
            (Self::NewCode, FileAccess::None) => &[Filter, CodeLock],
            (Self::Programs | Self::OthersMemory, _) => &[Filter, LandlockFiles],
            (Self::Signals, _) => &[Filter, LandlockScopes],
            (Self::OwnMemory, _) => &[NotDumpable],
            (Self::Privileges, _) => &[NoNewPrivs, Filter],
            (Self::RootsPowers, _) => &[NoCapabilities, Filter],
            (Self::Sockets | Self::NewCode, FileAccess::Granted) => &[Filter],
            (Self::Processes | Self::RareDoors, _) => &[Filter],
        }
    }
}

/// How well a process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Every layer that there is for a right is in place.
    Full,
    /// Every right is gone, but some of them hang on one layer where a newer or otherwise configured kernel has two.
    Reduced,
    /// Some right cannot be taken away.
    Insecure,
}

impl Verdict {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::Insecure => "insecure",
        }
    }
}

/// What layers come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    layers: Layers,
    directories: FileAccess,
}

impl Judgement {
    /// Judges a process with these layers.
    pub(crate) fn of(layers: Layers, directories: FileAccess) -> Self {
        Self { layers, directories }
    }

    /// The layers in place that take a right away.
    pub(crate) fn holding(&self, right: Right) -> impl Iterator<Item = Layer> {
        let layers = self.layers;
        right.layers(self.directories).iter().copied().filter(move |layer| layers.has(*layer))
    }

    /// Whether a right could have more than the one layer that it has.
    pub(crate) fn is_thin(&self, right: Right) -> bool {
        self.holding(right).count() == 1 && right.layers(self.directories).len() > 1
    }

    /// The rights that nothing takes away.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(|right| self.holding(*right).next().is_none())
    }

    /// How well it is confined.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.missing().next().is_some() {
            Verdict::Insecure
        } else if Right::ALL.into_iter().any(|right| self.is_thin(right)) {
            Verdict::Reduced
        } else {
            Verdict::Full
        }
    }

    /// Nothing where every right is gone, else what is not and what to do about it.
    ///
    /// # Errors
    ///
    /// Names the rights, and a layer that would take the first of them away.
    pub(crate) fn demand(&self) -> Result<(), Refusal> {
        let missing: Vec<Right> = self.missing().collect();
        let Some(layer) = missing.first().and_then(|right| right.layers(self.directories).first()) else {
            return Ok(());
        };
        let names: Vec<&str> = missing.iter().map(|right| right.name()).collect();
        Err(Refusal { rights: names.join(", "), layer: layer.name(), remedy: layer.remedy() })
    }
}

/// Rights that cannot be taken away here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing on this machine takes away the right to {rights}; a {layer} would: {remedy}; `wasmpool doctor` shows more, \
     and --insecure (Builder::insecure) runs modules all the same"
)]
pub(crate) struct Refusal {
    rights: String,
    layer: &'static str,
    remedy: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(missing: &[Layer]) -> Layers {
        Layer::ALL.into_iter().filter(|layer| !missing.contains(layer)).collect()
    }

    fn check(missing: &[Layer], directories: FileAccess, expected: Verdict) {
        let judgement = Judgement::of(without(missing), directories);
        assert_eq!(judgement.verdict(), expected, "without {missing:?}, {directories:?}");
        assert_eq!(judgement.demand().is_err(), expected == Verdict::Insecure, "{missing:?}");
    }

    #[test]
    fn each_kernel_gets_its_verdict() {
        use Layer::*;
        let landlock = [LandlockFiles, LandlockTcp, LandlockScopes];
        for directories in [FileAccess::None, FileAccess::Granted] {
            check(&[], directories, Verdict::Full);
            // Linux 6.3 to 6.11, and without the lock on code.
            check(&[LandlockScopes], directories, Verdict::Reduced);
            check(&[NotDumpable], directories, Verdict::Insecure);
            check(&[Filter], directories, Verdict::Insecure);
            check(&Layer::ALL, directories, Verdict::Insecure);
        }
        check(&[CodeLock], FileAccess::None, Verdict::Reduced);
        check(&landlock, FileAccess::None, Verdict::Reduced);
        check(&landlock, FileAccess::Granted, Verdict::Insecure);
        check(&[NoDescriptors], FileAccess::None, Verdict::Reduced);
        check(&[NoDescriptors], FileAccess::Granted, Verdict::Full);
    }

    #[test]
    fn every_right_is_taken_by_something() {
        for right in Right::ALL {
            for directories in [FileAccess::None, FileAccess::Granted] {
                assert!(!right.layers(directories).is_empty(), "{right:?}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_rights_and_the_remedy() {
        let refusal = Judgement::of(without(&[Layer::Filter]), FileAccess::None).demand().unwrap_err();
        let text = refusal.to_string();
        for part in ["start processes", "io_uring", "seccomp filter", "CONFIG_SECCOMP_FILTER", "--insecure"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(!text.contains("open files"), "{text}");
    }
}
