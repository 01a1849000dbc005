//! Which of nginx's processes this is.

use std::sync::OnceLock;

use super::symbols::find;

/// nginx's number for the master.
const MASTER: usize = 1;
/// And for a worker.
const WORKER: usize = 3;

/// Whether this is a worker: not the master, which reads configurations and forks, nor the only process of an nginx without one.
pub fn is_worker() -> bool {
    number() == Some(WORKER)
}

/// Whether this is a master that has workers: while it reads its first configuration it is not yet.
pub fn is_master() -> bool {
    number() == Some(MASTER)
}

/// `ngx_process`, which changes with a fork.
fn number() -> Option<usize> {
    static ADDRESS: OnceLock<Option<usize>> = OnceLock::new();
    let address = (*ADDRESS.get_or_init(|| find(c"ngx_process").map(|found| found as usize)))?;
    // SAFETY: nginx exports a number of this type under this name, and this is its thread.
    Some(unsafe { *(address as *const usize) })
}
