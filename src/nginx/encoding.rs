//! Values of attributes as Envoy writes them, which is how plugins read them.

use std::time::Duration;

/// Eight bytes, little-endian.
pub fn int(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// One byte.
pub fn boolean(value: bool, out: &mut Vec<u8>) {
    out.push(u8::from(value));
}

/// Nanoseconds; a point in time is one since 1970.
pub fn nanoseconds(duration: Duration, out: &mut Vec<u8>) {
    int(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX), out);
}

/// Pairs: their number, the two sizes of each, then the strings of each, which are followed by NUL.
#[derive(Default)]
pub struct Pairs {
    sizes: Vec<u8>,
    strings: Vec<u8>,
}

impl Pairs {
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        for string in [name, value] {
            let size = u32::try_from(string.len()).unwrap_or(u32::MAX);
            self.sizes.extend_from_slice(&size.to_le_bytes());
            self.strings.extend_from_slice(string);
            self.strings.push(0);
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let number = u32::try_from(self.sizes.len() / 8).unwrap_or(u32::MAX);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&self.sizes);
        out.extend_from_slice(&self.strings);
    }
}

/// A number of seconds as nginx writes it: `1.234`.
pub fn seconds(text: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    seconds_f64(seconds)
}

/// Seconds with a fraction; what nginx has is exact to the millisecond.
pub fn seconds_f64(seconds: f64) -> Option<Duration> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    let milliseconds = (exact + Duration::from_micros(500)).as_millis();
    Some(Duration::from_millis(u64::try_from(milliseconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn scalars() {
        assert_eq!(of(|o| int(258, o)), [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(|o| int(-1, o)), [255; 8]);
        assert_eq!(of(|o| boolean(true, o)), [1]);
        let ms = Duration::from_millis(1);
        assert_eq!(of(|o| nanoseconds(ms, o)), 1_000_000_i64.to_le_bytes());
    }

    #[test]
    fn pairs() {
        let mut pairs = Pairs::default();
        assert_eq!(of(|o| pairs.write(o)), [0; 4]);
        pairs.push(b"a", b"bc");
        let expected = b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0bc\0";
        assert_eq!(of(|o| pairs.write(o)), expected);
    }

    #[test]
    fn times() {
        assert_eq!(seconds(b"0.004"), Some(Duration::from_millis(4)));
        assert_eq!(seconds(b" 12"), Some(Duration::from_secs(12)));
        for text in [&b"-"[..], b"", b"-1", b"nan", b"1e300"] {
            assert_eq!(seconds(text), None);
        }
        let now = seconds_f64(1_790_000_000.123);
        assert_eq!(now, Some(Duration::from_millis(1_790_000_000_123)));
    }
}
