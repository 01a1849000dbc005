//! The input, taken from its front.

use std::cell::Cell;
use std::rc::Rc;

/// What is left of the input. Clones take from the same; where nothing is left, all is 0.
#[derive(Clone)]
pub struct Input {
    bytes: Rc<[u8]>,
    at: Rc<Cell<usize>>,
}

impl Input {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            at: Rc::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.at.get() >= self.bytes.len()
    }

    pub fn byte(&self) -> u8 {
        let at = self.at.replace(self.at.get() + 1);
        self.bytes.get(at).copied().unwrap_or(0)
    }

    pub fn flag(&self) -> bool {
        self.byte() & 1 == 1
    }

    /// Less than `limit`, which is 256 at most.
    pub fn below(&self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub fn u16(&self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn u32(&self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    pub fn u64(&self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// Mostly few, seldom many.
    pub fn bytes(&self) -> Vec<u8> {
        let length = match self.byte() {
            length @ ..=0xf0 => usize::from(length & 0x1f),
            0xf1..=0xfe => self.byte().into(),
            // More than an input has.
            0xff => return vec![self.byte(); 16 * usize::from(self.u16())],
        };
        (0..length).map(|_| self.byte()).collect()
    }

    /// One of these.
    pub fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// What is left.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.at.get()..).unwrap_or_default()
    }
}
