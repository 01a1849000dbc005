use std::cell::Cell;
use std::os::raw::{c_char, c_int};
use std::rc::Rc;

use super::boundary::{bytes, guard, log_error};
use super::plugin::ProxyWasmPlugin;
use crate::plugin::{Error, PluginContext};

/// A plugin context, as C sees it.
pub struct ProxyWasmContext {
    pub(super) context: Rc<PluginContext>,
    pub(super) flags: c_int,
    /// There may be a variable that says whether the plugin is shown bodies.
    pub(super) asks: Cell<bool>,
}

/// Makes a plugin context with a configuration (`proxy_on_context_create`, for the first in a VM `proxy_on_vm_start`, and
/// `proxy_on_configure`).
///
/// Returns 0 and the context in `*context`, to be freed with `proxy_wasm_context_free`; or -1 where the plugin trapped or refused, with
/// the cause in nginx's error log.
///
/// # Safety
/// `plugin` came from `proxy_wasm_plugin_new`, `(config, config_len)` is a string, `context` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_context_new(
    plugin: *const ProxyWasmPlugin,
    config: *const c_char,
    config_len: usize,
    context: *mut *mut ProxyWasmContext,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that it is a plugin.
        let ProxyWasmPlugin { plugin, flags } = unsafe { &*plugin };
        // SAFETY: the caller says that it is a string.
        let config = unsafe { bytes(config, config_len) };
        match PluginContext::new(Rc::clone(plugin), config) {
            Ok(made) => {
                let made = Box::new(ProxyWasmContext {
                    flags: *flags,
                    asks: Cell::new(true),
                    context: made,
                });
                // SAFETY: the caller says that it is writable.
                unsafe { *context = Box::into_raw(made) };
                0
            }
            Err(error) => {
                if let Error::Busy | Error::Poisoned = error {
                    log_error(&plugin.info().name, &error.to_string());
                }
                -1
            }
        }
    })
}

/// Frees a plugin context. It ends in the plugin (`proxy_on_done`, `proxy_on_delete`) when the last request that it runs on has.
///
/// # Safety
/// `context` came from `proxy_wasm_context_new` and is not used again, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_context_free(context: *mut ProxyWasmContext) {
    guard((), || {
        if !context.is_null() {
            // SAFETY: it came from `Box::into_raw` and is not used again.
            drop(unsafe { Box::from_raw(context) });
        }
    });
}

/// What the context's plugin could do: as `proxy_wasm_plugin_flags`.
///
/// # Safety
/// `context` came from `proxy_wasm_context_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_context_flags(context: *const ProxyWasmContext) -> c_int {
    // SAFETY: the caller says that it is a context.
    unsafe { (*context).flags }
}

/// How many bytes of a request's body the context's plugin can be shown: a longer one is answered with 413.
///
/// # Safety
/// `context` came from `proxy_wasm_context_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_context_body_limit(context: *const ProxyWasmContext) -> usize {
    // SAFETY: the caller says that it is a context.
    unsafe { (*context).context.plugin().info().bounds.body }
}
