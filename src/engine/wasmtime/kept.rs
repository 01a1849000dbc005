//! Code that was kept, most of it on disk. The only unsafe code of this engine: Wasmtime believes what it loads.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime as wt;

use crate::engine::cache::Kept;

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

/// The module of code that another engine of the same settings has just compiled.
///
/// # Errors
/// There is no memory.
pub fn compiled(engine: &wt::Engine, code: &[u8]) -> wt::Result<wt::Module> {
    // SAFETY: the caller says that Wasmtime has compiled it.
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
