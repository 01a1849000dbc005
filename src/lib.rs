//! Proxy-Wasm plugins in OpenResty: one shared library, loaded by LuaJIT or by nginx itself.
//!
//! Start reading at `capi`, the C ABI, and follow a call downwards: `plugin`, `abi`, `engine`.

pub mod abi;
pub mod capi;
pub mod egress;
pub mod engine;
pub mod nginx;
pub mod plugin;
pub mod shared;
