//! nginx's error log.

use std::ffi::c_int;
use std::ptr;

use super::symbols::{RequestPtr, symbols};
use crate::abi::types::LogLevel;

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

/// Writes to the log with the words that nginx adds about a request. nginx writes the message as it is.
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
    // SAFETY: the caller vouches for `r`; pointer and length are those of one slice.
    unsafe { (symbols.raw_log)(r, to_nginx(level), message.as_ptr(), message.len()) };
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

#[cfg(test)]
mod tests {
    use super::*;

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
