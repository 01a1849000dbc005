//! The headers of a response.

use super::headers::HeaderList;
use super::raw::MOST_VALUES;
use super::request::Request;
use crate::abi::host::{HeaderError, Outline, is_header_name, is_header_value};

const STATUS: &[u8] = b":status";
const CONTENT_LENGTH: &[u8] = b"content-length";
const SWITCHING_PROTOCOLS: u32 = 101;

/// nginx writes these itself, from how it will send the response.
fn is_connection(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// The length is that of the body that nginx sends: with another one, the next response of the connection would begin elsewhere.
fn is_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(CONTENT_LENGTH)
}

/// Whether nginx sends no body with this status.
fn is_without_body(status: u32) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// What a response's `content-length` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Zero,
    Other,
}

fn is_status(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(STATUS)
}

impl Request {
    /// Makes these the response's headers for those who read all of them: nginx has no function for that.
    pub fn set_response_headers<'a>(&self, headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
        let mut list = self.response.take();
        list.clear();
        for (name, value) in headers {
            list.push(name, value);
        }
        self.response.set(list);
        self.has_response.set(true);
        self.outline.set(None);
    }

    pub(super) fn visit_response_headers(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(status) = self.raw.status() {
            visit(STATUS, status.to_string().as_bytes());
        }
        self.with_response(|list| list.iter().for_each(|(name, value)| visit(name, value)));
    }

    /// See [`HttpStream::outline`](crate::abi::host::HttpStream::outline).
    pub(super) fn response_outline(&self) -> Outline {
        let status = self.raw.status();
        let told = self.with_response(|list| list.len()).unwrap_or(0);
        Outline {
            count: usize::from(status.is_some()) + told,
            end_of_stream: self.is_without_body(status),
        }
    }

    /// Whether nginx will send no body.
    pub fn response_has_no_body(&self) -> bool {
        self.is_without_body(self.raw.status())
    }

    fn is_without_body(&self, status: Option<u32>) -> bool {
        self.sends_no_body(status) || self.response_length() == Some(Length::Zero)
    }

    /// Whether nginx sends no body, whatever its length.
    fn sends_no_body(&self, status: Option<u32>) -> bool {
        status.is_some_and(is_without_body) || self.is_method(&["HEAD"])
    }

    /// What nginx will say of the body's length, if anything.
    fn response_length(&self) -> Option<Length> {
        let length = |value: &[u8]| match value {
            b"0" => Length::Zero,
            _ => Length::Other,
        };
        // A list that was told has it.
        let told = self.with_response(|list| list.get(CONTENT_LENGTH).map(length));
        told.unwrap_or_else(|| {
            let mut found = None;
            self.raw
                .response_header(CONTENT_LENGTH, &mut |value| found = Some(length(value)));
            found
        })
    }

    /// Has the response go out without a length if there is one and a body, and `may` says so.
    pub fn clear_response_length(&self, may: impl FnOnce() -> bool) {
        if self.response_length() == Some(Length::Other)
            && self.response_headers_open()
            && !self.sends_no_body(self.raw.status())
            && may()
        {
            // Where it cannot be removed there was none.
            let _ = self.raw.set_response_header(CONTENT_LENGTH, None, true);
            self.with_response(|list| list.remove(CONTENT_LENGTH));
            self.outline.set(None);
        }
    }

    pub(super) fn response_header(&self, name: &[u8], value: &mut Vec<u8>) -> bool {
        if is_status(name) {
            let status = self.raw.status();
            value.extend(status.iter().flat_map(|s| s.to_string().into_bytes()));
            return status.is_some();
        }
        let mut found = false;
        let live = self.raw.response_header(name, &mut |v| {
            if !found {
                value.extend_from_slice(v);
            }
            found = true;
        });
        if found || live.is_some() && !is_connection(name) {
            return found;
        }
        self.with_response(|list| list.get(name).map(|v| value.extend_from_slice(v)))
            .flatten()
            .is_some()
    }

    /// Runs `f` on the snapshot, if there is one. What `f` calls sees none, so nothing is ever borrowed twice.
    fn with_response<R>(&self, f: impl FnOnce(&mut HeaderList) -> R) -> Option<R> {
        if !self.has_response.replace(false) {
            return None;
        }
        let mut list = self.response.take();
        let result = f(&mut list);
        self.response.set(list);
        self.has_response.set(true);
        Some(result)
    }

    pub(super) fn add_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check_response_header(name, value)?;
        if is_status(name) {
            return self.set_status(value);
        }
        self.write_response_header(name, Some(value), false)
    }

    pub(super) fn replace_response_header(
        &self,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), HeaderError> {
        self.check_response_header(name, value)?;
        if is_status(name) {
            return self.set_status(value);
        }
        self.write_response_header(name, Some(value), true)
    }

    pub(super) fn remove_response_header(&self, name: &[u8]) -> Result<(), HeaderError> {
        self.check_response_header(name, b"")?;
        if is_status(name) {
            return Ok(());
        }
        self.write_response_header(name, None, true)
    }

    pub(super) fn replace_all_response_headers(
        &self,
        headers: &[(&[u8], &[u8])],
    ) -> Result<(), HeaderError> {
        for (name, value) in headers {
            self.check_response_header(name, value)?;
        }
        let named = |name: &[u8]| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let gone: Vec<Vec<u8>> = self
            .with_response(|list| {
                list.iter()
                    .filter(|(n, _)| !named(n))
                    .map(|(n, _)| n.to_vec())
                    .collect()
            })
            .unwrap_or_default();
        for name in gone {
            self.write_response_header(&name, None, true)?;
        }
        for (i, (name, value)) in headers.iter().enumerate() {
            let seen = headers[..i]
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name));
            if seen {
                self.add_response_header(name, value)?;
            } else {
                self.replace_response_header(name, value)?;
            }
        }
        Ok(())
    }

    fn write_response_header(
        &self,
        name: &[u8],
        value: Option<&[u8]>,
        replace: bool,
    ) -> Result<(), HeaderError> {
        if is_connection(name) || is_length(name) && value.is_some() {
            return Ok(());
        }
        self.raw.set_response_header(name, value, replace)?;
        // nginx knows headers that can be there only once: what it has now is the truth.
        self.with_response(|list| {
            let before = list.count(name);
            if let (false, Some(value), MOST_VALUES..) = (replace, value, before) {
                // Too many to ask for them all: a header of which there are so many is none that can be there only once.
                list.push(name, value);
                return;
            }
            list.remove(name);
            let told = self.raw.response_header(name, &mut |v| list.push(name, v));
            if let (None, Some(value)) = (told, value) {
                list.push(name, value);
            }
        });
        Ok(())
    }

    fn set_status(&self, value: &[u8]) -> Result<(), HeaderError> {
        let status: u16 = std::str::from_utf8(value)
            .ok()
            .filter(|v| v.len() == 3)
            .and_then(|v| v.parse().ok())
            .ok_or(HeaderError::Invalid)?;
        let present = self.raw.status();
        if present == Some(u32::from(status)) {
            return Ok(());
        }
        // A status below 200 is no answer yet: the body would be taken for it. And nginx goes on to another protocol
        // whatever the client is told.
        if status < 200 || present == Some(SWITCHING_PROTOCOLS) {
            return Err(HeaderError::Invalid);
        }
        if present.is_some_and(is_without_body) && !is_without_body(status.into()) {
            // of a body that does not come
            self.write_response_header(CONTENT_LENGTH, None, true)?;
        }
        self.raw.set_status(status)
    }

    fn check_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if !self.response_headers_open() {
            return Err(HeaderError::Sent);
        }
        if (is_header_name(name) || is_status(name)) && is_header_value(value) {
            Ok(())
        } else {
            Err(HeaderError::Invalid)
        }
    }
}
