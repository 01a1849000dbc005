//! The table of everything that the host gives to a plugin, and how a module's imports are matched with it.

use super::error::HostcallError;
use super::guest::Vm;
use super::hostcalls::{
    buffer, call, context, foreign, grpc, header_map, higress, local_response, logging, metric,
    property, shared_data, shared_queue, stream, time,
};
use super::types::{AbiVersion, Status};
use super::vm::VmState;
use super::wasi;
use crate::engine::{FuncType, HostCall, HostFunc, Import, Trap, ValType};

/// One hostcall of the specification.
pub struct Hostcall {
    pub name: &'static str,
    /// The first and the last version of the ABI that has it.
    pub versions: (AbiVersion, AbiVersion),
    pub params: &'static [ValType],
    pub call: HostCall<VmState>,
}

const ALL: (AbiVersion, AbiVersion) = (AbiVersion::V0_1_0, AbiVersion::V0_2_100);
const V0_1: (AbiVersion, AbiVersion) = (AbiVersion::V0_1_0, AbiVersion::V0_1_0);
const FROM_V0_2_0: (AbiVersion, AbiVersion) = (AbiVersion::V0_2_0, AbiVersion::V0_2_100);
const FROM_V0_2_1: (AbiVersion, AbiVersion) = (AbiVersion::V0_2_1, AbiVersion::V0_2_100);
const V0_2_100: (AbiVersion, AbiVersion) = (AbiVersion::V0_2_100, AbiVersion::V0_2_100);

/// A row: versions, function, and the type of each parameter under the specification's name for it.
macro_rules! hostcalls {
    ($($versions:ident $file:ident::$name:ident($($param:ident: $ty:ident),* $(,)?);)+) => {
        /// Every hostcall in module `env`.
        pub const HOSTCALLS: &[Hostcall] = &[$(
            Hostcall {
                name: stringify!($name),
                versions: $versions,
                params: &[$(hostcalls!(@type $ty)),*],
                call: |guest, args| {
                    let &[$($param),*] = args else {
                        return Err(Trap::new(concat!(stringify!($name), ": wrong number of arguments")));
                    };
                    finish($file::$name(&mut Vm::new(guest), $(hostcalls!(@cast $ty $param)),*))
                },
            },
        )+];
    };
    (@type i32) => { ValType::I32 };
    (@type i64) => { ValType::I64 };
    (@cast i32 $arg:ident) => { $arg as u32 };
    (@cast i64 $arg:ident) => { $arg };
}

hostcalls! {
    ALL logging::proxy_log(log_level: i32, message_data: i32, message_size: i32);
    FROM_V0_2_1 logging::proxy_get_log_level(return_log_level: i32);
    ALL time::proxy_get_current_time_nanoseconds(return_time: i32);
    ALL time::proxy_set_tick_period_milliseconds(tick_period: i32);

    ALL context::proxy_done();
    ALL context::proxy_set_effective_context(context_id: i32);

    V0_1 buffer::proxy_get_configuration(return_value_data: i32, return_value_size: i32);
    ALL buffer::proxy_get_buffer_bytes(
        buffer_id: i32, start: i32, max_size: i32, return_value_data: i32, return_value_size: i32);
    ALL buffer::proxy_get_buffer_status(
        buffer_id: i32, return_buffer_size: i32, return_unused: i32);
    ALL buffer::proxy_set_buffer_bytes(
        buffer_id: i32, start: i32, size: i32, value_data: i32, value_size: i32);

    ALL header_map::proxy_get_header_map_size(map_id: i32, return_serialized_pairs_size: i32);
    ALL header_map::proxy_get_header_map_pairs(
        map_id: i32, return_serialized_pairs_data: i32, return_serialized_pairs_size: i32);
    ALL header_map::proxy_set_header_map_pairs(
        map_id: i32, serialized_pairs_data: i32, serialized_pairs_size: i32);
    ALL header_map::proxy_get_header_map_value(
        map_id: i32, key_data: i32, key_size: i32, return_value_data: i32, return_value_size: i32);
    ALL header_map::proxy_add_header_map_value(
        map_id: i32, key_data: i32, key_size: i32, value_data: i32, value_size: i32);
    ALL header_map::proxy_replace_header_map_value(
        map_id: i32, key_data: i32, key_size: i32, value_data: i32, value_size: i32);
    ALL header_map::proxy_remove_header_map_value(map_id: i32, key_data: i32, key_size: i32);

    FROM_V0_2_0 stream::proxy_continue_stream(stream_type: i32);
    FROM_V0_2_0 stream::proxy_close_stream(stream_type: i32);
    V0_1 stream::proxy_continue_request();
    V0_1 stream::proxy_continue_response();
    V0_1 stream::proxy_clear_route_cache();
    ALL local_response::proxy_send_local_response(
        status_code: i32, status_code_details_data: i32, status_code_details_size: i32,
        body_data: i32, body_size: i32, serialized_headers_data: i32, serialized_headers_size: i32,
        grpc_status: i32);

    ALL call::proxy_http_call(
        upstream_name_data: i32, upstream_name_size: i32,
        serialized_headers_data: i32, serialized_headers_size: i32, body_data: i32, body_size: i32,
        serialized_trailers_data: i32, serialized_trailers_size: i32, timeout: i32,
        return_call_id: i32);
    ALL call::proxy_get_status(
        return_status_code: i32, return_status_message_data: i32, return_status_message_size: i32);
    ALL grpc::proxy_grpc_call(
        upstream_name_data: i32, upstream_name_size: i32, service_name_data: i32,
        service_name_size: i32, method_name_data: i32, method_name_size: i32,
        serialized_initial_metadata_data: i32, serialized_initial_metadata_size: i32,
        message_data: i32, message_size: i32, timeout: i32, return_call_id: i32);
    ALL grpc::proxy_grpc_stream(
        upstream_name_data: i32, upstream_name_size: i32, service_name_data: i32,
        service_name_size: i32, method_name_data: i32, method_name_size: i32,
        serialized_initial_metadata_data: i32, serialized_initial_metadata_size: i32,
        return_stream_id: i32);
    ALL grpc::proxy_grpc_send(
        stream_id: i32, message_data: i32, message_size: i32, end_stream: i32);
    ALL grpc::proxy_grpc_cancel(call_or_stream_id: i32);
    ALL grpc::proxy_grpc_close(call_or_stream_id: i32);

    ALL shared_data::proxy_get_shared_data(
        key_data: i32, key_size: i32, return_value_data: i32, return_value_size: i32,
        return_cas: i32);
    ALL shared_data::proxy_set_shared_data(
        key_data: i32, key_size: i32, value_data: i32, value_size: i32, cas: i32);
    ALL shared_queue::proxy_register_shared_queue(
        name_data: i32, name_size: i32, return_queue_id: i32);
    ALL shared_queue::proxy_resolve_shared_queue(
        vm_id_data: i32, vm_id_size: i32, name_data: i32, name_size: i32, return_queue_id: i32);
    ALL shared_queue::proxy_enqueue_shared_queue(
        queue_id: i32, value_data: i32, value_size: i32);
    ALL shared_queue::proxy_dequeue_shared_queue(
        queue_id: i32, return_value_data: i32, return_value_size: i32);

    ALL metric::proxy_define_metric(
        metric_type: i32, name_data: i32, name_size: i32, return_metric_id: i32);
    ALL metric::proxy_record_metric(metric_id: i32, value: i64);
    ALL metric::proxy_increment_metric(metric_id: i32, delta: i64);
    ALL metric::proxy_get_metric(metric_id: i32, return_value: i32);

    ALL property::proxy_get_property(
        path_data: i32, path_size: i32, return_value_data: i32, return_value_size: i32);
    ALL property::proxy_set_property(
        path_data: i32, path_size: i32, value_data: i32, value_size: i32);
    ALL foreign::proxy_call_foreign_function(
        name_data: i32, name_size: i32, arguments_data: i32, arguments_size: i32,
        return_results_data: i32, return_results_size: i32);

    V0_2_100 higress::proxy_redis_init(
        upstream_data: i32, upstream_size: i32, username_data: i32, username_size: i32,
        password_data: i32, password_size: i32, timeout: i32);
    V0_2_100 higress::proxy_redis_call(
        upstream_data: i32, upstream_size: i32, query_data: i32, query_size: i32,
        return_call_id: i32);
    V0_2_100 higress::proxy_inject_encoded_data_to_filter_chain(
        body_data: i32, body_size: i32, end_stream: i32);
    V0_2_100 higress::proxy_get_upstream_hosts(return_hosts_data: i32, return_hosts_size: i32);
    V0_2_100 higress::proxy_set_upstream_override_host(address_data: i32, address_size: i32);
}

fn finish(answer: Result<(), HostcallError>) -> Result<u64, Trap> {
    match answer {
        Ok(()) => Ok(Status::Ok as u64),
        Err(HostcallError::Status(status)) => Ok(status as u64),
        Err(HostcallError::Trap(trap)) => Err(trap),
    }
}

/// A module's imports, matched.
pub struct Matched {
    /// One for each import, in order.
    pub funcs: Vec<HostFunc<VmState>>,
    /// Imports that nobody knows, as `module.name`.
    pub unknown: Vec<String>,
}

/// Matches a module's imports with the table.
///
/// # Errors
/// A known function was imported with other parameters than it has: the text names it and both types.
pub fn resolve(imports: &[Import]) -> Result<Matched, String> {
    let mut matched = Matched {
        funcs: Vec::with_capacity(imports.len()),
        unknown: Vec::new(),
    };
    for import in imports {
        let func = match (&import.ty, find(&import.module, &import.name)) {
            (Some(ty), Some((params, call))) => {
                check_type(import, ty, params)?;
                HostFunc::Call(call)
            }
            (Some(ty), None) => {
                let name = format!("{}.{}", import.module, import.name);
                let func = if ty.results == [ValType::I32] {
                    HostFunc::Answer(Status::Unimplemented as u64)
                } else {
                    HostFunc::Trap(format!("{name} is not a function of this host"))
                };
                if !matched.unknown.contains(&name) {
                    matched.unknown.push(name);
                }
                func
            }
            // Linking fails on it, with its name.
            (None, _) => HostFunc::Answer(0),
        };
        matched.funcs.push(func);
    }
    Ok(matched)
}

fn find(module: &str, name: &str) -> Option<(&'static [ValType], HostCall<VmState>)> {
    match module {
        "env" if name == "emscripten_notify_memory_growth" => Some((&[ValType::I32], |_, _| Ok(0))),
        "env" => HOSTCALLS
            .iter()
            .find(|row| row.name == name)
            .map(|row| (row.params, row.call)),
        "wasi_snapshot_preview1" | "wasi_unstable" => wasi::FUNCTIONS
            .iter()
            .find(|row| row.name == name)
            .map(|row| (row.params, row.call)),
        _ => None,
    }
}

/// A guest may drop the result, as those of 0.1.0 do where other versions return a status.
fn check_type(import: &Import, ty: &FuncType, params: &[ValType]) -> Result<(), String> {
    if ty.params == params && matches!(ty.results[..], [] | [ValType::I32]) {
        return Ok(());
    }
    let known = FuncType {
        params: params.to_vec(),
        results: vec![ValType::I32],
    };
    Err(format!(
        "import \"{}.{}\" has type {ty}, the host's has {known}",
        import.module, import.name
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::abi::testing::FakeGuest;
    use crate::engine::ValType::{F64, I32, I64};

    fn import(module: &str, name: &str, params: &[ValType], results: &[ValType]) -> Import {
        Import {
            module: module.into(),
            name: name.into(),
            ty: Some(FuncType {
                params: params.to_vec(),
                results: results.to_vec(),
            }),
        }
    }

    /// Matches one import and gives what stands behind it.
    fn one(import: Import) -> HostFunc<VmState> {
        let mut matched = resolve(&[import]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(matched.funcs.len(), 1);
        matched.funcs.remove(0)
    }

    #[test]
    fn every_hostcall_is_there_once() {
        let names: HashSet<_> = HOSTCALLS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), HOSTCALLS.len());
        assert!(HOSTCALLS.iter().all(|row| row.versions.0 <= row.versions.1));
    }

    #[test]
    fn nothing_panics_or_traps_whatever_the_arguments() {
        for row in HOSTCALLS {
            for arg in [0, 1, 3, 0xffff, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff] {
                for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
                    let args: Vec<u64> = row.params.iter().map(|_| arg).collect();
                    assert!((row.call)(&mut guest, &args).is_ok(), "{}", row.name);
                }
            }
            let trap = (row.call)(&mut FakeGuest::new(), &[0; 13]).unwrap_err();
            assert!(trap.message.starts_with(row.name));
        }
    }

    #[test]
    fn what_is_known_is_called_whether_or_not_its_result_is_wanted() {
        let modules = ["wasi_snapshot_preview1", "wasi_unstable"];
        let wasi = wasi::FUNCTIONS.iter().map(|row| (row.name, row.params));
        let known: Vec<_> = HOSTCALLS
            .iter()
            .map(|row| ("env", row.name, row.params))
            .chain(wasi.flat_map(|(name, ty)| modules.map(|module| (module, name, ty))))
            .chain([("env", "emscripten_notify_memory_growth", &[I32][..])])
            .collect();
        for (module, name, params) in known {
            for results in [&[][..], &[I32]] {
                let func = one(import(module, name, params, results));
                assert!(matches!(func, HostFunc::Call(_)), "{module}.{name}");
            }
        }
    }

    #[test]
    fn growing_memory_is_nothing() {
        let HostFunc::Call(call) = one(import(
            "env",
            "emscripten_notify_memory_growth",
            &[I32],
            &[],
        )) else {
            panic!("it is known");
        };
        assert_eq!(call(&mut FakeGuest::new(), &[0]).unwrap(), 0);
    }

    #[test]
    fn a_function_is_known_only_in_its_module() {
        for (module, name) in [
            ("env", "proc_exit"),
            ("wasi_unstable", "proxy_log"),
            ("wasi_snapshot_preview2", "proc_exit"),
            ("", "proxy_done"),
            ("env", "proxy_DONE"),
        ] {
            let Ok(matched) = resolve(&[import(module, name, &[], &[I32])]) else {
                panic!("{module}.{name} was taken for another");
            };
            assert_eq!(matched.unknown, [format!("{module}.{name}")]);
        }
    }

    #[test]
    fn what_is_unknown_answers_unimplemented_where_it_has_a_status() {
        let func = one(import("env", "proxy_new", &[I64, F64], &[I32]));
        assert!(matches!(func, HostFunc::Answer(12)));
    }

    #[test]
    fn what_is_unknown_and_has_no_status_traps() {
        for results in [&[][..], &[I64], &[I32, I32]] {
            let HostFunc::Trap(message) = one(import("other", "name", &[], results)) else {
                panic!("{results:?}");
            };
            assert_eq!(message, "other.name is not a function of this host");
        }
    }

    #[test]
    fn what_is_known_by_another_type_is_refused() {
        for (params, results, text) in [
            (&[I32][..], &[I32][..], "(i32) -> (i32)"),
            (&[I32, I32, I64], &[I32], "(i32, i32, i64) -> (i32)"),
            (&[I32, I32, I32], &[I64], "(i32, i32, i32) -> (i64)"),
            (
                &[I32, I32, I32],
                &[I32, I32],
                "(i32, i32, i32) -> (i32, i32)",
            ),
        ] {
            let Err(error) = resolve(&[import("env", "proxy_log", params, results)]) else {
                panic!("{text} was taken");
            };
            let known = "the host's has (i32, i32, i32) -> (i32)";
            let want = format!("import \"env.proxy_log\" has type {text}, {known}");
            assert_eq!(error, want);
        }
    }

    #[test]
    fn what_is_imported_twice_is_matched_twice_and_named_once() {
        let unknown = || import("env", "proxy_new", &[], &[I32]);
        let known = || import("env", "proxy_done", &[], &[I32]);
        let Ok(matched) = resolve(&[unknown(), known(), unknown(), known()]) else {
            panic!("all have their right types");
        };
        assert_eq!(matched.unknown, ["env.proxy_new"]);
        let called = matched.funcs.iter().map(|f| matches!(f, HostFunc::Call(_)));
        assert_eq!(called.collect::<Vec<_>>(), [false, true, false, true]);
    }

    #[test]
    fn what_is_no_function_keeps_its_place() {
        let memory = Import {
            module: "env".into(),
            name: "memory".into(),
            ty: None,
        };
        let Ok(matched) = resolve(&[memory, import("env", "proxy_done", &[], &[])]) else {
            panic!("linking is what refuses it");
        };
        assert!(matches!(matched.funcs[..], [_, HostFunc::Call(_)]));
        assert!(matched.unknown.is_empty());
    }
}
