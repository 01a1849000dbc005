//! What can be said in nginx's configuration.

use std::ffi::CStr;

/// The directives, each of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// `wasm_vm`
    Vm,
    /// `wasmedge_aot`
    Aot,
    /// `wasm_cache_path`
    CachePath,
    /// `wasm_cache_size`
    CacheSize,
    /// `wasm_memory_limit`
    MemoryLimit,
    /// `wasm_deadline`
    Deadline,
    /// `wasm_start_deadline`
    StartDeadline,
    /// `wasm_memory_renew`
    MemoryRenew,
    /// `wasm_instance_limit`
    InstanceLimit,
    /// `wasm_stream_limit`
    StreamLimit,
    /// `wasm_body_buffer_size`
    BodyBufferSize,
    /// `wasm_log_limit`
    LogLimit,
    /// `wasm_crash_limit`
    CrashLimit,
    /// `wasm_crash_window`
    CrashWindow,
    /// `wasm_shm_size`
    ShmSize,
    /// `wasm_shm_policy`
    ShmPolicy,
    /// `wasm_pause_timeout`
    PauseTimeout,
    /// `wasm_call_limit`
    CallLimit,
    /// `wasm_call_timeout`
    CallTimeout,
    /// `wasm_call_max_headers`
    CallMaxHeaders,
    /// `wasm_call_max_body`
    CallMaxBody,
    /// `wasm_call_ssl_verify`
    CallSslVerify,
    /// `wasm_call_ssl_trusted_certificate`
    CallSslTrustedCertificate,
    /// `wasm_call_http2`
    CallHttp2,
    /// `wasm_call_wait`
    CallWait,
}

impl Directive {
    /// All, each at its own place.
    pub const ALL: [Self; 25] = [
        Self::Vm,
        Self::Aot,
        Self::CachePath,
        Self::CacheSize,
        Self::MemoryLimit,
        Self::Deadline,
        Self::StartDeadline,
        Self::MemoryRenew,
        Self::InstanceLimit,
        Self::StreamLimit,
        Self::BodyBufferSize,
        Self::LogLimit,
        Self::CrashLimit,
        Self::CrashWindow,
        Self::ShmSize,
        Self::ShmPolicy,
        Self::PauseTimeout,
        Self::CallLimit,
        Self::CallTimeout,
        Self::CallMaxHeaders,
        Self::CallMaxBody,
        Self::CallSslVerify,
        Self::CallSslTrustedCertificate,
        Self::CallHttp2,
        Self::CallWait,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static CStr {
        match self {
            Self::Vm => c"wasm_vm",
            Self::Aot => c"wasmedge_aot",
            Self::CachePath => c"wasm_cache_path",
            Self::CacheSize => c"wasm_cache_size",
            Self::MemoryLimit => c"wasm_memory_limit",
            Self::Deadline => c"wasm_deadline",
            Self::StartDeadline => c"wasm_start_deadline",
            Self::MemoryRenew => c"wasm_memory_renew",
            Self::InstanceLimit => c"wasm_instance_limit",
            Self::StreamLimit => c"wasm_stream_limit",
            Self::BodyBufferSize => c"wasm_body_buffer_size",
            Self::LogLimit => c"wasm_log_limit",
            Self::CrashLimit => c"wasm_crash_limit",
            Self::CrashWindow => c"wasm_crash_window",
            Self::ShmSize => c"wasm_shm_size",
            Self::ShmPolicy => c"wasm_shm_policy",
            Self::PauseTimeout => c"wasm_pause_timeout",
            Self::CallLimit => c"wasm_call_limit",
            Self::CallTimeout => c"wasm_call_timeout",
            Self::CallMaxHeaders => c"wasm_call_max_headers",
            Self::CallMaxBody => c"wasm_call_max_body",
            Self::CallSslVerify => c"wasm_call_ssl_verify",
            Self::CallSslTrustedCertificate => c"wasm_call_ssl_trusted_certificate",
            Self::CallHttp2 => c"wasm_call_http2",
            Self::CallWait => c"wasm_call_wait",
        }
    }
}
