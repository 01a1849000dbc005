use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::host::SharedDataError;
use crate::abi::types::Status;

/// `proxy_get_shared_data` (all versions).
///
/// `NotFound` for a key that is not there, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_shared_data(
    vm: &mut Vm<'_>,
    key_data: u32,
    key_size: u32,
    return_value_data: u32,
    return_value_size: u32,
    return_cas: u32,
) -> Answer {
    vm.check(return_cas, 4)?;
    let mut cas = 0;
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let (key, state) = vm.read_with_state(key_data, key_size)?;
        cas = state
            .host
            .get_shared_data(&state.plugin.vm_id, key, value)
            .ok_or(Status::NotFound)?;
        Ok(())
    })?;
    vm.write_u32(return_cas, cas)
}

/// `proxy_set_shared_data` (all versions).
///
/// An empty value removes the key; until its room is wanted, it is found to be empty. `CasMismatch` where `cas` is neither 0 nor the key's number, `InternalFailure` where there is no room or
/// the value or the key are too long, `InvalidMemoryAccess` for a piece outside memory.
pub fn proxy_set_shared_data(
    vm: &mut Vm<'_>,
    key_data: u32,
    key_size: u32,
    value_data: u32,
    value_size: u32,
    cas: u32,
) -> Answer {
    let (key, value, state) =
        vm.read2_with_state((key_data, key_size), (value_data, value_size))?;
    let kept = state
        .host
        .set_shared_data(&state.plugin.vm_id, key, value, cas);
    state.note_room("proxy_set_shared_data", kept == Err(SharedDataError::Full));
    Ok(kept?)
}

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::{LogLevel, Status};

    fn set(guest: &mut FakeGuest, key: &[u8], value: &[u8], cas: u64) -> Status {
        let [key, key_size] = guest.string(key);
        let [value, value_size] = guest.string(value);
        let args = [key, key_size, value, value_size, cas];
        guest.status("proxy_set_shared_data", &args)
    }

    /// The status, the value and its number.
    fn get(guest: &mut FakeGuest, key: &[u8]) -> (Status, Vec<u8>, u64) {
        let [key, key_size] = guest.string(key);
        let out = guest.room(12);
        let args = [key, key_size, out, out + 4, out + 8];
        let status = guest.status("proxy_get_shared_data", &args);
        let value = guest.given(out, out + 4).to_vec();
        (status, value, guest.u32_at(out + 8).into())
    }

    #[test]
    fn data_is_kept_under_the_plugins_vm_id() {
        let mut guest = FakeGuest::new();
        assert_eq!(set(&mut guest, b"key", b"value", 0), Status::Ok);
        let (status, value, cas) = get(&mut guest, b"key");
        assert_eq!((status, &value[..]), (Status::Ok, &b"value"[..]));
        assert_ne!(cas, 0);
        let data = guest.host.data.borrow();
        assert!(data.contains_key(&(b"vm".to_vec(), b"key".to_vec())));
    }

    #[test]
    fn a_key_that_is_not_there_writes_nothing() {
        let mut guest = FakeGuest::new();
        let before = guest.memory[..1024].to_vec();
        assert_eq!(get(&mut guest, b"key"), (Status::NotFound, vec![], 0));
        assert_eq!(guest.memory[..1024], before);
        assert!(guest.calls.is_empty());
    }

    #[test]
    fn only_the_current_number_swaps() {
        let mut guest = FakeGuest::new();
        assert_eq!(set(&mut guest, b"key", b"old", 0), Status::Ok);
        let (_, _, cas) = get(&mut guest, b"key");
        let status = set(&mut guest, b"key", b"new", cas + 1);
        assert_eq!(status, Status::CasMismatch);
        assert_eq!(get(&mut guest, b"key").1, b"old");
        assert_eq!(set(&mut guest, b"key", b"new", cas), Status::Ok);
        assert_eq!(get(&mut guest, b"key").1, b"new");
    }

    #[test]
    fn a_full_store_is_a_failure_that_is_logged_once() {
        let mut guest = FakeGuest::new();
        for _ in 0..2 {
            guest.host.full.set(true);
            for _ in 0..2 {
                let status = set(&mut guest, b"key", b"value", 0);
                assert_eq!(status, Status::InternalFailure);
            }
            guest.host.full.set(false);
            assert_eq!(set(&mut guest, b"key", b"value", 0), Status::Ok);
        }
        let text = "proxy-wasm test: proxy_set_shared_data: no room, nothing more is said until there is some";
        let logs = guest.host.logs.borrow();
        let warnings = [(LogLevel::Warn, text.into()), (LogLevel::Warn, text.into())];
        assert_eq!(*logs, warnings);
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::new();
        assert_eq!(set(&mut guest, b"name", b"value", 0), Status::Ok);
        let [key, key_size] = guest.string(b"name");
        let [value, value_size] = guest.string(b"other");
        let args = [key, key_size, value, value_size, 0];
        guest.assert_bounds("proxy_set_shared_data", &args, 0..4);
        assert_eq!(get(&mut guest, b"name").1, b"value");

        let out = guest.room(12);
        let args = [key, key_size, out, out + 4, out + 8];
        guest.assert_bounds("proxy_get_shared_data", &args, 0..5);
    }
}
