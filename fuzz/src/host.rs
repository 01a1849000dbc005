//! A proxy that answers as the input says.

use std::cell::RefCell;

use resty_proxy_wasm::abi::host::{
    CallError, CallId, Event, GrpcCall, Host, HttpCall, MetricError, QueueError, SharedDataError,
};
use resty_proxy_wasm::abi::types::{LogLevel, MetricType};

use crate::Input;

/// The longest record that a log may be given.
const LONGEST_RECORD: usize = 2048;

pub const LEVELS: [LogLevel; 6] = [
    LogLevel::Trace,
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
    LogLevel::Critical,
];

/// Checks what goes into a log: one line.
pub fn check_record(record: &[u8]) {
    assert!(record.len() <= LONGEST_RECORD, "{} bytes", record.len());
    assert!(!record.contains(&b'\n') && !record.contains(&0));
}

pub struct AnyHost {
    input: Input,
    /// The calls that were begun and not cancelled.
    pub calls: RefCell<Vec<CallId>>,
}

impl AnyHost {
    pub fn new(input: &Input) -> Self {
        Self {
            input: input.clone(),
            calls: RefCell::default(),
        }
    }

    fn begin(&self, id: CallId) -> Result<(), CallError> {
        match self.input.below(8) {
            0 => Err(CallError::Upstream),
            1 => Err(CallError::Invalid),
            2 => Err(CallError::Full),
            3 => Err(CallError::NotFound),
            _ => {
                self.calls.borrow_mut().push(id);
                Ok(())
            }
        }
    }

    fn queue(&self) -> Result<(), QueueError> {
        match self.input.below(8) {
            0 => Err(QueueError::NotFound),
            1 => Err(QueueError::Empty),
            2 => Err(QueueError::Full),
            _ => Ok(()),
        }
    }

    fn metric(&self) -> Result<(), MetricError> {
        match self.input.below(8) {
            0 => Err(MetricError::NotFound),
            1 => Err(MetricError::BadArgument),
            2 => Err(MetricError::Full),
            _ => Ok(()),
        }
    }
}

impl Host for AnyHost {
    fn log(&self, _level: LogLevel, message: &[u8]) {
        check_record(message);
    }

    fn log_level(&self) -> LogLevel {
        self.input.one_of(&LEVELS)
    }

    fn property(&self, _path: &[u8], value: &mut Vec<u8>) -> bool {
        value.extend(self.input.bytes());
        self.input.flag()
    }

    fn get_shared_data(&self, _vm_id: &[u8], _key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        value.extend(self.input.bytes());
        self.input.flag().then(|| self.input.u32())
    }

    fn set_shared_data(
        &self,
        _vm_id: &[u8],
        _key: &[u8],
        _value: &[u8],
        _cas: u32,
    ) -> Result<(), SharedDataError> {
        match self.input.below(4) {
            0 => Err(SharedDataError::CasMismatch),
            1 => Err(SharedDataError::Full),
            _ => Ok(()),
        }
    }

    fn register_shared_queue(&self, _vm_id: &[u8], _name: &[u8]) -> Result<u32, QueueError> {
        match self.input.byte() {
            0 => Err(QueueError::Full),
            id => Ok(id.into()),
        }
    }

    fn resolve_shared_queue(&self, _vm_id: &[u8], _name: &[u8]) -> Option<u32> {
        self.input.flag().then(|| self.input.u32())
    }

    fn enqueue_shared_queue(&self, _queue_id: u32, _value: &[u8]) -> Result<(), QueueError> {
        match self.queue() {
            // It is never that.
            Err(QueueError::Empty) => Ok(()),
            answer => answer,
        }
    }

    fn dequeue_shared_queue(
        &self,
        _vm_id: &[u8],
        _queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        match self.queue() {
            Err(QueueError::Full) | Ok(()) => {
                value.extend(self.input.bytes());
                Ok(())
            }
            answer => answer,
        }
    }

    fn define_metric(&self, _kind: MetricType, _name: &[u8]) -> Result<u32, MetricError> {
        match self.metric() {
            Err(MetricError::NotFound) | Ok(()) => Ok(self.input.u32()),
            Err(error) => Err(error),
        }
    }

    fn record_metric(&self, _metric_id: u32, _value: u64) -> Result<(), MetricError> {
        match self.metric() {
            Err(MetricError::NotFound) => Err(MetricError::NotFound),
            _ => Ok(()),
        }
    }

    fn increment_metric(&self, _metric_id: u32, _delta: i64) -> Result<(), MetricError> {
        match self.metric() {
            Err(MetricError::Full) => Ok(()),
            answer => answer,
        }
    }

    fn get_metric(&self, _metric_id: u32) -> Result<u64, MetricError> {
        match self.metric() {
            Err(MetricError::NotFound) => Err(MetricError::NotFound),
            _ => Ok(self.input.u64()),
        }
    }

    fn http_call(&self, id: CallId, _call: &HttpCall<'_>) -> Result<(), CallError> {
        self.begin(id)
    }

    fn grpc_call(&self, id: CallId, _call: &GrpcCall<'_>) -> Result<(), CallError> {
        self.begin(id)
    }

    fn grpc_send(&self, _id: CallId, _message: &[u8], _end: bool) -> Result<(), CallError> {
        match self.input.flag() {
            true => Err(CallError::NotFound),
            false => Ok(()),
        }
    }

    fn grpc_close(&self, _id: CallId) {}

    fn cancel_call(&self, id: CallId) {
        self.calls.borrow_mut().retain(|call| *call != id);
    }

    fn now(&self) -> u64 {
        0
    }

    fn between(&self, _then: u64, _now: u64) -> u64 {
        0
    }

    fn note(&self, _event: Event) {}
}
