//! How many requests a client has made in the window of time that is now, kept where all workers see it.

use std::num::NonZeroU64;
use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls::{get_current_time, get_shared_data};

/// A number that hardly any key has, for one that is not there: 0 would write over what another worker has set since.
const NOT_THERE: u32 = u32::MAX;
const CAS_MISMATCH: u32 = 8;

/// How often a count is tried that other workers change meanwhile.
const TRIES: u32 = 100;

/// A request that was counted, or not let pass.
pub struct Counted {
    pub passes: bool,
    pub remaining: u64,
    /// Seconds until the next window.
    pub reset: u64,
}

pub enum Error {
    /// The store has no room.
    Full,
    /// Other workers were always faster.
    Busy,
}

/// Counts a request under `key`, if that has had fewer than `limit` in this window.
pub fn count(key: &str, limit: u64, seconds: NonZeroU64) -> Result<Counted, Error> {
    for _ in 0..TRIES {
        let (value, cas) = get_shared_data(key).unwrap_or_default();
        let kept = value.and_then(|value| serde_json::from_slice::<(u64, u64)>(&value).ok());
        // The clock is asked after the data, so no other worker can be in a later window.
        let now = now();
        let window = now / seconds;
        let used = match kept {
            Some((kept, used)) if kept == window => used,
            _ => 0,
        };
        let reset = seconds.get() - now % seconds;
        if used >= limit {
            return Ok(Counted {
                passes: false,
                remaining: 0,
                reset,
            });
        }
        let value = format!("[{window},{}]", used + 1);
        match set_shared_data(key, value.as_bytes(), cas.unwrap_or(NOT_THERE)) {
            0 => {
                return Ok(Counted {
                    passes: true,
                    remaining: limit - used - 1,
                    reset,
                });
            }
            CAS_MISMATCH => {}
            _ => return Err(Error::Full),
        }
    }
    Err(Error::Busy)
}

/// Seconds since 1970.
fn now() -> u64 {
    get_current_time()
        .ok()
        .and_then(|now| now.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |now| now.as_secs())
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_set_shared_data(
        key_data: *const u8,
        key_size: usize,
        value_data: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
}

/// The status. The SDK's own function panics when the store is full.
fn set_shared_data(key: &str, value: &[u8], cas: u32) -> u32 {
    // SAFETY: the host only reads, within the slices.
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}
