//! The granted directories of a worker, or of a program: how their descriptors arrive.

use std::os::fd::AsFd as _;

use rustix::process::{Resource, Rlimit};

use super::arrivals;
use crate::channel::control::{Control, DirRights, Directories, Directory as Announced};
use crate::process::jail::GrantedDirectory;
use crate::sandbox::files::{Directory, OPEN_MAX};

/// Descriptors that this process may have for itself besides those of its guest's: regions, code, listings.
const OWN_DESCRIPTORS: u64 = 200;

/// Receives the descriptors of the announced directories, and bounds how many this process may open in them.
///
/// # Errors
///
/// What did not come, in words.
pub(super) fn receive(control: &Control, announced: &[Announced]) -> Result<Vec<Directory>, String> {
    let directories = receive_all(control, announced)?;
    if !directories.is_empty() {
        bound_descriptors();
    }
    Ok(directories)
}

/// The same as the jail takes them.
pub(super) fn granted(directories: &[Directory]) -> Vec<GrantedDirectory<'_>> {
    directories
        .iter()
        .map(|directory| GrantedDirectory {
            descriptor: directory.descriptor.as_fd(),
            read_only: directory.rights == DirRights::ReadOnly,
        })
        .collect()
}

fn receive_all(control: &Control, announced: &[Announced]) -> Result<Vec<Directory>, String> {
    let mut directories = Vec::new();
    arrivals::receive::<Directories, _>(
        control,
        "granted directories",
        announced,
        |descriptor, directory| {
            let Announced { path, rights } = directory;
            directories.push(Directory { descriptor, path: path.clone(), rights: *rights });
            Ok(())
        },
    )?;
    Ok(directories)
}

/// Keeps a guest that opens files without end from taking more than its share of the system's.
fn bound_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = OPEN_MAX as u64 + OWN_DESCRIPTORS;
    let current = Some(limit.maximum.map_or(most, |maximum| maximum.min(most)));
    // Lowering it always works, and so does raising it as far as the hard limit goes.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;
    use crate::channel::control::DirRights;

    fn announced(count: usize) -> Vec<Announced> {
        let one = |number| Announced { path: format!("/{number}"), rights: DirRights::ReadOnly };
        (0..count).map(one).collect()
    }

    /// What comes of frames that bring so many descriptors each.
    fn received(frames: &[usize], count: usize) -> Result<Vec<String>, String> {
        let (ours, theirs) = Control::pair().unwrap();
        let directory = std::fs::File::open("/").unwrap();
        for count in frames {
            let descriptors: Vec<BorrowedFd<'_>> = vec![directory.as_fd(); *count];
            ours.send(&Directories, &descriptors).unwrap();
        }
        drop(ours);
        let directories = receive_all(&Control::from_descriptor(theirs), &announced(count))?;
        Ok(directories.into_iter().map(|directory| directory.path).collect())
    }

    #[test]
    fn directories_arrive_in_their_order_in_as_many_frames_as_they_take() {
        assert_eq!(received(&[], 0), Ok(vec![]));
        for frames in [&[3][..], &[1, 2]] {
            assert_eq!(received(frames, 3).unwrap(), ["/0", "/1", "/2"]);
        }
    }

    #[test]
    fn what_does_not_add_up_is_refused_with_a_reason() {
        let cases = [
            (received(&[2], 3), "1 granted directories did not come"),
            (received(&[4], 3), "sent 4 granted directories where 3"),
            (received(&[1, 0], 3), "sent 0 granted directories where 2"),
        ];
        for (received, reason) in cases {
            let refused = received.unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
