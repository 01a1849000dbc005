use thiserror::Error;

use crate::engine;

/// Why a plugin cannot be loaded or run. A trap has been logged with the guest's backtrace where it happened.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the file is empty")]
    Empty,
    #[error("neither a WebAssembly module nor the text form of one")]
    NeitherForm,
    #[error("not a WebAssembly module that can be used: {0}")]
    Module(#[from] engine::Error),
    #[error("export \"{name}\" has type {ty}, which is not that of a callback")]
    CallbackType { name: String, ty: String },
    #[error("exports no memory named \"memory\"")]
    NoMemory,
    #[error(
        "exports no proxy_abi_version_0_1_0, proxy_abi_version_0_2_0, proxy_abi_version_0_2_1 or \
         proxy_abi_version_0_2_100, so it is not a Proxy-Wasm plugin"
    )]
    NoAbiVersion,
    #[error("{0}")]
    Import(String),
    #[error("{function} trapped: {message}")]
    Trap { function: String, message: String },
    #[error("{function} returned false")]
    Refused { function: &'static str },
    #[error("the VM of this request trapped earlier")]
    Poisoned,
    #[error("the plugin has crashed too often and is not run for a while")]
    BackingOff,
    #[error("there are {limit} instances of plugins in this worker already (wasm_instance_limit)")]
    TooManyInstances { limit: usize },
    #[error("the VM has {limit} requests already (wasm_stream_limit)")]
    TooManyStreams { limit: usize, is_first: bool },
    #[error("a body of more than {limit} bytes (wasm_body_buffer_size)")]
    BodyTooLarge { limit: usize },
    #[error("out of memory")]
    OutOfMemory,
    #[error("a callback is already running")]
    Busy,
}
