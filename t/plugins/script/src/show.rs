//! Results as text for the log.

use crate::hostcalls;

const LONGEST_BYTES: usize = 400;
const LONGEST_PAIRS: usize = 1200;

pub fn info(text: &str) {
    hostcalls::log(2, text);
}

pub fn error(text: &str) {
    hostcalls::log(4, text);
}

pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', byte.into()]),
            b' '..=b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

pub fn quoted(bytes: &[u8]) -> String {
    match bytes.get(..LONGEST_BYTES) {
        Some(start) if bytes.len() > LONGEST_BYTES => format!("\"{}\"...", escaped(start)),
        _ => format!("\"{}\"", escaped(bytes)),
    }
}

pub fn pairs(serialized: &[u8]) -> String {
    let Some(pairs) = deserialize(serialized) else {
        return format!("malformed {}", quoted(serialized));
    };
    let mut text = String::new();
    for (key, value) in pairs {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&format!("{}={}", escaped(key), escaped(value)));
    }
    if text.len() > LONGEST_PAIRS {
        text.truncate(LONGEST_PAIRS);
        text.push_str("...");
    }
    text
}

/// The pairs of a serialized map, or nothing when its counts, lengths or terminators are wrong.
pub fn deserialize(map: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    if map.is_empty() || map == [0] {
        return Some(Vec::new());
    }
    let number =
        |at: usize| Some(u32::from_le_bytes(map.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(0)?;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    if at > map.len() {
        return None;
    }
    let mut text = |size: usize| {
        let bytes = map.get(at..at.checked_add(size)?)?;
        at += size;
        (map.get(at) == Some(&0)).then_some(())?;
        at += 1;
        Some(bytes)
    };
    let mut pairs = Vec::new();
    for pair in 0..count {
        pairs.push((text(number(4 + 8 * pair)?)?, text(number(8 + 8 * pair)?)?));
    }
    (at == map.len()).then_some(pairs)
}

pub fn serialize(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut map = (pairs.len() as u32).to_le_bytes().to_vec();
    for (key, value) in pairs {
        map.extend((key.len() as u32).to_le_bytes());
        map.extend((value.len() as u32).to_le_bytes());
    }
    for (key, value) in pairs {
        for text in [key, value] {
            map.extend(text);
            map.push(0);
        }
    }
    map
}
