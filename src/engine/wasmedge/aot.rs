//! From a prepared module to one that instances are made from: interpreted, or compiled ahead of time by WasmEdge's LLVM.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::{env, io, ptr};

use super::api::{
    Api, Owned, WasmEdge_ASTModuleContext, WasmEdge_CompilerOptimizationLevel_O0,
    WasmEdge_CompilerOutputFormat_Wasm, WasmEdge_LoaderContext, WasmEdge_Result, bytes,
};
use super::thread_locals::ThreadLocals;
use super::{Ast, Config, child, invalid};
use crate::engine::{Error, one_line};

/// Bytes of a module from which on compiling it pays.
const THRESHOLD: usize = 4 * 1024;

/// Seconds that a compilation may take: a Go plugin of 2.5 MB needs 3.
const PATIENCE: u32 = 60;

/// Whether a module is so large that compiling it pays: an entry into compiled code is dearer than one into interpreted
/// code, and a small plugin does little between its entries.
pub fn pays(wasm: &[u8]) -> bool {
    wasm.len() >= THRESHOLD
}

/// Parses and validates a module that will be interpreted.
pub fn parse(api: &Api, config: &Config, wasm: &[u8]) -> Result<Ast, Error> {
    load(api, config, |loader, module| {
        // SAFETY: the loader is alive, and the bytes are until it returns.
        unsafe { (api.WasmEdge_LoaderParseFromBytes)(loader, module, bytes(wasm)) }
    })
}

/// Whether compiled code can be run.
pub fn is_possible(api: &Api) -> bool {
    ThreadLocals::are_known(api)
}

/// Compiles a module. Returns it with the file that the compiler wrote, which has no name any more.
///
/// # Errors
/// One line with the reason: this WasmEdge has no compiler, or there is no place for its file.
pub fn compile(api: &Api, config: &Config, wasm: &[u8]) -> Result<(Ast, File), String> {
    if !is_possible(api) {
        return Err("this WasmEdge is built in a way that is not known".to_owned());
    }
    let folder = PrivateFolder::new().map_err(|error| {
        format!(
            "no temporary folder in {}: {error}",
            env::temp_dir().display()
        )
    })?;
    let file = folder.0.join("compiled.wasm");
    let log = folder.0.join("log");
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let status = child::run(PATIENCE, &output, || {
        translate(api, wasm, &file).map_or_else(
            |reason| {
                println!("{reason}");
                1
            },
            |()| 0,
        )
    })
    .map_err(|error| error.to_string())?;
    if status.signal() == Some(libc::SIGALRM) {
        return Err(format!("it took more than {PATIENCE} s"));
    }
    if !status.success() {
        let log = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&log);
        return Err(one_line(&format!("{status}: {said}")));
    }
    let ast = parse_file(api, config, &file).map_err(|error| error.to_string())?;
    let file = File::open(&file).map_err(|error| error.to_string())?;
    Ok((ast, file))
}

/// Parses and validates what [`compile`] has written. WasmEdge believes that it comes from there.
pub fn parse_file(api: &Api, config: &Config, file: &Path) -> Result<Ast, Error> {
    let path = c_path(file).map_err(Error::Engine)?;
    load(api, config, |loader, module| {
        // SAFETY: the loader is alive, and the path is terminated.
        unsafe { (api.WasmEdge_LoaderParseFromFile)(loader, module, path.as_ptr()) }
    })
}

/// Writes the compiled form of a module to a file.
fn translate(api: &Api, wasm: &[u8], file: &Path) -> Result<(), String> {
    let path = c_path(file)?;
    let config = Config::new(api).map_err(|error| error.to_string())?;
    // SAFETY: the configuration is alive and not shared yet; the compiler is new and copies it.
    let compiler = unsafe {
        (api.WasmEdge_ConfigureCompilerSetOptimizationLevel)(
            config.0.as_ptr(),
            WasmEdge_CompilerOptimizationLevel_O0,
        );
        (api.WasmEdge_ConfigureCompilerSetOutputFormat)(
            config.0.as_ptr(),
            WasmEdge_CompilerOutputFormat_Wasm,
        );
        Owned::new(
            (api.WasmEdge_CompilerCreate)(config.0.as_ptr()),
            api.WasmEdge_CompilerDelete,
        )
    }
    .map_err(|_| "this WasmEdge has no compiler".to_owned())?;
    // SAFETY: all are alive until it returns, and the path is terminated.
    let result = unsafe {
        (api.WasmEdge_CompilerCompileFromBytes)(compiler.as_ptr(), bytes(wasm), path.as_ptr())
    };
    if api.ok(result) {
        Ok(())
    } else {
        Err(api.message(result))
    }
}

fn load(
    api: &Api,
    config: &Config,
    parse: impl FnOnce(
        *mut WasmEdge_LoaderContext,
        *mut *mut WasmEdge_ASTModuleContext,
    ) -> WasmEdge_Result,
) -> Result<Ast, Error> {
    // SAFETY: the configuration is alive and copied; the objects are new.
    let (loader, validator) = unsafe {
        (
            Owned::new(
                (api.WasmEdge_LoaderCreate)(config.0.as_ptr()),
                api.WasmEdge_LoaderDelete,
            )?,
            Owned::new(
                (api.WasmEdge_ValidatorCreate)(config.0.as_ptr()),
                api.WasmEdge_ValidatorDelete,
            )?,
        )
    };
    let mut module = ptr::null_mut();
    let result = parse(loader.as_ptr(), &raw mut module);
    if !api.ok(result) {
        return Err(invalid(api, "cannot load", result));
    }
    // SAFETY: the loader made it for its caller.
    let module = unsafe { Owned::new(module, api.WasmEdge_ASTModuleDelete) }?;
    // SAFETY: both are alive. It is the only call that changes the module, and nobody else has it yet.
    let result = unsafe { (api.WasmEdge_ValidatorValidate)(validator.as_ptr(), module.as_ptr()) };
    if !api.ok(result) {
        return Err(invalid(api, "cannot validate", result));
    }
    Ok(Ast(module))
}

fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())
}

/// A folder that only this user can look into, gone when dropped. What was loaded from it stays.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn new() -> io::Result<Self> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
        let path = env::temp_dir().join(format!("wasmedge-{:016x}", u64::from_ne_bytes(name)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans that folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
