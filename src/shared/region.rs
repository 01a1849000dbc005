//! The region: its mutex and the journal of what is being changed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, compiler_fence};
use std::thread;

use super::layout::{self, Layout};
use super::lock::Taken;
use super::memory::Memory;
#[cfg(test)]
use super::tests::step;
use super::{Policy, report};
use crate::abi::types::LogLevel;

/// In tests, the process may die here.
#[cfg(not(test))]
fn step() {}

/// A region of shared memory, made in one process and known to those it forks.
pub struct Region {
    pub memory: ManuallyDrop<Memory>,
    pub layout: Layout,
    /// The same in all processes, and unknown to those who choose keys.
    hasher: RandomState,
    /// This process's place among the workers, see [`Region::worker`](super::workers).
    pub worker: AtomicU64,
}

impl Region {
    /// Makes one of `size` bytes, which are of [`layout::SIZES`].
    ///
    /// # Errors
    /// The system has no such room.
    pub fn new(size: usize, policy: Policy) -> io::Result<Self> {
        let memory = Memory::map(size)?;
        let layout = Layout::new(size);
        // SAFETY: nobody else knows the memory, which is all zeros.
        unsafe { memory.mutex(layout::LOCK).init() };
        super::workers::init(&memory);
        memory
            .word(layout::METRICS_END)
            .store(layout.metrics_at as u32, Relaxed);
        memory.word(layout::POLICY).store(policy as u32, Relaxed);
        Ok(Self {
            memory: ManuallyDrop::new(memory),
            layout,
            hasher: RandomState::new(),
            worker: AtomicU64::new(0),
        })
    }

    /// What is known of a name, to find it.
    pub fn hash(&self, parts: [&[u8]; 2]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        // Where one part ends is a part of the name.
        hasher.write_usize(parts[0].len());
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish() as u32
    }

    /// Without the lock: what is counted, and what never changes.
    pub fn peek(&self, at: usize) -> u32 {
        self.memory.word(at).load(Relaxed)
    }

    pub fn policy(&self) -> Policy {
        Policy::from_number(self.peek(layout::POLICY))
    }

    pub fn set_policy(&self, policy: Policy) {
        self.memory
            .word(layout::POLICY)
            .store(policy as u32, Relaxed);
    }

    /// Excludes all other processes and threads. What one of them has left half done is undone.
    pub fn lock(&self) -> Locked<'_> {
        let taken = self.memory.mutex(layout::LOCK).lock();
        let locked = Locked {
            region: self,
            panicking: thread::panicking(),
        };
        step();
        if taken == Taken::OwnerDied {
            let unfinished = locked.get(layout::JOURNAL_LEN) != 0;
            locked.count(layout::RECOVERED);
            if !locked.undo() {
                locked.empty();
            } else if unfinished {
                report(
                    LogLevel::Warn,
                    "a process has died while it changed the shared memory; what it was at is undone",
                );
            }
        }
        if locked.get(layout::EMPTYING) != 0 {
            locked.empty();
        }
        locked
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // A thread has a list of what robust mutexes it holds. What is on one stays mapped.
        if self.quit() {
            // SAFETY: this is the one place where it is dropped, and nothing is done with it later.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

/// The region, while nobody else is at it. What is changed counts from [`Locked::commit`] on, as one; what has not come to that is
/// undone, by this process or, should it die, by the next.
pub struct Locked<'a> {
    pub region: &'a Region,
    /// This thread was at it before.
    panicking: bool,
}

impl Locked<'_> {
    pub fn layout(&self) -> &Layout {
        &self.region.layout
    }

    pub fn get(&self, at: usize) -> u32 {
        self.region.memory.word(at).load(Relaxed)
    }

    /// Changes a word.
    ///
    /// # Panics
    /// There have been too many changes since the last commit.
    pub fn set(&self, at: usize, value: u32) {
        let memory = &self.region.memory;
        let len = memory.word(layout::JOURNAL_LEN);
        let written = len.load(Relaxed) as usize;
        assert!(written < layout::JOURNAL_CAPACITY, "the journal is full");
        let entry = layout::JOURNAL + 2 * written;
        let word = memory.word(at);
        memory.word(entry).store(at as u32, Relaxed);
        memory.word(entry + 1).store(word.load(Relaxed), Relaxed);
        // A process dies between two instructions: their order is all that counts.
        step();
        compiler_fence(SeqCst);
        len.store(written as u32 + 1, Relaxed);
        compiler_fence(SeqCst);
        step();
        word.store(value, Relaxed);
        step();
    }

    /// Adds to a word.
    pub fn add(&self, at: usize, difference: i32) {
        self.set(at, self.get(at).wrapping_add_signed(difference));
    }

    /// Writes a word that nothing leads to yet, so that there is nothing to undo.
    pub fn put(&self, at: usize, value: u32) {
        self.region.memory.word(at).store(value, Relaxed);
        step();
    }

    /// Makes what was changed count.
    pub fn commit(&self) {
        compiler_fence(SeqCst);
        self.put(layout::JOURNAL_LEN, 0);
        compiler_fence(SeqCst);
    }

    /// Counts something that is never undone.
    pub fn count(&self, at: usize) {
        self.region.memory.cell(at).fetch_add(1, Relaxed);
        step();
    }

    /// Undoes what has not come to [`Locked::commit`]. False where the journal is not what was written.
    fn undo(&self) -> bool {
        let written = self.get(layout::JOURNAL_LEN) as usize;
        let place = |i| self.get(layout::JOURNAL + 2 * i) as usize;
        let words = self.region.memory.len() / 4;
        if written > layout::JOURNAL_CAPACITY
            || (0..written).any(|i| !layout::is_undone(place(i), words))
        {
            return false;
        }
        for i in (0..written).rev() {
            self.put(place(i), self.get(layout::JOURNAL + 2 * i + 1));
        }
        self.commit();
        true
    }

    /// Removes all data and queues. Metrics stay.
    fn empty(&self) {
        self.put(layout::EMPTYING, 1);
        compiler_fence(SeqCst);
        for index in 0..self.layout().buckets {
            self.put(self.layout().bucket_at(index), 0);
        }
        for index in 0..layout::MAX_QUEUES {
            self.put(layout::QUEUE_TABLE + index, 0);
        }
        for at in [
            layout::FREE,
            layout::FREE_COUNT,
            layout::TOUCHED,
            layout::NEWEST,
            layout::OLDEST,
            layout::KEYS,
            layout::QUEUES,
            layout::ITEMS,
            layout::ITEM_CHUNKS,
            layout::QUEUE_CHUNKS,
        ] {
            self.put(at, 0);
        }
        self.commit();
        self.count(layout::EMPTIED);
        self.put(layout::EMPTYING, 0);
        report(
            LogLevel::Error,
            "the shared memory was damaged: all shared data and queues are lost, metrics are not",
        );
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let is_whole = self.get(layout::JOURNAL_LEN) == 0 || self.undo();
        if !is_whole || thread::panicking() && !self.panicking {
            // Something in it was not as it has to be.
            self.empty();
        }
        self.region.memory.mutex(layout::LOCK).unlock();
    }
}
