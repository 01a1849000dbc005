//! Memory that a process shares with those it forks.

use std::ffi::c_void;
use std::io;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::lock::RobustMutex;

/// One mapping, all zeros at first. It is never at another address in a process that was forked, and its size is in every one the same.
///
/// Words are atomic. Bytes are not: whoever reads or writes them excludes all others.
pub struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to no thread. What is reached through `&self` is atomic or a mutex, but for bytes, where the caller says that no
// other thread, or process, is at them.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes.
    ///
    /// # Errors
    /// The system has no such room.
    pub fn map(len: usize) -> io::Result<Self> {
        // Miri knows no mapping that is shared, and runs one process only.
        let sharing = if cfg!(miri) {
            libc::MAP_PRIVATE
        } else {
            libc::MAP_SHARED
        };
        // SAFETY: a mapping of its own, wherever the system likes.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                sharing | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The word at a place counted in words.
    ///
    /// # Panics
    /// There is none.
    pub fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at < self.len / 4, "a place outside the shared memory: {at}");
        // SAFETY: the place was just checked to be within the mapping, and is aligned; any bits are a number, and nobody writes to words
        // otherwise than atomically while somebody could read them.
        unsafe { self.start.cast::<AtomicU32>().add(at).as_ref() }
    }

    /// The 64-bit number at an even place counted in words.
    ///
    /// # Panics
    /// There is none.
    pub fn cell(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(2), "a cell is aligned");
        // SAFETY: as `word`; the mapping begins with a page, so an even place is aligned to 8.
        unsafe { self.place(at, 8).cast().as_ref() }
    }

    /// The mutex at a place counted in words.
    ///
    /// # Panics
    /// There is none.
    pub fn mutex(&self, at: usize) -> &RobustMutex {
        assert!(at.is_multiple_of(16), "a mutex is aligned");
        // SAFETY: as `word`; only mutexes are at such places, which begin as zeros.
        unsafe {
            self.place(at, mem::size_of::<RobustMutex>())
                .cast()
                .as_ref()
        }
    }

    /// The bytes from a place counted in words on, `offset` further.
    ///
    /// # Safety
    /// Nobody writes to them meanwhile.
    ///
    /// # Panics
    /// There are not so many.
    pub unsafe fn bytes(&self, at: usize, offset: usize, len: usize) -> &[u8] {
        let start = self.place(at, offset + len);
        // SAFETY: they are within the mapping, and the caller says that nobody writes.
        unsafe { std::slice::from_raw_parts(start.as_ptr().add(offset), len) }
    }

    /// Writes bytes from a place counted in words on, `offset` further.
    ///
    /// # Safety
    /// Nobody reads or writes them meanwhile.
    ///
    /// # Panics
    /// There are not so many.
    pub unsafe fn write(&self, at: usize, offset: usize, bytes: &[u8]) {
        let start = self.place(at, offset + bytes.len());
        // SAFETY: there is room within the mapping, which no Rust slice is in, and the caller says that nobody else is at it.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr().add(offset), bytes.len());
        }
    }

    fn place(&self, at: usize, size: usize) -> NonNull<u8> {
        let inside = at
            .checked_mul(4)
            .and_then(|start| start.checked_add(size))
            .is_some_and(|end| end <= self.len);
        assert!(inside, "a place outside the shared memory: {at}");
        // SAFETY: it was just checked to be within the mapping.
        unsafe { self.start.add(at * 4) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and no reference into it outlives it.
        unsafe { libc::munmap(self.start.as_ptr().cast::<c_void>(), self.len) };
    }
}
