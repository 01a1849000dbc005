//! Writing a file of the cache.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};

use super::folder::Folder;
use super::kept::{TRAILER, digest};

/// The right to write the file of a key: a lock on the file that is to become it. Who holds it owns that file's name.
pub struct Turn<'a> {
    folder: &'a Folder,
    key: String,
    name: String,
    file: File,
    renamed: bool,
}

impl<'a> Turn<'a> {
    pub fn new(folder: &'a Folder, key: &str, name: String, file: File) -> Self {
        Self {
            folder,
            key: key.to_owned(),
            name,
            file,
            renamed: false,
        }
    }

    /// Writes the file, in the place of any that has its name. All files together come to no more than `size` bytes.
    ///
    /// # Errors
    /// It cannot be written, or is too large.
    pub fn keep(mut self, code: &[u8], size: u64) -> io::Result<()> {
        let room = (code.len() + TRAILER) as u64;
        if room > size {
            return Err(io::Error::other(format!(
                "the code of {room} bytes is more than the cache may hold"
            )));
        }
        self.folder.make_room(&self.key, room, size);
        // A process that died may have left something in it.
        self.file.set_len(0)?;
        fchmod(&self.file, Mode::RUSR | Mode::WUSR)?;
        self.file.write_all(code)?;
        let digest = digest(&self.key).update(code).finalize();
        self.file.write_all(digest.as_bytes())?;
        self.folder.rename(&self.name, &self.key)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed is found abandoned.
            let _ = self.folder.remove(&self.name);
        }
        // A process that was forked meanwhile has the file too, and would hold the lock for as long as it lives.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
