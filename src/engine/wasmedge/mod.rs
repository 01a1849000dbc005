//! WasmEdge, through its C API.
//!
//! The one engine with unsafe code, as its bindings are C's. A module is rewritten before WasmEdge sees it, see [`prepare`],
//! and then interpreted or compiled ahead of time, see [`aot`].

mod aot;
mod api;
mod child;
mod host;
mod instance;
mod interrupt;
mod kept;
mod prepare;
mod signals;
mod thread_locals;

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use parking_lot::Mutex;

use self::api::{
    Api, Owned, WasmEdge_ASTModuleContext, WasmEdge_ConfigureContext, WasmEdge_FunctionTypeContext,
    WasmEdge_Proposal_ExtendedConst, WasmEdge_Result, WasmEdge_ValType,
};
use self::prepare::{Names, Outline};
use super::cache::Kept;
use super::{
    Engine, Error, Export, ExportKind, FuncType, HostFunc, Import, Instance, Limits, Module,
    TABLE_ELEMENTS, Template, Trap, ValType,
};

/// What a guest may use of the native stack, counted as [`prepare`] does: half of what the thread has, or this.
const MAX_STACK: u64 = 4 << 20;

/// It is rounded down to a multiple of this, as code is kept for one number: a process's first thread has what is configured, less what
/// arguments and environment take, which differs by a page each time.
const STACK_STEP: u64 = 128 << 10;

/// What a thread has for its stack where the system does not say.
const DEFAULT_STACK: u64 = 8 << 20;

/// Bytes of a page.
const PAGE: u64 = 64 << 10;

/// Pages that a memory may have: 4 GiB less a page, so that a size fits 32 bits.
const MAX_PAGES: u32 = 0xffff;

/// Which modules are compiled ahead of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AheadOfTime {
    /// None: all are interpreted.
    Never,
    /// Those that are large enough for it to pay.
    Large,
    /// All.
    Always,
}

/// The engine.
pub struct WasmEdge {
    api: &'static Api,
    config: Config,
    ahead: Mutex<AheadOfTime>,
}

/// A configuration, never changed once it is made.
struct Config(Owned<WasmEdge_ConfigureContext>);

// SAFETY: WasmEdge only reads it, and what it makes from it has a copy.
unsafe impl Send for Config {}
// SAFETY: as above.
unsafe impl Sync for Config {}

impl Config {
    fn new(api: &Api) -> Result<Self, Error> {
        // SAFETY: the object is new.
        let config = unsafe {
            Owned::new(
                (api.WasmEdge_ConfigureCreate)(),
                api.WasmEdge_ConfigureDelete,
            )
        }?;
        // SAFETY: the object is alive. The features are those that `prepare` lets pass.
        unsafe {
            (api.WasmEdge_ConfigureAddProposal)(config.as_ptr(), WasmEdge_Proposal_ExtendedConst);
        }
        Ok(Self(config))
    }

    /// One by which an instance has at most so many pages of memory.
    fn with_pages(api: &Api, pages: u32) -> Result<Self, Error> {
        let config = Self::new(api)?;
        // SAFETY: the object is alive and not shared yet.
        unsafe { (api.WasmEdge_ConfigureSetMaxMemoryPage)(config.0.as_ptr(), pages) };
        Ok(config)
    }
}

impl WasmEdge {
    /// Loads WasmEdge's shared library and sets the engine up. It starts no thread: it may be made before a fork and
    /// used after it.
    ///
    /// # Errors
    /// WasmEdge is not installed, or not in the version that this library was built for.
    pub fn new() -> Result<Self, Error> {
        let api = Api::get()?;
        Ok(Self {
            api,
            config: Config::new(api)?,
            ahead: Mutex::new(AheadOfTime::Large),
        })
    }

    /// Whether WasmEdge can be used.
    ///
    /// # Errors
    /// As [`WasmEdge::new`].
    pub fn check() -> Result<(), Error> {
        Api::get().map(|_| ())
    }

    /// Chooses which modules are compiled ahead of time, of those yet to be compiled.
    pub fn compile_ahead(&self, which: AheadOfTime) {
        *self.ahead.lock() = which;
    }
}

impl<S: 'static> Engine<S> for WasmEdge {
    fn name(&self) -> &'static str {
        "wasmedge"
    }

    fn variant(&self) -> u32 {
        *self.ahead.lock() as u32
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<S>>, Error> {
        let prepared = prepare::prepare(bytes, stack_size())?;
        let ahead = match *self.ahead.lock() {
            AheadOfTime::Never => false,
            AheadOfTime::Large => aot::pays(&prepared.wasm),
            AheadOfTime::Always => true,
        };
        let compiled = ahead.then(|| aot::compile(self.api, &self.config, &prepared.wasm));
        let (ast, file, reason) = match compiled {
            Some(Ok((ast, file))) => (ast, Some(file), None),
            failed => (
                aot::parse(self.api, &self.config, &prepared.wasm)?,
                None,
                failed.and_then(Result::err),
            ),
        };
        Ok(Arc::new(Compiled {
            notice: reason.map(|reason| {
                format!("interpreted, as it could not be compiled ahead of time: {reason}")
            }),
            ..Compiled::new(self.api, ast, file.is_some(), prepared.outline, file)
        }))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        let compiles = *self.ahead.lock() != AheadOfTime::Never && aot::is_possible(self.api);
        compiles.then(|| kept::fingerprint(self.api))
    }

    fn restore(&self, bytes: &[u8], kept: &Kept) -> Result<Arc<dyn Module<S>>, Error> {
        let ast = kept::load(self.api, &self.config, kept)?;
        let outline = prepare::outline(bytes)?;
        Ok(Arc::new(Compiled::new(self.api, ast, true, outline, None)))
    }
}

/// A validated module, never changed again.
struct Ast(Owned<WasmEdge_ASTModuleContext>);

// SAFETY: instances are made from it by reading it only; the reference counts in it are atomic.
unsafe impl Send for Ast {}
// SAFETY: as above.
unsafe impl Sync for Ast {}

/// What a module and all that is made from it share.
struct Code {
    api: &'static Api,
    ast: Ast,
    is_compiled: bool,
    exports: Vec<Export>,
    /// What its memory starts with.
    memory_pages: u64,
    /// What its tables start with.
    table_elements: u64,
    /// The exports that were added.
    names: Names,
}

impl Code {
    /// The type of an exported function.
    fn exported(&self, name: &str) -> Option<&FuncType> {
        self.exports.iter().find_map(|export| match &export.kind {
            ExportKind::Func(ty) if export.name == name => Some(ty),
            _ => None,
        })
    }
}

struct Compiled {
    code: Arc<Code>,
    imports: Vec<Import>,
    notice: Option<String>,
    /// What the compiler wrote.
    file: Option<File>,
}

impl Compiled {
    fn new(
        api: &'static Api,
        ast: Ast,
        is_compiled: bool,
        outline: Outline,
        file: Option<File>,
    ) -> Self {
        Self {
            code: Arc::new(Code {
                api,
                ast,
                is_compiled,
                exports: outline.exports,
                memory_pages: outline.memory_pages,
                table_elements: outline.table_elements,
                names: outline.names,
            }),
            imports: outline.imports,
            notice: None,
            file,
        }
    }
}

impl<S: 'static> Module<S> for Compiled {
    fn imports(&self) -> &[Import] {
        &self.imports
    }

    fn exports(&self) -> &[Export] {
        &self.code.exports
    }

    fn is_compiled(&self) -> bool {
        self.code.is_compiled
    }

    fn code(&self) -> io::Result<Option<Vec<u8>>> {
        self.file.as_ref().map(kept::code).transpose()
    }

    fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    fn link(&self, funcs: Vec<HostFunc<S>>) -> Result<Arc<dyn Template<S>>, Error> {
        let mut linked = Vec::with_capacity(funcs.len());
        for (import, func) in self.imports.iter().zip(funcs) {
            let Some(ty) = &import.ty else {
                return Err(Error::ImportKind {
                    module: import.module.clone(),
                    name: import.name.clone(),
                });
            };
            linked.push(LinkedFunc {
                native: NativeType::new(self.code.api, ty)?,
                params: ty.params.len(),
                result: ty.results.first().copied(),
                func,
            });
        }
        Ok(Arc::new(Linked(Arc::new(Link {
            code: Arc::clone(&self.code),
            funcs: linked,
        }))))
    }
}

/// A function's type as WasmEdge knows it.
struct NativeType(Owned<WasmEdge_FunctionTypeContext>);

// SAFETY: WasmEdge copies it into each function made of it, and nobody changes it.
unsafe impl Send for NativeType {}
// SAFETY: as above.
unsafe impl Sync for NativeType {}

impl NativeType {
    fn new(api: &Api, ty: &FuncType) -> Result<Self, Error> {
        let params: Vec<_> = ty.params.iter().map(|t| native(api, *t)).collect();
        let results: Vec<_> = ty.results.iter().map(|t| native(api, *t)).collect();
        // SAFETY: both lists live until the call returns; the object is new.
        let object = unsafe {
            Owned::new(
                (api.WasmEdge_FunctionTypeCreate)(
                    params.as_ptr(),
                    params.len() as u32,
                    results.as_ptr(),
                    results.len() as u32,
                ),
                api.WasmEdge_FunctionTypeDelete,
            )
        };
        object.map(Self)
    }
}

/// One import with what stands behind it.
struct LinkedFunc<S> {
    native: NativeType,
    params: usize,
    result: Option<ValType>,
    func: HostFunc<S>,
}

/// What all instances of a template share.
struct Link<S> {
    code: Arc<Code>,
    funcs: Vec<LinkedFunc<S>>,
}

struct Linked<S>(Arc<Link<S>>);

impl<S: 'static> Template<S> for Linked<S> {
    fn instantiate(&self, state: S, limits: Limits) -> Result<Box<dyn Instance<S>>, Trap> {
        let pages = u32::try_from(limits.memory / PAGE).map_or(MAX_PAGES, |p| p.min(MAX_PAGES));
        if self.0.code.memory_pages > u64::from(pages) {
            // WasmEdge would give it less.
            return Err(Trap::new(format!(
                "memory minimum size of {} pages exceeds memory limits",
                self.0.code.memory_pages
            )));
        }
        if self.0.code.table_elements > TABLE_ELEMENTS {
            return Err(Trap::new(format!(
                "table minimum size of {} elements exceeds table limits",
                self.0.code.table_elements
            )));
        }
        Ok(Box::new(instance::Running::new(
            &self.0,
            state,
            pages,
            limits.time,
        )?))
    }
}

/// The type of a value as WasmEdge knows it.
fn native(api: &Api, ty: ValType) -> WasmEdge_ValType {
    // SAFETY: these take nothing and give constants.
    unsafe {
        match ty {
            ValType::I32 => (api.WasmEdge_ValTypeGenI32)(),
            ValType::I64 => (api.WasmEdge_ValTypeGenI64)(),
            ValType::F32 => (api.WasmEdge_ValTypeGenF32)(),
            ValType::F64 => (api.WasmEdge_ValTypeGenF64)(),
            ValType::V128 => (api.WasmEdge_ValTypeGenV128)(),
            ValType::FuncRef => (api.WasmEdge_ValTypeGenFuncRef)(),
            ValType::ExternRef => (api.WasmEdge_ValTypeGenExternRef)(),
            ValType::Other => (api.WasmEdge_ValTypeGenExternRef)(),
        }
    }
}

/// A failure in WasmEdge's words, for what `prepare` did not foresee.
fn invalid(api: &Api, what: &str, result: WasmEdge_Result) -> Error {
    Error::Invalid(format!("wasmedge: {what}: {}", api.message(result)))
}

/// How much of the native stack guests may use.
fn stack_size() -> u32 {
    let mut size = 0;
    let mut attributes = MaybeUninit::zeroed();
    // SAFETY: the attributes are read from this thread and freed; the numbers have places to be written to. The address is not
    // used.
    let has = unsafe {
        let mut address = ptr::null_mut();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut address, &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        size as u64
    };
    guest_stack(if has == 0 { DEFAULT_STACK } else { has })
}

/// What guests may use where a thread has so much.
fn guest_stack(has: u64) -> u32 {
    // What is configured is a multiple of the step, most likely. By half a step less, what is a page below it is not rounded to another
    // number.
    let half = (has / 2).saturating_sub(STACK_STEP / 2).min(MAX_STACK);
    (half - half % STACK_STEP) as u32
}

#[cfg(test)]
mod tests {
    use super::guest_stack;

    #[test]
    fn the_stack_is_one_number_whatever_the_first_page_holds() {
        for configured in [1 << 20, 2 << 20, 8 << 20, 1 << 30] {
            let stack = guest_stack(configured);
            assert!(stack > 0 && u64::from(stack) <= configured / 2);
            for pages in 0..31 {
                assert_eq!(guest_stack(configured - pages * 4096), stack, "{pages}");
            }
        }
        assert_eq!(guest_stack(4096), 0);
    }
}
