//! Code that was kept, most of it on disk. The only unsafe code of this engine: Wasmtime believes what it loads.

use std::hash::{Hash, Hasher};
use std::panic::resume_unwind;
use std::thread;

use sha2::{Digest, Sha256};
use wasmtime as wt;

use crate::engine::cache::Kept;

/// What the first thread of a process most likely has.
const COMPILER_STACK: usize = 8 << 20;

/// What the code depends on beside the module: Wasmtime's version, its settings and the processor's features.
pub fn fingerprint(engine: &wt::Engine) -> Vec<u8> {
    let mut bytes = Bytes(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut bytes);
    bytes.0.finalize().to_vec()
}

/// The module of that code. It is mapped, so that processes share it.
///
/// # Errors
/// It was compiled for another processor, or there is no memory.
pub fn module(engine: &wt::Engine, kept: &Kept) -> wt::Result<wt::Module> {
    let file = kept.file().try_clone()?;
    // SAFETY: Wasmtime has written it, as `Kept` says, and files in the cache are never changed.
    unsafe { wt::Module::deserialize_open_file(engine, file) }.or_else(|_| {
        // Where no code may be mapped, as the file system is mounted with `noexec`, it can be copied.
        let code = kept.code()?;
        // SAFETY: as above.
        unsafe { wt::Module::deserialize(engine, code) }
    })
}

/// Compiles a module for an engine with these settings, so that nothing is left of it but the code.
///
/// # Errors
/// It is none, or there is no memory.
pub fn compile(engine: &wt::Engine, config: &wt::Config, bytes: &[u8]) -> wt::Result<wt::Module> {
    // An engine keeps what its compiler has allocated for the largest functions. This one is given up, with its compiler.
    let compile = || wt::Engine::new(config)?.precompile_module(bytes);
    // What a thread allocates is not between what others keep, and so can all be given back. It is gone before anything forks.
    let code = thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(COMPILER_STACK);
        match builder.spawn_scoped(scope, compile) {
            Ok(compiler) => compiler.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => compile(),
        }
    })?;
    // SAFETY: Wasmtime has just compiled it.
    unsafe { wt::Module::deserialize(engine, code) }
}

/// Gathers what is hashed.
struct Bytes(Sha256);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the bytes are what counts.
    fn finish(&self) -> u64 {
        0
    }
}
