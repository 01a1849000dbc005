//! What the targets have in common: a proxy and a request that answer as the input says, and a plugin's life among them.
//!
//! Start reading at [`life`], which `fuzz_targets/guest.rs` and `fuzz_targets/hostcalls.rs` run.

pub mod engine;
pub mod host;
pub mod input;
pub mod life;
pub mod statuses;
pub mod stream;

pub use input::Input;
