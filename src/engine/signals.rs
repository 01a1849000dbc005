//! Whether an engine depends on the process's signal handlers, which another one may set.

use std::sync::atomic::{AtomicBool, Ordering};

static USED: AtomicBool = AtomicBool::new(false);

/// Tells that handlers of signals are set, once and for all.
pub fn use_them() {
    USED.store(true, Ordering::Relaxed);
}

/// Whether whoever changes handlers has to put them back.
#[cfg(feature = "wasmedge")]
pub fn are_used() -> bool {
    USED.load(Ordering::Relaxed)
}
