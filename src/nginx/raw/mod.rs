//! One nginx request through the functions of `symbols`: pointers in, slices out.

mod headers;

use std::cell::Cell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

pub use headers::{Framing, MOST_VALUES, RequestHeaders, Scratch};

use super::log;
use super::symbols::{FfiStr, RequestPtr, Symbols, symbols};
use crate::abi::host::{HeaderError, PropertyError};
use crate::abi::types::LogLevel;

const NGX_OK: c_int = 0;
const NGX_AGAIN: c_int = -2;

/// The longest name of a variable that is looked up.
const LONGEST_NAME: usize = 256;

/// A request until [`Raw::detach`], nothing after. What it lends is memory of the request's pool, which nginx never
/// frees while we run.
pub struct Raw {
    r: Cell<RequestPtr>,
    symbols: Option<&'static Symbols>,
}

impl Raw {
    /// # Safety
    /// `r` is a request of this thread that does not end before [`Raw::detach`] is called.
    pub unsafe fn new(r: RequestPtr) -> Self {
        Self {
            r: Cell::new(r),
            symbols: symbols().ok(),
        }
    }

    pub fn detach(&self) {
        self.r.set(ptr::null_mut());
    }

    /// Another request from now on, as with [`Raw::new`].
    ///
    /// # Safety
    /// As [`Raw::new`].
    pub unsafe fn attach(&mut self, r: RequestPtr) {
        self.r.set(r);
    }

    /// The table and the request. A request in here has not ended: that is what `new` was promised.
    fn live(&self) -> Option<(&'static Symbols, RequestPtr)> {
        let r = self.r.get();
        let symbols = self.symbols?;
        (!r.is_null()).then_some((symbols, r))
    }

    pub fn is_live(&self) -> bool {
        self.live().is_some()
    }

    pub fn log(&self, level: LogLevel, message: &[u8]) {
        // SAFETY: null, or a request that has not ended (see `live`).
        unsafe { log::log_for(self.r.get(), level, message) }
    }

    pub fn log_level(&self) -> LogLevel {
        // SAFETY: null, or a request that has not ended (see `live`).
        unsafe { log::log_level_for(self.r.get()) }
    }

    /// Reads an nginx variable. `None` if there is none of that name, or it has no value now.
    pub fn var<R>(&self, name: &[u8], read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (symbols, r) = self.live()?;
        if !is_variable_name(name) {
            return None;
        }
        let mut lower = MaybeUninit::<[u8; LONGEST_NAME]>::uninit();
        let (mut data, mut len, mut err) = (ptr::null_mut(), 0, ptr::null_mut());
        // SAFETY: `r` has not ended (see `live`), and `lower` has room for the name, whose length was checked above.
        let rc = unsafe {
            (symbols.var_get)(
                r,
                name.as_ptr(),
                name.len(),
                lower.as_mut_ptr().cast(),
                0,
                &raw mut data,
                &raw mut len,
                &raw mut err,
            )
        };
        // SAFETY: on NGX_OK these are the variable's bytes, in the request's pool or in static memory.
        (rc == NGX_OK).then(|| read(unsafe { bytes(data, len) }))
    }

    /// Sets an nginx variable.
    pub fn set_var(&self, name: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        // nginx copies a value, but keeps the pointer to one that is empty.
        static EMPTY: u8 = 0;
        let (symbols, r) = self.live().ok_or(PropertyError::ReadOnly)?;
        if !is_variable_name(name) {
            return Err(PropertyError::Unknown);
        }
        let mut lower = [0; LONGEST_NAME];
        let mut text = [0; 512];
        let mut len = text.len();
        let data = if value.is_empty() {
            &raw const EMPTY
        } else {
            value.as_ptr()
        };
        // SAFETY: `r` has not ended (see `live`), `lower` has room for the name, whose length was checked above,
        // `len` is the size of `text`, and `data` is copied or static.
        let rc = unsafe {
            (symbols.var_set)(
                r,
                name.as_ptr(),
                name.len(),
                lower.as_mut_ptr(),
                data,
                value.len(),
                text.as_mut_ptr(),
                &raw mut len,
            )
        };
        if rc == NGX_OK {
            return Ok(());
        }
        let unknown = b"not found for writing";
        let text = &text[..len.min(text.len())];
        if text.windows(unknown.len()).any(|w| w == unknown) {
            Err(PropertyError::Unknown)
        } else {
            Err(PropertyError::ReadOnly)
        }
    }

    /// Whether nginx has sent the response's headers.
    pub fn headers_sent(&self) -> bool {
        let Some((symbols, r)) = self.live() else {
            return true;
        };
        // SAFETY: `r` has not ended (see `live`).
        symbols.headers_sent.is_some_and(|f| unsafe { f(r) } == 1)
    }

    /// The status of the response, if it has one by now.
    pub fn status(&self) -> Option<u32> {
        let (symbols, r) = self.live()?;
        // SAFETY: `r` has not ended (see `live`).
        let status = unsafe { (symbols.get_resp_status)(r) };
        u32::try_from(status).ok().filter(|s| *s >= 100)
    }

    pub fn set_status(&self, status: u16) -> Result<(), HeaderError> {
        let (symbols, r) = self.live().ok_or(HeaderError::Sent)?;
        // SAFETY: `r` has not ended (see `live`).
        match unsafe { (symbols.set_resp_status)(r, c_int::from(status)) } {
            NGX_OK => Ok(()),
            _ => Err(HeaderError::Sent),
        }
    }

    pub fn method<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (symbols, r) = self.live()?;
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: `r` has not ended (see `live`).
        let rc = unsafe { (symbols.req_get_method_name)(r, &raw mut data, &raw mut len) };
        // SAFETY: on NGX_OK these are the bytes of the method, in the request's pool or in static memory.
        (rc == NGX_OK).then(|| read(unsafe { bytes(data, len) }))
    }

    /// `method` is one of nginx's `NGX_HTTP_*` bits.
    pub fn set_method(&self, method: c_int) -> Result<(), HeaderError> {
        let (symbols, r) = self.live().ok_or(HeaderError::Sent)?;
        let set = symbols.req_set_method.ok_or(HeaderError::Refused)?;
        // SAFETY: `r` has not ended (see `live`).
        match unsafe { set(r, method) } {
            NGX_OK => Ok(()),
            _ => Err(HeaderError::Refused),
        }
    }

    /// When the request began, in seconds since 1970.
    pub fn start_time(&self) -> Option<f64> {
        let (symbols, r) = self.live()?;
        // SAFETY: `r` has not ended (see `live`).
        symbols.req_start_time.map(|f| unsafe { f(r) })
    }

    /// Appends the chunk that a body filter is looking at, and tells whether it is the last one. Only for the time of
    /// a body filter of this request; `None` where nginx does not tell.
    pub fn response_chunk(&self, chunk: &mut Vec<u8>) -> Option<bool> {
        let (symbols, r) = self.live()?;
        let get = symbols.get_body_filter_param_body?;
        let copy = symbols.copy_body_filter_param_body?;
        let eof = symbols.get_body_filter_param_eof?;
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: `r` has not ended (see `live`), and its body filter is running: the caller says so.
        match unsafe { get(r, &raw mut data, &raw mut len) } {
            // SAFETY: these are the bytes of the one buffer that there is.
            NGX_OK => chunk.extend_from_slice(unsafe { bytes(data, len) }),
            NGX_AGAIN => {
                chunk.reserve(len);
                // SAFETY: there is room for the `len` bytes that are copied here, so that many more are initialized.
                unsafe {
                    copy(r, chunk.as_mut_ptr().add(chunk.len()));
                    chunk.set_len(chunk.len() + len);
                }
            }
            _ => return None,
        }
        // SAFETY: as for `get`.
        Some(unsafe { eof(r) } == 1)
    }
}

/// Whether nginx could have a variable of this name. `arg_` and `cookie_` go with names that have dashes.
fn is_variable_name(name: &[u8]) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// # Safety
/// `data` is null, or `len` bytes are there to be read for as long as `'a`.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { slice::from_raw_parts(data, len) }
}

/// # Safety
/// As for [`bytes`].
unsafe fn text<'a>(s: FfiStr) -> &'a [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { bytes(s.data, usize::try_from(s.len).unwrap_or(0)) }
}
