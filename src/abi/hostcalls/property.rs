use super::Answer;
use crate::abi::changes::TOO_MANY;
use crate::abi::guest::Vm;
use crate::abi::host::PropertyError;
use crate::abi::types::{LogLevel, Status};
use crate::abi::vm::VmState;

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
/// cannot be written, where too much was changed, and outside a request; `InvalidMemoryAccess` for a pointer outside memory.
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
    let bytes = path.len() + value.len();
    if let Err(too_many) = context.changes.add(1, bytes) {
        if too_many.is_first {
            state.log(LogLevel::Warn, TOO_MANY);
        }
        return Err(Status::NotFound.into());
    }
    match context.stream.set_property(path, value) {
        Err(PropertyError::Unknown) => {
            // What the plugin keeps for itself has a limit of its own.
            context.changes.undo(bytes);
            let mut kept = 0;
            let mut before = None;
            for (key, old) in &mut context.properties {
                if key.as_slice() == path {
                    before = Some(old);
                } else {
                    kept += key.len() + old.len();
                }
            }
            if kept + bytes > MAX_KEPT {
                return Err(Status::NotFound.into());
            }
            match before {
                Some(old) => *old = value.to_vec(),
                None => context.properties.push((path.to_vec(), value.to_vec())),
            }
            Ok(())
        }
        Err(PropertyError::ReadOnly) => {
            let name = String::from_utf8_lossy(path).replace('\0', ".");
            let text = format!("proxy_set_property: \"{name}\" cannot be changed");
            state.log(LogLevel::Warn, text.as_bytes());
            Err(PropertyError::ReadOnly.into())
        }
        Ok(()) => Ok(()),
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
    if let Some((_, kept)) = context.properties.iter().find(|(key, _)| key == path) {
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
        b"wasm\0http_call\0error" | b"wasm.http_call.error" => {
            state.report.as_ref()?.error.as_deref().map(str::as_bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::MAX_KEPT;
    use crate::abi::calls::Report;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::{LogLevel, Status};

    fn get(guest: &mut FakeGuest, path: &[u8]) -> (Status, Vec<u8>) {
        let [path, size] = guest.string(path);
        let out = guest.room(8);
        let status = guest.status("proxy_get_property", &[path, size, out, out + 4]);
        (status, guest.given(out, out + 4).to_vec())
    }

    fn set(guest: &mut FakeGuest, path: &[u8], value: &[u8]) -> Status {
        let [path, path_size] = guest.string(path);
        let [value, value_size] = guest.string(value);
        let args = [path, path_size, value, value_size];
        guest.status("proxy_set_property", &args)
    }

    fn found(value: &[u8]) -> (Status, Vec<u8>) {
        (Status::Ok, value.to_vec())
    }

    fn not_found() -> (Status, Vec<u8>) {
        (Status::NotFound, vec![])
    }

    /// A request with the property `request.path`.
    fn with_path() -> FakeGuest {
        let guest = FakeGuest::with_stream();
        let property = (b"request\0path".to_vec(), b"/".to_vec());
        guest.stream.properties.borrow_mut().extend([property]);
        guest
    }

    #[test]
    fn a_request_has_properties_with_or_without_a_nul_at_the_end() {
        let mut guest = with_path();
        assert_eq!(get(&mut guest, b"request\0path"), found(b"/"));
        assert_eq!(get(&mut guest, b"request\0path\0"), found(b"/"));
        for path in [&b""[..], b"\0", b"request", b"request\0path\0\0"] {
            assert_eq!(get(&mut guest, path), not_found());
        }
        assert_eq!(guest.calls.len(), 2, "memory was allocated for nothing");
    }

    #[test]
    fn outside_a_request_there_are_only_the_proxys() {
        let mut guest = FakeGuest::new();
        let property = (b"node".to_vec(), b"name".to_vec());
        guest.host.properties.borrow_mut().extend([property]);
        assert_eq!(get(&mut guest, b"node"), found(b"name"));
        assert_eq!(get(&mut guest, b"request\0path"), not_found());
    }

    #[test]
    fn the_plugins_own_are_everywhere_and_cannot_be_set() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            for (path, want) in [
                (&b"plugin_name"[..], &b"test"[..]),
                (b"plugin_root_id", b"root"),
                (b"plugin_vm_id", b"vm"),
            ] {
                assert_eq!(set(&mut guest, path, b"other"), Status::NotFound);
                assert_eq!(get(&mut guest, path), found(want));
            }
        }
    }

    #[test]
    fn why_an_http_call_failed_is_there_while_the_plugin_is_told_of_it() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            for path in [&b"wasm\0http_call\0error"[..], b"wasm.http_call.error"] {
                assert_eq!(get(&mut guest, path), not_found());
                guest.state.report = Some(Box::default());
                assert_eq!(get(&mut guest, path), not_found(), "it did not fail");
                guest.state.report = Some(Box::new(Report {
                    error: Some("connection refused".into()),
                    ..Report::default()
                }));
                assert_eq!(get(&mut guest, path), found(b"connection refused"));
                assert_eq!(set(&mut guest, path, b"other"), Status::NotFound);
                guest.state.report = None;
            }
        }
    }

    #[test]
    fn what_the_proxy_has_is_set_there() {
        let mut guest = with_path();
        assert_eq!(set(&mut guest, b"request\0path", b"/new"), Status::Ok);
        let properties = guest.stream.properties.borrow();
        assert_eq!(properties[&b"request\0path"[..]], b"/new");
    }

    #[test]
    fn what_the_proxy_does_not_have_is_kept() {
        let mut guest = FakeGuest::with_stream();
        assert_eq!(set(&mut guest, b"my\0own\0", b"value"), Status::Ok);
        assert_eq!(get(&mut guest, b"my\0own"), found(b"value"));
        assert_eq!(set(&mut guest, b"my\0own", b""), Status::Ok);
        assert_eq!(get(&mut guest, b"my\0own\0"), found(b""));
        assert!(guest.stream.properties.borrow().is_empty());
    }

    #[test]
    fn what_cannot_be_written_and_outside_a_request_is_not_found() {
        let mut guest = with_path();
        let path = b"request\0path";
        guest.stream.read_only.borrow_mut().push(path.to_vec());
        assert_eq!(set(&mut guest, path, b"/new"), Status::NotFound);
        assert_eq!(get(&mut guest, path), found(b"/"));
        let logs = guest.stream.logs.take();
        assert!(
            matches!(&logs[..], [(LogLevel::Warn, text)] if text.contains("\"request.path\" cannot be changed"))
        );

        let mut guest = FakeGuest::new();
        assert_eq!(set(&mut guest, b"my\0own", b"value"), Status::NotFound);
        assert_eq!(get(&mut guest, b"my\0own"), not_found());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut guest = FakeGuest::with_stream();
        guest.memory.resize(8 * MAX_KEPT, 0);
        let half = vec![b'x'; MAX_KEPT / 2 - 1];
        assert_eq!(set(&mut guest, b"a", &half), Status::Ok);
        assert_eq!(set(&mut guest, b"b", &half), Status::Ok);
        assert_eq!(set(&mut guest, b"c", b""), Status::NotFound);
        // One that is replaced gives its room back.
        assert_eq!(set(&mut guest, b"b", &half), Status::Ok);
        assert_eq!(set(&mut guest, b"b", b""), Status::Ok);
        assert_eq!(set(&mut guest, b"c", b""), Status::Ok);
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = with_path();
        let [path, path_size] = guest.string(b"request\0path");
        let [value, value_size] = guest.string(b"/new");
        let out = guest.room(8);
        let args = [path, path_size, out, out + 4];
        guest.assert_bounds("proxy_get_property", &args, 0..4);
        let args = [path, path_size, value, value_size];
        guest.assert_bounds("proxy_set_property", &args, 0..4);
        assert_eq!(get(&mut guest, b"request\0path"), found(b"/"));
    }
}
