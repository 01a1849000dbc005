//! WebAssembly, and nothing that is particular to a proxy.
//!
//! An [`Engine`] compiles bytes to a [`Module`]; a module whose imports were chosen is a [`Template`];
//! a template makes [`Instance`]s, each with a state `S` of the embedder's that host functions reach through
//! [`Guest`]. Start reading at [`Guest`]; `wasmtime.rs` is one engine.
//!
//! Nothing here may name a proxy's notions, and only `abi` and `plugin` use it.

pub mod cache;
pub mod clock;
mod error;
pub mod parameters;
mod signals;
#[cfg(feature = "wasmedge")]
pub mod wasmedge;
pub mod wasmtime;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use error::{Error, Trap};

use cache::Kept;

/// The types of WebAssembly's values. Only numbers cross between host and guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
    /// A reference of another type.
    Other,
}

/// The type of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FuncType {
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ValType]| {
            let names: Vec<String> = types
                .iter()
                .map(|t| format!("{t:?}").to_lowercase())
                .collect();
            names.join(", ")
        };
        write!(f, "({}) -> ({})", list(&self.params), list(&self.results))
    }
}

/// One import that a module declares.
#[derive(Clone, Debug)]
pub struct Import {
    pub module: String,
    pub name: String,
    /// `None` for an import that is not a function.
    pub ty: Option<FuncType>,
}

/// One export of a module.
#[derive(Clone, Debug)]
pub struct Export {
    pub name: String,
    pub kind: ExportKind,
}

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    Func(FuncType),
    Memory,
    Other,
}

/// A host function as a guest calls it: arguments are the raw bits of each parameter, zero-extended; the answer is the
/// raw bits of the result and is dropped when the import declares none.
pub type HostCall<S> = fn(&mut dyn Guest<S>, &[u64]) -> Result<u64, Trap>;

/// What stands behind one import.
pub enum HostFunc<S> {
    Call(HostCall<S>),
    /// Always answers with this value.
    Answer(u64),
    /// Always traps with this message.
    Trap(String),
}

/// An exported function, found once by name and then called without a look-up. It belongs to the instance it was
/// found in.
#[derive(Clone, Copy, Debug)]
pub struct Func {
    index: u32,
    /// How many parameters the export declares.
    pub params: u8,
}

#[cfg(any(test, fuzzing))]
impl Func {
    /// A function of no instance, for test doubles of [`Guest`].
    pub fn fake(params: u8) -> Self {
        Self {
            index: u32::MAX,
            params,
        }
    }
}

/// A running guest, as seen from within a host function or from outside.
///
/// No borrow of [`Guest::memory`] can outlive a call into the guest, because both need `&mut self`.
pub trait Guest<S> {
    /// The exported linear memory as it is now; empty for a module that exports none.
    fn memory(&mut self) -> &mut [u8];

    /// The embedder's state.
    fn state(&mut self) -> &mut S;

    /// Memory and state at once, to copy between them.
    fn split(&mut self) -> (&mut [u8], &mut S);

    /// Calls an exported function with exactly the number of arguments that it declares. The answer is 0 for a function without
    /// a result.
    ///
    /// # Errors
    /// The guest trapped.
    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap>;
}

/// One instance of a module.
pub trait Instance<S>: Guest<S> {
    /// How long each further call from outside may take, with all that it calls, where the [`clock`] runs. One that takes longer
    /// traps.
    fn allow(&mut self, time: Duration);

    /// Finds an exported function.
    fn func(&mut self, name: &str) -> Option<Func>;

    /// Bytes of linear memory: of all memories, or, where the engine does not count those, of the exported one.
    fn memory_size(&mut self) -> usize {
        self.memory().len()
    }
}

/// The most elements that all tables of an instance may have. A guest that asks for more is told that there are none; one that starts with
/// more does not.
pub const TABLE_ELEMENTS: u64 = 1 << 20;

/// What an instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory. A guest that asks for more is told that there is none; one that starts with more does not.
    pub memory: u64,
    /// How long making it, with the module's start section, may take, where the [`clock`] runs; and each call until
    /// [`Instance::allow`] says otherwise.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            time: Duration::from_secs(10),
        }
    }
}

/// A module whose imports have been chosen.
pub trait Template<S>: Send + Sync {
    /// Makes an instance. The module's start section, if any, runs here.
    ///
    /// # Errors
    /// The start function trapped, or memory for the instance could not be had.
    fn instantiate(&self, state: S, limits: Limits) -> Result<Box<dyn Instance<S>>, Trap>;
}

/// A compiled module.
pub trait Module<S>: Send + Sync {
    fn imports(&self) -> &[Import];
    fn exports(&self) -> &[Export];

    /// Whether its code is the processor's, and not interpreted.
    fn is_compiled(&self) -> bool {
        true
    }

    /// What [`Engine::restore`] makes the module from; `None` where there is no code.
    ///
    /// # Errors
    /// The system's.
    fn code(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// What the operator should know of how the module was compiled, in one line.
    fn notice(&self) -> Option<&str> {
        None
    }

    /// Chooses a host function for each of [`Module::imports`], in their order.
    ///
    /// # Errors
    /// An import is not a function.
    fn link(&self, funcs: Vec<HostFunc<S>>) -> Result<Arc<dyn Template<S>>, Error>;
}

/// A WebAssembly engine.
pub trait Engine<S>: Send + Sync {
    /// The name by which an operator chooses it, for example `wasmtime`.
    fn name(&self) -> &'static str;

    /// Differs where the same bytes would be compiled to something else.
    fn variant(&self) -> u32 {
        0
    }

    /// Compiles a module, given as a binary or as text (`.wat`).
    ///
    /// # Errors
    /// The bytes are not a valid module.
    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<S>>, Error>;

    /// All that the code of a module depends on, beside the module, the engine's name and the variant. `None` where code cannot be kept.
    fn fingerprint(&self) -> Option<Vec<u8>>;

    /// The same module from the code that [`Module::code`] gave once, where the name, the variant and the fingerprint were the same.
    ///
    /// # Errors
    /// It has to be compiled.
    fn restore(&self, bytes: &[u8], kept: &Kept) -> Result<Arc<dyn Module<S>>, Error>;
}

/// Messages go into a log of lines.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
