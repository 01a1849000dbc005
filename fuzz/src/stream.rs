//! A request that is what the input says, and answers so.

use std::cell::{Cell, RefCell};

use resty_proxy_wasm::abi::host::{
    HeaderError, HeaderMap, HttpStream, LocalResponse, Outline, PropertyError, is_header_name,
    is_header_value,
};
use resty_proxy_wasm::abi::types::LogLevel;

use crate::Input;
use crate::host::{LEVELS, check_record};

type Headers = RefCell<Vec<(Vec<u8>, Vec<u8>)>>;

pub struct AnyStream {
    input: Input,
    request: Headers,
    response: Headers,
    over: Cell<bool>,
}

impl AnyStream {
    pub fn new(input: &Input) -> Self {
        let headers = || {
            let header = |_| (input.bytes(), input.bytes());
            RefCell::new((0..input.below(6)).map(header).collect())
        };
        Self {
            input: input.clone(),
            request: headers(),
            response: headers(),
            over: Cell::new(false),
        }
    }

    fn map(&self, map: HeaderMap) -> &Headers {
        match map {
            HeaderMap::Request => &self.request,
            HeaderMap::Response => &self.response,
        }
    }

    fn change(&self) -> Result<(), HeaderError> {
        match self.input.below(8) {
            0 => Err(HeaderError::Invalid),
            1 => Err(HeaderError::Sent),
            2 => Err(HeaderError::Refused),
            _ => Ok(()),
        }
    }
}

impl HttpStream for AnyStream {
    fn log(&self, _level: LogLevel, message: &[u8]) {
        check_record(message);
    }

    fn log_level(&self) -> LogLevel {
        self.input.one_of(&LEVELS)
    }

    fn headers(&self, map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.map(map).borrow().iter() {
            visit(name, value);
        }
    }

    /// It may be wrong.
    fn outline(&self, map: HeaderMap) -> Outline {
        Outline {
            count: match self.input.byte() {
                0xff => self.input.byte().into(),
                _ => self.map(map).borrow().len(),
            },
            end_of_stream: self.input.flag(),
        }
    }

    fn header(&self, map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool {
        let headers = self.map(map).borrow();
        let found = headers.iter().find(|(known, _)| known == name);
        value.extend(found.into_iter().flat_map(|(_, value)| value));
        found.is_some()
    }

    fn add_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.change()?;
        let header = (name.to_vec(), value.to_vec());
        self.map(map).borrow_mut().push(header);
        Ok(())
    }

    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.remove_header(map, name)?;
        self.add_header(map, name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &[u8]) -> Result<(), HeaderError> {
        self.change()?;
        self.map(map).borrow_mut().retain(|(n, _)| n != name);
        Ok(())
    }

    fn set_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        self.map(map).borrow_mut().clear();
        headers
            .iter()
            .try_for_each(|(name, value)| self.add_header(map, name, value))
    }

    fn property(&self, _path: &[u8], value: &mut Vec<u8>) -> bool {
        value.extend(self.input.bytes());
        self.input.flag()
    }

    fn set_property(&self, _path: &[u8], _value: &[u8]) -> Result<(), PropertyError> {
        match self.input.below(3) {
            0 => Err(PropertyError::ReadOnly),
            1 => Err(PropertyError::Unknown),
            _ => Ok(()),
        }
    }

    fn send_local_response(&self, response: LocalResponse) -> bool {
        assert!((200..=999).contains(&response.status));
        for (name, value) in &response.headers {
            assert!(is_header_name(name) && is_header_value(value));
        }
        let sent = self.input.flag();
        self.over.set(self.over.get() || sent);
        sent
    }

    fn close(&self) {
        self.over.set(true);
    }

    fn wake(&self) {}

    fn is_over(&self) -> bool {
        self.over.get()
    }
}
