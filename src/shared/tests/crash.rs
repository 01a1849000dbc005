//! Processes that die at each step of an operation.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::check::{Contents, check};
use super::process::{Child, End, Watchdog};
use super::*;
use crate::shared::metrics;

/// At which step this process dies, from 1; 0: at none.
static LAST_STEP: AtomicU32 = AtomicU32::new(0);
static STEPS: AtomicU32 = AtomicU32::new(0);

/// One step of an operation.
pub fn step() {
    let last = LAST_STEP.load(Relaxed);
    if last != 0 && STEPS.fetch_add(1, Relaxed) + 1 == last {
        // SAFETY: it takes any process and signal; this process is the test's own.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Whether a process that does this dies at its `last` step, rather than to come to its end before.
fn dies_at(last: u32, work: impl FnOnce()) -> bool {
    let child = Child::new(|| {
        LAST_STEP.store(last, Relaxed);
        work();
        LAST_STEP.store(0, Relaxed);
    });
    match child.wait() {
        End::Done => false,
        End::Killed => true,
        End::Failed => panic!("the process has failed at step {last}"),
    }
}

type Work = fn(&Store);

struct Operation {
    before: Work,
    work: Work,
    /// Ways to what the store may hold when the operation has not come to its end, each from the state before.
    between: &'static [Work],
}

impl Operation {
    const fn new(before: Work, work: Work) -> Self {
        Self {
            before,
            work,
            between: &[],
        }
    }

    /// A store as it is before, which each of these processes has worked on.
    fn store(&self, more: &[Work]) -> Store {
        let store = tiny();
        (self.before)(&store);
        for work in more {
            assert!(!dies_at(0, || work(&store)));
        }
        store
    }

    /// What the store may hold: first what it has held before, last what it holds after.
    fn states(&self) -> Vec<Contents> {
        let mut states = vec![check(&self.store(&[]))];
        states.extend(self.between.iter().map(|work| check(&self.store(&[*work]))));
        states.push(check(&self.store(&[self.work])));
        states
    }

    /// Has processes die at each step.
    fn crash(&self) {
        let _watchdog = Watchdog::new();
        let states = self.states();
        let mut found = vec![false; states.len()];
        for last in 1.. {
            let store = self.store(&[]);
            let crashed = dies_at(last, || (self.work)(&store));
            let contents = check(&store);
            assert!(
                states.contains(&contents),
                "half done at step {last}: {contents:?}\nnone of {states:?}"
            );
            for (state, found) in states.iter().zip(&mut found) {
                *found |= *state == contents;
            }
            let stats = store.stats();
            assert_eq!((stats.recovered, stats.emptied), (u64::from(crashed), 0));
            go_on(&store);
            if !crashed {
                assert_eq!(Some(&contents), states.last());
                break;
            }
        }
        assert!(!found.contains(&false), "not all was seen: {found:?}");
    }

    /// Has processes die at each step of undoing what one that died has left, at one step in so many.
    fn crash_again(&self, stride: usize) {
        let _watchdog = Watchdog::new();
        let states = self.states();
        for last in (1..).step_by(stride) {
            let store = self.store(&[]);
            if !dies_at(last, || (self.work)(&store)) {
                break;
            }
            let mut crashes = 1;
            // Each goes one step further than the one before.
            while dies_at(crashes, || drop(store.region.lock())) {
                crashes += 1;
            }
            let contents = check(&store);
            assert!(states.contains(&contents), "half undone: {contents:?}");
            let stats = store.stats();
            // A process that dies at its first step has not counted the one before.
            assert_eq!(
                (stats.recovered, stats.emptied),
                (u64::from(crashes) - 1, 0)
            );
            go_on(&store);
        }
    }
}

/// A store with little room, which is soon full.
fn tiny() -> Store {
    let mut region = Region::new(*SIZES.start(), Policy::Lru).unwrap();
    region.layout.chunks = 300;
    let region = Arc::new(region);
    Store { region }
}

/// Some of everything works.
pub fn go_on(store: &Store) {
    set(store, "after", b"small").unwrap();
    set(store, "after", &bytes(1000)).unwrap();
    set(store, "after", &bytes(300)).unwrap();
    assert_eq!(get(store, "after").unwrap().0, bytes(300));
    let queue = store.register_shared_queue(b"", b"after").unwrap();
    for len in [10, 100, 200] {
        store.enqueue_shared_queue(queue, &bytes(len)).unwrap();
    }
    assert_eq!(dequeue(store, queue), Ok(bytes(10)));
    let plugin = store.plugin_metrics("after");
    let counter = plugin.define(MetricType::Counter, b"c").unwrap();
    plugin.increment(counter, 2).unwrap();
    assert_eq!(plugin.get(counter), Ok(2));
    check(store);
    set(store, "after", b"").unwrap();
    assert_eq!(dequeue(store, queue), Ok(bytes(100)));
    check(store);
}

/// Keys, a queue with items, a metric, and chunks that were given back.
pub fn some(store: &Store) {
    for i in 0..10 {
        set(store, &format!("key {i}"), &bytes(20 + 45 * i)).unwrap();
    }
    set(store, &"long key ".repeat(20), b"v").unwrap();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    for len in [100, 10, 200] {
        store.enqueue_shared_queue(queue, &bytes(len)).unwrap();
    }
    remove(store, &["key 3"]);
    set(store, "key 7", b"").unwrap();
    assert_eq!(store.region.peek(layout::FREE_COUNT), 10);
    let plugin = store.plugin_metrics("p");
    plugin.define(MetricType::Gauge, b"g").unwrap();
}

/// Nothing is left to be taken but from data.
fn full(store: &Store) {
    some(store);
    store.set_policy(Policy::None);
    for len in [1000, 1] {
        for i in 0.. {
            if set(store, &format!("{len} {i}"), &vec![b'x'; len]).is_err() {
                break;
            }
        }
    }
    store.set_policy(Policy::Lru);
}

const REPLACED: &str = "key 5";

fn replace_by(store: &Store, len: usize) {
    set(store, REPLACED, &bytes(len)).unwrap();
}

fn is_newest(store: &Store) {
    some(store);
    get(store, REPLACED).unwrap();
}

fn is_small(store: &Store) {
    some(store);
    replace_by(store, 1);
    set(store, "newer", b"v").unwrap();
}

fn is_removed(store: &Store) {
    some(store);
    replace_by(store, 0);
    set(store, "key 4", b"").unwrap();
}

fn one_queue(store: &Store) {
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    store.enqueue_shared_queue(queue, b"the last one").unwrap();
}

/// The process that was told of an item has died.
fn told_one_is_dead(store: &Store) {
    let work = || {
        one_queue(store);
        assert!(store.tell(1));
    };
    assert_eq!(Child::new(work).wait(), End::Done);
}

fn remove(store: &Store, keys: &[&str]) {
    for key in keys {
        store.remove_shared_data(b"", key.as_bytes());
    }
}

const INSERT: Operation = Operation::new(some, |store| set(store, "new", &bytes(500)).unwrap());
const REPLACE_IN_PLACE: Operation = Operation::new(is_small, |store| replace_by(store, 60));
const ENQUEUE: Operation = Operation::new(some, |store| {
    store.enqueue_shared_queue(1, &bytes(150)).unwrap();
});
const EVICT: Operation = Operation {
    before: full,
    work: |store| set(store, "new", &bytes(200)).unwrap(),
    between: &[
        |store| remove(store, &["key 0"]),
        |store| remove(store, &["key 0", "key 1"]),
    ],
};

#[test]
fn insert() {
    INSERT.crash();
    Operation::new(|_| (), INSERT.work).crash();
    Operation::new(some, |store| {
        set(store, &"a long name ".repeat(40), b"v").unwrap();
    })
    .crash();
    Operation::new(some, |store| set(store, "new", b"").unwrap()).crash();
}

#[test]
fn replace() {
    REPLACE_IN_PLACE.crash();
    for before in [some, is_newest, is_removed] {
        Operation::new(before, |store| replace_by(store, 1000)).crash();
        Operation::new(before, |store| replace_by(store, 20)).crash();
    }
}

#[test]
fn get_and_remove() {
    Operation::new(some, |store| drop(get(store, REPLACED).unwrap())).crash();
    for before in [some, is_newest, is_small] {
        Operation::new(before, |store| remove(store, &[REPLACED])).crash();
        Operation::new(before, |store| replace_by(store, 0)).crash();
    }
    Operation::new(is_removed, |store| remove(store, &[REPLACED])).crash();
}

#[test]
fn evict() {
    EVICT.crash();
}

#[test]
fn enqueue_and_dequeue() {
    fn take(store: &Store) {
        dequeue(store, 1).unwrap();
    }
    ENQUEUE.crash();
    Operation::new(one_queue, ENQUEUE.work).crash();
    Operation::new(told_one_is_dead, ENQUEUE.work).crash();
    Operation::new(some, take).crash();
    Operation::new(one_queue, take).crash();
}

#[test]
fn an_item_is_not_left_unannounced() {
    let _watchdog = Watchdog::new();
    for last in 1.. {
        let store = store();
        let queue = store.register_shared_queue(b"", b"q").unwrap();
        let crashed = dies_at(last, || store.enqueue_shared_queue(queue, b"x").unwrap());
        assert!(store.is_rung() || check(&store).queues[0].items.is_empty());
        if !crashed {
            break;
        }
    }
}

#[test]
fn register() {
    Operation {
        before: some,
        work: |store| assert_eq!(store.register_shared_queue(b"v", b"new"), Ok(2)),
        between: &[|store| {
            let queue = store.register_shared_queue(b"v", b"new").unwrap();
            store.leave_queue(queue);
        }],
    }
    .crash();
    let again = |store: &Store| assert_eq!(store.register_shared_queue(b"", b"q"), Ok(1));
    Operation::new(some, again).crash();
    Operation {
        before: told_one_is_dead,
        work: again,
        between: &[|store| store.leave_queue(1)],
    }
    .crash();
}

#[test]
fn tell_and_leave() {
    fn tell(store: &Store) {
        // Whoever dies here is another process than the one that has registered the queue.
        store.register_shared_queue(b"", b"q").unwrap();
        assert!(store.tell(1));
    }
    Operation {
        before: told_one_is_dead,
        work: tell,
        between: &[
            |store| store.leave_queue(1),
            |store| assert_eq!(store.register_shared_queue(b"", b"q"), Ok(1)),
        ],
    }
    .crash();
    Operation::new(told_one_is_dead, |store| store.leave_queue(1)).crash();
}

#[test]
fn define() {
    Operation::new(some, |store| {
        let region = &store.region;
        let owner = metrics::owner(region, b"p").unwrap();
        metrics::define(region, owner, MetricType::Histogram, b"new").unwrap();
    })
    .crash();
}

#[test]
fn undoing() {
    INSERT.crash_again(3);
    REPLACE_IN_PLACE.crash_again(5);
    EVICT.crash_again(5);
    ENQUEUE.crash_again(3);
}

#[test]
fn emptying() {
    let _watchdog = Watchdog::new();
    for last in (1..).step_by(97) {
        let store = store();
        some(&store);
        let metrics = check(&store).metrics;
        // As one that has found damage.
        store.region.lock().put(layout::EMPTYING, 1);
        let crashed = dies_at(last, || drop(store.region.lock()));
        let contents = check(&store);
        assert!(contents.keys.is_empty() && contents.queues.is_empty());
        assert_eq!(contents.metrics, metrics);
        let stats = store.stats();
        assert_eq!(stats.recovered, u64::from(crashed));
        assert!(stats.emptied >= 1 && stats.emptied <= 1 + u64::from(crashed));
        go_on(&store);
        if !crashed {
            break;
        }
    }
}
