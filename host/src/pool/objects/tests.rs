//! Handles, alone and in threads.

mod script;
mod sharing;
