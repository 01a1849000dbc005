use std::fmt::Write;
use std::fs;
use std::io;
use std::os::raw::{c_char, c_int};
use std::rc::Rc;

use super::boundary::{ProxyWasmHeader, ProxyWasmStr, bytes, fail, guard, headers, log_error};
use super::host::WorkerHost;
use super::{engine, settings, worker};
use crate::abi::types::AbiVersion;
use crate::plugin::{Options, Origin, Plugin};

/// A loaded plugin, as C sees it.
pub struct ProxyWasmPlugin {
    pub(super) plugin: Rc<Plugin>,
    pub(super) flags: c_int,
}

/// The largest plugin file that is read.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The error of a plugin that was read but is none; APISIX knows this text. The cause goes to the log.
const LOAD_FAILED: &str = "failed to load wasm plugin";

/// The plugin exports `proxy_on_request_headers`.
pub const FLAG_REQUEST_HEADERS: c_int = 1;
/// The plugin exports `proxy_on_request_body`.
pub const FLAG_REQUEST_BODY: c_int = 2;
/// The plugin exports `proxy_on_response_headers`.
pub const FLAG_RESPONSE_HEADERS: c_int = 4;
/// The plugin exports `proxy_on_response_body`.
pub const FLAG_RESPONSE_BODY: c_int = 8;
/// The plugin could change a body.
pub const FLAG_SETS_BODY: c_int = 16;
/// The plugin could make calls, or ask for ticks, when a request ends.
pub const FLAG_ACTS_AT_END: c_int = 32;

/// The plugin could look at the response's headers, or at how many there are.
pub const FLAG_READS_RESPONSE_HEADERS: c_int = 64;

/// What a plugin imports that could make calls, or ask for ticks.
const ACTS: [&str; 4] = [
    "proxy_http_call",
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_set_tick_period_milliseconds",
];

/// What runs when a request ends.
const AT_END: [&str; 3] = ["proxy_on_done", "proxy_on_log", "proxy_on_delete"];

/// Loads a plugin from a `.wasm` or `.wat` file.
///
/// `options` are `root_id`, `vm_config`, `vm_id`, `env:NAME` for each environment variable, and, as the directives of these names with `wasm_`
/// before them: `memory_limit`, `memory_renew`, `deadline`, `start_deadline`, `stream_limit`, `body_buffer_size`, `log_limit`, `crash_limit`,
/// `crash_window`, `pause_timeout`; others are refused.
///
/// Returns 0 and the plugin in `*plugin`, to be freed with `proxy_wasm_plugin_free`; or -1.
///
/// Errors: the file cannot be read: the system's own message after its path; an unknown option, or a bad word for one; `failed to load wasm plugin` for
/// anything else, with the cause in nginx's error log.
///
/// # Safety
/// Strings and `options` are valid for the call, `plugin` is writable, `errlen` points at the size of the writable buffer
/// `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_plugin_new(
    name: *const c_char,
    name_len: usize,
    path: *const c_char,
    path_len: usize,
    options: *const ProxyWasmHeader,
    options_len: usize,
    plugin: *mut *mut ProxyWasmPlugin,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that these are strings.
        let (name, path) = unsafe { (bytes(name, name_len), bytes(path, path_len)) };
        // SAFETY: the caller says that these are options.
        let options = unsafe { headers(options, options_len) };
        match load(&String::from_utf8_lossy(name), path, options) {
            Ok(loaded) => {
                let loaded = Box::new(ProxyWasmPlugin {
                    flags: flags(&loaded),
                    plugin: Rc::new(loaded),
                });
                // SAFETY: the caller says that it is writable.
                unsafe { *plugin = Box::into_raw(loaded) };
                0
            }
            // SAFETY: the caller says so of the error buffer.
            Err(text) => unsafe { fail(&text, errbuf, errlen) },
        }
    })
}

fn load<'a>(
    name: &str,
    path: &[u8],
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Plugin, String> {
    let options = parse(pairs)?;
    let path = String::from_utf8_lossy(path);
    let code = read(&path).map_err(|e| format!("{path}: {}", system_message(&e)))?;
    let host = WorkerHost::for_plugin(name)?;
    engine::current()
        .map_err(Into::into)
        .and_then(|engine| Plugin::new(name, &code, options, engine, host))
        .map_err(|error| {
            log_error(name, &format!("failed to load \"{path}\": {error}"));
            LOAD_FAILED.to_owned()
        })
        .inspect(|_| give_back())
}

/// Gives the system back what loading has used: workers would be forked with it.
fn give_back() {
    // SAFETY: it touches nothing but memory that nobody has.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

fn parse<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut own = settings::ForPlugin::default();
    for (name, value) in pairs {
        match name {
            b"root_id" => options.root_id = Some(value.to_vec()),
            b"vm_config" => options.vm_config = value.to_vec(),
            b"vm_id" => options.vm_id = value.to_vec(),
            _ => match name.strip_prefix(b"env:") {
                Some(variable) => {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    options.env.push((text(variable), text(value)));
                }
                None if own.set(name, value)? => {}
                None => return Err(format!("unknown option \"{}\"", name.escape_ascii())),
            },
        }
    }
    Ok(Options {
        limits: own.limits(),
        bounds: own.bounds(),
        waiting: own.waiting(),
        crashes: own.crashes(),
        cache: settings::cache(),
        ..options
    })
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    fs::read(path)
}

/// The text of `strerror`, as Lua's own `io` gives it.
pub(super) fn system_message(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Frees a plugin. What it owns stays until its last plugin context is gone.
///
/// # Safety
/// `plugin` came from `proxy_wasm_plugin_new` and is not used again, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_plugin_free(plugin: *mut ProxyWasmPlugin) {
    guard((), || {
        if !plugin.is_null() {
            // SAFETY: it came from `Box::into_raw` and is not used again.
            drop(unsafe { Box::from_raw(plugin) });
        }
    });
}

/// What the plugin could do, as a sum of: 1 it exports `proxy_on_request_headers`, 2 `proxy_on_request_body`, 4
/// `proxy_on_response_headers`, 8 `proxy_on_response_body`, 16 it could change a body, 32 it could make calls when a request ends, 64 it could look at the response's
/// headers or at how many there are.
///
/// # Safety
/// `plugin` came from `proxy_wasm_plugin_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_plugin_flags(plugin: *const ProxyWasmPlugin) -> c_int {
    // SAFETY: the caller says that it is a plugin.
    unsafe { (*plugin).flags }
}

fn flags(plugin: &Plugin) -> c_int {
    let compiled = plugin.compiled();
    let flag = |present: bool, flag: c_int| if present { flag } else { 0 };
    flag(
        compiled.has_export("proxy_on_request_headers"),
        FLAG_REQUEST_HEADERS,
    ) | flag(
        compiled.has_export("proxy_on_request_body"),
        FLAG_REQUEST_BODY,
    ) | flag(
        compiled.has_export("proxy_on_response_headers"),
        FLAG_RESPONSE_HEADERS,
    ) | flag(
        compiled.has_export("proxy_on_response_body"),
        FLAG_RESPONSE_BODY,
    ) | flag(
        // In 0.2.100 a body callback can also take the body away.
        compiled.has_import("proxy_set_buffer_bytes") || compiled.abi == AbiVersion::V0_2_100,
        FLAG_SETS_BODY,
    ) | flag(
        ACTS.iter().any(|name| compiled.has_import(name))
            && AT_END.iter().any(|name| compiled.has_export(name)),
        FLAG_ACTS_AT_END,
    ) | flag(compiled.reads_response_headers, FLAG_READS_RESPONSE_HEADERS)
}

/// Describes a plugin: lines of `key=value`. Keys are `name`, `engine`, `code` (`compiled` or `interpreted`), `cache` (`hit` for code
/// that was found on disk, `miss` for code that was not and so was compiled, `off` without a cache and for what is interpreted),
/// `abi_version`, `size` (bytes of the file), `hash` (SHA-256 in hexadecimal), `root_id`, `contexts` (in the current VM), and, once for
/// each, `export`, `import` (`module.name`) and `unknown_import`.
///
/// Returns 0, and the text in `*info`, valid until the next call into the library.
///
/// # Safety
/// `plugin` came from `proxy_wasm_plugin_new`, `info` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_plugin_info(
    plugin: *const ProxyWasmPlugin,
    info: *mut ProxyWasmStr,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that it is a plugin.
        let plugin = unsafe { &(*plugin).plugin };
        worker::with_given_out(|out| {
            describe(plugin, &mut out.text);
            // SAFETY: the caller says that it is writable.
            unsafe { *info = ProxyWasmStr::new(out.text.as_bytes()) };
        });
        0
    })
}

fn describe(plugin: &Plugin, text: &mut String) {
    let compiled = plugin.compiled();
    let root_id = String::from_utf8_lossy(&plugin.info().root_id);
    let hash = compiled.hash.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    text.clear();
    for (key, value) in [
        ("name", &*plugin.info().name),
        ("engine", compiled.engine),
        (
            "code",
            if compiled.is_compiled {
                "compiled"
            } else {
                "interpreted"
            },
        ),
        (
            "cache",
            match compiled.origin {
                Origin::NoCache => "off",
                Origin::Compiled => "miss",
                Origin::Cache => "hit",
            },
        ),
        ("abi_version", compiled.abi.as_str()),
        ("size", &compiled.size.to_string()),
        ("hash", &hash),
        ("root_id", &root_id),
        ("contexts", &plugin.contexts().to_string()),
    ]
    .into_iter()
    .chain(compiled.exports.iter().map(|e| ("export", &**e)))
    .chain(compiled.imports.iter().map(|i| ("import", &**i)))
    .chain(
        compiled
            .unknown_imports
            .iter()
            .map(|i| ("unknown_import", &**i)),
    ) {
        let value = value.replace('\n', " ");
        let _ = writeln!(text, "{key}={value}");
    }
}
