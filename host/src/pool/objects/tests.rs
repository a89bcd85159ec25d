//! Handles, alone, in threads and between processes.
//!
//! What is expected stands in tables and in races that know nothing of who plays: a [`player`] is a thread of this
//! process or a process of its own, [`process`]. [`stage`] makes the objects, [`any`] turns JSON into operations.

mod any;
mod deaths;
mod forgery;
mod kinds;
mod player;
mod process;
mod races;
mod random;
mod scribbler;
mod script;
mod sharing;
mod stage;
