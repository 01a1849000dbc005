//! The hostcalls that answer `InternalFailure` or `BadArgument` where the SDK panics. The others that this guest makes are the SDK's: they
//! panic only on what the host never answers them with.

use proxy_wasm::types::MetricType;

pub const CAS_MISMATCH: u32 = 8;

/// The status, where it is not 0.
pub type Answer<T> = Result<T, u32>;

mod raw {
    use proxy_wasm::types::MetricType;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_set_shared_data(
            key_data: *const u8,
            key_size: usize,
            value_data: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub fn proxy_register_shared_queue(
            name_data: *const u8,
            name_size: usize,
            return_id: *mut u32,
        ) -> u32;
        pub fn proxy_enqueue_shared_queue(
            queue_id: u32,
            value_data: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_define_metric(
            metric_type: MetricType,
            name_data: *const u8,
            name_size: usize,
            return_id: *mut u32,
        ) -> u32;
    }
}

fn answer<T>(status: u32, result: T) -> Answer<T> {
    if status == 0 { Ok(result) } else { Err(status) }
}

pub fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Answer<()> {
    // SAFETY: the host only reads, within the slices.
    let status = unsafe {
        raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    };
    answer(status, ())
}

pub fn register_shared_queue(name: &str) -> Answer<u32> {
    let mut id = 0;
    // SAFETY: the host reads within the slice and writes to `id`.
    let status =
        unsafe { raw::proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut id) };
    answer(status, id)
}

pub fn enqueue_shared_queue(id: u32, value: &[u8]) -> Answer<()> {
    // SAFETY: the host only reads, within the slice.
    let status = unsafe { raw::proxy_enqueue_shared_queue(id, value.as_ptr(), value.len()) };
    answer(status, ())
}

pub fn define_metric(kind: MetricType, name: &str) -> Answer<u32> {
    let mut id = 0;
    // SAFETY: the host reads within the slice and writes to `id`.
    let status = unsafe { raw::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    answer(status, id)
}
