//! Shared queues, and who is told of what is in them.
//!
//! Of the workers that have registered a queue, the last one that still lives is told of its items, one by one.

use super::MAX_VALUE;
use super::chain::{Name, chunks_for};
use super::layout::{self, MAX_QUEUES, MAX_WORKERS};
use super::region::{Locked, Region};
use super::workers::Worker;
use crate::abi::host::QueueError;

/// The fields of a queue, behind its name's.
pub const FIRST: usize = 4;
pub const LAST: usize = 5;
pub const ITEMS: usize = 6;
/// Items that nobody who lives has been told of.
pub const UNTOLD: usize = 7;
pub const CHUNKS: usize = 8;
/// A chain of those who have registered it, the last one first.
pub const CONSUMERS: usize = 9;

/// The fields of an item.
pub const NEXT: usize = 1;
pub const LEN: usize = 2;
/// Where its bytes begin.
pub const ITEM_START: usize = 2 * 4;

/// The fields of a consumer, beside [`NEXT`].
pub const PLACE: usize = 2;
pub const LIFE: usize = 3;

/// Each registration forgets who has died since the one before, so this is more than there ever are.
const MOST_CONSUMERS: usize = 4 * MAX_WORKERS;

/// See [`Host::register_shared_queue`](crate::abi::host::Host::register_shared_queue). The worker is told of its items from now on.
pub fn register(region: &Region, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
    let name = Name::new(region, vm_id, name).ok_or(QueueError::Full)?;
    let worker = region.worker().ok_or(QueueError::Full)?;
    let locked = region.lock();
    let id = locked.find_or_insert_queue(&name)?;
    let queue = locked.queue(id)?;
    locked.leave(queue, worker);
    if !locked.make_room(1, 0) {
        return Err(QueueError::Full);
    }
    let consumer = locked.take(1);
    locked.put(locked.field(consumer, PLACE), worker.place);
    locked.put(locked.field(consumer, LIFE), worker.life);
    let head = locked.field(queue, CONSUMERS);
    locked.put(locked.field(consumer, NEXT), locked.get(head));
    locked.set(head, consumer);
    locked.add(layout::QUEUE_CHUNKS, 1);
    locked.commit();
    locked.ring(queue);
    Ok(id)
}

/// As [`register`], but nobody is told of anything for it.
pub fn make(region: &Region, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
    let name = Name::new(region, vm_id, name).ok_or(QueueError::Full)?;
    region.lock().find_or_insert_queue(&name)
}

/// See [`Host::resolve_shared_queue`](crate::abi::host::Host::resolve_shared_queue).
pub fn resolve(region: &Region, vm_id: &[u8], name: &[u8]) -> Option<u32> {
    let name = Name::new(region, vm_id, name)?;
    region.lock().find_queue(&name)
}

/// See [`Host::enqueue_shared_queue`](crate::abi::host::Host::enqueue_shared_queue). Whoever is to be told is woken.
pub fn enqueue(region: &Region, id: u32, value: &[u8]) -> Result<(), QueueError> {
    let locked = region.lock();
    let queue = locked.queue(id)?;
    if value.len() > MAX_VALUE {
        return Err(QueueError::Full);
    }
    let chunks = chunks_for(ITEM_START + value.len());
    let all = region.layout.chunks;
    let is_full = locked.field_value(queue, CHUNKS) as usize + chunks > all / 8
        || locked.get(layout::ITEM_CHUNKS) as usize + chunks > all / 2;
    if is_full || !locked.make_room(chunks, 0) {
        return Err(QueueError::Full);
    }
    let item = locked.take(chunks);
    locked.put(locked.field(item, NEXT), 0);
    locked.put(locked.field(item, LEN), value.len() as u32);
    locked.write(item, ITEM_START, value);
    let link = match locked.field_value(queue, LAST) {
        0 => locked.field(queue, FIRST),
        last => locked.field(last, NEXT),
    };
    locked.set(link, item);
    locked.set(locked.field(queue, LAST), item);
    locked.add(locked.field(queue, UNTOLD), 1);
    locked.count_item(queue, 1, chunks);
    // Before it counts, so that no item is left unannounced by a process that dies.
    locked.ring(queue);
    locked.commit();
    Ok(())
}

/// See [`Host::dequeue_shared_queue`](crate::abi::host::Host::dequeue_shared_queue).
pub fn dequeue(
    region: &Region,
    vm_id: &[u8],
    id: u32,
    value: &mut Vec<u8>,
) -> Result<(), QueueError> {
    let locked = region.lock();
    let queue = locked.queue(id)?;
    if !locked.is_of(queue, vm_id) {
        return Err(QueueError::NotFound);
    }
    let item = locked.field_value(queue, FIRST);
    if item == 0 {
        return Err(QueueError::Empty);
    }
    let len = locked.field_value(item, LEN) as usize;
    locked.read(item, ITEM_START, len, value);
    let next = locked.field_value(item, NEXT);
    locked.set(locked.field(queue, FIRST), next);
    if next == 0 {
        locked.set(locked.field(queue, LAST), 0);
    }
    let chunks = chunks_for(ITEM_START + len);
    locked.give_back(item, chunks);
    locked.count_item(queue, -1, chunks);
    let left = locked.field_value(queue, ITEMS);
    if locked.field_value(queue, UNTOLD) > left {
        locked.set(locked.field(queue, UNTOLD), left);
    }
    locked.commit();
    Ok(())
}

/// Whether this worker is to be told of an item of a queue now; it then counts as told.
pub fn tell(region: &Region, id: u32) -> bool {
    let Some(worker) = region.worker() else {
        return false;
    };
    let locked = region.lock();
    let Ok(queue) = locked.queue(id) else {
        return false;
    };
    // Should the one before have died, more are untold.
    let consumer = locked.consumer(queue);
    let untold = locked.field_value(queue, UNTOLD);
    if untold == 0 || consumer != Some(worker) {
        return false;
    }
    locked.set(locked.field(queue, UNTOLD), untold - 1);
    locked.commit();
    true
}

/// This worker is no longer told of what is in a queue: another is, if there is one.
pub fn leave(region: &Region, id: u32) {
    let Some(worker) = region.worker() else {
        return;
    };
    let locked = region.lock();
    if let Ok(queue) = locked.queue(id) {
        locked.leave(queue, worker);
        locked.ring(queue);
    }
}

/// As [`leave`], for all queues.
pub fn leave_all(region: &Region) {
    for id in 1..=region.peek(layout::QUEUES) {
        leave(region, id);
    }
}

impl Locked<'_> {
    fn queue(&self, id: u32) -> Result<u32, QueueError> {
        if id == 0 || id > self.get(layout::QUEUES) {
            return Err(QueueError::NotFound);
        }
        Ok(self.get(layout::QUEUE_TABLE + id as usize - 1))
    }

    fn find_queue(&self, name: &Name<'_>) -> Option<u32> {
        (1..=self.get(layout::QUEUES)).find(|id| {
            self.queue(*id)
                .is_ok_and(|queue| self.is_named(queue, name))
        })
    }

    fn find_or_insert_queue(&self, name: &Name<'_>) -> Result<u32, QueueError> {
        match self.find_queue(name) {
            Some(id) => Ok(id),
            None => self.insert_queue(name),
        }
    }

    fn insert_queue(&self, name: &Name<'_>) -> Result<u32, QueueError> {
        let count = self.get(layout::QUEUES);
        if count as usize == MAX_QUEUES || !self.make_room(name.chunks(), 0) {
            return Err(QueueError::Full);
        }
        let queue = self.take_named(name);
        self.add(layout::QUEUE_CHUNKS, name.chunks() as i32);
        self.set(layout::QUEUE_TABLE + count as usize, queue);
        self.set(layout::QUEUES, count + 1);
        self.commit();
        Ok(count + 1)
    }

    /// One item more or less in a queue.
    fn count_item(&self, queue: u32, difference: i32, chunks: usize) {
        let chunks = difference * chunks as i32;
        self.add(self.field(queue, ITEMS), difference);
        self.add(self.field(queue, CHUNKS), chunks);
        self.add(layout::ITEMS, difference);
        self.add(layout::ITEM_CHUNKS, chunks);
    }

    /// Who is to be told of what is in a queue. Those who have died are forgotten.
    fn consumer(&self, queue: u32) -> Option<Worker> {
        let head = self.field(queue, CONSUMERS);
        for _ in 0..MOST_CONSUMERS {
            let consumer = self.get(head);
            if consumer == 0 {
                return None;
            }
            let worker = self.worker_of(consumer);
            if self.region.lives(worker) {
                return Some(worker);
            }
            self.forget(queue, head, consumer);
        }
        panic!("a queue's consumers have an end");
    }

    /// Forgets that a worker has registered a queue, and who has died.
    fn leave(&self, queue: u32, worker: Worker) {
        let mut at = self.field(queue, CONSUMERS);
        for _ in 0..MOST_CONSUMERS {
            let consumer = self.get(at);
            if consumer == 0 {
                return;
            }
            let known = self.worker_of(consumer);
            if known == worker || !self.region.lives(known) {
                self.forget(queue, at, consumer);
            } else {
                at = self.field(consumer, NEXT);
            }
        }
        panic!("a queue's consumers have an end");
    }

    fn worker_of(&self, consumer: u32) -> Worker {
        Worker {
            place: self.field_value(consumer, PLACE),
            life: self.field_value(consumer, LIFE),
        }
    }

    /// Forgets one who has registered a queue. If it was told of items, another is told of those that are still there.
    fn forget(&self, queue: u32, link: usize, consumer: u32) {
        if link == self.field(queue, CONSUMERS) {
            let items = self.field_value(queue, ITEMS);
            self.set(self.field(queue, UNTOLD), items);
        }
        self.set(link, self.field_value(consumer, NEXT));
        self.add(layout::QUEUE_CHUNKS, -1);
        self.give_back(consumer, 1);
        self.commit();
    }

    /// Wakes whoever is to be told of what is in a queue, if something is.
    fn ring(&self, queue: u32) {
        if self.field_value(queue, UNTOLD) > 0
            && let Some(worker) = self.consumer(queue)
        {
            self.region.ring(worker);
        }
    }
}
