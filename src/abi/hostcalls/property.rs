use super::Answer;
use crate::abi::host::PropertyError;
use crate::abi::types::Status;
use crate::abi::vm::{Vm, VmState};

/// The most bytes of properties that a plugin can keep with one request.
const MAX_KEPT: usize = 1024 * 1024;

/// `proxy_get_property` (all versions).
///
/// `NotFound` where there is none, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_property(
    vm: &mut Vm<'_>,
    path_data: u32,
    path_size: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let (path, state) = vm.read_with_state(path_data, path_size)?;
        if find(state, trim(path), value) {
            Ok(())
        } else {
            Err(Status::NotFound.into())
        }
    })
}

/// `proxy_set_property` (all versions).
///
/// A path that the proxy has no property for is kept with the request for this plugin alone. `NotFound` for a property that
/// cannot be written, and outside a request; `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_set_property(
    vm: &mut Vm<'_>,
    path_data: u32,
    path_size: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let (path, value, state) =
        vm.read2_with_state((path_data, path_size), (value_data, value_size))?;
    let path = trim(path);
    if own(state, path).is_some() {
        return Err(Status::NotFound.into());
    }
    let context = state.stream_mut().ok_or(Status::NotFound)?;
    match context.stream.set_property(path, value) {
        Err(PropertyError::Unknown) => {
            let kept: usize = context
                .properties
                .iter()
                .filter(|(key, _)| key.as_slice() != path)
                .map(|(key, value)| key.len() + value.len())
                .sum();
            if kept + path.len() + value.len() > MAX_KEPT {
                return Err(Status::NotFound.into());
            }
            context.properties.insert(path.to_vec(), value.to_vec());
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Some SDKs end the last segment with NUL too.
fn trim(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"\0").unwrap_or(path)
}

fn find(state: &VmState, path: &[u8], value: &mut Vec<u8>) -> bool {
    if let Some(own) = own(state, path) {
        value.extend_from_slice(own);
        return true;
    }
    let Some(context) = state.stream() else {
        return state.host.property(path, value);
    };
    if let Some(kept) = context.properties.get(path) {
        value.extend_from_slice(kept);
        return true;
    }
    context.stream.property(path, value)
}

/// The properties that are the plugin's own.
fn own<'a>(state: &'a VmState, path: &[u8]) -> Option<&'a [u8]> {
    match path {
        b"plugin_name" => Some(state.plugin.name.as_bytes()),
        b"plugin_root_id" => Some(&state.plugin.root_id),
        b"plugin_vm_id" => Some(&state.plugin.vm_id),
        _ => None,
    }
}
