//! Which engine runs plugins, and how: what the directives say, else what `wasm.setup{}` says, else Wasmtime.

use std::ops::RangeInclusive;
use std::os::raw::{c_char, c_int};
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;

use super::boundary::{ProxyWasmStr, bytes, fail, guard};
use crate::abi::vm::VmState;
#[cfg(feature = "wasmedge")]
use crate::engine::wasmedge::{AheadOfTime, WasmEdge};
use crate::engine::{self, Engine, wasmtime::Wasmtime};
use crate::nginx::{self, Directive};
use crate::plugin::Allowance;

/// The engines that can be named. One that this build lacks is refused with advice.
const NAMES: [&str; 2] = ["wasmtime", "wasmedge"];

/// What `wasmedge_aot` can say.
const AHEAD: [&str; 3] = ["auto", "on", "off"];

/// What `proxy_wasm_setting` said, each directive at its own place.
static SET: Mutex<[Option<String>; Directive::ALL.len()]> =
    Mutex::new([const { None }; Directive::ALL.len()]);

/// Whether a directive can say this.
pub fn check_directive(directive: Directive, word: &str) -> Result<(), String> {
    match directive {
        Directive::Vm => check(word).map(|_| ()),
        Directive::Aot if AHEAD.contains(&word) => Ok(()),
        Directive::Aot => Err(format!(
            "bad wasmedge_aot \"{word}\", it must be auto, on or off"
        )),
        Directive::Deadline if time(word).is_some_and(|time| TIMES.contains(&time)) => Ok(()),
        Directive::Deadline => Err(format!(
            "bad wasm_deadline \"{word}\", it must be a time from 1ms to 1h"
        )),
        Directive::MemoryLimit => match size(word) {
            Some(LEAST_MEMORY..=MOST_MEMORY) => Ok(()),
            _ => Err(format!(
                "bad wasm_memory_limit \"{word}\", it must be a size from 64k to 4g"
            )),
        },
    }
}

/// A page of WebAssembly's.
const LEAST_MEMORY: u64 = 64 << 10;

/// All that 32 bits can address.
const MOST_MEMORY: u64 = 4 << 30;

const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// A time as nginx writes it: seconds, or with ms, s, m or h.
fn time(word: &str) -> Option<Duration> {
    let (count, unit) = number(word)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A size as nginx writes it: bytes, or with k, m or g.
fn size(word: &str) -> Option<u64> {
    let (count, unit) = number(word)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    count.checked_mul(1 << shift)
}

/// A number and the unit after it.
fn number(word: &str) -> Option<(u64, &str)> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    Some((digits.parse().ok()?, &word[digits.len()..]))
}

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

/// What configuration says: the directive, else the setting.
fn said(directive: Directive) -> Option<String> {
    nginx::configured(directive).or_else(|| SET.lock()[directive as usize].clone())
}

/// What VMs may use by configuration.
pub fn limits() -> Allowance {
    let mut limits = Allowance::default();
    if let Some(memory) = said(Directive::MemoryLimit).and_then(|word| size(&word)) {
        limits.vm.memory = memory;
    }
    if let Some(callback) = said(Directive::Deadline).and_then(|word| time(&word)) {
        limits.callback = callback;
        // To start is more work, and done once.
        limits.vm.time = limits.vm.time.max(callback);
    }
    limits
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

/// Says what a directive would, where there is none: `wasm_vm` (`wasmtime` or `wasmedge`), `wasmedge_aot` (`auto`, `on` or `off`),
/// `wasm_memory_limit` (a size: `64m`) or `wasm_deadline` (a time: `500ms`).
///
/// Returns 0, or -1.
///
/// Errors: a directive or word that there is not, an engine that cannot be used, or a word other than the directive's own.
///
/// # Safety
/// `(name, name_len)` and `(word, word_len)` are strings; `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_setting(
    name: *const c_char,
    name_len: usize,
    word: *const c_char,
    word_len: usize,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that they are strings.
        let (name, word) = unsafe {
            (
                String::from_utf8_lossy(bytes(name, name_len)),
                String::from_utf8_lossy(bytes(word, word_len)),
            )
        };
        match set(&name, &word) {
            Ok(()) => 0,
            // SAFETY: the caller says so of the error buffer.
            Err(text) => unsafe { fail(&text, errbuf, errlen) },
        }
    })
}

fn set(name: &str, word: &str) -> Result<(), String> {
    let directive = Directive::ALL
        .into_iter()
        .find(|directive| directive.name().to_bytes() == name.as_bytes())
        .ok_or_else(|| format!("unknown setting \"{name}\""))?;
    check_directive(directive, word)?;
    if let Some(configured) = nginx::configured(directive)
        && configured != word
    {
        return Err(format!(
            "\"{word}\" is not what the directive says: {name} {configured}"
        ));
    }
    SET.lock()[directive as usize] = Some(word.to_owned());
    Ok(())
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
