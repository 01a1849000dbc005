use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::header_map::{find, writable};
use crate::abi::types::{AbiVersion, Status};
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
    find(vm.state(), map_id)?.visit(&mut |name, value| {
        if size == 0 {
            size = wire::COUNT;
        }
        size += wire::pair_size(name, value);
    });
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
            let mut pairs = wire::Encoder::new(value);
            found.visit(&mut |name, value| pairs.push(name, value));
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
    // Unknown maps are refused first, whatever is to be written.
    find(state, map_id)?;
    let headers = wire::decode(bytes).map_err(|_| Status::InvalidMemoryAccess)?;
    let (stream, map) = writable(state, map_id, headers.len(), bytes.len())?;
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
        let found = find(state, map_id)?.get(key, value);
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
    let (stream, map) = writable(state, map_id, 1, key.len() + value.len())?;
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
    let (stream, map) = writable(state, map_id, 1, key.len() + value.len())?;
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
    let (stream, map) = writable(state, map_id, 1, key.len())?;
    Ok(stream.remove_header(map, key)?)
}

#[cfg(test)]
mod tests {
    use crate::abi::calls::Report;
    use crate::abi::host::{Fields, HeaderMap};
    use crate::abi::testing::{FakeGuest, Headers};
    use crate::abi::types::{AbiVersion, Status};
    use crate::abi::wire::{Encoder, decode};

    const REQUEST: u64 = 0;
    const RESPONSE: u64 = 2;
    /// Trailers, which nginx has none of, and what calls are answered with.
    const NOT_THERE: [u64; 6] = [1, 3, 4, 5, 6, 7];
    /// Metadata at the start and the end, headers and trailers.
    const OF_CALLS: [u64; 4] = [4, 5, 6, 7];
    const UNKNOWN: [u64; 2] = [8, 0xffff_ffff];

    const GET: &str = "proxy_get_header_map_value";
    const ADD: &str = "proxy_add_header_map_value";
    const REPLACE: &str = "proxy_replace_header_map_value";
    const REMOVE: &str = "proxy_remove_header_map_value";
    const PAIRS: &str = "proxy_get_header_map_pairs";
    const SET_PAIRS: &str = "proxy_set_header_map_pairs";
    const SIZE: &str = "proxy_get_header_map_size";

    fn with_headers() -> FakeGuest {
        let guest = FakeGuest::with_stream();
        let request = [(":path", "/"), ("x-a", "1"), ("x-a", "2")];
        guest.stream.fill(HeaderMap::Request, &request);
        guest.stream.fill(HeaderMap::Response, &[("x-b", "")]);
        guest
    }

    fn serialize(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        for (name, value) in pairs {
            encoder.push(name.as_bytes(), value.as_bytes());
        }
        encoder.finish();
        out
    }

    fn is(headers: &Headers, want: &[(&str, &str)]) -> bool {
        let have = headers.borrow();
        let have = have.iter().map(|(n, v)| (&n[..], &v[..]));
        have.eq(want.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())))
    }

    /// The status of a getter whose last two arguments are added here, and what it gave.
    fn get(guest: &mut FakeGuest, name: &str, args: &[u64]) -> (Status, Vec<u8>) {
        let out = guest.put(&[0; 8]);
        let args = [args, &[out, out + 4]].concat();
        let status = guest.status(name, &args);
        (status, guest.given(out, out + 4).to_vec())
    }

    fn value(guest: &mut FakeGuest, map: u64, key: &str) -> (Status, Vec<u8>) {
        let [key, size] = guest.string(key.as_bytes());
        get(guest, GET, &[map, key, size])
    }

    /// Calls one of those that take a name and a value.
    fn put(guest: &mut FakeGuest, name: &str, map: u64, key: &str, value: &str) -> Status {
        let [key, key_size] = guest.string(key.as_bytes());
        let [value, value_size] = guest.string(value.as_bytes());
        guest.status(name, &[map, key, key_size, value, value_size])
    }

    fn remove(guest: &mut FakeGuest, map: u64, key: &str) -> Status {
        let [key, size] = guest.string(key.as_bytes());
        guest.status(REMOVE, &[map, key, size])
    }

    fn set_pairs(guest: &mut FakeGuest, map: u64, pairs: &[u8]) -> Status {
        let [data, size] = guest.string(pairs);
        guest.status(SET_PAIRS, &[map, data, size])
    }

    fn size(guest: &mut FakeGuest, map: u64) -> (Status, u32) {
        let out = guest.put(&[0xee; 4]);
        let status = guest.status(SIZE, &[map, out]);
        (status, guest.u32_at(out))
    }

    #[test]
    fn a_map_is_given_whole_and_its_size_is_that() {
        let mut guest = with_headers();
        let (status, bytes) = get(&mut guest, PAIRS, &[REQUEST]);
        assert_eq!(status, Status::Ok);
        let want = [(":path", "/"), ("x-a", "1"), ("x-a", "2")];
        assert_eq!(bytes, serialize(&want));
        assert_eq!(size(&mut guest, REQUEST), (Status::Ok, bytes.len() as u32));

        let (_, bytes) = get(&mut guest, PAIRS, &[RESPONSE]);
        assert_eq!(decode(&bytes).unwrap(), [(&b"x-b"[..], &b""[..])]);
    }

    #[test]
    fn a_map_that_is_empty_or_not_there_is_no_bytes() {
        let empty = [(FakeGuest::with_stream(), &[REQUEST, RESPONSE][..])];
        let not_there = [FakeGuest::new(), with_headers()].map(|g| (g, &NOT_THERE[..]));
        for (mut guest, maps) in empty.into_iter().chain(not_there) {
            for &map in maps {
                assert_eq!(get(&mut guest, PAIRS, &[map]), (Status::Ok, vec![]));
                assert_eq!(size(&mut guest, map), (Status::Ok, 0));
            }
            assert!(guest.calls.is_empty());
        }
    }

    /// A guest that is told of a call, each of whose maps has its number in it.
    fn with_report(mut guest: FakeGuest) -> FakeGuest {
        let map = |number: &str| -> Fields {
            let value = |text: &str| text.as_bytes().to_vec();
            vec![
                (value("map"), value(number)),
                (value("map"), value("again")),
                (value("empty"), value("")),
            ]
        };
        guest.state.report = Some(Box::new(Report {
            initial_metadata: map("4"),
            trailing_metadata: map("5"),
            headers: map("6"),
            trailers: map("7"),
            ..Report::default()
        }));
        guest
    }

    #[test]
    fn what_a_call_was_answered_with_is_there_while_the_plugin_is_told_of_it() {
        for guest in [FakeGuest::new(), with_headers()] {
            let mut guest = with_report(guest);
            for map in OF_CALLS {
                let number = map.to_string();
                let want = serialize(&[("map", &number), ("map", "again"), ("empty", "")]);
                let len = want.len() as u32;
                assert_eq!(get(&mut guest, PAIRS, &[map]), (Status::Ok, want));
                assert_eq!(size(&mut guest, map), (Status::Ok, len));
                let found = (Status::Ok, number.into_bytes());
                assert_eq!(value(&mut guest, map, "Map"), found);
                assert_eq!(value(&mut guest, map, "empty"), (Status::Ok, vec![]));
                let missing = value(&mut guest, map, "missing");
                assert_eq!(missing, (Status::NotFound, vec![]));
            }
            guest.state.report = None;
            for map in OF_CALLS {
                assert_eq!(get(&mut guest, PAIRS, &[map]), (Status::Ok, vec![]));
            }
        }
    }

    #[test]
    fn what_a_call_was_answered_with_cannot_be_changed() {
        let mut guest = with_report(with_headers());
        for map in OF_CALLS {
            let before = get(&mut guest, PAIRS, &[map]);
            assert_eq!(change(&mut guest, map), [Status::BadArgument; 4]);
            assert_eq!(get(&mut guest, PAIRS, &[map]), before);
        }
    }

    #[test]
    fn a_report_without_a_map_has_an_empty_one() {
        let mut guest = FakeGuest::new();
        guest.state.report = Some(Box::default());
        for map in OF_CALLS {
            assert_eq!(get(&mut guest, PAIRS, &[map]), (Status::Ok, vec![]));
            assert_eq!(size(&mut guest, map), (Status::Ok, 0));
        }
        assert!(guest.calls.is_empty());
    }

    #[test]
    fn a_header_is_its_first_value() {
        let mut guest = with_headers();
        assert_eq!(value(&mut guest, REQUEST, "x-a").1, b"1");
        assert_eq!(value(&mut guest, REQUEST, "X-A").1, b"1");
        assert_eq!(value(&mut guest, REQUEST, ":path").1, b"/");
        assert_eq!(value(&mut guest, RESPONSE, "x-b"), (Status::Ok, vec![]));
    }

    #[test]
    fn a_header_that_is_not_there_is_not_found_or_empty_in_0_1_0() {
        for (abi, want) in [
            (AbiVersion::V0_1_0, Status::Ok),
            (AbiVersion::V0_2_0, Status::NotFound),
            (AbiVersion::V0_2_1, Status::NotFound),
            (AbiVersion::V0_2_100, Status::NotFound),
        ] {
            let mut guest = with_headers();
            guest.set_abi(abi);
            for (map, key) in [(REQUEST, "x-b"), (RESPONSE, ""), (6, ":status")] {
                assert_eq!(value(&mut guest, map, key), (want, vec![]));
            }
        }
    }

    #[test]
    fn values_are_added_and_replaced() {
        let mut guest = with_headers();
        assert_eq!(put(&mut guest, ADD, RESPONSE, "X-B", "2"), Status::Ok);
        assert!(is(&guest.stream.response, &[("x-b", ""), ("x-b", "2")]));
        assert_eq!(put(&mut guest, REPLACE, RESPONSE, "x-b", "3"), Status::Ok);
        assert_eq!(put(&mut guest, REPLACE, RESPONSE, "x-c", "4"), Status::Ok);
        assert!(is(&guest.stream.response, &[("x-b", "3"), ("x-c", "4")]));
    }

    #[test]
    fn all_values_of_a_header_are_removed() {
        let mut guest = with_headers();
        assert_eq!(remove(&mut guest, REQUEST, "X-A"), Status::Ok);
        assert!(is(&guest.stream.request, &[(":path", "/")]));
        assert_eq!(remove(&mut guest, REQUEST, "x-a"), Status::Ok);
    }

    #[test]
    fn a_map_is_replaced_but_for_pseudo_headers_not_named() {
        let mut guest = with_headers();
        let map = serialize(&[("x-c", "1"), ("x-c", "2")]);
        assert_eq!(set_pairs(&mut guest, REQUEST, &map), Status::Ok);
        let want = [(":path", "/"), ("x-c", "1"), ("x-c", "2")];
        assert!(is(&guest.stream.request, &want));
        assert_eq!(set_pairs(&mut guest, RESPONSE, b""), Status::Ok);
        assert!(is(&guest.stream.response, &[]));
    }

    #[test]
    fn a_map_whose_counts_lie_changes_nothing() {
        let mut guest = with_headers();
        let map = serialize(&[("x-c", "1")]);
        let cut = &map[..map.len() - 1];
        for lie in [cut, b"\xff\xff\xff\xff"] {
            let status = set_pairs(&mut guest, RESPONSE, lie);
            assert_eq!(status, Status::InvalidMemoryAccess);
        }
        assert!(is(&guest.stream.response, &[("x-b", "")]));
    }

    #[test]
    fn an_unknown_map_is_a_bad_argument() {
        let mut guest = with_headers();
        for map in UNKNOWN {
            let bad = Status::BadArgument;
            assert_eq!(get(&mut guest, PAIRS, &[map]), (bad, vec![]));
            assert_eq!(size(&mut guest, map), (bad, 0xeeee_eeee));
            assert_eq!(value(&mut guest, map, "x-a"), (bad, vec![]));
        }
    }

    /// Every way to change a map.
    fn change(guest: &mut FakeGuest, map: u64) -> [Status; 4] {
        [
            put(guest, ADD, map, "x-a", "3"),
            put(guest, REPLACE, map, "x-a", "3"),
            remove(guest, map, "x-a"),
            set_pairs(guest, map, &serialize(&[("x-a", "3")])),
        ]
    }

    #[test]
    fn a_map_that_cannot_be_changed_is_a_bad_argument() {
        let mut guest = with_headers();
        for map in UNKNOWN.into_iter().chain(NOT_THERE) {
            assert_eq!(change(&mut guest, map), [Status::BadArgument; 4]);
        }
        guest.stream.sent.set(true);
        assert_eq!(change(&mut guest, RESPONSE), [Status::BadArgument; 4]);
        assert!(is(&guest.stream.response, &[("x-b", "")]));

        let mut outside = FakeGuest::new();
        for map in [REQUEST, RESPONSE] {
            assert_eq!(change(&mut outside, map), [Status::BadArgument; 4]);
        }
    }

    #[test]
    fn a_header_that_none_may_have_is_a_bad_argument() {
        let mut guest = with_headers();
        for (key, value) in [("", "1"), ("a b", "1"), ("x-b", "1\r\nx: y")] {
            for name in [ADD, REPLACE] {
                let status = put(&mut guest, name, RESPONSE, key, value);
                assert_eq!(status, Status::BadArgument);
            }
        }
        assert!(is(&guest.stream.response, &[("x-b", "")]));
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = with_headers();
        guest.stream.fill(HeaderMap::Response, &[("name", "value")]);
        let before = guest.stream.response.borrow().clone();
        let [key, key_size] = guest.string(b"name");
        let [value, value_size] = guest.string(b"other");
        let [map, map_size] = guest.string(&serialize(&[("name", "other")]));
        let out = guest.room(8);
        guest.assert_bounds(SIZE, &[RESPONSE, out], [1]);
        guest.assert_bounds(PAIRS, &[RESPONSE, out, out + 4], 1..3);
        let args = [RESPONSE, key, key_size, out, out + 4];
        guest.assert_bounds(GET, &args, 1..5);
        guest.assert_bounds(SET_PAIRS, &[RESPONSE, map, map_size], 1..3);
        guest.assert_bounds(REMOVE, &[RESPONSE, key, key_size], 1..3);
        for name in [ADD, REPLACE] {
            let args = [RESPONSE, key, key_size, value, value_size];
            guest.assert_bounds(name, &args, 1..5);
        }
        assert_eq!(*guest.stream.response.borrow(), before);
    }

    #[test]
    fn an_allocator_that_lies_is_found_out() {
        let mut guest = with_headers();
        let end = guest.memory.len() as u64;
        for address in [0, end, end - 1, u64::from(u32::MAX)] {
            guest.allocates = Some(address);
            let answer = get(&mut guest, PAIRS, &[REQUEST]);
            assert_eq!(answer, (Status::InvalidMemoryAccess, vec![]));
        }
        guest.state.allocator = None;
        let out = guest.room(8);
        let trap = guest.import(PAIRS, &[REQUEST, out, out + 4]).unwrap_err();
        assert!(trap.message.contains("proxy_on_memory_allocate"));
    }
}
