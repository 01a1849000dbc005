//! nginx's structures, as a module has to fill them in: unchanged since nginx 1.9.11.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};

/// A static that nginx reads and writes.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: only nginx's main thread uses these, and Rust code never takes a reference to their content while nginx
// runs.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// `ngx_str_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NgxStr {
    pub len: usize,
    pub data: *const u8,
}

/// `ngx_array_t`, as far as it is needed.
#[repr(C)]
pub struct NgxArray {
    pub elts: *const NgxStr,
    pub nelts: usize,
}

/// `ngx_conf_t`, as far as it is needed.
#[repr(C)]
pub struct NgxConf {
    pub name: *mut c_char,
    pub args: *const NgxArray,
}

pub type SetDirective =
    unsafe extern "C" fn(*mut NgxConf, *const NgxCommand, *mut c_void) -> *const c_char;

/// `ngx_command_t`.
#[repr(C)]
pub struct NgxCommand {
    pub name: NgxStr,
    pub kind: usize,
    pub set: Option<SetDirective>,
    pub conf: usize,
    pub offset: usize,
    pub post: *const c_void,
}

pub type CycleHook = extern "C" fn(*mut c_void) -> isize;

/// `ngx_module_t`.
#[repr(C)]
pub struct NgxModule {
    pub ctx_index: usize,
    pub index: usize,
    pub name: *const c_char,
    pub spare: [usize; 2],
    pub version: usize,
    pub signature: *const c_char,
    pub ctx: *const NgxHttpModule,
    pub commands: *const NgxCommand,
    pub kind: usize,
    pub init_master: Option<CycleHook>,
    pub init_module: Option<CycleHook>,
    pub init_process: Option<CycleHook>,
    pub init_thread: Option<CycleHook>,
    pub exit_thread: Option<CycleHook>,
    pub exit_process: Option<CycleHook>,
    pub exit_master: Option<CycleHook>,
    pub spare_hooks: [usize; 8],
}

/// `ngx_http_module_t`.
#[repr(C)]
pub struct NgxHttpModule {
    pub preconfiguration: Option<CycleHook>,
    pub postconfiguration: Option<CycleHook>,
    pub create_main_conf: Option<extern "C" fn(*mut NgxConf) -> *mut c_void>,
    pub others: [usize; 5],
}

const _: () = assert!(size_of::<NgxModule>() == 25 * size_of::<usize>());
const _: () = assert!(size_of::<NgxCommand>() == 7 * size_of::<usize>());
const _: () = assert!(size_of::<NgxHttpModule>() == 8 * size_of::<*const ()>());
