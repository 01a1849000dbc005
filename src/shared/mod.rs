//! What plugins share beyond one request, in all workers: data under keys, queues and metrics.
//!
//! ```text
//! Store           what is asked of it
//!   data, queues  under the lock, in chains of chunks
//!   metrics       without the lock
//!   workers       who uses the region, and who is woken
//! Region, Locked  one mapping, its mutex, and a journal that undoes what a dead process has left half done
//! ```
//!
//! It answers those methods of [`crate::abi::host::Host`] and knows neither WebAssembly nor nginx. Start reading at [`Store`].

mod chain;
pub mod clock;
mod data;
mod layout;
mod lock;
mod memory;
mod metrics;
mod plugin;
mod prometheus;
mod queues;
mod region;
mod samples;
mod text;
mod workers;

use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use crate::abi::host::{QueueError, SharedDataError};
use crate::abi::types::LogLevel;

pub use plugin::PluginMetrics;
use region::Region;
pub use workers::{Bell, forked};

/// The sizes that a store can have, in bytes.
pub const SIZES: RangeInclusive<usize> = layout::SIZES;
/// Unless it is made with another.
pub const DEFAULT_SIZE: usize = 16 << 20;

/// The largest value, and the largest item of a queue.
const MAX_VALUE: usize = 1 << 20;

/// What is done when data does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Policy {
    /// What has not been used for longest goes.
    #[default]
    Lru,
    /// It is not taken.
    None,
}

impl Policy {
    fn from_number(number: u32) -> Self {
        if number == Self::None as u32 {
            Self::None
        } else {
            Self::Lru
        }
    }
}

type Reporter = fn(LogLevel, &str);

static REPORTER: OnceLock<Reporter> = OnceLock::new();

/// Sets what is told of faults.
pub fn set_reporter(reporter: Reporter) {
    let _ = REPORTER.set(reporter);
}

fn report(level: LogLevel, text: &str) {
    #[cfg(test)]
    tests::reported(level, text);
    if let Some(reporter) = REPORTER.get() {
        reporter(level, text);
    }
}

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Of the whole region, in bytes.
    pub size: u64,
    /// Of it, by keys, values, queues and metrics.
    pub used: u64,
    pub keys: u64,
    /// Keys that have gone to make room for others.
    pub evicted: u64,
    pub queues: u64,
    /// In all queues.
    pub items: u64,
    pub metrics: u64,
    /// How often a process has died while it had the lock.
    pub recovered: u64,
    /// How often all data and queues were lost.
    pub emptied: u64,
}

/// Shared data, queues and metrics. Processes that are forked from the one that has made it have the same.
#[derive(Clone)]
pub struct Store {
    region: Arc<Region>,
}

/// The methods with the names of [`Host`](crate::abi::host::Host)'s are documented there.
#[allow(clippy::missing_errors_doc, reason = "documented in the trait")]
impl Store {
    /// A store of `size` bytes, which are of [`SIZES`].
    pub fn new(size: usize, policy: Policy) -> io::Result<Self> {
        let region = Arc::new(Region::new(size, policy)?);
        Ok(Self { region })
    }

    /// In bytes.
    pub fn size(&self) -> usize {
        self.region.memory.len()
    }

    pub fn set_policy(&self, policy: Policy) {
        self.region.set_policy(policy);
    }

    pub fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        data::get(&self.region, vm_id, key, value)
    }

    pub fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        data::set(&self.region, vm_id, key, value, cas)
    }

    /// Forgets a key, which plugins then do not find. Whether there was a value under it.
    pub fn remove_shared_data(&self, vm_id: &[u8], key: &[u8]) -> bool {
        data::remove(&self.region, vm_id, key)
    }

    /// Calls `visit` with the keys of a namespace that have values, `max` at most, in any order. It must not use the store.
    pub fn keys(&self, vm_id: &[u8], max: usize, visit: impl FnMut(&[u8])) {
        data::keys(&self.region, vm_id, max, visit);
    }

    /// The queue of that name, made if it is not there. Nobody is told of its items for it.
    pub fn make_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        queues::make(&self.region, vm_id, name)
    }

    /// This process is told of the queue's items from now on.
    pub fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        queues::register(&self.region, vm_id, name)
    }

    pub fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        queues::resolve(&self.region, vm_id, name)
    }

    pub fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        queues::enqueue(&self.region, queue_id, value)
    }

    pub fn dequeue_shared_queue(
        &self,
        vm_id: &[u8],
        queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        queues::dequeue(&self.region, vm_id, queue_id, value)
    }

    /// Whether this process is to be told of an item of a queue now. Each item is told once.
    pub fn tell(&self, queue_id: u32) -> bool {
        queues::tell(&self.region, queue_id)
    }

    /// Nobody in this process is to be told of a queue's items any more.
    pub fn leave_queue(&self, queue_id: u32) {
        queues::leave(&self.region, queue_id);
    }

    /// This process is about to quit: nobody in it is to be told of anything.
    pub fn retire(&self) {
        self.region.retire();
    }

    /// This process has others do the work: it is told of no items, and its VMs and calls are not counted among those that there are.
    pub fn mark_master(&self) {
        self.region.mark_master();
    }

    /// Whether queues that this process is told of may have items.
    pub fn is_rung(&self) -> bool {
        self.region.is_rung()
    }

    /// They are being looked at: [`Store::is_rung`] is false until there are more.
    pub fn silence(&self) {
        self.region.silence();
    }

    /// What a thread of this process sleeps on until [`Store::is_rung`]. `None` where there are too many processes.
    pub fn bell(&self) -> Option<Bell> {
        Bell::new(&self.region)
    }

    /// The metrics of a plugin.
    pub fn plugin_metrics(&self, plugin: &str) -> PluginMetrics {
        PluginMetrics::new(Arc::clone(&self.region), plugin.as_bytes())
    }

    /// All metrics, as Prometheus reads them.
    pub fn prometheus(&self) -> String {
        text::prometheus(&self.region, &self.stats())
    }

    pub fn stats(&self) -> Stats {
        let region = &self.region;
        let number = |at| u64::from(region.peek(at));
        let cell = |at| {
            region
                .memory
                .cell(at)
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        let chunks = region.lock().used() * layout::CHUNK_WORDS;
        let metrics = region.peek(layout::METRICS_END) as usize;
        let metrics = metrics.saturating_sub(region.layout.metrics_at);
        Stats {
            size: self.size() as u64,
            used: ((chunks + metrics) * 4) as u64,
            keys: number(layout::KEYS),
            evicted: cell(layout::EVICTED),
            queues: number(layout::QUEUES),
            items: number(layout::ITEMS),
            metrics: number(layout::METRICS),
            recovered: cell(layout::RECOVERED),
            emptied: cell(layout::EMPTIED),
        }
    }
}

#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code, reason = "fuzzing needs some of it"))]
mod tests;
#[cfg(fuzzing)]
pub use tests::fuzz;
