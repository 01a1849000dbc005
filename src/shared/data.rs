//! Shared data: values under keys, which are forgotten, oldest first, where there is no room for new ones.
//!
//! A key whose value is empty counts as removed: it is kept, so that plugins that set it so find it as they have left it, until its room is
//! wanted, whatever the policy.

use std::iter;

use super::chain::Name;
use super::layout::{self, CHUNK_BYTES};
use super::region::{Locked, Region};
use super::{MAX_VALUE, Policy};
use crate::abi::host::SharedDataError;

/// The fields of a key, behind its name's.
pub const NEXT_IN_BUCKET: usize = 4;
pub const NEWER: usize = 5;
pub const OLDER: usize = 6;
pub const CAS: usize = 7;
pub const VALUE_LEN: usize = 8;
pub const VALUE: usize = 9;

/// A number that no key ever has: with it, a key is set only if it is not there or counts as removed.
const IF_ABSENT: u32 = u32::MAX;

/// How many chunks hold a value of so many bytes.
pub fn value_chunks(len: usize) -> usize {
    len.div_ceil(CHUNK_BYTES)
}

/// See [`Host::get_shared_data`](crate::abi::host::Host::get_shared_data).
pub fn get(region: &Region, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
    let name = Name::new(region, vm_id, key)?;
    let locked = region.lock();
    let found = locked.find_key(&name)?;
    locked.use_now(found, false);
    locked.commit();
    let len = locked.field_value(found, VALUE_LEN) as usize;
    locked.read(locked.field_value(found, VALUE), 0, len, value);
    Some(locked.field_value(found, CAS))
}

/// See [`Host::set_shared_data`](crate::abi::host::Host::set_shared_data).
pub fn set(
    region: &Region,
    vm_id: &[u8],
    key: &[u8],
    value: &[u8],
    cas: u32,
) -> Result<(), SharedDataError> {
    let name = Name::new(region, vm_id, key).ok_or(SharedDataError::Full)?;
    // What could not be kept without all else going is not tried.
    if value.len() > MAX_VALUE || value_chunks(value.len()) > region.layout.chunks / 4 {
        return Err(SharedDataError::Full);
    }
    let locked = region.lock();
    let found = locked.find_key(&name);
    if let Some(found) = found
        && cas != 0
        && cas != locked.field_value(found, CAS)
        && !(cas == IF_ABSENT && locked.is_empty(found))
    {
        return Err(SharedDataError::CasMismatch);
    }
    match found {
        Some(found) => locked.replace(found, value)?,
        // What counts as removed would be the first to go.
        None if value.is_empty() && locked.available() < name.chunks() => {}
        None => locked.insert(&name, value)?,
    }
    locked.commit();
    Ok(())
}

/// Forgets a key. Whether there was a value under it.
pub fn remove(region: &Region, vm_id: &[u8], key: &[u8]) -> bool {
    let Some(name) = Name::new(region, vm_id, key) else {
        return false;
    };
    let locked = region.lock();
    let Some(found) = locked.find_key(&name) else {
        return false;
    };
    let was_empty = locked.is_empty(found);
    locked.remove(found);
    locked.commit();
    !was_empty
}

/// Calls `visit` with the keys of a namespace that have values, `max` at most.
pub fn keys(region: &Region, vm_id: &[u8], max: usize, mut visit: impl FnMut(&[u8])) {
    /// So that others wait for no longer than this takes.
    const BUCKETS_AT_ONCE: usize = 256;
    let mut left = max;
    let mut name = Vec::new();
    for start in (0..region.layout.buckets).step_by(BUCKETS_AT_ONCE) {
        if left == 0 {
            return;
        }
        let locked = region.lock();
        for bucket in start..(start + BUCKETS_AT_ONCE).min(region.layout.buckets) {
            for (_, key) in locked.bucket(region.layout.bucket_at(bucket)) {
                if left > 0 && !locked.is_empty(key) && locked.is_of(key, vm_id) {
                    name.clear();
                    locked.read_name(key, &mut name);
                    visit(&name);
                    left -= 1;
                }
            }
        }
    }
}

impl Locked<'_> {
    fn find_key(&self, name: &Name<'_>) -> Option<u32> {
        self.bucket(self.layout().bucket(name.hash()))
            .map(|(_, key)| key)
            .find(|key| self.is_named(*key, name))
    }

    /// The keys of a bucket, each with the place of the link to it.
    ///
    /// # Panics
    /// They have no end, as comes to light only on the way.
    fn bucket(&self, bucket: usize) -> impl Iterator<Item = (usize, u32)> {
        let mut at = bucket;
        let mut left = self.layout().chunks;
        iter::from_fn(move || {
            let (link, key) = (at, self.get(at));
            if key == 0 {
                return None;
            }
            left = left.checked_sub(1).expect("a bucket has an end");
            at = self.field(key, NEXT_IN_BUCKET);
            Some((link, key))
        })
    }

    fn is_empty(&self, key: u32) -> bool {
        self.field_value(key, VALUE_LEN) == 0
    }

    /// How many chunks hold its value.
    fn kept_chunks(&self, key: u32) -> usize {
        value_chunks(self.field_value(key, VALUE_LEN) as usize)
    }

    fn insert(&self, name: &Name<'_>, value: &[u8]) -> Result<(), SharedDataError> {
        let chunks = value_chunks(value.len());
        if !self.make_room(name.chunks() + chunks, 0) {
            return Err(SharedDataError::Full);
        }
        let key = self.take_named(name);
        self.put(self.field(key, VALUE), self.take_value(value));
        self.put(self.field(key, VALUE_LEN), value.len() as u32);
        self.put(self.field(key, CAS), self.next_cas());
        let bucket = self.layout().bucket(name.hash());
        self.put(self.field(key, NEXT_IN_BUCKET), self.get(bucket));
        self.set(bucket, key);
        self.link(key);
        if !value.is_empty() {
            self.add(layout::KEYS, 1);
        }
        Ok(())
    }

    fn replace(&self, key: u32, value: &[u8]) -> Result<(), SharedDataError> {
        let old = self.field_value(key, VALUE);
        let old_chunks = self.kept_chunks(key);
        let chunks = value_chunks(value.len());
        if chunks == 1 && old_chunks > 0 {
            if old_chunks > 1 {
                self.give_back(self.cut(old), old_chunks - 1);
            }
            for (index, word) in value.chunks(4).enumerate() {
                let mut bytes = [0; 4];
                bytes[..word.len()].copy_from_slice(word);
                self.set(self.field(old, 1 + index), u32::from_ne_bytes(bytes));
            }
        } else {
            if !self.make_room(chunks, key) {
                return Err(SharedDataError::Full);
            }
            self.set(self.field(key, VALUE), self.take_value(value));
            self.give_back(old, old_chunks);
        }
        self.set(self.field(key, VALUE_LEN), value.len() as u32);
        self.set(self.field(key, CAS), self.next_cas());
        let more = i32::from(chunks > 0) - i32::from(old_chunks > 0);
        if more != 0 {
            self.add(layout::KEYS, more);
        }
        self.use_now(key, more != 0);
        Ok(())
    }

    /// Takes a chain for a value, if it is not empty, and writes it.
    fn take_value(&self, value: &[u8]) -> u32 {
        if value.is_empty() {
            return 0;
        }
        let kept = self.take(value_chunks(value.len()));
        self.write(kept, 0, value);
        kept
    }

    fn remove(&self, key: u32) {
        let next = self.field_value(key, NEXT_IN_BUCKET);
        let (link, _) = self
            .bucket(self.layout().bucket(self.name_hash(key)))
            .find(|(_, found)| *found == key)
            .expect("a key is in its bucket");
        self.set(link, next);
        self.unlink(key);
        self.give_back(self.field_value(key, VALUE), self.kept_chunks(key));
        self.give_back(key, self.name_chunks(key));
        if !self.is_empty(key) {
            self.add(layout::KEYS, -1);
        }
    }

    /// Sees to it that so many chunks can be taken. Data goes for them where the policy says so, but for the key `keep`, and what was
    /// removed in any case. Nothing may have been changed before that does not count already.
    pub fn make_room(&self, chunks: usize, keep: u32) -> bool {
        if self.available() >= chunks {
            return true;
        }
        let stays = match keep {
            0 => 0,
            key => self.name_chunks(key) + self.kept_chunks(key),
        } + self.get(layout::QUEUE_CHUNKS) as usize
            + self.get(layout::ITEM_CHUNKS) as usize;
        if stays + chunks > self.layout().chunks {
            // Nothing is to go in vain.
            return false;
        }
        let evicts = self.region.policy() == Policy::Lru;
        while self.available() < chunks {
            let oldest = match self.get(layout::OLDEST) {
                oldest if oldest == keep && keep != 0 => self.field_value(keep, NEWER),
                oldest => oldest,
            };
            if oldest == 0 || !(evicts || self.is_empty(oldest)) {
                return false;
            }
            let evicted = !self.is_empty(oldest);
            self.remove(oldest);
            self.commit();
            if evicted {
                self.count(layout::EVICTED);
            }
        }
        true
    }

    /// Puts a key where it belongs after it was used; `changed`, because it was removed or is there again.
    fn use_now(&self, key: u32, changed: bool) {
        let stays = self.is_empty(key) || self.get(layout::NEWEST) == key;
        if changed || !stays {
            self.unlink(key);
            self.link(key);
        }
    }

    /// Makes a key the newest, or, where it counts as removed, the oldest.
    fn link(&self, key: u32) {
        let (near, far, near_field, far_field) = if self.is_empty(key) {
            (layout::OLDEST, layout::NEWEST, OLDER, NEWER)
        } else {
            (layout::NEWEST, layout::OLDEST, NEWER, OLDER)
        };
        let next = self.get(near);
        self.set(self.field(key, near_field), 0);
        self.set(self.field(key, far_field), next);
        let back = match next {
            0 => far,
            next => self.field(next, near_field),
        };
        self.set(back, key);
        self.set(near, key);
    }

    fn unlink(&self, key: u32) {
        let newer = self.field_value(key, NEWER);
        let older = self.field_value(key, OLDER);
        let forward = match newer {
            0 => layout::NEWEST,
            newer => self.field(newer, OLDER),
        };
        self.set(forward, older);
        let back = match older {
            0 => layout::OLDEST,
            older => self.field(older, NEWER),
        };
        self.set(back, newer);
    }

    /// 0 means "any" and is left out; so is [`IF_ABSENT`].
    fn next_cas(&self) -> u32 {
        let cas = match self.get(layout::LAST_CAS) {
            last if last >= IF_ABSENT - 1 => 1,
            last => last + 1,
        };
        self.set(layout::LAST_CAS, cas);
        cas
    }
}

const _: () = assert!(
    CHUNK_BYTES == 60,
    "the journal has room for a value in place"
);
