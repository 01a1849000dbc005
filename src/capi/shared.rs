//! The store as operators see it: shared data, what it all comes to, and metrics.

use std::cell::RefCell;
use std::os::raw::{c_char, c_int};

use super::boundary::{ProxyWasmStr, bytes, fail, guard};
use super::{store, worker};
use crate::abi::host::SharedDataError;
use crate::shared::{Stats, Store};

/// What the store holds.
#[repr(C)]
pub struct ProxyWasmSharedStats {
    /// Of the whole store, in bytes.
    pub size: u64,
    /// Of it, by keys, values, queues and metrics.
    pub used: u64,
    pub keys: u64,
    /// Keys that have gone to make room for others.
    pub evicted: u64,
    pub queues: u64,
    /// In all queues.
    pub items: u64,
    pub metrics: u64,
    /// How often a process has died while it was at the store.
    pub recovered: u64,
    /// How often all data and queues were lost.
    pub emptied: u64,
    /// 1 where all workers have this store, 0 where it is this worker's own.
    pub shared: c_int,
}

/// The keys that were given out last, and the bytes that they point at.
#[derive(Default)]
struct Keys {
    list: Vec<ProxyWasmStr>,
    bytes: Vec<u8>,
}

thread_local! {
    static KEYS: RefCell<Keys> = RefCell::default();
}

/// What is kept of the memory that keys were given out in, in bytes of names and in keys.
const KEPT: usize = 64 << 10;

/// Works on the store: gives what that gives, or -1 and why it went wrong.
///
/// # Safety
/// `errlen` points at the size of the writable buffer `errbuf`.
unsafe fn with_store(
    errbuf: *mut c_char,
    errlen: *mut usize,
    work: impl FnOnce(&Store) -> Result<c_int, &'static str>,
) -> c_int {
    guard(-1, || {
        let done = store::store().map(|store| work(&store));
        let text = match &done {
            Ok(Ok(answer)) => return *answer,
            Ok(Err(text)) => text,
            Err(text) => text.as_str(),
        };
        // SAFETY: the caller says so of the error buffer.
        unsafe { fail(text, errbuf, errlen) }
    })
}

/// The value under a key of shared data, in the namespace `vm_id`.
///
/// Returns 1, the value in `*value`, valid until the next call into the library, and its number in `*cas`; 0 where there is no such key; or
/// -1.
///
/// Errors: the system has no memory for the store.
///
/// # Safety
/// `(key, key_len)` and `(vm_id, vm_id_len)` are strings; `value` and `cas` are writable; `errlen` points at the size of the writable buffer
/// `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_shared_get(
    key: *const c_char,
    key_len: usize,
    vm_id: *const c_char,
    vm_id_len: usize,
    value: *mut ProxyWasmStr,
    cas: *mut u32,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    let get = |store: &Store| {
        // SAFETY: the caller says that these are strings.
        let (key, vm_id) = unsafe { (bytes(key, key_len), bytes(vm_id, vm_id_len)) };
        worker::with_given_out(|out| {
            out.body.clear();
            let found = store.get_shared_data(vm_id, key, &mut out.body);
            // Plugins still find an empty value under a key that they have removed with one.
            let Some(number) = found.filter(|_| !out.body.is_empty()) else {
                return Ok(0);
            };
            // SAFETY: the caller says that they are writable.
            unsafe {
                *value = ProxyWasmStr::new(&out.body);
                *cas = number;
            }
            Ok(1)
        })
    };
    // SAFETY: the caller says so of the error buffer.
    unsafe { with_store(errbuf, errlen, get) }
}

/// Sets the value under a key of shared data, in the namespace `vm_id`. An empty value removes the key. A `cas` other than 0 has to be the
/// number of the value that is there, if one is.
///
/// Returns 0, or -1.
///
/// Errors: `cas mismatch`; `no memory`, where there is no room, or where key or value are longer than any that are kept; the system has no
/// memory for the store.
///
/// # Safety
/// `(key, key_len)`, `(value, value_len)` and `(vm_id, vm_id_len)` are strings; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_shared_set(
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
    cas: u32,
    vm_id: *const c_char,
    vm_id_len: usize,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    let set = |store: &Store| {
        // SAFETY: the caller says that these are strings.
        let (key, value, vm_id) = unsafe {
            (
                bytes(key, key_len),
                bytes(value, value_len),
                bytes(vm_id, vm_id_len),
            )
        };
        if value.is_empty() && cas == 0 {
            store.remove_shared_data(vm_id, key);
            return Ok(0);
        }
        match store.set_shared_data(vm_id, key, value, cas) {
            Ok(()) => Ok(0),
            Err(SharedDataError::CasMismatch) => Err("cas mismatch"),
            Err(SharedDataError::Full) => Err("no memory"),
        }
    };
    // SAFETY: the caller says so of the error buffer.
    unsafe { with_store(errbuf, errlen, set) }
}

/// The keys of shared data in the namespace `vm_id`, at most `max` of them where that is not 0, in any order.
///
/// Returns 0, and the keys as an array in `(*keys, *keys_len)`, valid until the next call of this function; or -1.
///
/// Errors: the system has no memory for the store.
///
/// # Safety
/// `(vm_id, vm_id_len)` is a string; `keys` and `keys_len` are writable; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_shared_keys(
    max: usize,
    vm_id: *const c_char,
    vm_id_len: usize,
    keys: *mut *const ProxyWasmStr,
    keys_len: *mut usize,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    let list_keys = |store: &Store| {
        // SAFETY: the caller says that it is a string.
        let vm_id = unsafe { bytes(vm_id, vm_id_len) };
        let max = if max == 0 { usize::MAX } else { max };
        KEYS.with_borrow_mut(|out| {
            out.list(|visit| store.keys(vm_id, max, visit));
            // SAFETY: the caller says that they are writable.
            unsafe {
                *keys = out.list.as_ptr();
                *keys_len = out.list.len();
            }
        });
        Ok(0)
    };
    // SAFETY: the caller says so of the error buffer.
    unsafe { with_store(errbuf, errlen, list_keys) }
}

impl Keys {
    /// Forgets what was there for the keys that `each` calls its argument with.
    fn list(&mut self, each: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        let Self { list, bytes } = self;
        list.clear();
        list.shrink_to(KEPT);
        bytes.clear();
        bytes.shrink_to(KEPT);
        each(&mut |key| {
            list.push(ProxyWasmStr {
                len: key.len(),
                ..ProxyWasmStr::EMPTY
            });
            bytes.extend_from_slice(key);
        });
        // They lie still only now.
        let mut rest = &bytes[..];
        for key in list {
            let (name, others) = rest.split_at(key.len);
            *key = ProxyWasmStr::new(name);
            rest = others;
        }
    }
}

/// What the store holds now.
///
/// Returns 0 and the numbers in `*stats`, or -1.
///
/// Errors: the system has no memory for the store.
///
/// # Safety
/// `stats` is writable; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_shared_stats(
    stats: *mut ProxyWasmSharedStats,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    let tell = |store: &Store| {
        let Stats {
            size,
            used,
            keys,
            evicted,
            queues,
            items,
            metrics,
            recovered,
            emptied,
        } = store.stats();
        let now = ProxyWasmSharedStats {
            size,
            used,
            keys,
            evicted,
            queues,
            items,
            metrics,
            recovered,
            emptied,
            shared: c_int::from(store::is_shared()),
        };
        // SAFETY: the caller says that it is writable.
        unsafe { *stats = now };
        Ok(0)
    };
    // SAFETY: the caller says so of the error buffer.
    unsafe { with_store(errbuf, errlen, tell) }
}

/// All metrics, of plugins and the host's own, in the text format of Prometheus, version 0.0.4.
///
/// Returns 0 and the text in `*text`, valid until the next call into the library; or -1.
///
/// Errors: the system has no memory for the store.
///
/// # Safety
/// `text` is writable; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_metrics_text(
    text: *mut ProxyWasmStr,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    let tell = |store: &Store| {
        worker::with_given_out(|out| {
            out.text = store.prometheus();
            // SAFETY: the caller says that it is writable.
            unsafe { *text = ProxyWasmStr::new(out.text.as_bytes()) };
        });
        Ok(0)
    };
    // SAFETY: the caller says so of the error buffer.
    unsafe { with_store(errbuf, errlen, tell) }
}
