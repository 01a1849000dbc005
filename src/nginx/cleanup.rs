//! Where a request begins and ends.

use std::ffi::c_void;

use super::symbols::{RequestPtr, symbols};

/// Whether a request was begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Yes,
    /// lua-nginx-module has requests of its own to run timers and the like on.
    NoRequest,
    OutOfMemory,
}

/// Has `handler(r)` called once when the main request of `r`, if a client made that, ends, while it is still whole.
///
/// # Safety
/// `r` is a request that has not ended.
pub unsafe fn begin_request(r: RequestPtr, handler: extern "C" fn(*mut c_void)) -> Begun {
    let Ok(symbols) = symbols() else {
        return Begun::NoRequest;
    };
    // Of all that refuses a request that no client made, this does the least.
    // SAFETY: the caller says that `r` is a request that has not ended.
    if unsafe { (symbols.get_resp_status)(r) } < 0 {
        return Begun::NoRequest;
    }
    // SAFETY: the caller says that `r` is a request that has not ended.
    let record = unsafe { (symbols.http_cleanup_add)(r, 0) };
    // SAFETY: nginx gives a record that belongs to the request, or null.
    let Some(record) = (unsafe { record.as_mut() }) else {
        return Begun::OutOfMemory;
    };
    record.handler = Some(handler);
    record.data = r;
    Begun::Yes
}
