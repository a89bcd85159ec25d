//! Handles, used by threads.
