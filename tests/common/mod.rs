//! Plugins without nginx: a proxy, a request, and plugins whose callbacks say that they run.

#![allow(dead_code, reason = "no file needs all of it")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use resty_proxy_wasm::abi::host::{
    CallError, CallEvent, CallId, GrpcCall, HeaderError, HeaderMap, Host, HttpCall, HttpStream,
    LocalResponse, MetricError, PropertyError, QueueError, SharedDataError,
};
use resty_proxy_wasm::abi::types::{LogLevel, MetricType};
use resty_proxy_wasm::abi::vm::VmState;
use resty_proxy_wasm::engine::Engine;
#[cfg(feature = "wasmedge")]
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::plugin::background::{self, Delivered};
use resty_proxy_wasm::plugin::{Error, Options, Plugin, PluginContext, Stream};

/// What the plugins of one test and the host have logged, without the plugin's name.
#[derive(Default)]
pub struct Log(RefCell<Vec<(LogLevel, String)>>);

impl Log {
    fn add(&self, level: LogLevel, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        let message = message.strip_prefix("proxy-wasm test: ").unwrap();
        self.0.borrow_mut().push((level, message.to_owned()));
    }

    /// All that was logged since the last call, in one line.
    pub fn take(&self) -> String {
        let logged = self.0.take().into_iter();
        let messages: Vec<_> = logged.map(|(_, message)| message).collect();
        messages.join(" ")
    }

    /// What of that is as severe as this.
    pub fn at(&self, level: LogLevel) -> Vec<String> {
        let logged = self.0.borrow();
        let found = logged.iter().filter(|(l, _)| *l == level);
        found.map(|(_, message)| message.clone()).collect()
    }
}

/// A proxy that logs, and keeps what calls it was asked for.
#[derive(Default)]
pub struct TestHost {
    pub log: Rc<Log>,
    /// Why it begins no calls.
    pub refuses: Cell<Option<CallError>>,
    calls: RefCell<Vec<String>>,
    /// The VM that the last call was from.
    vm: Cell<u32>,
}

impl TestHost {
    /// The calls that were begun and cancelled since this was last asked, in one line.
    pub fn take_calls(&self) -> String {
        self.calls.take().join(", ")
    }

    /// What a call of the VM that called last is known by.
    pub fn call_id(&self, token: u32) -> CallId {
        CallId {
            vm: self.vm.get(),
            token,
        }
    }

    /// Tells what has become of a call.
    pub fn answer(&self, token: u32, event: CallEvent) -> Delivered {
        background::deliver(self.call_id(token), event)
    }

    fn begin(&self, kind: &str, id: CallId, upstream: &[u8]) -> Result<(), CallError> {
        if let Some(error) = self.refuses.get() {
            return Err(error);
        }
        self.vm.set(id.vm);
        let text = format!("{kind} {} {}", id.token, upstream.escape_ascii());
        self.calls.borrow_mut().push(text);
        Ok(())
    }
}

impl Host for TestHost {
    fn log(&self, level: LogLevel, message: &[u8]) {
        self.log.add(level, message);
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Info
    }

    fn property(&self, _path: &[u8], _value: &mut Vec<u8>) -> bool {
        false
    }

    fn get_shared_data(&self, _vm_id: &[u8], _key: &[u8], _value: &mut Vec<u8>) -> Option<u32> {
        None
    }

    fn set_shared_data(
        &self,
        _vm_id: &[u8],
        _key: &[u8],
        _value: &[u8],
        _cas: u32,
    ) -> Result<(), SharedDataError> {
        Err(SharedDataError::Full)
    }

    fn register_shared_queue(&self, _vm_id: &[u8], _name: &[u8]) -> Result<u32, QueueError> {
        Err(QueueError::Full)
    }

    fn resolve_shared_queue(&self, _vm_id: &[u8], _name: &[u8]) -> Option<u32> {
        None
    }

    fn enqueue_shared_queue(&self, _queue_id: u32, _value: &[u8]) -> Result<(), QueueError> {
        Err(QueueError::NotFound)
    }

    fn dequeue_shared_queue(&self, _queue_id: u32, _value: &mut Vec<u8>) -> Result<(), QueueError> {
        Err(QueueError::NotFound)
    }

    fn define_metric(&self, _kind: MetricType, _name: &[u8]) -> Result<u32, MetricError> {
        Err(MetricError::Full)
    }

    fn record_metric(&self, _metric_id: u32, _value: u64) -> Result<(), MetricError> {
        Err(MetricError::NotFound)
    }

    fn increment_metric(&self, _metric_id: u32, _delta: i64) -> Result<(), MetricError> {
        Err(MetricError::NotFound)
    }

    fn get_metric(&self, _metric_id: u32) -> Result<u64, MetricError> {
        Err(MetricError::NotFound)
    }

    fn http_call(&self, id: CallId, call: &HttpCall<'_>) -> Result<(), CallError> {
        self.begin("http", id, call.upstream)
    }

    fn grpc_call(&self, id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError> {
        let kind = match call.message {
            Some(_) => "grpc",
            None => "stream",
        };
        self.begin(kind, id, call.upstream)
    }

    fn grpc_send(&self, _id: CallId, _message: &[u8], _end: bool) -> Result<(), CallError> {
        Err(CallError::NotFound)
    }

    fn grpc_close(&self, _id: CallId) {}

    fn cancel_call(&self, id: CallId) {
        self.calls.borrow_mut().push(format!("cancel {}", id.token));
    }
}

/// A request with three headers and a response with two, none of which can be changed.
#[derive(Default)]
pub struct TestStream {
    pub log: Rc<Log>,
    pub has_body: bool,
    /// How often it was woken.
    pub woken: Cell<u32>,
    /// The status of the response that the plugin has sent.
    pub local_response: Cell<Option<u32>>,
    pub closed: Cell<bool>,
}

impl HttpStream for TestStream {
    fn log(&self, level: LogLevel, message: &[u8]) {
        self.log.add(level, message);
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Info
    }

    fn headers(&self, _map: HeaderMap, _visit: &mut dyn FnMut(&[u8], &[u8])) {}

    fn header_count(&self, map: HeaderMap) -> usize {
        match map {
            HeaderMap::Request => 3,
            HeaderMap::Response => 2,
        }
    }

    fn header(&self, _map: HeaderMap, _name: &[u8], _value: &mut Vec<u8>) -> bool {
        false
    }

    fn add_header(&self, _map: HeaderMap, _name: &[u8], _value: &[u8]) -> Result<(), HeaderError> {
        Err(HeaderError::Refused)
    }

    fn replace_header(
        &self,
        _map: HeaderMap,
        _name: &[u8],
        _value: &[u8],
    ) -> Result<(), HeaderError> {
        Err(HeaderError::Refused)
    }

    fn remove_header(&self, _map: HeaderMap, _name: &[u8]) -> Result<(), HeaderError> {
        Err(HeaderError::Refused)
    }

    fn set_headers(&self, _map: HeaderMap, _headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        Err(HeaderError::Refused)
    }

    fn property(&self, _path: &[u8], _value: &mut Vec<u8>) -> bool {
        false
    }

    fn set_property(&self, _path: &[u8], _value: &[u8]) -> Result<(), PropertyError> {
        Err(PropertyError::ReadOnly)
    }

    fn send_local_response(&self, response: LocalResponse) -> bool {
        self.local_response.set(Some(response.status));
        true
    }

    fn close(&self) {
        self.closed.set(true);
    }

    fn wake(&self) {
        self.woken.set(self.woken.get() + 1);
    }

    fn is_over(&self) -> bool {
        self.closed.get() || self.local_response.get().is_some()
    }

    fn request_has_no_body(&self) -> bool {
        !self.has_body
    }

    fn response_has_no_body(&self) -> bool {
        !self.has_body
    }
}

/// A fork is one for the whole process: the test that pretends one runs alone.
static FORKS: RwLock<()> = RwLock::new(());

pub fn no_fork() -> RwLockReadGuard<'static, ()> {
    FORKS
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub fn alone() -> RwLockWriteGuard<'static, ()> {
    FORKS
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What each plugin here can do: `$say` logs a letter and the digit of a number, `$show` a buffer. What fails says `!` and its status.
const PRELUDE: &str = r#"
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_done" (func $done (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes"
        (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes"
        (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $send_local_response (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick (param i32) (result i32)))
    (import "env" "proxy_http_call"
        (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_call"
        (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_stream"
        (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "upstream")
    (func (export "malloc") (param i32) (result i32) i32.const 4096)
    (func $say (param $letter i32) (param $digit i32)
        (i32.store8 (i32.const 0) (local.get $letter))
        (i32.store8 (i32.const 1) (i32.add (i32.const 48) (local.get $digit)))
        (drop (call $log (i32.const 2) (i32.const 0) (i32.const 2))))
    (func $check (param $status i32)
        (if (local.get $status) (then (call $say (i32.const 33) (local.get $status)))))
    (func $show (param $buffer i32)
        (call $check (call $get_buffer
            (local.get $buffer) (i32.const 0) (i32.const 100) (i32.const 32) (i32.const 36)))
        (drop (call $log
            (i32.const 2) (i32.load (i32.const 32)) (i32.load (i32.const 36)))))
    (func $in (param $context i32) (call $check (call $effective (local.get $context))))
    (func $go_on (param $context i32)
        (call $in (local.get $context))
        (call $check (call $continue (i32.const 0))))
    (func $refuse (param $context i32)
        (call $in (local.get $context))
        (call $check (call $send_local_response (i32.const 403) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))
    (func $tick (param $period i32) (call $check (call $set_tick (local.get $period))))
    (func $http (call $check (call $http_call (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 40))))
    (func $unary (call $check (call $grpc_call (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 40))))
    (func $stream (call $check (call $grpc_stream (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 40))))
    (func $cancel (param $call i32) (call $check (call $grpc_cancel (local.get $call))))
"#;

/// Every callback says its letter and the context's id; one about a call says the call's.
const CALLBACKS: [(&str, char, &str); 16] = [
    ("proxy_on_context_create", 'C', "(param i32 i32)"),
    ("proxy_on_vm_start", 'V', "(param i32 i32) (result i32)"),
    ("proxy_on_configure", 'F', "(param i32 i32) (result i32)"),
    (
        "proxy_on_request_headers",
        'H',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_request_body",
        'B',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_response_headers",
        'h',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_response_body",
        'b',
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_done", 'D', "(param i32) (result i32)"),
    ("proxy_on_log", 'L', "(param i32)"),
    ("proxy_on_delete", 'X', "(param i32)"),
    ("proxy_on_tick", 'T', "(param i32)"),
    (
        "proxy_on_http_call_response",
        'R',
        "(param i32 i32 i32 i32 i32)",
    ),
    (
        "proxy_on_grpc_receive_initial_metadata",
        'I',
        "(param i32 i32 i32)",
    ),
    ("proxy_on_grpc_receive", 'M', "(param i32 i32 i32)"),
    (
        "proxy_on_grpc_receive_trailing_metadata",
        'E',
        "(param i32 i32 i32)",
    ),
    ("proxy_on_grpc_close", 'Z', "(param i32 i32 i32)"),
];

/// A plugin of 0.2.1 whose callbacks do what `changed` says for their letter, after saying it; else they accept and continue.
pub fn plugin_text(changed: &[(char, &str)]) -> String {
    let mut text = format!(r#"(module {PRELUDE} (func (export "proxy_abi_version_0_2_1"))"#);
    for (name, letter, ty) in CALLBACKS {
        let accepts = if matches!(letter, 'V' | 'F' | 'D') {
            1
        } else {
            0
        };
        let answer = match ty.contains("result") {
            true => format!("i32.const {accepts}"),
            false => String::new(),
        };
        let body = changed
            .iter()
            .find(|(changed, _)| *changed == letter)
            .map_or(&*answer, |(_, body)| body);
        let code = u32::from(letter);
        let id = u32::from("RIMEZ".contains(letter));
        text.push_str(&format!(
            r#"(func (export "{name}") {ty} (call $say (i32.const {code}) (local.get {id})) {body})"#
        ));
    }
    text.push(')');
    text
}

/// The engine that WASM_VM names, as for `t/`.
fn engine() -> Box<dyn Engine<VmState>> {
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

pub fn load_on(host: &Rc<TestHost>, text: &str, options: Options) -> Result<Rc<Plugin>, Error> {
    let host = Rc::<TestHost>::clone(host);
    Plugin::new("test", text.as_bytes(), options, &*engine(), host).map(Rc::new)
}

pub fn load_with(text: &str, options: Options) -> (Result<Rc<Plugin>, Error>, Rc<Log>) {
    let host = Rc::new(TestHost::default());
    let plugin = load_on(&host, text, options);
    (plugin, Rc::clone(&host.log))
}

pub fn load(changed: &[(char, &str)]) -> (Rc<Plugin>, Rc<Log>) {
    let (plugin, log) = load_with(&plugin_text(changed), Options::default());
    (plugin.unwrap_or_else(|e| panic!("{e}")), log)
}

pub fn configure(plugin: &Rc<Plugin>) -> Result<Rc<PluginContext>, Error> {
    PluginContext::new(Rc::clone(plugin), b"configuration")
}

pub fn request(
    context: &Rc<PluginContext>,
    log: &Rc<Log>,
    has_body: bool,
) -> Result<Stream, Error> {
    let http = TestStream {
        log: Rc::clone(log),
        has_body,
        ..TestStream::default()
    };
    Stream::new(Rc::clone(context), Rc::new(http))
}
