//! Which process this is, without asking the kernel for each request.

use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// A number that changes with each fork.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// To be called in the child after each fork.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
