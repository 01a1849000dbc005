//! Reading a file of the cache.

use std::fs::{File, FileTimes};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use rustix::fs::{OFlags, fstat};

use super::folder::Folder;

/// Bytes at the end of a file, after the code: the digest of its key and the code.
pub const TRAILER: usize = blake3::OUT_LEN;

/// Bytes that are read at once: what the processor's second cache holds.
const CHUNK: usize = 256 * 1024;

/// A file that [`super::Cache::compile`] has written, as it was written: it is this user's, nobody else can have changed it, and its
/// digest is that of its content. It is never changed, only replaced or removed.
pub struct Kept {
    file: File,
    len: u64,
}

impl Kept {
    /// Reads the file of this key, and notes that it was used. `None` if there is none, or not a good one.
    pub(super) fn read(folder: &Folder, key: &str, most: u64) -> Option<Self> {
        let file = folder.file(key, OFlags::RDONLY).ok()?;
        let stat = fstat(&file).ok()?;
        let size = stat.st_size.cast_unsigned();
        let len = size.checked_sub(TRAILER as u64)?;
        if !folder.is_own(&stat) || size > most || !is_intact(&file, key, len).unwrap_or(false) {
            return None;
        }
        // Where it cannot be noted, what is used may go before what is not.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(Self { file, len })
    }

    /// The file: the code, and [`TRAILER`] bytes that are of no use to others.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads the code.
    ///
    /// # Errors
    /// The system's.
    pub fn code(&self) -> io::Result<Vec<u8>> {
        let mut code = vec![0; usize::try_from(self.len).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut code, 0)?;
        Ok(code)
    }
}

/// A digest that begins with the key, so that no file is good under another's name.
pub fn digest(key: &str) -> blake3::Hasher {
    let mut digest = blake3::Hasher::new();
    digest.update(key.as_bytes());
    digest
}

fn is_intact(mut file: &File, key: &str, len: u64) -> io::Result<bool> {
    let mut digest = digest(key);
    let mut chunk = vec![0; CHUNK];
    let mut left = len;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.read_exact(&mut chunk[..part])?;
        digest.update(&chunk[..part]);
        left -= part as u64;
    }
    let mut trailer = [0; TRAILER];
    file.read_exact(&mut trailer)?;
    Ok(digest.finalize() == blake3::Hash::from_bytes(trailer))
}
