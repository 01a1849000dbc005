//! A proxy with one plugin in it.

use std::rc::Rc;
use std::sync::OnceLock;
use std::thread;

use resty_proxy_wasm::abi::host::{
    CallError, CallId, Event, GrpcCall, Host, HttpCall, MetricError, QueueError, SharedDataError,
};
use resty_proxy_wasm::abi::types::{LogLevel, MetricType};
use resty_proxy_wasm::abi::vm::VmState;
#[cfg(feature = "wasmedge")]
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::engine::{Engine, clock};
use resty_proxy_wasm::plugin::{Options, Plugin, PluginContext};
use resty_proxy_wasm::shared::{self, DEFAULT_SIZE, PluginMetrics, Policy, Store};

use crate::request::{Exchange, Request};

/// The engine that WASM_VM names.
pub fn make_engine<S: 'static>() -> Box<dyn Engine<S>> {
    match std::env::var("WASM_VM").as_deref() {
        #[cfg(feature = "wasmedge")]
        Ok("wasmedge") => {
            let engine = WasmEdge::new().unwrap();
            engine.compile_ahead(AheadOfTime::Always);
            Box::new(engine)
        }
        Ok("") | Ok("wasmtime") | Err(_) => Box::new(Wasmtime::new().unwrap()),
        Ok(other) => panic!("WASM_VM is {other}"),
    }
}

/// The one that plugins run on.
pub fn engine() -> &'static dyn Engine<VmState> {
    static ENGINE: OnceLock<Box<dyn Engine<VmState>>> = OnceLock::new();
    &**ENGINE.get_or_init(make_engine)
}

pub fn store() -> Store {
    Store::new(DEFAULT_SIZE, Policy::default()).unwrap()
}

pub const VM_ID: &[u8] = b"bench";

pub fn load(text: &str) -> Rc<Plugin> {
    let options = Options {
        vm_id: VM_ID.to_vec(),
        env: vec![("NAME".to_owned(), "value".to_owned())],
        ..Options::default()
    };
    let host = Rc::new(Worker::new());
    let plugin = Plugin::new("bench", text.as_bytes(), options, engine(), host);
    Rc::new(plugin.unwrap_or_else(|e| panic!("{e}")))
}

/// A plugin that is configured, and its requests.
pub struct Proxy {
    context: Rc<PluginContext>,
}

impl Proxy {
    pub fn new(text: &str) -> Self {
        let context = PluginContext::new(load(text), b"configuration");
        Self {
            context: context.unwrap_or_else(|e| panic!("{e}")),
        }
    }

    pub fn context(&self) -> &Rc<PluginContext> {
        &self.context
    }

    pub fn request(&self) -> Request {
        Request::new(&self.context, Rc::new(Exchange::default()))
    }
}

/// A worker of nginx: what is shared is as there.
struct Worker {
    store: Store,
    metrics: PluginMetrics,
}

impl Worker {
    fn new() -> Self {
        let store = store();
        let metrics = store.plugin_metrics("bench");
        Self { store, metrics }
    }
}

impl Host for Worker {
    fn log(&self, _level: LogLevel, _message: &[u8]) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Warn
    }

    fn property(&self, _path: &[u8], _value: &mut Vec<u8>) -> bool {
        false
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

    fn http_call(&self, _id: CallId, _call: &HttpCall<'_>) -> Result<(), CallError> {
        Err(CallError::Upstream)
    }

    fn grpc_call(&self, _id: CallId, _call: &GrpcCall<'_>) -> Result<(), CallError> {
        Err(CallError::Upstream)
    }

    fn grpc_send(&self, _id: CallId, _message: &[u8], _end: bool) -> Result<(), CallError> {
        Err(CallError::NotFound)
    }

    fn grpc_close(&self, _id: CallId) {}

    fn cancel_call(&self, _id: CallId) {}

    fn now(&self) -> u64 {
        shared::clock::now()
    }

    fn between(&self, then: u64, now: u64) -> u64 {
        shared::clock::between(then, now)
    }

    fn note(&self, event: Event) {
        self.metrics.note(event);
    }
}

/// Starts the clock that ends what takes too long, which a worker has from its first request on.
pub fn start_clock() {
    clock::set_runs(true);
    thread::spawn(|| {
        loop {
            thread::sleep(clock::period());
            clock::tick(&mut 0);
        }
    });
}

/// That clock does not count, while this lives.
pub struct ClockStopped(());

impl ClockStopped {
    pub fn new() -> Self {
        clock::set_runs(false);
        Self(())
    }
}

impl Drop for ClockStopped {
    fn drop(&mut self) {
        clock::set_runs(true);
    }
}
