//! The range word once more, over the model checker's atomics: the same source, in a world where every order is tried.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "range_word.rs"]
pub(super) mod range_word;
