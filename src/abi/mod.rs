//! The Proxy-Wasm specification: its types, the table of hostcalls, the callbacks, the wire format of header maps, and the
//! part of WASI that plugins link.
//!
//! It knows WebAssembly through `engine` and the proxy through the traits in [`host`], and nothing of nginx. Start reading at
//! [`imports`], the table that registers every hostcall, and at [`vm`], what hostcalls work on.

#![forbid(unsafe_code)]

mod body;
mod callbacks;
pub mod calls;
mod changes;
pub mod contexts;
mod error;
mod foreign;
pub mod guest;
mod header_map;
pub mod host;
mod hostcalls;
pub mod imports;
pub mod log;
#[cfg(test)]
mod testing;
pub mod types;
pub mod vm;
pub mod wasi;
pub mod wire;

pub use body::Body;
pub use callbacks::{Action, Callbacks, call};
pub use error::HostcallError;
