//! Work done in a process of its own.
//!
//! WasmEdge's compiler ends its process when it cannot write, leaves threads and handlers of signals behind, and takes
//! hundreds of megabytes: none of that is for an nginx.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;

use super::signals::{self, Blocked};

/// Runs `work` in a child, which ends with what it returns, or is ended after so many seconds. What it prints goes to
/// `output`.
///
/// # Errors
/// There can be no child.
pub fn run(seconds: u32, output: &File, work: impl FnOnce() -> u8) -> io::Result<ExitStatus> {
    // nginx reaps every child that it is told of.
    let blocked = Blocked::only(libc::SIGCHLD);
    // SAFETY: the child goes on with a copy of this thread alone, calls nothing that waits for another, and never returns.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: these change the child only, which is ended by what nobody catches or here, without its parent's destructors.
            unsafe {
                libc::dup2(output.as_raw_fd(), libc::STDOUT_FILENO);
                libc::dup2(output.as_raw_fd(), libc::STDERR_FILENO);
                libc::signal(libc::SIGALRM, libc::SIG_DFL);
                signals::let_all_through();
                libc::alarm(seconds);
                libc::_exit(catch_unwind(AssertUnwindSafe(work)).map_or(1, i32::from))
            }
        }
        child => {
            let status = wait(child);
            drop(blocked);
            status
        }
    }
}

fn wait(child: libc::pid_t) -> io::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: it is given memory to write to.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } == child {
            return Ok(ExitStatus::from_raw(status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
