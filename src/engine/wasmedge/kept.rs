//! Compiled code that was kept on disk.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::api::Api;
use super::prepare::EDITION;
use super::{Ast, Config, aot, stack_size};
use crate::engine::Error;
use crate::engine::cache::{Kept, TRAILER};

/// The custom section that the cache's trailer is the content of, behind what the compiler wrote, so that the whole file is a module: its
/// id, its size, and the length of its name.
const SECTION: &[u8] = &[0, NAME.len() as u8 + 1 + TRAILER as u8, NAME.len() as u8];
const NAME: &[u8] = b"digest";
// Both are numbers of one byte.
const _: () = assert!(NAME.len() + 1 + TRAILER < 0x80);

/// What the code depends on beside the module: WasmEdge's version, how the module was prepared, and the processor, as WasmEdge compiles
/// for the one that it runs on.
pub fn fingerprint(api: &Api) -> Vec<u8> {
    let mut fingerprint = api.version().to_bytes_with_nul().to_vec();
    fingerprint.push(EDITION);
    fingerprint.extend(stack_size().to_le_bytes());
    fingerprint.extend(processor().bytes());
    fingerprint
}

/// What Linux tells of the first processor's kind and features.
fn processor() -> String {
    // There are machines with hundreds of them.
    const FIRST: u64 = 8192;
    let mut text = String::new();
    // Where nothing is told, the cache is not for several machines.
    let _ = File::open("/proc/cpuinfo").and_then(|file| file.take(FIRST).read_to_string(&mut text));
    let first = text.split("\n\n").next().unwrap_or_default();
    let tells = |line: &&str| {
        let key = line.split(':').next().unwrap_or_default().trim();
        ["model name", "flags", "Features", "CPU part"].contains(&key)
    };
    first.lines().filter(tells).collect()
}

/// What is kept of a file that the compiler wrote.
pub fn code(file: &File) -> io::Result<Vec<u8>> {
    let mut code = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut code, 0)?;
    code.extend([SECTION, NAME].concat());
    Ok(code)
}

/// Loads it back.
pub fn load(api: &Api, config: &Config, kept: &Kept) -> Result<Ast, Error> {
    // The very file that was checked, whatever its name stands for by now.
    let path = PathBuf::from(format!("/proc/self/fd/{}", kept.file().as_raw_fd()));
    aot::parse_file(api, config, &path)
}
