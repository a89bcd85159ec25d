//! A worker: takes one module, then runs chunks of calls until its supervisor ends it.
//!
//! A worker knows nothing of jobs, siblings or schedules. It starts as a copy of the host's executable with one
//! socket, hears which module it serves, and from then on lives on its two regions: it claims calls, runs them in a
//! tenant, and writes down what they came to. It trusts the supervisor and nothing that a guest says.

mod arrivals;
pub(crate) mod command;
pub(crate) mod compiler;
mod directories;
#[cfg(feature = "lies")]
pub(crate) mod liar;
pub(crate) mod trial;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::control::{
    Control, Grant, Hello, HelloBack, Load, Objects, Service, VERSION, WorkerSays,
};
use crate::channel::desk::{Desk, Next};
use crate::channel::layout::{down, up};
use crate::process::jail::{Confinement, Inmate};
use crate::process::{reentry, stack};
use crate::sandbox::files::Directory;
use crate::sandbox::shared::Belongings;
use crate::sandbox::tenant::{Plot, Room};
use crate::shm::object::Party;
use crate::shm::region::{Region, Writer};

/// How long a supervisor may take for its first words.
const HELLO_TIME_MAX: Duration = Duration::from_secs(30);

/// Runs this process as a worker, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let Ok(mut confinement) = shake_hands(&control, Inmate::Worker) else { std::process::exit(1) };
    report_panics(&control);
    // While the supervisor is still busy with the module, most often.
    confinement.filter_early();
    match open(&control, confinement) {
        Ok(Some(room)) => serve(room, control),
        Ok(None) => std::process::exit(0),
        Err(reason) => {
            // A supervisor that no longer listens needs no reason.
            let _ = control.send(&WorkerSays::Refused(reason), &[]);
            std::process::exit(1)
        }
    }
}

/// Answers the supervisor's first words and begins to confine this process, for a worker as for the others.
///
/// # Errors
///
/// When none come, they are of another version, or the process cannot be confined. The supervisor is told by the
/// answer, too.
pub(crate) fn shake_hands(control: &Control, inmate: Inmate) -> Result<Confinement, ()> {
    let hello: Hello = control.receive(HELLO_TIME_MAX).map_err(|_| ())?;
    reentry::check_parent(hello.supervisor);
    let begun = Confinement::begin(inmate, hello.wishes);
    let refusal = begun.as_ref().err().map(ToString::to_string);
    control.send(&HelloBack { version: VERSION, refusal }, &[]).map_err(|_| ())?;
    if hello.version == VERSION { begun.map_err(|_| ()) } else { Err(()) }
}

/// Tells the supervisor in words why this process is about to abort: its stderr leads nowhere.
fn report_panics(control: &Control) {
    // A descriptor of its own, taken while there are any. Without one the death tells of itself.
    let control = control.try_clone();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(control) = &control {
            let _ = control.send(&WorkerSays::Panicked(panic.to_string()), &[]);
        }
        std::process::abort();
    }));
}

/// Waits for the module and gets everything ready to run it. Nothing comes when the supervisor has no use for this
/// worker any more.
fn open(control: &Control, mut confinement: Confinement) -> Result<Option<Room>, String> {
    let Some(delivery) = receive(control)? else {
        return Ok(None);
    };
    let Delivery { desk, service, belongings, directories, module, drivers, snapshot } = delivery;
    confinement.admit(&directories::granted(&directories))?;
    let plot = Plot::new(service, belongings, directories, snapshot).map_err(|error| format!("{error:#}"))?;
    // Whatever the code is, it is looked at from inside the jail.
    confinement.filter();
    let house = plot.build(module, drivers).map_err(|error| format!("{error:#}"))?;
    confinement.lock().map_err(|refusal| refusal.to_string())?;
    control.send(&WorkerSays::Ready, &[]).map_err(|error| error.to_string())?;
    Ok(Some(Room::new(house, desk)))
}

/// All that a worker is born with, before anything of the module has been looked at.
struct Delivery {
    desk: Desk,
    service: Service,
    belongings: Belongings,
    directories: Vec<Directory>,
    module: OwnedFd,
    drivers: OwnedFd,
    /// Where an instance is to be copied to.
    snapshot: Option<Region>,
}

fn receive(control: &Control) -> Result<Option<Delivery>, String> {
    // Without a limit: a pool may wait for its first module for as long as it likes, and its end closes the socket.
    let Ok((Load { party, snapshot_bytes, identity }, mut descriptors)) =
        control.receive_with_descriptors::<Load>(None)
    else {
        return Ok(None);
    };
    let snapshot_fd = if snapshot_bytes.is_some() { descriptors.pop() } else { None };
    let Ok([module, drivers, down_fd, up_fd, service]) = <[_; 5]>::try_from(descriptors) else {
        return Err("the supervisor sent other descriptors than promised".into());
    };
    let describe = |error: std::io::Error| error.to_string();
    let down = Region::map(std::os::fd::AsFd::as_fd(&down_fd), down::BYTES, Writer::Supervisor);
    let up = Region::map(std::os::fd::AsFd::as_fd(&up_fd), up::BYTES, Writer::Worker);
    let snapshot = snapshot_fd
        .zip(snapshot_bytes)
        .map(|(file, bytes)| Region::map(std::os::fd::AsFd::as_fd(&file), bytes as usize, Writer::Worker));
    let snapshot = snapshot.transpose().map_err(describe)?;
    let desk = Desk::new(down.map_err(describe)?, up.map_err(describe)?).of(identity);
    let service = Service::from_file(service).map_err(describe)?;
    stack::check_room(service.limits.stack_bytes).map_err(describe)?;
    let belongings = receive_objects(control, party, &service.grants)?;
    let directories = directories::receive(control, &service.directories)?;
    Ok(Some(Delivery { desk, service, belongings, directories, module, drivers, snapshot }))
}

/// Receives and maps the objects of all grants. As many descriptors are open at a time as one frame brings.
fn receive_objects(control: &Control, party: Option<Party>, grants: &[Grant]) -> Result<Belongings, String> {
    let mut belongings = Belongings::default();
    if grants.is_empty() {
        return Ok(belongings);
    }
    let party = party.ok_or("the supervisor granted shared objects to nobody in particular")?;
    arrivals::receive::<Objects, _>(control, "shared objects", grants, |pages, grant| {
        belongings.add(grant.clone(), party, pages)
    })?;
    Ok(belongings)
}

fn serve(mut room: Room, control: Control) -> ! {
    let control = Arc::new(control);
    let of_waiting = Arc::clone(&control);
    room.ask_when_waiting(move || of_waiting.is_closed());
    loop {
        match room.desk().next() {
            Next::Order(order) => room.run(&order),
            // The parent-death signal ends this process; where it cannot (another process took the supervisor's
            // place as the parent), the closed socket does.
            Next::Nothing => {
                if control.is_closed() {
                    std::process::exit(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;
    use crate::shm::object::ground::Rights;
    use crate::shm::object::spec::Spec;

    const NAMES: [&str; 3] = ["a", "b", "c"];

    fn grants(names: &[&str]) -> Vec<Grant> {
        let grant =
            |name: &&str| Grant { name: (*name).into(), spec: Spec::Event, rights: Rights::ReadWrite };
        names.iter().map(grant).collect()
    }

    /// What comes of frames that bring so many descriptors each, of regions of `bytes` bytes.
    fn received(frames: &[usize], bytes: usize, grants: &[Grant]) -> Result<usize, String> {
        let (ours, theirs) = Control::pair().unwrap();
        let (_region, pages) = Region::create("test", bytes, Writer::Worker).unwrap();
        for count in frames {
            let descriptors: Vec<BorrowedFd<'_>> = vec![pages.as_fd(); *count];
            ours.send(&Objects, &descriptors).unwrap();
        }
        drop(ours);
        receive_objects(&Control::from_descriptor(theirs), Party::new(1), grants).map(|objects| objects.len())
    }

    #[test]
    fn objects_arrive_in_as_many_frames_as_they_take() {
        let bytes = Spec::Event.bytes().unwrap();
        for frames in [&[3][..], &[1, 2], &[1, 1, 1]] {
            assert_eq!(received(frames, bytes, &grants(&NAMES)), Ok(3));
        }
        assert_eq!(received(&[], bytes, &[]), Ok(0));
        let many: Vec<String> = (0..100).map(|number| format!("object{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(received(&[16, 16, 16, 16, 16, 16, 4], bytes, &grants(&many)), Ok(100));
    }

    #[test]
    fn what_does_not_add_up_is_refused_with_a_reason() {
        let bytes = Spec::Event.bytes().unwrap();
        let cases = [
            (received(&[2], bytes, &grants(&NAMES)), "1 shared objects did not come"),
            (received(&[4], bytes, &grants(&NAMES)), "sent 4 shared objects where 3 were to come"),
            (received(&[1, 0], bytes, &grants(&NAMES)), "sent 0 shared objects where 2"),
            (received(&[1], bytes + 4096, &grants(&["a"])), "`a` cannot be mapped"),
            (
                received(&[2], bytes, &grants(&["a", "a"])),
                "two shared objects were granted under the name `a`",
            ),
        ];
        for (received, reason) in cases {
            let refused = received.unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let (_ours, theirs) = Control::pair().unwrap();
        let refused = receive_objects(&Control::from_descriptor(theirs), None, &grants(&NAMES)).unwrap_err();
        assert!(refused.contains("nobody in particular"), "{refused}");
    }
}
