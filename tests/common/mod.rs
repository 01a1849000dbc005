//! Plugins without nginx: a proxy, a request, and plugins whose callbacks say that they run.

#![allow(dead_code, unused_imports, reason = "no file needs all of it")]

pub mod event;
mod guest;
mod host;
mod proxy;
mod stream;

use std::rc::Rc;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use guest::plugin_text;
pub use host::{Log, TestHost, has_items, run_queues};
pub use proxy::{CALL_AND_PAUSE, GO_ON, PAUSE, Proxy, resume};
use resty_proxy_wasm::abi::vm::Bounds;
use resty_proxy_wasm::abi::vm::VmState;
use resty_proxy_wasm::engine::Engine;
#[cfg(feature = "wasmedge")]
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::plugin::{Error, Options, Plugin, PluginContext, Stream};
pub use stream::TestStream;

/// A fork is one for the whole process: the test that pretends one runs alone.
static FORKS: RwLock<()> = RwLock::new(());

pub fn no_fork() -> RwLockReadGuard<'static, ()> {
    FORKS
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub fn alone() -> RwLockWriteGuard<'static, ()> {
    FORKS
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The engine that WASM_VM names, as for `t/`.
fn engine() -> Box<dyn Engine<VmState>> {
    match std::env::var("WASM_VM").as_deref() {
        #[cfg(feature = "wasmedge")]
        Ok("wasmedge") => {
            let engine = WasmEdge::new().unwrap();
            engine.compile_ahead(AheadOfTime::Always);
            Box::new(engine)
        }
        Ok("") | Ok("wasmtime") | Err(_) => Box::new(Wasmtime::new().unwrap()),
        Ok(other) => panic!("WASM_VM is {other}"),
    }
}

pub fn load_on(host: &Rc<TestHost>, text: &str, options: Options) -> Result<Rc<Plugin>, Error> {
    let host = Rc::<TestHost>::clone(host);
    Plugin::new("test", text.as_bytes(), options, &*engine(), host).map(Rc::new)
}

pub fn load_with(text: &str, options: Options) -> (Result<Rc<Plugin>, Error>, Rc<Log>) {
    let host = Rc::new(TestHost::default());
    let plugin = load_on(&host, text, options);
    (plugin, Rc::clone(&host.log))
}

pub fn load(changed: &[(char, &str)]) -> (Rc<Plugin>, Rc<Log>) {
    // What these plugins do is told by their log.
    let bounds = Bounds {
        records: u32::MAX,
        ..Bounds::default()
    };
    let options = Options {
        bounds,
        ..Options::default()
    };
    let (plugin, log) = load_with(&plugin_text(changed), options);
    (plugin.unwrap_or_else(|e| panic!("{e}")), log)
}

pub fn configure(plugin: &Rc<Plugin>) -> Result<Rc<PluginContext>, Error> {
    PluginContext::new(Rc::clone(plugin), b"configuration")
}

pub fn request(
    context: &Rc<PluginContext>,
    log: &Rc<Log>,
    has_body: bool,
) -> Result<Stream, Error> {
    let http = TestStream {
        log: Rc::clone(log),
        has_body,
        ..TestStream::default()
    };
    Stream::new(Rc::clone(context), Rc::new(http))
}
