//! What becomes of calls.

use resty_proxy_wasm::abi::host::{CallEvent, Fields};

pub fn fields(count: usize) -> Fields {
    vec![(b"name".to_vec(), b"value".to_vec()); count]
}

pub fn response(body: &[u8]) -> CallEvent {
    CallEvent::Response {
        headers: fields(2),
        body: body.to_vec(),
        trailers: fields(1),
    }
}

pub fn failed() -> CallEvent {
    CallEvent::Failed {
        reason: "connection refused".into(),
    }
}

pub fn closed(answered: bool) -> CallEvent {
    CallEvent::Closed {
        status: 7,
        message: b"gone".to_vec(),
        answered,
    }
}

pub fn grpc_message() -> CallEvent {
    CallEvent::Message(b"message".to_vec())
}
