//! Compiled code on disk, so that a module is compiled once for all processes of a user, and not again after a restart.
//!
//! There is a file for each module, engine and setting: `DIR/UID/KEY`. A process that has to compile holds a lock on `KEY.new`, writes
//! there and renames it; others that want the same wait for it. A file is loaded only if this user wrote it, and as it was written:
//! that is what a [`Kept`] stands for.
//!
//! Whatever goes wrong here, the module is compiled. Start reading at [`Cache::compile`].

#![forbid(unsafe_code)]

mod folder;
mod kept;
#[cfg(test)]
mod tests;
mod turn;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::Uid;
use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::{Engine, Error, Module};
use folder::Folder;

pub use folder::make;
pub use kept::{Kept, TRAILER};

/// How long a process waits for another that compiles the same: longer than any module takes on Wasmtime.
const PATIENCE: Duration = Duration::from_secs(30);

/// The cache, as configured.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    /// Bytes that the files of a user may have in all.
    size: u64,
    user: Uid,
    patience: Duration,
}

/// A module, and how it was come by.
pub struct Obtained<S> {
    pub module: Arc<dyn Module<S>>,
    /// Its code was found on disk.
    pub found: bool,
    /// Why its code is not kept, in one line, where this process has not said so before.
    pub problem: Option<String>,
}

impl Cache {
    /// A cache below a folder, which is made if it is missing. What this user keeps there comes to no more than `size` bytes.
    pub fn new(dir: &Path, size: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            size,
            user: geteuid(),
            patience: PATIENCE,
        }
    }

    /// Finds the module's code, or compiles and keeps it. `hash` is that of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a valid module.
    pub fn compile<S>(
        &self,
        engine: &dyn Engine<S>,
        bytes: &[u8],
        hash: &[u8; 32],
    ) -> Result<Obtained<S>, Error> {
        let Some(key) = key(engine, hash) else {
            return engine.compile(bytes).map(Obtained::compiled);
        };
        let compile_only = |error: io::Error| {
            Ok(Obtained {
                problem: self.say(&error),
                ..Obtained::compiled(engine.compile(bytes)?)
            })
        };
        let folder = match Folder::open(&self.dir, self.user) {
            Ok(folder) => folder,
            Err(error) => return compile_only(error),
        };
        let end = Instant::now() + self.patience;
        let mut turn = None;
        let turn = loop {
            // Once more when it is this process's turn: another may have had its own meanwhile.
            if let Some(kept) = Kept::read(&folder, &key, self.size)
                && let Ok(module) = engine.restore(bytes, &kept)
            {
                return Ok(Obtained::found(module));
            }
            if let Some(turn) = turn {
                break turn;
            }
            turn = match folder.turn(&key, end) {
                Ok(turn) => turn,
                Err(error) => return compile_only(error),
            };
        };
        let module = engine.compile(bytes)?;
        let kept = match module.code() {
            Ok(Some(code)) => turn.keep(&code, self.size).map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        // What is mapped from the file is shared by all processes; what a compiler leaves is this one's, and that of all it forks.
        let mapped = match kept {
            Ok(true) => Kept::read(&folder, &key, self.size)
                .and_then(|kept| engine.restore(bytes, &kept).ok()),
            _ => None,
        };
        Ok(Obtained {
            problem: kept.err().and_then(|error| self.say(&error)),
            ..Obtained::compiled(mapped.unwrap_or(module))
        })
    }

    /// A problem in words, once.
    fn say(&self, error: &io::Error) -> Option<String> {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let text = format!(
            "compiled code is not kept in {}/{}: {error}",
            self.dir.display(),
            self.user.as_raw()
        );
        let mut said = SAID.lock();
        if said.contains(&text) {
            return None;
        }
        said.push(text.clone());
        Some(text)
    }
}

impl<S> Obtained<S> {
    /// A module that was compiled.
    pub fn compiled(module: Arc<dyn Module<S>>) -> Self {
        Self {
            module,
            found: false,
            problem: None,
        }
    }

    fn found(module: Arc<dyn Module<S>>) -> Self {
        Self {
            found: true,
            ..Self::compiled(module)
        }
    }
}

/// The name of the file for a module's code: all that the code depends on. `None` where there is none to keep.
fn key<S>(engine: &dyn Engine<S>, hash: &[u8; 32]) -> Option<String> {
    let mut key = Sha256::new();
    for part in [
        env!("CARGO_PKG_VERSION").as_bytes(),
        engine.name().as_bytes(),
        &engine.variant().to_le_bytes(),
        &engine.fingerprint()?,
        hash,
    ] {
        key.update(part.len().to_le_bytes());
        key.update(part);
    }
    Some(key.finalize().iter().fold(String::new(), |mut name, byte| {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    }))
}
