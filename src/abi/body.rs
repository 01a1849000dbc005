//! The body of a request or response as one plugin sees it.

use std::ops::Range;

/// Bytes that wait in the host while the plugin looks at them, and whether it changed them.
#[derive(Debug, Default)]
pub struct Body {
    bytes: Vec<u8>,
    /// The proxy has handed this body, or some of it, to the plugin.
    given: bool,
    changed: bool,
}

impl Body {
    /// Adds the next chunk behind what is held back.
    pub fn push(&mut self, chunk: &[u8]) {
        self.given = true;
        self.bytes.extend_from_slice(chunk);
    }

    /// The bytes, or `None` where the proxy has given no body.
    pub fn get(&self) -> Option<&[u8]> {
        self.given.then_some(&self.bytes[..])
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the plugin has changed the bytes since they were last taken.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// How long [`Body::replace`] with so many bytes would leave it.
    pub fn len_with(&self, start: u32, size: u32, value: usize) -> usize {
        let part = self.part(start, size);
        self.bytes.len() - part.len() + value
    }

    fn part(&self, start: u32, size: u32) -> Range<usize> {
        let start = (start as usize).min(self.bytes.len());
        let end = start.saturating_add(size as usize).min(self.bytes.len());
        start..end
    }

    /// Replaces `size` bytes at `start`: a `start` past the end appends, a size of 0 inserts.
    /// False where the proxy has given no body.
    pub fn replace(&mut self, start: u32, size: u32, value: &[u8]) -> bool {
        if !self.given {
            return false;
        }
        let part = self.part(start, size);
        self.bytes.splice(part, value.iter().copied());
        self.changed = true;
        true
    }

    /// Hands the bytes on to `out`, whose content is dropped, and starts anew.
    pub fn take_into(&mut self, out: &mut Vec<u8>) {
        out.clear();
        std::mem::swap(out, &mut self.bytes);
        self.changed = false;
    }

    /// Drops the bytes: they go on unchanged by themselves.
    pub fn pass(&mut self) {
        self.bytes.clear();
        self.changed = false;
    }

    /// The callback is over: the bytes can no longer be read.
    pub fn withdraw(&mut self) {
        self.given = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Body;

    fn body(bytes: &[u8]) -> Body {
        let mut body = Body::default();
        body.push(bytes);
        body
    }

    #[test]
    fn a_body_not_given_is_not_there() {
        let mut body = Body::default();
        assert_eq!(body.get(), None);
        assert!(!body.replace(0, 0, b"x"));
        assert!(!body.changed());
    }

    #[test]
    fn replace_covers_what_the_specification_names() {
        for (start, size, want) in [
            (0, 0, &b"<>hello"[..]),
            (5, 0, b"hello<>"),
            (u32::MAX, u32::MAX, b"hello<>"),
            (0, u32::MAX, b"<>"),
            (0, 5, b"<>"),
            (1, 3, b"h<>o"),
            (0, 2, b"<>llo"),
        ] {
            let mut body = body(b"hello");
            assert_eq!(body.len_with(start, size, 2), want.len());
            assert!(body.replace(start, size, b"<>"));
            assert_eq!(body.get(), Some(want), "start {start} size {size}");
            assert!(body.changed());
        }
    }

    #[test]
    fn chunks_held_back_add_up() {
        let mut body = body(b"a");
        body.push(b"b");
        let mut out = b"old".to_vec();
        body.take_into(&mut out);
        assert_eq!(out, b"ab");
        assert!(body.is_empty() && !body.changed());
    }
}
