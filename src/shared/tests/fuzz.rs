//! What `fuzz/` does with a store.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::shared::layout::{self, CHUNK_WORDS, JOURNAL, QUEUE_TABLE, WORKERS};
use crate::shared::{PluginMetrics, prometheus};

/// Words that hold a mutex, at the start of the region and of each worker's place.
const MUTEX_WORDS: usize = 16;

/// As many as an input of the usual length can mean something to.
const MAX_STEPS: usize = 1000;

/// An input, taken from its front; 0 where nothing is left.
struct Input<'a>(&'a [u8]);

impl Choices for Input<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let mut number = usize::from(self.byte());
        if limit > 256 {
            number = number << 8 | usize::from(self.byte());
        }
        number % limit
    }
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.below(20) * self.below(20) * 4;
        let mut bytes = bytes(len);
        for byte in bytes.iter_mut().take(8) {
            *byte ^= self.byte();
        }
        bytes
    }
}

thread_local! {
    static DAMAGED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread works on a store that was damaged: it panics where it comes upon that.
pub fn is_damaged() -> bool {
    DAMAGED.get()
}

/// Operations on a store, which a model does too, or on one that is damaged between them.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    if input.byte().is_multiple_of(2) {
        let steps = input.0.len().min(MAX_STEPS);
        model::run(&mut input, steps);
    } else {
        damaged(&mut input);
    }
}

fn damaged(input: &mut Input<'_>) {
    let store = store();
    let plugins = ["p", "another"].map(|name| store.plugin_metrics(name));
    while !input.0.is_empty() && !input.0.starts_with(&[0xff]) {
        operation(input, &store, &plugins);
    }
    DAMAGED.set(true);
    while !input.0.is_empty() {
        damage(input, &store);
        for _ in 0..input.below(4) {
            let work = AssertUnwindSafe(|| operation(input, &store, &plugins));
            let _ = catch_unwind(work);
        }
    }
    // It is found, or is no harm, or would be found the next time.
    let found = catch_unwind(AssertUnwindSafe(|| {
        let _locked = store.region.lock();
        panic!("found");
    }));
    assert!(found.is_err());
    DAMAGED.set(false);
    let mutex = store.region.memory.mutex(layout::LOCK);
    assert!(mutex.try_lock().is_some() && mutex.try_lock().is_none());
    assert!(mutex.unlock() && !mutex.unlock());
    set(&store, "after", b"small").unwrap();
    assert_eq!(get(&store, "after").unwrap().0, b"small");
    let queue = store.make_shared_queue(b"", b"after").unwrap();
    store.enqueue_shared_queue(queue, b"item").unwrap();
    assert_eq!(dequeue(&store, queue).as_deref(), Ok(&b"item"[..]));
    assert_eq!(keys(&store, b""), ["after"]);
}

/// Writes into the region what should not be there, but not over a mutex, which the system relies on.
fn damage(input: &mut Input<'_>, store: &Store) {
    let region = &store.region;
    let far = |input: &mut Input<'_>| input.below(1 << 16);
    let at = match input.below(8) {
        0 => MUTEX_WORDS + input.below(24),
        1 => JOURNAL + input.below(WORKERS - JOURNAL),
        2 => WORKERS + MUTEX_WORDS + input.below(MUTEX_WORDS),
        3 => QUEUE_TABLE + input.below(8),
        4 => region.layout.bucket_at(far(input) % region.layout.buckets),
        5 => region.layout.metric_buckets_at + far(input) % (2 * region.layout.max_metrics),
        6 => region.layout.metrics_at + far(input) % 4096,
        _ => region.layout.chunk(1) + input.below(256) * CHUNK_WORDS + input.below(CHUNK_WORDS),
    };
    let value = match input.below(8) {
        0 => 0,
        1 => u32::MAX,
        2 => far(input) as u32,
        3 => (far(input) << 16) as u32,
        4 => region.peek(at).wrapping_add(1),
        _ => input.below(256) as u32,
    };
    region.memory.word(at).store(value, Relaxed);
}

fn operation(input: &mut Input<'_>, store: &Store, plugins: &[PluginMetrics; 2]) {
    let vm_id = [&b""[..], b"v"][input.below(2)];
    let name = [b'n', b'0' + input.below(8) as u8].repeat(1 + input.below(2) * 40);
    let queue = input.below(8) as u32;
    let plugin = &plugins[input.below(2)];
    let mut out = Vec::new();
    match input.below(20) {
        0..=2 => {
            store.get_shared_data(vm_id, &name, &mut out);
        }
        3..=6 => {
            let cas = input.below(4) as u32;
            let _ = store.set_shared_data(vm_id, &name, &input.bytes(), cas);
        }
        7 => {
            let _ = store.set_shared_data(vm_id, &name, &bytes(150_000), 0);
        }
        8 => {
            store.remove_shared_data(vm_id, &name);
        }
        9 => store.keys(vm_id, 1000, |_| ()),
        10 => {
            let _ = store.register_shared_queue(vm_id, &name);
        }
        11 => {
            let _ = store.make_shared_queue(vm_id, &name);
            store.resolve_shared_queue(vm_id, &name);
        }
        12 | 13 => {
            let _ = store.enqueue_shared_queue(queue, &input.bytes());
        }
        14 => {
            let _ = store.dequeue_shared_queue(vm_id, queue, &mut out);
        }
        15 => {
            store.tell(queue);
            store.is_rung();
            store.silence();
        }
        16 => store.leave_queue(queue),
        17 => {
            let kind = [
                MetricType::Counter,
                MetricType::Gauge,
                MetricType::Histogram,
            ];
            if let Ok(id) = plugin.define(kind[input.below(3)], &name) {
                let _ = plugin.record(id, input.below(1 << 16) as u64);
                let _ = plugin.increment(id, input.below(256) as i64 - 128);
                let _ = plugin.get(id);
            }
        }
        18 => {
            let _ = plugin.increment(input.below(256) as u32, 1);
            plugin.note(crate::abi::host::Event::Instances {
                count: 1,
                memory: 1 << 16,
            });
            plugin.note(crate::abi::host::Event::Callback(
                input.below(1 << 16) as u64
            ));
        }
        _ => {
            let text = store.prometheus();
            if !is_damaged() {
                prometheus::parser::check_form(&text);
            }
            store.stats();
        }
    }
}

#[test]
fn what_was_found_once() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/shared");
    for seed in std::fs::read_dir(seeds).unwrap() {
        run(&std::fs::read(seed.unwrap().path()).unwrap());
    }
}

#[test]
fn random_damage() {
    for seed in 1..=40 {
        let mut random = Random(seed);
        let bytes = (0..1500).map(|_| random.below(256) as u8);
        run(&std::iter::once(1).chain(bytes).collect::<Vec<u8>>());
    }
}
