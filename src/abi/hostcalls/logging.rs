use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::types::LogLevel;

/// `proxy_log` (all versions).
///
/// `BadArgument` for an unknown level, `InvalidMemoryAccess` for a message outside memory.
pub fn proxy_log(vm: &mut Vm<'_>, log_level: u32, message_data: u32, message_size: u32) -> Answer {
    let level = LogLevel::try_from(log_level)?;
    let (message, state) = vm.read_with_state(message_data, message_size)?;
    state.log(level, message);
    Ok(())
}

/// `proxy_get_log_level` (from 0.2.1).
///
/// `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_log_level(vm: &mut Vm<'_>, return_log_level: u32) -> Answer {
    let level = vm.state().log_level();
    vm.write_u32(return_log_level, level as u32)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use crate::abi::testing::FakeGuest;
    use crate::abi::types::{LogLevel, Status};

    #[test]
    fn a_message_goes_to_the_log_of_the_effective_context() {
        let mut guest = FakeGuest::with_stream();
        let [data, size] = guest.string(b"a message");
        assert_eq!(guest.status("proxy_log", &[3, data, size]), Status::Ok);
        let line = (LogLevel::Warn, "proxy-wasm test: a message".to_owned());
        assert_eq!(*guest.stream.logs.borrow(), slice::from_ref(&line));
        assert!(guest.host.logs.borrow().is_empty());

        let mut guest = FakeGuest::new();
        let [data, size] = guest.string(b"a message");
        assert_eq!(guest.status("proxy_log", &[3, data, size]), Status::Ok);
        assert_eq!(*guest.host.logs.borrow(), [line]);
    }

    #[test]
    fn every_level_has_its_number() {
        let mut guest = FakeGuest::new();
        let [data, size] = guest.string(b"text");
        for level in 0..6 {
            assert_eq!(guest.status("proxy_log", &[level, data, size]), Status::Ok);
        }
        let levels: Vec<u32> = guest
            .host
            .logs
            .borrow()
            .iter()
            .map(|l| l.0 as u32)
            .collect();
        assert_eq!(levels, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_the_log_does_not_keep_is_ok_and_not_logged() {
        let mut guest = FakeGuest::new();
        guest.host.level.set(LogLevel::Error);
        let [data, size] = guest.string(b"text");
        assert_eq!(guest.status("proxy_log", &[3, data, size]), Status::Ok);
        assert!(guest.host.logs.borrow().is_empty());
    }

    #[test]
    fn a_long_message_is_cut() {
        let mut guest = FakeGuest::new();
        let [data, size] = guest.string(&[b'x'; 64 * 1024 + 1]);
        assert_eq!(guest.status("proxy_log", &[4, data, size]), Status::Ok);
        let logs = guest.host.logs.borrow();
        let prefix = "proxy-wasm test: ".len();
        let logged: usize = logs.iter().map(|(_, record)| record.len() - prefix).sum();
        assert_eq!(logged, 64 * 1024);
    }

    #[test]
    fn nothing_bad_is_logged() {
        let mut guest = FakeGuest::new();
        let [data, size] = guest.string(b"text");
        for level in [6, 0xffff_ffff] {
            let status = guest.status("proxy_log", &[level, data, size]);
            assert_eq!(status, Status::BadArgument);
        }
        guest.assert_bounds("proxy_log", &[2, data, size], [1, 2]);
        assert!(guest.host.logs.borrow().is_empty());
    }

    #[test]
    fn the_level_is_that_of_the_log() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            guest.host.level.set(LogLevel::Warn);
            guest.stream.level.set(LogLevel::Critical);
            let want = match guest.state.stream() {
                Some(_) => LogLevel::Critical,
                None => LogLevel::Warn,
            };
            let out = guest.room(4);
            assert_eq!(guest.status("proxy_get_log_level", &[out]), Status::Ok);
            assert_eq!(guest.u32_at(out), want as u32);
            guest.assert_bounds("proxy_get_log_level", &[out], [0]);
        }
    }
}
