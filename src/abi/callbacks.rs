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
    /// Hold the headers until the body has been seen. Only in 0.2.100, where others hold the body too.
    PauseForBody,
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
            1 if abi == AbiVersion::V0_2_100 => Self::PauseForBody,
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
    on_tick = "proxy_on_tick",
    on_queue_ready = "proxy_on_queue_ready",
    on_http_call_response = "proxy_on_http_call_response",
    on_grpc_receive_initial_metadata = "proxy_on_grpc_receive_initial_metadata",
    on_grpc_receive = "proxy_on_grpc_receive",
    on_grpc_receive_trailing_metadata = "proxy_on_grpc_receive_trailing_metadata",
    on_grpc_close = "proxy_on_grpc_close",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    impl Instance<VmState> for FakeGuest {
        fn allow(&mut self, _time: std::time::Duration) {}

        fn func(&mut self, _name: &str) -> Option<Func> {
            Some(Func::fake(1))
        }
    }

    fn call_with(params: u8, args: &[u32]) -> Result<Vec<u64>, Trap> {
        let mut guest = FakeGuest::new();
        guest.allocates = Some(7);
        assert_eq!(call(&mut guest, Func::fake(params), args)?, 7);
        Ok(guest.calls.remove(0))
    }

    #[test]
    fn an_export_gets_as_many_arguments_as_it_declares() {
        let args = [1, u32::MAX, 3];
        assert_eq!(call_with(0, &args).unwrap(), [0; 0]);
        assert_eq!(call_with(2, &args).unwrap(), [1, u64::from(u32::MAX)]);
        let all = [1, u64::from(u32::MAX), 3];
        assert_eq!(call_with(3, &args).unwrap(), all);
        assert_eq!(call_with(5, &args).unwrap()[3..], [0, 0]);
        assert_eq!(call_with(16, &[]).unwrap(), [0; 16]);
    }

    #[test]
    fn an_export_that_declares_more_than_any_callback_has_traps() {
        let trap = call_with(17, &[]).unwrap_err();
        assert_eq!(trap.message, "an exported callback declares 17 parameters");
    }

    #[test]
    fn callbacks_are_found_by_name() {
        let found = Callbacks::find(&mut FakeGuest::new());
        assert!(found.on_context_create.is_some() && found.on_delete.is_some());
        assert!(Callbacks::NAMES.iter().all(|n| n.starts_with("proxy_on_")));
    }

    use AbiVersion::{V0_1_0, V0_2_0, V0_2_1, V0_2_100};
    use Action::{Continue, Pause, PauseForBody, PauseWithoutBuffer};

    #[test]
    fn header_actions() {
        for abi in [V0_1_0, V0_2_0, V0_2_1] {
            let actions = [0, 1, 2, 3, 4].map(|value| Action::from_headers(abi, value));
            assert_eq!(actions, [Continue, Pause, Pause, Pause, Pause]);
        }
        let actions = [0, 1, 2, 3, 4, 5].map(|value| Action::from_headers(V0_2_100, value));
        assert_eq!(
            actions,
            [Continue, PauseForBody, Continue, Pause, Pause, Pause]
        );
    }

    #[test]
    fn body_actions() {
        for abi in [V0_1_0, V0_2_0, V0_2_1] {
            let actions = [0, 1, 2, 3].map(|value| Action::from_body(abi, value));
            assert_eq!(actions, [Continue, Pause, Pause, Pause]);
        }
        let actions = [0, 1, 2, 3, 4].map(|value| Action::from_body(V0_2_100, value));
        assert_eq!(actions, [Continue, Pause, Pause, PauseWithoutBuffer, Pause]);
    }
}
