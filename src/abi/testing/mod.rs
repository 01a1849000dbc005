//! Test doubles: a guest that is a piece of memory, and a proxy and a request that are collections.
//!
//! Start with [`FakeGuest::new`] or [`FakeGuest::with_stream`], lay arguments out with [`FakeGuest::put`], call a function of
//! the host with [`FakeGuest::import`], and look at the public fields.

#![allow(dead_code, reason = "no test needs all of it")]

mod guest;
mod host;
mod stream;

use std::cell::RefCell;

use super::types::LogLevel;

pub use guest::{FakeGuest, plugin_info};
pub use host::FakeHost;
pub use stream::{FakeStream, Headers};

type Log = RefCell<Vec<(LogLevel, String)>>;

fn keep(log: &Log, level: LogLevel, message: &[u8]) {
    let message = String::from_utf8_lossy(message).into_owned();
    log.borrow_mut().push((level, message));
}
