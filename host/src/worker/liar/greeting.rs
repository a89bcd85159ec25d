//! Lies that are told before the first chunk.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::net::SendFlags;
use serde::Serialize;

use super::script::{Lie, Script};
use super::stall;
use crate::channel::control::{Compile, CompilerSays, Control, Hello, HelloBack, Load, VERSION, WorkerSays};
use crate::process::reentry;

const LONG: Duration = Duration::from_secs(30);

/// Text that would move a cursor, change a title, and fill many screens.
pub(super) fn loud() -> String {
    "\x1b[2J\x1b]0;owned\x07\r\n\u{202e}".repeat(5000)
}

/// Answers the first frame, or not.
pub(super) fn before_hello(script: &Script, control: &Control) {
    match script.lie {
        Lie::WrongVersion => answer_hello(script, control, |control| {
            say(control, &HelloBack { version: VERSION + 1, refusal: None }, &[]);
        }),
        Lie::GreetsInGarbage => answer_hello(script, control, |control| send(control, &[0xc1; 64])),
        Lie::GreetsAtLength => answer_hello(script, control, |control| send(control, &[0x80; 160 << 10])),
        Lie::GreetsWithNothing => answer_hello(script, control, |control| send(control, &[])),
        Lie::NeverGreets => answer_hello(script, control, |_| ()),
        Lie::ClosesAtOnce => {
            script.note_told();
            close_socket();
            stall()
        }
        Lie::EndsAtOnce => {
            script.note_told();
            std::process::exit(0)
        }
        Lie::GreetsLate => {
            script.note_told();
            std::thread::sleep(Duration::from_millis(300));
        }
        Lie::GreetsWithDescriptors => {
            script.note_told();
            // The honest answer follows and is never read.
            say(control, &HelloBack { version: VERSION, refusal: None }, &[control.as_fd(); 16]);
        }
        _ => {}
    }
}

/// Answers the first frame as an honest process does, but without beginning to confine this one.
pub(super) fn answer_honestly(control: &Control) {
    let Ok(hello) = control.receive::<Hello>(LONG) else { std::process::exit(1) };
    reentry::check_parent(hello.supervisor);
    say(control, &HelloBack { version: VERSION, refusal: None }, &[]);
}

fn answer_hello(script: &Script, control: &Control, answer: impl FnOnce(&Control)) -> ! {
    let _: Result<Hello, _> = control.receive(LONG);
    script.note_told();
    answer(control);
    stall()
}

/// Answers what it is to load, or to compile.
pub(super) fn before_load(script: &Script, control: &Control) {
    match script.lie {
        Lie::ReadyTooEarly => {
            script.note_told();
            say(control, &WorkerSays::Ready, &[]);
        }
        Lie::FloodsTheSocket => {
            script.note_told();
            while control.send(&WorkerSays::Ready, &[]).is_ok() {}
        }
        Lie::ReadyWithDescriptors => {
            script.note_told();
            say(control, &WorkerSays::Ready, &[control.as_fd(); 16]);
        }
        Lie::ReadyForNothing => answer_load(script, control, &WorkerSays::Ready),
        Lie::RefusesLoudly => answer_load(script, control, &WorkerSays::Refused(loud())),
        Lie::SaysSomethingElse => answer_load(script, control, &("Exalted", u64::MAX)),
        lie if lie.is_of_compiler() => compile(script, control),
        _ => {}
    }
}

fn answer_load(script: &Script, control: &Control, answer: &impl Serialize) -> ! {
    let _: Result<(Load, _), _> = control.receive_with_descriptors(Some(LONG));
    script.note_told();
    say(control, answer, &[]);
    stall()
}

fn compile(script: &Script, control: &Control) -> ! {
    let request: Result<(Compile, Vec<OwnedFd>), _> = control.receive_with_descriptors(Some(LONG));
    let files = request.map(|(_, files)| files).unwrap_or_default();
    script.note_told();
    let endless: OwnedFd = rustix::event::eventfd(0, EventfdFlags::empty()).expect("a descriptor");
    let write = |bytes: &[u8]| {
        for file in files.iter().skip(1).take(2) {
            File::from(file.try_clone().expect("a descriptor")).write_all(bytes).expect("room");
        }
    };
    match script.lie {
        Lie::CompilesToNothing => say(control, &CompilerSays::Compiled, &[]),
        Lie::CompilesToTooMuch => {
            write(&vec![0x7f; 64 << 20]);
            say(control, &CompilerSays::Compiled, &[]);
        }
        Lie::CompilesToNoFile => say(control, &CompilerSays::Compiled, &[endless.as_fd(); 2]),
        Lie::CompilesToGarbage => {
            write(&[0x7f; 4096]);
            say(control, &CompilerSays::Compiled, &[]);
        }
        _ => say(control, &CompilerSays::Invalid(loud()), &[]),
    }
    stall()
}

/// Closes the control socket, which is descriptor 0.
pub(super) fn close_socket() {
    let nothing = File::open("/dev/null").expect("there is always nothing");
    rustix::stdio::dup2_stdin(&nothing).expect("descriptor 0 can be replaced");
}

/// Says something, which a supervisor that no longer listens does not hear.
pub(super) fn say(control: &Control, frame: &impl Serialize, descriptors: &[BorrowedFd<'_>]) {
    let _ = control.send(frame, descriptors);
}

fn send(control: &Control, bytes: &[u8]) {
    rustix::net::send(control, bytes, SendFlags::NOSIGNAL).expect("the socket has room");
}
