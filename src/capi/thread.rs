//! Threads beside nginx's own.

use std::mem::MaybeUninit;
use std::thread::JoinHandle;
use std::{io, ptr, thread};

/// Starts a thread that no signal is delivered to: nginx handles those on its own thread.
pub fn spawn(
    name: &str,
    stack_size: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_size);
    without_signals(|| builder.spawn(work))
}

/// A thread starts with what is blocked where it was started.
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
