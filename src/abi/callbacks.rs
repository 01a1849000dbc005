//! The functions that a plugin exports for the host to call. All are optional.

use super::types::AbiVersion;
use super::vm::VmState;
use crate::engine::{Func, Instance, Trap};

/// What a callback wants done with the request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Continue,
    /// Hold it; a body is kept in the host.
    Pause,
    /// Hold it and keep nothing: the plugin has taken the body. Only in 0.2.100.
    PauseWithoutBuffer,
}

impl Action {
    /// The action behind the number that a header callback returned.
    pub fn from_headers(abi: AbiVersion, value: u64) -> Self {
        match value as u32 {
            0 => Self::Continue,
            // Continue, and take the stream for ended.
            2 if abi == AbiVersion::V0_2_100 => Self::Continue,
            _ => Self::Pause,
        }
    }

    /// The action behind the number that a body callback returned.
    pub fn from_body(abi: AbiVersion, value: u64) -> Self {
        match value as u32 {
            0 => Self::Continue,
            3 if abi == AbiVersion::V0_2_100 => Self::PauseWithoutBuffer,
            _ => Self::Pause,
        }
    }
}

macro_rules! callbacks {
    ($($(#[$doc:meta])* $field:ident = $name:literal),+ $(,)?) => {
        /// The callbacks of one instance, looked up once.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Callbacks { $($(#[$doc])* pub $field: Option<Func>),+ }

        impl Callbacks {
            /// Every callback's name.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Looks up what the instance exports.
            pub fn find(instance: &mut dyn Instance<VmState>) -> Self {
                Self { $($field: instance.func($name)),+ }
            }
        }
    };
}

callbacks! {
    on_context_create = "proxy_on_context_create",
    on_vm_start = "proxy_on_vm_start",
    on_configure = "proxy_on_configure",
    on_request_headers = "proxy_on_request_headers",
    on_request_body = "proxy_on_request_body",
    on_response_headers = "proxy_on_response_headers",
    on_response_body = "proxy_on_response_body",
    on_done = "proxy_on_done",
    on_log = "proxy_on_log",
    on_delete = "proxy_on_delete",
}

/// The most parameters that a callback is given.
const MAX_PARAMS: usize = 16;

/// Calls an export with as many arguments as it declares: surplus ones are left out, missing ones are 0.
///
/// # Errors
/// The guest trapped, or declares more parameters than any callback has.
pub fn call(instance: &mut dyn Instance<VmState>, func: Func, args: &[u32]) -> Result<u64, Trap> {
    let mut padded = [0u64; MAX_PARAMS];
    for (to, from) in padded.iter_mut().zip(args) {
        *to = u64::from(*from);
    }
    let args = padded.get(..usize::from(func.params)).ok_or_else(|| {
        Trap::new(format!(
            "an exported callback declares {} parameters",
            func.params
        ))
    })?;
    instance.call(func, args)
}
