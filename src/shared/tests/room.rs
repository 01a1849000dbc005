//! What happens where there is no room.

use super::check::check;
use super::crash::go_on;
use super::*;
use crate::abi::host::{Event, MetricError};
use crate::shared::chain::MAX_NAME;
use crate::shared::layout::CHUNK_BYTES;

/// How many chunks there are for data and queues.
fn chunks(store: &Store) -> usize {
    store.region.layout.chunks
}

/// Sets keys of two chunks until it fails or one has gone. How many there are.
fn fill(store: &Store) -> u64 {
    for i in 0.. {
        let done = set(store, &format!("key {i}"), &bytes(8));
        if done.is_err() || store.stats().evicted > 0 {
            break;
        }
    }
    store.stats().keys
}

#[test]
fn nothing_is_forgotten_where_it_is_not_to_be() {
    let store = keeping();
    let count = fill(&store);
    assert_eq!(count as usize, chunks(&store) / 2);
    check(&store);
    for i in 0..count {
        assert_eq!(get(&store, &format!("key {i}")).unwrap().0, bytes(8));
    }
    assert_eq!(set(&store, "more", b"v"), Err(SharedDataError::Full));
    let queue = store.register_shared_queue(b"", b"q");
    assert_eq!(queue, Err(QueueError::Full));
    assert_eq!(store.stats().evicted, 0);
    // What is there can change in place, and go.
    set(&store, "key 0", &bytes(60)).unwrap();
    assert_eq!(
        set(&store, "key 0", &bytes(200)),
        Err(SharedDataError::Full)
    );
    assert_eq!(get(&store, "key 0").unwrap().0, bytes(60));
    set(&store, "none", b"").unwrap();
    for i in 1..3 {
        set(&store, &format!("key {i}"), b"").unwrap();
    }
    assert_eq!(store.stats().keys, count - 2);
    // What counts as removed makes room.
    set(&store, "more", b"v").unwrap();
    set(&store, "key 0", &bytes(100)).unwrap();
    assert_eq!(store.stats().evicted, 0);
    check(&store);
}

#[test]
fn the_oldest_go_first() {
    let store = store();
    let count = fill(&store);
    assert_eq!(store.stats().evicted, 1);
    assert_eq!(get(&store, "key 0"), None);
    get(&store, "key 1").unwrap();
    get(&store, "key 3").unwrap();
    // It needs as much as three of the others.
    set(&store, "new", &bytes(5 * CHUNK_BYTES)).unwrap();
    let gone: Vec<_> = (0..=count)
        .filter(|i| !keys(&store, b"").contains(&format!("key {i}")))
        .take(4)
        .collect();
    assert_eq!(gone, [0, 2, 4, 5]);
    assert_eq!(store.stats().evicted, 4);
    // A value that grows is not what goes for it, even if it is the oldest.
    set(&store, "key 6", &bytes(1000)).unwrap();
    assert_eq!(get(&store, "key 6").unwrap().0, bytes(1000));
    assert_eq!(get(&store, "key 7"), None);
    check(&store);
    // A key that would be the first to go moves none.
    let evicted = store.stats().evicted;
    while store.region.lock().available() > 0 {
        set(&store, &format!("more {}", store.stats().keys), b"v").unwrap();
        if store.stats().evicted > evicted {
            break;
        }
    }
    let evicted = store.stats().evicted;
    set(&store, "none", b"").unwrap();
    assert_eq!(store.stats().evicted, evicted);
    check(&store);
}

#[test]
fn what_can_never_fit_moves_nothing() {
    let store = store();
    let count = fill(&store);
    let evicted = store.stats().evicted;
    let quarter = chunks(&store) / 4 * CHUNK_BYTES;
    for len in [quarter + 1, MAX_VALUE, MAX_VALUE + 1] {
        assert_eq!(
            set(&store, "key 9", &bytes(len)),
            Err(SharedDataError::Full)
        );
    }
    let stats = store.stats();
    assert_eq!((stats.keys, stats.evicted), (count, evicted));
    set(&store, "key 9", &bytes(quarter)).unwrap();
    check(&store);

    // Queues never go: with enough of them, there is little left for data.
    let store = self::store();
    for i in 0.. {
        let name = format!("{i:.>0$}", MAX_NAME);
        if store.register_shared_queue(b"", name.as_bytes()).is_err() {
            break;
        }
    }
    let left = store.region.lock().available();
    for i in 0..left / 2 {
        set(&store, &format!("key {i}"), b"v").unwrap();
    }
    let before = check(&store);
    assert_eq!(before.keys.len(), left / 2);
    assert_eq!(
        set(&store, "key 1", &bytes(left * CHUNK_BYTES)),
        Err(SharedDataError::Full)
    );
    assert_eq!(
        set(&store, "large", &bytes(left * CHUNK_BYTES)),
        Err(SharedDataError::Full)
    );
    assert_eq!(
        store.register_shared_queue(b"", &bytes(MAX_NAME)),
        Err(QueueError::Full)
    );
    assert_eq!(check(&store), before);
}

#[test]
fn one_queue_has_an_eighth() {
    let store = store();
    fill(&store);
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    let mut count = 0;
    while store.enqueue_shared_queue(queue, b"x").is_ok() {
        count += 1;
    }
    assert_eq!(count, chunks(&store) / 8);
    assert!(store.stats().evicted > count as u64 / 3);
    let full = Err(QueueError::Full);
    assert_eq!(store.enqueue_shared_queue(queue, b""), full);
    dequeue(&store, queue).unwrap();
    assert_eq!(store.enqueue_shared_queue(queue, &bytes(53)), full);
    store.enqueue_shared_queue(queue, &bytes(52)).unwrap();
    check(&store);
    assert_eq!(
        store.enqueue_shared_queue(queue, &bytes(MAX_VALUE + 1)),
        full
    );
}

#[test]
fn all_queues_have_a_half() {
    let store = store();
    fill(&store);
    let mut full = 0;
    for i in 0..6 {
        let queue = store.register_shared_queue(b"", &[i]).unwrap();
        let before = store.stats().items;
        while store.enqueue_shared_queue(queue, &bytes(1000)).is_ok() {}
        full += usize::from(store.stats().items > before);
    }
    let each = (8 + 1000_usize).div_ceil(CHUNK_BYTES);
    let in_one = chunks(&store) / 8 / each;
    assert_eq!(full, chunks(&store) / 2 / each / in_one + 1);
    assert_eq!(store.stats().items as usize, chunks(&store) / 2 / each);
    // There is as much for data.
    for i in 0..100 {
        set(&store, &format!("large {i}"), &bytes(3000)).unwrap();
        assert!(get(&store, &format!("large {i}")).is_some());
    }
    check(&store);
}

#[test]
fn a_large_store() {
    let store = Store::new(1 << 30, Policy::None).unwrap();
    for i in 0..20 {
        set(&store, &format!("key {i}"), &bytes(100_000 * i)).unwrap_or_else(|error| {
            assert_eq!((i > 10, error), (true, SharedDataError::Full));
        });
    }
    assert_eq!(get(&store, "key 10").unwrap().0, bytes(1_000_000));
    let plugin = store.plugin_metrics("p");
    for i in 0..40_u8 {
        plugin.define(MetricType::Histogram, &[i; 1024]).unwrap();
    }
    assert_eq!(keys(&store, b"").len(), 10);
    assert_eq!(check(&store).keys.len(), 11);
}

#[test]
fn an_item_of_the_largest_size() {
    let store = Store::new(16 << 20, Policy::Lru).unwrap();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    let item = bytes(MAX_VALUE);
    store.enqueue_shared_queue(queue, &item).unwrap();
    assert_eq!(
        store.enqueue_shared_queue(queue, &bytes(MAX_VALUE + 1)),
        Err(QueueError::Full)
    );
    assert!(dequeue(&store, queue) == Ok(item));
    check(&store);
}

#[test]
fn as_many_queues_as_there_can_be() {
    let store = store();
    for i in 1..=layout::MAX_QUEUES as u32 {
        let queue = store.register_shared_queue(b"", &i.to_ne_bytes());
        assert_eq!(queue, Ok(i));
    }
    assert_eq!(
        store.register_shared_queue(b"", b"more"),
        Err(QueueError::Full)
    );
    assert_eq!(
        store.register_shared_queue(b"", &7_u32.to_ne_bytes()),
        Ok(7)
    );
    let last = layout::MAX_QUEUES as u32;
    store.enqueue_shared_queue(last, b"x").unwrap();
    assert!(store.tell(last));
    assert_eq!(dequeue(&store, last), Ok(b"x".to_vec()));
    check(&store);
    store.retire();
    assert!(check(&store).queues.iter().all(|q| q.consumers == 0));
}

#[test]
fn as_many_metrics_as_there_can_be() {
    // Small ones use the directory up, large ones the room.
    for kind in [MetricType::Counter, MetricType::Histogram] {
        let store = store();
        let plugin = store.plugin_metrics("p");
        let id = plugin.define(kind, b"first").unwrap();
        let mut count = 0_u32;
        while plugin.define(kind, &count.to_ne_bytes()).is_ok() {
            count += 1;
        }
        let most = store.region.layout.max_metrics as u64;
        let metrics = store.stats().metrics;
        assert_eq!(metrics == most, kind == MetricType::Counter, "{metrics}");
        assert!(metrics > most / 3);
        check(&store);
        // What there is counts on.
        plugin.record(id, 5).unwrap();
        assert_eq!(plugin.define(kind, b"first"), Ok(id));
        // A plugin that comes too late does without.
        while store.stats().metrics < most {
            let more = store.plugin_metrics(&store.stats().metrics.to_string());
            if more.define(MetricType::Counter, b"").is_err() {
                break;
            }
        }
        let late = store.plugin_metrics("late");
        assert_eq!(late.define(kind, b"x"), Err(MetricError::Full));
        assert_eq!(late.get(id), Err(MetricError::NotFound));
        assert_eq!(late.record(id, 1), Err(MetricError::NotFound));
        assert_eq!(late.increment(id, 1), Err(MetricError::NotFound));
        for event in [
            Event::Request,
            Event::CallBegun,
            Event::CallEnded { failed: true },
            Event::Callback(0),
        ] {
            late.note(event);
        }
        check(&store);
        set(&store, "k", b"v").unwrap();
        assert_eq!(get(&store, "k").unwrap().0, b"v");
    }
}

#[test]
fn all_at_once() {
    let store = store();
    fill(&store);
    for i in 0..20 {
        let queue = store.register_shared_queue(b"", &[i]).unwrap();
        while store.enqueue_shared_queue(queue, &bytes(500)).is_ok() {}
    }
    for i in 0..1000 {
        set(&store, &format!("long {i}").repeat(100), &bytes(i)).unwrap();
    }
    check(&store);
    for queue in 1..=20 {
        while let Ok(item) = dequeue(&store, queue) {
            assert_eq!(item, bytes(500));
        }
    }
    go_on(&store);
}
