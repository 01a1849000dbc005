use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::host::QueueError;
use crate::abi::types::Status;
use crate::abi::vm::Asked;

/// `proxy_register_shared_queue` (all versions).
///
/// `proxy_on_queue_ready` runs on the plugin context, soon, for each item that the queue gets from now on. `InternalFailure` where there are too many queues, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_register_shared_queue(
    vm: &mut Vm<'_>,
    name_data: u32,
    name_size: u32,
    return_queue_id: u32,
) -> Answer {
    vm.check(return_queue_id, 4)?;
    let (name, state) = vm.read_with_state(name_data, name_size)?;
    let id = state.host.register_shared_queue(&state.plugin.vm_id, name);
    state.note_room("proxy_register_shared_queue", id == Err(QueueError::Full));
    let id = id?;
    if let Some(root) = state.root_mut() {
        root.has_queue = true;
        let context = root.serial;
        state.ask(Asked::Queue { context, id });
    }
    vm.write_u32(return_queue_id, id)
}

/// `proxy_resolve_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_resolve_shared_queue(
    vm: &mut Vm<'_>,
    vm_id_data: u32,
    vm_id_size: u32,
    name_data: u32,
    name_size: u32,
    return_queue_id: u32,
) -> Answer {
    let (vm_id, name, state) =
        vm.read2_with_state((vm_id_data, vm_id_size), (name_data, name_size))?;
    let id = state
        .host
        .resolve_shared_queue(vm_id, name)
        .ok_or(Status::NotFound)?;
    vm.write_u32(return_queue_id, id)
}

/// `proxy_enqueue_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there. One that is full answers the same, for want of a better status that SDKs know of this
/// function; the log tells. `InvalidMemoryAccess` for a value outside memory.
pub fn proxy_enqueue_shared_queue(
    vm: &mut Vm<'_>,
    queue_id: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let (value, state) = vm.read_with_state(value_data, value_size)?;
    let added = state.host.enqueue_shared_queue(queue_id, value);
    let full = added == Err(QueueError::Full);
    state.note_room("proxy_enqueue_shared_queue", full);
    if full {
        return Err(Status::NotFound.into());
    }
    Ok(added?)
}

/// `proxy_dequeue_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there or belongs to another VM id, `Empty` for an empty one, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_dequeue_shared_queue(
    vm: &mut Vm<'_>,
    queue_id: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let state = vm.state();
        let vm_id = &state.plugin.vm_id;
        Ok(state.host.dequeue_shared_queue(vm_id, queue_id, value)?)
    })
}

#[cfg(test)]
mod tests {
    use crate::abi::host::Host;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;
    use crate::abi::vm::Asked;

    fn register(guest: &mut FakeGuest, name: &[u8]) -> (Status, u64) {
        let [name, size] = guest.string(name);
        let out = guest.room(4);
        let status = guest.status("proxy_register_shared_queue", &[name, size, out]);
        (status, guest.u32_at(out).into())
    }

    fn resolve(guest: &mut FakeGuest, vm_id: &[u8], name: &[u8]) -> (Status, u64) {
        let [vm_id, vm_id_size] = guest.string(vm_id);
        let [name, name_size] = guest.string(name);
        let out = guest.room(4);
        let args = [vm_id, vm_id_size, name, name_size, out];
        let status = guest.status("proxy_resolve_shared_queue", &args);
        (status, guest.u32_at(out).into())
    }

    fn enqueue(guest: &mut FakeGuest, id: u64, value: &[u8]) -> Status {
        let [value, size] = guest.string(value);
        guest.status("proxy_enqueue_shared_queue", &[id, value, size])
    }

    fn dequeue(guest: &mut FakeGuest, id: u64) -> (Status, Vec<u8>) {
        let out = guest.room(8);
        let status = guest.status("proxy_dequeue_shared_queue", &[id, out, out + 4]);
        (status, guest.given(out, out + 4).to_vec())
    }

    #[test]
    fn what_goes_in_first_comes_out_first() {
        let mut guest = FakeGuest::new();
        let (status, id) = register(&mut guest, b"queue");
        assert_eq!(status, Status::Ok);
        for item in [&b"one"[..], b"", b"three"] {
            assert_eq!(enqueue(&mut guest, id, item), Status::Ok);
        }
        for item in [&b"one"[..], b"", b"three"] {
            assert_eq!(dequeue(&mut guest, id), (Status::Ok, item.to_vec()));
        }
        assert_eq!(dequeue(&mut guest, id), (Status::Empty, vec![]));
    }

    #[test]
    fn a_queue_is_found_under_its_vm_id() {
        let mut guest = FakeGuest::new();
        let (_, id) = register(&mut guest, b"queue");
        assert_eq!(register(&mut guest, b"queue"), (Status::Ok, id));
        assert_eq!(resolve(&mut guest, b"vm", b"queue"), (Status::Ok, id));
        for (vm_id, name) in [(&b""[..], &b"queue"[..]), (b"vm", b"other")] {
            let answer = resolve(&mut guest, vm_id, name);
            assert_eq!(answer, (Status::NotFound, 0));
        }
    }

    #[test]
    fn items_are_sent_to_any_vm_id_and_taken_by_its_own() {
        let mut guest = FakeGuest::new();
        let id = guest.host.register_shared_queue(b"another", b"queue");
        let id = id.unwrap();
        assert_eq!(enqueue(&mut guest, id.into(), b"item"), Status::Ok);
        let answer = dequeue(&mut guest, id.into());
        assert_eq!(answer, (Status::NotFound, vec![]));
        let mut item = Vec::new();
        let taken = guest.host.dequeue_shared_queue(b"another", id, &mut item);
        assert_eq!((taken, &*item), (Ok(()), &b"item"[..]));
    }

    #[test]
    fn the_plugin_context_is_to_learn_of_items() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            assert!(!guest.state.acts_by_itself());
            let (_, id) = register(&mut guest, b"queue");
            let queue = Asked::Queue { context: 7, id: 1 };
            assert_eq!(guest.state.asked, [queue]);
            assert!(guest.state.acts_by_itself());
            enqueue(&mut guest, id, b"item");
            dequeue(&mut guest, id);
            resolve(&mut guest, b"vm", b"queue");
            assert_eq!(guest.state.asked, [queue]);
        }
    }

    #[test]
    fn a_queue_registered_without_a_context_is_told_of_to_nobody() {
        let mut guest = FakeGuest::new();
        guest.state.current = 0;
        assert_eq!(register(&mut guest, b"queue"), (Status::Ok, 1));
        assert!(guest.state.asked.is_empty());
    }

    #[test]
    fn a_queue_that_is_not_there_is_not_found() {
        let mut guest = FakeGuest::new();
        for id in [0, 1, 0xffff_ffff] {
            assert_eq!(enqueue(&mut guest, id, b"item"), Status::NotFound);
            assert_eq!(dequeue(&mut guest, id), (Status::NotFound, vec![]));
        }
        assert!(guest.state.asked.is_empty());
    }

    #[test]
    fn no_room_is_a_failure_that_is_logged() {
        let mut guest = FakeGuest::new();
        let (_, id) = register(&mut guest, b"queue");
        guest.host.full.set(true);
        guest.state.asked.clear();
        assert_eq!(enqueue(&mut guest, id, b"item"), Status::NotFound);
        assert_eq!(guest.host.logs.borrow().len(), 1);
        let answer = register(&mut guest, b"another");
        assert_eq!(answer, (Status::InternalFailure, 0));
        assert!(guest.state.asked.is_empty());
    }

    #[test]
    fn pointers_are_checked_before_anything_is_done() {
        let mut guest = FakeGuest::new();
        let [name, size] = guest.string(b"name");
        let out = guest.room(8);
        guest.assert_bounds("proxy_register_shared_queue", &[name, size, out], 0..3);
        assert!(guest.state.asked.is_empty());
        let (_, other) = register(&mut guest, b"other");
        assert_eq!(other, 1, "a hostile pointer has made a queue");
        let (_, id) = register(&mut guest, b"name");

        let [vm_id, vm_id_size] = guest.string(b"vm");
        let args = [vm_id, vm_id_size, name, size, out];
        guest.assert_bounds("proxy_resolve_shared_queue", &args, 1..5);
        let [longer, longer_size] = guest.string(b"another vm");
        let args = [longer, longer_size, name, size, out];
        guest.assert_bounds("proxy_resolve_shared_queue", &args, 0..4);

        guest.state.asked.clear();
        guest.assert_bounds("proxy_enqueue_shared_queue", &[id, name, size], 1..3);
        assert!(guest.state.asked.is_empty());
        assert_eq!(dequeue(&mut guest, id), (Status::Empty, vec![]));

        assert_eq!(enqueue(&mut guest, id, b"item"), Status::Ok);
        guest.assert_bounds("proxy_dequeue_shared_queue", &[id, out, out + 4], 1..3);
        assert_eq!(dequeue(&mut guest, id), (Status::Ok, b"item".to_vec()));
    }
}
