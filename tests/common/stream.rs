//! A request of that proxy.

use std::cell::Cell;
use std::rc::Rc;

use resty_proxy_wasm::abi::host::{
    HeaderError, HeaderMap, HttpStream, LocalResponse, Outline, PropertyError,
};
use resty_proxy_wasm::abi::types::LogLevel;

use super::Log;

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
    /// How often somebody has looked at each map's outline.
    pub looks: [Cell<u32>; 2],
}

impl HttpStream for TestStream {
    fn log(&self, level: LogLevel, message: &[u8]) {
        self.log.add(level, message);
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Info
    }

    fn headers(&self, _map: HeaderMap, _visit: &mut dyn FnMut(&[u8], &[u8])) {}

    fn outline(&self, map: HeaderMap) -> Outline {
        let looks = &self.looks[usize::from(map == HeaderMap::Response)];
        looks.set(looks.get() + 1);
        Outline {
            count: match map {
                HeaderMap::Request => 3,
                HeaderMap::Response => 2,
            },
            end_of_stream: !self.has_body,
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
}
