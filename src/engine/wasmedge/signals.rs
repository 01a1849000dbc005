//! Signals of the process and of a thread.

use std::mem::MaybeUninit;
use std::ptr;

use crate::engine::signals;

/// Those that compiled code raises where it traps. WasmEdge sets handlers of its own when such code is entered, and the system's
/// when it is left, whoever else had set any.
const SIGNALS: [libc::c_int; 3] = [libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];

/// The handlers of the process, put back when dropped.
pub struct Handlers([libc::sigaction; 3]);

impl Handlers {
    /// Keeps them over an entry into code that may be compiled, where somebody depends on them.
    pub fn keep(is_compiled: bool) -> Option<Self> {
        (is_compiled && signals::are_used()).then(Self::save)
    }

    fn save() -> Self {
        Self(SIGNALS.map(|signal| {
            let mut action = MaybeUninit::zeroed();
            // SAFETY: it is given memory to write to, of which all zeros are a value.
            unsafe {
                libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
                action.assume_init()
            }
        }))
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        for (signal, action) in SIGNALS.iter().zip(&self.0) {
            // SAFETY: the handler is what the process had before.
            unsafe { libc::sigaction(*signal, action, ptr::null_mut()) };
        }
    }
}

/// Signals kept from this thread while it lives.
pub struct Blocked(libc::sigset_t);

impl Blocked {
    pub fn only(signal: libc::c_int) -> Self {
        let mut set = empty();
        // SAFETY: the set is a set.
        unsafe { libc::sigaddset(&raw mut set, signal) };
        Self::set(libc::SIG_BLOCK, &set)
    }

    fn set(how: libc::c_int, set: &libc::sigset_t) -> Self {
        let mut before = empty();
        // SAFETY: both are sets.
        unsafe { libc::pthread_sigmask(how, set, &raw mut before) };
        Self(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set is what this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// For good: nginx's master keeps some from itself while it reads a configuration, and its children have that from it.
pub fn let_all_through() {
    std::mem::forget(Blocked::set(libc::SIG_SETMASK, &empty()));
}

fn empty() -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: it is memory to write to, of which all zeros are a value.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}
