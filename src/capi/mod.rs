//! The flat C ABI: the only exported functions but for nginx's module descriptor, and the only place that puts the layers together.
//!
//! Conventions, the same for every function:
//!
//! - Names are `proxy_wasm_<noun>_<verb>`; `_new` pairs with `_free`, and `_free` takes null.
//! - Inputs come first, then outputs, which are written only on success unless it says otherwise.
//! - A string is a pointer and a length; it is not terminated, and null with length 0 is an empty one. Strings given out are valid
//!   until the next call into the library on this thread.
//! - An error is -1 and, where there is one, text in `(errbuf, *errlen)`: `*errlen` is the buffer's size on entry, the text's length
//!   on return.
//! - No function may be called from two threads at once on the same handle; nginx has one thread that runs Lua.
//! - No panic leaves a function: it is logged, and the function answers -1.

mod background;
mod boundary;
mod calls;
mod clock;
mod context;
mod engine;
mod host;
mod library;
mod plugin;
mod queues;
mod settings;
mod shared;
mod store;
mod stream;
mod thread;
mod worker;

pub use background::{
    ProxyWasmTask, proxy_wasm_call_resolve, proxy_wasm_calls_ask, proxy_wasm_context_tick,
    proxy_wasm_worker_accept, proxy_wasm_worker_awaits, proxy_wasm_worker_events,
    proxy_wasm_worker_hang_up, proxy_wasm_worker_keep, proxy_wasm_worker_listen,
    proxy_wasm_worker_next, proxy_wasm_worker_start,
};
pub use boundary::{ProxyWasmHeader, ProxyWasmStr};
pub use context::{
    ProxyWasmContext, proxy_wasm_context_body_limit, proxy_wasm_context_flags,
    proxy_wasm_context_free, proxy_wasm_context_new,
};
pub use engine::{proxy_wasm_engine_get, proxy_wasm_init};
pub use plugin::{
    ProxyWasmPlugin, proxy_wasm_plugin_flags, proxy_wasm_plugin_free, proxy_wasm_plugin_info,
    proxy_wasm_plugin_new,
};
pub use settings::proxy_wasm_setting;
pub use shared::{
    ProxyWasmSharedStats, proxy_wasm_metrics_text, proxy_wasm_shared_get, proxy_wasm_shared_keys,
    proxy_wasm_shared_set, proxy_wasm_shared_stats,
};
pub use stream::{
    ProxyWasmOutcome, proxy_wasm_request_bypass, proxy_wasm_request_keep_body,
    proxy_wasm_request_left_semaphore, proxy_wasm_request_owes_body, proxy_wasm_request_park,
    proxy_wasm_stream_request_body, proxy_wasm_stream_response_body, proxy_wasm_stream_resume,
    proxy_wasm_streams_request_headers, proxy_wasm_streams_response_headers,
    proxy_wasm_worker_requests,
};

/// What `fuzz/` reaches.
#[cfg(fuzzing)]
pub use settings::check_directive;
