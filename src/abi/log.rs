//! How what a plugin says becomes records of the proxy's log.

/// The longest record: nginx cuts one at 2048 bytes, its own words included.
const LONGEST_RECORD: usize = 1900;

/// Most of a message that is written; the rest is cut.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// The longest that a plugin's name may take of each record.
const LONGEST_NAME: usize = 128;

/// Calls `write` for each record that a message becomes: one for each line, and more for a long one. Each begins with the plugin's
/// name, and nothing in it could pass for the end of a record: no plugin can write a line that seems to be another's.
pub fn records(plugin: &str, message: &[u8], mut write: impl FnMut(&[u8])) {
    let mut record = Vec::with_capacity(message.len().min(LONGEST_RECORD) + LONGEST_NAME + 16);
    record.extend_from_slice(b"proxy-wasm ");
    for byte in plugin.bytes().take(LONGEST_NAME) {
        push(&mut record, byte);
    }
    record.extend_from_slice(b": ");
    let prefix = record.len();

    let message = &message[..message.len().min(LONGEST_MESSAGE)];
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|&byte| byte == b'\n') {
        for &byte in line.strip_suffix(b"\r").unwrap_or(line) {
            // A character of UTF-8 is not cut, unless what claims to be one never ends.
            let inside = byte & 0xC0 == 0x80 && record.len() < LONGEST_RECORD + 4;
            if record.len() >= LONGEST_RECORD && !inside {
                write(&record);
                record.truncate(prefix);
            }
            push(&mut record, byte);
        }
        write(&record);
        record.truncate(prefix);
    }
}

fn push(record: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_control() && byte != b'\t' {
        record.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
    } else {
        record.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(message: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        records("p", message, |record| {
            let text = String::from_utf8_lossy(record);
            all.push(text.strip_prefix("proxy-wasm p: ").unwrap().to_owned());
        });
        all
    }

    #[test]
    fn a_line_is_a_record() {
        assert_eq!(cut(b"one\r\ntwo\n"), ["one", "two"]);
        assert_eq!(cut(b""), [""]);
    }

    #[test]
    fn control_bytes_are_escaped() {
        assert_eq!(cut(b"a\x1b[0m\0\tb\rc"), ["a\\x1B[0m\\x00\tb\\x0Dc"]);
        let mut name = String::new();
        records("a\nb", b"x", |r| {
            name.push_str(&String::from_utf8_lossy(r));
        });
        assert_eq!(name, "proxy-wasm a\\x0Ab: x");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "ä".repeat(3000);
        let all = cut(text.as_bytes());
        assert_eq!(all.concat(), text);
        assert!(all.len() > 3 && all.iter().all(|r| r.len() <= LONGEST_RECORD + 4));
        let garbage = vec![0x80; 3 * LONGEST_RECORD];
        records("p", &garbage, |r| assert!(r.len() <= LONGEST_RECORD + 8));
    }
}
