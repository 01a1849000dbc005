use super::errno::{Answer, Errno};
use crate::abi::guest::Vm;
use crate::engine::Trap;

/// The most randomness that a guest can ask for at once, as in proxy-wasm-cpp-host.
const MAX_RANDOM: u32 = 64 * 1024;

/// `proc_exit`: ends the VM, whatever the code, and not the worker.
pub fn proc_exit(rval: u32) -> Answer {
    Err(Trap::new(format!("proc_exit({})", rval.cast_signed())).into())
}

/// `random_get`: from the system's generator. `INVAL` for more than 64 KiB, `FAULT` for a buffer outside memory, `IO` where the
/// system gives none.
pub fn random_get(vm: &mut Vm<'_>, buf: u32, buf_len: u32) -> Answer {
    if buf_len > MAX_RANDOM {
        return Err(Errno::Inval.into());
    }
    vm.check(buf, buf_len)?;
    let mut bytes = vec![0; buf_len as usize];
    getrandom::fill(&mut bytes).map_err(|_| Errno::Io)?;
    Ok(vm.write(buf, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    #[test]
    fn exit_ends_the_guest() {
        let mut guest = FakeGuest::new();
        for (code, message) in [(0, "proc_exit(0)"), (0xffff_ffff, "proc_exit(-1)")] {
            let trap = guest.import("proc_exit", &[code]).unwrap_err();
            assert_eq!(trap.message, message);
        }
    }

    #[test]
    fn random_bytes_fill_the_buffer_and_nothing_else() {
        let mut guest = FakeGuest::new();
        let buf = guest.room(64);
        assert_eq!(guest.import("random_get", &[buf, 32]).unwrap(), 0);
        let first = guest.bytes_at(buf, 64).to_vec();
        assert_ne!(first[..32], [0; 32]);
        assert_eq!(first[32..], [0; 32]);
        assert_eq!(guest.import("random_get", &[buf, 32]).unwrap(), 0);
        assert_ne!(guest.bytes_at(buf, 32), &first[..32]);
        assert_eq!(guest.import("random_get", &[buf, 0]).unwrap(), 0);
    }

    #[test]
    fn too_much_is_invalid_and_outside_memory_a_fault() {
        let mut guest = FakeGuest::new();
        let max = u64::from(MAX_RANDOM);
        let buf = guest.room(MAX_RANDOM);
        assert_eq!(guest.import("random_get", &[buf, max]).unwrap(), 0);
        let answer = guest.import("random_get", &[buf, max + 1]).unwrap();
        assert_eq!(answer, Errno::Inval as u64);
        let end = guest.memory.len() as u64;
        let answer = guest.import("random_get", &[end - 8, 9]).unwrap();
        assert_eq!(answer, Errno::Fault as u64);
    }
}
