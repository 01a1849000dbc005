//! How much one plugin may change of one request.

use std::cell::Cell;

/// So many changes of headers and variables.
const MOST: u32 = 4096;

/// So many bytes in all of them: a proxy may keep what was replaced until the request ends.
const MOST_BYTES: usize = 1 << 20;

/// What is logged of the first that is refused.
pub const TOO_MANY: &[u8] =
    b"too many changes of headers and variables in one request, the rest is refused";

/// What was changed.
#[derive(Debug, Default)]
pub struct Changes {
    count: Cell<u32>,
    bytes: Cell<usize>,
    refused: Cell<bool>,
}

/// There were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// This is the first that is refused.
    pub is_first: bool,
}

impl Changes {
    /// So many more, of so many bytes.
    ///
    /// # Errors
    /// They are not to be made.
    pub fn add(&self, count: usize, bytes: usize) -> Result<(), TooMany> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let count = self.count.get().saturating_add(count);
        let bytes = self.bytes.get().saturating_add(bytes);
        if count > MOST || bytes > MOST_BYTES {
            let is_first = !self.refused.replace(true);
            return Err(TooMany { is_first });
        }
        self.count.set(count);
        self.bytes.set(bytes);
        Ok(())
    }

    /// One that was added was none.
    pub fn undo(&self, bytes: usize) {
        self.count.set(self.count.get() - 1);
        self.bytes.set(self.bytes.get() - bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Changes, MOST, MOST_BYTES, TooMany};

    #[test]
    fn there_may_be_so_many_of_so_many_bytes() {
        for (times, bytes) in [(MOST, 1), (8, MOST_BYTES / 8)] {
            let changes = Changes::default();
            for _ in 0..times {
                assert_eq!(changes.add(1, bytes), Ok(()));
            }
            assert_eq!(changes.add(1, bytes), Err(TooMany { is_first: true }));
            assert_eq!(changes.add(1, bytes), Err(TooMany { is_first: false }));
        }
        assert!(Changes::default().add(MOST as usize + 1, 0).is_err());
        assert!(Changes::default().add(1, usize::MAX).is_err());
    }
}
