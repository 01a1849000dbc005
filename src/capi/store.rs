//! The store that workers share: when it is made, and how large.
//!
//! It is made in the master, so that every worker has the same, and lasts as long as the master does, or until a configuration asks for
//! another size.

use parking_lot::Mutex;

use super::settings;
use crate::abi::types::LogLevel;
use crate::nginx;
use crate::shared::{self, Store};

struct Stores {
    current: Option<Store>,
    /// Of the configuration that is being read: should it be bad, the old one stays.
    next: Option<Store>,
    /// A worker has made `current` for itself.
    is_own: bool,
}

static STORES: Mutex<Stores> = Mutex::new(Stores {
    current: None,
    next: None,
    is_own: false,
});

/// The store by configuration, which is made if it is not there.
///
/// # Errors
/// The system has no memory for it. The text says so.
pub fn store() -> Result<Store, String> {
    let mut stores = STORES.lock();
    let Stores {
        current,
        next,
        is_own,
    } = &mut *stores;
    let is_worker = nginx::is_worker();
    if let Some(store) = current
        && is_worker
    {
        // What the master has made counts, whatever is set in a worker.
        return Ok(store.clone());
    }
    let (size, policy) = settings::store();
    let fits = |store: &Store| store.size() == size;
    if let Some(store) = current.as_ref().filter(|store| fits(store)) {
        return Ok(store.clone());
    }
    let slot = if nginx::is_reading() {
        next
    } else {
        if let Some(read) = next.take().filter(fits) {
            *current = Some(read);
        }
        current
    };
    match slot {
        Some(store) if fits(store) => Ok(store.clone()),
        slot => {
            let made = Store::new(size, policy)
                .map_err(|error| format!("no shared memory of {size} bytes: {error}"))?;
            if is_worker {
                nginx::log(
                    LogLevel::Warn,
                    b"proxy-wasm: shared data, queues and metrics are this worker's own: the library was loaded after nginx had \
started its workers, not with load_module or in init_by_lua*",
                );
            }
            *is_own = is_worker;
            Ok(slot.insert(made).clone())
        }
    }
}

/// The configuration counts from now on, and workers are about to be forked.
pub fn settle() {
    if nginx::is_worker() || nginx::is_reading() {
        return;
    }
    match store() {
        Ok(store) => {
            store.set_policy(settings::store().1);
            if nginx::is_master() {
                store.mark_master();
            }
        }
        Err(text) => nginx::log(LogLevel::Critical, format!("proxy-wasm: {text}").as_bytes()),
    }
}

/// Whether all workers have the same store.
pub fn is_shared() -> bool {
    !STORES.lock().is_own
}

/// Has what is wrong with the store logged.
pub fn report_faults() {
    shared::set_reporter(|level, text| {
        nginx::log(level, format!("proxy-wasm: {text}").as_bytes());
    });
}
