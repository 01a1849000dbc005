//! `ngx.semaphore`, on which light threads wait.

use std::ffi::c_void;

use super::symbols::symbols;

/// A `ngx_http_lua_sema_t *` that is there for as long as the Lua VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semaphore(*mut c_void);

impl Semaphore {
    /// # Safety
    /// It is the pointer of an `ngx.semaphore` that is not collected before all copies of this are gone.
    pub unsafe fn new(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    pub fn pointer(self) -> *mut c_void {
        self.0
    }

    /// Wakes the light thread that waits on it, as soon as nginx is back in its event loop.
    pub fn post(self) {
        if let Ok(symbols) = symbols() {
            // SAFETY: who made this vouches for the semaphore; the function posts an event and runs nothing.
            unsafe { (symbols.sema_post)(self.0, 1) };
        }
    }
}
