//! Which of nginx's processes this is.

use std::ffi::CStr;
use std::sync::OnceLock;

use super::symbols::find;

/// nginx's number for the master.
const MASTER: usize = 1;
/// For a worker; a cache manager or a privileged agent, which is one in all that matters here, has the next.
const WORKER: usize = 3;

/// Whether this is a worker: not the master, which reads configurations and forks, nor the only process of an nginx without one.
pub fn is_worker() -> bool {
    number() >= Some(WORKER)
}

/// Whether this is a master that has workers: while it reads its first configuration it is not yet.
pub fn is_master() -> bool {
    number() == Some(MASTER)
}

/// What tells the configuration that nginx runs with from others (`ngx_cycle`). While `init_by_lua*` runs, it is the one that is being read.
pub fn cycle() -> Option<usize> {
    static ADDRESS: OnceLock<Option<usize>> = OnceLock::new();
    exported(&ADDRESS, c"ngx_cycle")
}

/// `ngx_process`, which changes with a fork.
fn number() -> Option<usize> {
    static ADDRESS: OnceLock<Option<usize>> = OnceLock::new();
    exported(&ADDRESS, c"ngx_process")
}

/// A number, or a pointer, that nginx exports.
fn exported(address: &OnceLock<Option<usize>>, name: &CStr) -> Option<usize> {
    let address = (*address.get_or_init(|| find(name).map(|found| found as usize)))?;
    // SAFETY: nginx exports something of this size under this name, and this is its thread.
    Some(unsafe { *(address as *const usize) })
}
