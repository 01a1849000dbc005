//! Whether all that is in a region fits together.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug, Formatter};

use super::*;
use crate::shared::chain::{NAME_START, VM_ID_LEN, chunks_for};
use crate::shared::metrics::Kind;
use crate::shared::region::Locked;
use crate::shared::samples::{Value, samples};
use crate::shared::{data, metrics, queues};

/// What a store holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The one used last comes first.
    pub keys: Vec<Key>,
    pub queues: Vec<Queue>,
    pub metrics: Vec<(Vec<u8>, Kind, Vec<u8>, Value)>,
}

#[derive(Clone, PartialEq)]
pub struct Key {
    pub vm_id: Vec<u8>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub cas: u32,
}

#[derive(Clone, PartialEq)]
pub struct Queue {
    pub vm_id: Vec<u8>,
    pub name: Vec<u8>,
    pub items: Vec<Vec<u8>>,
    pub untold: usize,
    /// How many have registered it.
    pub consumers: usize,
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            vm_id,
            key,
            value,
            cas,
        } = self;
        let (vm_id, key) = (vm_id.escape_ascii(), key.escape_ascii());
        write!(f, "{vm_id}/{key:.20}: {} bytes, {cas}", value.len())
    }
}

impl Debug for Queue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (vm_id, name) = (self.vm_id.escape_ascii(), self.name.escape_ascii());
        let items: Vec<_> = self.items.iter().map(Vec::len).collect();
        write!(
            f,
            "{vm_id}/{name:.20}: {items:?} bytes, {} untold, {} consumers",
            self.untold, self.consumers
        )
    }
}

/// What a store holds. Fails if anything in it is lost, counted wrongly or in two places.
pub fn check(store: &Store) -> Contents {
    let region = &store.region;
    let (keys, queues) = {
        let locked = region.lock();
        assert_eq!(locked.get(layout::JOURNAL_LEN), 0);
        assert_eq!(locked.get(layout::EMPTYING), 0);
        let touched = locked.get(layout::TOUCHED) as usize;
        assert!(touched <= region.layout.chunks);
        let mut check = Check {
            locked: &locked,
            reached: vec![false; touched + 1],
        };
        check.chain(
            locked.get(layout::FREE),
            locked.get(layout::FREE_COUNT) as usize,
        );
        let found = (check.keys(), check.queues());
        let lost: Vec<_> = (1..=touched).filter(|i| !check.reached[*i]).collect();
        assert!(lost.is_empty(), "chunks are lost: {lost:?}");
        check.metrics();
        found
    };
    let metrics = samples(region)
        .into_iter()
        .map(|sample| {
            let plugin = sample.plugin.to_vec();
            (plugin, sample.kind, sample.name.to_vec(), sample.value)
        })
        .collect();
    Contents {
        keys,
        queues,
        metrics,
    }
}

struct Check<'a> {
    locked: &'a Locked<'a>,
    /// By number, whether something leads to a chunk.
    reached: Vec<bool>,
}

impl Check<'_> {
    fn get(&self, at: usize) -> u32 {
        self.locked.get(at)
    }

    /// A chain of so many chunks that nothing else leads to.
    fn chain(&mut self, head: u32, count: usize) {
        let mut chunk = head;
        for _ in 0..count {
            assert!(chunk != 0, "a chain is too short");
            let reached = &mut self.reached[chunk as usize];
            assert!(!*reached, "two ways lead to chunk {chunk}");
            *reached = true;
            chunk = self.get(self.locked.layout().chunk(chunk));
        }
        assert_eq!(chunk, 0, "a chain is too long");
    }

    /// The chain that something begins with, and its name.
    fn named(&mut self, head: u32) -> (Vec<u8>, Vec<u8>) {
        let locked = self.locked;
        self.chain(head, locked.name_chunks(head));
        let (mut vm_id, mut name) = (Vec::new(), Vec::new());
        let len = locked.field_value(head, VM_ID_LEN) as usize;
        locked.read(head, NAME_START, len, &mut vm_id);
        locked.read_name(head, &mut name);
        assert_eq!(
            locked.region.hash([&vm_id, &name]),
            locked.name_hash(head),
            "{name:?}"
        );
        (vm_id, name)
    }

    /// The keys, the one used last first.
    fn keys(&mut self) -> Vec<Key> {
        let locked = self.locked;
        let mut found = HashMap::new();
        let mut names = HashSet::new();
        for bucket in 0..locked.layout().buckets {
            let mut key = self.get(locked.layout().bucket_at(bucket));
            while key != 0 {
                let field = |field| locked.field_value(key, field);
                let (vm_id, name) = self.named(key);
                assert!(names.insert((vm_id.clone(), name.clone())), "{name:?}");
                assert_eq!(
                    locked.layout().bucket(locked.name_hash(key)),
                    locked.layout().bucket_at(bucket)
                );
                let len = field(data::VALUE_LEN) as usize;
                assert!(len <= MAX_VALUE);
                self.chain(field(data::VALUE), data::value_chunks(len));
                let mut value = Vec::new();
                locked.read(field(data::VALUE), 0, len, &mut value);
                assert_ne!(field(data::CAS), 0);
                let cas = field(data::CAS);
                found.insert(
                    key,
                    Key {
                        vm_id,
                        key: name,
                        value,
                        cas,
                    },
                );
                key = field(data::NEXT_IN_BUCKET);
            }
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut newer = 0;
        let mut key = self.get(layout::NEWEST);
        while key != 0 {
            assert_eq!(locked.field_value(key, data::NEWER), newer);
            keys.push(found.remove(&key).expect("a key that is in no bucket"));
            newer = key;
            key = locked.field_value(key, data::OLDER);
        }
        assert_eq!(self.get(layout::OLDEST), newer);
        assert!(
            found.is_empty(),
            "keys that would never be forgotten: {found:?}"
        );
        // What counts as removed is the first to go.
        let is_removed = |key: &Key| key.value.is_empty();
        assert!(keys.is_sorted_by_key(is_removed));
        let count = keys.partition_point(|key| !is_removed(key));
        assert_eq!(self.get(layout::KEYS) as usize, count);
        keys
    }

    fn queues(&mut self) -> Vec<Queue> {
        let locked = self.locked;
        let count = self.get(layout::QUEUES) as usize;
        let (mut all_items, mut all_chunks, mut own_chunks) = (0, 0, 0);
        let mut queues: Vec<Queue> = Vec::new();
        for index in 0..layout::MAX_QUEUES {
            let queue = self.get(layout::QUEUE_TABLE + index);
            assert_eq!(queue != 0, index < count, "queue {index} of {count}");
            if queue == 0 {
                continue;
            }
            let (vm_id, name) = self.named(queue);
            assert!(
                !queues
                    .iter()
                    .any(|other| other.vm_id == vm_id && other.name == name)
            );
            let field = |field| locked.field_value(queue, field);
            let mut items = Vec::new();
            let mut chunks = 0;
            let mut last = 0;
            let mut item = field(queues::FIRST);
            while item != 0 {
                let len = locked.field_value(item, queues::LEN) as usize;
                let count = chunks_for(queues::ITEM_START + len);
                self.chain(item, count);
                let mut value = Vec::new();
                locked.read(item, queues::ITEM_START, len, &mut value);
                items.push(value);
                chunks += count;
                last = item;
                item = locked.field_value(item, queues::NEXT);
            }
            assert_eq!(field(queues::LAST), last);
            assert_eq!(field(queues::ITEMS) as usize, items.len());
            assert_eq!(field(queues::CHUNKS) as usize, chunks);
            let untold = field(queues::UNTOLD) as usize;
            assert!(untold <= items.len());
            let mut workers = HashSet::new();
            let mut consumer = field(queues::CONSUMERS);
            while consumer != 0 {
                self.chain(consumer, 1);
                let field = |field| locked.field_value(consumer, field);
                assert!(workers.insert((field(queues::PLACE), field(queues::LIFE))));
                consumer = field(queues::NEXT);
            }
            all_items += items.len();
            all_chunks += chunks;
            own_chunks += locked.name_chunks(queue) + workers.len();
            queues.push(Queue {
                vm_id,
                name,
                items,
                untold,
                consumers: workers.len(),
            });
        }
        assert_eq!(self.get(layout::ITEMS) as usize, all_items);
        assert_eq!(self.get(layout::ITEM_CHUNKS) as usize, all_chunks);
        assert_eq!(self.get(layout::QUEUE_CHUNKS) as usize, own_chunks);
        queues
    }

    /// All metrics are found, and one begins behind the other.
    fn metrics(&self) {
        let region_layout = self.locked.layout();
        let count = self.get(layout::METRICS);
        let place =
            |index: u32| self.get(region_layout.metric_directory_at + index as usize - 1) as usize;
        let mut reached = HashSet::new();
        for bucket in 0..region_layout.max_metrics {
            let mut index = self.get(region_layout.metric_buckets_at + bucket);
            while index != 0 {
                assert!(index <= count && reached.insert(index), "{index}");
                let at = place(index);
                let hash = self.get(at + metrics::HASH) as usize;
                assert_eq!(hash & (region_layout.max_metrics - 1), bucket);
                index = self.get(at + metrics::NEXT_IN_BUCKET);
            }
        }
        assert_eq!(reached.len(), count as usize);
        let mut end = region_layout.metrics_at;
        for index in 1..=count {
            let at = place(index);
            assert!(at >= end && at.is_multiple_of(2), "metric {index}");
            end = at + metrics::CELLS;
        }
        assert!(end <= self.get(layout::METRICS_END) as usize);
        assert!(self.get(layout::METRICS_END) as usize <= region_layout.metrics_end);
    }
}
