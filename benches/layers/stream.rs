//! A request from its first callback to its last, in a plugin that does nothing.

use std::rc::Rc;

use divan::Bencher;

use crate::guest::{ALL, EMPTY};
use crate::proxy::Proxy;
use crate::request::{Exchange, Request};

fn headers(bencher: Bencher, text: &str) {
    let proxy = Proxy::new(text);
    let http = Rc::new(Exchange::default());
    bencher.bench_local(|| {
        let request = Request::new(proxy.context(), Rc::clone(&http) as _);
        request.on_request_headers().unwrap();
        request.on_response_headers().unwrap();
    });
}

#[divan::bench(sample_size = 1000)]
fn without_callbacks(bencher: Bencher) {
    headers(bencher, EMPTY);
}

#[divan::bench(sample_size = 1000)]
fn with_all_callbacks(bencher: Bencher) {
    headers(bencher, ALL);
}

/// With a body of 1 KiB each way.
#[divan::bench(sample_size = 1000)]
fn with_all_callbacks_and_bodies(bencher: Bencher) {
    let proxy = Proxy::new(ALL);
    let http = Rc::new(Exchange::default());
    let body = [b'x'; 1024];
    let mut out = Vec::new();
    bencher.bench_local(|| {
        let request = Request::new(proxy.context(), Rc::clone(&http) as _);
        request.on_request_headers().unwrap();
        request
            .on_request_body(Some(&body), true, &mut out)
            .unwrap();
        request.on_response_headers().unwrap();
        request.on_response_body(&body, true, &mut out).unwrap();
    });
}
