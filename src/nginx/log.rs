//! nginx's error log.

use std::ffi::c_int;
use std::ptr;

use super::symbols::{RequestPtr, symbols};
use crate::abi::types::LogLevel;

/// nginx cuts a record at 2048 bytes, its own words included.
const LONGEST_RECORD: usize = 1900;

/// Writes to the log, outside a request.
pub fn log(level: LogLevel, message: &[u8]) {
    // SAFETY: a null request is how this is asked for.
    unsafe { log_for(ptr::null_mut(), level, message) }
}

/// The least severe level that the log keeps, outside a request.
pub fn log_level() -> LogLevel {
    // SAFETY: a null request is how this is asked for.
    unsafe { log_level_for(ptr::null_mut()) }
}

/// Writes to the log with the words that nginx adds about a request. Each line of the message is a record of its own.
///
/// # Safety
/// `r` is null or a request that has not ended.
pub unsafe fn log_for(r: RequestPtr, level: LogLevel, message: &[u8]) {
    let Ok(symbols) = symbols() else {
        return;
    };
    // SAFETY: the caller vouches for `r`.
    if level < unsafe { log_level_for(r) } {
        return;
    }
    records(message, |record| {
        // SAFETY: the caller vouches for `r`; pointer and length are those of one slice.
        unsafe { (symbols.raw_log)(r, to_nginx(level), record.as_ptr(), record.len()) };
    });
}

/// The least severe level that the log of a request keeps.
///
/// # Safety
/// `r` is null or a request that has not ended.
pub unsafe fn log_level_for(r: RequestPtr) -> LogLevel {
    match symbols().map(|s| s.errlog_get_sys_filter_level) {
        // SAFETY: the caller vouches for `r`.
        Ok(Some(level)) => from_nginx(unsafe { level(r) }),
        _ => LogLevel::Trace,
    }
}

fn to_nginx(level: LogLevel) -> c_int {
    match level {
        LogLevel::Trace | LogLevel::Debug => 8,
        LogLevel::Info => 7,
        LogLevel::Warn => 5,
        LogLevel::Error => 4,
        LogLevel::Critical => 3,
    }
}

fn from_nginx(level: c_int) -> LogLevel {
    match level {
        8.. => LogLevel::Trace,
        7 => LogLevel::Info,
        5 | 6 => LogLevel::Warn,
        4 => LogLevel::Error,
        ..4 => LogLevel::Critical,
    }
}

/// Cuts a message into what nginx writes as one record each, with nothing in it that could pass for another record.
fn records(message: &[u8], mut write: impl FnMut(&[u8])) {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() <= LONGEST_RECORD && !line.iter().copied().any(is_control) {
            write(line);
            continue;
        }
        let mut record = Vec::with_capacity(LONGEST_RECORD);
        for &byte in line {
            if record.len() + 4 > LONGEST_RECORD && byte & 0xC0 != 0x80
                || record.len() + 4 > LONGEST_RECORD + 12
            {
                write(&record);
                record.clear();
            }
            if is_control(byte) {
                record.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
            } else {
                record.push(byte);
            }
        }
        write(&record);
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(message: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        records(message, |r| {
            all.push(String::from_utf8_lossy(r).into_owned());
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
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "ä".repeat(3000);
        let all = cut(text.as_bytes());
        assert_eq!(all.concat(), text);
        assert!(all.iter().all(|r| r.len() <= LONGEST_RECORD + 12));
    }

    #[test]
    fn levels_there_and_back() {
        for level in [
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
            LogLevel::Critical,
        ] {
            assert_eq!(from_nginx(to_nginx(level)), level);
        }
        assert_eq!(from_nginx(0x7fff_fff0), LogLevel::Trace);
        assert_eq!(from_nginx(6), LogLevel::Warn);
    }
}
