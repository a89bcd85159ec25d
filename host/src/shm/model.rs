//! The bell once more, over the model checker's atomics: the same source, in a world where every order is tried.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU32, Ordering, fence};
}
#[path = "futex_model.rs"]
mod futex;

#[path = "bell.rs"]
pub(super) mod bell;
