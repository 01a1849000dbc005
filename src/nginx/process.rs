//! Which of nginx's processes this is.

use super::symbols::find;

/// nginx's number for a worker.
const WORKER: usize = 3;

/// Whether this is a worker: not the master, which reads configurations and forks, nor the only process of an nginx without one.
pub fn is_worker() -> bool {
    find(c"ngx_process").is_some_and(|process| {
        // SAFETY: nginx exports a number of this type under this name, and this is its thread.
        unsafe { *process.cast::<usize>() == WORKER }
    })
}
