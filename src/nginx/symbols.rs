//! The functions of nginx and lua-nginx-module that are used, found at run time.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// A `ngx_http_request_t *`, never looked into.
pub type RequestPtr = *mut c_void;

/// `ngx_http_lua_ffi_str_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FfiStr {
    pub len: c_int,
    pub data: *mut u8,
}

/// `ngx_http_lua_ffi_table_elt_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FfiHeader {
    pub key: FfiStr,
    pub value: FfiStr,
}

/// `ngx_http_cleanup_t`.
#[repr(C)]
pub struct Cleanup {
    pub handler: Option<extern "C" fn(*mut c_void)>,
    pub data: *mut c_void,
    pub next: *mut Cleanup,
}

/// A function that this library cannot do without is not exported by the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "symbol \"{0}\" not found: this runs only in nginx with lua-nginx-module >= 0.10.19 (http)"
)]
pub struct MissingSymbol(pub &'static str);

macro_rules! symbols {
    (
        required { $($field:ident = $name:literal: fn($($arg:ty),* $(,)?) $(-> $ret:ty)?;)* }
        optional { $($o_field:ident = $o_name:literal: fn($($o_arg:ty),* $(,)?) $(-> $o_ret:ty)?;)* }
    ) => {
        /// The table of functions. Each field is named for its function, without the prefix.
        pub struct Symbols {
            $(pub $field: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
            $(pub $o_field: Option<unsafe extern "C" fn($($o_arg),*) $(-> $o_ret)?>,)*
        }

        impl Symbols {
            fn resolve() -> Result<Self, MissingSymbol> {
                Ok(Self {
                    $($field: {
                        let address = find($name).ok_or(MissingSymbol(
                            $name.to_str().unwrap_or_default(),
                        ))?;
                        // SAFETY: the symbol of this name is a function of this type in every version supported.
                        unsafe {
                            std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(address)
                        }
                    },)*
                    $($o_field: find($o_name).map(|address| {
                        // SAFETY: the symbol of this name is a function of this type in every version that has it.
                        unsafe {
                            std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($o_arg),*) $(-> $o_ret)?>(address)
                        }
                    }),)*
                })
            }
        }
    };
}

symbols! {
    required {
        req_get_headers_count = c"ngx_http_lua_ffi_req_get_headers_count":
            fn(RequestPtr, c_int, *mut c_int) -> c_int;
        req_get_headers = c"ngx_http_lua_ffi_req_get_headers":
            fn(RequestPtr, *mut FfiHeader, c_int, c_int) -> c_int;
        req_set_header = c"ngx_http_lua_ffi_req_set_header":
            fn(RequestPtr, *const u8, usize, *const u8, usize, *mut FfiStr, usize, c_int, *mut *mut c_char) -> c_int;
        get_resp_header = c"ngx_http_lua_ffi_get_resp_header":
            fn(RequestPtr, *const u8, usize, *mut u8, *mut FfiStr, c_int, *mut *mut c_char) -> c_int;
        set_resp_header = c"ngx_http_lua_ffi_set_resp_header":
            fn(
                RequestPtr, *const u8, usize, c_int, *const u8, usize, *mut FfiStr, usize, c_int, *mut *mut c_char,
            ) -> c_int;
        get_resp_status = c"ngx_http_lua_ffi_get_resp_status": fn(RequestPtr) -> c_int;
        set_resp_status = c"ngx_http_lua_ffi_set_resp_status": fn(RequestPtr, c_int) -> c_int;
        var_get = c"ngx_http_lua_ffi_var_get":
            fn(RequestPtr, *const u8, usize, *mut u8, c_int, *mut *mut u8, *mut usize, *mut *mut c_char) -> c_int;
        var_set = c"ngx_http_lua_ffi_var_set":
            fn(RequestPtr, *const u8, usize, *mut u8, *const u8, usize, *mut u8, *mut usize) -> c_int;
        req_get_method_name = c"ngx_http_lua_ffi_req_get_method_name":
            fn(RequestPtr, *mut *mut u8, *mut usize) -> c_int;
        raw_log = c"ngx_http_lua_ffi_raw_log": fn(RequestPtr, c_int, *const u8, usize) -> c_int;
        sema_post = c"ngx_http_lua_ffi_sema_post": fn(*mut c_void, c_int) -> c_int;
        http_cleanup_add = c"ngx_http_cleanup_add": fn(RequestPtr, usize) -> *mut Cleanup;
    }
    optional {
        req_set_method = c"ngx_http_lua_ffi_req_set_method": fn(RequestPtr, c_int) -> c_int;
        headers_sent = c"ngx_http_lua_ffi_headers_sent": fn(RequestPtr) -> c_int;
        req_start_time = c"ngx_http_lua_ffi_req_start_time": fn(RequestPtr) -> f64;
        errlog_get_sys_filter_level = c"ngx_http_lua_ffi_errlog_get_sys_filter_level": fn(RequestPtr) -> c_int;
        get_body_filter_param_eof = c"ngx_http_lua_ffi_get_body_filter_param_eof": fn(RequestPtr) -> c_int;
        get_body_filter_param_body = c"ngx_http_lua_ffi_get_body_filter_param_body":
            fn(RequestPtr, *mut *mut u8, *mut usize) -> c_int;
        copy_body_filter_param_body = c"ngx_http_lua_ffi_copy_body_filter_param_body":
            fn(RequestPtr, *mut u8) -> c_int;
    }
}

static SYMBOLS: OnceLock<Symbols> = OnceLock::new();

/// The table, resolved on first use.
///
/// # Errors
/// The process is not an nginx with a lua-nginx-module that is new enough.
pub fn symbols() -> Result<&'static Symbols, MissingSymbol> {
    if let Some(symbols) = SYMBOLS.get() {
        return Ok(symbols);
    }
    let symbols = Symbols::resolve()?;
    Ok(SYMBOLS.get_or_init(|| symbols))
}

/// The address of a symbol that the process exports.
pub fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: `name` is NUL-terminated, and RTLD_DEFAULT is always a valid handle.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_nginx_the_first_function_is_named() {
        let Err(error) = symbols() else {
            panic!("found nginx in a test");
        };
        assert_eq!(
            error.to_string(),
            "symbol \"ngx_http_lua_ffi_req_get_headers_count\" not found: \
             this runs only in nginx with lua-nginx-module >= 0.10.19 (http)"
        );
    }
}
