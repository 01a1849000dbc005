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

/// What is of use only in the process that made it. A fork copies it.
pub struct Own<T> {
    generation: u32,
    value: T,
}

impl<T> Own<T> {
    /// This process's.
    pub fn new(value: T) -> Self {
        Self {
            generation: generation(),
            value,
        }
    }

    /// `None` in another process.
    pub fn get(&self) -> Option<&T> {
        (self.generation == generation()).then_some(&self.value)
    }

    /// This process's, made anew where it is another's.
    pub fn get_or_make(&mut self, make: impl FnOnce() -> T) -> &mut T {
        if self.generation != generation() {
            *self = Self::new(make());
        }
        &mut self.value
    }
}
