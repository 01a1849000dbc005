//! The handlers of signals that compiled code raises where it traps.
//!
//! WasmEdge sets its own when such code is entered, and the system's when it is left, whoever else had set any.

use std::mem::MaybeUninit;

const SIGNALS: [libc::c_int; 3] = [libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];

/// The handlers of the process.
pub struct Handlers([libc::sigaction; 3]);

impl Handlers {
    pub fn save() -> Self {
        Self(SIGNALS.map(|signal| {
            let mut action = MaybeUninit::zeroed();
            // SAFETY: it is given memory to write to, of which all zeros are a value.
            unsafe {
                libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
                action.assume_init()
            }
        }))
    }

    pub fn restore(self) {
        for (signal, action) in SIGNALS.iter().zip(&self.0) {
            // SAFETY: the handler is what the process had before.
            unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
        }
    }
}
