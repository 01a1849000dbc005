use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use crate::abi::host::{MetricError, QueueError, SharedDataError};
use crate::abi::types::MetricType;

/// The room for everything in a store, unless it is made with another.
const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;
/// What is counted for anything kept besides its bytes: many empty values take room too.
const OVERHEAD: usize = 64;

const MAX_QUEUES: usize = 1024;
const MAX_METRICS: usize = 65536;

/// The bits of a metric's id that hold its type, as in Envoy; the rest is its place in the list.
const METRIC_TYPE_BITS: u32 = 2;

const _: () = assert!((MetricType::Histogram as u32) < 1 << METRIC_TYPE_BITS);

/// Names within namespaces.
type Names<T> = HashMap<Vec<u8>, HashMap<Vec<u8>, T>>;

/// Shared data, queues and metrics, private to the worker: what one worker keeps, the others do not see. Sharing between
/// workers is to come behind the same methods.
///
/// All that is kept counts against one limit; nothing is ever dropped to make room.
pub struct LocalStore {
    room: Room,
    last_cas: Cell<u32>,
    data: RefCell<Names<Datum>>,
    queues: RefCell<Queues>,
    metrics: RefCell<Metrics>,
}

struct Datum {
    value: Vec<u8>,
    cas: u32,
}

#[derive(Default)]
struct Queues {
    ids: Names<u32>,
    /// By id, from 1.
    items: Vec<VecDeque<Vec<u8>>>,
}

#[derive(Default)]
struct Metrics {
    ids: HashMap<Vec<u8>, u32>,
    /// By the upper bits of the id, from 1.
    values: Vec<(MetricType, u64)>,
}

/// Bytes left.
struct Room(Cell<usize>);

impl Room {
    /// Takes `new` bytes where `old` were taken before. False, and nothing is taken, where there are too few.
    fn exchange(&self, old: usize, new: usize) -> bool {
        let left = (self.0.get() + old).checked_sub(new);
        if let Some(left) = left {
            self.0.set(left);
        }
        left.is_some()
    }

    fn take(&self, bytes: usize) -> bool {
        self.exchange(0, bytes + OVERHEAD)
    }

    fn give_back(&self, bytes: usize) {
        self.exchange(bytes + OVERHEAD, 0);
    }
}

impl Default for LocalStore {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

/// The methods are those of [`Host`](crate::abi::host::Host), where they are documented.
#[allow(clippy::missing_errors_doc, reason = "documented in the trait")]
impl LocalStore {
    /// A store for `limit` bytes of keys, values and names.
    pub fn new(limit: usize) -> Self {
        Self {
            room: Room(Cell::new(limit)),
            last_cas: Cell::new(0),
            data: RefCell::default(),
            queues: RefCell::default(),
            metrics: RefCell::default(),
        }
    }

    pub fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        let data = self.data.borrow();
        let datum = data.get(vm_id)?.get(key)?;
        value.extend_from_slice(&datum.value);
        Some(datum.cas)
    }

    /// A key that is not there takes any `cas`, as in proxy-wasm-cpp-host.
    pub fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        let mut data = self.data.borrow_mut();
        if let Some(datum) = data.get_mut(vm_id).and_then(|keys| keys.get_mut(key)) {
            if cas != 0 && cas != datum.cas {
                return Err(SharedDataError::CasMismatch);
            }
            if !self.room.exchange(datum.value.len(), value.len()) {
                return Err(SharedDataError::Full);
            }
            datum.value = value.to_vec();
            datum.cas = self.next_cas();
            return Ok(());
        }
        if !self.room.take(vm_id.len() + key.len() + value.len()) {
            return Err(SharedDataError::Full);
        }
        let datum = Datum {
            value: value.to_vec(),
            cas: self.next_cas(),
        };
        data.entry(vm_id.to_vec())
            .or_default()
            .insert(key.to_vec(), datum);
        Ok(())
    }

    pub fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        if let Some(id) = self.resolve_shared_queue(vm_id, name) {
            return Ok(id);
        }
        let mut queues = self.queues.borrow_mut();
        if queues.items.len() == MAX_QUEUES || !self.room.take(vm_id.len() + name.len()) {
            return Err(QueueError::Full);
        }
        queues.items.push(VecDeque::new());
        let id = queues.items.len() as u32;
        queues
            .ids
            .entry(vm_id.to_vec())
            .or_default()
            .insert(name.to_vec(), id);
        Ok(id)
    }

    pub fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.queues.borrow().ids.get(vm_id)?.get(name).copied()
    }

    pub fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let items = queues.get(queue_id)?;
        if !self.room.take(value.len()) {
            return Err(QueueError::Full);
        }
        items.push_back(value.to_vec());
        Ok(())
    }

    pub fn dequeue_shared_queue(
        &self,
        queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let item = queues.get(queue_id)?.pop_front().ok_or(QueueError::Empty)?;
        self.room.give_back(item.len());
        value.extend_from_slice(&item);
        Ok(())
    }

    pub fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        if let Some(&id) = metrics.ids.get(name) {
            return match metrics.get(id) {
                Ok((known, _)) if *known == kind => Ok(id),
                _ => Err(MetricError::BadArgument),
            };
        }
        if metrics.values.len() == MAX_METRICS || !self.room.take(name.len()) {
            return Err(MetricError::Full);
        }
        metrics.values.push((kind, 0));
        let id = (metrics.values.len() as u32) << METRIC_TYPE_BITS | kind as u32;
        metrics.ids.insert(name.to_vec(), id);
        Ok(id)
    }

    pub fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        let (kind, old) = metrics.get(metric_id)?;
        *old = match kind {
            MetricType::Counter | MetricType::Gauge => value,
            MetricType::Histogram => old.saturating_add(1),
        };
        Ok(())
    }

    /// A counter stays at its highest value. A gauge goes below 0 in two's complement, as in Envoy, so that changes come
    /// to the same in whatever order they are made.
    pub fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        let (kind, value) = metrics.get(metric_id)?;
        *value = match (*kind, u64::try_from(delta)) {
            (MetricType::Counter, Ok(delta)) => value.saturating_add(delta),
            (MetricType::Gauge, _) => value.wrapping_add_signed(delta),
            (MetricType::Counter, Err(_)) | (MetricType::Histogram, _) => {
                return Err(MetricError::BadArgument);
            }
        };
        Ok(())
    }

    pub fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError> {
        Ok(self.metrics.borrow_mut().get(metric_id)?.1)
    }

    /// 0 means "any" and is left out.
    fn next_cas(&self) -> u32 {
        let cas = self.last_cas.get().checked_add(1).unwrap_or(1);
        self.last_cas.set(cas);
        cas
    }
}

impl Queues {
    fn get(&mut self, id: u32) -> Result<&mut VecDeque<Vec<u8>>, QueueError> {
        self.items
            .get_mut((id as usize).wrapping_sub(1))
            .ok_or(QueueError::NotFound)
    }
}

impl Metrics {
    fn get(&mut self, id: u32) -> Result<&mut (MetricType, u64), MetricError> {
        self.values
            .get_mut((id as usize >> METRIC_TYPE_BITS).wrapping_sub(1))
            .filter(|(kind, _)| *kind as u32 == id & ((1 << METRIC_TYPE_BITS) - 1))
            .ok_or(MetricError::NotFound)
    }
}

#[cfg(test)]
mod tests;
