//! From bytes to a compiled module that is known to be a plugin, once for each content and engine in a process.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::Error;
use crate::abi::Callbacks;
use crate::abi::imports;
use crate::abi::types::AbiVersion;
use crate::abi::vm::VmState;
use crate::engine::cache::{Cache, Obtained};
use crate::engine::{Engine, ExportKind, FuncType, Import, Template, ValType, parameters};

/// What the host may allocate guest memory with, in the order of preference.
pub const ALLOCATORS: [&str; 2] = ["proxy_on_memory_allocate", "malloc"];

/// What tells a plugin of all headers of a map, or of one that it names.
const READERS: [&str; 4] = [
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_size",
    "proxy_get_header_map_value",
    "proxy_set_header_map_pairs",
];

/// The parameters of `proxy_on_request_headers` and `proxy_on_response_headers`, behind the context.
const HEADERS: u32 = 1;
const END_OF_STREAM: u32 = 2;

/// A plugin's code, compiled and linked with the host's functions.
pub struct Compiled {
    template: Arc<dyn Template<VmState>>,
    pub abi: AbiVersion,
    /// SHA-256 of the file's content.
    pub hash: [u8; 32],
    /// Bytes of the file.
    pub size: usize,
    /// The engine's name.
    pub engine: &'static str,
    /// Names of exported functions.
    pub exports: Vec<String>,
    /// Imports as `module.name`.
    pub imports: Vec<String>,
    /// Imports that the host does not know, each once.
    pub unknown_imports: Vec<String>,
    /// The plugin could look at the response's headers, or at how many there are.
    pub reads_response_headers: bool,
    /// What `proxy_on_request_headers` is given of the headers, or what follows it, could make a difference.
    pub looks_at_request: bool,
    /// The same of `proxy_on_response_headers`.
    pub looks_at_response: bool,
    /// The code is the processor's, and not interpreted.
    pub is_compiled: bool,
    /// What the engine has to say of how it compiled the module.
    pub notice: Option<String>,
    pub origin: Origin,
}

/// Where code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There is no cache on disk, or the code is interpreted.
    NoCache,
    /// It was not in the cache, and so it was compiled.
    Compiled,
    /// It was in the cache.
    Cache,
}

impl Compiled {
    /// What VMs are made from.
    pub fn template(&self) -> &dyn Template<VmState> {
        &*self.template
    }

    /// Whether a function of that name is exported.
    pub fn has_export(&self, name: &str) -> bool {
        self.exports.iter().any(|e| e == name)
    }

    /// Whether the function `name` of module `env` is imported.
    pub fn has_import(&self, name: &str) -> bool {
        self.imports
            .iter()
            .any(|i| i.strip_prefix("env.") == Some(name))
    }
}

type Known = HashMap<([u8; 32], &'static str, u32), Weak<Compiled>>;

/// A reload finds here what the configuration before it still holds.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

/// Compiles `bytes`, or finds them compiled, and checks that they are a plugin. Also returns what is wrong with the cache on disk, if
/// something is.
///
/// # Errors
/// See [`Error`]; nothing is remembered of a module that fails.
pub fn compile(
    bytes: &[u8],
    engine: &dyn Engine<VmState>,
    cache: Option<&Cache>,
) -> Result<(Arc<Compiled>, Option<String>), Error> {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let key = (hash, engine.name(), engine.variant());
    let mut known = KNOWN.lock();
    let known = known.get_or_insert_default();
    if let Some(compiled) = known.get(&key).and_then(Weak::upgrade) {
        return Ok((compiled, None));
    }
    let (compiled, problem) = build(bytes, hash, engine, cache)?;
    let compiled = Arc::new(compiled);
    known.retain(|_, module| module.strong_count() > 0);
    // What could not be had now may be had the next time.
    if compiled.notice.is_none() {
        known.insert(key, Arc::downgrade(&compiled));
    }
    Ok((compiled, problem))
}

fn build(
    bytes: &[u8],
    hash: [u8; 32],
    engine: &dyn Engine<VmState>,
    cache: Option<&Cache>,
) -> Result<(Compiled, Option<String>), Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let obtained = match cache {
        Some(cache) => cache.compile(engine, bytes, &hash),
        None => engine.compile(bytes).map(Obtained::compiled),
    };
    let Obtained {
        module,
        found,
        problem,
    } = obtained.map_err(|error| {
        // What the parser quotes of a file that is neither form does not belong into a log.
        let text = matches!(bytes.trim_ascii_start().first(), Some(b'(' | b';'));
        if text || bytes.starts_with(b"\0asm") {
            Error::Module(error)
        } else {
            Error::NeitherForm
        }
    })?;
    for export in module.exports() {
        if let ExportKind::Func(ty) = &export.kind
            && (Callbacks::NAMES.contains(&&*export.name) || ALLOCATORS.contains(&&*export.name))
            && !is_callable(ty)
        {
            return Err(Error::CallbackType {
                name: export.name.clone(),
                ty: ty.to_string(),
            });
        }
    }
    let exports: Vec<String> = module
        .exports()
        .iter()
        .filter(|e| matches!(e.kind, ExportKind::Func(_)))
        .map(|e| e.name.clone())
        .collect();
    let abi = AbiVersion::MARKERS
        .iter()
        .rev()
        .find(|(marker, _)| exports.iter().any(|e| e == marker))
        .map(|(_, abi)| *abi)
        .ok_or(Error::NoAbiVersion)?;
    if !module
        .exports()
        .iter()
        .any(|e| e.name == "memory" && e.kind == ExportKind::Memory)
    {
        return Err(Error::NoMemory);
    }
    let matched = imports::resolve(module.imports()).map_err(Error::Import)?;
    let reads = |i: &Import| i.module == "env" && READERS.contains(&&*i.name);
    let exported = |name: &str| exports.iter().any(|e| e == name);
    let reads_any = |callback, of: &[u32]| parameters::are_read(bytes, callback, of) != Some(false);
    let reads_response_headers = exported("proxy_on_response_headers")
        && (module.imports().iter().any(reads)
            || reads_any("proxy_on_response_headers", &[HEADERS]));
    let looks_at_request = exported("proxy_on_request_body")
        || reads_any("proxy_on_request_headers", &[HEADERS, END_OF_STREAM]);
    let looks_at_response =
        reads_response_headers || reads_any("proxy_on_response_headers", &[END_OF_STREAM]);
    let compiled = Compiled {
        abi,
        hash,
        size: bytes.len(),
        engine: engine.name(),
        exports,
        imports: module
            .imports()
            .iter()
            .map(|i| format!("{}.{}", i.module, i.name))
            .collect(),
        unknown_imports: matched.unknown,
        reads_response_headers,
        looks_at_request,
        looks_at_response,
        is_compiled: module.is_compiled(),
        notice: module.notice().map(str::to_owned),
        origin: match (found, cache) {
            (true, _) => Origin::Cache,
            (false, Some(_)) if module.is_compiled() => Origin::Compiled,
            (false, _) => Origin::NoCache,
        },
        template: module.link(matched.funcs)?,
    };
    Ok((compiled, problem))
}

/// Arguments are 32-bit integers, however many, and so is a result.
fn is_callable(ty: &FuncType) -> bool {
    ty.params.iter().all(|t| *t == ValType::I32) && matches!(ty.results[..], [] | [ValType::I32])
}

/// The root id that a plugin most likely registered: its name, where the module holds that in its data as UTF-8 or, from
/// AssemblyScript, as UTF-16; else none, which is what C++ plugins register that name none.
pub fn guess_root_id(name: &str, bytes: &[u8]) -> Vec<u8> {
    let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if contains(bytes, name.as_bytes()) || contains(bytes, &utf16) {
        name.as_bytes().to_vec()
    } else {
        Vec::new()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::guess_root_id;

    #[test]
    fn the_name_is_found_in_either_encoding() {
        assert_eq!(
            guess_root_id("add_header", b"..add_header.."),
            b"add_header"
        );
        let utf16: Vec<u8> = "add_header"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(guess_root_id("add_header", &utf16), b"add_header");
        assert_eq!(guess_root_id("other", b"..add_header.."), b"");
    }
}
