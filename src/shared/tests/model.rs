//! Random operations on a store and on a plain model of it.

use std::collections::HashMap;
use std::mem;

use super::check::{Contents, Key, Queue, check};
use super::*;
use crate::shared::PluginMetrics;
use crate::shared::chain::{NAME_START, chunks_for};
use crate::shared::data::value_chunks;
use crate::shared::metrics::Kind;
use crate::shared::queues::ITEM_START;
use crate::shared::samples::Value;

struct Model {
    chunks: usize,
    policy: Policy,
    /// The one used last comes first.
    keys: Vec<Key>,
    evicted: u64,
    last_cas: u32,
    queues: Vec<Queue>,
    counters: HashMap<(usize, usize), (u32, u64)>,
}

fn name_chunks(vm_id: &[u8], name: &[u8]) -> usize {
    chunks_for(NAME_START + vm_id.len() + name.len())
}

fn item_chunks(queue: &Queue) -> usize {
    let chunks = |item: &Vec<u8>| chunks_for(ITEM_START + item.len());
    queue.items.iter().map(chunks).sum()
}

impl Key {
    fn chunks(&self) -> usize {
        name_chunks(&self.vm_id, &self.key) + value_chunks(self.value.len())
    }
}

impl Model {
    fn data_chunks(&self) -> usize {
        self.keys.iter().map(Key::chunks).sum()
    }

    fn queue_chunks(&self) -> usize {
        let chunks = |queue: &Queue| {
            name_chunks(&queue.vm_id, &queue.name) + queue.consumers + item_chunks(queue)
        };
        self.queues.iter().map(chunks).sum()
    }

    fn most(&self) -> usize {
        self.chunks - self.queue_chunks()
    }

    /// Not for the key at the place `keep`.
    fn make_room(&mut self, chunks: usize, mut keep: Option<usize>) -> bool {
        let kept = keep.map_or(0, |at| self.keys[at].chunks());
        if kept + chunks > self.most() {
            return self.data_chunks() + chunks <= self.most();
        }
        while self.data_chunks() + chunks > self.most() {
            let mut last = self.keys.len() - 1;
            if keep == Some(last) {
                last -= 1;
            }
            let is_removed = self.keys[last].value.is_empty();
            if self.policy == Policy::None && !is_removed {
                return false;
            }
            self.keys.remove(last);
            keep = keep.map(|at| at.min(self.keys.len() - 1));
            self.evicted += u64::from(!is_removed);
        }
        true
    }

    fn find(&self, vm_id: &[u8], key: &[u8]) -> Option<usize> {
        self.keys
            .iter()
            .position(|known| known.vm_id == vm_id && known.key == key)
    }

    fn get(&mut self, vm_id: &[u8], key: &[u8]) -> Option<(Vec<u8>, u32)> {
        let at = self.find(vm_id, key)?;
        let found = self.keys[at].clone();
        if !found.value.is_empty() {
            self.keys[..=at].rotate_right(1);
        }
        Some((found.value, found.cas))
    }

    fn set(
        &mut self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        let chunks = value_chunks(value.len());
        if chunks > self.chunks / 4 {
            return Err(SharedDataError::Full);
        }
        let found = self.find(vm_id, key);
        if let Some(at) = found {
            let known = &self.keys[at];
            let is_absent = known.value.is_empty() && cas == u32::MAX;
            if cas != 0 && known.cas != cas && !is_absent {
                return Err(SharedDataError::CasMismatch);
            }
            let in_place = chunks == 1 && !known.value.is_empty();
            if !in_place && !self.make_room(chunks, Some(at)) {
                return Err(SharedDataError::Full);
            }
        } else {
            let chunks = name_chunks(vm_id, key) + chunks;
            if value.is_empty() && self.data_chunks() + chunks > self.most() {
                return Ok(());
            }
            if !self.make_room(chunks, None) {
                return Err(SharedDataError::Full);
            }
        }
        self.last_cas += 1;
        let cas = self.last_cas;
        let at = self.find(vm_id, key);
        if let Some(at) = at
            && self.keys[at].value.is_empty()
            && value.is_empty()
        {
            self.keys[at].cas = cas;
            return Ok(());
        }
        if let Some(at) = at {
            self.keys.remove(at);
        }
        let key = Key {
            vm_id: vm_id.to_vec(),
            key: key.to_vec(),
            value: value.to_vec(),
            cas,
        };
        let at = if value.is_empty() { self.keys.len() } else { 0 };
        self.keys.insert(at, key);
        Ok(())
    }

    fn remove(&mut self, vm_id: &[u8], key: &[u8]) -> bool {
        let found = self.find(vm_id, key);
        found.is_some_and(|at| !self.keys.remove(at).value.is_empty())
    }

    fn register(&mut self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        let known = self
            .queues
            .iter()
            .position(|queue| queue.vm_id == vm_id && queue.name == name);
        let at = if let Some(at) = known {
            at
        } else {
            if !self.make_room(name_chunks(vm_id, name), None) {
                return Err(QueueError::Full);
            }
            self.queues.push(Queue {
                vm_id: vm_id.to_vec(),
                name: name.to_vec(),
                items: Vec::new(),
                untold: 0,
                consumers: 0,
            });
            self.queues.len() - 1
        };
        self.queues[at].consumers = 0;
        self.queues[at].untold = self.queues[at].items.len();
        if !self.make_room(1, None) {
            return Err(QueueError::Full);
        }
        self.queues[at].consumers = 1;
        Ok(at as u32 + 1)
    }

    fn enqueue(&mut self, id: u32, value: &[u8]) -> Result<(), QueueError> {
        let at = id as usize - 1;
        let chunks = chunks_for(ITEM_START + value.len());
        let queue = self.queues.get(at).ok_or(QueueError::NotFound)?;
        let all: usize = self.queues.iter().map(item_chunks).sum();
        if item_chunks(queue) + chunks > self.chunks / 8
            || all + chunks > self.chunks / 2
            || !self.make_room(chunks, None)
        {
            return Err(QueueError::Full);
        }
        self.queues[at].items.push(value.to_vec());
        self.queues[at].untold += 1;
        Ok(())
    }

    fn dequeue(&mut self, vm_id: &[u8], id: u32) -> Result<Vec<u8>, QueueError> {
        let queue = self.queues.get_mut(id as usize - 1);
        let queue = queue
            .filter(|queue| queue.vm_id == vm_id)
            .ok_or(QueueError::NotFound)?;
        if queue.items.is_empty() {
            return Err(QueueError::Empty);
        }
        let item = queue.items.remove(0);
        queue.untold = queue.untold.min(queue.items.len());
        Ok(item)
    }

    fn tell(&mut self, id: u32) -> bool {
        match self.queues.get_mut(id as usize - 1) {
            Some(queue) if queue.untold > 0 && queue.consumers > 0 => {
                queue.untold -= 1;
                true
            }
            _ => false,
        }
    }

    fn compare(&self, store: &Store) {
        let Contents {
            keys,
            queues,
            metrics,
        } = check(store);
        assert_eq!(keys, self.keys);
        assert!(queues == self.queues, "{} queues", queues.len());
        let sums: Vec<_> = metrics
            .into_iter()
            .filter(|(_, kind, ..)| matches!(kind, Kind::Plugin(_)))
            .map(|(.., value)| value)
            .collect();
        let mut counters: Vec<_> = self.counters.values().collect();
        counters.sort_unstable();
        let expected: Vec<_> = counters.iter().map(|(_, n)| Value::Number(*n)).collect();
        assert_eq!(sums, expected);
        let stats = store.stats();
        assert_eq!(stats.evicted, self.evicted);
        assert_eq!((stats.recovered, stats.emptied), (0, 0));
    }
}

/// How long a value is: mostly short, often around the size of a chunk.
fn value_len(random: &mut impl Choices) -> usize {
    match random.below(9) {
        0 => 0,
        1..=3 => random.below(130),
        4 => 55 + random.below(10),
        5 | 6 => random.below(3000),
        7 => random.below(60_000),
        _ => random.below(200) * 1000,
    }
}

fn one_step(
    random: &mut impl Choices,
    store: &Store,
    plugins: &[PluginMetrics; 3],
    model: &mut Model,
) {
    let vm_id = [&b""[..], b"v", b"another"][random.below(3)];
    let number = random.below(60);
    // Some are longer than a chunk.
    let name = number.to_string().repeat(1 + number * number / 20);
    let name = name.as_bytes();
    let queue = 1 + random.below(8) as u32;
    match random.below(20) {
        0..=5 => {
            let mut value = Vec::new();
            let cas = store.get_shared_data(vm_id, name, &mut value);
            assert_eq!(cas.map(|cas| (value, cas)), model.get(vm_id, name));
        }
        6 => assert_eq!(
            store.remove_shared_data(vm_id, name),
            model.remove(vm_id, name)
        ),
        7..=11 => {
            let value = bytes(value_len(random));
            let cas = match random.below(3) {
                0 => model.find(vm_id, name).map_or(9, |at| model.keys[at].cas),
                1 => [random.below(100) as u32, u32::MAX][random.below(2)],
                _ => 0,
            };
            assert_eq!(
                store.set_shared_data(vm_id, name, &value, cas),
                model.set(vm_id, name, &value, cas)
            );
        }
        12 | 13 => {
            let item = bytes(value_len(random) / 3);
            assert_eq!(
                store.enqueue_shared_queue(queue, &item),
                model.enqueue(queue, &item)
            );
        }
        14 => {
            let mut item = Vec::new();
            let done = store.dequeue_shared_queue(vm_id, queue, &mut item);
            assert_eq!(done.map(|()| item), model.dequeue(vm_id, queue));
        }
        15 => {
            let name = &name[..1];
            if model.queues.len() < 6 || store.resolve_shared_queue(vm_id, name).is_some() {
                assert_eq!(
                    store.register_shared_queue(vm_id, name),
                    model.register(vm_id, name)
                );
            }
        }
        16 => assert_eq!(store.tell(queue), model.tell(queue)),
        17 => {
            let mut found = Vec::new();
            store.keys(vm_id, usize::MAX, |key| found.push(key.to_vec()));
            let mut expected = model.keys.clone();
            expected.retain(|key| key.vm_id == vm_id && !key.value.is_empty());
            let mut expected: Vec<_> = expected.into_iter().map(|key| key.key).collect();
            found.sort();
            expected.sort();
            assert!(found == expected);
        }
        18 => {
            let plugin = random.below(plugins.len());
            let metric = random.below(40);
            let id = plugins[plugin]
                .define(MetricType::Counter, metric.to_string().as_bytes())
                .unwrap();
            let known = model.counters.entry((plugin, metric)).or_insert((id, 0));
            plugins[plugin].increment(id, 5).unwrap();
            known.1 += 5;
            assert_eq!((known.0, plugins[plugin].get(id)), (id, Ok(known.1)));
        }
        _ => {
            if random.below(20) == 0 {
                model.policy = match model.policy {
                    Policy::Lru => Policy::None,
                    Policy::None => Policy::Lru,
                };
                store.set_policy(model.policy);
            }
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub evicted: u64,
    /// How many keys there were at its end.
    pub keys: usize,
}

/// Works on a store and a model of it, and compares them.
pub fn run(choices: &mut impl Choices, steps: usize) -> Ran {
    let store = store();
    let plugins = ["a", "b", "c"].map(|name| store.plugin_metrics(name));
    let mut model = Model {
        chunks: store.region.layout.chunks,
        policy: Policy::Lru,
        keys: Vec::new(),
        evicted: 0,
        last_cas: 0,
        queues: Vec::new(),
        counters: HashMap::new(),
    };
    for step in 1..=steps {
        one_step(choices, &store, &plugins, &mut model);
        if step % 250 == 0 {
            model.compare(&store);
        }
    }
    let ran = Ran {
        evicted: model.evicted,
        keys: model.keys.len(),
    };
    // All of it can go.
    for key in mem::take(&mut model.keys) {
        assert_eq!(
            store.remove_shared_data(&key.vm_id, &key.key),
            !key.value.is_empty()
        );
    }
    for (index, queue) in model.queues.iter_mut().enumerate() {
        for item in mem::take(&mut queue.items) {
            let mut found = Vec::new();
            store
                .dequeue_shared_queue(&queue.vm_id, index as u32 + 1, &mut found)
                .unwrap();
            assert!(found == item);
        }
        queue.untold = 0;
    }
    model.compare(&store);
    ran
}

#[test]
fn random_operations() {
    for seed in [1, 0xDEAD_BEEF, 0x1234_5678_9ABC_DEF0] {
        let ran = run(&mut Random(seed), 3000);
        assert!(ran.evicted > 0 && ran.keys > 20, "{ran:?}");
    }
}
