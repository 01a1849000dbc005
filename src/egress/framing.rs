//! gRPC's length-prefixed messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::failure::{Failure, INTERNAL, RESOURCE_EXHAUSTED};

/// A flag, and the length.
const PREFIX: usize = 5;

/// A message as it is sent.
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    // No guest's memory holds more than a `u32` can say.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// Puts messages together from what was received.
pub struct Frames {
    buffer: BytesMut,
    max: usize,
}

impl Frames {
    pub fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max,
        }
    }

    pub fn add(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next message, if all of it is there.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [flag, length @ ..] = *prefix;
        match flag {
            0 => {}
            1 => return Err(Failure::new("compressed message", INTERNAL)),
            _ => return Err(Failure::new("malformed message", INTERNAL)),
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.max {
            return Err(Failure::new(
                format!("message larger than {} bytes", self.max),
                RESOURCE_EXHAUSTED,
            ));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = message.to_vec();
        self.buffer.advance(PREFIX + length);
        Ok(Some(message))
    }

    /// Whether nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, frame};

    #[test]
    fn messages_in_pieces() {
        let sent = [frame(b"one"), frame(b""), frame(b"three")].concat();
        for size in 1..sent.len() {
            let mut frames = Frames::new(5);
            let mut messages = Vec::new();
            for piece in sent.chunks(size) {
                frames.add(piece);
                while let Some(message) = frames.next().unwrap() {
                    messages.push(message);
                }
            }
            assert!(frames.is_empty());
            assert_eq!(messages, [&b"one"[..], b"", b"three"]);
        }
    }

    #[test]
    fn what_is_no_message() {
        let status = |bytes: &[u8]| {
            let mut frames = Frames::new(5);
            frames.add(bytes);
            frames.next().err().map(|failure| failure.status)
        };
        assert_eq!(status(b"\x00\x00\x00\x00\x06"), Some(8));
        assert_eq!(status(b"\x00\xff\xff\xff\xff"), Some(8));
        assert_eq!(status(b"\x01\x00\x00\x00\x00"), Some(13));
        assert_eq!(status(b"\x02\x00\x00\x00\x00"), Some(13));
        assert_eq!(status(b"\x00\x00\x00\x00\x05abc"), None);
    }
}
