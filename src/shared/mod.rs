//! What plugins share beyond one request: a key-value store, queues and metrics.
//!
//! It answers those methods of [`crate::abi::host::Host`] and knows neither WebAssembly nor nginx. Start reading at
//! [`LocalStore`].

mod local;

pub use local::LocalStore;
