//! A proxy outside any request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use resty_proxy_wasm::abi::host::{
    CallError, CallEvent, CallId, Event, GrpcCall, Host, HttpCall, MetricError, QueueError, SHORT,
    SharedDataError,
};
use resty_proxy_wasm::abi::types::{LogLevel, MetricType};
use resty_proxy_wasm::plugin::background::{self, Delivered};

/// What the plugins of one test and the host have logged, without the plugin's name.
#[derive(Default)]
pub struct Log(RefCell<Vec<(LogLevel, String)>>);

impl Log {
    pub fn add(&self, level: LogLevel, message: &[u8]) {
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

thread_local! {
    /// The queues of items that nobody was told of, in any proxy.
    static ITEMS: RefCell<Vec<u32>> = RefCell::default();
}

/// Whether there are items that nobody was told of.
pub fn has_items() -> bool {
    ITEMS.with_borrow(|items| !items.is_empty())
}

/// Tells plugins of items, and forgets those that are for nobody.
pub fn run_queues() {
    let tell = |id| {
        ITEMS.with_borrow_mut(|items| {
            let found = items.iter().position(|item| *item == id);
            found.map(|place| items.remove(place)).is_some()
        })
    };
    if background::run_queues(tell, |_| {}) != background::Left::More {
        ITEMS.with_borrow_mut(Vec::clear);
    }
}

/// A proxy that logs, and keeps what calls it was asked for. A queue is known by the length of its name, and keeps only
/// how many items it has that nobody was told of.
#[derive(Default)]
pub struct TestHost {
    pub log: Rc<Log>,
    /// Why it begins no calls.
    pub refuses: Cell<Option<CallError>>,
    /// Whether it has properties, which are empty.
    pub has_properties: Cell<bool>,
    /// Whether its callbacks are short, and so told of together.
    pub has_short_callbacks: Cell<bool>,
    calls: RefCell<Vec<String>>,
    events: RefCell<Vec<String>>,
    /// The VM that the last call was from.
    vm: Cell<u32>,
}

impl TestHost {
    /// The calls that were begun and cancelled since this was last asked, in one line.
    pub fn take_calls(&self) -> String {
        self.calls.take().join(", ")
    }

    /// What was counted since this was last asked, in one line: VMs and their memory as `+1:65536`.
    pub fn take_events(&self) -> String {
        self.events.take().join(" ")
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
        self.has_properties.get()
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

    fn register_shared_queue(&self, _vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        Ok(name.len() as u32)
    }

    fn resolve_shared_queue(&self, _vm_id: &[u8], _name: &[u8]) -> Option<u32> {
        None
    }

    fn enqueue_shared_queue(&self, queue_id: u32, _value: &[u8]) -> Result<(), QueueError> {
        ITEMS.with_borrow_mut(|items| items.push(queue_id));
        Ok(())
    }

    fn dequeue_shared_queue(
        &self,
        _vm_id: &[u8],
        _queue_id: u32,
        _value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
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

    fn now(&self) -> u64 {
        0
    }

    fn between(&self, _then: u64, _now: u64) -> u64 {
        SHORT + u64::from(!self.has_short_callbacks.get())
    }

    fn note(&self, event: Event) {
        self.events.borrow_mut().push(match event {
            Event::Callbacks { count, nanoseconds } => {
                assert_eq!(nanoseconds, count * SHORT);
                format!("{count} callbacks")
            }
            Event::Request => "request".into(),
            Event::Callback(_) => "callback".into(),
            Event::Trap => "trap".into(),
            Event::Deadline => "deadline".into(),
            Event::Restart => "restart".into(),
            Event::BackOff { begins: true } => "backs off".into(),
            Event::BackOff { begins: false } => "goes on".into(),
            Event::Rejected => "rejected".into(),
            Event::Renewal => "renewal".into(),
            Event::CallBegun => "begun".into(),
            Event::CallEnded { failed: true } => "failed".into(),
            Event::CallEnded { failed: false } => "ended".into(),
            Event::Instances { count, memory } => format!("{count:+}:{memory}"),
        });
    }
}
