//! What every exported function needs: the panic guard, strings, error buffers.

use std::os::raw::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::log;
use crate::abi::types::LogLevel;
use crate::nginx;

/// A string that crosses the boundary, either way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ProxyWasmStr {
    pub data: *const c_char,
    pub len: usize,
}

/// A header, or an option of a plugin, that crosses the boundary.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ProxyWasmHeader {
    pub name: ProxyWasmStr,
    pub value: ProxyWasmStr,
}

impl ProxyWasmStr {
    pub const EMPTY: Self = Self {
        data: std::ptr::null(),
        len: 0,
    };

    /// Points at `bytes`, for as long as they live.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }
}

/// Runs `work`; a panic in it has been logged by the library's hook and becomes `on_panic`.
pub fn guard<R>(on_panic: R, work: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(on_panic)
}

/// The bytes of a string given as pointer and length.
///
/// # Safety
/// `data` points at `len` bytes that nothing changes while the slice lives, or `len` is 0.
pub unsafe fn bytes<'a>(data: *const c_char, len: usize) -> &'a [u8] {
    if len == 0 || data.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller says that `len` bytes are there.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

/// The headers of an array given as pointer and length.
///
/// # Safety
/// `data` points at `len` headers whose strings are as for [`bytes`], or `len` is 0.
pub unsafe fn headers<'a>(
    data: *const ProxyWasmHeader,
    len: usize,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let headers: &'a [ProxyWasmHeader] = if len == 0 || data.is_null() {
        &[]
    } else {
        // SAFETY: not null, and the caller says that `len` headers are there.
        unsafe { std::slice::from_raw_parts(data, len) }
    };
    headers.iter().map(|h| {
        // SAFETY: the caller says so of each header's strings.
        unsafe {
            (
                bytes(h.name.data, h.name.len),
                bytes(h.value.data, h.value.len),
            )
        }
    })
}

/// Writes an error of a plugin to nginx's log, outside a request.
pub fn log_error(plugin: &str, text: &str) {
    log::records(plugin, text.as_bytes(), |record| {
        nginx::log(LogLevel::Error, record);
    });
}

/// Writes an error's text, cut to the buffer's size, and gives -1.
///
/// # Safety
/// `errlen` points at the size of the writable buffer `errbuf`, or either is null.
pub unsafe fn fail(text: &str, errbuf: *mut c_char, errlen: *mut usize) -> c_int {
    // SAFETY: the caller says that it points at a size or is null.
    if let Some(len) = unsafe { errlen.as_mut() }
        && !errbuf.is_null()
    {
        let size = text.len().min(*len);
        // SAFETY: `size` is at most the buffer's size, and the text lies elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), errbuf.cast(), size) };
        *len = size;
    }
    -1
}
