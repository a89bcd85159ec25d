//! Skeleton.

#[cfg_attr(not(test), allow(dead_code))]
mod sandbox;
