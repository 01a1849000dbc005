use super::errno::{Answer, Errno};
use super::stdio::{STDERR, STDIN, STDOUT};
use crate::abi::guest::Vm;

/// The size of a subscription. It is longer in `wasi_unstable`, where only a single subscription is understood; the fields
/// read here are at the same place in both.
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

/// `poll_oneoff`: every subscription is answered at once, a clock's as if its time had come. A guest that sleeps would
/// hold up every request of the worker.
///
/// `INVAL` where there is no subscription, `FAULT` for a pointer outside memory.
pub fn poll_oneoff(
    vm: &mut Vm<'_>,
    subscriptions: u32,
    events: u32,
    nsubscriptions: u32,
    nevents: u32,
) -> Answer {
    if nsubscriptions == 0 {
        return Err(Errno::Inval.into());
    }
    let size = |each: u32| nsubscriptions.checked_mul(each).ok_or(Errno::Fault);
    vm.check(subscriptions, size(SUBSCRIPTION)?)?;
    vm.check(events, size(EVENT)?)?;
    vm.check(nevents, 4)?;
    for i in 0..nsubscriptions {
        let event = answer(vm.read(subscriptions + i * SUBSCRIPTION, SUBSCRIPTION)?);
        vm.write(events + i * EVENT, &event)?;
    }
    Ok(vm.write_u32(nevents, nsubscriptions)?)
}

/// The event that answers a subscription: the guest's own number, an errno and the kind of event.
fn answer(subscription: &[u8]) -> [u8; EVENT as usize] {
    let (userdata, kind) = (&subscription[..8], subscription[8]);
    let fd = u32::from_le_bytes(subscription.as_chunks().0[4]);
    let errno = match (kind, fd) {
        (CLOCK, _) | (FD_READ, STDIN) | (FD_WRITE, STDOUT | STDERR) => 0,
        (FD_READ | FD_WRITE, _) => Errno::Badf as u16,
        _ => Errno::Inval as u16,
    };
    let mut event = [0; EVENT as usize];
    event[..8].copy_from_slice(userdata);
    event[8..10].copy_from_slice(&errno.to_le_bytes());
    event[10] = kind;
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    fn subscription(userdata: u64, kind: u8, fd: u32) -> Vec<u8> {
        let mut bytes = vec![0; SUBSCRIPTION as usize];
        bytes[..8].copy_from_slice(&userdata.to_le_bytes());
        bytes[8] = kind;
        bytes[16..20].copy_from_slice(&fd.to_le_bytes());
        // A timeout of centuries, in a clock's subscription.
        bytes[24..32].fill(0x7f);
        bytes
    }

    #[test]
    fn every_subscription_is_answered_at_once() {
        let mut guest = FakeGuest::new();
        let subscriptions = guest.put(
            &[
                subscription(0x1122_3344_5566_7788, CLOCK, 1),
                subscription(2, FD_WRITE, 1),
                subscription(3, FD_READ, 0),
                subscription(4, FD_READ, 0x103),
                subscription(5, 9, 0),
            ]
            .concat(),
        );
        let events = guest.room(5 * EVENT);
        let nevents = guest.room(4);
        let answer = guest.import("poll_oneoff", &[subscriptions, events, 5, nevents]);
        assert_eq!(answer.unwrap(), 0);
        assert_eq!(guest.u32_at(nevents), 5);
        for (i, (userdata, errno, kind)) in [
            (0x1122_3344_5566_7788, 0, CLOCK),
            (2, 0, FD_WRITE),
            (3, 0, FD_READ),
            (4, Errno::Badf as u32, FD_READ),
            (5, Errno::Inval as u32, 9),
        ]
        .into_iter()
        .enumerate()
        {
            let event = events + i as u64 * u64::from(EVENT);
            assert_eq!(guest.u64_at(event), userdata);
            assert_eq!(guest.u32_at(event + 8), errno | u32::from(kind) << 16);
        }
    }

    #[test]
    fn nothing_to_wait_for_is_invalid() {
        let mut guest = FakeGuest::new();
        let answer = guest.import("poll_oneoff", &[0, 0, 0, 0]).unwrap();
        assert_eq!(answer, Errno::Inval as u64);
    }

    #[test]
    fn a_pointer_outside_memory_is_a_fault() {
        let mut guest = FakeGuest::new();
        let inside = guest.room(64);
        let outside = guest.memory.len() as u64 - 3;
        for args in [
            [outside, inside, 1, inside],
            [inside, outside, 1, inside],
            [inside, inside, 1, outside],
            // 48 times this is 0 in 32 bits.
            [inside, inside, 0x1000_0000, inside],
            [inside, inside, 0xffff_ffff, inside],
        ] {
            let answer = guest.import("poll_oneoff", &args).unwrap();
            assert_eq!(answer, Errno::Fault as u64, "{args:?}");
        }
    }
}
