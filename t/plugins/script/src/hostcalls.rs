//! One row for each hostcall: what is imported, and how a script's arguments become its parameters.

/// An argument in a script, or something returned through pointers. The number in the comment is of parameters.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A 32-bit number (1).
    Number,
    /// The same, with a default (1).
    NumberOr(i64),
    /// A log level by name or number (1).
    Level,
    /// A 64-bit number (1).
    Long,
    /// Bytes (2).
    Text,
    /// Bytes that may be left out (2).
    TextOrEmpty,
    /// The rest of the line (2).
    Rest,
    /// A property path (2).
    Path,
    /// A serialized map (2).
    Pairs,
    /// A serialized map that may be left out (2).
    PairsOrEmpty,
    /// Returns a 32-bit number (1).
    OutNumber,
    /// Returns a 64-bit number (1).
    OutLong,
    /// Returns bytes (2).
    OutBytes,
    /// Returns a serialized map (2).
    OutPairs,
}

use Kind::{
    Level, Long, Number, NumberOr, OutBytes, OutLong, OutNumber, OutPairs, Pairs, PairsOrEmpty,
    Path, Rest, Text, TextOrEmpty,
};

pub struct Hostcall {
    /// As a script names it: without `proxy_`.
    pub name: &'static str,
    pub kinds: &'static [Kind],
    /// The number of parameters.
    pub arity: usize,
    call: fn(&[i64]) -> u32,
}

macro_rules! hostcalls {
    ($($(#[$cfg:meta])* $name:ident($($type:ty),*): [$($kind:expr),*];)*) => {
        mod env {
            #[link(wasm_import_module = "env")]
            unsafe extern "C" {
                $($(#[$cfg])* pub fn $name($(_: $type),*) -> u32;)*
            }
        }

        const HOSTCALLS: &[Hostcall] = &[$(
            $(#[$cfg])*
            Hostcall {
                name: stringify!($name).split_at("proxy_".len()).1,
                kinds: &[$($kind),*],
                arity: <[&str]>::len(&[$(stringify!($type)),*]),
                call: |args| {
                    #[allow(unused_variables, unused_mut, reason = "some take nothing")]
                    let mut args = args.iter();
                    // SAFETY: the host checks every pointer; at worst this guest reads its own memory wrongly.
                    unsafe { env::$name($(*args.next().expect("checked by call") as $type),*) }
                },
            },
        )*];
    };
}

hostcalls! {
    proxy_log(u32, u32, u32): [Level, Rest];
    #[cfg(any(feature = "abi-0-2-1", feature = "abi-0-2-100"))]
    proxy_get_log_level(u32): [OutNumber];
    proxy_get_current_time_nanoseconds(u32): [OutLong];
    proxy_set_tick_period_milliseconds(u32): [Number];
    proxy_done(): [];
    proxy_set_effective_context(u32): [Number];
    #[cfg(feature = "abi-0-1-0")]
    proxy_get_configuration(u32, u32): [OutBytes];

    proxy_get_buffer_bytes(u32, u32, u32, u32, u32): [Number, Number, Number, OutBytes];
    proxy_set_buffer_bytes(u32, u32, u32, u32, u32): [Number, Number, Number, Text];
    proxy_get_buffer_status(u32, u32, u32): [Number, OutNumber, OutNumber];

    proxy_get_header_map_size(u32, u32): [Number, OutNumber];
    proxy_get_header_map_pairs(u32, u32, u32): [Number, OutPairs];
    proxy_set_header_map_pairs(u32, u32, u32): [Number, Pairs];
    proxy_get_header_map_value(u32, u32, u32, u32, u32): [Number, Text, OutBytes];
    proxy_add_header_map_value(u32, u32, u32, u32, u32): [Number, Text, Text];
    proxy_replace_header_map_value(u32, u32, u32, u32, u32): [Number, Text, Text];
    proxy_remove_header_map_value(u32, u32, u32): [Number, Text];

    #[cfg(not(feature = "abi-0-1-0"))]
    proxy_continue_stream(u32): [Number];
    #[cfg(not(feature = "abi-0-1-0"))]
    proxy_close_stream(u32): [Number];
    #[cfg(feature = "abi-0-1-0")]
    proxy_continue_request(): [];
    #[cfg(feature = "abi-0-1-0")]
    proxy_continue_response(): [];
    #[cfg(feature = "abi-0-1-0")]
    proxy_clear_route_cache(): [];
    proxy_send_local_response(u32, u32, u32, u32, u32, u32, u32, u32):
        [Number, Text, Text, PairsOrEmpty, NumberOr(-1)];

    proxy_http_call(u32, u32, u32, u32, u32, u32, u32, u32, u32, u32): [Text, Pairs, Text, Pairs, Number, OutNumber];
    proxy_grpc_call(u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32):
        [Text, Text, Text, Pairs, Text, Number, OutNumber];
    proxy_grpc_stream(u32, u32, u32, u32, u32, u32, u32, u32, u32): [Text, Text, Text, Pairs, OutNumber];
    proxy_grpc_send(u32, u32, u32, u32): [Number, Text, Number];
    proxy_grpc_cancel(u32): [Number];
    proxy_grpc_close(u32): [Number];
    proxy_get_status(u32, u32, u32): [OutNumber, OutBytes];

    proxy_set_shared_data(u32, u32, u32, u32, u32): [Text, Text, NumberOr(0)];
    proxy_get_shared_data(u32, u32, u32, u32, u32): [Text, OutBytes, OutNumber];
    proxy_register_shared_queue(u32, u32, u32): [Text, OutNumber];
    proxy_resolve_shared_queue(u32, u32, u32, u32, u32): [Text, Text, OutNumber];
    proxy_enqueue_shared_queue(u32, u32, u32): [Number, Text];
    proxy_dequeue_shared_queue(u32, u32, u32): [Number, OutBytes];

    proxy_define_metric(u32, u32, u32, u32): [Number, Text, OutNumber];
    proxy_record_metric(u32, u64): [Number, Long];
    proxy_increment_metric(u32, i64): [Number, Long];
    proxy_get_metric(u32, u32): [Number, OutLong];

    proxy_get_property(u32, u32, u32, u32): [Path, OutBytes];
    proxy_set_property(u32, u32, u32, u32): [Path, Text];
    proxy_call_foreign_function(u32, u32, u32, u32, u32, u32): [Text, TextOrEmpty, OutBytes];

    #[cfg(feature = "abi-0-2-100")]
    proxy_redis_init(u32, u32, u32, u32, u32, u32, u32): [Text, Text, Text, Number];
    #[cfg(feature = "abi-0-2-100")]
    proxy_redis_call(u32, u32, u32, u32, u32): [Text, Text, OutNumber];
    #[cfg(feature = "abi-0-2-100")]
    proxy_inject_encoded_data_to_filter_chain(u32, u32, u32): [Text, Number];
    #[cfg(feature = "abi-0-2-100")]
    proxy_get_upstream_hosts(u32, u32): [OutPairs];
    #[cfg(feature = "abi-0-2-100")]
    proxy_set_upstream_override_host(u32, u32): [Text];
}

pub fn find(name: &str) -> Option<&'static Hostcall> {
    HOSTCALLS.iter().find(|hostcall| hostcall.name == name)
}

impl Hostcall {
    /// Calls with raw parameters; 32-bit ones take the number's lower half. `Err` is the number wanted.
    pub fn call(&self, args: &[i64]) -> Result<u32, usize> {
        if args.len() == self.arity {
            Ok((self.call)(args))
        } else {
            Err(self.arity)
        }
    }
}

pub fn log(level: u32, text: &str) {
    // SAFETY: the text is in this guest's memory.
    unsafe { env::proxy_log(level, text.as_ptr() as u32, text.len() as u32) };
}
