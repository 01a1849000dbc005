use super::*;

fn data(store: &LocalStore, vm_id: &[u8], key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut value = Vec::new();
    let cas = store.get_shared_data(vm_id, key, &mut value)?;
    Some((value, cas))
}

fn dequeue(store: &LocalStore, id: u32) -> Result<Vec<u8>, QueueError> {
    let mut value = Vec::new();
    store.dequeue_shared_queue(id, &mut value)?;
    Ok(value)
}

#[test]
fn data_is_kept_by_namespace() {
    let store = LocalStore::default();
    assert_eq!(data(&store, b"a", b"k"), None);
    store.set_shared_data(b"a", b"k", b"1", 0).unwrap();
    store.set_shared_data(b"b", b"k", b"", 0).unwrap();
    assert_eq!(data(&store, b"a", b"k").unwrap().0, b"1");
    assert_eq!(data(&store, b"b", b"k").unwrap().0, b"");
    assert_eq!(data(&store, b"", b"k"), None);
}

#[test]
fn values_are_appended_to_what_is_there() {
    let store = LocalStore::default();
    store.set_shared_data(b"", b"k", b"value", 0).unwrap();
    let mut out = b"a ".to_vec();
    store.get_shared_data(b"", b"k", &mut out).unwrap();
    assert_eq!(out, b"a value");
}

#[test]
fn only_the_current_number_swaps() {
    let store = LocalStore::default();
    store.set_shared_data(b"", b"k", b"1", 7).unwrap();
    assert_eq!(data(&store, b"", b"k"), Some((b"1".to_vec(), 1)));
    store.set_shared_data(b"", b"k", b"2", 1).unwrap();
    assert_eq!(data(&store, b"", b"k"), Some((b"2".to_vec(), 2)));
    for cas in [1, 3, u32::MAX] {
        assert_eq!(
            store.set_shared_data(b"", b"k", b"3", cas),
            Err(SharedDataError::CasMismatch)
        );
    }
    assert_eq!(data(&store, b"", b"k"), Some((b"2".to_vec(), 2)));
    store.set_shared_data(b"", b"k", b"4", 0).unwrap();
    assert_eq!(data(&store, b"", b"k"), Some((b"4".to_vec(), 3)));
}

#[test]
fn numbers_never_come_to_zero() {
    let store = LocalStore::default();
    store.last_cas.set(u32::MAX);
    store.set_shared_data(b"", b"k", b"", 0).unwrap();
    assert_eq!(data(&store, b"", b"k").unwrap().1, 1);
}

#[test]
fn data_that_does_not_fit_leaves_all_as_it_was() {
    let store = LocalStore::new(OVERHEAD + 10);
    let full = Err(SharedDataError::Full);
    assert_eq!(store.set_shared_data(b"v", b"k", b"123456789", 0), full);
    store.set_shared_data(b"v", b"k", b"12345678", 0).unwrap();
    assert_eq!(store.set_shared_data(b"v", b"k", b"123456789", 0), full);
    assert_eq!(store.set_shared_data(b"v", b"l", b"", 0), full);
    assert_eq!(data(&store, b"v", b"k"), Some((b"12345678".to_vec(), 1)));
    store.set_shared_data(b"v", b"k", b"", 0).unwrap();
    store.set_shared_data(b"v", b"k", b"87654321", 0).unwrap();
}

#[test]
fn queues_are_first_in_first_out() {
    let store = LocalStore::default();
    let a = store.register_shared_queue(b"vm", b"a").unwrap();
    let b = store.register_shared_queue(b"vm", b"b").unwrap();
    assert_eq!((a, b), (1, 2));
    assert_eq!(store.register_shared_queue(b"vm", b"a"), Ok(a));
    assert_eq!(store.resolve_shared_queue(b"vm", b"b"), Some(b));
    assert_eq!(store.resolve_shared_queue(b"other", b"b"), None);

    store.enqueue_shared_queue(a, b"1").unwrap();
    store.enqueue_shared_queue(a, b"").unwrap();
    assert_eq!(dequeue(&store, b), Err(QueueError::Empty));
    assert_eq!(dequeue(&store, a).unwrap(), b"1");
    assert_eq!(dequeue(&store, a).unwrap(), b"");
    assert_eq!(dequeue(&store, a), Err(QueueError::Empty));
    for unknown in [0, 3, u32::MAX] {
        assert_eq!(dequeue(&store, unknown), Err(QueueError::NotFound));
        assert_eq!(
            store.enqueue_shared_queue(unknown, b""),
            Err(QueueError::NotFound)
        );
    }
}

#[test]
fn a_queue_takes_no_more_than_there_is_room_for() {
    let store = LocalStore::new(4 * OVERHEAD);
    let queue = store.register_shared_queue(b"", b"").unwrap();
    for _ in 0..100 {
        while store.enqueue_shared_queue(queue, b"").is_ok() {}
        for _ in 0..3 {
            dequeue(&store, queue).unwrap();
        }
        assert_eq!(dequeue(&store, queue), Err(QueueError::Empty));
    }
    assert_eq!(
        store.enqueue_shared_queue(queue, &[0; 4 * OVERHEAD]),
        Err(QueueError::Full)
    );
}

#[test]
fn there_is_an_end_to_queues() {
    let store = LocalStore::default();
    for i in 0..MAX_QUEUES {
        store.register_shared_queue(b"", &i.to_le_bytes()).unwrap();
    }
    assert_eq!(
        store.register_shared_queue(b"", b"one more"),
        Err(QueueError::Full)
    );
    assert!(
        store
            .register_shared_queue(b"", &0usize.to_le_bytes())
            .is_ok()
    );
}

#[test]
fn metrics_do_what_their_type_says() {
    let store = LocalStore::default();
    let counter = store.define_metric(MetricType::Counter, b"c").unwrap();
    let gauge = store.define_metric(MetricType::Gauge, b"g").unwrap();
    let histogram = store.define_metric(MetricType::Histogram, b"h").unwrap();
    let bad = Err(MetricError::BadArgument);

    store.increment_metric(counter, 2).unwrap();
    store.increment_metric(counter, 0).unwrap();
    assert_eq!(store.increment_metric(counter, -1), bad);
    assert_eq!(store.get_metric(counter), Ok(2));
    store.record_metric(counter, 10).unwrap();
    store.increment_metric(counter, 1).unwrap();
    assert_eq!(store.get_metric(counter), Ok(11));

    store.record_metric(gauge, 5).unwrap();
    store.increment_metric(gauge, -6).unwrap();
    assert_eq!(store.get_metric(gauge), Ok(u64::MAX));
    store.increment_metric(gauge, 3).unwrap();
    assert_eq!(store.get_metric(gauge), Ok(2));

    store.record_metric(histogram, 1000).unwrap();
    store.record_metric(histogram, 2000).unwrap();
    assert_eq!(store.increment_metric(histogram, 1), bad);
    assert_eq!(store.get_metric(histogram), Ok(2));
}

#[test]
fn a_metric_is_defined_once() {
    let store = LocalStore::default();
    let id = store.define_metric(MetricType::Gauge, b"m").unwrap();
    store.record_metric(id, 3).unwrap();
    assert_eq!(store.define_metric(MetricType::Gauge, b"m"), Ok(id));
    assert_eq!(store.get_metric(id), Ok(3));
    assert_eq!(
        store.define_metric(MetricType::Counter, b"m"),
        Err(MetricError::BadArgument)
    );
    for unknown in [0, id - 1, id + 1, id + 4, u32::MAX] {
        assert_eq!(store.get_metric(unknown), Err(MetricError::NotFound));
        assert_eq!(store.record_metric(unknown, 1), Err(MetricError::NotFound));
        assert_eq!(
            store.increment_metric(unknown, 1),
            Err(MetricError::NotFound)
        );
    }
}

#[test]
fn there_is_an_end_to_metrics() {
    let store = LocalStore::default();
    for i in 0..MAX_METRICS {
        store
            .define_metric(MetricType::Counter, &i.to_le_bytes())
            .unwrap();
    }
    assert_eq!(
        store.define_metric(MetricType::Counter, b"one more"),
        Err(MetricError::Full)
    );
    let small = LocalStore::new(OVERHEAD);
    assert_eq!(
        small.define_metric(MetricType::Gauge, b"name"),
        Err(MetricError::Full)
    );
}
