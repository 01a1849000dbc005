//! A call into a plugin that returns at once: of the engine alone, and with all that the host does about a callback.

use divan::Bencher;
use resty_proxy_wasm::engine::Limits;

use crate::guest::ALL;
use crate::proxy::{ClockStopped, Proxy, make_engine};

#[divan::bench(sample_size = 1000)]
fn engine(bencher: Bencher) {
    let engine = make_engine::<()>();
    let module = engine.compile(ALL.as_bytes()).unwrap();
    let Ok(template) = module.link(Vec::new()) else {
        panic!("there is nothing to link");
    };
    let mut instance = template.instantiate((), Limits::default()).unwrap();
    let func = instance.func("proxy_on_request_headers").unwrap();
    bencher.bench_local(|| instance.call(func, &[2, 8, 0]).unwrap());
}

fn request_headers(bencher: Bencher) {
    let proxy = Proxy::new(ALL);
    let request = proxy.request();
    bencher.bench_local(|| request.on_request_headers().unwrap());
}

#[divan::bench(sample_size = 1000)]
fn callback(bencher: Bencher) {
    request_headers(bencher);
}

/// As in nginx's master: the clock is there for as long as a call takes.
#[divan::bench(sample_size = 10)]
fn callback_with_its_own_clock(bencher: Bencher) {
    let _stopped = ClockStopped::new();
    request_headers(bencher);
}
