//! The proxy as plugins see it outside a request: nginx's log, and the worker's store.

use std::rc::Rc;

use super::calls;
use crate::abi::host::{
    CallError, CallId, GrpcCall, Host, HttpCall, MetricError, QueueError, SharedDataError,
};
use crate::abi::types::{LogLevel, MetricType};
use crate::nginx;
use crate::shared::LocalStore;

thread_local! {
    static STORE: Rc<LocalStore> = Rc::new(LocalStore::default());
}

/// nginx, with the store of this worker.
pub struct WorkerHost {
    store: Rc<LocalStore>,
}

impl WorkerHost {
    /// This worker's.
    pub fn shared() -> Rc<dyn Host> {
        Rc::new(Self {
            store: STORE.with(Rc::clone),
        })
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
        self.store.register_shared_queue(vm_id, name)
    }

    fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.store.resolve_shared_queue(vm_id, name)
    }

    fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        self.store.enqueue_shared_queue(queue_id, value)
    }

    fn dequeue_shared_queue(&self, queue_id: u32, value: &mut Vec<u8>) -> Result<(), QueueError> {
        self.store.dequeue_shared_queue(queue_id, value)
    }

    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        self.store.define_metric(kind, name)
    }

    fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError> {
        self.store.record_metric(metric_id, value)
    }

    fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError> {
        self.store.increment_metric(metric_id, delta)
    }

    fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError> {
        self.store.get_metric(metric_id)
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
