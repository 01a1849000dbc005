//! Wasmtime, and the clock that ends what takes too long.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::engine::{Limits, clock};

/// The engine of this process, whose clock runs.
pub static WASMTIME: LazyLock<Wasmtime> = LazyLock::new(|| {
    clock::set_runs(true);
    thread::spawn(|| {
        let mut idle = 0;
        loop {
            thread::sleep(clock::period());
            clock::tick(&mut idle);
        }
    });
    Wasmtime::new().expect("the engine can be had")
});

/// What each VM may use: little, as guests are asked to waste it.
pub fn limits() -> Limits {
    Limits {
        memory: 4 << 20,
        time: Duration::from_millis(10),
    }
}
