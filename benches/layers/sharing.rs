//! What workers share, by one of them.

use divan::Bencher;
use resty_proxy_wasm::abi::types::MetricType;

use crate::proxy::{VM_ID, store};

const VALUE: &[u8] = &[b'x'; 64];

#[divan::bench(sample_size = 1000)]
fn get(bencher: Bencher) {
    let store = store();
    store.set_shared_data(VM_ID, b"key", VALUE, 0).unwrap();
    let mut value = Vec::new();
    bencher.bench_local(|| {
        value.clear();
        store.get_shared_data(VM_ID, b"key", &mut value).unwrap()
    });
}

#[divan::bench(sample_size = 1000)]
fn set(bencher: Bencher) {
    let store = store();
    bencher.bench_local(|| store.set_shared_data(VM_ID, b"key", VALUE, 0).unwrap());
}

/// Each time another of 4096 keys, which all have their room.
#[divan::bench(sample_size = 1000)]
fn set_many(bencher: Bencher) {
    let store = store();
    let mut key = 0_u32;
    bencher.bench_local(|| {
        key = (key + 1) % 4096;
        let name = key.to_ne_bytes();
        store.set_shared_data(VM_ID, &name, VALUE, 0).unwrap();
    });
}

#[divan::bench(sample_size = 1000)]
fn enqueue_and_dequeue(bencher: Bencher) {
    let store = store();
    let queue = store.register_shared_queue(VM_ID, b"queue").unwrap();
    let mut item = Vec::new();
    bencher.bench_local(|| {
        item.clear();
        store.enqueue_shared_queue(queue, VALUE).unwrap();
        store.dequeue_shared_queue(VM_ID, queue, &mut item).unwrap();
    });
}

#[divan::bench(sample_size = 1000)]
fn increment(bencher: Bencher) {
    let metrics = store().plugin_metrics("bench");
    let counter = metrics.define(MetricType::Counter, b"counter").unwrap();
    bencher.bench_local(|| metrics.increment(counter, 1).unwrap());
}

#[divan::bench(sample_size = 1000)]
fn record_in_histogram(bencher: Bencher) {
    let metrics = store().plugin_metrics("bench");
    let histogram = metrics.define(MetricType::Histogram, b"sizes").unwrap();
    bencher.bench_local(|| metrics.record(histogram, 300).unwrap());
}
