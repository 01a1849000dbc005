//! The processes that use the region, and how they wake each other.
//!
//! Each has a place in the region, and a mutex there that it keeps for as long as it lives: whether that can be taken tells whether it
//! has died, whatever it died of.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::layout::{MAX_WORKERS, WORKER_WORDS, WORKERS};
use super::memory::Memory;
use super::region::Region;

/// Held by the process whose place it is.
const LIFE_LOCK: usize = 0;
/// How many processes have had the place.
const LIFE: usize = 16;
/// There is something for the process.
const RUNG: usize = 17;
/// Changes with each ring: what a [`Bell`] sleeps on.
const BELL: usize = 18;
/// The process is about to quit.
const RETIRED: usize = 19;
/// The process only has others work: it is told of nothing, and what it adds to gauges does not count.
const MASTER: usize = 20;

/// How many forks lie between this process and the one that loaded the library.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in each process that was forked.
pub fn forked() {
    FORKS.fetch_add(1, Relaxed);
}

/// A process that uses the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    pub place: u32,
    /// Others have had the same place before.
    pub life: u32,
}

impl Worker {
    /// What it is known by where only a number can be kept.
    pub fn number(self) -> u64 {
        u64::from(self.life) << 32 | u64::from(self.place)
    }

    /// The worker with a [`Worker::number`].
    pub fn from_number(number: u64) -> Self {
        Self {
            place: number as u32,
            life: (number >> 32) as u32,
        }
    }
}

/// Makes the places usable in memory that nobody else knows.
pub fn init(memory: &Memory) {
    for place in 0..MAX_WORKERS {
        // SAFETY: the memory is all zeros, and nobody else knows it.
        unsafe { memory.mutex(at(place as u32, LIFE_LOCK)).init() };
    }
}

fn at(place: u32, field: usize) -> usize {
    WORKERS + place as usize * WORKER_WORDS + field
}

impl Region {
    fn worker_word(&self, worker: Worker, field: usize) -> &AtomicU32 {
        self.memory.word(at(worker.place, field))
    }

    /// This process. `None` where there are too many.
    pub fn worker(&self) -> Option<Worker> {
        self.known_worker().or_else(|| self.join())
    }

    /// This process, if it has a place already. What a process knows is copied with it, and counts only where no fork lies between.
    fn known_worker(&self) -> Option<Worker> {
        let known = self.worker.load(Relaxed);
        let place = (known as u32).checked_sub(1)?;
        if (known >> 32) as u32 != FORKS.load(Relaxed) {
            return None;
        }
        let life = self.memory.word(at(place, LIFE)).load(Relaxed);
        Some(Worker { place, life })
    }

    fn join(&self) -> Option<Worker> {
        let _locked = self.lock();
        // Another thread may have come first.
        if let Some(worker) = self.known_worker() {
            return Some(worker);
        }
        let mut places = 0..MAX_WORKERS as u32;
        let place = places.find(|place| {
            let mutex = self.memory.mutex(at(*place, LIFE_LOCK));
            mutex.try_lock().is_some()
        })?;
        let life = self.memory.word(at(place, LIFE)).load(Relaxed) + 1;
        let worker = Worker { place, life };
        self.worker_word(worker, LIFE).store(life, Relaxed);
        self.worker_word(worker, RUNG).store(0, Relaxed);
        self.worker_word(worker, RETIRED).store(0, Relaxed);
        self.worker_word(worker, MASTER).store(0, Relaxed);
        let forks = u64::from(FORKS.load(Relaxed));
        self.worker
            .store(forks << 32 | u64::from(place + 1), Relaxed);
        Some(worker)
    }

    /// Gives this process's place back, if it has one. False where that can only be done by the thread that took it, and this is another.
    pub fn quit(&self) -> bool {
        self.known_worker().is_none_or(|worker| {
            let mutex = self.memory.mutex(at(worker.place, LIFE_LOCK));
            mutex.unlock()
        })
    }

    /// Whether a process is there to do something.
    pub fn lives(&self, worker: Worker) -> bool {
        self.counts(worker) && self.worker_word(worker, RETIRED).load(Relaxed) == 0
    }

    /// Whether a process has not ended. To be asked under the lock: for a moment, whoever asks has what only the living have.
    pub fn is_alive(&self, worker: Worker) -> bool {
        // What is kept of a worker may be damaged, and what is behind the last place is no mutex.
        let is_place = (worker.place as usize) < MAX_WORKERS;
        if !is_place || self.worker_word(worker, LIFE).load(Relaxed) != worker.life {
            return false;
        }
        let mutex = self.memory.mutex(at(worker.place, LIFE_LOCK));
        match mutex.try_lock() {
            Some(_) => {
                mutex.unlock();
                false
            }
            None => true,
        }
    }

    /// Whether what a process adds to gauges counts.
    pub fn counts(&self, worker: Worker) -> bool {
        self.is_alive(worker) && self.worker_word(worker, MASTER).load(Relaxed) == 0
    }

    /// See [`Store::mark_master`](super::Store::mark_master).
    pub fn mark_master(&self) {
        if let Some(worker) = self.known_worker() {
            self.worker_word(worker, MASTER).store(1, Relaxed);
        }
    }

    /// Tells a process that there is something for it.
    pub fn ring(&self, worker: Worker) {
        if self.worker_word(worker, RUNG).swap(1, Release) == 0 {
            let bell = self.worker_word(worker, BELL);
            bell.fetch_add(1, Release);
            futex(bell, libc::FUTEX_WAKE, i32::MAX as u32, None);
        }
    }

    /// Whether there is something for this process.
    pub fn is_rung(&self) -> bool {
        self.known_worker()
            .is_some_and(|worker| self.worker_word(worker, RUNG).load(Relaxed) != 0)
    }

    /// What there was for this process is being looked at.
    pub fn silence(&self) {
        if let Some(worker) = self.known_worker() {
            self.worker_word(worker, RUNG).swap(0, Acquire);
        }
    }

    /// This process is about to quit: others are to do what it would.
    pub fn retire(&self) {
        if let Some(worker) = self.known_worker() {
            self.worker_word(worker, RETIRED).store(1, Relaxed);
            super::queues::leave_all(self);
        }
    }
}

/// What a thread of this process sleeps on until there is something for the process.
pub struct Bell {
    region: Arc<Region>,
    worker: Worker,
    seen: u32,
}

impl Bell {
    /// `None` where this process has no place.
    pub fn new(region: &Arc<Region>) -> Option<Self> {
        Some(Self {
            worker: region.worker()?,
            region: Arc::clone(region),
            seen: 0,
        })
    }

    /// Sleeps until there is something, or for so long. Whether there is.
    pub fn wait(&mut self, time: Duration) -> bool {
        let bell = self.region.worker_word(self.worker, BELL);
        if bell.load(Acquire) == self.seen {
            futex(bell, libc::FUTEX_WAIT, self.seen, Some(time));
        }
        let now = bell.load(Acquire);
        std::mem::replace(&mut self.seen, now) != now
    }
}

/// One of the operations on a word that processes share. What it answers does not matter: whoever waits looks again.
fn futex(word: &AtomicU32, operation: i32, value: u32, time: Option<Duration>) {
    let time = time.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the time, if any, are there for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, time) };
}
