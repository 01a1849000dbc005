//! Ends calls that take too long.
//!
//! WasmEdge can cancel a call that was started on a thread of its own, by way of the executor that it runs on. So an executor is
//! given one such call, which is over at once, and what that leaves is kept: it cancels whatever the executor runs.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::NativeType;
use super::api::{
    Api, Owned, WasmEdge_Async, WasmEdge_CallingFrameContext, WasmEdge_ExecutorContext,
    WasmEdge_Result, WasmEdge_Value,
};
use super::signals::Blocked;
use crate::engine::{Error, FuncType, clock};

/// The means to end what an executor runs. It must go before the executor does.
pub struct Interrupter(Arc<Watched>);

struct Watched {
    api: &'static Api,
    /// Gone with the interrupter.
    handle: Mutex<Option<Handle>>,
    /// The tick at which the call under way is ended; 0 where there is none, or it was.
    deadline: AtomicU64,
}

struct Handle(Owned<WasmEdge_Async>);

// SAFETY: the clock's thread uses it under a lock, and for nothing but to cancel, which is made for other threads.
unsafe impl Send for Handle {}

impl Interrupter {
    /// # Errors
    /// WasmEdge has no memory.
    ///
    /// # Safety
    /// The executor is alive, runs nothing, and outlives what is returned.
    pub unsafe fn new(
        api: &'static Api,
        executor: *mut WasmEdge_ExecutorContext,
    ) -> Result<Self, Error> {
        let ty = NativeType::new(
            api,
            &FuncType {
                params: Vec::new(),
                results: Vec::new(),
            },
        )?;
        // nginx handles signals on its own thread.
        let blocked = Blocked::all();
        // SAFETY: the type is alive and copied, the function until the call on the other thread is over. The executor runs nothing
        // else meanwhile.
        let handle = unsafe {
            let func = Owned::new(
                (api.WasmEdge_FunctionInstanceCreate)(
                    ty.0.as_ptr(),
                    Some(nothing),
                    ptr::null_mut(),
                    0,
                ),
                api.WasmEdge_FunctionInstanceDelete,
            )?;
            let handle = Owned::new(
                (api.WasmEdge_ExecutorAsyncInvoke)(executor, func.as_ptr(), ptr::null(), 0),
                api.WasmEdge_AsyncDelete,
            )?;
            (api.WasmEdge_AsyncWait)(handle.as_ptr());
            handle
        };
        drop(blocked);
        let watched = Arc::new(Watched {
            api,
            handle: Mutex::new(Some(Handle(handle))),
            deadline: AtomicU64::new(0),
        });
        let seen = Arc::downgrade(&watched);
        clock::watch(move |now| seen.upgrade().map(|watched| watched.look(now)).is_some());
        Ok(Self(watched))
    }

    /// A call begins that may take so many ticks.
    pub fn begin(&self, ticks: u64) {
        let deadline = clock::now().saturating_add(ticks);
        self.0.deadline.store(deadline, Ordering::Relaxed);
    }

    /// It is over. Answers whether it was ended: if so, the executor must not be used again.
    pub fn end(&self) -> bool {
        if self.0.deadline.swap(0, Ordering::Relaxed) != 0 {
            return false;
        }
        // The clock may still be at it.
        drop(self.0.handle.lock());
        true
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        self.0.handle.lock().take();
    }
}

impl Watched {
    fn look(&self, now: u64) {
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline == 0 || now < deadline {
            return;
        }
        let handle = self.handle.lock();
        let is_due = self
            .deadline
            .compare_exchange(deadline, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if let (true, Some(handle)) = (is_due, &*handle) {
            // SAFETY: the handle is alive, and so is its executor while the handle is there.
            unsafe { (self.api.WasmEdge_AsyncCancel)(handle.0.as_ptr()) };
        }
    }
}

unsafe extern "C" fn nothing(
    _: *mut c_void,
    _: *const WasmEdge_CallingFrameContext,
    _: *const WasmEdge_Value,
    _: *mut WasmEdge_Value,
) -> WasmEdge_Result {
    WasmEdge_Result { Code: 0 }
}
