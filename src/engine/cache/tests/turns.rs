//! Processes that want the same at the same time, and those that die.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::{Temporary, TestEngine, compile, found, problem};
use crate::engine::cache::Cache;

#[test]
fn many_that_want_the_same_wait_for_one() {
    const MANY: usize = 8;
    let temporary = Temporary::new();
    let engine = TestEngine {
        takes: Duration::from_millis(200),
        ..TestEngine::default()
    };
    let together = Barrier::new(MANY);
    thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                together.wait();
                assert_eq!(compile(&temporary.cache(), &engine, b"a").problem, None);
            });
        }
    });
    assert_eq!(engine.compiled(), 1);
}

/// The name under which the file of `a` is written, with a file that is locked under it.
fn locked(temporary: &Temporary) -> (PathBuf, File) {
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    let path = temporary.file();
    fs::remove_file(&path).unwrap();
    let new = path.with_extension("new");
    let file = File::create(&new).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    (new, file)
}

/// Lets the lock go, as the end of a process does. Another test may have forked, and its child has the file too.
fn crash(file: File) {
    flock(&file, FlockOperation::Unlock).unwrap();
    drop(file);
}

#[test]
fn one_that_never_ends_is_not_waited_for() {
    let temporary = Temporary::new();
    let (new, _lock) = locked(&temporary);
    let cache = Cache {
        patience: Duration::from_millis(50),
        ..temporary.cache()
    };
    let said = problem(&cache);
    assert!(
        said.ends_with("another process takes too long to write it"),
        "{said}"
    );
    assert!(new.exists(), "it goes on");
}

#[test]
fn what_another_has_replaced_meanwhile_is_found() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    // The first look is at what was there before.
    engine.refuses.store(1, Ordering::Relaxed);
    assert!(found(&temporary.cache(), &engine, b"a"));
    assert_eq!(engine.compiled(), 1);
}

#[test]
fn what_another_gave_up_is_compiled() {
    let temporary = Temporary::new();
    let (new, file) = locked(&temporary);
    let engine = TestEngine::default();
    thread::scope(|scope| {
        scope.spawn(|| assert!(!found(&temporary.cache(), &engine, b"a")));
        // So that it most likely waits.
        thread::sleep(Duration::from_millis(50));
        fs::remove_file(&new).unwrap();
        crash(file);
    });
    assert_eq!(engine.compiled(), 1);
    assert!(found(&temporary.cache(), &engine, b"a"));
}

#[test]
fn what_a_crash_left_is_written_over() {
    let temporary = Temporary::new();
    let (new, mut file) = locked(&temporary);
    file.write_all(&[b'x'; 5000]).unwrap();
    crash(file);
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    assert!(found(&temporary.cache(), &engine, b"a"));
    assert!(!new.exists());
}

#[test]
fn what_a_crash_left_goes_with_the_next_that_is_written() {
    let temporary = Temporary::new();
    let (new, file) = locked(&temporary);
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"b"));
    assert!(new.exists(), "it is still being written");
    crash(file);
    assert!(!found(&temporary.cache(), &engine, b"c"));
    assert!(!new.exists());
    assert_eq!(temporary.names().len(), 2);
}

#[test]
fn what_is_no_file_under_the_name_of_a_new_one_is_removed() {
    let elsewhere = Temporary::new();
    let target = elsewhere.0.join("target");
    fs::write(&target, "precious").unwrap();
    for open in [false, true] {
        let temporary = Temporary::new();
        let (new, file) = locked(&temporary);
        crash(file);
        if open {
            fs::set_permissions(&new, Permissions::from_mode(0o666)).unwrap();
        } else {
            fs::remove_file(&new).unwrap();
            symlink(&target, &new).unwrap();
        }
        let engine = TestEngine::default();
        assert!(!found(&temporary.cache(), &engine, b"a"));
        assert!(found(&temporary.cache(), &engine, b"a"));
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}
