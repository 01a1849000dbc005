//! nginx, as a plugin's host sees it.
//!
//! A [`Request`] is one nginx request behind the traits of `abi::host`. It never looks into nginx's structures: all
//! goes through the functions of [`symbols`], found at run time, so one build runs in any nginx. All calls into them
//! that concern a request are in `raw/`; what builds on it is safe code. [`module`] is what nginx sees of us when the
//! library is loaded with `load_module`.
//!
//! Only `abi::host` and `abi::types` may be used here. Start reading at `request.rs`.

mod attributes;
pub mod body_filter;
mod cleanup;
mod encoding;
mod headers;
mod log;
mod module;
mod process;
mod properties;
mod raw;
mod request;
mod request_headers;
mod response_headers;
mod semaphore;
mod symbols;
mod uri;

pub use attributes::{ATTRIBUTES, Attribute, Kind, Source};
pub use cleanup::{Begun, begin_request};
pub use log::{log, log_level};
pub use module::{
    Directive, about_to_fork, begin_configuration, configured, is_reading, set_accept_hook,
    set_directive_hook,
};
pub use process::{is_master, is_worker};
pub use properties::process_property;
pub use request::{Phase, Request};
pub use semaphore::Semaphore;
pub use symbols::{MissingSymbol, Symbols, symbols};
pub use uri::PathChange;

/// What `fuzz/` reaches: what needs no nginx.
#[cfg(fuzzing)]
pub mod fuzz {
    pub use super::attributes::find;
    pub use super::encoding::{Pairs, nanoseconds, seconds};
    pub use super::uri::{is_target_of, join, strip_origin};
}
