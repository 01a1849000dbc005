//! How much a plugin may write to the log.

use std::cell::Cell;

use crate::abi::host::Host;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Write,
    /// It is the first of this second that is too much.
    First,
    Drop,
    /// It is written, and so many before it were not.
    After(u32),
}

/// The records of one second.
#[derive(Debug, Default)]
pub struct Rate {
    /// When the second began, by the host's clock; `None` before the first record.
    begun: Cell<Option<u64>>,
    count: Cell<u32>,
}

impl Rate {
    /// One more record, of which there may be `limit` in a second.
    pub fn count(&self, limit: u32, host: &dyn Host) -> Verdict {
        if self
            .begun
            .get()
            .is_none_or(|then| host.between(then, host.now()) >= SECOND)
        {
            self.begun.set(Some(host.now()));
            let before = self.count.replace(1);
            return match before.saturating_sub(limit) {
                0 => Verdict::Write,
                dropped => Verdict::After(dropped),
            };
        }
        let count = self.count.get().saturating_add(1);
        self.count.set(count);
        match count.saturating_sub(limit) {
            0 => Verdict::Write,
            1 => Verdict::First,
            _ => Verdict::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeHost;

    #[test]
    fn what_is_more_than_the_limit_of_a_second_is_dropped_and_told_of_twice() {
        let host = FakeHost::default();
        let rate = Rate::default();
        let verdicts =
            |n: usize| -> Vec<Verdict> { (0..n).map(|_| rate.count(2, &host)).collect() };
        use Verdict::{After, Drop, First, Write};
        assert_eq!(verdicts(5), [Write, Write, First, Drop, Drop]);
        host.time.set(SECOND);
        assert_eq!(verdicts(4), [After(3), Write, First, Drop]);
        host.time.set(2 * SECOND);
        assert_eq!(verdicts(1), [After(2)]);
        host.time.set(5 * SECOND);
        assert_eq!(verdicts(2), [Write, Write]);
    }
}
