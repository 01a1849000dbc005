//! WasmEdge's C API, found in its shared library at run time.
//!
//! The types and signatures are those of the header that the library was built with; the shared library itself is loaded
//! when an operator asks for this engine, so that those who do not need not have it.

use std::ffi::{CStr, c_char, c_void};
use std::mem;
use std::ptr::NonNull;
use std::sync::OnceLock;

pub use wasmedge_sys::ffi::*;

use crate::engine::Error;

/// Names of the shared library, the one with its version first.
const LIBRARIES: [&CStr; 2] = [c"libwasmedge.so.0", c"libwasmedge.so"];

/// The versions whose interface is that of the header: 0.14.x.
const VERSION: (u32, u32) = (0, 14);

macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The table of functions.
        #[allow(non_snake_case, reason = "names of C")]
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        // Each signature is the header's, or this does not compile.
        const _: () = {
            $(let _: unsafe extern "C" fn($($arg),*) $(-> $ret)? = $name;)*
        };

        impl Api {
            fn resolve(library: NonNull<c_void>) -> Result<Self, Error> {
                Ok(Self {
                    $($name: {
                        let address = find(library, concat!(stringify!($name), "\0"))?;
                        // SAFETY: the function of this name has this type, by the check above, in the versions accepted.
                        unsafe {
                            mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(address)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    WasmEdge_LogOff: fn();
    WasmEdge_VersionGet: fn() -> *const c_char;
    WasmEdge_ValTypeGenI32: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenI64: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenF32: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenF64: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenV128: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenFuncRef: fn() -> WasmEdge_ValType;
    WasmEdge_ValTypeGenExternRef: fn() -> WasmEdge_ValType;
    WasmEdge_ResultOK: fn(WasmEdge_Result) -> bool;
    WasmEdge_ResultGen: fn(WasmEdge_ErrCategory, u32) -> WasmEdge_Result;
    WasmEdge_ResultGetMessage: fn(WasmEdge_Result) -> *const c_char;
    WasmEdge_ConfigureCreate: fn() -> *mut WasmEdge_ConfigureContext;
    WasmEdge_ConfigureDelete: fn(*mut WasmEdge_ConfigureContext);
    WasmEdge_ConfigureAddProposal: fn(*mut WasmEdge_ConfigureContext, WasmEdge_Proposal);
    WasmEdge_ConfigureSetMaxMemoryPage: fn(*mut WasmEdge_ConfigureContext, u32);
    WasmEdge_ConfigureCompilerSetOptimizationLevel: fn(*mut WasmEdge_ConfigureContext, WasmEdge_CompilerOptimizationLevel);
    WasmEdge_ConfigureCompilerSetOutputFormat: fn(*mut WasmEdge_ConfigureContext, WasmEdge_CompilerOutputFormat);
    WasmEdge_CompilerCreate: fn(*const WasmEdge_ConfigureContext) -> *mut WasmEdge_CompilerContext;
    WasmEdge_CompilerDelete: fn(*mut WasmEdge_CompilerContext);
    WasmEdge_CompilerCompileFromBytes: fn(*mut WasmEdge_CompilerContext, WasmEdge_Bytes, *const c_char) -> WasmEdge_Result;
    WasmEdge_LoaderCreate: fn(*const WasmEdge_ConfigureContext) -> *mut WasmEdge_LoaderContext;
    WasmEdge_LoaderDelete: fn(*mut WasmEdge_LoaderContext);
    WasmEdge_LoaderParseFromBytes: fn(*mut WasmEdge_LoaderContext, *mut *mut WasmEdge_ASTModuleContext, WasmEdge_Bytes) -> WasmEdge_Result;
    WasmEdge_LoaderParseFromFile: fn(*mut WasmEdge_LoaderContext, *mut *mut WasmEdge_ASTModuleContext, *const c_char) -> WasmEdge_Result;
    WasmEdge_ASTModuleDelete: fn(*mut WasmEdge_ASTModuleContext);
    WasmEdge_ValidatorCreate: fn(*const WasmEdge_ConfigureContext) -> *mut WasmEdge_ValidatorContext;
    WasmEdge_ValidatorDelete: fn(*mut WasmEdge_ValidatorContext);
    WasmEdge_ValidatorValidate: fn(*mut WasmEdge_ValidatorContext, *const WasmEdge_ASTModuleContext) -> WasmEdge_Result;
    WasmEdge_ExecutorCreate: fn(*const WasmEdge_ConfigureContext, *mut WasmEdge_StatisticsContext) -> *mut WasmEdge_ExecutorContext;
    WasmEdge_ExecutorDelete: fn(*mut WasmEdge_ExecutorContext);
    WasmEdge_ExecutorRegisterImport: fn(*mut WasmEdge_ExecutorContext, *mut WasmEdge_StoreContext, *const WasmEdge_ModuleInstanceContext) -> WasmEdge_Result;
    WasmEdge_ExecutorInstantiate: fn(*mut WasmEdge_ExecutorContext, *mut *mut WasmEdge_ModuleInstanceContext, *mut WasmEdge_StoreContext, *const WasmEdge_ASTModuleContext) -> WasmEdge_Result;
    WasmEdge_ExecutorInvoke: fn(*mut WasmEdge_ExecutorContext, *const WasmEdge_FunctionInstanceContext, *const WasmEdge_Value, u32, *mut WasmEdge_Value, u32) -> WasmEdge_Result;
    WasmEdge_StoreCreate: fn() -> *mut WasmEdge_StoreContext;
    WasmEdge_StoreDelete: fn(*mut WasmEdge_StoreContext);
    WasmEdge_ModuleInstanceCreate: fn(WasmEdge_String) -> *mut WasmEdge_ModuleInstanceContext;
    WasmEdge_ModuleInstanceDelete: fn(*mut WasmEdge_ModuleInstanceContext);
    WasmEdge_ModuleInstanceAddFunction: fn(*mut WasmEdge_ModuleInstanceContext, WasmEdge_String, *mut WasmEdge_FunctionInstanceContext);
    WasmEdge_ModuleInstanceFindFunction: fn(*const WasmEdge_ModuleInstanceContext, WasmEdge_String) -> *mut WasmEdge_FunctionInstanceContext;
    WasmEdge_ModuleInstanceFindMemory: fn(*const WasmEdge_ModuleInstanceContext, WasmEdge_String) -> *mut WasmEdge_MemoryInstanceContext;
    WasmEdge_ModuleInstanceFindGlobal: fn(*const WasmEdge_ModuleInstanceContext, WasmEdge_String) -> *mut WasmEdge_GlobalInstanceContext;
    WasmEdge_GlobalInstanceGetValue: fn(*const WasmEdge_GlobalInstanceContext) -> WasmEdge_Value;
    WasmEdge_GlobalInstanceSetValue: fn(*mut WasmEdge_GlobalInstanceContext, WasmEdge_Value) -> WasmEdge_Result;
    WasmEdge_FunctionTypeCreate: fn(*const WasmEdge_ValType, u32, *const WasmEdge_ValType, u32) -> *mut WasmEdge_FunctionTypeContext;
    WasmEdge_FunctionTypeDelete: fn(*mut WasmEdge_FunctionTypeContext);
    WasmEdge_FunctionInstanceCreate: fn(*const WasmEdge_FunctionTypeContext, WasmEdge_HostFunc_t, *mut c_void, u64) -> *mut WasmEdge_FunctionInstanceContext;
    WasmEdge_MemoryInstanceGetPointer: fn(*mut WasmEdge_MemoryInstanceContext, u32, u32) -> *mut u8;
    WasmEdge_MemoryInstanceGetPageSize: fn(*const WasmEdge_MemoryInstanceContext) -> u32;
}

impl Api {
    /// The table, from the shared library, which is loaded on first use and never unloaded.
    ///
    /// # Errors
    /// There is no WasmEdge, or one of another version; the text says what to do.
    pub fn get() -> Result<&'static Self, Error> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let library = open()?;
        check_version(library)?;
        let api = Self::resolve(library)?;
        // SAFETY: it takes nothing and may be called at any time. What it would print to the worker's standard output is in the results, as far as it matters.
        unsafe { (api.WasmEdge_LogOff)() };
        Ok(API.get_or_init(|| api))
    }

    /// What WasmEdge says of a result that is not OK.
    pub fn message(&self, result: WasmEdge_Result) -> String {
        // SAFETY: the text is a constant of the library.
        unsafe { CStr::from_ptr((self.WasmEdge_ResultGetMessage)(result)) }
            .to_string_lossy()
            .into_owned()
    }

    /// The version that was loaded.
    pub fn version(&self) -> &'static CStr {
        // SAFETY: the text is a constant of the library, which is never unloaded.
        unsafe { CStr::from_ptr((self.WasmEdge_VersionGet)()) }
    }

    /// Whether a function succeeded.
    pub fn ok(&self, result: WasmEdge_Result) -> bool {
        // SAFETY: it looks at the number only.
        unsafe { (self.WasmEdge_ResultOK)(result) }
    }
}

/// Where the library has the function of that name, which ends with a zero.
fn find(library: NonNull<c_void>, name: &str) -> Result<*mut c_void, Error> {
    // SAFETY: the handle is that of a loaded library, and the name is terminated.
    let address = unsafe { libc::dlsym(library.as_ptr(), name.as_ptr().cast()) };
    if address.is_null() {
        let name = name.trim_end_matches('\0');
        return Err(Error::Engine(format!("wasmedge: the library lacks {name}")));
    }
    Ok(address)
}

/// Before any function of which another version may have another kind.
fn check_version(library: NonNull<c_void>) -> Result<(), Error> {
    type Number = unsafe extern "C" fn() -> u32;
    let number = |name| {
        let address = find(library, name)?;
        // SAFETY: the functions of these names have this type in every version; they take nothing.
        Ok(unsafe { mem::transmute::<*mut c_void, Number>(address)() })
    };
    let (major, minor, patch) = (
        number("WasmEdge_VersionGetMajor\0")?,
        number("WasmEdge_VersionGetMinor\0")?,
        number("WasmEdge_VersionGetPatch\0")?,
    );
    if (major, minor) == VERSION {
        return Ok(());
    }
    Err(Error::Engine(format!(
        "wasmedge: version {major}.{minor}.{patch} is installed, but this build of the library needs {}.{}",
        VERSION.0, VERSION.1
    )))
}

fn open() -> Result<NonNull<c_void>, Error> {
    let mut reason = String::new();
    for library in LIBRARIES {
        // SAFETY: the name is terminated; the library's initializers are those of any program linked with it.
        let handle = unsafe {
            libc::dlopen(
                library.as_ptr(),
                libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE,
            )
        };
        if let Some(handle) = NonNull::new(handle) {
            return Ok(handle);
        }
        if reason.is_empty() {
            // SAFETY: after a failure it gives a string, valid until the next call.
            reason = unsafe { CStr::from_ptr(libc::dlerror()) }
                .to_string_lossy()
                .into_owned();
        }
    }
    Err(Error::Engine(format!(
        "wasmedge: WasmEdge {}.{} cannot be loaded ({reason}): install it, for example Debian's libwasmedge0, or see install-wasmedge.sh",
        VERSION.0, VERSION.1
    )))
}

/// A string of Rust's, lent to a function.
pub fn string(text: &str) -> WasmEdge_String {
    WasmEdge_String {
        Length: text.len() as u32,
        Buf: text.as_ptr().cast(),
    }
}

/// Bytes of Rust's, lent to a function.
pub fn bytes(bytes: &[u8]) -> WasmEdge_Bytes {
    WasmEdge_Bytes {
        Length: bytes.len() as u32,
        Buf: bytes.as_ptr(),
    }
}

/// An object of WasmEdge's that is deleted when dropped.
pub struct Owned<T> {
    object: NonNull<T>,
    delete: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes what a creating function returned.
    ///
    /// # Errors
    /// It returned null, for want of memory.
    ///
    /// # Safety
    /// `object` is null or nobody else's, and `delete` is the function that ends it.
    pub unsafe fn new(object: *mut T, delete: unsafe extern "C" fn(*mut T)) -> Result<Self, Error> {
        NonNull::new(object)
            .map(|object| Self { object, delete })
            .ok_or_else(|| Error::Engine("wasmedge: out of memory".to_owned()))
    }

    pub fn as_ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the promise made to `new`, and this is the last use.
        unsafe { (self.delete)(self.object.as_ptr()) };
    }
}
