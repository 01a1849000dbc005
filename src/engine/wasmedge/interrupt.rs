//! Ends calls that take too long.
//!
//! WasmEdge can cancel only what was started on a thread of its own, and compiled code that is to listen looks up in each block,
//! atomically. So the guest itself looks at a global of its own, see [`prepare`](super::prepare), that the clock's thread sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::api::{Api, WasmEdge_GlobalInstanceContext, WasmEdge_Value};
use crate::engine::clock;

/// The means to stop a guest. It must go before the guest's module does.
pub struct Interrupter(Arc<Watched>);

struct Watched {
    api: &'static Api,
    /// Gone with the interrupter.
    stop: Mutex<Option<Stop>>,
    /// The tick at which the call under way is ended; 0 where there is none, or it was.
    deadline: AtomicU64,
}

/// The guest's global.
struct Stop(*mut WasmEdge_GlobalInstanceContext);

// SAFETY: the clock's thread writes one 32-bit number to it, under a lock; the guest only reads it.
unsafe impl Send for Stop {}

impl Interrupter {
    /// # Safety
    /// The global is one of a module that is alive and outlives what is returned.
    pub unsafe fn new(api: &'static Api, stop: *mut WasmEdge_GlobalInstanceContext) -> Self {
        let watched = Arc::new(Watched {
            api,
            stop: Mutex::new(Some(Stop(stop))),
            deadline: AtomicU64::new(0),
        });
        let seen = Arc::downgrade(&watched);
        clock::watch(move |now| seen.upgrade().map(|watched| watched.look(now)).is_some());
        Self(watched)
    }

    /// A call begins that may take so many ticks.
    pub fn begin(&self, ticks: u64) {
        let deadline = clock::now().saturating_add(ticks);
        self.0.deadline.store(deadline, Ordering::Relaxed);
    }

    /// It is over. Answers whether it was ended: if so, the guest will not run again.
    pub fn end(&self) -> bool {
        if self.0.deadline.swap(0, Ordering::Relaxed) != 0 {
            return false;
        }
        // The clock may still be at it.
        drop(self.0.stop.lock());
        true
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        self.0.stop.lock().take();
    }
}

impl Watched {
    fn look(&self, now: u64) {
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline == 0 || now < deadline {
            return;
        }
        let stop = self.stop.lock();
        let is_due = self
            .deadline
            .compare_exchange(deadline, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if let (true, Some(stop)) = (is_due, &*stop) {
            // SAFETY: the global is alive while it is there. The type is a constant.
            unsafe {
                let yes = WasmEdge_Value {
                    Value: 1,
                    Type: (self.api.WasmEdge_ValTypeGenI32)(),
                };
                (self.api.WasmEdge_GlobalInstanceSetValue)(stop.0, yes);
            }
        }
    }
}
