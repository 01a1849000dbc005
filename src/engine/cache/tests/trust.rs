//! What is not loaded, and replaced.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process;
use std::sync::atomic::Ordering;

use rustix::fs::Uid;
use rustix::process::geteuid;

use super::{Temporary, TestEngine, found, problem};
use crate::engine::cache::{Cache, TRAILER};

/// Whatever is done to a file, its code is not loaded, and the next time a good one is there.
fn assert_replaced(what: &str, spoil: impl FnOnce(&Path)) {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"), "{what}");
    spoil(&temporary.file());
    assert!(!found(&temporary.cache(), &engine, b"a"), "{what}");
    assert!(found(&temporary.cache(), &engine, b"a"), "{what}");
    let stat = fs::symlink_metadata(temporary.file()).unwrap();
    assert!(stat.is_file() && stat.mode() & 0o7777 == 0o600, "{what}");
    assert_eq!(stat.uid(), geteuid().as_raw(), "{what}");
}

#[test]
fn a_damaged_file_is_replaced() {
    let len = b"code of a".len() + TRAILER;
    for at in 0..len {
        for bit in 0..8 {
            assert_replaced(&format!("bit {bit} of byte {at}"), |path| {
                let mut content = fs::read(path).unwrap();
                assert_eq!(content.len(), len);
                content[at] ^= 1 << bit;
                fs::write(path, content).unwrap();
            });
        }
        assert_replaced(&format!("cut to {at} bytes"), |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(at as u64).unwrap();
        });
    }
    assert_replaced("longer", |path| {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"x").unwrap();
    });
}

#[test]
fn what_is_no_private_file_is_replaced() {
    for mode in [0o640, 0o620, 0o604, 0o602, 0o700 | 0o011] {
        assert_replaced(&format!("mode {mode:o}"), |path| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        });
    }
    let elsewhere = Temporary::new();
    let target = elsewhere.0.join("target");
    assert_replaced("a link to a good file", |path| {
        fs::rename(path, &target).unwrap();
        symlink(&target, path).unwrap();
    });
    assert!(target.exists(), "what a link leads to is left alone");
    assert_replaced("a link to nothing", |path| {
        fs::remove_file(path).unwrap();
        symlink("/nowhere/at/all", path).unwrap();
    });
    assert_replaced("a pipe, which nobody writes to", |path| {
        fs::remove_file(path).unwrap();
        let done = process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(done.success());
    });
}

#[test]
fn a_good_file_under_another_name_is_replaced() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    let of_a = temporary.file();
    let good = fs::read(&of_a).unwrap();
    assert!(!found(&temporary.cache(), &engine, b"b"));
    for name in temporary.names() {
        // The one of `a` stays as it was.
        fs::write(temporary.folder().join(name), &good).unwrap();
    }
    assert!(found(&temporary.cache(), &engine, b"a"));
    assert!(!found(&temporary.cache(), &engine, b"b"));
}

#[test]
fn files_of_another_user_are_replaced() {
    if !geteuid().is_root() {
        return;
    }
    assert_replaced("another owner", |path| {
        chown(path, Some(65534), None).unwrap();
    });
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    // It is this user's, and so another's for a user with the next number.
    let temporary = Temporary::new();
    let other = geteuid().as_raw() + 1;
    let folder = temporary.0.join(other.to_string());
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let cache = Cache {
        user: Uid::from_raw(other),
        ..temporary.cache()
    };
    let said = problem(&cache);
    let start = format!("compiled code is not kept in {}: ", folder.display());
    assert!(said.starts_with(&start), "{said}");
    assert!(said.contains("it belongs to another user"), "{said}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn a_file_of_another_user_is_not_loaded_from_a_folder_of_ones_own() {
    if !geteuid().is_root() {
        return;
    }
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    let name = temporary.file();
    let folder = temporary.0.join("65534");
    fs::rename(temporary.folder(), &folder).unwrap();
    chown(&folder, Some(65534), None).unwrap();
    let cache = Cache {
        user: Uid::from_raw(65534),
        ..temporary.cache()
    };
    // Root can write there, but what it writes is root's.
    let said = problem(&cache);
    assert!(
        said.ends_with("a file that is made there is not private"),
        "{said}"
    );
    assert!(folder.join(name.file_name().unwrap()).exists());
}

#[test]
fn a_folder_that_others_may_use_is_not_used() {
    for mode in [0o770, 0o707, 0o711, 0o750] {
        let temporary = Temporary::new();
        fs::create_dir(temporary.folder()).unwrap();
        fs::set_permissions(temporary.folder(), Permissions::from_mode(mode)).unwrap();
        let said = problem(&temporary.cache());
        let reason = format!("other users may use it, by its mode {mode:o}");
        assert!(said.ends_with(&reason), "{said}");
        assert_eq!(temporary.names(), [""; 0]);
    }
}

#[test]
fn a_link_in_place_of_the_folder_is_not_followed() {
    let temporary = Temporary::new();
    let elsewhere = Temporary::new();
    fs::set_permissions(&elsewhere.0, Permissions::from_mode(0o700)).unwrap();
    symlink(&elsewhere.0, temporary.folder()).unwrap();
    let said = problem(&temporary.cache());
    assert!(said.contains("Not a directory"), "{said}");
    assert_eq!(fs::read_dir(&elsewhere.0).unwrap().count(), 0);
}

#[test]
fn what_the_engine_refuses_is_replaced() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    let before = fs::metadata(temporary.file()).unwrap().ino();
    engine.refuses.store(2, Ordering::Relaxed);
    assert!(!found(&temporary.cache(), &engine, b"a"));
    assert_ne!(fs::metadata(temporary.file()).unwrap().ino(), before);
    assert!(found(&temporary.cache(), &engine, b"a"));
}
