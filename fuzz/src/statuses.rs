//! What each hostcall may answer.

use resty_proxy_wasm::abi::types::AbiVersion;
use resty_proxy_wasm::abi::types::Status::{
    self, BadArgument, CasMismatch, Empty, InternalFailure, InvalidMemoryAccess, NotFound, Ok,
    ParseFailure, SerializationFailure, Unimplemented,
};

/// By name, besides `Ok`: what the text of ABI 0.2.1 lists, but where a comment says otherwise. SDKs panic on any other.
const STATUSES: &[(&str, &[Status])] = &[
    ("proxy_log", &[BadArgument, InvalidMemoryAccess]),
    ("proxy_get_log_level", &[InvalidMemoryAccess]),
    ("proxy_get_current_time_nanoseconds", &[InvalidMemoryAccess]),
    ("proxy_set_tick_period_milliseconds", &[]),
    ("proxy_done", &[NotFound]),
    ("proxy_set_effective_context", &[BadArgument]),
    // Of 0.1.0, whose text names none.
    ("proxy_get_configuration", &[InvalidMemoryAccess]),
    (
        "proxy_get_buffer_bytes",
        &[BadArgument, NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_get_buffer_status",
        &[BadArgument, NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_set_buffer_bytes",
        &[BadArgument, NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_get_header_map_size",
        &[BadArgument, InvalidMemoryAccess],
    ),
    (
        "proxy_get_header_map_pairs",
        &[BadArgument, InvalidMemoryAccess],
    ),
    (
        "proxy_set_header_map_pairs",
        &[BadArgument, InvalidMemoryAccess],
    ),
    (
        "proxy_get_header_map_value",
        &[BadArgument, NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_add_header_map_value",
        &[BadArgument, InvalidMemoryAccess],
    ),
    (
        "proxy_replace_header_map_value",
        &[BadArgument, InvalidMemoryAccess],
    ),
    (
        "proxy_remove_header_map_value",
        &[BadArgument, InvalidMemoryAccess],
    ),
    ("proxy_continue_stream", &[BadArgument, Unimplemented]),
    ("proxy_close_stream", &[BadArgument]),
    // Of 0.1.0, without a result: whoever imports it as another version's gets what that answers.
    ("proxy_continue_request", &[BadArgument]),
    ("proxy_continue_response", &[BadArgument]),
    ("proxy_clear_route_cache", &[]),
    ("proxy_send_local_response", &[InvalidMemoryAccess]),
    (
        "proxy_http_call",
        &[BadArgument, InternalFailure, InvalidMemoryAccess],
    ),
    ("proxy_get_status", &[InvalidMemoryAccess]),
    (
        "proxy_grpc_call",
        &[ParseFailure, InternalFailure, InvalidMemoryAccess],
    ),
    (
        "proxy_grpc_stream",
        &[ParseFailure, InternalFailure, InvalidMemoryAccess],
    ),
    (
        "proxy_grpc_send",
        &[BadArgument, NotFound, InvalidMemoryAccess],
    ),
    ("proxy_grpc_cancel", &[BadArgument, NotFound]),
    ("proxy_grpc_close", &[BadArgument, NotFound]),
    ("proxy_get_shared_data", &[NotFound, InvalidMemoryAccess]),
    // The text has no status for what is full, here and in the next two.
    (
        "proxy_set_shared_data",
        &[CasMismatch, InternalFailure, InvalidMemoryAccess],
    ),
    (
        "proxy_register_shared_queue",
        &[InternalFailure, InvalidMemoryAccess],
    ),
    (
        "proxy_define_metric",
        &[BadArgument, InternalFailure, InvalidMemoryAccess],
    ),
    (
        "proxy_resolve_shared_queue",
        &[NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_enqueue_shared_queue",
        &[NotFound, InvalidMemoryAccess],
    ),
    (
        "proxy_dequeue_shared_queue",
        &[NotFound, Empty, InvalidMemoryAccess],
    ),
    ("proxy_record_metric", &[NotFound]),
    ("proxy_increment_metric", &[NotFound, BadArgument]),
    ("proxy_get_metric", &[NotFound, InvalidMemoryAccess]),
    (
        "proxy_get_property",
        &[NotFound, SerializationFailure, InvalidMemoryAccess],
    ),
    ("proxy_set_property", &[NotFound, InvalidMemoryAccess]),
    // What a foreign function answers, too.
    (
        "proxy_call_foreign_function",
        &[NotFound, BadArgument, InternalFailure, InvalidMemoryAccess],
    ),
    // Higress's own, which its SDK takes any failure of.
    ("proxy_redis_init", &[InternalFailure, InvalidMemoryAccess]),
    ("proxy_redis_call", &[InternalFailure, InvalidMemoryAccess]),
    (
        "proxy_inject_encoded_data_to_filter_chain",
        &[Unimplemented, InvalidMemoryAccess],
    ),
    ("proxy_get_upstream_hosts", &[NotFound, InvalidMemoryAccess]),
    (
        "proxy_set_upstream_override_host",
        &[Unimplemented, InvalidMemoryAccess],
    ),
];

/// Checks what a hostcall has answered.
///
/// # Panics
/// It may not answer so.
pub fn check(name: &str, abi: AbiVersion, answer: u64) {
    let (_, statuses) = STATUSES
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("{name} is not in the list"));
    let is_listed = answer == Ok as u64 || statuses.iter().any(|s| *s as u64 == answer);
    assert!(is_listed, "{name} has answered {answer}");
    let finds_all = abi == AbiVersion::V0_1_0 && name == "proxy_get_header_map_value";
    assert!(
        !finds_all || answer != NotFound as u64,
        "0.1.0 knows no such status"
    );
}
