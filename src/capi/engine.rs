//! Which engine runs plugins: what the directive `wasm_vm` says, else what `wasm.setup{}` says, else Wasmtime.

use std::os::raw::{c_char, c_int};
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::boundary::{ProxyWasmStr, bytes, fail, guard};
use crate::abi::vm::VmState;
use crate::engine::{self, Engine, wasmtime::Wasmtime};
use crate::nginx;

/// The engines that can be named. Those that this build lacks are refused with advice.
const NAMES: [&str; 2] = ["wasmtime", "wasmedge"];

/// What `proxy_wasm_engine_set` said.
static SET: Mutex<Option<&'static str>> = Mutex::new(None);

/// The engine of that name, if this build has it.
pub fn check(name: &str) -> Result<&'static str, String> {
    match NAMES.iter().find(|known| **known == name) {
        Some(&"wasmtime") => Ok("wasmtime"),
        Some(other) => Err(format!(
            "engine \"{other}\" is not in this build of libresty_proxy_wasm.so, which has wasmtime only"
        )),
        None => Err(format!(
            "unknown engine \"{name}\", it must be wasmtime or wasmedge"
        )),
    }
}

/// The engine's name that configuration asks for.
fn chosen() -> &'static str {
    nginx::configured_engine()
        .and_then(|name| NAMES.into_iter().find(|known| *known == name))
        .or_else(|| *SET.lock())
        .unwrap_or("wasmtime")
}

/// The engine that configuration asks for, set up on first use and then kept for the life of the process.
pub fn current() -> Result<&'static dyn Engine<VmState>, engine::Error> {
    static WASMTIME: OnceLock<Wasmtime> = OnceLock::new();
    check(chosen()).map_err(engine::Error::Engine)?;
    if let Some(engine) = WASMTIME.get() {
        return Ok(engine);
    }
    let engine = Wasmtime::new()?;
    Ok(WASMTIME.get_or_init(|| engine))
}

/// Finds the functions of nginx and lua-nginx-module that the library works through. To be called before any other, once in each Lua VM.
///
/// `configuring` says that nginx is reading its configuration (`init_by_lua*`): then the library's body filter can be put in place.
///
/// Returns 0, or -1.
///
/// Errors: a function is missing; the text names it and says which versions have it.
///
/// # Safety
/// `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_init(
    configuring: c_int,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || match nginx::symbols() {
        Ok(_) => {
            nginx::begin_configuration(configuring != 0);
            0
        }
        // SAFETY: the caller says so of the error buffer.
        Err(missing) => unsafe { fail(&missing.to_string(), errbuf, errlen) },
    })
}

/// Chooses the engine where no directive does.
///
/// Returns 0, or -1.
///
/// Errors: an unknown engine, one that this build lacks, or one other than the directive `wasm_vm` says.
///
/// # Safety
/// `(name, name_len)` is a string; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_engine_set(
    name: *const c_char,
    name_len: usize,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that it is a string.
        let name = String::from_utf8_lossy(unsafe { bytes(name, name_len) });
        let result = check(&name).and_then(|engine| match nginx::configured_engine() {
            Some(configured) if configured != engine => Err(format!(
                "engine \"{engine}\" is not what the directive says: wasm_vm {configured}"
            )),
            _ => {
                *SET.lock() = Some(engine);
                Ok(())
            }
        });
        match result {
            Ok(()) => 0,
            // SAFETY: the caller says so of the error buffer.
            Err(text) => unsafe { fail(&text, errbuf, errlen) },
        }
    })
}

/// The name of the engine that plugins are loaded on.
///
/// Returns 0, and the name in `*name`, valid for ever.
///
/// # Safety
/// `name` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_engine_get(name: *mut ProxyWasmStr) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that it is writable.
        unsafe { *name = ProxyWasmStr::new(chosen().as_bytes()) };
        0
    })
}
