//! Skeleton.

#[allow(dead_code, reason = "the floors that use it come next")]
mod sandbox;
