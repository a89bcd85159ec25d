//! A worker that lies: it speaks the protocol as an honest one does, up to the point at which it does not.
//!
//! It is built for tests alone, behind a feature that changes nothing else. A pool is told to start its workers from
//! an executable whose `main` is [`main`]; a [`Script`] beside that executable says which [`Lie`] is told, by how many
//! of its processes and in which of their chunks. Everybody else who is started from it is honest.
//!
//! [`greeting`] holds what is said before the first chunk, [`chunk`] what is done to one, [`scribble`] what goes on
//! beside it for ever. A liar knows one task only: it takes one argument and returns the cube of a number, or a text
//! unchanged, so that it can answer rightly where its lie is another one.

mod chunk;
mod greeting;
mod scribble;
mod script;

use std::sync::Arc;

pub use script::{Lie, Script};

use super::Delivery;
use crate::channel::control::{Control, WorkerSays};
use crate::channel::desk::{Input, Next};
use crate::channel::order::{Entry, Order};
use crate::process::reentry::{self, Role};
use crate::sandbox::tenant::{Plot, Room};
use crate::shm::region::Region;

/// In a process that a pool has started, lies as its script says, or is honest, and does not return.
pub fn main() {
    let role = Role::of_this_process();
    let is_mine = |script: &Script| match role {
        Some(Role::Worker) => !script.lie.is_of_compiler(),
        Some(Role::Compiler) => script.lie.is_of_compiler(),
        _ => false,
    };
    let script = Script::of_this_process().filter(is_mine).filter(Script::takes_turn);
    let Some(script) = script else { return crate::init() };
    let control = Control::from_descriptor(reentry::settle());
    greeting::before_hello(&script, &control);
    greeting::answer_honestly(&control);
    greeting::before_load(&script, &control);
    match open(&control) {
        Ok(Some(room)) => Liar::new(script, control, room).serve(),
        Ok(None) => std::process::exit(0),
        Err(_) => std::process::exit(1),
    }
}

/// Opens as an honest worker does, but without going into the jail, which would keep it from the worst.
fn open(control: &Control) -> Result<Option<Room>, String> {
    let Some(Delivery { desk, service, belongings, directories, module, drivers, snapshot }) =
        super::receive(control)?
    else {
        return Ok(None);
    };
    let plot = Plot::new(service, belongings, directories, snapshot).map_err(|error| format!("{error:#}"))?;
    let house = plot.build(module, drivers).map_err(|error| format!("{error:#}"))?;
    control.send(&WorkerSays::Ready, &[]).map_err(|error| error.to_string())?;
    Ok(Some(Room::new(house, desk)))
}

/// A worker that has loaded its module.
struct Liar {
    script: Script,
    control: Control,
    room: Room,
    down: Arc<Region>,
    up: Arc<Region>,
}

impl Liar {
    fn new(script: Script, control: Control, mut room: Room) -> Self {
        let (down, up) = room.desk().regions();
        let (down, up) = (Arc::clone(down), Arc::clone(up));
        Self { script, control, room, down, up }
    }

    fn serve(mut self) -> ! {
        let mut chunks = 0;
        loop {
            match self.room.desk().next() {
                Next::Nothing if self.control.is_closed() => std::process::exit(0),
                Next::Nothing => {}
                Next::Order(order) => {
                    chunks += 1;
                    let first = self.argument(&order, 0);
                    self.script.note_offered(&(first..first + i64::from(order.count)));
                    if chunks == self.script.chunk {
                        self.script.note_told();
                        self.lie(&order);
                    } else {
                        self.room.run(&order);
                    }
                }
            }
        }
    }

    fn input(&mut self, call: u32) -> Vec<u8> {
        match self.room.desk().input(call, 1) {
            Input::Number(number) => number.to_le_bytes().to_vec(),
            Input::Bytes { offset, length } => {
                let mut bytes = Vec::new();
                self.down.read_to(offset, length, &mut bytes);
                bytes
            }
        }
    }

    /// The number that a call is given, as itself or as a text.
    fn argument(&mut self, order: &Order, call: u32) -> i64 {
        let input = self.input(call);
        match order.entry {
            Entry::Pull(_) | Entry::Command => {
                let (text,): (String,) = rmp_serde::from_slice(&input).expect("a text");
                text.parse().expect("a number as a text")
            }
            Entry::Batch | Entry::Each => {
                i64::from_le_bytes(*input.first_chunk().expect("a cell has eight bytes"))
            }
        }
    }

    /// The right result of a call.
    fn answer(&mut self, order: &Order, call: u32) -> Vec<u8> {
        let argument = self.argument(order, call);
        match order.entry {
            Entry::Pull(_) | Entry::Command => {
                rmp_serde::to_vec(&argument.to_string()).expect("a text can be encoded")
            }
            Entry::Batch | Entry::Each => argument.wrapping_pow(3).to_le_bytes().to_vec(),
        }
    }
}

/// Does nothing more, until somebody ends this process.
fn stall() -> ! {
    loop {
        std::thread::park();
    }
}
