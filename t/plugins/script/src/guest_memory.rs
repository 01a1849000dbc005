//! What the host allocates in the guest, and memory that a script may point hostcalls at.

use std::cell::{RefCell, UnsafeCell};
use std::collections::BTreeMap;

pub const SCRATCH_SIZE: usize = 4096;

#[repr(align(16))]
struct Scratch(UnsafeCell<[u8; SCRATCH_SIZE]>);

// SAFETY: a guest has one thread.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; SCRATCH_SIZE]));

thread_local! {
    static ALLOCATED: RefCell<BTreeMap<u32, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Allocates for the host and remembers the piece until [`take`] hands it over. Null when there is no memory left.
pub fn allocate(size: usize) -> *mut u8 {
    let mut piece = Vec::new();
    if piece.try_reserve_exact(size.max(1)).is_err() {
        return std::ptr::null_mut();
    }
    piece.resize(size.max(1), 0);
    let data = piece.as_mut_ptr();
    ALLOCATED.with_borrow_mut(|allocated| allocated.insert(data as u32, piece));
    data
}

/// What a hostcall returned as a pointer and a size.
pub struct Returned {
    pub bytes: Vec<u8>,
    /// Whether the bytes lie in a piece that [`allocate`] made.
    pub ours: bool,
}

/// The bytes that the host put at `data`; the piece they lie in is freed.
pub fn take(data: u32, size: u32) -> Returned {
    let size = size as usize;
    match ALLOCATED.with_borrow_mut(|allocated| allocated.remove(&data)) {
        Some(mut piece) if size <= piece.len() => {
            piece.truncate(size);
            Returned {
                bytes: piece,
                ours: true,
            }
        }
        _ => Returned {
            bytes: copy(data as usize, size),
            ours: false,
        },
    }
}

/// How many pieces the host allocated and no result has handed over.
pub fn outstanding() -> usize {
    ALLOCATED.with_borrow(BTreeMap::len)
}

/// The size of the memory in bytes.
pub fn size() -> usize {
    core::arch::wasm32::memory_size(0) * 65536
}

pub fn scratch() -> *mut u8 {
    SCRATCH.0.get().cast()
}

/// Copies what the host may have written, or nothing where that is beyond the memory.
pub fn copy(data: usize, size: usize) -> Vec<u8> {
    if data == 0 || data.checked_add(size).is_none_or(|end| end > self::size()) {
        return Vec::new();
    }
    // SAFETY: the range was just checked to lie in the memory. The reads are volatile because the compiler saw no write.
    (0..size)
        .map(|at| unsafe { (data as *const u8).add(at).read_volatile() })
        .collect()
}
