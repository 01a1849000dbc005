//! The hostcalls, a file for each section of the specification.
//!
//! Each decodes its arguments from guest memory, asks the [`Host`](super::host::Host) or the
//! [`HttpStream`](super::host::HttpStream), and encodes the answer. `super::imports` registers them.

pub mod buffer;
pub mod call;
pub mod context;
pub mod foreign;
pub mod grpc;
pub mod header_map;
pub mod higress;
pub mod local_response;
pub mod logging;
pub mod metric;
pub mod property;
pub mod shared_data;
pub mod shared_queue;
pub mod stream;
pub mod time;

use super::error::HostcallError;

/// What a hostcall gives: `Ok`, a status for the guest, or a trap.
pub type Answer = Result<(), HostcallError>;
