//! What cannot be kept, and what goes for it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process;
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;

use super::{Temporary, TestEngine, compile, found, problem};
use crate::engine::cache::{Cache, TRAILER};

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    let said = problem(&Cache::new(Path::new("/nowhere/cache"), 1 << 20));
    assert!(said.contains("No such file or directory"), "{said}");
    let temporary = Temporary::new();
    let file = temporary.0.join("file");
    File::create(&file).unwrap();
    let said = problem(&Cache::new(&file, 1 << 20));
    assert!(said.contains("Not a directory"), "{said}");
}

#[test]
fn a_file_that_cannot_be_replaced_is_said() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    assert!(!found(&temporary.cache(), &engine, b"a"));
    let path = temporary.file();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let said = problem(&temporary.cache());
    assert!(said.contains("Is a directory"), "{said}");
    assert_eq!(temporary.file(), path);
}

#[test]
fn a_full_disk_is_said() {
    if !geteuid().is_root() || !mounts() {
        return;
    }
    let temporary = Temporary::new();
    let disk = temporary.0.join("disk");
    fs::create_dir(&disk).unwrap();
    let run = |command: &str, arguments: &[&OsStr]| {
        let status = process::Command::new(command).args(arguments).status();
        assert!(status.unwrap().success(), "{command}");
    };
    let options = ["-t", "tmpfs", "-o", "size=16k", "none"].map(OsStr::new);
    run("mount", &[&options[..], &[disk.as_os_str()]].concat());
    let cache = Cache::new(&disk, 1 << 20);
    let large = vec![b'x'; 64 << 10];
    let obtained = compile(&cache, &TestEngine::default(), &large);
    let left = fs::read_dir(disk.join("0")).unwrap().count();
    run("umount", &[disk.as_os_str()]);
    let said = obtained.problem.unwrap();
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(left, 0, "half a file is left");
}

/// Whether this root may mount: not in every container.
fn mounts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|l| l.strip_prefix("CapEff:\t"));
    const SYS_ADMIN: u64 = 1 << 21;
    mask.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & SYS_ADMIN != 0)
}

#[test]
fn what_was_not_used_for_longest_goes() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    let module = |name: u8| vec![name; 1000];
    let one = 1000 + b"code of ".len() + TRAILER;
    let cache = Cache::new(&temporary.0, 3 * one as u64);
    let age = |name: &str, seconds| {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        let file = File::open(temporary.folder().join(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    let mut names = Vec::new();
    for (place, name) in (*b"abc").into_iter().enumerate() {
        assert!(!found(&cache, &engine, &module(name)));
        let new: Vec<String> = temporary.names();
        let new = new.into_iter().find(|name| !names.contains(name)).unwrap();
        age(&new, 100 - place as u64);
        names.push(new);
    }
    // The oldest file is used.
    assert!(found(&cache, &engine, &module(b'a')));
    let stranger = temporary.folder().join("stranger");
    fs::write(&stranger, [0; 4000]).unwrap();
    assert!(!found(&cache, &engine, &module(b'd')));
    assert!(found(&cache, &engine, &module(b'a')));
    assert!(found(&cache, &engine, &module(b'c')));
    assert!(found(&cache, &engine, &module(b'd')));
    assert_eq!(temporary.names().len(), 4);
    assert!(stranger.exists(), "what is not the cache's is left alone");
    // One that takes the room of two.
    let two = vec![b'e'; one + 1000];
    age(&names[0], 50);
    age(&names[2], 60);
    assert!(!found(&cache, &engine, &two));
    assert!(found(&cache, &engine, &module(b'd')));
    assert!(found(&cache, &engine, &two));
    assert_eq!(temporary.names().len(), 3);
}

#[test]
fn what_is_larger_than_the_cache_is_not_kept() {
    let temporary = Temporary::new();
    let engine = TestEngine::default();
    let cache = Cache::new(&temporary.0, 1000);
    assert!(!found(&cache, &engine, b"a"));
    let said = compile(&cache, &engine, &[b'x'; 1000]).problem.unwrap();
    assert!(
        said.ends_with("the code of 1040 bytes is more than the cache may hold"),
        "{said}"
    );
    assert!(
        found(&cache, &engine, b"a"),
        "nothing else has to go for it"
    );
}
