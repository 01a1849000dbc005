//! A region in which something has written that should not have.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use super::check::check;
use super::crash::{go_on, some};
use super::*;
use crate::abi::host::MetricError;
use crate::shared::chain::{Name, VM_ID_LEN};
use crate::shared::{data, metrics, queues};

const KEY: &str = "key 5";

fn bucket(store: &Store) -> usize {
    let region = &store.region;
    region.layout.bucket(region.hash([b"", KEY.as_bytes()]))
}

/// A field of the key.
fn key(store: &Store, field: usize) -> usize {
    let name = Name::new(&store.region, b"", KEY.as_bytes()).unwrap();
    let locked = store.region.lock();
    let mut key = locked.get(bucket(store));
    while !locked.is_named(key, &name) {
        key = locked.field_value(key, data::NEXT_IN_BUCKET);
    }
    locked.field(key, field)
}

/// A field of the queue.
fn queue(store: &Store, field: usize) -> usize {
    let queue = store.region.peek(layout::QUEUE_TABLE);
    store.region.lock().field(queue, field)
}

/// The link of the first chunk of the key's value.
fn link(store: &Store) -> usize {
    let value = store.region.peek(key(store, data::VALUE));
    store.region.layout.chunk(value)
}

fn look(store: &Store) {
    get(store, KEY);
}

fn change(store: &Store) {
    let _ = set(store, KEY, &bytes(500));
}

fn add(store: &Store) {
    let _ = set(store, "new", &bytes(500));
}

/// Needs all that there is.
fn evict(store: &Store) {
    for i in 0..20 {
        let _ = set(store, &format!("large {i}"), &vec![b'x'; 150_000]);
    }
}

fn list(store: &Store) {
    keys(store, b"");
}

fn remove(store: &Store) {
    store.remove_shared_data(b"", KEY.as_bytes());
}

fn take(store: &Store) {
    let _ = dequeue(store, 1);
}

fn give(store: &Store) {
    let _ = store.enqueue_shared_queue(1, b"x");
}

fn register_again(store: &Store) {
    let _ = store.register_shared_queue(b"", b"q");
}

fn none(_: &Store) -> u32 {
    u32::MAX
}

fn zero(_: &Store) -> u32 {
    0
}

fn many(_: &Store) -> u32 {
    1 << 20
}

/// The first key of the bucket.
fn first(store: &Store) -> u32 {
    store.region.peek(bucket(store))
}

fn consumer(store: &Store) -> u32 {
    store.region.peek(queue(store, queues::CONSUMERS))
}

fn next(store: &Store, chunk: u32, field: usize) -> usize {
    store.region.lock().field(chunk, field)
}

/// A place, what is written there, and what comes upon it.
type Damage = (fn(&Store) -> usize, fn(&Store) -> u32, fn(&Store));

#[test]
fn all_is_lost_but_metrics() {
    let cases: [Damage; 22] = [
        (
            |store| next(store, first(store), data::NEXT_IN_BUCKET),
            first,
            list,
        ),
        (
            |store| next(store, consumer(store), queues::NEXT),
            consumer,
            register_again,
        ),
        (bucket, none, look),
        (bucket, none, list),
        (|_| layout::NEWEST, none, look),
        (|_| layout::OLDEST, none, evict),
        (|_| layout::FREE, none, add),
        (|_| layout::FREE, zero, change),
        (|_| layout::FREE_COUNT, many, add),
        (|_| layout::TOUCHED, none, add),
        (|store| key(store, data::VALUE), none, look),
        (|store| key(store, data::VALUE), zero, change),
        (|store| key(store, data::VALUE_LEN), none, look),
        (|store| key(store, data::OLDER), none, remove),
        (|store| key(store, data::NEWER), none, change),
        (|store| key(store, VM_ID_LEN), none, evict),
        (link, zero, look),
        (link, none, change),
        (|store| queue(store, queues::FIRST), none, take),
        (|store| queue(store, queues::LAST), none, give),
        (|store| queue(store, queues::CONSUMERS), none, give),
        (|_| layout::QUEUE_TABLE, zero, give),
    ];
    for (i, (place, value, work)) in cases.into_iter().enumerate() {
        let store = store();
        some(&store);
        let metrics = check(&store).metrics;
        let (at, value) = (place(&store), value(&store));
        store.region.memory.word(at).store(value, Relaxed);
        let reports = reports_of(|| {
            let result = catch_unwind(AssertUnwindSafe(|| work(&store)));
            assert!(result.is_err(), "not found: {i}");
        });
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].0, LogLevel::Error);
        assert!(reports[0].1.contains("damaged"));
        let contents = check(&store);
        assert!(contents.keys.is_empty() && contents.queues.is_empty());
        assert_eq!(contents.metrics, metrics);
        let stats = store.stats();
        assert_eq!((stats.keys, stats.queues, stats.items), (0, 0, 0));
        assert_eq!((stats.recovered, stats.emptied), (0, 1));
        assert!(reports_of(|| go_on(&store)).is_empty());
    }
}

#[test]
fn a_journal_that_leads_elsewhere_is_not_followed() {
    let last = (*SIZES.start() / 4 - 1) as u32;
    for (written, place) in [
        (1, 0),
        (1, last + 1),
        (1, u32::MAX),
        (2, layout::WORKERS as u32),
        (layout::JOURNAL_CAPACITY as u32 + 1, last),
    ] {
        let store = store();
        some(&store);
        let word = |at| store.region.memory.word(at);
        for entry in 0..layout::JOURNAL_CAPACITY {
            word(layout::JOURNAL + 2 * entry).store(last, Relaxed);
        }
        let entry = layout::JOURNAL + 2 * (written as usize - 1);
        word(entry).store(place, Relaxed);
        word(layout::JOURNAL_LEN).store(written, Relaxed);
        let reports = reports_of(|| list(&store));
        assert_eq!(reports.len(), 1, "{place}: {reports:?}");
        assert!(check(&store).keys.is_empty());
        assert_eq!(store.stats().emptied, 1);
        go_on(&store);
    }
}

#[test]
fn a_consumer_that_cannot_be_is_forgotten() {
    let store = store();
    some(&store);
    let word = |at| store.region.memory.word(at);
    let place = next(&store, consumer(&store), queues::PLACE);
    word(place).store(layout::MAX_WORKERS as u32, Relaxed);
    // What would be the worker's life: behind the workers there are queues.
    let life = store
        .region
        .peek(next(&store, consumer(&store), queues::LIFE));
    word(layout::QUEUE_TABLE + 16).store(life, Relaxed);
    assert!(!store.tell(1));
    word(layout::QUEUE_TABLE + 16).store(0, Relaxed);
    assert_eq!(check(&store).queues[0].consumers, 0);
    register_again(&store);
    assert!(store.tell(1));
}

#[test]
fn metrics_without_an_end_are_not_followed_for_ever() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    plugin.define(MetricType::Gauge, b"g").unwrap();
    let region = &store.region;
    let count = region.peek(layout::METRICS);
    let directory = region.layout.metric_directory_at;
    let record = region.peek(directory + count as usize - 1) as usize;
    let word = |at| region.memory.word(at);
    word(record + metrics::HASH).fetch_xor(1 << 31, Relaxed);
    word(record + metrics::NEXT_IN_BUCKET).store(count, Relaxed);
    let again = plugin.define(MetricType::Gauge, b"g");
    assert_eq!(again, Err(MetricError::Full));
    assert!(set(&store, KEY, b"value").is_ok());
}

#[test]
fn no_more_metrics_are_shown_than_there_can_be() {
    let store = store();
    store.plugin_metrics("p");
    let count = store.region.memory.word(layout::METRICS);
    count.store(u32::MAX, Relaxed);
    let _ = catch_unwind(AssertUnwindSafe(|| store.prometheus()));
    assert!(set(&store, KEY, b"value").is_ok());
}

#[test]
fn a_metric_is_written_nowhere_else() {
    let metrics_at = store().region.layout.metrics_at as u32;
    for (word, value) in [
        (layout::METRICS_END, 0),
        (layout::METRICS_END, metrics_at - 2),
        (layout::METRICS_END, metrics_at + 1001),
        (layout::METRICS_END, u32::MAX),
        (layout::METRICS, u32::MAX),
    ] {
        let store = store();
        let plugin = store.plugin_metrics("p");
        let damaged = store.region.memory.word(word);
        let before = damaged.swap(value, Relaxed);
        let defined = plugin.define(MetricType::Gauge, b"g");
        assert_eq!(defined, Err(MetricError::Full), "{value}");
        assert_eq!(damaged.swap(before, Relaxed), value);
        go_on(&store);
    }
}

#[test]
fn a_metric_elsewhere_is_none() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    let gauge = plugin.define(MetricType::Gauge, b"g").unwrap();
    let region = &store.region;
    let last = region.layout.metric_directory_at + region.peek(layout::METRICS) as usize - 1;
    let place = region.peek(last);
    for elsewhere in [0, 1, place + 1, u32::MAX] {
        region.memory.word(last).store(elsewhere, Relaxed);
        assert_eq!(plugin.record(gauge, 1), Err(MetricError::NotFound));
        store.prometheus();
    }
    region.memory.word(last).store(place, Relaxed);
    assert_eq!(plugin.record(gauge, 1), Ok(()));
    go_on(&store);
}
