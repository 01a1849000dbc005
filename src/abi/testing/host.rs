use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use super::{Log, keep};
use crate::abi::host::{
    CallError, CallId, Event, GrpcCall, Host, HttpCall, MetricError, QueueError, SharedDataError,
};
use crate::abi::types::{LogLevel, MetricType};

/// Namespace and key to value and compare-and-swap number.
pub type Data = HashMap<(Vec<u8>, Vec<u8>), (Vec<u8>, u32)>;

struct Queue {
    vm_id: Vec<u8>,
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
}

/// A proxy. Ids of queues and metrics are places in their lists, from 1.
pub struct FakeHost {
    pub logs: Log,
    pub level: Cell<LogLevel>,
    pub properties: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
    pub data: RefCell<Data>,
    /// Nothing more is taken: every change that needs room fails.
    pub full: Cell<bool>,
    /// What calls are answered with.
    pub refuses: Cell<Option<CallError>>,
    /// The calls that were begun, and what was done with them, as text.
    pub calls: RefCell<Vec<String>>,
    /// The time, in nanoseconds.
    pub time: Cell<u64>,
    /// What was counted.
    pub events: RefCell<Vec<Event>>,
    queues: RefCell<Vec<Queue>>,
    metrics: RefCell<Vec<(MetricType, Vec<u8>, u64)>>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            logs: Log::default(),
            level: Cell::new(LogLevel::Trace),
            properties: RefCell::default(),
            data: RefCell::default(),
            full: Cell::new(false),
            refuses: Cell::new(None),
            calls: RefCell::default(),
            time: Cell::new(0),
            events: RefCell::default(),
            queues: RefCell::default(),
            metrics: RefCell::default(),
        }
    }
}

/// The element with an id that counts from 1.
fn by_id<T>(list: &mut [T], id: u32) -> Option<&mut T> {
    list.get_mut((id as usize).wrapping_sub(1))
}

fn pairs(pairs: &[(&[u8], &[u8])]) -> String {
    let text = |(name, value): &(&[u8], &[u8])| {
        format!("{}={}", name.escape_ascii(), value.escape_ascii())
    };
    format!("[{}]", pairs.iter().map(text).collect::<Vec<_>>().join(" "))
}

impl FakeHost {
    fn call(&self, text: String) -> Result<(), CallError> {
        match self.refuses.get() {
            Some(error) => Err(error),
            None => {
                self.calls.borrow_mut().push(text);
                Ok(())
            }
        }
    }

    fn metric<R>(
        &self,
        id: u32,
        change: impl FnOnce(MetricType, &mut u64) -> Result<R, MetricError>,
    ) -> Result<R, MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        let (kind, _, value) = by_id(&mut metrics, id).ok_or(MetricError::NotFound)?;
        change(*kind, value)
    }
}

impl Host for FakeHost {
    fn log(&self, level: LogLevel, message: &[u8]) {
        keep(&self.logs, level, message);
    }

    fn log_level(&self) -> LogLevel {
        self.level.get()
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        let properties = self.properties.borrow();
        let found = properties.get(path);
        value.extend(found.into_iter().flatten());
        found.is_some()
    }

    fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        let data = self.data.borrow();
        let (bytes, cas) = data.get(&(vm_id.to_vec(), key.to_vec()))?;
        value.extend_from_slice(bytes);
        Some(*cas)
    }

    fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        if self.full.get() {
            return Err(SharedDataError::Full);
        }
        let mut data = self.data.borrow_mut();
        let entry = data.entry((vm_id.to_vec(), key.to_vec())).or_default();
        if cas != 0 && entry.1 != 0 && cas != entry.1 {
            return Err(SharedDataError::CasMismatch);
        }
        *entry = (value.to_vec(), entry.1 + 1);
        Ok(())
    }

    fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        if let Some(id) = self.resolve_shared_queue(vm_id, name) {
            return Ok(id);
        }
        if self.full.get() {
            return Err(QueueError::Full);
        }
        let mut queues = self.queues.borrow_mut();
        queues.push(Queue {
            vm_id: vm_id.to_vec(),
            name: name.to_vec(),
            items: VecDeque::new(),
        });
        Ok(queues.len() as u32)
    }

    fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        (1..)
            .zip(self.queues.borrow().iter())
            .find(|(_, queue)| queue.vm_id == vm_id && queue.name == name)
            .map(|(id, _)| id)
    }

    fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let queue = by_id(&mut queues, queue_id).ok_or(QueueError::NotFound)?;
        if self.full.get() {
            return Err(QueueError::Full);
        }
        queue.items.push_back(value.to_vec());
        Ok(())
    }

    fn dequeue_shared_queue(
        &self,
        vm_id: &[u8],
        queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let queue = by_id(&mut queues, queue_id)
            .filter(|queue| queue.vm_id == vm_id)
            .ok_or(QueueError::NotFound)?;
        value.extend(queue.items.pop_front().ok_or(QueueError::Empty)?);
        Ok(())
    }

    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        if let Some(i) = metrics.iter().position(|(_, known, _)| known == name) {
            let same = metrics[i].0 == kind;
            return same.then_some(i as u32 + 1).ok_or(MetricError::BadArgument);
        }
        if self.full.get() {
            return Err(MetricError::Full);
        }
        metrics.push((kind, name.to_vec(), 0));
        Ok(metrics.len() as u32)
    }

    fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError> {
        self.metric(metric_id, |kind, old| {
            *old = match kind {
                MetricType::Counter | MetricType::Gauge => value,
                MetricType::Histogram => *old + 1,
            };
            Ok(())
        })
    }

    fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError> {
        self.metric(metric_id, |kind, value| {
            if kind == MetricType::Histogram || kind == MetricType::Counter && delta < 0 {
                return Err(MetricError::BadArgument);
            }
            *value = value.wrapping_add_signed(delta);
            Ok(())
        })
    }

    fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError> {
        self.metric(metric_id, |_, value| Ok(*value))
    }

    fn http_call(&self, id: CallId, call: &HttpCall<'_>) -> Result<(), CallError> {
        self.call(format!(
            "http {} {} {} {} {} {:?}",
            id.token,
            call.upstream.escape_ascii(),
            pairs(call.headers),
            call.body.escape_ascii(),
            pairs(call.trailers),
            call.timeout
        ))
    }

    fn grpc_call(&self, id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError> {
        self.call(format!(
            "grpc {} {} {}/{} {} {} {:?}",
            id.token,
            call.upstream.escape_ascii(),
            call.service.escape_ascii(),
            call.method.escape_ascii(),
            pairs(call.metadata),
            call.message
                .map_or("stream".into(), |m| m.escape_ascii().to_string()),
            call.timeout
        ))
    }

    fn grpc_send(&self, id: CallId, message: &[u8], end: bool) -> Result<(), CallError> {
        self.call(format!(
            "send {} {} {end}",
            id.token,
            message.escape_ascii()
        ))
    }

    fn grpc_close(&self, id: CallId) {
        self.calls.borrow_mut().push(format!("close {}", id.token));
    }

    fn cancel_call(&self, id: CallId) {
        self.calls.borrow_mut().push(format!("cancel {}", id.token));
    }

    fn now(&self) -> u64 {
        self.time.get()
    }

    fn between(&self, then: u64, now: u64) -> u64 {
        now - then
    }

    fn note(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}
