//! A request of that proxy.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use resty_proxy_wasm::abi::host::{
    HeaderError, HeaderMap, HttpStream, LocalResponse, Outline, PropertyError,
};
use resty_proxy_wasm::abi::types::LogLevel;
use resty_proxy_wasm::plugin::{PluginContext, Stream};

/// The last of them is [`LAST_HEADER`].
const HEADERS: [(&str, &str); 8] = [
    (":authority", "www.example.com"),
    (":method", "GET"),
    (":path", "/a/path?with=arguments"),
    (":scheme", "https"),
    ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"),
    (LAST_HEADER, "session=0123456789abcdef0123456789abcdef"),
];
pub const LAST_HEADER: &str = "cookie";

/// A property that the proxy has.
pub const PROPERTY: &str = "source\0address";

/// A stream that ends when it is dropped.
pub struct Request(Stream);

impl Request {
    pub fn new(context: &Rc<PluginContext>, http: Rc<dyn HttpStream>) -> Self {
        let stream = Stream::new(Rc::clone(context), http);
        Self(stream.unwrap_or_else(|e| panic!("{e}")))
    }
}

impl Deref for Request {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// What there is of it in the proxy: both maps are one, which starts with [`HEADERS`].
pub struct Exchange {
    headers: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Default for Exchange {
    fn default() -> Self {
        let headers = HEADERS.map(|(name, value)| (name.into(), value.into()));
        Self {
            headers: RefCell::new(headers.into()),
        }
    }
}

impl HttpStream for Exchange {
    fn log(&self, _level: LogLevel, _message: &[u8]) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Warn
    }

    fn headers(&self, _map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &*self.headers.borrow() {
            visit(name, value);
        }
    }

    fn outline(&self, _map: HeaderMap) -> Outline {
        Outline {
            count: self.headers.borrow().len(),
            end_of_stream: false,
        }
    }

    fn header(&self, _map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool {
        let headers = self.headers.borrow();
        let found = headers.iter().find(|(n, _)| n == name);
        value.extend(found.into_iter().flat_map(|(_, value)| value));
        found.is_some()
    }

    fn add_header(&self, _map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.headers.borrow_mut().push((name.into(), value.into()));
        Ok(())
    }

    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.remove_header(map, name)?;
        self.add_header(map, name, value)
    }

    fn remove_header(&self, _map: HeaderMap, name: &[u8]) -> Result<(), HeaderError> {
        self.headers.borrow_mut().retain(|(n, _)| n != name);
        Ok(())
    }

    fn set_headers(&self, _map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        let headers = headers.iter().map(|(n, v)| (n.to_vec(), v.to_vec()));
        *self.headers.borrow_mut() = headers.collect();
        Ok(())
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        value.extend_from_slice(b"192.0.2.1:12345");
        path == PROPERTY.as_bytes()
    }

    fn set_property(&self, path: &[u8], _value: &[u8]) -> Result<(), PropertyError> {
        if path == PROPERTY.as_bytes() {
            Ok(())
        } else {
            Err(PropertyError::Unknown)
        }
    }

    fn send_local_response(&self, _response: LocalResponse) -> bool {
        false
    }

    fn close(&self) {}

    fn wake(&self) {}

    fn is_over(&self) -> bool {
        false
    }
}
