//! The cache with an engine that counts what it compiles.

mod room;
mod trust;
mod turns;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, io, process, thread};

use rustix::process::geteuid;

use super::{Cache, Kept, Obtained};
use crate::engine::{Engine, Error, Export, HostFunc, Import, Module, Template};

/// A folder that is gone when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("cache-test-{}-{count}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn cache(&self) -> Cache {
        Cache::new(&self.0, 1 << 20)
    }

    /// Where this user's files are.
    fn folder(&self) -> PathBuf {
        self.0.join(geteuid().as_raw().to_string())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The only file.
    fn file(&self) -> PathBuf {
        let names = self.names();
        assert_eq!(names.len(), 1, "{names:?}");
        self.folder().join(&names[0])
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Its code is the module's bytes after `code of `.
#[derive(Default)]
struct TestEngine {
    compiled: AtomicU32,
    /// How long it takes to compile.
    takes: Duration,
    version: u8,
    /// How often it refuses what is found.
    refuses: AtomicU32,
}

impl TestEngine {
    fn compiled(&self) -> u32 {
        self.compiled.load(Ordering::Relaxed)
    }
}

struct TestModule(Vec<u8>);

impl Engine<()> for TestEngine {
    fn name(&self) -> &'static str {
        "test"
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<()>>, Error> {
        if bytes.is_empty() {
            return Err(Error::Invalid("empty".to_owned()));
        }
        self.compiled.fetch_add(1, Ordering::Relaxed);
        thread::sleep(self.takes);
        Ok(Arc::new(TestModule([b"code of ", bytes].concat())))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        Some(vec![self.version])
    }

    fn restore(&self, bytes: &[u8], kept: &Kept) -> Result<Arc<dyn Module<()>>, Error> {
        let left = self.refuses.load(Ordering::Relaxed);
        if left > 0 {
            self.refuses.store(left - 1, Ordering::Relaxed);
            return Err(Error::Engine("for another processor".to_owned()));
        }
        let code = kept.code().unwrap();
        // What is restored is what was kept, or the cache is broken.
        assert_eq!(code, [b"code of ", bytes].concat());
        Ok(Arc::new(TestModule(code)))
    }
}

impl Module<()> for TestModule {
    fn imports(&self) -> &[Import] {
        &[]
    }

    fn exports(&self) -> &[Export] {
        &[]
    }

    fn code(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.clone()))
    }

    fn link(&self, _: Vec<HostFunc<()>>) -> Result<Arc<dyn Template<()>>, Error> {
        Err(Error::Engine("not linked".to_owned()))
    }
}

/// A hash that differs where the first byte does.
fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..bytes.len().min(32)].copy_from_slice(&bytes[..bytes.len().min(32)]);
    hash
}

fn compile(cache: &Cache, engine: &TestEngine, bytes: &[u8]) -> Obtained<()> {
    cache.compile(engine, bytes, &hash(bytes)).unwrap()
}

/// Whether it was found, where nothing may be wrong.
#[track_caller]
fn found(cache: &Cache, engine: &TestEngine, bytes: &[u8]) -> bool {
    let obtained = compile(cache, engine, bytes);
    assert_eq!(obtained.problem, None);
    obtained.found
}

#[test]
fn a_module_is_compiled_once() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    assert!(found(&temporary.cache(), &engine, b"a"));
    assert!(!found(&temporary.cache(), &engine, b"b"));
    assert!(found(&temporary.cache(), &engine, b"a"));
    assert_eq!(engine.compiled(), 2);
    assert_eq!(temporary.names().len(), 2);
}

#[test]
fn files_are_private() {
    let temporary = Temporary::new();
    let dir = temporary.0.join("made");
    let cache = Cache::new(&dir, 1 << 20);
    assert!(!found(&cache, &TestEngine::default(), b"a"));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let by_root = geteuid().is_root();
    assert_eq!(mode(&dir), if by_root { 0o1777 } else { 0o700 });
    let folder = dir.join(geteuid().as_raw().to_string());
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_folder_that_is_there_keeps_its_mode() {
    let temporary = Temporary::new();
    fs::set_permissions(&temporary.0, Permissions::from_mode(0o755)).unwrap();
    assert!(!found(&temporary.cache(), &TestEngine::default(), b"a"));
    assert_eq!(fs::metadata(&temporary.0).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn another_version_of_the_engine_has_other_files() {
    let temporary = Temporary::new();
    let new = TestEngine {
        version: 1,
        ..TestEngine::default()
    };
    assert!(!found(&temporary.cache(), &TestEngine::default(), b"a"));
    assert!(!found(&temporary.cache(), &new, b"a"));
    assert!(found(&temporary.cache(), &new, b"a"));
}

#[test]
fn nothing_is_kept_of_what_is_no_module() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(temporary.cache().compile(&engine, b"", &[0; 32]).is_err());
    assert_eq!(temporary.names(), [""; 0]);
}

/// What is said where the folder cannot be used.
fn problem(cache: &Cache) -> String {
    let engine = TestEngine::default();
    let obtained = compile(cache, &engine, b"a");
    assert!(!obtained.found);
    assert_eq!(engine.compiled(), 1);
    let again = compile(cache, &engine, b"a");
    assert_eq!((again.found, again.problem), (false, None), "said twice");
    obtained.problem.unwrap()
}
