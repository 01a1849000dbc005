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
mod tests {
    use super::*;

    fn data(store: &LocalStore, vm_id: &[u8], key: &[u8]) -> Option<(Vec<u8>, u32)> {
        let mut value = Vec::new();
        let cas = store.get_shared_data(vm_id, key, &mut value)?;
        Some((value, cas))
    }

    fn dequeue(store: &LocalStore, id: u32) -> Result<Vec<u8>, QueueError> {
        let mut value = Vec::new();
        store.dequeue_shared_queue(id, &mut value)?;
        Ok(value)
    }

    #[test]
    fn data_is_kept_by_namespace() {
        let store = LocalStore::default();
        assert_eq!(data(&store, b"a", b"k"), None);
        store.set_shared_data(b"a", b"k", b"1", 0).unwrap();
        store.set_shared_data(b"b", b"k", b"", 0).unwrap();
        assert_eq!(data(&store, b"a", b"k").unwrap().0, b"1");
        assert_eq!(data(&store, b"b", b"k").unwrap().0, b"");
        assert_eq!(data(&store, b"", b"k"), None);
    }

    #[test]
    fn values_are_appended_to_what_is_there() {
        let store = LocalStore::default();
        store.set_shared_data(b"", b"k", b"value", 0).unwrap();
        let mut out = b"a ".to_vec();
        store.get_shared_data(b"", b"k", &mut out).unwrap();
        assert_eq!(out, b"a value");
    }

    #[test]
    fn only_the_current_number_swaps() {
        let store = LocalStore::default();
        store.set_shared_data(b"", b"k", b"1", 7).unwrap();
        assert_eq!(data(&store, b"", b"k"), Some((b"1".to_vec(), 1)));
        store.set_shared_data(b"", b"k", b"2", 1).unwrap();
        assert_eq!(data(&store, b"", b"k"), Some((b"2".to_vec(), 2)));
        for cas in [1, 3, u32::MAX] {
            assert_eq!(
                store.set_shared_data(b"", b"k", b"3", cas),
                Err(SharedDataError::CasMismatch)
            );
        }
        assert_eq!(data(&store, b"", b"k"), Some((b"2".to_vec(), 2)));
        store.set_shared_data(b"", b"k", b"4", 0).unwrap();
        assert_eq!(data(&store, b"", b"k"), Some((b"4".to_vec(), 3)));
    }

    #[test]
    fn numbers_never_come_to_zero() {
        let store = LocalStore::default();
        store.last_cas.set(u32::MAX);
        store.set_shared_data(b"", b"k", b"", 0).unwrap();
        assert_eq!(data(&store, b"", b"k").unwrap().1, 1);
    }

    #[test]
    fn data_that_does_not_fit_leaves_all_as_it_was() {
        let store = LocalStore::new(OVERHEAD + 10);
        let full = Err(SharedDataError::Full);
        assert_eq!(store.set_shared_data(b"v", b"k", b"123456789", 0), full);
        store.set_shared_data(b"v", b"k", b"12345678", 0).unwrap();
        assert_eq!(store.set_shared_data(b"v", b"k", b"123456789", 0), full);
        assert_eq!(store.set_shared_data(b"v", b"l", b"", 0), full);
        assert_eq!(data(&store, b"v", b"k"), Some((b"12345678".to_vec(), 1)));
        store.set_shared_data(b"v", b"k", b"", 0).unwrap();
        store.set_shared_data(b"v", b"k", b"87654321", 0).unwrap();
    }

    #[test]
    fn queues_are_first_in_first_out() {
        let store = LocalStore::default();
        let a = store.register_shared_queue(b"vm", b"a").unwrap();
        let b = store.register_shared_queue(b"vm", b"b").unwrap();
        assert_eq!((a, b), (1, 2));
        assert_eq!(store.register_shared_queue(b"vm", b"a"), Ok(a));
        assert_eq!(store.resolve_shared_queue(b"vm", b"b"), Some(b));
        assert_eq!(store.resolve_shared_queue(b"other", b"b"), None);

        store.enqueue_shared_queue(a, b"1").unwrap();
        store.enqueue_shared_queue(a, b"").unwrap();
        assert_eq!(dequeue(&store, b), Err(QueueError::Empty));
        assert_eq!(dequeue(&store, a).unwrap(), b"1");
        assert_eq!(dequeue(&store, a).unwrap(), b"");
        assert_eq!(dequeue(&store, a), Err(QueueError::Empty));
        for unknown in [0, 3, u32::MAX] {
            assert_eq!(dequeue(&store, unknown), Err(QueueError::NotFound));
            assert_eq!(
                store.enqueue_shared_queue(unknown, b""),
                Err(QueueError::NotFound)
            );
        }
    }

    #[test]
    fn a_queue_takes_no_more_than_there_is_room_for() {
        let store = LocalStore::new(4 * OVERHEAD);
        let queue = store.register_shared_queue(b"", b"").unwrap();
        for _ in 0..100 {
            while store.enqueue_shared_queue(queue, b"").is_ok() {}
            for _ in 0..3 {
                dequeue(&store, queue).unwrap();
            }
            assert_eq!(dequeue(&store, queue), Err(QueueError::Empty));
        }
        assert_eq!(
            store.enqueue_shared_queue(queue, &[0; 4 * OVERHEAD]),
            Err(QueueError::Full)
        );
    }

    #[test]
    fn there_is_an_end_to_queues() {
        let store = LocalStore::default();
        for i in 0..MAX_QUEUES {
            store.register_shared_queue(b"", &i.to_le_bytes()).unwrap();
        }
        assert_eq!(
            store.register_shared_queue(b"", b"one more"),
            Err(QueueError::Full)
        );
        assert!(
            store
                .register_shared_queue(b"", &0usize.to_le_bytes())
                .is_ok()
        );
    }

    #[test]
    fn metrics_do_what_their_type_says() {
        let store = LocalStore::default();
        let counter = store.define_metric(MetricType::Counter, b"c").unwrap();
        let gauge = store.define_metric(MetricType::Gauge, b"g").unwrap();
        let histogram = store.define_metric(MetricType::Histogram, b"h").unwrap();
        let bad = Err(MetricError::BadArgument);

        store.increment_metric(counter, 2).unwrap();
        store.increment_metric(counter, 0).unwrap();
        assert_eq!(store.increment_metric(counter, -1), bad);
        assert_eq!(store.get_metric(counter), Ok(2));
        store.record_metric(counter, 10).unwrap();
        store.increment_metric(counter, 1).unwrap();
        assert_eq!(store.get_metric(counter), Ok(11));

        store.record_metric(gauge, 5).unwrap();
        store.increment_metric(gauge, -6).unwrap();
        assert_eq!(store.get_metric(gauge), Ok(u64::MAX));
        store.increment_metric(gauge, 3).unwrap();
        assert_eq!(store.get_metric(gauge), Ok(2));

        store.record_metric(histogram, 1000).unwrap();
        store.record_metric(histogram, 2000).unwrap();
        assert_eq!(store.increment_metric(histogram, 1), bad);
        assert_eq!(store.get_metric(histogram), Ok(2));
    }

    #[test]
    fn a_metric_is_defined_once() {
        let store = LocalStore::default();
        let id = store.define_metric(MetricType::Gauge, b"m").unwrap();
        store.record_metric(id, 3).unwrap();
        assert_eq!(store.define_metric(MetricType::Gauge, b"m"), Ok(id));
        assert_eq!(store.get_metric(id), Ok(3));
        assert_eq!(
            store.define_metric(MetricType::Counter, b"m"),
            Err(MetricError::BadArgument)
        );
        for unknown in [0, id - 1, id + 1, id + 4, u32::MAX] {
            assert_eq!(store.get_metric(unknown), Err(MetricError::NotFound));
            assert_eq!(store.record_metric(unknown, 1), Err(MetricError::NotFound));
            assert_eq!(
                store.increment_metric(unknown, 1),
                Err(MetricError::NotFound)
            );
        }
    }

    #[test]
    fn there_is_an_end_to_metrics() {
        let store = LocalStore::default();
        for i in 0..MAX_METRICS {
            store
                .define_metric(MetricType::Counter, &i.to_le_bytes())
                .unwrap();
        }
        assert_eq!(
            store.define_metric(MetricType::Counter, b"one more"),
            Err(MetricError::Full)
        );
        let small = LocalStore::new(OVERHEAD);
        assert_eq!(
            small.define_metric(MetricType::Gauge, b"name"),
            Err(MetricError::Full)
        );
    }
}
