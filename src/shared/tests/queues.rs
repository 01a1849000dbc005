use super::check::check;
use super::*;
use crate::shared::chain::MAX_NAME;

#[test]
fn first_in_first_out() {
    let store = store();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    assert_eq!(dequeue(&store, queue), Err(QueueError::Empty));
    let lens = [0, 1, 51, 52, 53, 111, 112, 113, 5000];
    for round in 0..3 {
        for len in lens {
            store
                .enqueue_shared_queue(queue, &bytes(len + round))
                .unwrap();
        }
        check(&store);
        for len in lens {
            assert_eq!(dequeue(&store, queue), Ok(bytes(len + round)));
        }
        assert_eq!(dequeue(&store, queue), Err(QueueError::Empty));
        check(&store);
    }
    let mut value = b"an ".to_vec();
    store.enqueue_shared_queue(queue, b"item").unwrap();
    store.dequeue_shared_queue(b"", queue, &mut value).unwrap();
    assert_eq!(value, b"an item");
}

#[test]
fn names_and_numbers() {
    let store = store();
    assert_eq!(store.resolve_shared_queue(b"", b"q"), None);
    let names: [(&[u8], &[u8]); 3] = [(b"", b"ab"), (b"a", b"b"), (b"ab", b"")];
    let ids = names.map(|(vm_id, name)| store.register_shared_queue(vm_id, name).unwrap());
    assert_eq!(ids, [1, 2, 3]);
    for ((vm_id, name), id) in names.into_iter().zip(ids) {
        assert_eq!(store.register_shared_queue(vm_id, name), Ok(id));
        assert_eq!(store.resolve_shared_queue(vm_id, name), Some(id));
    }
    assert_eq!(store.resolve_shared_queue(b"b", b"a"), None);
    assert_eq!(store.stats().queues, 3);
    for id in [0, 4, u32::MAX] {
        assert_eq!(
            store.enqueue_shared_queue(id, b"x"),
            Err(QueueError::NotFound)
        );
        assert_eq!(dequeue(&store, id), Err(QueueError::NotFound));
        assert!(!store.tell(id));
        store.leave_queue(id);
    }
    check(&store);
}

#[test]
fn a_queue_is_read_in_its_namespace_only() {
    let store = store();
    let queue = store.register_shared_queue(b"a", b"q").unwrap();
    store.enqueue_shared_queue(queue, b"x").unwrap();
    for vm_id in [&b""[..], b"b", b"aq"] {
        assert_eq!(
            store.dequeue_shared_queue(vm_id, queue, &mut Vec::new()),
            Err(QueueError::NotFound)
        );
    }
    let mut value = Vec::new();
    store.dequeue_shared_queue(b"a", queue, &mut value).unwrap();
    assert_eq!(value, b"x");
}

#[test]
fn an_item_is_told_once() {
    let store = store();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    assert!(!store.is_rung());
    assert!(!store.tell(queue));
    for _ in 0..3 {
        store.enqueue_shared_queue(queue, b"x").unwrap();
    }
    assert!(store.is_rung());
    store.silence();
    assert!(!store.is_rung());
    assert!(store.tell(queue));
    assert!(store.tell(queue));
    // The one that nobody was told of goes as well.
    for _ in 0..3 {
        dequeue(&store, queue).unwrap();
    }
    assert!(!store.tell(queue));
    store.enqueue_shared_queue(queue, b"x").unwrap();
    assert!(store.is_rung());
    assert!(store.tell(queue));
    assert!(!store.tell(queue));
    check(&store);
}

#[test]
fn who_registers_again_is_told_of_what_is_there() {
    let store = store();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    store.enqueue_shared_queue(queue, b"x").unwrap();
    store.enqueue_shared_queue(queue, b"y").unwrap();
    assert!(store.tell(queue) && store.tell(queue));
    store.silence();
    store.register_shared_queue(b"", b"q").unwrap();
    assert!(store.is_rung());
    assert!(store.tell(queue) && store.tell(queue) && !store.tell(queue));
    store.silence();
    store.leave_queue(queue);
    store.enqueue_shared_queue(queue, b"z").unwrap();
    assert!(!store.is_rung() && !store.tell(queue));
    store.register_shared_queue(b"", b"q").unwrap();
    assert!(store.is_rung());
    assert_eq!(check(&store).queues[0].untold, 3);
}

#[test]
fn names_that_are_too_long() {
    let store = store();
    for vm_id_len in [0, 1, MAX_NAME + 1] {
        let (vm_id, name) = (&bytes(vm_id_len), &bytes(MAX_NAME + 1 - vm_id_len));
        assert_eq!(
            store.register_shared_queue(vm_id, name),
            Err(QueueError::Full)
        );
        assert_eq!(store.resolve_shared_queue(vm_id, name), None);
    }
    let queue = store
        .register_shared_queue(b"v", &bytes(MAX_NAME - 1))
        .unwrap();
    assert_eq!(
        store.resolve_shared_queue(b"v", &bytes(MAX_NAME - 1)),
        Some(queue)
    );
    check(&store);
}
