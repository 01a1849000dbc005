//! The wire format of header maps.
//!
//! A 32-bit count of pairs, then the 32-bit lengths of each key and value, then each key and value followed by a NUL, all
//! little-endian. A map without pairs is no bytes at all, which is what every SDK takes for an empty map.

use thiserror::Error;

/// The count at the front.
pub const COUNT: usize = 4;
/// Two lengths for each pair.
const LENGTHS: usize = 8;
/// For how many pairs room is kept at first.
const ROOM: usize = 16;
/// The least that a pair takes: its lengths and two NULs.
const MIN_PAIR: usize = LENGTHS + 2;
/// The longest map taken from a guest, as in proxy-wasm-cpp-host.
const MAX_SIZE: usize = 1024 * 1024;

/// A key and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Why bytes are not a header map.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    #[error("the map is longer than 1 MiB")]
    TooLong,
    #[error("a count or a length goes past the end")]
    Truncated,
    #[error("a key or a value does not end in NUL")]
    Unterminated,
    #[error("bytes are left after the last pair")]
    Trailing,
}

/// How many bytes a pair adds to a map that is not empty, besides the 4 of the count.
pub fn pair_size(key: &[u8], value: &[u8]) -> usize {
    MIN_PAIR + key.len() + value.len()
}

/// Writes a map behind what is in a vector, one pair at a time.
///
/// The lengths come before the first key on the wire, so room for those of most maps is kept from the start. What is too much or too
/// little of it costs a move of the bytes behind.
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    room: usize,
    count: usize,
}

impl<'a> Encoder<'a> {
    /// Starts a map.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.resize(start + COUNT + ROOM * LENGTHS, 0);
        Self {
            out,
            start,
            room: ROOM,
            count: 0,
        }
    }

    /// Adds a pair. One with a part of 4 GiB or more has no encoding and is left out.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let (Ok(key_len), Ok(value_len)) = (u32::try_from(key.len()), u32::try_from(value.len()))
        else {
            return;
        };
        let lengths = self.start + COUNT + self.count * LENGTHS;
        if self.count == self.room {
            let more = std::iter::repeat_n(0, self.room * LENGTHS);
            self.out.splice(lengths..lengths, more);
            self.room *= 2;
        }
        let both = u64::from(key_len) | u64::from(value_len) << 32;
        self.out[lengths..][..LENGTHS].copy_from_slice(&both.to_le_bytes());
        self.out.reserve(key.len() + value.len() + 2);
        self.out.extend_from_slice(key);
        self.out.push(0);
        self.out.extend_from_slice(value);
        self.out.push(0);
        self.count += 1;
    }

    /// Completes the map.
    pub fn finish(self) {
        if self.count == 0 {
            self.out.truncate(self.start);
            return;
        }
        let table = self.start + COUNT;
        self.out
            .drain(table + self.count * LENGTHS..table + self.room * LENGTHS);
        let count = u32::try_from(self.count).expect("fewer than 2^32 pairs fit into memory");
        self.out[self.start..table].copy_from_slice(&count.to_le_bytes());
    }
}

/// Reads a map. No bytes, a single 0 and a count of 0 are all the empty map.
///
/// # Errors
/// The counts, lengths or NULs are not those of exactly these bytes; see [`WireError`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Pair<'_>>, WireError> {
    if bytes.len() > MAX_SIZE {
        return Err(WireError::TooLong);
    }
    if matches!(bytes, [] | [0]) {
        return Ok(Vec::new());
    }
    let (count, rest) = split_u32(bytes)?;
    let count = count as usize;
    // A count is believed, and memory had for it, only once there are bytes enough for that many pairs.
    if count > rest.len() / MIN_PAIR {
        return Err(WireError::Truncated);
    }
    let (mut lengths, mut data) = rest.split_at(count * LENGTHS);
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let key_len;
        let value_len;
        let key;
        let value;
        (key_len, lengths) = split_u32(lengths)?;
        (value_len, lengths) = split_u32(lengths)?;
        (key, data) = split_part(data, key_len)?;
        (value, data) = split_part(data, value_len)?;
        pairs.push((key, value));
    }
    if data.is_empty() {
        Ok(pairs)
    } else {
        Err(WireError::Trailing)
    }
}

fn split_u32(bytes: &[u8]) -> Result<(u32, &[u8]), WireError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(WireError::Truncated)?;
    Ok((u32::from_le_bytes(*number), rest))
}

fn split_part(bytes: &[u8], len: u32) -> Result<(&[u8], &[u8]), WireError> {
    let (part, rest) = bytes
        .split_at_checked(len as usize)
        .ok_or(WireError::Truncated)?;
    match rest {
        [] => Err(WireError::Truncated),
        [0, rest @ ..] => Ok((part, rest)),
        [_, ..] => Err(WireError::Unterminated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [Pair<'a>];

    /// `{"a": "1", "b": "22"}`, the specification's example.
    const EXAMPLE: &[u8] = b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0a\x001\0b\x0022\0";
    const EXAMPLE_PAIRS: Pairs<'_> = &[(b"a", b"1"), (b"b", b"22")];

    fn encode(pairs: Pairs<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        for (key, value) in pairs {
            encoder.push(key, value);
        }
        encoder.finish();
        out
    }

    #[test]
    fn encodes_any_number_of_pairs() {
        assert_eq!(encode(EXAMPLE_PAIRS), EXAMPLE);
        assert_eq!(encode(&[]), b"");
        for count in [ROOM - 1, ROOM, ROOM + 1, 4 * ROOM + 1] {
            let pairs: Vec<Pair<'_>> = EXAMPLE_PAIRS.iter().copied().cycle().take(count).collect();
            let bytes = encode(&pairs);
            assert_eq!(decode(&bytes).unwrap(), pairs);
        }
        let size: usize = EXAMPLE_PAIRS.iter().map(|(k, v)| pair_size(k, v)).sum();
        assert_eq!(4 + size, EXAMPLE.len());
    }

    #[test]
    fn encodes_behind_what_is_there() {
        let mut out = b"before".to_vec();
        let mut encoder = Encoder::new(&mut out);
        encoder.push(b"a", b"1");
        encoder.push(b"b", b"22");
        encoder.finish();
        assert_eq!(out, [b"before", EXAMPLE].concat());
    }

    #[test]
    fn decodes_what_it_encodes() {
        assert_eq!(decode(EXAMPLE).unwrap(), EXAMPLE_PAIRS);
        let pairs: Pairs<'_> = &[(b"", b""), (b"k\0y", b"v\0"), (b"", b"only a value")];
        assert_eq!(decode(&encode(pairs)).unwrap(), pairs);
    }

    #[test]
    fn decodes_each_form_of_the_empty_map() {
        for bytes in [&b""[..], b"\0", b"\0\0\0\0"] {
            assert_eq!(decode(bytes).unwrap(), [], "{bytes:?}");
        }
    }

    #[test]
    fn refuses_every_map_that_was_cut() {
        for len in 1..EXAMPLE.len() {
            assert_eq!(decode(&EXAMPLE[..len]), Err(WireError::Truncated), "{len}");
        }
    }

    #[test]
    fn takes_a_mebibyte_and_no_more() {
        let fit = vec![b'x'; MAX_SIZE - COUNT - MIN_PAIR];
        let bytes = encode(&[(b"", &fit)]);
        assert_eq!(bytes.len(), MAX_SIZE);
        assert_eq!(decode(&bytes).unwrap(), [(&b""[..], &fit[..])]);
        assert_eq!(decode(&vec![0; MAX_SIZE + 1]), Err(WireError::TooLong));
    }

    #[test]
    fn refuses_lies() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = EXAMPLE.to_vec();
            bytes[at] = byte;
            bytes
        };
        for (bytes, want) in [
            (b"\x01".to_vec(), WireError::Truncated),
            (b"\0\0\0\0\0".to_vec(), WireError::Trailing),
            ([EXAMPLE, b"\0"].concat(), WireError::Trailing),
            (changed(0, 1), WireError::Trailing),
            (changed(0, 3), WireError::Truncated),
            // A count whose lengths alone would overflow 32 bits.
            (
                b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0".to_vec(),
                WireError::Truncated,
            ),
            (
                b"\x01\0\0\x20\0\0\0\0\0\0\0\0\0\0".to_vec(),
                WireError::Truncated,
            ),
            // Lengths that reach past the end, or around it.
            (
                b"\x01\0\0\0\xff\xff\xff\xff\x01\0\0\0\0\0".to_vec(),
                WireError::Truncated,
            ),
            (
                b"\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0".to_vec(),
                WireError::Truncated,
            ),
            (changed(4, 0), WireError::Unterminated),
            (changed(4, 2), WireError::Unterminated),
            (changed(16, 1), WireError::Unterminated),
            (changed(16, 3), WireError::Truncated),
            (changed(21, b'x'), WireError::Unterminated),
            (changed(EXAMPLE.len() - 1, b'x'), WireError::Unterminated),
        ] {
            assert_eq!(decode(&bytes), Err(want), "{}", bytes.escape_ascii());
        }
    }
}
