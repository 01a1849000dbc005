//! The headers of a request.

use std::ffi::c_int;

use super::raw::{Framing, RequestHeaders};
use super::request::{NewPath, Request};
use super::uri::{self, PathChange};
use crate::abi::host::{HeaderError, Outline, is_header_name, is_header_value};
use crate::abi::types::LogLevel;

/// nginx's bit for each method that can be set.
const METHODS: [(&[u8], c_int); 15] = [
    (b"GET", 0x0002),
    (b"HEAD", 0x0004),
    (b"POST", 0x0008),
    (b"PUT", 0x0010),
    (b"DELETE", 0x0020),
    (b"MKCOL", 0x0040),
    (b"COPY", 0x0080),
    (b"MOVE", 0x0100),
    (b"OPTIONS", 0x0200),
    (b"PROPFIND", 0x0400),
    (b"PROPPATCH", 0x0800),
    (b"LOCK", 0x1000),
    (b"UNLOCK", 0x2000),
    (b"PATCH", 0x4000),
    (b"TRACE", 0x8000),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pseudo {
    Authority,
    Method,
    Path,
    Scheme,
}

impl Pseudo {
    pub const ALL: [(&'static [u8], Self); 4] = [
        (b":authority", Self::Authority),
        (b":method", Self::Method),
        (b":path", Self::Path),
        (b":scheme", Self::Scheme),
    ];

    fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, pseudo)| *pseudo)
    }
}

/// How a message is framed is for nginx to know: changing these under it would lose a body, or take it for the next
/// request.
fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

impl Request {
    pub(super) fn visit_request_headers(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        if !self.raw.is_live() {
            return;
        }
        self.with_headers(|headers| {
            let mut value = self.text.take();
            for (name, pseudo) in Pseudo::ALL {
                value.clear();
                match pseudo {
                    Pseudo::Authority => self.authority(headers, &mut value),
                    Pseudo::Method | Pseudo::Path | Pseudo::Scheme => {
                        self.pseudo(pseudo, &mut value);
                    }
                }
                visit(name, &value);
            }
            self.text.set(value);
            headers.each(|name, value| {
                visit(name, value);
                true
            });
        });
    }

    fn with_headers<R>(&self, read: impl FnOnce(&RequestHeaders<'_>) -> R) -> R {
        let mut scratch = self.scratch.take();
        let result = read(&self.raw.request_headers(&mut scratch));
        self.scratch.set(scratch);
        result
    }

    /// See [`HttpStream::outline`](crate::abi::host::HttpStream::outline).
    pub(super) fn request_outline(&self) -> Outline {
        if !self.raw.is_live() {
            return Outline {
                count: 0,
                end_of_stream: true,
            };
        }
        let mut scratch = self.scratch.take();
        let (count, framing) = self.raw.request_framing(&mut scratch);
        self.scratch.set(scratch);
        let end_of_stream = match framing {
            Framing::Empty => true,
            Framing::Length | Framing::Encoded => false,
            Framing::None => {
                self.is_method(&["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT"])
                    || !self.needs_no_length()
            }
        };
        Outline {
            count: Pseudo::ALL.len() + count,
            end_of_stream,
        }
    }

    /// From HTTP/2 on a body needs no header.
    fn needs_no_length(&self) -> bool {
        let version = self.raw.var(b"server_protocol", |v| {
            v.starts_with(b"HTTP/2") || v.starts_with(b"HTTP/3")
        });
        version == Some(true)
    }

    pub(super) fn request_header(&self, name: &[u8], value: &mut Vec<u8>) -> bool {
        if let Some(pseudo) = Pseudo::named(name) {
            self.pseudo(pseudo, value);
            return self.raw.is_live();
        }
        self.with_headers(|headers| headers.get(name, value))
    }

    fn authority(&self, headers: &RequestHeaders<'_>, value: &mut Vec<u8>) {
        if !headers.get(b"host", value) {
            self.var(b"host", value);
        }
    }

    fn pseudo(&self, pseudo: Pseudo, value: &mut Vec<u8>) {
        match pseudo {
            Pseudo::Authority => self.with_headers(|headers| self.authority(headers, value)),
            Pseudo::Method => {
                self.raw.method(|m| value.extend_from_slice(m));
            }
            Pseudo::Path => self.path(value),
            Pseudo::Scheme => match &*self.scheme.borrow() {
                Some(scheme) => value.extend_from_slice(scheme),
                None => {
                    self.var(b"scheme", value);
                }
            },
        }
    }

    /// The request target: what the client sent, or what was put in its place. A plugin's word counts for as long as
    /// nothing else has rewritten the URI.
    fn path(&self, value: &mut Vec<u8>) {
        self.with_var(b"uri", |uri| {
            self.with_var(b"args", |args| {
                if let Some(new) = &*self.new_path.borrow()
                    && (new.pending || new.change.is(uri, args))
                {
                    value.extend_from_slice(&new.target);
                    return;
                }
                self.with_var(b"request_uri", |target| {
                    let target = uri::strip_origin(target);
                    if uri::is_target_of(target, uri, args) {
                        value.extend_from_slice(target);
                    } else {
                        uri::join(uri, args, value);
                    }
                });
            });
        });
    }

    /// An nginx variable, empty where there is none.
    fn with_var(&self, name: &[u8], read: impl FnOnce(&[u8])) {
        let mut read = Some(read);
        self.raw.var(name, |v| read.take().map(|read| read(v)));
        if let Some(read) = read {
            read(b"");
        }
    }

    pub(super) fn add_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check_request_header(name, value)?;
        if let Some(pseudo) = Pseudo::named(name) {
            return self.set_pseudo(pseudo, value);
        }
        if is_framing(name) {
            return Ok(());
        }
        // A second Host is no request that an upstream would take.
        self.raw
            .set_request_header(name, Some(value), is_host(name))
    }

    pub(super) fn replace_request_header(
        &self,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), HeaderError> {
        self.check_request_header(name, value)?;
        if let Some(pseudo) = Pseudo::named(name) {
            return self.set_pseudo(pseudo, value);
        }
        if is_framing(name) {
            return Ok(());
        }
        if value.is_empty() {
            // To set an empty value is how a header is removed; an empty one can be added.
            self.raw.set_request_header(name, None, true)?;
            return self.raw.set_request_header(name, Some(value), false);
        }
        self.raw.set_request_header(name, Some(value), true)
    }

    pub(super) fn remove_request_header(&self, name: &[u8]) -> Result<(), HeaderError> {
        self.check_request_header(name, b"")?;
        if Pseudo::named(name).is_some() || is_framing(name) {
            return Ok(());
        }
        self.raw.set_request_header(name, None, true)
    }

    pub(super) fn set_request_headers(
        &self,
        headers: &[(&[u8], &[u8])],
    ) -> Result<(), HeaderError> {
        for (name, value) in headers {
            self.check_request_header(name, value)?;
        }
        let named = |name: &[u8]| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut gone: Vec<Vec<u8>> = Vec::new();
        self.with_headers(|present| {
            present.each(|name, _| {
                if !named(name) && !is_host(name) && !gone.iter().any(|g| g == name) {
                    gone.push(name.to_vec());
                }
                true
            });
        });
        for name in gone {
            self.remove_request_header(&name)?;
        }
        if let Some(authority) = self.chosen_authority(headers) {
            self.set_pseudo(Pseudo::Authority, authority)?;
        }
        for (i, (name, value)) in headers.iter().enumerate() {
            if Pseudo::named(name) == Some(Pseudo::Authority) || is_host(name) {
                continue;
            }
            let seen = headers[..i]
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name));
            if seen {
                self.add_request_header(name, value)?;
            } else {
                self.replace_request_header(name, value)?;
            }
        }
        Ok(())
    }

    /// Of `:authority` and `host`, the one that was changed.
    fn chosen_authority<'a>(&self, headers: &[(&'a [u8], &'a [u8])]) -> Option<&'a [u8]> {
        let find = |wanted: &[u8]| {
            headers
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| *value)
        };
        let mut present = Vec::new();
        self.pseudo(Pseudo::Authority, &mut present);
        let changed = |value: &&[u8]| **value != *present;
        find(b":authority")
            .filter(changed)
            .or_else(|| find(b"host").filter(changed))
    }

    fn set_pseudo(&self, pseudo: Pseudo, value: &[u8]) -> Result<(), HeaderError> {
        let mut present = Vec::new();
        self.pseudo(pseudo, &mut present);
        if present == value {
            return Ok(());
        }
        if value.is_empty() {
            return Err(HeaderError::Invalid);
        }
        match pseudo {
            Pseudo::Authority => self.raw.set_request_header(b"host", Some(value), true),
            Pseudo::Method => {
                let method = METHODS.iter().find(|(name, _)| *name == value);
                let (_, bit) = method.ok_or(HeaderError::Invalid)?;
                // nginx would send the client a body that it does not expect, or none.
                if (present == b"HEAD") != (value == b"HEAD") {
                    return Err(HeaderError::Invalid);
                }
                self.raw.set_method(*bit)
            }
            Pseudo::Path => {
                let change = PathChange::parse(value).ok_or(HeaderError::Invalid)?;
                self.new_path.replace(Some(NewPath {
                    target: value.to_vec(),
                    change,
                    pending: true,
                }));
                self.asked.set(true);
                Ok(())
            }
            Pseudo::Scheme => {
                if self.scheme.replace(Some(value.to_vec())).is_none() {
                    let text = b"proxy-wasm: \":scheme\" cannot be changed in nginx, only plugins see the new value";
                    self.log_line(LogLevel::Warn, text);
                }
                Ok(())
            }
        }
    }

    fn check_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if !self.request_headers_open() {
            return Err(HeaderError::Sent);
        }
        let known = is_header_name(name) || Pseudo::named(name).is_some();
        if known && is_header_value(value) {
            Ok(())
        } else {
            Err(HeaderError::Invalid)
        }
    }
}
