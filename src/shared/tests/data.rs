use std::collections::HashMap;

use super::check::check;
use super::*;
use crate::shared::chain::MAX_NAME;

#[test]
fn a_value_under_a_key() {
    let store = store();
    assert_eq!(get(&store, "k"), None);
    set(&store, "k", b"one").unwrap();
    assert_eq!(get(&store, "k"), Some((b"one".to_vec(), 1)));
    set(&store, "k", b"two").unwrap();
    assert_eq!(get(&store, "k"), Some((b"two".to_vec(), 2)));
    assert_eq!(get(&store, ""), None);
    set(&store, "", b"of no name").unwrap();
    assert_eq!(get(&store, "").unwrap().0, b"of no name");
    assert_eq!(store.stats().keys, 2);
    check(&store);
}

#[test]
fn a_value_is_appended() {
    let store = store();
    set(&store, "k", b"value").unwrap();
    let mut value = b"a ".to_vec();
    store.get_shared_data(b"", b"k", &mut value).unwrap();
    assert_eq!(value, b"a value");
    assert_eq!(store.get_shared_data(b"", b"none", &mut value), None);
    assert_eq!(value, b"a value");
}

#[test]
fn namespaces() {
    let store = store();
    let names: [(&[u8], &[u8]); 4] = [(b"", b"ab"), (b"a", b"b"), (b"ab", b""), (b"b", b"a")];
    for (i, (vm_id, key)) in names.iter().enumerate() {
        store.set_shared_data(vm_id, key, &[i as u8], 0).unwrap();
    }
    for (i, (vm_id, key)) in names.iter().enumerate() {
        let mut value = Vec::new();
        store.get_shared_data(vm_id, key, &mut value).unwrap();
        assert_eq!(value, [i as u8]);
    }
    assert_eq!(keys(&store, b""), ["ab"]);
    assert_eq!(keys(&store, b"a"), ["b"]);
    assert_eq!(keys(&store, b"ab"), [""]);
    assert!(keys(&store, b"abc").is_empty());
    assert!(store.remove_shared_data(b"a", b"b"));
    assert!(!store.remove_shared_data(b"a", b"b"));
    assert_eq!(store.stats().keys, 3);
    assert!(keys(&store, b"a").is_empty());
    assert_eq!(keys(&store, b"b"), ["a"]);
    check(&store);
}

#[test]
fn compare_and_swap() {
    let store = store();
    let swap = |value: &[u8], cas| store.set_shared_data(b"", b"k", value, cas);
    // A key that is not there takes any number.
    swap(b"1", 7).unwrap();
    assert_eq!(cas(&store, "k"), 1);
    assert_eq!(swap(b"2", 7), Err(SharedDataError::CasMismatch));
    assert_eq!(swap(b"", 7), Err(SharedDataError::CasMismatch));
    assert_eq!(get(&store, "k").unwrap(), (b"1".to_vec(), 1));
    swap(b"2", 1).unwrap();
    assert_eq!(swap(b"3", 1), Err(SharedDataError::CasMismatch));
    // Other keys have numbers of their own.
    set(&store, "other", b"x").unwrap();
    assert_eq!(cas(&store, "other"), 3);
    swap(b"3", 2).unwrap();
    assert_eq!(cas(&store, "k"), 4);
    // A key that comes back has no number that it had before.
    swap(b"", 4).unwrap();
    assert_eq!(swap(b"4", 4), Err(SharedDataError::CasMismatch));
    swap(b"4", 5).unwrap();
    assert!(store.remove_shared_data(b"", b"k"));
    swap(b"5", 4).unwrap();
    assert_eq!(cas(&store, "k"), 7);
    // The highest number is none that a key has: what it sets is not there.
    assert_eq!(swap(b"6", u32::MAX), Err(SharedDataError::CasMismatch));
    swap(b"", 7).unwrap();
    swap(b"6", u32::MAX).unwrap();
    assert!(store.remove_shared_data(b"", b"k"));
    swap(b"7", u32::MAX).unwrap();
    assert_eq!(get(&store, "k"), Some((b"7".to_vec(), 10)));
    check(&store);
}

#[test]
fn a_number_is_neither_0_nor_the_highest() {
    let store = store();
    store
        .region
        .memory
        .word(layout::LAST_CAS)
        .store(u32::MAX - 2, std::sync::atomic::Ordering::Relaxed);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        set(&store, "k", b"v").unwrap();
        numbers.push(cas(&store, "k"));
    }
    assert_eq!(numbers, [u32::MAX - 1, 1, 2]);
}

#[test]
fn an_empty_value_removes_the_key() {
    let store = store();
    for len in [1, 60, 61, 100_000] {
        set(&store, "k", &bytes(len)).unwrap();
        let before = cas(&store, "k");
        set(&store, "k", b"").unwrap();
        // Who has removed it so finds it as it was left.
        assert_eq!(get(&store, "k"), Some((Vec::new(), before + 1)));
        assert!(keys(&store, b"").is_empty());
        let stats = store.stats();
        assert_eq!((stats.keys, stats.used), (0, 64));
        check(&store);
        set(&store, "k", b"").unwrap();
        assert_eq!(get(&store, "k"), Some((Vec::new(), before + 2)));
        assert!(!store.remove_shared_data(b"", b"k"));
        assert_eq!(get(&store, "k"), None);
        assert_eq!(store.stats().used, 0);
        set(&store, "k", b"").unwrap();
        assert_eq!(get(&store, "k"), Some((Vec::new(), before + 3)));
        assert_eq!(store.stats().keys, 0);
        check(&store);
    }
    assert_eq!(store.stats().evicted, 0);
}

#[test]
fn values_of_all_sizes() {
    let store = Store::new(8 << 20, Policy::Lru).unwrap();
    let lens = [
        1, 2, 3, 4, 5, 59, 60, 61, 63, 64, 119, 120, 121, 179, 180, 181, 4096, 100_000, MAX_VALUE,
    ];
    for len in lens {
        set(&store, "k", &bytes(len)).unwrap();
        assert_eq!(get(&store, "k").unwrap().0, bytes(len), "{len}");
    }
    check(&store);
    assert_eq!(
        set(&store, "k", &bytes(MAX_VALUE + 1)),
        Err(SharedDataError::Full)
    );
    assert_eq!(get(&store, "k").unwrap().0.len(), MAX_VALUE);
    // Each is replaced by each.
    let lens = &lens[..13];
    for before in lens {
        for after in lens {
            set(&store, "k", &bytes(*before)).unwrap();
            set(&store, "k", &bytes(*after)).unwrap();
            assert_eq!(get(&store, "k").unwrap().0, bytes(*after));
        }
        check(&store);
    }
    store.remove_shared_data(b"", b"k");
    assert_eq!(store.stats().used, 0);
    assert_eq!(store.stats().evicted, 0);
}

#[test]
fn keys_of_all_sizes() {
    let store = store();
    // Where a name begins, and around the ends of its chunks.
    let lens = [0, 1, 23, 24, 25, 83, 84, 85, 86, 143, 144, 145, MAX_NAME];
    for len in lens {
        let vm_id_len = len.min(30);
        let (vm_id, key) = (&bytes(len)[..vm_id_len], &bytes(len)[vm_id_len..]);
        let value = len.to_string();
        store
            .set_shared_data(vm_id, key, value.as_bytes(), 0)
            .unwrap();
        let mut found = Vec::new();
        store.get_shared_data(vm_id, key, &mut found).unwrap();
        assert_eq!(found, value.as_bytes());
        let mut names = Vec::new();
        store.keys(vm_id, usize::MAX, |name| names.push(name.to_vec()));
        assert!(names.contains(&key.to_vec()), "{len}");
    }
    assert_eq!(store.stats().keys, lens.len() as u64);
    check(&store);
    for vm_id_len in [0, 1, MAX_NAME, MAX_NAME + 1] {
        let (vm_id, key) = (&bytes(vm_id_len), &bytes(MAX_NAME + 1 - vm_id_len));
        for value in [&b"v"[..], b""] {
            assert_eq!(
                store.set_shared_data(vm_id, key, value, 0),
                Err(SharedDataError::Full)
            );
        }
        assert!(!store.remove_shared_data(vm_id, key));
        assert_eq!(store.get_shared_data(vm_id, key, &mut Vec::new()), None);
    }
    check(&store);
}

/// Two numbers whose names have the same hash.
fn collision(hash: impl Fn(&[u8]) -> u32) -> [[u8; 4]; 2] {
    let mut seen = HashMap::new();
    for i in 0_u32.. {
        let bytes = i.to_ne_bytes();
        if let Some(other) = seen.insert(hash(&bytes), bytes) {
            return [other, bytes];
        }
    }
    unreachable!()
}

#[test]
fn names_with_the_same_hash() {
    let store = store();
    let hash = |vm_id: &[u8], key: &[u8]| store.region.hash([vm_id, key]);
    for [a, b] in [
        collision(|bytes| hash(bytes, b"k")).map(|vm_id| (vm_id.to_vec(), b"k".to_vec())),
        collision(|bytes| hash(b"v", bytes)).map(|key| (b"v".to_vec(), key.to_vec())),
    ] {
        store.set_shared_data(&a.0, &a.1, b"a", 0).unwrap();
        assert_eq!(store.get_shared_data(&b.0, &b.1, &mut Vec::new()), None);
        store.set_shared_data(&b.0, &b.1, b"b", 0).unwrap();
        assert!(store.remove_shared_data(&a.0, &a.1));
        let mut value = Vec::new();
        store.get_shared_data(&b.0, &b.1, &mut value).unwrap();
        assert_eq!(value, b"b");
        check(&store);
    }
}

#[test]
fn the_keys_of_a_namespace() {
    let store = store();
    let count = |vm_id: &[u8], max| {
        let mut count = 0;
        store.keys(vm_id, max, |_| count += 1);
        count
    };
    assert_eq!(count(b"", 10), 0);
    for i in 0..1000 {
        set(&store, &format!("key {i:3}"), b"v").unwrap();
        store
            .set_shared_data(b"other", format!("key {i}").as_bytes(), b"v", 0)
            .unwrap();
        set(&store, &format!("removed {i}"), b"").unwrap();
    }
    let expected: Vec<_> = (0..1000).map(|i| format!("key {i:3}")).collect();
    assert_eq!(keys(&store, b""), expected);
    for max in [0, 1, 10, 999, 1000, 1001] {
        assert_eq!(count(b"", max), max.min(1000));
        assert_eq!(count(b"other", max), max.min(1000));
    }
}

/// The keys, the one used last first.
fn order(store: &Store) -> String {
    let keys = check(store).keys;
    keys.into_iter()
        .map(|key| String::from_utf8(key.key).unwrap())
        .collect()
}

#[test]
fn what_is_used_goes_to_the_front() {
    let store = store();
    for key in ["a", "b", "c", "d"] {
        set(&store, key, b"v").unwrap();
    }
    assert_eq!(order(&store), "dcba");
    get(&store, "d").unwrap();
    assert_eq!(order(&store), "dcba");
    get(&store, "b").unwrap();
    assert_eq!(order(&store), "bdca");
    get(&store, "a").unwrap();
    assert_eq!(order(&store), "abdc");
    set(&store, "c", b"in place").unwrap();
    assert_eq!(order(&store), "cabd");
    set(&store, "d", &bytes(1000)).unwrap();
    assert_eq!(order(&store), "dcab");
    store.remove_shared_data(b"", b"a");
    assert_eq!(order(&store), "dcb");
    // Neither what fails nor a look at the names is a use.
    assert!(store.set_shared_data(b"", b"b", b"v", 99).is_err());
    keys(&store, b"");
    assert_eq!(order(&store), "dcb");
    // What counts as removed is the first to go, whatever is done with it, until it has a value again.
    set(&store, "d", b"").unwrap();
    assert_eq!(order(&store), "cbd");
    set(&store, "e", b"").unwrap();
    set(&store, "d", b"").unwrap();
    get(&store, "e").unwrap();
    assert_eq!(order(&store), "cbde");
    set(&store, "d", b"v").unwrap();
    assert_eq!(order(&store), "dcbe");
    for (key, left) in [("c", "dbe"), ("e", "db"), ("d", "b"), ("b", "")] {
        store.remove_shared_data(b"", key.as_bytes());
        assert_eq!(order(&store), left);
    }
}

#[test]
fn stats() {
    let store = store();
    let before = store.stats();
    assert_eq!(
        before,
        Stats {
            size: 1 << 20,
            used: 0,
            keys: 0,
            evicted: 0,
            queues: 0,
            items: 0,
            metrics: 0,
            recovered: 0,
            emptied: 0
        }
    );
    set(&store, "k", b"v").unwrap();
    assert_eq!(store.stats().used, 128);
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    assert_eq!(store.stats().used, 256);
    store.enqueue_shared_queue(queue, &[0; 52]).unwrap();
    store.enqueue_shared_queue(queue, &[0; 53]).unwrap();
    assert_eq!(store.stats().used, 256 + 64 + 128);
    let plugin = store.plugin_metrics("p");
    let own = store.stats().metrics;
    plugin.define(MetricType::Counter, b"c").unwrap();
    let stats = store.stats();
    assert_eq!(stats.metrics, own + 1);
    assert!(stats.used > 256 + 64 + 128 && stats.used < 2048);
    assert_eq!((stats.keys, stats.queues, stats.items), (1, 1, 2));
    set(&store, "k", b"").unwrap();
    dequeue(&store, queue).unwrap();
    check(&store);
    let stats = store.stats();
    assert_eq!((stats.keys, stats.queues, stats.items), (0, 1, 1));
}
