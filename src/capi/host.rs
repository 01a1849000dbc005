//! The proxy as plugins see it outside a request: nginx's log, the store that workers share, and calls.

use std::rc::Rc;

use super::{calls, queues, store};
use crate::abi::host::{
    CallError, CallId, Event, GrpcCall, Host, HttpCall, MetricError, QueueError, SharedDataError,
};
use crate::abi::types::{LogLevel, MetricType};
use crate::nginx;
use crate::shared::{PluginMetrics, Store, clock};

/// nginx, for one plugin.
pub struct WorkerHost {
    store: Store,
    metrics: PluginMetrics,
}

impl WorkerHost {
    /// For the plugin of this name.
    ///
    /// # Errors
    /// There is no store.
    pub fn for_plugin(name: &str) -> Result<Rc<dyn Host>, String> {
        let store = store::store()?;
        let metrics = store.plugin_metrics(name);
        Ok(Rc::new(Self { store, metrics }))
    }
}

impl Host for WorkerHost {
    fn log(&self, level: LogLevel, message: &[u8]) {
        nginx::log(level, message);
    }

    fn log_level(&self) -> LogLevel {
        nginx::log_level()
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        nginx::process_property(path, value)
    }

    fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        self.store.get_shared_data(vm_id, key, value)
    }

    fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        self.store.set_shared_data(vm_id, key, value, cas)
    }

    fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        if nginx::is_master() {
            // It never tells anybody of items, and would be the last that has registered.
            return self.store.make_shared_queue(vm_id, name);
        }
        let id = self.store.register_shared_queue(vm_id, name)?;
        queues::registered(&self.store);
        Ok(id)
    }

    fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.store.resolve_shared_queue(vm_id, name)
    }

    fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        self.store.enqueue_shared_queue(queue_id, value)
    }

    fn dequeue_shared_queue(
        &self,
        vm_id: &[u8],
        queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        self.store.dequeue_shared_queue(vm_id, queue_id, value)
    }

    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        self.metrics.define(kind, name)
    }

    fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError> {
        self.metrics.record(metric_id, value)
    }

    fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError> {
        self.metrics.increment(metric_id, delta)
    }

    fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError> {
        self.metrics.get(metric_id)
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn between(&self, then: u64, now: u64) -> u64 {
        clock::between(then, now)
    }

    fn note(&self, event: Event) {
        self.metrics.note(event);
    }

    fn http_call(&self, id: CallId, call: &HttpCall<'_>) -> Result<(), CallError> {
        calls::http_call(id, call)
    }

    fn grpc_call(&self, id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError> {
        calls::grpc_call(id, call)
    }

    fn grpc_send(&self, id: CallId, message: &[u8], end: bool) -> Result<(), CallError> {
        calls::with(|egress| egress.grpc_send(id, message, end))
    }

    fn grpc_close(&self, id: CallId) {
        calls::with_any(|egress| egress.grpc_close(id));
    }

    fn cancel_call(&self, id: CallId) {
        calls::with_any(|egress| egress.cancel(id));
    }
}
