use std::rc::Rc;

use super::Answer;
use crate::abi::host::{HeaderMap, HttpStream};
use crate::abi::types::{AbiVersion, MapType, Status};
use crate::abi::vm::{Vm, VmState};
use crate::abi::wire;

/// `proxy_get_header_map_size` (all versions).
///
/// The size of the serialized map; a map that is not there is empty. `BadArgument` for an unknown map, `InvalidMemoryAccess` for a
/// pointer outside memory.
pub fn proxy_get_header_map_size(
    vm: &mut Vm<'_>,
    map_id: u32,
    return_serialized_pairs_size: u32,
) -> Answer {
    let mut size = 0;
    if let Some((stream, map)) = find(vm.state(), map_id)? {
        stream.headers(map, &mut |name, value| {
            if size == 0 {
                size = wire::COUNT;
            }
            size += wire::pair_size(name, value);
        });
    }
    vm.write_u32(return_serialized_pairs_size, size as u32)
}

/// `proxy_get_header_map_pairs` (all versions).
///
/// A map that is not there is empty. `BadArgument` for an unknown map, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_header_map_pairs(
    vm: &mut Vm<'_>,
    map_id: u32,
    return_serialized_pairs_data: u32,
    return_serialized_pairs_size: u32,
) -> Answer {
    vm.give_filled(
        return_serialized_pairs_data,
        return_serialized_pairs_size,
        |vm, value| {
            let found = find(vm.state(), map_id)?;
            let count = found.as_ref().map_or(0, |(s, map)| s.header_count(*map));
            let mut pairs = wire::Encoder::new(value, count);
            if let Some((stream, map)) = found {
                stream.headers(map, &mut |name, value| pairs.push(name, value));
            }
            pairs.finish();
            Ok(())
        },
    )
}

/// `proxy_set_header_map_pairs` (all versions).
///
/// `BadArgument` for an unknown map, one that cannot be changed now, or a header that none may have; `InvalidMemoryAccess` for a
/// map outside memory or one whose counts or lengths lie.
pub fn proxy_set_header_map_pairs(
    vm: &mut Vm<'_>,
    map_id: u32,
    serialized_pairs_data: u32,
    serialized_pairs_size: u32,
) -> Answer {
    let (bytes, state) = vm.read_with_state(serialized_pairs_data, serialized_pairs_size)?;
    let (stream, map) = find(state, map_id)?.ok_or(Status::BadArgument)?;
    let headers = wire::decode(bytes).map_err(|_| Status::InvalidMemoryAccess)?;
    Ok(stream.set_headers(map, &headers)?)
}

/// `proxy_get_header_map_value` (all versions).
///
/// The first value. `BadArgument` for an unknown map, `InvalidMemoryAccess` for a pointer outside memory, `NotFound` for a header
/// that is not there; to a plugin of 0.1.0, whose SDKs know no `NotFound`, such a header is empty.
pub fn proxy_get_header_map_value(
    vm: &mut Vm<'_>,
    map_id: u32,
    key_data: u32,
    key_size: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let (key, state) = vm.read_with_state(key_data, key_size)?;
        let found = find(state, map_id)?.is_some_and(|(s, map)| s.header(map, key, value));
        if found || state.plugin.abi == AbiVersion::V0_1_0 {
            Ok(())
        } else {
            Err(Status::NotFound.into())
        }
    })
}

/// `proxy_add_header_map_value` (all versions).
///
/// `BadArgument` for an unknown map, one that cannot be changed now, or a header that none may have; `InvalidMemoryAccess` for a
/// piece outside memory.
pub fn proxy_add_header_map_value(
    vm: &mut Vm<'_>,
    map_id: u32,
    key_data: u32,
    key_size: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let (key, value, state) =
        vm.read2_with_state((key_data, key_size), (value_data, value_size))?;
    let (stream, map) = find(state, map_id)?.ok_or(Status::BadArgument)?;
    Ok(stream.add_header(map, key, value)?)
}

/// `proxy_replace_header_map_value` (all versions).
///
/// As [`proxy_add_header_map_value`].
pub fn proxy_replace_header_map_value(
    vm: &mut Vm<'_>,
    map_id: u32,
    key_data: u32,
    key_size: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let (key, value, state) =
        vm.read2_with_state((key_data, key_size), (value_data, value_size))?;
    let (stream, map) = find(state, map_id)?.ok_or(Status::BadArgument)?;
    Ok(stream.replace_header(map, key, value)?)
}

/// `proxy_remove_header_map_value` (all versions).
///
/// `Ok` where there was no such header. `BadArgument` for an unknown map or one that cannot be changed now, `InvalidMemoryAccess` for
/// a key outside memory.
pub fn proxy_remove_header_map_value(
    vm: &mut Vm<'_>,
    map_id: u32,
    key_data: u32,
    key_size: u32,
) -> Answer {
    let (key, state) = vm.read_with_state(key_data, key_size)?;
    let (stream, map) = find(state, map_id)?.ok_or(Status::BadArgument)?;
    Ok(stream.remove_header(map, key)?)
}

/// The map of the effective context's request, `None` where there is none: nginx has no trailers to show, and no calls are out.
fn find(state: &VmState, map_id: u32) -> Result<Option<(Rc<dyn HttpStream>, HeaderMap)>, Status> {
    let map = match MapType::try_from(map_id)? {
        MapType::HttpRequestHeaders => HeaderMap::Request,
        MapType::HttpResponseHeaders => HeaderMap::Response,
        MapType::HttpRequestTrailers
        | MapType::HttpResponseTrailers
        | MapType::GrpcCallInitialMetadata
        | MapType::GrpcCallTrailingMetadata
        | MapType::HttpCallResponseHeaders
        | MapType::HttpCallResponseTrailers => return Ok(None),
    };
    Ok(state.stream().map(|c| (Rc::clone(&c.stream), map)))
}
