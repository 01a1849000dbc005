//! What happens when the library is loaded, be it by LuaJIT or by nginx.

use std::backtrace::Backtrace;
use std::panic;

use super::boundary::guard;
use super::{clock, settings, store, worker};
use crate::abi::types::LogLevel;
use crate::nginx;
use crate::plugin::process;
use crate::shared;

#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

extern "C" fn loaded() {
    never_unwind_callers();
    nginx::set_directive_hook(settings::check_directive);
    nginx::set_accept_hook(store::settle);
    nginx::body_filter::set_body_hook(worker::replacement);
    store::report_faults();
    clock::set_up();
    // SAFETY: the handlers are functions that live as long as the library, which is never unmapped.
    unsafe { libc::pthread_atfork(Some(about_to_fork), None, Some(forked)) };
}

/// Where nginx does not know the library as a module, nothing else comes between the configuration and the workers.
extern "C" fn about_to_fork() {
    guard((), || {
        nginx::about_to_fork();
        store::settle();
    });
}

extern "C" fn forked() {
    process::forked();
    nginx::body_filter::forked();
    shared::forked();
    clock::forked();
}

/// Our callers may be LuaJIT's machine code, which has no unwind tables: a native backtrace through it aborts the process. Nothing
/// may take one, whatever RUST_BACKTRACE says.
fn never_unwind_callers() {
    const VARIABLE: &std::ffi::CStr = c"RUST_LIB_BACKTRACE";
    // SAFETY: a library is initialized by one thread, and the strings are terminated.
    unsafe {
        let before = libc::getenv(VARIABLE.as_ptr());
        let before = (!before.is_null()).then(|| libc::strdup(before));
        libc::setenv(VARIABLE.as_ptr(), c"0".as_ptr(), 1);
        // The standard library asks once and remembers the answer.
        let _ = Backtrace::capture();
        match before {
            Some(value) => {
                libc::setenv(VARIABLE.as_ptr(), value, 1);
                libc::free(value.cast());
            }
            None => {
                libc::unsetenv(VARIABLE.as_ptr());
            }
        }
    }
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if nginx::symbols().is_err() {
            // Not in nginx: this is a test, or a program that only links the library.
            return default(info);
        }
        nginx::log(
            LogLevel::Critical,
            format!("proxy-wasm: this is a bug of the library, please report it: {info}")
                .as_bytes(),
        );
    }));
}
