use super::Answer;
use crate::abi::foreign;
use crate::abi::guest::Vm;

/// `proxy_call_foreign_function` (all versions).
///
/// `NotFound` for a function that the host does not have, `InvalidMemoryAccess` for a pointer outside memory. A null pointer for
/// the results means that the plugin does not want them.
pub fn proxy_call_foreign_function(
    vm: &mut Vm<'_>,
    name_data: u32,
    name_size: u32,
    arguments_data: u32,
    arguments_size: u32,
    return_results_data: u32,
    return_results_size: u32,
) -> Answer {
    let function = foreign::find(vm.read(name_data, name_size)?)?;
    let arguments = vm.read(arguments_data, arguments_size)?.to_vec();
    if return_results_data == 0 && return_results_size == 0 {
        return function(vm.state(), &arguments, &mut Vec::new());
    }
    vm.give_filled(return_results_data, return_results_size, |vm, results| {
        function(vm.state(), &arguments, results)
    })
}

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    const NAME: &str = "proxy_call_foreign_function";

    #[test]
    fn a_function_gives_its_results() {
        let mut guest = FakeGuest::with_stream();
        let [name, size] = guest.string(b"clear_route_cache");
        let out = guest.put(&[0xee; 8]);
        let status = guest.status(NAME, &[name, size, 0, 0, out, out + 4]);
        assert_eq!(status, Status::Ok);
        assert_eq!(guest.bytes_at(out, 8), [0; 8], "it has no results");
    }

    #[test]
    fn results_need_not_be_wanted() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            let [name, size] = guest.string(b"clear_route_cache");
            let before = guest.memory.clone();
            let status = guest.status(NAME, &[name, size, 0, 0, 0, 0]);
            assert_eq!(status, Status::Ok);
            assert!(guest.memory == before);
        }
    }

    #[test]
    fn an_unknown_function_is_not_found() {
        let mut guest = FakeGuest::with_stream();
        let out = guest.put(&[0xee; 8]);
        for unknown in [
            &b""[..],
            b"clear_route_cach",
            b"clear_route_cache\0",
            b"\xff",
        ] {
            let [name, size] = guest.string(unknown);
            let status = guest.status(NAME, &[name, size, 0, 0, out, out + 4]);
            assert_eq!(status, Status::NotFound);
        }
        assert_eq!(guest.bytes_at(out, 8), [0xee; 8]);
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::with_stream();
        let [name, name_size] = guest.string(b"clear_route_cache");
        let [arguments, arguments_size] = guest.string(b"arguments");
        let out = guest.room(8);
        let args = [name, name_size, arguments, arguments_size, out, out + 4];
        guest.assert_bounds(NAME, &args, 0..6);
    }
}
