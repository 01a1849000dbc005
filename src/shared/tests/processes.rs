//! Many processes at once.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use super::check::check;
use super::crash::go_on;
use super::process::{Child, End, Watchdog, Words};
use super::*;
use crate::shared::metrics::BOUNDS;
use crate::shared::samples::Value;

/// Has so many processes do this, each with its number, and waits for them.
fn processes(count: usize, work: impl Fn(usize)) {
    let children: Vec<_> = (0..count).map(|i| Child::new(|| work(i))).collect();
    for child in children {
        assert_eq!(child.wait(), End::Done);
    }
}

#[test]
fn compare_and_swap() {
    const EACH: u32 = 25_000;
    let _watchdog = Watchdog::new();
    let store = store();
    set(&store, "n", b"0").unwrap();
    processes(4, |_| {
        for _ in 0..EACH {
            loop {
                let (value, cas) = get(&store, "n").unwrap();
                let number: u32 = str::from_utf8(&value).unwrap().parse().unwrap();
                let next = (number + 1).to_string();
                if store
                    .set_shared_data(b"", b"n", next.as_bytes(), cas)
                    .is_ok()
                {
                    break;
                }
            }
        }
    });
    assert_eq!(get(&store, "n").unwrap().0, b"100000");
    check(&store);
}

#[test]
fn counters_and_histograms() {
    const EACH: u64 = 25_000;
    let _watchdog = Watchdog::new();
    let store = store();
    processes(4, |i| {
        // Whoever comes first defines them.
        let plugin = store.plugin_metrics("p");
        let counter = plugin.define(MetricType::Counter, b"c").unwrap();
        let histogram = plugin.define(MetricType::Histogram, b"h").unwrap();
        for _ in 0..EACH {
            plugin.increment(counter, 2).unwrap();
            plugin.record(histogram, i as u64).unwrap();
        }
    });
    let metrics = check(&store).metrics;
    let values: Vec<_> = metrics.into_iter().map(|(.., value)| value).collect();
    let mut counts = vec![0; BOUNDS.len() + 1];
    counts[..3].copy_from_slice(&[EACH, EACH, 2 * EACH]);
    let sum = (1 + 2 + 3) * EACH;
    assert!(values.contains(&Value::Number(8 * EACH)));
    assert!(values.contains(&Value::Histogram { counts, sum }));
}

#[test]
fn a_queue_with_many_at_both_ends() {
    const EACH: u32 = 5000;
    let _watchdog = Watchdog::new();
    let store = store();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    // How often each item has come.
    let seen = Words::new(2 * EACH as usize);
    let taken = Words::new(1);
    processes(4, |i| {
        if i < 2 {
            for n in 0..EACH {
                let mut item = (i as u32 * EACH + n).to_ne_bytes().to_vec();
                // Of one chunk, or of some.
                item.resize(4 + n as usize % 200, 0);
                while store.enqueue_shared_queue(queue, &item).is_err() {
                    thread::yield_now();
                }
            }
            return;
        }
        let mut last = [None; 2];
        while taken.get(0) < 2 * EACH {
            let Ok(item) = dequeue(&store, queue) else {
                thread::yield_now();
                continue;
            };
            taken.add(0);
            let n = u32::from_ne_bytes(item[..4].try_into().unwrap());
            assert_eq!(item.len(), 4 + (n % EACH) as usize % 200);
            seen.add(n as usize);
            // In each producer's order.
            let last = &mut last[(n / EACH) as usize];
            assert!(*last < Some(n));
            *last = Some(n);
        }
    });
    assert!((0..2 * EACH as usize).all(|n| seen.get(n) == 1));
    assert_eq!(store.stats().items, 0);
    check(&store);
}

/// Some of everything, for ever.
fn hammer(store: &Store, seed: u64) {
    let mut random = Random(seed);
    let plugin = store.plugin_metrics("p");
    for round in 0.. {
        let key = format!("key {}", random.below(100));
        let len = [0, 8, 60, 300, 5000, 60_000][random.below(6)];
        let queue = 1 + random.below(3) as u32;
        match random.below(10) {
            0..=2 => drop(get(store, &key)),
            3..=5 => set(store, &key, &vec![b'v'; len]).unwrap(),
            6 => {
                let name = format!("queue {}", random.below(3));
                store.register_shared_queue(b"", name.as_bytes()).unwrap();
            }
            7 => drop(store.enqueue_shared_queue(queue, &vec![b'i'; len])),
            8 => {
                store.tell(queue);
                let _ = dequeue(store, queue);
            }
            _ => {
                let name = format!("{}", random.below(200));
                let kind = MetricType::try_from(random.below(3) as u32).unwrap();
                if let Ok(id) = plugin.define(kind, name.as_bytes()) {
                    plugin.record(id, round).unwrap();
                }
                if random.below(20) == 0 {
                    store.remove_shared_data(b"", key.as_bytes());
                    store.prometheus();
                    keys(store, b"");
                }
            }
        }
    }
}

#[test]
fn some_are_killed_while_others_go_on() {
    let _watchdog = Watchdog::new();
    let store = store();
    let mut random = Random(7);
    let alive = Words::new(1);
    let mut start = || {
        let seed = random.below(1 << 40) as u64 + 1;
        Child::new(|| {
            alive.add(0);
            hammer(&store, seed);
        })
    };
    let mut children: Vec<_> = (0..4).map(|_| start()).collect();
    let mut moments = Random(11);
    for _ in 0..100 {
        thread::sleep(Duration::from_micros(moments.below(8000) as u64));
        let victim = moments.below(children.len());
        let child = std::mem::replace(&mut children[victim], start());
        assert_eq!(child.kill(), End::Killed);
    }
    for child in children {
        assert_eq!(child.kill(), End::Killed);
    }
    let contents = check(&store);
    let stats = store.stats();
    assert_eq!(stats.emptied, 0);
    assert!(stats.recovered > 0 && stats.evicted > 0 && alive.word(0).load(Relaxed) > 10);
    assert!(!contents.keys.is_empty() && !contents.queues.is_empty());
    go_on(&store);
}
