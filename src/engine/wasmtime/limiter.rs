//! What the memories and tables of one instance may come to.

use wasmtime as wt;

use crate::engine::{Limits, TABLE_ELEMENTS};

/// Counts what an instance has.
pub struct Limiter {
    memory: Count,
    elements: Count,
}

/// Of all memories, or of all tables.
struct Count {
    used: u64,
    limit: u64,
    /// What was allowed last, should it not be had.
    last: u64,
}

impl Count {
    const fn new(limit: u64) -> Self {
        Self {
            used: 0,
            limit,
            last: 0,
        }
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let more = (desired - current) as u64;
        let fits = self
            .used
            .checked_add(more)
            .is_some_and(|sum| sum <= self.limit);
        self.last = 0;
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.last = more;
            self.used += more;
            return true;
        }
        false
    }

    fn failed(&mut self) {
        self.used -= std::mem::take(&mut self.last);
    }
}

impl Limiter {
    pub fn new(limits: Limits) -> Self {
        Self {
            memory: Count::new(limits.memory),
            elements: Count::new(TABLE_ELEMENTS),
        }
    }

    /// Bytes in all memories.
    pub fn memory(&self) -> usize {
        self.memory.used as usize
    }
}

impl wt::ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wt::Result<bool> {
        Ok(self.memory.grow(current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _: wt::Error) -> wt::Result<()> {
        self.memory.failed();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wt::Result<bool> {
        Ok(self.elements.grow(current, desired, maximum))
    }

    fn table_grow_failed(&mut self, _: wt::Error) -> wt::Result<()> {
        self.elements.failed();
        Ok(())
    }
}
