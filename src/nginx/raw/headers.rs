//! Headers of the request and of the response.

use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use super::{LONGEST_NAME, NGX_OK, Raw, text};
use crate::abi::host::HeaderError;
use crate::nginx::symbols::{FfiHeader, FfiStr};

const NGX_DECLINED: c_int = -5;

/// How many values of one response header are looked at.
pub const MOST_VALUES: usize = 64;

const LENGTH: &[u8] = b"content-length";
const ENCODING: &[u8] = b"transfer-encoding";
const LENGTH_LEN: c_int = LENGTH.len() as c_int;
const ENCODING_LEN: c_int = ENCODING.len() as c_int;

/// What the headers of a request say of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    /// It has no bytes.
    Empty,
    Length,
    Encoded,
}

/// Room for request headers, kept to be used again.
#[derive(Default)]
pub struct Scratch(Vec<FfiHeader>);

/// The headers of a request, as they are until somebody changes them. Not to be kept.
pub struct RequestHeaders<'a> {
    list: &'a [FfiHeader],
    /// The names.
    are_lower: bool,
}

impl RequestHeaders<'_> {
    /// Calls `visit(name, value)` for each until it answers false. Names are lower case.
    pub fn each(&self, mut visit: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut lower = Vec::new();
        for header in self.list {
            // SAFETY: `collect` has filled this in with strings of the request's pool. Who reads them does so before the request ends: this
            // is not kept.
            let (mut name, value) = unsafe { (text(header.key), text(header.value)) };
            if !self.are_lower {
                lower.clear();
                lower.extend(name.iter().map(u8::to_ascii_lowercase));
                name = &lower;
            }
            if !visit(name, value) {
                break;
            }
        }
    }

    /// Appends the first value of a header. False if there is none.
    pub fn get(&self, name: &[u8], value: &mut Vec<u8>) -> bool {
        let mut found = false;
        self.each(|n, v| {
            found = n.eq_ignore_ascii_case(name);
            if found {
                value.extend_from_slice(v);
            }
            !found
        });
        found
    }
}

impl Raw {
    pub fn request_header_count(&self) -> usize {
        let Some((symbols, r)) = self.live() else {
            return 0;
        };
        let mut truncated = 0;
        // SAFETY: `r` has not ended (see `live`).
        let count = unsafe { (symbols.req_get_headers_count)(r, 0, &raw mut truncated) };
        usize::try_from(count).unwrap_or(0)
    }

    /// All request headers.
    pub fn request_headers<'a>(&self, scratch: &'a mut Scratch) -> RequestHeaders<'a> {
        self.collect(&mut scratch.0, false);
        // Other modules may leave names in lower case out.
        let are_lower = scratch.0.iter().all(|h| !h.key.data.is_null());
        if !are_lower {
            self.collect(&mut scratch.0, true);
        }
        RequestHeaders {
            list: &scratch.0,
            are_lower,
        }
    }

    /// How many request headers there are, and what they say of a body.
    pub fn request_framing(&self, scratch: &mut Scratch) -> (usize, Framing) {
        // All have a name as it was sent.
        self.collect(&mut scratch.0, true);
        let mut framing = Framing::None;
        for header in &scratch.0 {
            if !matches!(header.key.len, LENGTH_LEN | ENCODING_LEN) {
                continue;
            }
            // SAFETY: `collect` has just filled this in with strings of the request's pool.
            let (name, value) = unsafe { (text(header.key), text(header.value)) };
            if name.eq_ignore_ascii_case(ENCODING) {
                framing = Framing::Encoded;
                break;
            }
            if name.eq_ignore_ascii_case(LENGTH) && framing == Framing::None {
                framing = if value.iter().all(|&b| b == b'0') {
                    Framing::Empty
                } else {
                    Framing::Length
                };
            }
        }
        (scratch.0.len(), framing)
    }

    /// Gets all request headers, with their names as they were sent or in lower case.
    fn collect(&self, headers: &mut Vec<FfiHeader>, as_sent: bool) {
        headers.clear();
        let count = self.request_header_count();
        let (Some((symbols, r)), Ok(n)) = (self.live(), c_int::try_from(count)) else {
            return;
        };
        headers.reserve(count);
        // SAFETY: there is room for `n` headers, and zeros are one that is nothing; `r` has not ended (see `live`).
        let rc = unsafe {
            headers.as_mut_ptr().write_bytes(0, count);
            (symbols.req_get_headers)(r, headers.as_mut_ptr(), n, c_int::from(as_sent))
        };
        if rc == NGX_OK {
            // SAFETY: so many have been written, as zeros at least.
            unsafe { headers.set_len(count) };
        }
    }

    /// Sets, adds or (with no value) removes a request header.
    pub fn set_request_header(
        &self,
        name: &[u8],
        value: Option<&[u8]>,
        replace: bool,
    ) -> Result<(), HeaderError> {
        let (symbols, r) = self.live().ok_or(HeaderError::Sent)?;
        let (data, len) = value.map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len()));
        let mut err: *mut c_char = ptr::null_mut();
        // SAFETY: `r` has not ended (see `live`); pointers and lengths are those of slices, which are copied.
        let rc = unsafe {
            (symbols.req_set_header)(
                r,
                name.as_ptr(),
                name.len(),
                data,
                len,
                ptr::null_mut(),
                0,
                c_int::from(replace),
                &raw mut err,
            )
        };
        // HTTP/0.9 has no headers, and nothing that could be done about it
        if rc == NGX_DECLINED {
            return Ok(());
        }
        set_header_result(rc)
    }

    /// Calls `visit` for each value of a response header and gives their number. `None` where nginx does not tell.
    pub fn response_header(&self, name: &[u8], visit: &mut dyn FnMut(&[u8])) -> Option<usize> {
        let (symbols, r) = self.live()?;
        let mut key = MaybeUninit::<[u8; LONGEST_NAME]>::uninit();
        if name.len() > LONGEST_NAME {
            return None;
        }
        let mut values = MaybeUninit::<[FfiStr; MOST_VALUES]>::uninit();
        let most = c_int::try_from(MOST_VALUES).ok()?;
        let mut err: *mut c_char = ptr::null_mut();
        // SAFETY: `r` has not ended (see `live`), `key` has room for the name (checked above), `values` for as many
        // values as is said.
        let count = unsafe {
            (symbols.get_resp_header)(
                r,
                name.as_ptr(),
                name.len(),
                key.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                most,
                &raw mut err,
            )
        };
        let count = usize::try_from(count).ok()?.min(MOST_VALUES);
        for i in 0..count {
            // SAFETY: nginx has filled in this many, with strings of the request's pool.
            visit(unsafe { text(*values.as_ptr().cast::<FfiStr>().add(i)) });
        }
        Some(count)
    }

    /// Sets, adds or (with no value) removes a response header.
    pub fn set_response_header(
        &self,
        name: &[u8],
        value: Option<&[u8]>,
        replace: bool,
    ) -> Result<(), HeaderError> {
        let (symbols, r) = self.live().ok_or(HeaderError::Sent)?;
        let (data, len) = value.map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len()));
        let mut err: *mut c_char = ptr::null_mut();
        // SAFETY: `r` has not ended (see `live`); pointers and lengths are those of slices, which are copied.
        let rc = unsafe {
            (symbols.set_resp_header)(
                r,
                name.as_ptr(),
                name.len(),
                c_int::from(value.is_none()),
                data,
                len,
                ptr::null_mut(),
                0,
                c_int::from(replace),
                &raw mut err,
            )
        };
        set_header_result(rc)
    }
}

fn set_header_result(rc: c_int) -> Result<(), HeaderError> {
    const NGX_ERROR: c_int = -1;
    match rc {
        NGX_OK => Ok(()),
        NGX_ERROR => Err(HeaderError::Refused),
        _ => Err(HeaderError::Sent),
    }
}
