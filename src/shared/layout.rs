//! Where what is in a region. Places are counted in words of 4 bytes.
//!
//! ```text
//! header   the mutex, what is counted, the journal
//! workers  the processes that use the region
//! queues   by id, the chunk that a queue begins with
//! buckets  of the hash table of shared data: the chunk of the first key in each
//! metrics  the hash table and the directory of metrics, then their records
//! chunks   everything else, in chains
//! ```

/// The sizes that a region can have, in bytes.
pub const SIZES: std::ops::RangeInclusive<usize> = 1 << 20..=4 << 30;

/// The mutex.
pub const LOCK: usize = 0;

/// How many changes the journal holds.
pub const JOURNAL_LEN: usize = 16;
/// What is done when data does not fit: [`Policy`](super::Policy).
pub const POLICY: usize = 17;
/// The store is being emptied.
pub const EMPTYING: usize = 18;
/// The number of the last change of shared data.
pub const LAST_CAS: usize = 19;
/// The first chunk that was given back.
pub const FREE: usize = 20;
/// How many there are.
pub const FREE_COUNT: usize = 21;
/// How many chunks have ever been taken; those above are as the system gave them.
pub const TOUCHED: usize = 22;
/// The key that was used last, and the one that has not been used for longest.
pub const NEWEST: usize = 23;
pub const OLDEST: usize = 24;
pub const KEYS: usize = 25;
pub const QUEUES: usize = 26;
/// In all queues.
pub const ITEMS: usize = 27;
/// The chunks of all items.
pub const ITEM_CHUNKS: usize = 28;
/// The chunks of queues themselves, and of who has registered them.
pub const QUEUE_CHUNKS: usize = 29;
pub const METRICS: usize = 30;
/// Where the next metric's record goes.
pub const METRICS_END: usize = 31;
/// Since the region was made; at even places, as 64-bit numbers.
pub const EVICTED: usize = 32;
pub const RECOVERED: usize = 34;
pub const EMPTIED: usize = 36;

/// The journal: places and what was there.
pub const JOURNAL: usize = 64;
pub const JOURNAL_CAPACITY: usize = 64;

pub const WORKERS: usize = 256;
pub const MAX_WORKERS: usize = 512;
pub const WORKER_WORDS: usize = 32;

pub const QUEUE_TABLE: usize = WORKERS + MAX_WORKERS * WORKER_WORDS;
pub const MAX_QUEUES: usize = 1024;

const BUCKETS: usize = QUEUE_TABLE + MAX_QUEUES;

/// A chunk: the next one of its chain, then what is kept.
pub const CHUNK_WORDS: usize = 16;
/// The bytes that a chunk keeps.
pub const CHUNK_BYTES: usize = (CHUNK_WORDS - 1) * 4;

const _: () = assert!(JOURNAL + 2 * JOURNAL_CAPACITY <= WORKERS);
const _: () = assert!(BUCKETS.is_multiple_of(16));

/// Whether a word of a region of so many is one that changes count for by the journal: no mutex, nor the journal itself.
pub fn is_undone(at: usize, words: usize) -> bool {
    (JOURNAL_LEN + 1..JOURNAL).contains(&at) || (QUEUE_TABLE..words).contains(&at)
}

/// What depends on the region's size.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// A power of two.
    pub buckets: usize,
    pub metric_buckets_at: usize,
    /// A power of two, and the most metrics there can be.
    pub max_metrics: usize,
    pub metric_directory_at: usize,
    pub metrics_at: usize,
    pub metrics_end: usize,
    chunks_at: usize,
    pub chunks: usize,
}

impl Layout {
    /// Of a region of so many bytes.
    pub fn new(size: usize) -> Self {
        let words = size / 4;
        // One for some three keys of the smallest kind, and for some 64 bytes of metrics.
        let buckets = (words / CHUNK_WORDS / 8).next_power_of_two();
        let max_metrics = (words / 4 / 16).next_power_of_two().min(1 << 16) / 2;
        let metric_buckets_at = BUCKETS + buckets;
        let metric_directory_at = metric_buckets_at + max_metrics;
        let metrics_at = (metric_directory_at + max_metrics).next_multiple_of(CHUNK_WORDS);
        let metrics_end = (metrics_at + words / 4).next_multiple_of(CHUNK_WORDS);
        Self {
            buckets,
            metric_buckets_at,
            max_metrics,
            metric_directory_at,
            metrics_at,
            metrics_end,
            chunks_at: metrics_end,
            chunks: (words - metrics_end) / CHUNK_WORDS,
        }
    }

    /// The bucket that a hash belongs to.
    pub fn bucket(&self, hash: u32) -> usize {
        self.bucket_at(hash as usize & (self.buckets - 1))
    }

    pub fn bucket_at(&self, index: usize) -> usize {
        BUCKETS + index
    }

    /// The place of a chunk. They count from 1: 0 is none.
    ///
    /// # Panics
    /// There is no such chunk.
    pub fn chunk(&self, chunk: u32) -> usize {
        let index = (chunk as usize).wrapping_sub(1);
        assert!(index < self.chunks, "chunk {chunk} is none");
        self.chunks_at + index * CHUNK_WORDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fill_a_region_of_any_size() {
        for size in [*SIZES.start(), 3 << 20, 16 << 20, 1 << 30, *SIZES.end()] {
            let layout = Layout::new(size);
            assert_eq!(layout.bucket(u32::MAX), layout.metric_buckets_at - 1);
            assert!(layout.metric_directory_at + layout.max_metrics <= layout.metrics_at);
            let last = layout.chunk(layout.chunks as u32);
            assert!(last + CHUNK_WORDS <= size / 4 && last + 2 * CHUNK_WORDS > size / 4);
            assert!(
                layout.chunks * CHUNK_WORDS * 4 > size * 6 / 10,
                "{size}: {layout:?}"
            );
        }
        assert!(Layout::new(16 << 20).max_metrics > 10_000);
    }
}
