use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::check::check;
use super::process::{Child, End, Peer, Watchdog};
use super::*;
use crate::abi::host::Event;
use crate::shared::metrics::{HostMetric, Kind};
use crate::shared::samples::{Value, samples};

const LONG: Duration = Duration::from_secs(50);

/// A process that uses one queue.
fn peer(store: &Store) -> Peer {
    let store = store.clone();
    let mut queue = 0;
    let mut bell = None;
    Peer::new(move |request| match request {
        b'r' => {
            queue = store.register_shared_queue(b"", b"q").unwrap();
            bell = store.bell();
            queue as u8
        }
        b'?' => store.is_rung().into(),
        b't' => {
            store.silence();
            // How many items it is told of.
            let mut told = 0;
            while store.tell(queue) {
                told += 1;
            }
            told
        }
        b'd' => dequeue(&store, queue).map_or(0, |item| item[0]),
        b'l' => {
            store.leave_queue(queue);
            0
        }
        b'q' => {
            store.retire();
            0
        }
        b'w' => bell.as_mut().unwrap().wait(LONG).into(),
        _ => unreachable!(),
    })
}

#[test]
fn the_last_one_that_lives_is_told() {
    let _watchdog = Watchdog::new();
    let store = store();
    let enqueue = |item| store.enqueue_shared_queue(1, &[item]).unwrap();
    let (mut a, mut b) = (peer(&store), peer(&store));
    assert_eq!((a.ask(b'r'), b.ask(b'r')), (1, 1));
    enqueue(1);
    assert_eq!((a.ask(b'?'), b.ask(b'?')), (0, 1));
    assert_eq!((a.ask(b't'), b.ask(b't'), b.ask(b't')), (0, 1, 0));
    // What it was told of and has not taken, the other is told of.
    b.kill();
    enqueue(2);
    assert_eq!((a.ask(b'?'), a.ask(b't'), a.ask(b't')), (1, 2, 0));
    // Who comes is told of what comes.
    let mut c = peer(&store);
    c.ask(b'r');
    assert_eq!((c.ask(b'?'), c.ask(b't')), (0, 0));
    enqueue(3);
    assert_eq!((a.ask(b'?'), c.ask(b'?'), c.ask(b't')), (0, 1, 1));
    assert_eq!((c.ask(b'd'), a.ask(b'd')), (1, 2));
    // One that is about to quit leaves it to the others.
    c.ask(b'q');
    assert_eq!((a.ask(b'?'), a.ask(b't'), c.ask(b't')), (1, 1, 0));
    // Even if it comes back; then all that is there is told again.
    c.ask(b'r');
    enqueue(4);
    assert_eq!((c.ask(b't'), a.ask(b't')), (0, 2));
    a.ask(b'l');
    enqueue(5);
    assert_eq!((a.ask(b't'), c.ask(b't')), (0, 0));
    assert_eq!(check(&store).queues[0].untold, 3);
    // Nobody is left: the next one is told of all.
    let mut d = peer(&store);
    d.ask(b'r');
    assert_eq!((d.ask(b'?'), d.ask(b't'), d.ask(b'd')), (1, 3, 3));
    check(&store);
}

#[test]
fn who_registers_after_the_told_one_has_died() {
    let _watchdog = Watchdog::new();
    let store = store();
    let (mut a, mut b) = (peer(&store), peer(&store));
    a.ask(b'r');
    b.ask(b'r');
    store.enqueue_shared_queue(1, b"x").unwrap();
    assert_eq!(b.ask(b't'), 1);
    b.kill();
    let mut c = peer(&store);
    c.ask(b'r');
    assert_eq!((c.ask(b'?'), c.ask(b't'), a.ask(b't')), (1, 1, 0));
    let contents = check(&store);
    assert_eq!(contents.queues[0].consumers, 2);
}

#[test]
fn the_dead_are_forgotten() {
    let _watchdog = Watchdog::new();
    let store = store();
    let mut last = peer(&store);
    last.ask(b'r');
    for _ in 0..10 {
        // None of those that die was the one to be told.
        let mut other = peer(&store);
        other.ask(b'r');
        last.ask(b'r');
        other.kill();
    }
    last.ask(b'r');
    assert_eq!(check(&store).queues[0].consumers, 1);
}

#[test]
fn the_master_is_told_of_nothing() {
    let _watchdog = Watchdog::new();
    let store = store();
    assert_eq!(store.make_shared_queue(b"", b"q"), Ok(1));
    assert_eq!(store.make_shared_queue(b"", b"q"), Ok(1));
    assert_eq!(check(&store).queues[0].consumers, 0);
    let mut peer = peer(&store);
    peer.ask(b'r');
    store.register_shared_queue(b"", b"q").unwrap();
    store.mark_master();
    store.enqueue_shared_queue(1, b"x").unwrap();
    assert!(!store.is_rung() && !store.tell(1));
    assert_eq!((peer.ask(b'?'), peer.ask(b't')), (1, 1));
    check(&store);
}

#[test]
fn a_bell_wakes() {
    let _watchdog = Watchdog::new();
    let store = store();
    let mut peer = peer(&store);
    peer.ask(b'r');
    for sleeps in [true, true, false] {
        peer.send(b'w');
        if sleeps {
            // Time for it to fall asleep; nothing depends on it.
            thread::sleep(Duration::from_millis(20));
        }
        store.enqueue_shared_queue(1, b"x").unwrap();
        assert_eq!(peer.receive(), 1);
        assert_eq!(peer.ask(b't'), 1);
    }
    let mut bell = {
        store.register_shared_queue(b"", b"q").unwrap();
        store.bell().unwrap()
    };
    bell.wait(Duration::ZERO);
    assert!(!bell.wait(Duration::from_millis(1)));
}

#[test]
fn threads_of_a_process_are_one_worker() {
    let store = store();
    let barrier = Barrier::new(4);
    // The lock makes them come at the same time.
    let locked = store.region.lock();
    thread::scope(|scope| {
        let join = || {
            let worker = store.region.worker();
            // The one that has taken the place must not end before the others have looked.
            barrier.wait();
            worker
        };
        let threads = [(); 4].map(|()| scope.spawn(join));
        thread::sleep(Duration::from_millis(20));
        drop(locked);
        let workers = threads.map(|thread| thread.join().unwrap());
        assert_eq!(workers, [workers[0]; 4]);
        assert!(workers[0].is_some());
    });
}

#[test]
fn a_store_that_is_dropped() {
    for in_thread in [false, true] {
        let first = store();
        first.register_shared_queue(b"", b"q").unwrap();
        if in_thread {
            thread::spawn(move || drop(first)).join().unwrap();
        } else {
            drop(first);
        }
        // A thread's list of its mutexes is in order.
        let second = store();
        second.register_shared_queue(b"", b"q").unwrap();
        second.enqueue_shared_queue(1, b"x").unwrap();
        assert!(second.tell(1));
    }
}

#[test]
fn places_are_taken_again() {
    let _watchdog = Watchdog::new();
    let store = store();
    let own = store.region.worker().unwrap();
    for life in 1..=3 {
        let child = Child::new(|| {
            let worker = store.region.worker().unwrap();
            assert_eq!((worker.place, worker.life), (own.place + 1, life));
            assert!(store.region.lives(own) && store.region.lives(worker));
        });
        assert_eq!(child.wait(), End::Done);
    }
    assert!(store.region.is_alive(own));
}

#[test]
fn too_many_processes() {
    let _watchdog = Watchdog::new();
    let store = store();
    store.set_shared_data(b"", b"k", b"v", 0).unwrap();
    store.register_shared_queue(b"", b"q").unwrap();
    let plugin = store.plugin_metrics("p");
    let own = store.region.worker().unwrap();
    let lock = |place| {
        store
            .region
            .memory
            .mutex(layout::WORKERS + place * layout::WORKER_WORDS)
    };
    let others = || (0..layout::MAX_WORKERS).filter(|place| *place != own.place as usize);
    for place in others() {
        lock(place).lock();
    }
    // One more does without being told of anything.
    let child = Child::new(|| {
        assert_eq!(store.region.worker(), None);
        assert_eq!(
            store.register_shared_queue(b"", b"q"),
            Err(QueueError::Full)
        );
        assert!(store.bell().is_none() && !store.is_rung() && !store.tell(1));
        store.silence();
        store.leave_queue(1);
        store.retire();
        assert_eq!(get(&store, "k").unwrap().0, b"v");
        store.enqueue_shared_queue(1, b"x").unwrap();
        plugin.note(Event::Request);
        plugin.note(Event::Instances {
            count: 1,
            memory: 1,
        });
    });
    assert_eq!(child.wait(), End::Done);
    assert!(store.is_rung() && store.tell(1));
    assert_eq!(gauge(&store, HostMetric::Requests), 1);
    assert_eq!(gauge(&store, HostMetric::Instances), 0);
    for place in others() {
        assert!(lock(place).unlock());
    }
    let child = Child::new(|| assert!(store.region.worker().is_some()));
    assert_eq!(child.wait(), End::Done);
    check(&store);
}

/// What a number of the host's own has come to, 0 where there is none.
fn gauge(store: &Store, metric: HostMetric) -> u64 {
    let samples = samples(&store.region);
    let mut found = samples
        .iter()
        .filter(|sample| sample.kind == Kind::Host(metric));
    let number = match found.next().map(|sample| &sample.value) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    };
    assert!(found.next().is_none());
    number
}

#[test]
fn gauges_of_those_that_live() {
    let _watchdog = Watchdog::new();
    let store = store();
    let plugin = store.plugin_metrics("p");
    let instances = |count, memory| Event::Instances { count, memory };
    let peer = || {
        let store = store.clone();
        let plugin = store.plugin_metrics("p");
        Peer::new(move |request| {
            match request {
                b'+' => plugin.note(instances(2, 1000)),
                b'-' => plugin.note(instances(-1, -300)),
                b'm' => store.mark_master(),
                _ => unreachable!(),
            }
            0
        })
    };
    let found = || [HostMetric::Instances, HostMetric::Memory].map(|metric| gauge(&store, metric));
    plugin.note(instances(1, 10));
    assert_eq!(found(), [1, 10]);
    let mut a = peer();
    a.ask(b'+');
    assert_eq!(found(), [3, 1010]);
    let mut b = peer();
    b.ask(b'+');
    b.ask(b'-');
    assert_eq!(found(), [4, 1710]);
    a.kill();
    assert_eq!(found(), [2, 710]);
    // One in the same place begins at 0.
    let mut c = peer();
    c.ask(b'-');
    assert_eq!(found().map(u64::cast_signed), [1, 410]);
    c.ask(b'+');
    assert_eq!(found(), [3, 1410]);
    b.ask(b'm');
    assert_eq!(found(), [2, 710]);
    let metrics = store.stats().metrics;
    c.kill();
    drop(b);
    assert_eq!(found(), [1, 10]);
    assert_eq!(store.stats().metrics, metrics);
    check(&store);
}
