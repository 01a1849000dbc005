//! Chains of chunks: all that is kept is cut into pieces of one size, so that no room is ever too scattered to be used.
//!
//! Bytes in a chain are counted without the links between its chunks.

use super::layout::{self, CHUNK_BYTES, CHUNK_WORDS};
use super::region::Locked;

/// How many chunks hold so many bytes: one at least.
pub fn chunks_for(bytes: usize) -> usize {
    bytes.div_ceil(CHUNK_BYTES).max(1)
}

impl Locked<'_> {
    /// The place of a word in the first chunk of a chain.
    pub fn field(&self, chunk: u32, index: usize) -> usize {
        debug_assert!(0 < index && index < CHUNK_WORDS);
        self.layout().chunk(chunk) + index
    }

    /// What is there.
    pub fn field_value(&self, chunk: u32, index: usize) -> u32 {
        self.get(self.field(chunk, index))
    }

    fn next(&self, chunk: u32) -> u32 {
        self.get(self.layout().chunk(chunk))
    }

    /// How many chunks can be taken.
    pub fn available(&self) -> usize {
        let available = self.layout().chunks.checked_sub(self.used());
        available.expect("no more chunks are taken than there are")
    }

    /// How many chunks are taken.
    pub fn used(&self) -> usize {
        let touched = self.get(layout::TOUCHED);
        let used = touched.checked_sub(self.get(layout::FREE_COUNT));
        used.expect("no more chunks are free than were taken") as usize
    }

    /// Takes a chain of so many chunks, of which there are so many. What is in them is whatever was.
    pub fn take(&self, count: usize) -> u32 {
        let free = (self.get(layout::FREE_COUNT) as usize).min(count);
        let fresh = count - free;
        let touched = self.get(layout::TOUCHED);
        let mut head = if fresh == 0 { 0 } else { touched + 1 };
        for i in 1..=fresh as u32 {
            let next = if (i as usize) < fresh {
                touched + i + 1
            } else {
                0
            };
            self.put(self.layout().chunk(touched + i), next);
        }
        if fresh > 0 {
            self.add(layout::TOUCHED, fresh as i32);
        }
        if free > 0 {
            let first = self.get(layout::FREE);
            let last = (1..free).fold(first, |chunk, _| self.next(chunk));
            let rest = self.next(last);
            self.set(layout::FREE, rest);
            self.add(layout::FREE_COUNT, -(free as i32));
            if rest != head {
                self.set(self.layout().chunk(last), head);
            }
            head = first;
        }
        head
    }

    /// Cuts a chain behind its first chunk, and gives the rest.
    pub fn cut(&self, head: u32) -> u32 {
        let rest = self.next(head);
        self.set(self.layout().chunk(head), 0);
        rest
    }

    /// Gives a chain of so many chunks back; of none, there is nothing.
    pub fn give_back(&self, head: u32, count: usize) {
        if count == 0 {
            return;
        }
        let last = (1..count).fold(head, |chunk, _| self.next(chunk));
        self.set(self.layout().chunk(last), self.get(layout::FREE));
        self.set(layout::FREE, head);
        self.add(layout::FREE_COUNT, count as i32);
    }

    /// Calls `visit` with the place and the length of each piece of so many bytes of a chain, until it answers false. Whether it never did.
    fn pieces(
        &self,
        head: u32,
        start: usize,
        len: usize,
        mut visit: impl FnMut((usize, usize), usize) -> bool,
    ) -> bool {
        let mut chunk = (0..start / CHUNK_BYTES).fold(head, |chunk, _| self.next(chunk));
        let mut offset = start % CHUNK_BYTES;
        let mut left = len;
        while left > 0 {
            let piece = left.min(CHUNK_BYTES - offset);
            if !visit((self.layout().chunk(chunk) + 1, offset), piece) {
                return false;
            }
            left -= piece;
            offset = 0;
            if left > 0 {
                chunk = self.next(chunk);
            }
        }
        true
    }

    /// Writes bytes into a chain that nothing leads to yet.
    pub fn write(&self, head: u32, start: usize, bytes: &[u8]) {
        let mut rest = bytes;
        self.pieces(head, start, bytes.len(), |(at, offset), len| {
            let piece;
            (piece, rest) = rest.split_at(len);
            // SAFETY: the region is locked, and all bytes in it are read and written only then.
            unsafe { self.region.memory.write(at, offset, piece) };
            true
        });
    }

    /// Appends bytes of a chain to `out`.
    pub fn read(&self, head: u32, start: usize, len: usize, out: &mut Vec<u8>) {
        assert!(len <= super::MAX_VALUE, "nothing is so long: {len}");
        out.reserve(len);
        self.pieces(head, start, len, |(at, offset), len| {
            // SAFETY: as in `write`.
            out.extend_from_slice(unsafe { self.region.memory.bytes(at, offset, len) });
            true
        });
    }

    /// Whether these are the bytes in a chain.
    pub fn is(&self, head: u32, start: usize, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        self.pieces(head, start, bytes.len(), |(at, offset), len| {
            let piece;
            (piece, rest) = rest.split_at(len);
            // SAFETY: as in `write`.
            unsafe { self.region.memory.bytes(at, offset, len) == piece }
        })
    }
}

/// What data and queues are found by: the namespace and the name, behind the fields of a chain's first chunk.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pub vm_id: &'a [u8],
    pub name: &'a [u8],
    hash: u32,
}

/// The longest name, with its namespace.
pub const MAX_NAME: usize = 8 * 1024;

const HASH: usize = 1;
pub const VM_ID_LEN: usize = 2;
const NAME_LEN: usize = 3;
/// Where a name begins, behind nine fields.
pub const NAME_START: usize = 9 * 4;

impl<'a> Name<'a> {
    /// `None` where it is too long to be kept.
    pub fn new(region: &super::region::Region, vm_id: &'a [u8], name: &'a [u8]) -> Option<Self> {
        (vm_id.len() + name.len() <= MAX_NAME).then(|| Self {
            vm_id,
            name,
            hash: region.hash([vm_id, name]),
        })
    }

    pub fn hash(&self) -> u32 {
        self.hash
    }

    fn len(&self) -> usize {
        self.vm_id.len() + self.name.len()
    }

    /// How many chunks hold it and the fields.
    pub fn chunks(&self) -> usize {
        chunks_for(NAME_START + self.len())
    }
}

impl Locked<'_> {
    /// Whether a chain begins with this name.
    pub fn is_named(&self, head: u32, name: &Name<'_>) -> bool {
        self.field_value(head, HASH) == name.hash
            && self.field_value(head, VM_ID_LEN) as usize == name.vm_id.len()
            && self.field_value(head, NAME_LEN) as usize == name.name.len()
            && self.is(head, NAME_START, name.vm_id)
            && self.is(head, NAME_START + name.vm_id.len(), name.name)
    }

    /// Whether its name is of this namespace.
    pub fn is_of(&self, head: u32, vm_id: &[u8]) -> bool {
        self.field_value(head, VM_ID_LEN) as usize == vm_id.len()
            && self.is(head, NAME_START, vm_id)
    }

    /// The hash of its name.
    pub fn name_hash(&self, head: u32) -> u32 {
        self.field_value(head, HASH)
    }

    /// How many chunks hold its name and the fields.
    pub fn name_chunks(&self, head: u32) -> usize {
        let vm_id_len = self.field_value(head, VM_ID_LEN) as usize;
        chunks_for(NAME_START + vm_id_len + self.field_value(head, NAME_LEN) as usize)
    }

    /// Its name without the namespace.
    pub fn read_name(&self, head: u32, out: &mut Vec<u8>) {
        let start = NAME_START + self.field_value(head, VM_ID_LEN) as usize;
        self.read(head, start, self.field_value(head, NAME_LEN) as usize, out);
    }

    /// Takes a chain for a name and writes it. All other fields are 0.
    pub fn take_named(&self, name: &Name<'_>) -> u32 {
        let head = self.take(name.chunks());
        for index in NAME_LEN + 1..=NAME_START / 4 {
            self.put(self.field(head, index), 0);
        }
        self.put(self.field(head, HASH), name.hash);
        self.put(self.field(head, VM_ID_LEN), name.vm_id.len() as u32);
        self.put(self.field(head, NAME_LEN), name.name.len() as u32);
        self.write(head, NAME_START, name.vm_id);
        self.write(head, NAME_START + name.vm_id.len(), name.name);
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Policy;
    use crate::shared::region::Region;

    fn region() -> Region {
        Region::new(*layout::SIZES.start(), Policy::Lru).unwrap()
    }

    /// The chunks of a chain.
    fn chunks(locked: &Locked<'_>, head: u32) -> Vec<u32> {
        let next = |chunk: &u32| Some(locked.next(*chunk)).filter(|chunk| *chunk != 0);
        std::iter::successors(Some(head), next).collect()
    }

    #[test]
    fn chunks_that_were_given_back_are_taken_first() {
        let region = region();
        let locked = region.lock();
        let all = locked.available();
        let chains = [3, 1, 4].map(|count| locked.take(count));
        assert_eq!(chunks(&locked, chains[0]), [1, 2, 3]);
        assert_eq!(chunks(&locked, chains[2]), [5, 6, 7, 8]);
        locked.give_back(chains[0], 3);
        locked.commit();
        locked.give_back(chains[2], 4);
        locked.give_back(0, 0);
        locked.commit();
        assert_eq!((locked.used(), locked.available()), (1, all - 1));
        let one = locked.take(1);
        assert_eq!(chunks(&locked, one), [5]);
        // Those that are left, then new ones.
        let many = locked.take(8);
        assert_eq!(chunks(&locked, many), [6, 7, 8, 1, 2, 3, 9, 10]);
        assert_eq!(locked.used(), 10);
        locked.commit();
        let rest = locked.cut(many);
        assert_eq!(chunks(&locked, many), [6]);
        assert_eq!(chunks(&locked, rest), [7, 8, 1, 2, 3, 9, 10]);
        locked.commit();
    }

    #[test]
    fn what_does_not_count_is_undone() {
        let region = region();
        let locked = region.lock();
        locked.give_back(locked.take(5), 5);
        locked.commit();
        let before = (locked.used(), chunks(&locked, locked.get(layout::FREE)));
        locked.take(3);
        locked.give_back(locked.take(7), 7);
        drop(locked);
        let locked = region.lock();
        assert_eq!(locked.used(), before.0);
        assert_eq!(chunks(&locked, locked.get(layout::FREE)), before.1);
    }

    #[test]
    fn bytes_from_anywhere_to_anywhere() {
        let region = region();
        let locked = region.lock();
        let head = locked.take(4);
        let all: Vec<_> = (0..4 * CHUNK_BYTES).map(|i| i as u8).collect();
        locked.write(head, 0, &all);
        for start in 0..all.len() {
            for end in start..=all.len() {
                let mut out = vec![7];
                locked.read(head, start, end - start, &mut out);
                assert_eq!(out[1..], all[start..end]);
                assert!(locked.is(head, start, &all[start..end]));
            }
        }
        for start in [0, 1, 59, 60, 61, 100] {
            locked.write(head, start, &[0; 130]);
            let mut expected = all.clone();
            expected[start..start + 130].fill(0);
            assert!(locked.is(head, 0, &expected));
            assert!(!locked.is(head, 0, &all));
            locked.write(head, 0, &all);
        }
        locked.commit();
    }
}
