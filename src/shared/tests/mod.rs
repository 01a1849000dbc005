//! The store as a whole.

mod check;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod data;
pub mod fuzz;
#[cfg(test)]
mod metrics;
mod model;
#[cfg(test)]
mod process;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod room;
#[cfg(test)]
mod text;
#[cfg(test)]
mod workers;

use std::cell::RefCell;

#[cfg(test)]
pub use crash::step;

use super::*;
use crate::abi::types::MetricType;

/// A small store.
fn store() -> Store {
    Store::new(*SIZES.start(), Policy::Lru).unwrap()
}

/// One that forgets nothing.
fn keeping() -> Store {
    Store::new(*SIZES.start(), Policy::None).unwrap()
}

/// The value of a key without a namespace, and its number.
fn get(store: &Store, key: &str) -> Option<(Vec<u8>, u32)> {
    let mut value = Vec::new();
    let cas = store.get_shared_data(b"", key.as_bytes(), &mut value)?;
    Some((value, cas))
}

fn cas(store: &Store, key: &str) -> u32 {
    get(store, key).unwrap().1
}

fn set(store: &Store, key: &str, value: &[u8]) -> Result<(), SharedDataError> {
    store.set_shared_data(b"", key.as_bytes(), value, 0)
}

/// The keys of a namespace, sorted.
fn keys(store: &Store, vm_id: &[u8]) -> Vec<String> {
    let mut keys = Vec::new();
    store.keys(vm_id, usize::MAX, |key| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
    });
    keys.sort();
    keys
}

fn dequeue(store: &Store, queue: u32) -> Result<Vec<u8>, QueueError> {
    let mut value = Vec::new();
    store.dequeue_shared_queue(b"", queue, &mut value)?;
    Ok(value)
}

/// Bytes that tell each place in a value from the others.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Where choices come from.
trait Choices {
    /// Less than `limit`.
    fn below(&mut self, limit: usize) -> usize;
}

/// The numbers of xorshift64.
struct Random(u64);

impl Choices for Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

thread_local! {
    static REPORTS: RefCell<Vec<(LogLevel, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is reported.
pub fn reported(level: LogLevel, text: &str) {
    REPORTS.with_borrow_mut(|reports| reports.push((level, text.to_owned())));
}

/// What was reported by this thread while it did some work.
fn reports_of(work: impl FnOnce()) -> Vec<(LogLevel, String)> {
    REPORTS.take();
    work();
    REPORTS.take()
}
