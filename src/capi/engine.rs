//! Which engine runs plugins: what is configured, else Wasmtime.

use std::os::raw::{c_char, c_int};
use std::sync::OnceLock;

use super::boundary::{ProxyWasmStr, bytes, fail, guard};
use super::settings;
use super::settings::said;
use crate::abi::vm::VmState;
#[cfg(feature = "wasmedge")]
use crate::engine::wasmedge::{AheadOfTime, WasmEdge};
use crate::engine::{self, Engine, wasmtime::Wasmtime};
use crate::nginx::{self, Directive};

/// The engines that can be named. One that this build lacks is refused with advice.
const NAMES: [&str; 2] = ["wasmtime", "wasmedge"];

/// The engine of that name, if it can be used.
pub fn check(name: &str) -> Result<&'static str, String> {
    match NAMES.iter().find(|known| **known == name) {
        Some(&"wasmedge") => {
            wasmedge_check()?;
            Ok("wasmedge")
        }
        Some(known) => Ok(known),
        None => Err(format!(
            "unknown engine \"{name}\", it must be wasmtime or wasmedge"
        )),
    }
}

#[cfg(feature = "wasmedge")]
fn wasmedge_check() -> Result<(), String> {
    WasmEdge::check().map_err(|error| error.to_string())
}

#[cfg(not(feature = "wasmedge"))]
fn wasmedge_check() -> Result<(), String> {
    Err(
        "engine \"wasmedge\" is not in this build of libresty_proxy_wasm.so, which has wasmtime only: \
         install-wasmedge.sh builds and installs one with both"
            .to_owned(),
    )
}

/// The engine's name that configuration asks for.
fn chosen() -> &'static str {
    said(Directive::Vm)
        .and_then(|said| NAMES.into_iter().find(|known| *known == said))
        .unwrap_or(NAMES[0])
}

/// The engine that configuration asks for, set up on first use and then kept for the life of the process.
pub fn current() -> Result<&'static dyn Engine<VmState>, engine::Error> {
    static WASMTIME: OnceLock<Wasmtime> = OnceLock::new();
    #[cfg(feature = "wasmedge")]
    static WASMEDGE: OnceLock<WasmEdge> = OnceLock::new();
    match check(chosen()).map_err(engine::Error::Engine)? {
        #[cfg(feature = "wasmedge")]
        "wasmedge" => {
            let engine = once(&WASMEDGE, WasmEdge::new)?;
            engine.compile_ahead(match said(Directive::Aot).as_deref() {
                Some("on") => AheadOfTime::Always,
                Some("off") => AheadOfTime::Never,
                _ => AheadOfTime::Large,
            });
            Ok(engine)
        }
        _ => Ok(once(&WASMTIME, Wasmtime::new)?),
    }
}

/// What the cell holds, made first if it is empty.
fn once<T>(
    cell: &'static OnceLock<T>,
    make: fn() -> Result<T, engine::Error>,
) -> Result<&'static T, engine::Error> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

/// The Lua file that declares the C ABI, as it was when the library was built.
const DECLARED: &str = include_str!("../../lib/resty/proxy-wasm/cdefs.lua");

/// Whether a caller with these declarations of the C ABI, `len` bytes of C, belongs to this library.
///
/// Returns 1 or 0.
///
/// # Safety
/// `declarations` points at `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_abi_fits(declarations: *const c_char, len: usize) -> c_int {
    guard(0, || {
        // SAFETY: the caller says that they are there.
        let declarations = unsafe { bytes(declarations, len) };
        let fits = str::from_utf8(declarations).is_ok_and(|text| DECLARED.contains(text));
        c_int::from(fits && len > 0)
    })
}

/// Finds the functions of nginx and lua-nginx-module that the library works through. To be called before any other, once in each Lua VM.
///
/// `configuring` says that nginx is reading its configuration (`init_by_lua*`): then the library's body filter can be put in place.
///
/// Returns 0, or 1 where the VM is that of one request (`lua_code_cache off`), or -1.
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
            if configuring == 0 {
                return 0;
            }
            if !nginx::begin_configuration() {
                return 1;
            }
            settings::forget();
            0
        }
        // SAFETY: the caller says so of the error buffer.
        Err(missing) => unsafe { fail(&missing.to_string(), errbuf, errlen) },
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
