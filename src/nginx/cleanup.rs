//! Where a request begins and ends.

use std::ffi::c_void;

use super::symbols::{RequestPtr, symbols};

/// Has `handler(data)` called once when the main request of `r` ends, while the request is still whole. False if
/// nginx had no memory for it.
///
/// # Safety
/// `r` is a request that has not ended, and `data` stays valid for `handler` until then.
pub unsafe fn on_request_end(
    r: RequestPtr,
    handler: extern "C" fn(*mut c_void),
    data: *mut c_void,
) -> bool {
    let Ok(symbols) = symbols() else {
        return false;
    };
    // SAFETY: the caller says that `r` is a request that has not ended.
    let record = unsafe { (symbols.http_cleanup_add)(r, 0) };
    // SAFETY: nginx gives a record that belongs to the request, or null.
    let Some(record) = (unsafe { record.as_mut() }) else {
        return false;
    };
    record.handler = Some(handler);
    record.data = data;
    true
}

/// Whether a client made the request `r`. lua-nginx-module has requests of its own to run timers and the like on.
///
/// # Safety
/// `r` is a request that has not ended.
pub unsafe fn is_request(r: RequestPtr) -> bool {
    let Ok(symbols) = symbols() else {
        return false;
    };
    // Of all that refuses such a request, this does the least.
    // SAFETY: the caller says that `r` is a request that has not ended.
    unsafe { (symbols.get_resp_status)(r) >= 0 }
}
