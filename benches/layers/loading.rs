//! From a small module to a plugin.

use std::path::PathBuf;
use std::rc::Rc;
use std::{env, fs, process};

use divan::Bencher;
use resty_proxy_wasm::engine::Limits;
use resty_proxy_wasm::engine::cache::Cache;
use resty_proxy_wasm::plugin::PluginContext;

use crate::guest::ALL;
use crate::proxy::{load, make_engine};

#[divan::bench(sample_count = 20, sample_size = 1)]
fn compile(bencher: Bencher) {
    let engine = make_engine::<()>();
    bencher.bench_local(|| engine.compile(ALL.as_bytes()).unwrap());
}

/// A folder for compiled code, while this lives.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(env::temp_dir().join(format!("layers-{}", process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[divan::bench(sample_size = 1)]
fn restore_from_cache(bencher: Bencher) {
    let engine = make_engine::<()>();
    let folder = Folder::new();
    let cache = Cache::new(&folder.0, 1 << 30);
    let obtain = || {
        let obtained = cache.compile(&*engine, ALL.as_bytes(), &[1; 32]).unwrap();
        assert_eq!(obtained.problem, None);
        obtained
    };
    assert!(!obtain().found);
    bencher.bench_local(|| {
        let obtained = obtain();
        assert!(obtained.found);
        obtained.module
    });
}

#[divan::bench(sample_size = 16)]
fn instantiate(bencher: Bencher) {
    let engine = make_engine::<()>();
    let module = engine.compile(ALL.as_bytes()).unwrap();
    let Ok(template) = module.link(Vec::new()) else {
        panic!("there is nothing to link");
    };
    bencher.bench_local(|| template.instantiate((), Limits::default()).unwrap());
}

/// Of a module that this process has compiled, with a VM and a plugin context.
#[divan::bench(sample_size = 1)]
fn load_from_memory(bencher: Bencher) {
    let _held = load(ALL);
    bencher.bench_local(|| {
        let plugin = load(ALL);
        PluginContext::new(Rc::clone(&plugin), b"configuration").unwrap_or_else(|e| panic!("{e}"))
    });
}
