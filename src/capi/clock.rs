//! The thread behind the engines' clock.

use std::mem::MaybeUninit;
use std::{ptr, thread};

use crate::engine::clock;
use crate::nginx;

/// Starts it where a guest is about to run without a request, if this is a worker: a thread that nginx's master starts is not there
/// after a fork.
pub fn start_in_worker() {
    if !clock::runs() && nginx::is_worker() {
        start();
    }
}

/// Starts it, once in each process, where there is a request.
pub fn start() {
    if clock::runs() || clock::set_runs(true) {
        return;
    }
    let started = without_signals(|| {
        thread::Builder::new()
            .name("wasm clock".to_owned())
            .stack_size(128 * 1024)
            .spawn(|| {
                let mut idle = 0;
                loop {
                    thread::sleep(clock::TICK);
                    clock::tick(&mut idle);
                }
            })
    });
    if started.is_err() {
        // Guests run without a limit of time, as there is nothing that could end them.
        clock::set_runs(false);
    }
}

/// To be called in the child after each fork.
pub fn forked() {
    clock::set_runs(false);
}

/// nginx handles signals on its own thread. A thread starts with what is blocked where it was started.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::zeroed();
    let mut before = MaybeUninit::zeroed();
    // SAFETY: both are memory to write to, of which all zeros are a value.
    let before = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let result = work();
    // SAFETY: the set is what this thread had before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    result
}
